//! `flk wal dump`: records as NDJSON, for other tools.

use std::process::ExitCode;

use flk_contract::{Code, wire::State};
use flk_log::embedded::Scan;

use super::entry::{Bodies, Entry};
use crate::{
    Failure,
    data_dir::{self, Bound, DataDir, Progress, stream},
    output,
};

/// Which records.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One JSON object a line: wal (where and when), state, code, settled_by, verdict, what was said beside
the body, the body's size and SHA-256.

Examples:
  flk wal dump --data-dir data --state refused | jq -r .code | sort | uniq -c
  flk wal dump --data-dir data --from 12 --to 13 --body | jq -r .body_base64 | base64 -d > pcs.json")]
pub struct Args {
    #[command(flatten)]
    dir: DataDir,
    /// From here on: an offset, a time (RFC 3339 or a day), or how long ago (2h)
    #[arg(long, value_name = "PLACE")]
    from: Option<Bound>,
    /// Up to here, and not including it: an offset or a time
    #[arg(long, value_name = "PLACE")]
    to: Option<Bound>,
    /// Only records of this state: settled, duplicate, conflict or refused
    #[arg(long, value_parser = super::state)]
    state: Option<State>,
    /// Only records of this code: the verdict's, or conflict, or too_old
    #[arg(long, value_parser = data_dir::code)]
    code: Option<Code>,
    /// Also the bodies, as base64; they are what agents sent, and may be sensitive
    #[arg(long)]
    body: bool,
    /// Print JSON: always so
    #[arg(long, hide = true)]
    json: bool,
}

/// Prints them.
///
/// # Errors
/// A log that is not there or can not be read; a damaged record ends it.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let reader = args.dir.open()?;
    let from = args.from.map_or(Ok(0), |from| from.offset(&reader))?;
    let to = args.to.map_or(Ok(i64::MAX), |to| to.offset(&reader))?;
    let scan = Scan { from, to, state: args.state, code: args.code };
    let bodies = Bodies::asked(args.body);
    let progress = Progress::beside_output("reading", from, to.min(reader.next()?));
    stream(|out| {
        reader.scan(&scan, |record| {
            progress.at(record.origin.position.offset);
            output::json_line(out, &Entry::of(&record, bodies)).map_err(Failure::output)?;
            Ok::<_, Failure>(true)
        })
    })?;
    Ok(ExitCode::SUCCESS)
}
