//! `flk wal`: looks into a log, and makes it smaller; also while a service runs on it.

use std::process::ExitCode;

use flk_contract::wire::State;

use crate::Failure;

pub mod compact;
pub mod dump;
mod entry;
mod pretty;
pub mod show;
pub mod stat;

/// What to do with the log.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
All of these work while the service runs. The log is one SQLite file, log.db in the data directory,
so that any SQLite tool can read it too.

Examples:
  flk wal stat --data-dir data --check
  flk wal show --data-dir data 12
  flk wal dump --data-dir data --from 2h --code bad_signature
  flk wal compact --data-dir data --dry-run"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The log in numbers: records by state and code, times, sizes; with --check, its health
    Stat(stat::Args),
    /// One record: where and when it came, and what became of it
    Show(show::Args),
    /// Records as NDJSON
    Dump(dump::Args),
    /// Remove old records and give their space back
    Compact(compact::Args),
}

/// Does it.
///
/// # Errors
/// [`Failure`]: one sentence and an exit code.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Stat(args) => stat::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Compact(args) => compact::run(&args),
    }
}

/// Reads a record's state on the command line.
fn state(word: &str) -> Result<State, String> {
    State::parse(word)
        .filter(|state| *state != State::Pending)
        .ok_or_else(|| "a state is settled, duplicate, conflict or refused".to_owned())
}
