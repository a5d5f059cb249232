//! The commands through the real binary: what is printed, what is written, and the exit code.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod cli;
mod kafka;
mod keygen;
mod pcs;
mod run;
mod submit;
