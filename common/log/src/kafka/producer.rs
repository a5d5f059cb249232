//! Producing: bounded, idempotent, acknowledged by as many brokers as the topic asks for.

use core::{
    future::Future,
    pin::Pin,
    task::{Context as Waking, Poll},
    time::Duration,
};
use std::sync::Arc;

use flk_contract::LogTime;
use rdkafka::{
    ClientContext, Message, Timestamp,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::oneshot;

use super::{
    admin::AskError,
    connection::{Connection, log, words},
    failure::{Failure, Trouble},
};
use crate::topic::RECORD_BYTES_MAX;

/// How a producer is set.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// Most records that wait to be acknowledged.
    pub records: usize,
    /// Most bytes of them. Each is kept once, in the client's memory.
    pub bytes: usize,
    /// How long a record waits for others to make a batch with.
    pub linger: Duration,
    /// How long is tried, in all, until a record is given up as [`ProduceError::Unknown`].
    pub timeout: Duration,
    /// How batches are compressed: `none`, `lz4`, `zstd`, `gzip` or `snappy`.
    pub compression: &'static str,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            records: 20_000,
            bytes: 32 << 20,
            linger: Duration::from_millis(1),
            timeout: Duration::from_secs(20),
            compression: "lz4",
        }
    }
}

/// Where an acknowledged record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The broker's time of it; `None` where the topic keeps its producers' times.
    pub time: Option<LogTime>,
}

/// Why a record is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// Kafka refused it for what it is; it is not there.
    #[error("Kafka refused the record: {0}")]
    NotDurable(Arc<str>),
    /// It may be there, or may still come there.
    #[error("whether Kafka has the record is not known: {0}")]
    Unknown(Arc<str>),
}

/// Why a record was not even queued. Nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotQueued {
    /// Too many wait for their acknowledgement.
    #[error("the producer's queue is full; retry when something was acknowledged")]
    Full,
    /// It can not be produced: too large, or to a partition that is not there.
    #[error("the record can not be produced: {0}")]
    Refused(Arc<str>),
    /// The producer has failed for good ([`Producer::failed`]).
    #[error("the producer has failed: {0}")]
    Failed(Arc<str>),
}

/// A record on its way: for which topic, and what.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition; `None` for any (whole batches go to one).
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: &'a [u8],
}

type Tell = Box<dyn FnOnce(Result<Placed, ProduceError>) + Send + Sync>;

/// What is called when a record's outcome is known.
pub(super) struct Told(Tell);

struct Context {
    failure: Arc<Failure>,
    trouble: Arc<Trouble>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.failure.tell(&format!("the producer can not go on: {reason}"));
        } else {
            self.trouble.note_error(&error, reason);
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Told>;

    fn delivery(&self, result: &DeliveryResult<'_>, told: Box<Told>) {
        let outcome = match result {
            Ok(message) if message.offset() < 0 => {
                // The broker met it a second time and remembers no more than that.
                Err(ProduceError::Unknown("Kafka has it and does not say where".into()))
            }
            Ok(message) => {
                self.trouble.clear();
                let time = match message.timestamp() {
                    Timestamp::LogAppendTime(millis) => Some(LogTime::from_millis(millis)),
                    Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
                };
                Ok(Placed { partition: message.partition(), offset: message.offset(), time })
            }
            Err((error, _)) => Err(outcome(error)),
        };
        (told.0)(outcome);
    }
}

/// Only what a broker refuses whenever it is asked is surely not there. For all else an earlier try,
/// whose answer was lost, may have put it there.
fn outcome(error: &KafkaError) -> ProduceError {
    use RDKafkaErrorCode as Code;
    let why = words(error).into();
    match error.rdkafka_error_code() {
        Some(
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::UnknownPartition
            | Code::UnknownTopic
            | Code::InvalidTopic,
        ) => ProduceError::NotDurable(why),
        _ => ProduceError::Unknown(why),
    }
}

/// Produces records. Cheap to clone; dropped, what is queued is given up: [`flush`](Self::flush) first.
#[derive(Clone)]
pub struct Producer {
    client: ThreadedProducer<Context>,
    failure: Arc<Failure>,
    trouble: Arc<Trouble>,
}

impl core::fmt::Debug for Producer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Producer").field("failure", &self.failure.told()).finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer. It connects by and by; nothing is waited for.
    ///
    /// # Errors
    /// Where the settings make no client.
    pub fn new(connection: &Connection, options: &ProducerOptions) -> Result<Self, AskError> {
        let mut config = connection.config();
        let timeout = options.timeout.as_millis().max(1);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("queue.buffering.max.messages", options.records.max(1).to_string())
            .set("queue.buffering.max.kbytes", (options.bytes / 1024).max(2048).to_string())
            .set("linger.ms", format!("{}", options.linger.as_secs_f64() * 1000.0))
            .set("message.timeout.ms", timeout.to_string())
            .set("request.timeout.ms", timeout.clamp(1000, 5000).to_string())
            .set("compression.type", options.compression);
        let (failure, trouble) = (Arc::new(Failure::new()), Arc::new(Trouble::default()));
        let context = Context { failure: failure.clone(), trouble: trouble.clone() };
        let client = config.create_with_context(context).map_err(|error| AskError::of(&error))?;
        Ok(Self { client, failure, trouble })
    }

    /// Queues a record and calls back, on the client's own thread, when its outcome is known: exactly
    /// once if it was queued, never if not. The callback must not wait for anything.
    ///
    /// Records of one caller and one partition keep their order.
    ///
    /// # Errors
    /// Where it was not queued.
    pub fn produce_with<'a, V: AsRef<[u8]>>(
        &self,
        record: Outgoing<'_>,
        headers: impl IntoIterator<Item = (&'a str, V)>,
        told: impl FnOnce(Result<Placed, ProduceError>) + Send + Sync + 'static,
    ) -> Result<(), NotQueued> {
        let headers = headers.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value.as_ref()) })
        });
        let message = BaseRecord {
            topic: record.topic,
            partition: record.partition,
            payload: Some(record.value),
            key: record.key,
            timestamp: None,
            headers: Some(headers),
            delivery_opaque: Box::new(Told(Box::new(told))),
        };
        self.client.send(message).map_err(|(error, _)| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => NotQueued::Full,
            Some(RDKafkaErrorCode::Fatal) => {
                NotQueued::Failed(self.failure.told().unwrap_or_else(|| words(&error).into()))
            }
            _ => NotQueued::Refused(words(&error).into()),
        })
    }

    /// Queues a record; the delivery resolves when its outcome is known, and may be dropped.
    ///
    /// # Errors
    /// Where it was not queued.
    pub fn produce<'a, V: AsRef<[u8]>>(
        &self,
        record: Outgoing<'_>,
        headers: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Result<Delivery, NotQueued> {
        let (tell, told) = oneshot::channel();
        self.produce_with(record, headers, move |outcome| drop(tell.send(outcome)))?;
        Ok(Delivery(told))
    }

    /// Records that wait to be acknowledged.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.client.in_flight_count()).unwrap_or(0)
    }

    /// Waits until everything that was queued has its outcome, at most so long. Returns whether it has.
    pub async fn flush(&self, deadline: Duration) -> bool {
        let client = self.client.clone();
        tokio::task::spawn_blocking(move || client.flush(deadline).is_ok()).await.unwrap_or(false)
    }

    /// Waits until the producer has failed for good, and says why: the process ends then. For ever where
    /// all goes well.
    pub async fn failed(&self) -> Arc<str> {
        self.failure.wait().await
    }

    /// `Ok` as far as the producer knows; otherwise what it complained of last.
    ///
    /// # Errors
    /// In words.
    pub fn health(&self) -> Result<(), Arc<str>> {
        self.failure.told().or_else(|| self.trouble.now()).map_or(Ok(()), Err)
    }
}

/// Resolves when a record's outcome is known.
#[derive(Debug)]
pub struct Delivery(oneshot::Receiver<Result<Placed, ProduceError>>);

impl Future for Delivery {
    type Output = Result<Placed, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, waking: &mut Waking<'_>) -> Poll<Self::Output> {
        let gone = |_| Err(ProduceError::Unknown("the producer ended before it was acknowledged".into()));
        Pin::new(&mut self.0).poll(waking).map(|told| told.unwrap_or_else(gone))
    }
}
