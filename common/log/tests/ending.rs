//! The end of an embedded log's writer: whoever owns it is told, and nobody is left waiting.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is a failed claim")]

use core::time::Duration;
use std::{
    path::Path,
    sync::{Arc, Mutex, mpsc},
    time::Instant,
};

use flk_contract::{Origin, Settled};
use flk_log::{
    Append, AppendError, Decide, Decided, Log, Ticket,
    conformance::{HandClock, Refuser, record},
    embedded::{EmbeddedLog, Options, WriterEnd},
    watch::Unwatched,
};

const LONG: Duration = Duration::from_secs(30);

/// Says that it has begun to decide, and panics when it is let go.
struct Panics {
    begun: mpsc::Sender<()>,
    held: Mutex<mpsc::Receiver<()>>,
}

impl Decide for Panics {
    fn next(&self) -> i64 {
        i64::MAX
    }

    fn restore(&mut self, _: &[Settled], _: i64) -> Result<(), Arc<str>> {
        Ok(())
    }

    fn decide(&mut self, _: &Append, _: &Origin) -> Result<Arc<Decided>, Arc<str>> {
        self.begun.send(()).unwrap();
        let _ = self.held.lock().unwrap().recv_timeout(LONG);
        panic!("a bug");
    }

    fn committed(&mut self, _: i64) -> Result<(), Arc<str>> {
        Ok(())
    }

    fn abandoned(&mut self) {}

    fn forget_before(&mut self, _: i64) -> Result<bool, Arc<str>> {
        Ok(false)
    }
}

async fn open<D: Decide>(dir: &Path, options: &Options, decide: D) -> EmbeddedLog {
    let clock = HandClock::at(0);
    let log = EmbeddedLog::open(dir, options, clock, Arc::new(Unwatched), |_, _| Ok(decide)).unwrap();
    let deadline = Instant::now() + LONG;
    while log.health().is_err() {
        assert!(Instant::now() < deadline, "the log is not open: {:?}", log.health());
        tokio::task::yield_now().await;
    }
    log
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"))
}

async fn durable(ticket: Ticket) -> Result<(), AppendError> {
    in_time("a ticket resolves", ticket.durable()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_writer_is_told_to_its_owner_and_to_everybody_who_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (begun, begins) = mpsc::channel();
    let (hold, held) = mpsc::channel();
    let options = Options { queue: 1, wait: 10 * LONG, ..Options::default() };
    let log = Arc::new(open(dir.path(), &options, Panics { begun, held: Mutex::new(held) }).await);
    let mut ended = Box::pin(log.ended());
    let deciding = log.append(record("in the batch")).await.unwrap();
    tokio::task::block_in_place(|| begins.recv_timeout(LONG)).unwrap();
    // The queue has room for one, and nobody takes it out: the next waits for room.
    let queued = log.append(record("in the queue")).await.unwrap();
    let appending = log.clone();
    let waiting = tokio::spawn(async move {
        match appending.append(record("before the queue")).await {
            Ok(ticket) => durable(ticket).await,
            Err(error) => Err(error),
        }
    });
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut ended).await.is_err(), "it has not ended yet");
    drop(hold);
    assert_eq!(in_time("the end is told", ended).await, WriterEnd::Panicked);
    for ticket in [deciding, queued] {
        let error = durable(ticket).await.unwrap_err();
        assert!(matches!(error, AppendError::Unknown(_)), "{error}");
    }
    assert!(in_time("who waits for room is told", waiting).await.unwrap().is_err());
    for _ in 0..3 {
        assert!(in_time("an append is refused", log.append(record("after it"))).await.is_err());
    }
    assert!(log.health().is_err());
    assert_eq!(in_time("it is told to who asks later", log.ended()).await, WriterEnd::Panicked);
}

#[tokio::test]
async fn a_log_that_is_dropped_ends_in_order_after_what_was_queued() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &Options::default(), Refuser::default()).await;
    let ended = log.ended();
    let mut tickets = Vec::new();
    for n in 0..100_u8 {
        tickets.push(log.append(record(vec![n])).await.unwrap());
    }
    assert_eq!(log.close(), WriterEnd::Orderly);
    assert_eq!(in_time("the end is told", ended).await, WriterEnd::Orderly);
    for ticket in tickets {
        durable(ticket).await.unwrap();
    }
}
