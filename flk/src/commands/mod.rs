//! The subcommands, one room each: `Args` says what is asked for, `run` does it.

pub mod completions;
pub mod config;
pub mod demo;
mod facts;
pub mod health;
pub mod keygen;
pub mod man;
pub mod pcs;
pub mod replay;
pub mod results;
pub mod serve;
pub mod topics;
pub mod wal;
