//! How a client says that it is beyond help, and what it last complained of.

use core::time::Duration;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use rdkafka::error::KafkaError;
use tokio::sync::watch;

use super::connection::{explanation, words};

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
/// How long an explanation holds: the client says the same one again only after half a minute, and that no
/// broker is to be had all the time.
const EXPLAINS: Duration = Duration::from_secs(45);

#[derive(Debug)]
struct Complaint {
    what: Arc<str>,
    /// When anything was complained of last.
    at: Instant,
    /// When it was said why, where it is an [`explanation`].
    explained: Option<Instant>,
}

/// What a client last complained of.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<Complaint>>);

impl Trouble {
    /// Notes a complaint. One log line for each that is new, not for each time it is said.
    pub(super) fn note(&self, what: &str) {
        self.note_as(what, None);
    }

    /// Notes an error that the client told by itself, with its reason.
    pub(super) fn note_error(&self, error: &KafkaError, reason: &str) {
        match explanation(error, reason) {
            Some(why) => self.note_as(&why, Some(Instant::now())),
            None => self.note_as(&words(error), None),
        }
    }

    fn note_as(&self, what: &str, explained: Option<Instant>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_mut().filter(|_| explained.is_none()).filter(|last| last.holds()) {
            last.at = Instant::now();
            return;
        }
        let new = last.as_ref().is_none_or(|last| *last.what != *what || !last.counts());
        *last = Some(Complaint { what: what.into(), at: Instant::now(), explained });
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
        last.as_ref().filter(|last| last.counts()).map(|last| last.what.clone())
    }
}

impl Complaint {
    fn counts(&self) -> bool {
        self.at.elapsed() <= COUNTS
    }

    /// It explains what is complained of now.
    fn holds(&self) -> bool {
        self.counts() && self.explained.is_some_and(|at| at.elapsed() <= EXPLAINS)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn what_explains_is_not_covered_by_what_follows_from_it() {
        let trouble = Trouble::default();
        let now = || trouble.now().map(|what| what.to_string()).unwrap_or_default();
        trouble.note_error(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        assert!(now().contains("out of reach"), "{}", now());
        trouble.note_error(&KafkaError::Global(Code::Authentication), "SASL authentication error");
        trouble.note_error(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        trouble.note("offsets are not committed");
        assert!(now().contains("refuses the login"), "{}", now());
        let alert = "ssl://a:1/bootstrap: Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate";
        trouble.note_error(&KafkaError::Global(Code::BrokerTransportFailure), alert);
        assert!(now().contains("TLS to Kafka fails"), "{}", now());
        trouble.clear();
        assert_eq!(now(), "");
        trouble.note_error(&KafkaError::Global(Code::BrokerTransportFailure), "Connect to a:1 failed");
        assert!(now().contains("out of reach"), "{}", now());
    }
}
