//! Reading single records: by clients that are assigned a place by hand, some of them at a time.

use core::time::Duration;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use rdkafka::{
    Message, Offset, Timestamp, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::sync::Semaphore;

use flk_contract::LogTime;

use super::{
    admin::AskError,
    connection::{Asking, Connection, words},
    headers,
};
use crate::topic::{Headers, RECORD_BYTES_MAX};

/// Readers at a time; more wait for their turn.
const READERS: usize = 4;

/// A record as it lies in a topic.
#[derive(Debug, Clone)]
pub(super) struct Lying {
    pub(super) value: Bytes,
    pub(super) headers: Headers,
    /// `None` where it is its producer's.
    pub(super) time: Option<LogTime>,
}

/// Reads single records of a topic.
pub(super) struct Readers {
    connection: Connection,
    topic: Arc<str>,
    deadline: Duration,
    turns: Semaphore,
    idle: Mutex<Vec<BaseConsumer<Asking>>>,
}

impl Readers {
    pub(super) fn new(connection: &Connection, topic: Arc<str>, deadline: Duration) -> Arc<Self> {
        let (connection, idle) = (connection.clone(), Mutex::default());
        Arc::new(Self { connection, topic, deadline, turns: Semaphore::new(READERS), idle })
    }

    /// The record at this place; `None` where there is none.
    pub(super) async fn read(self: &Arc<Self>, partition: i32, offset: i64) -> Result<Option<Lying>, AskError> {
        let late = || AskError("too many records are read at a time".into());
        let turn = tokio::time::timeout(self.deadline, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(late()) };
        let readers = self.clone();
        let read = tokio::task::spawn_blocking(move || readers.read_now(partition, offset));
        read.await.map_err(|_| AskError::ended())?
    }

    fn read_now(&self, partition: i32, offset: i64) -> Result<Option<Lying>, AskError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => self.connect()?,
        };
        let read = self.read_with(&reader, partition, offset).map_err(|error| AskError::of(&error))?;
        // One that met an error is not used again: what state it is in is not known.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(read)
    }

    fn connect(&self) -> Result<BaseConsumer<Asking>, AskError> {
        let mut config = self.connection.config();
        config
            // Assigning by hand asks for a group too, though nobody ever joins it.
            .set("group.id", self.connection.group("flk-reader"))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "10")
            // One record is wanted: the least that is sure to hold it.
            .set("fetch.message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("fetch.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("queued.min.messages", "1")
            .set("queued.max.messages.kbytes", "2048")
            // What is queued is always enough, and a partition that has enough is not asked for a while: a second, if
            // nobody says otherwise, in which the next record of it would wait.
            .set("fetch.queue.backoff.ms", "0")
            .set_log_level(RDKafkaLogLevel::Emerg);
        config.create_with_context(Asking).map_err(|error| AskError::of(&error))
    }

    fn read_with(
        &self,
        reader: &BaseConsumer<Asking>,
        partition: i32,
        offset: i64,
    ) -> Result<Option<Lying>, KafkaError> {
        let until = Instant::now() + self.deadline;
        let left = || until.saturating_duration_since(Instant::now());
        match reader.fetch_watermarks(&self.topic, partition, left()) {
            Ok((low, high)) if (low..high).contains(&offset) => {}
            Ok(_) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        reader.assign(&place)?;
        let read = loop {
            match reader.poll(left().min(Duration::from_millis(100))) {
                Some(Ok(message)) if message.partition() != partition || message.offset() < offset => {}
                Some(Ok(message)) if message.offset() == offset => break Some(lying(&message)),
                // A place that holds no record (the end of a transaction), or that was removed meanwhile.
                Some(Ok(_)) => break None,
                Some(Err(error)) if is_gone(&error) => break None,
                Some(Err(_)) | None if left().is_zero() => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                }
                // It goes on trying; what it says meanwhile is told as out of reach if it never comes.
                Some(Err(error)) => tracing::debug!("reading a record: {}", words(&error)),
                None => {}
            }
        };
        reader.unassign()?;
        Ok(read)
    }

    /// Serves clients that wait for use: they queue what happens to their connections.
    pub(super) fn tend(&self) {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for reader in idle.iter() {
            while reader.poll(Duration::ZERO).is_some() {}
        }
    }
}

fn is_gone(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::AutoOffsetReset | Code::OffsetOutOfRange))
}

fn lying(message: &rdkafka::message::BorrowedMessage<'_>) -> Lying {
    let time = match message.timestamp() {
        Timestamp::LogAppendTime(millis) => Some(LogTime::from_millis(millis)),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
    };
    let (headers, _) = headers::read(message);
    Lying { value: Bytes::copy_from_slice(message.payload().unwrap_or_default()), headers, time }
}
