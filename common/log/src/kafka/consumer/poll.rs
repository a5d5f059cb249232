//! The thread that polls: orders, commits, resumption, then records; it waits for nothing but Kafka, and
//! for that a few milliseconds.

use core::time::Duration;

use bytes::Bytes;
use flk_contract::LogTime;
use flume::Receiver;
use rdkafka::{
    Message, Offset, Timestamp, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};

use super::{
    Event, Record,
    context::Context,
    lookup::Question,
    state::{Came, Shared},
};
use crate::{
    kafka::{connection::words, headers},
    ledger::{Generation, NextOffset},
};

pub(super) type Client = BaseConsumer<Context>;

/// How long the thread waits for a record before it looks after the rest.
const TICK: Duration = Duration::from_millis(10);
/// How many records it takes before it does.
const BATCH: usize = 500;
/// What a record takes in memory beside its key and value.
const OVERHEAD: usize = 256;

/// What the role orders.
#[derive(Debug)]
pub(super) enum Command {
    /// Begin to read.
    Read { partition: i32, generation: Generation, offset: i64 },
}

/// Polls until the member is stopped or has failed; then commits what is done, and leaves.
pub(super) fn run(client: Client, shared: &Shared, orders: &Receiver<Command>) {
    if let Err(error) = client.subscribe(&[&shared.topic]) {
        shared.failure.tell(&format!("{} can not be subscribed to: {error}", shared.topic));
        return;
    }
    while !shared.stopped() && shared.failure.told().is_none() {
        for Command::Read { partition, generation, offset } in orders.try_iter() {
            read(&client, shared, partition, generation, offset);
        }
        store(&client, shared);
        budget(&client, shared);
        let mut wait = TICK;
        for _ in 0..BATCH {
            match client.poll(wait) {
                None => break,
                Some(Ok(message)) => take(&client, shared, &message),
                Some(Err(error)) => complain(&client, shared, &error),
            }
            wait = Duration::ZERO;
        }
    }
    store(&client, shared);
    // Dropping it commits what is stored and leaves the group.
    drop(client);
}

fn read(client: &Client, shared: &Shared, partition: i32, generation: Generation, offset: i64) {
    let Some(assigned) = shared.state().begin(partition, generation, offset) else {
        tracing::debug!(partition, ?generation, "nothing is read of an assignment that is over");
        return;
    };
    // What is not there any more is known already: no record has to come for it.
    if !assigned.keeps(offset) {
        shared.tell(Event::Gap { partition, generation, expected: offset, found: assigned.low });
    }
    let mut place = TopicPartitionList::new();
    let added = place.add_partition_offset(&shared.topic, partition, Offset::Offset(offset));
    if let Err(error) = added.and_then(|()| client.incremental_assign(&place)) {
        shared.failure.tell(&format!("partition {partition} can not be read ({}); start again", words(&error)));
    }
}

/// Hands the client what may be committed; it commits at its own pace.
pub(super) fn store(client: &Client, shared: &Shared) {
    let committable = shared.state().take_committable();
    if committable.is_empty() {
        return;
    }
    let mut offsets = TopicPartitionList::new();
    let mut stored = Ok(());
    for (partition, NextOffset(offset)) in committable {
        // Not the client's `store_offset`: that takes the offset of a record, and commits the one after it.
        stored = stored.and(offsets.add_partition_offset(&shared.topic, partition, Offset::Offset(offset)));
    }
    match stored.and_then(|()| client.store_offsets(&offsets)) {
        Ok(()) => {}
        // The partitions go: whoever gets them reads these records again.
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::State) => {
            tracing::debug!("not committed: the partitions are somebody else's");
        }
        Err(error) => shared.trouble.note(&format!("offsets can not be stored: {}", words(&error))),
    }
}

fn list(shared: &Shared, partitions: &[i32]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&shared.topic, *partition);
    }
    list
}

/// Resumes what has room again, and pauses everything once nothing is taken any more.
fn budget(client: &Client, shared: &Shared) {
    let mut state = shared.state();
    let resumable = state.take_resumable();
    let pausable = if state.taking { Vec::new() } else { state.take_pausable() };
    drop(state);
    if !resumable.is_empty() {
        note(shared, client.resume(&list(shared, &resumable)));
    }
    if !pausable.is_empty() {
        note(shared, client.pause(&list(shared, &pausable)));
    }
}

fn note(shared: &Shared, result: Result<(), KafkaError>) {
    if let Err(error) = result {
        shared.trouble.note(&format!("a partition can not be paused or resumed: {}", words(&error)));
    }
}

fn take(client: &Client, shared: &Shared, message: &BorrowedMessage<'_>) {
    let (partition, offset) = (message.partition(), message.offset());
    let bytes = message.payload_len() + message.key_len() + OVERHEAD;
    let Came::Deliver { generation, pause, hole } = shared.state().came(partition, offset, bytes) else { return };
    if let Some(hole) = hole {
        if hole.found < hole.expected {
            // The log ends before where the group was: it is another one.
            shared.state().looked(partition, generation);
            shared.tell(Event::Gap { partition, generation, expected: hole.expected, found: hole.found });
        } else {
            let _ = shared.questions.send(Question::Hole { partition, generation, hole });
        }
    }
    shared.tell(Event::Record(record(message, generation)));
    if pause {
        note(shared, client.pause(&list(shared, &[partition])));
    }
}

fn record(message: &BorrowedMessage<'_>, generation: Generation) -> Record {
    let (headers, schema) = headers::read(message);
    let payload = message.payload();
    Record {
        partition: message.partition(),
        generation,
        offset: message.offset(),
        time: match message.timestamp() {
            Timestamp::LogAppendTime(millis) => Some(LogTime::from_millis(millis)),
            Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
        },
        key: message.key().map(Bytes::copy_from_slice),
        value: payload.map(Bytes::copy_from_slice).unwrap_or_default(),
        has_value: payload.is_some(),
        headers,
        schema,
    }
}

fn complain(client: &Client, shared: &Shared, error: &KafkaError) {
    if let Some((code, why)) = client.client().fatal_error() {
        let word = match code {
            RDKafkaErrorCode::FencedInstanceId => {
                "another process has this instance's name; give each its own, and start this one again".into()
            }
            _ => format!("the consumer can not go on: {why}"),
        };
        shared.failure.tell(&word);
    } else if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        shared.failure.tell(&format!("the consumer can not go on: {error}"));
    } else {
        shared.trouble.note(&format!("{}: {}", shared.topic, words(error)));
    }
}
