//! `flk results`: settled results, read out of the log; also while a service runs on it.

use std::process::ExitCode;

use crate::Failure;

pub mod export;
mod filter;
pub mod get;
pub mod list;
mod row;
pub mod tail;

/// What to do with the results.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
All of these read the log alone: they need no service, and do not disturb one that runs.

Examples:
  flk results get --data-dir data 64-hex-digits-of-an-id
  flk results list --data-dir data --since 2h --code budget_deviation
  flk results tail --data-dir data --follow --json
  flk results export --data-dir data --format csv --out results.csv"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The result that stands for an id
    Get(get::Args),
    /// The latest results, newest last
    List(list::Args),
    /// The last results, and with --follow new ones as they come
    Tail(tail::Args),
    /// All results, as NDJSON or CSV
    Export(export::Args),
}

/// Does it.
///
/// # Errors
/// [`Failure`]: one sentence and an exit code.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Get(args) => get::run(&args),
        Command::List(args) => list::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Export(args) => export::run(&args),
    }
}
