//! `flk replay`: judges what a log holds once more.

use std::process::ExitCode;

use flk_contract::Code;
use flk_log::embedded::LogReader;
use flk_service::settings::{self, Flags, Judging, JudgingOnly};

use self::judging::Judge;
use crate::{
    Failure,
    data_dir::{self, When, refused},
    output::{self, style},
};

mod dry_run;
mod fold;
mod judging;
mod report;
mod verify;

/// Which records, and what to do with them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
--verify judges every record again at its own log time under the keys of this environment, works out
once more who settled each id, and lists every difference, field by field. It needs every key that
held a record: a key that is not there any more is told apart, and is no difference. Where the record
that settled an id has been removed by retention, its duplicates are not compared with it.

Exit codes of --verify:
  0  everything comes to the same
  1  something does not, or the log is damaged or can not be read
  2  the command line or a setting has to be changed
  3  what could be judged comes to the same, but a key is unknown here, or signing was off then

--dry-run says what re-driving a range would send again, and with --refused, how many of those
records would be accepted if they came now (after a missing key was added, say). Only that needs keys.

Examples:
  flk replay --verify --data-dir data
  flk replay --verify --data-dir data --from-time 1d --json
  flk replay --dry-run --data-dir data --refused --code bad_signature")]
pub struct Args {
    /// Judge and settle every record again, and list what is different
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
    /// Only say what would be sent again
    #[arg(long)]
    dry_run: bool,
    /// From this log time on: RFC 3339, a day, or how long ago (2h)
    #[arg(long, value_name = "TIME")]
    from_time: Option<When>,
    /// Up to this log time, and not including it
    #[arg(long, value_name = "TIME")]
    to_time: Option<When>,
    /// Only what was refused
    #[arg(long, conflicts_with = "verify")]
    refused: bool,
    /// Only records of this code
    #[arg(long, value_parser = data_dir::code, conflicts_with = "verify")]
    code: Option<Code>,
    /// Print JSON; with --verify NDJSON: a line for each difference, then the summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    judging: Flags<JudgingOnly>,
}

/// Offsets from `from` on and before `to`.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: i64,
    to: i64,
}

/// Does it.
///
/// # Errors
/// Settings that can not be, a log that is not there or can not be read.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if !args.verify && !args.dry_run {
        return Err(Failure::mistake(
            "an embedded log is not driven again in place: use --verify or --dry-run here, and to send records again \
             pass their bodies (body_base64 of flk wal dump --body, decoded) to flk pcs submit",
        ));
    }
    // Counting needs no key, so none is asked for.
    let (data_dir, judge) = if args.verify || args.refused {
        let Judging { data_dir, signing, keys, warnings } = Judging::load(&args.judging).map_err(Failure::mistake)?;
        for warning in warnings {
            output::note(|err| writeln!(err, "{0}flk:{0:#} {1}", style::WARN, output::printable(&warning)));
        }
        (data_dir, Some(Judge::new(signing, keys)))
    } else {
        (settings::data_dir(&args.judging).map_err(Failure::mistake)?, None)
    };
    let reader = LogReader::open(&data_dir).map_err(refused)?;
    let offset = |when: Option<When>, open: i64| when.map_or(Ok(open), |when| when.offset(&reader));
    let range = Range { from: offset(args.from_time, 0)?, to: offset(args.to_time, i64::MAX)? };
    match judge {
        Some(judge) if args.verify => verify::run(&reader, range, judge, args.json),
        // With a judge it is about what was refused.
        judge => dry_run::run(&reader, dry_run::Selection { range, code: args.code }, judge, args.json),
    }
}
