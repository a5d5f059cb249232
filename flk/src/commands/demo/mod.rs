//! `flk demo`: the whole of it in under a minute. Makes data, keys and records that are good,
//! retried, tampered, malformed, conflicting and escalated; starts the service; submits; kills it
//! with SIGKILL half-way; starts it again; and compares what was told with what is found.
//!
//! It uses the service as anybody would: its own binary, its HTTP, its command line.

mod plan;
mod report;
mod service;

use std::{
    collections::VecDeque,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{Failure, output};
use plan::{Plan, Record};
use report::{Report, Told};
use service::Service;

/// Clients that submit at a time.
const CLIENTS: usize = 8;

/// What `flk demo` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the temporary data directory, and say where it is
    #[arg(long)]
    keep: bool,
}

/// Runs the demonstration.
///
/// # Errors
/// [`Failure`] where it could not be run at all; what went otherwise than the contract says is in
/// the table and in the exit code.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let dir = tempfile::Builder::new()
        .prefix("flk-demo-")
        .tempdir()
        .map_err(|error| Failure::mistake(format!("no temporary directory can be made ({error}); set TMPDIR")))?;
    step("making three streams of points, two keys, and records of them");
    let plan = Plan::make()?;
    let mut report = Report::default();

    step("starting the service on a free port and an empty directory");
    let mut service = Service::start(dir.path(), &plan.keys)?;
    let first: Vec<Record> = plan.first.clone();
    step(&format!("submitting {} records from {CLIENTS} clients; SIGKILL comes half-way", first.len()));
    let half = first.len() / 2;
    let left = submit(&service.url(), first, &mut report, Some((half, &mut service)));

    step(&format!("killed, with {} records not answered; starting it again on the same directory", left.len()));
    service = Service::start(dir.path(), &plan.keys)?;
    report.unanswered = left.len();
    let left = submit(&service.url(), left, &mut report, None);
    report.lost.extend(left.into_iter().map(|record| record.label));
    for (what, records) in plan.later {
        step(&format!("submitting {what}"));
        let left = submit(&service.url(), records, &mut report, None);
        report.lost.extend(left.into_iter().map(|record| record.label));
    }

    step("asking for everything that was told, before and after the crash");
    report.look(&service.url());
    service.stop()?;
    step("judging every stored result once more, from the log alone (flk replay --verify)");
    report.replay = service::replay_verify(dir.path(), &plan.keys)?;

    let good = report.is_good();
    output::print(|out| report.write(out))?;
    if args.keep {
        let kept = dir.keep();
        step(&format!("the data directory is kept: {}", kept.display()));
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn step(what: &str) {
    output::note(|err| writeln!(err, "demo: {what}"));
}

/// Submits records, a few at a time, and notes what each was told. Gives back those that got no
/// answer. With `kill`, the service is killed when so many have been answered.
fn submit(url: &str, records: Vec<Record>, report: &mut Report, kill: Option<(usize, &mut Service)>) -> Vec<Record> {
    let queue = Mutex::new(VecDeque::from(records));
    let (told, left) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let answered = AtomicUsize::new(0);
    let (at, service) = kill.map_or((usize::MAX, None), |(at, service)| (at, Some(service)));
    let service = Mutex::new(service);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let client = service::client();
                while let Some(record) = lock(&queue).pop_front() {
                    match service::post(&client, url, &record) {
                        Some((status, answer)) => {
                            lock(&told).push(Told { record, status, answer });
                            if answered.fetch_add(1, Ordering::SeqCst) + 1 == at
                                && let Some(service) = lock(&service).take()
                            {
                                service.kill();
                            }
                        }
                        None => lock(&left).push(record),
                    }
                }
            });
        }
    });
    report.told.append(&mut lock(&told));
    std::mem::take(&mut *lock(&left))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panicking client thread ends the scope with a panic anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
