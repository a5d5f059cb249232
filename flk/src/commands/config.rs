//! `flk config`: what a service started with the same flags and environment would run with.

use std::process::ExitCode;

use flk_service::{Settings, settings::Raw};

use crate::{Failure, output};

/// What `flk config` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Raw,
}

/// Prints what is in force, secrets masked, and where each value came from.
///
/// # Errors
/// [`Failure`]: the first setting that has to be changed, as `flk serve` would say it.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let table = Settings::load(&args.settings).map_err(Failure::mistake)?.table();
    output::print(|out| if args.json { writeln!(out, "{}", table.to_json()) } else { write!(out, "{table}") })?;
    Ok(ExitCode::SUCCESS)
}
