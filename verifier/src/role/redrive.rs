//! Driving records of pcs.raw once more, on purpose: each is judged again at its own log time, and what is
//! accepted goes to pcs.verified with its own origin. Harmless: an origin that settled is met again, and
//! what is older than 14 days settles nothing.

use core::time::Duration;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use flk_contract::{Code, LogId, LogTime};
use flk_log::{
    kafka::{AskError, Connection, NotQueued, Outgoing, Producer, ProducerOptions, Record, Scanned, Topics},
    ledger::Generation,
    topic::{Headers, Topic, TopicNames},
};

use super::judging::{Court, Out};
use crate::Verifier;

/// Drives records.
pub struct Redrive {
    court: Court,
    names: TopicNames,
    producer: Producer,
    lost: Arc<AtomicU64>,
}

/// Why a record could not be driven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedriveError {
    /// It could not be produced, or was not acknowledged.
    #[error("Kafka does not take records: {0}; what was sent until then may be sent again, which is harmless")]
    Produce(Arc<str>),
}

impl core::fmt::Debug for Redrive {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Redrive").finish_non_exhaustive()
    }
}

impl Redrive {
    /// Over these topics of the cluster `log`.
    ///
    /// # Errors
    /// Where the settings make no client.
    pub fn new(connection: &Connection, topics: &Topics, log: LogId, verifier: Verifier) -> Result<Self, AskError> {
        let court = Court {
            verifier,
            log,
            raw: topics.names.of(Topic::Raw).clone(),
            partitions: topics.partitions_of(Topic::Verified),
            replies: topics.partitions_of(Topic::Replies),
        };
        let producer = Producer::new(connection, &ProducerOptions::default())?;
        Ok(Self { court, names: topics.names.clone(), producer, lost: Arc::default() })
    }

    /// What a record of that partition of pcs.raw comes to now, and what it would be in pcs.verified;
    /// `None` for one that has no log time, which is never judged.
    fn judge(&self, partition: i32, record: &Scanned) -> Option<(Code, Out)> {
        let at: LogTime = record.time?;
        // Nobody waits for an answer any more.
        let headers = Headers { reply: None, ..record.headers.clone() };
        let value = record.value.clone();
        let record = Record {
            partition,
            generation: Generation(0),
            offset: record.offset,
            time: record.time,
            key: record.key.clone(),
            has_value: value.is_some(),
            value: value.unwrap_or_default(),
            headers,
            schema: record.schema.clone(),
        };
        let judged = self.court.judge(record, at);
        Some((judged.code, judged.out))
    }

    /// What a record would come to; nothing is sent.
    pub fn look(&self, partition: i32, record: &Scanned) -> Code {
        self.judge(partition, record).map_or(Code::Internal, |(code, _)| code)
    }

    /// Judges a record, and sends it on if it is accepted. Waits for room, at most so long.
    ///
    /// # Errors
    /// [`RedriveError`].
    pub fn drive(&self, partition: i32, record: &Scanned, deadline: Duration) -> Result<Code, RedriveError> {
        let Some((code, out)) = self.judge(partition, record) else { return Ok(Code::Internal) };
        let Out::Verified { partition, key, value } = out else { return Ok(code) };
        let headers = Headers { reply: None, tenant: None, ..record.headers.clone() };
        let headers = headers.encode(Topic::Verified);
        let topic = self.names.of(Topic::Verified);
        let until = Instant::now() + deadline;
        loop {
            let outgoing = Outgoing { topic, partition: Some(partition), key: Some(key.as_bytes()), value: &value };
            let lost = self.lost.clone();
            let told = move |outcome: Result<_, _>| {
                lost.fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
            };
            match self.producer.produce_with(outgoing, headers.iter().map(|(name, value)| (*name, value)), told) {
                Ok(()) => return Ok(code),
                Err(NotQueued::Full) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => return Err(RedriveError::Produce(error.to_string().into())),
            }
        }
    }

    /// Waits until everything that was sent is acknowledged, at most so long.
    ///
    /// # Errors
    /// [`RedriveError`] where something was not.
    pub async fn finish(&self, deadline: Duration) -> Result<(), RedriveError> {
        let flushed = self.producer.flush(deadline).await;
        match self.lost.load(Ordering::Relaxed) {
            0 if flushed => Ok(()),
            0 => Err(RedriveError::Produce(format!("not all was acknowledged within {deadline:?}").into())),
            lost => Err(RedriveError::Produce(format!("{lost} records were not acknowledged").into())),
        }
    }
}
