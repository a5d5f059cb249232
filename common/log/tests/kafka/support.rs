//! What the tests here have in common: a connection of their own, and waiting for things to become so.

use core::{
    fmt::Debug,
    num::{NonZeroU16, NonZeroU32},
    ops::Range,
    time::Duration,
};
use std::time::Instant;

use flk_log::kafka::{
    Admin, Assigned, Connection, Consumer, ConsumerOptions, Event, Outgoing, Producer, ProducerOptions, Record, Topics,
};
use flk_log::ledger::Generation;

/// Longest that anything here may take.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// To the shared broker, with topics that no other test has.
pub(crate) fn connection(name: &str) -> Connection {
    let prefix = flk_servers::unique(name) + ".";
    Connection::plain(&flk_servers::shared::kafka().unwrap(), &prefix).unwrap()
}

/// Topics of so many partitions, made.
pub(crate) async fn topics(connection: &Connection, partitions: u32) -> Topics {
    let topics = Topics::single(connection, NonZeroU32::new(partitions).unwrap());
    let applied = topics.apply(&Admin::new(connection).unwrap()).await.unwrap();
    assert_eq!(applied.left, [], "{applied:?}");
    topics
}

/// Looks until something is found.
pub(crate) async fn until<T, S: Debug>(claim: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < deadline, "{claim}: {seen:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A member whose heartbeat is quick.
pub(crate) fn quick(connection: &Connection, topics: &Topics, topic: flk_log::topic::Topic) -> ConsumerOptions {
    let mut options = ConsumerOptions::new(connection.group("members"), topics.names.of(topic));
    options.session = Duration::from_secs(6);
    options.commit = Duration::from_millis(50);
    options.fetch_wait = Duration::from_millis(10);
    options
}

/// What a member was told, with a deadline for each thing.
pub(crate) struct Member {
    pub(crate) consumer: Consumer,
}

impl Member {
    pub(crate) fn start(connection: &Connection, options: ConsumerOptions) -> Self {
        Self { consumer: Consumer::start(connection, options).unwrap() }
    }

    pub(crate) async fn event(&self) -> Event {
        tokio::select! {
            event = tokio::time::timeout(SOON, self.consumer.events().recv_async()) => event.expect("an event").unwrap(),
            why = self.consumer.failed() => panic!("the member failed: {why}"),
        }
    }

    pub(crate) async fn assigned(&self) -> Assigned {
        match self.event().await {
            Event::Assigned(assigned) => assigned,
            other => panic!("a partition was expected: {other:?}"),
        }
    }

    pub(crate) async fn record(&self) -> Record {
        match self.event().await {
            Event::Record(record) => record,
            other => panic!("a record was expected: {other:?}"),
        }
    }

    pub(crate) async fn revoked(&self) -> (i32, Generation) {
        match self.event().await {
            Event::Revoked { partition, generation } => (partition, generation),
            other => panic!("a revocation was expected: {other:?}"),
        }
    }

    /// Begins to read one partition where it goes on.
    pub(crate) async fn resume(&self) -> Assigned {
        let assigned = self.assigned().await;
        self.consumer.control().read_from(assigned.partition, assigned.generation, assigned.resume());
        assigned
    }

    pub(crate) fn done(&self, record: &Record) {
        self.consumer.control().done(record.partition, record.generation, record.offset);
    }

    pub(crate) async fn close(self) {
        assert!(self.consumer.close(SOON).await, "it leaves in time");
    }
}

/// Produces values to one partition and waits for all of them; where they are.
pub(crate) async fn fill(connection: &Connection, topic: &str, partition: i32, values: Range<i64>) -> Vec<i64> {
    let producer = Producer::new(connection, &ProducerOptions::default()).unwrap();
    let mut deliveries = Vec::new();
    for value in values {
        let value = value.to_string();
        let outgoing = Outgoing { topic, partition: Some(partition), key: None, value: value.as_bytes() };
        deliveries.push(producer.produce(outgoing, core::iter::empty::<(&str, &[u8])>()).unwrap());
    }
    let mut offsets = Vec::new();
    for delivery in deliveries {
        offsets.push(delivery.await.unwrap().offset);
    }
    offsets
}

/// The value that [`fill`] gave it.
pub(crate) fn value(record: &Record) -> i64 {
    str::from_utf8(&record.value).unwrap().parse().unwrap()
}

/// Topics that several brokers keep, made.
pub(crate) async fn topics_with(connection: &Connection, partitions: u32, copies: u16, in_sync: u16) -> Topics {
    let mut topics = Topics::single(connection, NonZeroU32::new(partitions).unwrap());
    topics.replication = NonZeroU16::new(copies).unwrap();
    topics.min_insync = NonZeroU16::new(in_sync).unwrap();
    let applied = topics.apply(&Admin::new(connection).unwrap()).await.unwrap();
    assert_eq!(applied.left, [], "{applied:?}");
    topics
}
