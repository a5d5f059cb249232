//! `flk replay`: judges what a log holds once more.

use std::process::ExitCode;

use flk_contract::Code;
use flk_log::embedded::LogReader;
use flk_service::settings::{self, Flags, Judging, ReplayOnly};

use self::judging::Judge;
use crate::{
    Failure,
    data_dir::{self, When, refused},
    distributed,
    output::{self, style},
};

mod dry_run;
mod fold;
mod judging;
#[cfg(feature = "kafka")]
mod kafka;
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

With Kafka as the log (--kafka), records are driven again: what --from-time and --to-time, or --refused
and --code, name is judged at its own log time under the keys of this environment, and what is accepted
is settled by the sinks. That is harmless: an id that is settled stays as it is, and what is older than
14 days settles nothing. There --dry-run judges as well, and --verify goes by pcs.results: it judges the
own record of each result that stands.

Examples:
  flk replay --verify --data-dir data
  flk replay --verify --data-dir data --from-time 1d --json
  flk replay --dry-run --data-dir data --refused --code bad_signature
  flk replay --kafka localhost:9092 --refused --code bad_signature --from-time 2h
  flk replay --kafka localhost:9092 --verify")]
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
    judging: Flags<ReplayOnly>,
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
    if let Some(kafka) = settings::kafka_if_set(&args.judging).map_err(Failure::mistake)? {
        distributed::is_built()?;
        return over_kafka(&args, &kafka);
    }
    if !args.verify && !args.dry_run {
        return Err(Failure::mistake(
            "an embedded log is not driven again in place: use --verify or --dry-run here, and to send records again \
             pass their bodies (body_base64 of flk wal dump --body, decoded) to flk pcs submit",
        ));
    }
    // Counting needs no key, so none is asked for.
    let (data_dir, judge) = if args.verify || args.refused {
        let Judging { data_dir, signing, keys, .. } = keys(&args)?;
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

/// The keys of this environment; what may not be meant about them is said.
fn keys(args: &Args) -> Result<Judging, Failure> {
    let judging = Judging::load(&args.judging).map_err(Failure::mistake)?;
    for warning in &judging.warnings {
        output::note(|err| writeln!(err, "{0}flk:{0:#} {1}", style::WARN, output::printable(warning)));
    }
    Ok(judging)
}

#[cfg(not(feature = "kafka"))]
fn over_kafka(_: &Args, _: &settings::Kafka) -> Result<ExitCode, Failure> {
    distributed::is_built().map(|()| ExitCode::FAILURE)
}

#[cfg(feature = "kafka")]
fn over_kafka(args: &Args, settings: &settings::Kafka) -> Result<ExitCode, Failure> {
    use std::sync::Arc;

    use flk_verifier::Verifier;

    let open = args.from_time.is_none() && args.to_time.is_none();
    if !args.verify && !args.dry_run && !args.refused && open {
        return Err(Failure::mistake(
            "say which records are to be driven again: --from-time and --to-time, or --refused; --dry-run says what \
             would come of it",
        ));
    }
    if args.code.is_some() && !args.refused {
        return Err(Failure::mistake("--code goes with --refused where Kafka is the log: say both"));
    }
    let connection = distributed::connect::connection(settings)?;
    let topics = distributed::connect::topics(&connection, &settings.layout);
    let admin = distributed::connect::admin(&connection)?;
    let Judging { signing, keys, .. } = keys(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime can not be started: {error}")))?;
    let log = runtime.block_on(admin.cluster_id(kafka::DEADLINE));
    let log = log.map_err(|error| Failure::failed(format!("Kafka at {}: {error}", settings.brokers)))?;
    let _entered = runtime.enter();
    let (from, to) = (args.from_time.map(When::time), args.to_time.map(When::time));
    let over = kafka::Kafka { connection, topics, log, from, to };
    if args.verify {
        return over.verify(&Judge::new(signing, keys), args.json);
    }
    let selection = kafka::Selection { dry_run: args.dry_run, refused: args.refused, code: args.code };
    over.drive(selection, Verifier::new(signing, Arc::new(keys)), args.json)
}
