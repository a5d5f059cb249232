//! `flk results list`: the latest results.

use std::process::ExitCode;

use flk_contract::wire::ResultBody;

use super::{filter::Filter, row};
use crate::{Failure, data_dir::DataDir, output};

/// Which results.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    dir: DataDir,
    #[command(flatten)]
    filter: Filter,
    /// At most so many: the newest
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print NDJSON, one result a line
    #[arg(long)]
    json: bool,
}

/// Prints them, newest last.
///
/// # Errors
/// A log that is not there or can not be read.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let found = args.filter.last(&args.dir.open()?, i64::MAX, args.limit as usize)?;
    output::print(|out| {
        if args.json {
            return found.iter().try_for_each(|found| output::json_line(out, &ResultBody::settled(&found.settled)));
        }
        if found.is_empty() { writeln!(out, "no such results") } else { row::table(out, &found) }
    })?;
    Ok(ExitCode::SUCCESS)
}
