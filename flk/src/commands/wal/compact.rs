//! `flk wal compact`: removes what is older than the retention, and gives its space back.
//!
//! What has to stay is the log's own business ([`flk_log::embedded::compact`]); here it is asked
//! for and told in words.

use std::{io, process::ExitCode, time::Duration};

use flk_log::embedded::{Compacted, Mode, compact};
use flk_service::settings::{self, Flags, RetentionOnly};
use serde::Serialize;

use crate::{
    Failure, clock,
    data_dir::{DataDir, count, refused, size, span},
    output,
};

/// Which log, and what is old.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The service does this by itself, in small steps; this does it at once. Age is measured in log time,
against the newest record: a clock that runs ahead removes nothing. The newest record always stays.
Some free space stays in the file for the records to come.")]
pub struct Args {
    #[command(flatten)]
    dir: DataDir,
    #[command(flatten)]
    retention: Flags<RetentionOnly>,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Removes, and says what.
///
/// # Errors
/// A retention that would touch what must stay, a log that is not there or can not be written.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    // As the service would read it, files and all: what it is set to keep, this does not remove.
    let retention = settings::retention(&args.retention).map_err(Failure::mistake)?;
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Remove };
    let done = compact(&args.dir.path()?, retention, clock::now(), mode).map_err(refused)?;
    output::print(|out| {
        if args.json {
            output::json_line(out, &Json::of(&done, args.dry_run))
        } else {
            words(out, &done, retention, args.dry_run)
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn words(out: &mut dyn io::Write, done: &Compacted, retention: Duration, dry_run: bool) -> io::Result<()> {
    let (kept, bodies) = (span(retention), size(done.body_bytes));
    let first = done.first_kept.unwrap_or_default();
    let gone = format!("{}, older than {kept}, with {bodies} of bodies", count(done.records, "record"));
    match (done.records, dry_run) {
        (0, _) => writeln!(out, "no record is older than {kept}, so none goes")?,
        (_, true) => writeln!(out, "would go: {gone}; the first kept would be {first}; nothing was changed")?,
        (_, false) => writeln!(out, "gone: {gone}; the first kept is {first}")?,
    }
    match (dry_run, done.file_before.checked_sub(done.file_after)) {
        (true, _) => writeln!(out, "log.db has {}", size(done.file_before)),
        (false, Some(freed @ 1..)) => {
            writeln!(
                out,
                "log.db had {}, has {}: {} given back",
                size(done.file_before),
                size(done.file_after),
                size(freed)
            )
        }
        (false, _) => writeln!(out, "log.db has {}", size(done.file_after)),
    }
}

#[derive(Debug, Serialize)]
struct Json {
    dry_run: bool,
    records: u64,
    body_bytes: u64,
    first_kept: Option<i64>,
    file_before: u64,
    file_after: u64,
}

impl Json {
    fn of(done: &Compacted, dry_run: bool) -> Self {
        Self {
            dry_run,
            records: done.records,
            body_bytes: done.body_bytes,
            first_kept: done.first_kept,
            file_before: done.file_before,
            file_after: done.file_after,
        }
    }
}
