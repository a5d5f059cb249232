//! How a client says that it is beyond help, and what it last complained of.

use core::time::Duration;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::watch;

/// Told once, when a client can never work again (fenced, or its state lost): the process ends and is
/// started again.
#[derive(Debug)]
pub(super) struct Failure(watch::Sender<Option<Arc<str>>>);

impl Failure {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Tells; the first word counts.
    pub(super) fn tell(&self, why: &str) {
        self.0.send_if_modified(|told| {
            let first = told.is_none();
            if first {
                *told = Some(why.into());
            }
            first
        });
    }

    pub(super) fn told(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }

    /// Waits until it is told; for ever where all goes well.
    pub(super) async fn wait(&self) -> Arc<str> {
        let mut told = self.0.subscribe();
        let why = told.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.unwrap_or_else(|| "the client of Kafka was dropped".into())
    }
}

/// How long a complaint counts. Clients do not say when they are well again; they complain again.
const COUNTS: Duration = Duration::from_secs(15);

/// The last thing that a client complained of.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<(Instant, Arc<str>)>>);

impl Trouble {
    /// Notes a complaint. One log line for each that is new, not for each time it is said.
    pub(super) fn note(&self, what: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = last.as_ref().is_none_or(|(at, said)| **said != *what || at.elapsed() > COUNTS);
        *last = Some((Instant::now(), what.into()));
        drop(last);
        if new {
            tracing::warn!("{what}");
        }
    }

    /// It works.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn now(&self) -> Option<Arc<str>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() <= COUNTS).map(|(_, what)| what.clone())
    }
}
