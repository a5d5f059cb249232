//! The definition of the command line: the one source of help, man pages and completions.
//!
//! Every subcommand is one module of [`crate::commands`] with `pub struct Args` and
//! `pub fn run(args: Args) -> Result<ExitCode, Failure>`; here it gets its name and its place.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    Failure,
    commands::{completions, config, demo, health, keygen, man, pcs, replay, results, serve, topics, wal},
};

/// Proof-of-Computation Summaries, made durable, verified and settled.
///
/// A Proof-of-Computation Summary (PCS) goes in over HTTP; its bytes become durable, its signature
/// is checked and its signals are recomputed; the first accepted record of an id settles its
/// result.
#[derive(Debug, Parser)]
#[command(
    name = "flk",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = AFTER_HELP,
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit codes:
  0    done; where the command asks a question, the answer is yes
  1    it failed, or the answer is no
  2    the command line or a setting has to be changed; one sentence says which
  3    replay --verify: what could be judged again comes to the same, but a key is unknown
  141  the reader of the output went away";

/// The subcommands, in the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take in, judge, settle and answer: all of it in one process
    Serve(serve::Serve),
    /// Over Kafka: take records in, and answer
    Ingest(serve::Ingest),
    /// Over Kafka: judge records
    Verifier(serve::Verifier),
    /// Over Kafka: settle what was judged, once for each id
    DedupSink(serve::Sink),
    /// Make Kafka's topics, or check them
    Topics(topics::Args),
    /// Print what is in force: every setting, its value and where it came from, secrets masked
    Config(config::Args),
    /// Make a signing key, and what deploys it
    Keygen(keygen::Args),
    /// Build, sign, verify and submit summaries
    Pcs(pcs::Args),
    /// Look into the log, and make it smaller
    Wal(wal::Args),
    /// Read settled results out of the log
    Results(results::Args),
    /// Judge what the log holds once more
    Replay(replay::Args),
    /// Ask a service whether it is up (a probe for images without a shell)
    Health(health::Args),
    /// See all of it work, and survive a crash, in under a minute
    Demo(demo::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page, or write all of them
    Man(man::Args),
}

impl Command {
    /// Does what was asked for.
    ///
    /// # Errors
    /// [`Failure`]: one sentence and an exit code.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Serve(args) => serve::run(args),
            Self::Ingest(args) => serve::run(args),
            Self::Verifier(args) => serve::run(args),
            Self::DedupSink(args) => serve::run(args),
            Self::Topics(args) => topics::run(&args),
            Self::Config(args) => config::run(args),
            Self::Demo(args) => demo::run(args),
            Self::Keygen(args) => keygen::run(args),
            Self::Pcs(args) => pcs::run(args),
            Self::Wal(args) => wal::run(args),
            Self::Results(args) => results::run(args),
            Self::Replay(args) => replay::run(args),
            Self::Health(args) => health::run(args),
            Self::Completions(args) => completions::run(args),
            Self::Man(args) => man::run(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
