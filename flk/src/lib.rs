//! The command line: every subcommand is a room in [`commands`] with its arguments and its `run`.
//!
//! [`cli`] is the one definition that help texts, the man page, completions and the tables of the
//! documents come from. [`output`] is the only way to the terminal, and [`Failure`] the only way
//! to fail: one sentence and an exit code. What is decided about a record is decided elsewhere, by
//! the contract's functions; no rule of it is in here.

pub mod cli;
mod clock;
pub mod commands;
mod data_dir;
mod disk;
mod distributed;
pub mod embedded;
mod environment;
mod failure;
mod files;
mod http;
pub mod output;
mod service;

pub use failure::Failure;
