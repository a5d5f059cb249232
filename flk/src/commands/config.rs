//! `flk config`: what a service started with the same flags and environment would run with.

use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use flk_service::{
    Settings,
    settings::{Raw, Role, Shape},
};

use crate::{Failure, distributed, output};

/// What `flk config` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The command that would be started
    #[arg(long, value_name = "COMMAND", default_value = "serve", value_parser = role())]
    role: Role,
    #[command(flatten)]
    settings: Raw,
}

fn role() -> impl clap::builder::TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::command))
        .map(|word| Role::ALL.into_iter().find(|role| role.command() == word).unwrap_or(Role::Serve))
}

/// Prints what is in force, secrets masked, and where each value came from.
///
/// # Errors
/// [`Failure`]: the first setting that has to be changed, as the command itself would say it.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let settings = Settings::load_from(args.role, &args.settings, |name| std::env::var_os(name))?;
    if let Shape::Kafka(roles) = &settings.shape {
        distributed::check(roles)?;
    }
    let table = settings.table();
    output::print(|out| if args.json { writeln!(out, "{}", table.to_json()) } else { write!(out, "{table}") })?;
    Ok(ExitCode::SUCCESS)
}
