//! What every log has to do, as tests: one list, run against each implementation.
//!
//! For tests only. A log is opened through [`Subject`], so that what has to survive a restart can
//! be asked after one.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is a failed claim")]

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use flk_contract::{Code, LogTime, Origin, Settled, Verdict, wire::State};

use crate::{Append, Clock, Decide, Decided, Log, NewRecord};

/// A clock that is set by hand.
#[derive(Debug, Default)]
pub struct HandClock(AtomicI64);

impl HandClock {
    /// A clock that shows `millis`.
    pub fn at(millis: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(millis)))
    }

    /// Sets it, forwards or back.
    pub fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> LogTime {
        LogTime::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Decides nothing: refuses every record as malformed.
#[derive(Debug, Default)]
pub struct Refuser {
    next: i64,
}

impl Decide for Refuser {
    fn next(&self) -> i64 {
        self.next
    }

    fn restore(&mut self, _: &[Settled], next: i64) -> Result<(), Arc<str>> {
        self.next = next;
        Ok(())
    }

    fn decide(&mut self, _: &Append, _: &Origin) -> Result<Arc<Decided>, Arc<str>> {
        let verdict = Verdict { code: Code::Malformed, reason: "not looked at".into(), facts: None };
        Ok(Arc::new(Decided { verdict, state: State::Refused, code: Code::Malformed, standing: None }))
    }

    fn committed(&mut self, next: i64) -> Result<(), Arc<str>> {
        self.next = next;
        Ok(())
    }

    fn abandoned(&mut self) {}

    fn forget_before(&mut self, _: i64) -> Result<bool, Arc<str>> {
        Ok(false)
    }
}

/// A log under test.
pub trait Subject: Sync {
    /// Opens it; again after it was dropped, where it outlives that.
    fn open(&self, clock: Arc<HandClock>) -> Arc<dyn Log>;
    /// Whether records outlive the log object.
    fn persists(&self) -> bool;
    /// The offset of a partition's first record.
    fn first(&self) -> i64 {
        1
    }
}

/// A record of these bytes.
pub fn record(body: impl Into<Bytes>) -> Append {
    let record = NewRecord {
        body: body.into(),
        tenant: Some("acme".into()),
        request_id: Some("r-1".into()),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
    };
    Append { record, judged: None }
}

async fn append(log: &Arc<dyn Log>, body: impl Into<Bytes>) -> Origin {
    // A log that has just been opened may still be restoring: wait for it, with a deadline.
    let deadline = std::time::Instant::now() + core::time::Duration::from_secs(30);
    while let Err(why) = log.health() {
        assert!(std::time::Instant::now() < deadline, "the log is not ready: {why}");
        tokio::task::yield_now().await;
    }
    log.append(record(body)).await.unwrap().durable().await.unwrap().origin
}

/// A resolved append reads back, byte for byte, with all that was said beside it.
pub async fn a_resolved_append_reads_back(subject: &dyn Subject) {
    let log = subject.open(HandClock::at(5));
    let all: Vec<u8> = (0..=255).collect();
    for body in [Bytes::new(), Bytes::from_static(b"{}"), Bytes::from(all), Bytes::from(vec![7; 1024 * 1024])] {
        let origin = append(&log, body.clone()).await;
        let stored = log.read(origin.position.partition, origin.position.offset).await.unwrap().unwrap();
        assert_eq!(stored.record, record(body).record);
        assert_eq!(stored.origin, origin);
        assert_eq!(origin.position.log, *log.id());
    }
}

/// Beyond the end, before the start and in other partitions there is nothing, and that is no error.
pub async fn what_is_not_there_is_none(subject: &dyn Subject) {
    let log = subject.open(HandClock::at(5));
    let origin = append(&log, "x").await;
    for (partition, offset) in [
        (origin.position.partition, origin.position.offset + 1),
        (origin.position.partition, subject.first() - 1),
        (origin.position.partition, -1),
        (origin.position.partition, i64::MAX),
        (origin.position.partition + 1, origin.position.offset),
        (-1, origin.position.offset),
    ] {
        assert_eq!(log.read(partition, offset).await.unwrap(), None, "{partition}/{offset}");
    }
}

/// Offsets grow and log times never go backwards, whatever the clock does.
pub async fn time_never_goes_back(subject: &dyn Subject) {
    let clock = HandClock::at(1_000);
    let log = subject.open(clock.clone());
    let mut last: Option<Origin> = None;
    for now in [1_000, 2_000, 500, -7, 1_999, 2_001, 0] {
        clock.set(now);
        let origin = append(&log, "x").await;
        if let Some(last) = last {
            assert!(last.position.offset < origin.position.offset);
            assert!(last.appended_at <= origin.appended_at, "{} then {}", last.appended_at, origin.appended_at);
        }
        assert!(origin.appended_at >= LogTime::from_millis(now));
        last = Some(origin);
    }
}

/// Many at once: each has a place of its own, and is there.
pub async fn many_at_once_have_places_of_their_own(subject: &dyn Subject) {
    let log = subject.open(HandClock::at(5));
    append(&log, "first").await;
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let log = log.clone();
            tokio::spawn(async move { (n, append(&log, format!("body {n}")).await) })
        })
        .collect();
    let mut places = HashSet::new();
    for task in tasks {
        let (n, origin) = task.await.unwrap();
        let stored = log.read(origin.position.partition, origin.position.offset).await.unwrap().unwrap();
        assert_eq!(stored.record.body, format!("body {n}"));
        assert!(places.insert(origin.position.offset), "an offset was given twice");
    }
}

/// Nobody waiting is no reason not to append.
pub async fn a_dropped_ticket_is_appended_all_the_same(subject: &dyn Subject) {
    let log = subject.open(HandClock::at(5));
    let before = append(&log, "before").await;
    drop(log.append(record("dropped")).await.unwrap());
    append(&log, "after").await;
    let at = before.position.offset + 1;
    assert_eq!(log.read(before.position.partition, at).await.unwrap().unwrap().record.body, "dropped");
}

/// After a restart: the same id, the same records, later offsets, later times.
pub async fn a_restart_changes_nothing(subject: &dyn Subject) {
    if !subject.persists() {
        return;
    }
    let log = subject.open(HandClock::at(9_000));
    let id = log.id().clone();
    let first = append(&log, "kept").await;
    drop(log);
    let log = subject.open(HandClock::at(1));
    assert_eq!(*log.id(), id);
    let stored = log.read(first.position.partition, first.position.offset).await.unwrap().unwrap();
    assert_eq!((stored.origin, stored.record.body), (first.clone(), Bytes::from("kept")));
    let next = append(&log, "next").await;
    assert!(next.position.offset > first.position.offset);
    assert!(next.appended_at >= first.appended_at);
}

/// Makes the tests for one implementation: a module name, and an expression that gives a
/// [`Subject`].
#[macro_export]
macro_rules! log_conformance {
    ($name:ident, $subject:expr) => {
        mod $name {
            use super::*;

            $crate::log_conformance!(@each $subject,
                a_resolved_append_reads_back,
                what_is_not_there_is_none,
                time_never_goes_back,
                many_at_once_have_places_of_their_own,
                a_dropped_ticket_is_appended_all_the_same,
                a_restart_changes_nothing,
            );
        }
    };
    (@each $subject:expr, $($claim:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                $crate::conformance::$claim(&$subject).await;
            }
        )*
    };
}
