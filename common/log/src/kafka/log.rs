//! Kafka as the log: pcs.raw behind the port.

use core::time::Duration;
use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use flk_contract::{LogId, Origin, Position};

use super::{
    admin::{Admin, AskError},
    connection::Connection,
    producer::{NotQueued, Outgoing, Placed, ProduceError, Producer, ProducerOptions},
    reader::Readers,
    topics::Topics,
    watch::TopicsWatch,
};
use crate::{
    Append, AppendError, Appended, Log, NewRecord, ReadError, StoredRecord, Ticket,
    topic::{Headers, ReplyTo, Topic},
    watch::{Unwatched, Watch},
};

/// How the log is set.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// How it produces.
    pub producer: ProducerOptions,
    /// How long an append waits for room in the producer's queue.
    pub room: Duration,
    /// How long a read may take.
    pub read: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { producer: ProducerOptions::default(), room: Duration::from_secs(1), read: Duration::from_secs(5) }
    }
}

/// Between two tries to queue a record while the queue is full.
const RETRY: Duration = Duration::from_millis(2);

/// pcs.raw of one cluster.
///
/// An append resolves with the broker's own offset and time; what became of the record is decided
/// elsewhere, later. Nothing is taken while [`Log::health`] is not good: a record whose time is not the
/// broker's would never be judged.
pub struct KafkaLog {
    id: LogId,
    topic: Arc<str>,
    partitions: i32,
    room: Duration,
    producer: Producer,
    readers: Arc<Readers>,
    watch: Arc<TopicsWatch>,
    seen: Arc<dyn Watch>,
}

impl core::fmt::Debug for Readers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl core::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KafkaLog").field("id", &self.id).field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Opens it: asks the cluster for its id, at most so long. Whoever starts before Kafka tries again.
    ///
    /// # Errors
    /// Where the settings make no client, or no broker answers in time.
    pub async fn open(
        connection: &Connection,
        topics: &Topics,
        options: &LogOptions,
        deadline: Duration,
    ) -> Result<Self, AskError> {
        let id = Admin::new(connection)?.cluster_id(deadline).await?;
        let topic = topics.names.of(Topic::Raw).clone();
        let readers = Readers::new(connection, topic.clone(), options.read);
        let tended = Arc::downgrade(&readers);
        let tend = move || {
            if let Some(readers) = tended.upgrade() {
                readers.tend();
            }
        };
        Ok(Self {
            id,
            topic,
            partitions: i32::try_from(topics.partitions_of(Topic::Raw).get()).unwrap_or(i32::MAX),
            room: options.room,
            producer: Producer::new(connection, &options.producer)?,
            readers,
            watch: Arc::new(TopicsWatch::start_with(connection, topics, tend)?),
            seen: Arc::new(Unwatched),
        })
    }

    /// The same, watched at work: what becomes durable, and how long that took.
    #[must_use]
    pub fn watched(self, by: Arc<dyn Watch>) -> Self {
        Self { seen: by, ..self }
    }

    /// Takes a record in, with where its answer goes. As [`Log::append`] otherwise.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub async fn append_with(&self, record: NewRecord, reply: Option<ReplyTo>) -> Result<Ticket, AppendError> {
        self.watch.health().map_err(AppendError::NotDurable)?;
        let headers = Headers::of(&record, reply);
        let pairs = headers.encode(Topic::Raw);
        let outgoing = Outgoing { topic: &self.topic, partition: None, key: None, value: &record.body };
        let since = Instant::now();
        let until = since + self.room;
        loop {
            let (resolver, ticket) = Ticket::new();
            let (log, topic, watch) = (self.id.clone(), self.topic.clone(), Arc::clone(&self.watch));
            let seen = self.seen.clone();
            let told = move |outcome| {
                let appended = appended(log, topic, &watch, outcome);
                if appended.is_ok() {
                    seen.on_append(since.elapsed());
                }
                resolver.resolve(appended);
            };
            let queued = self.producer.produce_with(outgoing, pairs.iter().map(|(name, value)| (*name, value)), told);
            match queued {
                Ok(()) => return Ok(ticket),
                Err(NotQueued::Full) if Instant::now() < until => tokio::time::sleep(RETRY).await,
                Err(NotQueued::Full) => return Err(AppendError::Full),
                Err(NotQueued::Refused(why) | NotQueued::Failed(why)) => return Err(AppendError::NotDurable(why)),
            }
        }
    }

    /// Whether the topics are as they have to be: shared with whoever else has to know.
    pub fn watch(&self) -> Arc<TopicsWatch> {
        self.watch.clone()
    }

    /// Waits until what was taken in has its outcome, at most so long. Returns whether it has.
    pub async fn flush(&self, deadline: Duration) -> bool {
        self.producer.flush(deadline).await
    }

    /// Waits until the log can never be written again by this process, and says why.
    pub async fn failed(&self) -> Arc<str> {
        self.producer.failed().await
    }
}

fn appended(
    log: LogId,
    topic: Arc<str>,
    watch: &TopicsWatch,
    outcome: Result<Placed, ProduceError>,
) -> Result<Appended, AppendError> {
    match outcome {
        Ok(Placed { partition, offset, time: Some(appended_at) }) => {
            let position = Position { log, topic, partition, offset };
            Ok(Appended { origin: Origin { position, appended_at }, decided: None })
        }
        Ok(Placed { time: None, .. }) => {
            let why = format!(
                "{topic}: message.timestamp.type is not LogAppendTime, so its records are not judged; `flk topics apply` sets it"
            );
            watch.doubt(&why);
            Err(AppendError::Unknown(why.into()))
        }
        Err(ProduceError::NotDurable(why)) => Err(AppendError::NotDurable(why)),
        Err(ProduceError::Unknown(why)) => {
            watch.doubt(&why);
            Err(AppendError::Unknown(why))
        }
    }
}

#[async_trait]
impl Log for KafkaLog {
    fn id(&self) -> &LogId {
        &self.id
    }

    async fn append(&self, append: Append) -> Result<Ticket, AppendError> {
        self.append_with(append.record, None).await
    }

    async fn read(&self, partition: i32, offset: i64) -> Result<Option<StoredRecord>, ReadError> {
        if !(0..self.partitions).contains(&partition) || offset < 0 {
            return Ok(None);
        }
        let read = self.readers.read(partition, offset).await;
        let Some(lying) = read.map_err(|AskError(why)| ReadError::Unavailable(why))? else { return Ok(None) };
        let Some(appended_at) = lying.time else {
            return Err(ReadError::Damaged { offset, what: "its time is its producer's, not the broker's" });
        };
        let position = Position { log: self.id.clone(), topic: self.topic.clone(), partition, offset };
        let record = lying.headers.into_record(lying.value);
        Ok(Some(StoredRecord { origin: Origin { position, appended_at }, record, decision: None }))
    }

    fn health(&self) -> Result<(), Arc<str>> {
        self.watch.health()
    }
}
