//! `flk pcs submit`: sends summaries, several in flight, and says what became of them.
//!
//! One thread reads, some send, this one listens: the input is never read further ahead than there
//! are requests in flight, so that a file may be larger than memory and a pipe never ends.

use std::{
    io::{BufReader, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use flk_contract::Tenant;
use indicatif::ProgressBar;
use serde::Serialize;

use self::{
    client::{Client, End, Patience},
    documents::{Body, Document, Wanted, split},
    tally::{Left, Line, Outcome, Tally},
};
use crate::{Failure, environment, files, http, output};

mod client;
mod documents;
mod tally;

/// Which summaries, and where to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A file that is one JSON object is one document, also over many lines; any other file is NDJSON, one
document a line. Bytes are sent as they are, also what is no JSON; only a document over 1 MiB, which
can be no record, is not sent. Exits with 0 only if all were accepted (a duplicate of a settled record
is), else with 1. Sending again is always safe.

Examples:
  flk pcs submit --endpoint http://127.0.0.1:8080 pcs.json
  flk pcs submit --in-flight 32 --json records.ndjson > answers.ndjson
  ENDPOINT=https://pcs.example.org flk pcs submit - < records.ndjson")]
pub struct Args {
    /// JSON or NDJSON; - reads standard input
    #[arg(value_name = "FILE", required = true)]
    inputs: Vec<PathBuf>,
    /// The service; without a path, records go to /v1/pcs/submit [default: ENDPOINT]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Whose records they are (X-Tenant-Id) [default: whose key signed them]
    #[arg(long, value_name = "NAME", value_parser = Tenant::new)]
    tenant: Option<Tenant>,
    /// Print a line of JSON for each answer, and one for the summary
    #[arg(long)]
    json: bool,

    /// How many requests at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = DELIVERY)]
    in_flight: u16,
    /// How long an attempt may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration, help_heading = DELIVERY)]
    timeout: Duration,
    /// How often a record is tried again where the service is not there or busy
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = DELIVERY)]
    retries: u32,
    /// The longest wait that the service may ask for (Retry-After)
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = humantime::parse_duration, help_heading = DELIVERY)]
    max_wait: Duration,
}

const DELIVERY: &str = "Delivery";
/// How many documents that were not accepted are shown one by one to a person.
const SHOWN_MAX: u64 = 20;
/// How often whoever waits for a document looks up whether it still should.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How long what is left of the input is counted when sending has stopped: a pipe may never end.
const COUNT_MAX: Duration = Duration::from_secs(2);

/// Sends, and reports.
///
/// # Errors
/// An endpoint that is none, an input that can not be read, nothing to send.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let endpoint = match &args.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => environment::setting("ENDPOINT")?.map(|endpoint| endpoint.trim().to_owned()).ok_or_else(|| {
            Failure::mistake("no service is named: give --endpoint, or set ENDPOINT, as http://127.0.0.1:8080")
        })?,
    };
    let url = http::url(&endpoint, "/v1/pcs/submit")
        .map_err(|error| Failure::mistake(format!("--endpoint (or ENDPOINT): {error}")))?;
    // Before the first is sent: a wrong name among many is said at once.
    args.inputs.iter().try_for_each(|path| files::check(path))?;
    let inputs = args.inputs;
    let patience = Patience { deadline: args.timeout, retries: args.retries, longest_wait: args.max_wait };
    let in_flight = usize::from(args.in_flight);
    let client = Client::new(url, args.tenant, in_flight, patience);
    let mut report = Report::new(args.json);
    let stop = Stop::default();
    let (documents, waiting) = mpsc::sync_channel(in_flight);
    let waiting = Mutex::new(waiting);
    // Not in the scope: it may wait for an input that never goes on when all else has ended.
    let reader = thread::spawn(move || read(inputs, &documents));
    thread::scope(|scope| {
        let (answers, answered) = mpsc::channel();
        for _ in 0..in_flight {
            let answers = answers.clone();
            scope.spawn(|| deliver(&client, &waiting, &stop, answers));
        }
        drop(answers);
        answered
            .iter()
            .try_for_each(|line| report.add(&line))
            .inspect_err(|_| stop.ask("the output can not be written"))
    })?;
    let mut left = count(&waiting, COUNT_MAX);
    if !left.unread {
        // It has ended: nobody hands on any more.
        let unread = reader.join().unwrap_or_else(|_| Some("reading failed inside; please report it".to_owned()));
        left.unread = unread.is_some();
        unread.iter().for_each(|why| stop.ask(why));
    }
    report.tally.add_unsent(left);
    report.finish(stop.reason())
}

/// Counts the documents that nobody sends any more, until there are no more or that much time has
/// passed. Whoever reads them ends when it next has one, or with the process.
fn count(waiting: &Mutex<mpsc::Receiver<Document>>, at_most: Duration) -> Left {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let deadline = Instant::now() + at_most;
    let mut documents = 0;
    loop {
        match waiting.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(_) => documents += 1,
            Err(error) => return Left { documents, unread: error == mpsc::RecvTimeoutError::Timeout },
        }
        // One that is always ready would be taken after the deadline too.
        if Instant::now() >= deadline {
            return Left { documents, unread: true };
        }
    }
}

/// Hands on document after document. Says why where an input can not be read to its end.
fn read(inputs: Vec<PathBuf>, documents: &mpsc::SyncSender<Document>) -> Option<String> {
    let mut each = |document| match documents.send(document) {
        Ok(()) => Wanted::More,
        Err(_) => Wanted::Enough,
    };
    for path in inputs {
        // One at a time: there may be more files than a process may have open.
        let input = match files::open(&path) {
            Ok(input) => input,
            Err(failure) => return Some(failure.to_string()),
        };
        let name = Arc::from(files::shown(&path));
        match split(&name, BufReader::new(input), &mut each) {
            Ok(Wanted::More) => {}
            Ok(Wanted::Enough) => break,
            Err(error) => return Some(format!("{name} can not be read to its end: {error}")),
        }
    }
    None
}

/// Sends document after document until there are no more, or the service is gone.
fn deliver(client: &Client, waiting: &Mutex<mpsc::Receiver<Document>>, stop: &Stop, answers: mpsc::Sender<Line>) {
    while !stop.asked() {
        // The lock is held while waiting for a document: the others would wait for one too.
        let document = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LOOK_UP);
        let Document { place, body } = match document {
            Ok(document) => document,
            Err(mpsc::RecvTimeoutError::Timeout) => continue,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        let line = match body {
            Body::TooLarge(bytes) => Line::too_large(&place, bytes),
            Body::Bytes(body) => {
                let sent = client.send(&body);
                if !matches!(sent.end, End::Answer { .. }) {
                    stop.ask(
                        "the service could not be had after all retries; what was not sent can be sent again later",
                    );
                }
                Line::of(&place, sent)
            }
        };
        if answers.send(line).is_err() {
            return;
        }
    }
}

/// Whether to give up before the end, and why. The first reason stays.
#[derive(Default)]
struct Stop {
    asked: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Stop {
    fn ask(&self, why: &str) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.to_owned());
        self.asked.store(true, Ordering::Release);
    }

    fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is shown while it goes on, and at the end.
struct Report {
    json: bool,
    tally: Tally,
    shown: u64,
    bar: ProgressBar,
    started: Instant,
}

impl Report {
    fn new(json: bool) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner().with_message("sending")
        } else {
            ProgressBar::hidden()
        };
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { json, tally: Tally::default(), shown: 0, bar, started: Instant::now() }
    }

    fn add(&mut self, line: &Line) -> Result<(), Failure> {
        self.tally.add(line);
        self.bar.set_message(self.tally.progress());
        if self.json {
            return self.bar.suspend(|| output::print(|out| output::json_line(out, line)));
        }
        if line.outcome != Outcome::Accepted {
            self.shown += 1;
            if self.shown <= SHOWN_MAX {
                self.bar.suspend(|| output::note(|err| line.write(err)));
            }
        }
        Ok(())
    }

    fn finish(mut self, stopped: Option<String>) -> Result<ExitCode, Failure> {
        #[derive(Serialize)]
        struct Summary<'a> {
            summary: &'a Tally,
        }
        self.bar.finish_and_clear();
        if self.tally.documents() == 0 {
            return Err(stopped
                .map_or_else(|| Failure::mistake("there is nothing to send: the input is empty"), Failure::failed));
        }
        self.tally.finish(self.started.elapsed(), stopped);
        let more = self.shown.saturating_sub(SHOWN_MAX);
        if more > 0 {
            output::note(|err| writeln!(err, "and {} more; --json shows all", output::grouped(more)));
        }
        output::print(|out| {
            if self.json { output::json_line(out, &Summary { summary: &self.tally }) } else { self.tally.write(out) }
        })?;
        Ok(if self.tally.all_accepted() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}
