//! `make bench`: the rows of the design's table that exist, each a ratio to a ceiling that is taken
//! in the same run on the same machine. Absolute figures are printed for the curious only.
//!
//! The service under test is the release binary beside this one (or `FLK_BIN`), a process of its
//! own, as it runs in production: signatures checked, an fsync before every answer, a log line a
//! request into a file.

mod ceilings;
mod client;
#[cfg(feature = "kafka")]
mod kafka;
mod records;
mod server;

use core::time::Duration;
use std::{path::PathBuf, process::ExitCode, sync::Arc};

use client::{Requests, Run};
use server::Server;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Clients of the closed runs.
const CLIENTS: usize = 64;
/// How often each measurement is taken; the median counts.
const ROUNDS: usize = 3;
/// How long one takes.
const SPAN: Duration = Duration::from_secs(5);
/// Records made for one closed run: more than any machine settles in [`SPAN`].
const RECORDS: i64 = 250_000;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some(server::CONSTANT) => server::constant(),
        Some(other) => Err(format!("unknown argument {other}").into()),
        None => run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "what is measured is what this program prints")]
fn say(line: &str) {
    println!("{line}");
}

/// One row of the table.
struct Row {
    what: String,
    against: String,
    ratio: f64,
    target: f64,
    at_least: bool,
}

impl Row {
    fn met(&self) -> bool {
        if self.at_least { self.ratio >= self.target } else { self.ratio <= self.target }
    }
}

fn run() -> Result<(), Failure> {
    // Where the data of a service would be: on the disk that the repository is on, not in memory.
    let place = PathBuf::from("target/bench-data");
    std::fs::create_dir_all(&place)?;
    let dir = tempfile::tempdir_in(&place)?;
    say(&format!("machine: {} cores, {}", std::thread::available_parallelism()?, cpu()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let bodies: Arc<Vec<String>> = Arc::new((0..20_000).map(|n| records::record("ceiling", n)).collect());

    let (mut http, mut sqlite, mut embedded) = (Vec::new(), Vec::new(), Vec::new());
    let mut service = Server::service(&dir.path().join("data"))?;
    let mut epoch = 0;
    for round in 1..=ROUNDS {
        let constant = Server::constant()?;
        let requests = Requests::posts(bodies.iter().cycle().take(RECORDS as usize * 2).cloned());
        let run = runtime.block_on(client::closed(constant.addr, &requests, CLIENTS, SPAN))?;
        check(&run, "the HTTP ceiling")?;
        http.push(run.rate);
        let bare = constant.processor() / run.count() * 1e6;
        drop((constant, requests));

        let ceiling = tempfile::tempdir_in(dir.path())?;
        sqlite.push(ceilings::sqlite_appends(ceiling.path(), &bodies, CLIENTS, SPAN)?);

        let requests = fresh(&mut epoch, RECORDS);
        let before = service.processor();
        let run = runtime.block_on(client::closed(service.addr, &requests, CLIENTS, SPAN))?;
        check(&run, "the embedded service")?;
        embedded.push(run.rate);
        say(&format!(
            "round {round}: HTTP stack {:.0}/s ({bare:.0} µs of processor each), bare SQLite appends {:.0}/s, \
             embedded submit {:.0}/s ({:.0} µs)",
            last(&http),
            last(&sqlite),
            last(&embedded),
            (service.processor() - before) / run.count() * 1e6
        ));
    }
    let (http, sqlite, embedded) = (median(http), median(sqlite), median(embedded));
    let ceiling = http.min(sqlite);

    let mut tails = Vec::new();
    let mut syncs = Vec::new();
    for round in 1..=ROUNDS {
        let sync = ceilings::fsync(dir.path(), 300)?;
        let rate = embedded / 2.0;
        let requests = fresh(&mut epoch, (rate * SPAN.as_secs_f64() * 1.2) as i64);
        let run = runtime.block_on(client::open(service.addr, &requests, rate, SPAN))?;
        check(&run, "the embedded service at half its rate")?;
        say(&format!(
            "round {round}: at {:.0}/s p50 {:?}, p99 {:?}; one fsync {sync:?}",
            run.rate,
            run.percentile(0.5),
            run.percentile(0.99)
        ));
        tails.push(run.percentile(0.99).as_secs_f64());
        syncs.push(sync.as_secs_f64());
    }
    service.stop();
    drop(service);

    let mut rows = judge_rows()?;
    rows.extend([
        Row {
            what: "embedded submit, 64 clients".to_owned(),
            against: format!("the lower of HTTP stack ({http:.0}/s) and bare SQLite appends ({sqlite:.0}/s)"),
            ratio: embedded / ceiling,
            target: 0.6,
            at_least: true,
        },
        Row {
            what: "embedded p99 at half of its peak".to_owned(),
            against: "one fsync on that disk".to_owned(),
            ratio: median(tails) / median(syncs),
            target: 10.0,
            at_least: false,
        },
    ]);
    #[cfg(feature = "kafka")]
    rows.extend(kafka::rows(&runtime, dir.path())?);
    say("");
    say("what                                     | ratio | target  | met | against");
    for row in &rows {
        let sign = if row.at_least { "≥" } else { "≤" };
        let met = if row.met() { "yes" } else { "no" };
        say(&format!("{:<40} | {:>5.2} | {sign} {:<5} | {met:<3} | {}", row.what, row.ratio, row.target, row.against));
    }
    Ok(())
}

/// The rows that the judge's own benchmark left, where it ran before this.
fn judge_rows() -> Result<Vec<Row>, Failure> {
    let Some(path) = std::env::var_os("FLK_BENCH_ROWS") else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(&path)?;
    let row = |line: &str| {
        let mut fields = line.split('\t');
        let mut next = || fields.next().ok_or_else(|| format!("this is no row: {line}"));
        let (what, ratio, target, against) = (next()?, next()?, next()?, next()?);
        let (ratio, target) = (ratio.parse::<f64>()?, target.parse::<f64>()?);
        Ok(Row { what: what.to_owned(), against: against.to_owned(), ratio, target, at_least: false })
    };
    text.lines().map(row).collect()
}

fn fresh(epoch: &mut i64, count: i64) -> Arc<Requests> {
    let from = *epoch;
    *epoch += count;
    Requests::posts((from..*epoch).map(|epoch| records::record("bench", epoch)))
}

fn check(run: &Run, what: &str) -> Result<(), Failure> {
    if run.other > 0 {
        Err(format!("{what} answered {} requests with something else than 200", run.other).into())
    } else {
        Ok(())
    }
}

fn last(of: &[f64]) -> f64 {
    of.last().copied().unwrap_or_default()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or_else(|| "unknown".to_owned(), |model| model.trim_start_matches(['\t', ' ', ':']).to_owned())
}
