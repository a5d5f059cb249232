//! `flk pcs`: what a person does with a summary: build, sign, verify, submit.

use std::process::ExitCode;

use crate::Failure;

pub mod build;
pub mod sign;
pub mod submit;
pub mod verify;

/// What to do with it.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Example, from data to a verdict (PCS_HMAC_KEY is set on both sides):
  flk pcs build --in data.csv --shard-id s1 --epoch 0 |
    flk pcs sign --alg hmac - |
    flk pcs submit --endpoint http://127.0.0.1:8080 -"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a summary of data: its signals, root and id
    Build(build::Args),
    /// Fill in the signature of a summary
    Sign(sign::Args),
    /// Judge a summary offline, check by check
    Verify(verify::Args),
    /// Send summaries to a service
    Submit(submit::Args),
}

/// Does it.
///
/// # Errors
/// [`Failure`]: one sentence and an exit code.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Build(args) => build::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Submit(args) => submit::run(args),
    }
}
