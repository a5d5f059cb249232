//! Reading one partition from a place to another, without a group: what a lost index is loaded by, and
//! what replay reads.

use core::time::Duration;
use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use flk_contract::LogTime;
use rdkafka::{
    Message, Offset, Timestamp, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    admin::AskError,
    connection::{ASK, Asking, Connection, words},
    headers,
};
use crate::topic::{Headers, RECORD_BYTES_MAX};

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// Its offset.
    pub offset: i64,
    /// The broker's time of it; `None` where the topic keeps its producers' times.
    pub time: Option<LogTime>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` for a deletion.
    pub value: Option<Bytes>,
    /// What was said beside it, bounded.
    pub headers: Headers,
    /// Which schema it says it has, for [`crate::topic::Topic::admit`].
    pub schema: Option<Box<[u8]>>,
}

/// Reads one partition up to an end that does not move. Blocks: for threads that may.
pub struct Scan {
    client: BaseConsumer<Asking>,
    topic: Arc<str>,
    low: i64,
    next: i64,
    end: i64,
}

impl core::fmt::Debug for Scan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { topic, low, next, end, .. } = self;
        f.debug_struct("Scan").field("topic", topic).field("low", low).field("next", next).field("end", end).finish()
    }
}

impl Scan {
    /// Begins at `from`, or at the first record that is kept where that lies further on, and ends where
    /// the partition ends now.
    ///
    /// # Errors
    /// Where the settings make no client, or no broker answers in time.
    pub fn open(connection: &Connection, topic: &Arc<str>, partition: i32, from: i64) -> Result<Self, AskError> {
        let mut config = connection.config();
        config
            // Assigning by hand asks for a group too, though nobody ever joins it.
            .set("group.id", connection.group("flk-reader"))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("fetch.max.bytes", (8 * RECORD_BYTES_MAX).to_string())
            .set("queued.max.messages.kbytes", "16384")
            // Who reads is faster than a second, for which a full queue would not be filled again.
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.error.backoff.ms", "100")
            .set_log_level(RDKafkaLogLevel::Emerg);
        let client: BaseConsumer<Asking> = config.create_with_context(Asking).map_err(|error| AskError::of(&error))?;
        let of = |error: KafkaError| AskError::of(&error);
        let (low, end) = client.fetch_watermarks(topic, partition, ASK).map_err(of)?;
        let next = from.max(low);
        if next < end {
            let mut place = TopicPartitionList::new();
            place.add_partition_offset(topic, partition, Offset::Offset(next)).map_err(of)?;
            client.assign(&place).map_err(of)?;
        }
        Ok(Self { client, topic: topic.clone(), low, next, end })
    }

    /// The first offset that was kept when it began.
    pub fn low(&self) -> i64 {
        self.low
    }

    /// The first offset that it has not come to.
    pub fn next(&self) -> i64 {
        self.next.min(self.end)
    }

    /// The first offset behind all that it reads.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// The next records, at most `limit` of them; none at the end.
    ///
    /// # Errors
    /// Where nothing comes within the deadline, or what is to be read was removed meanwhile.
    pub fn read(&mut self, limit: usize, deadline: Duration) -> Result<Vec<Scanned>, AskError> {
        let mut records = Vec::new();
        let until = Instant::now() + deadline;
        while records.len() < limit && self.next < self.end {
            // What has come is given away rather than waited with.
            let wait =
                if records.is_empty() { until.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            match self.client.poll(wait.min(Duration::from_millis(200))) {
                Some(Ok(message)) if message.offset() >= self.end => self.next = self.end,
                Some(Ok(message)) => {
                    self.next = message.offset() + 1;
                    records.push(scanned(&message));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => self.next = self.end,
                Some(Err(error)) if is_gone(&error) => {
                    let why = format!("{}: records were removed before they were read; begin again", self.topic);
                    return Err(AskError(why.into()));
                }
                None if !records.is_empty() => break,
                _ if Instant::now() < until => {}
                Some(Err(error)) => return Err(AskError(format!("{}: {}", self.topic, words(&error)).into())),
                None => return Err(AskError(format!("{}: no record came within {deadline:?}", self.topic).into())),
            }
        }
        Ok(records)
    }
}

/// The first offset of a partition whose record has that time or a later one; the partition's end where
/// there is none. Blocks: for threads that may.
///
/// # Errors
/// Where the settings make no client, or no broker answers in time.
pub fn offset_at(connection: &Connection, topic: &Arc<str>, partition: i32, time: LogTime) -> Result<i64, AskError> {
    let mut config = connection.config();
    config.set("group.id", connection.group("flk-reader")).set_log_level(RDKafkaLogLevel::Emerg);
    let client: BaseConsumer<Asking> = config.create_with_context(Asking).map_err(|error| AskError::of(&error))?;
    let of = |error: KafkaError| AskError::of(&error);
    let mut place = TopicPartitionList::new();
    // Asked by time, the time is where an offset would be.
    place.add_partition_offset(topic, partition, Offset::Offset(time.millis().max(0))).map_err(of)?;
    let found = client.offsets_for_times(place, ASK).map_err(of)?;
    match found.find_partition(topic, partition).map(|found| found.offset()) {
        Some(Offset::Offset(offset)) => Ok(offset),
        _ => Ok(client.fetch_watermarks(topic, partition, ASK).map_err(of)?.1),
    }
}

fn is_gone(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::AutoOffsetReset | Code::OffsetOutOfRange))
}

fn scanned(message: &rdkafka::message::BorrowedMessage<'_>) -> Scanned {
    let time = match message.timestamp() {
        Timestamp::LogAppendTime(millis) => Some(LogTime::from_millis(millis)),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
    };
    let (headers, schema) = headers::read(message);
    let bytes = |part: Option<&[u8]>| part.map(Bytes::copy_from_slice);
    Scanned {
        offset: message.offset(),
        time,
        key: bytes(message.key()),
        value: bytes(message.payload()),
        headers,
        schema,
    }
}
