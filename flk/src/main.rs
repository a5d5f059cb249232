//! The one binary: what is asked for, done, and said. Everything else is in the library beside it.

use std::process::ExitCode;

use clap::Parser as _;
use flk::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().command.run().unwrap_or_else(|failure| failure.tell())
}
