//! Kafka as any other program sees it: a bare producer, a bare consumer. Nothing of the service's own
//! clients is in here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use flk_log::topic::Topic;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{Header, Headers as _, OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::{DEADLINE, Stand};

/// How long the broker may hold an answer back.
const WAIT: Duration = Duration::from_millis(20);

fn client(stand: &Stand) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", stand.brokers()).set("client.id", "flk-tests");
    config
}

/// A record of a topic, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The log time, in milliseconds.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The value.
    pub value: Vec<u8>,
}

impl Consumed {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_slice())
    }

    /// A header's first value as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.header(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// The value as JSON.
    ///
    /// # Panics
    /// Where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.value)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.value)))
    }
}

impl From<OwnedMessage> for Consumed {
    fn from(message: OwnedMessage) -> Self {
        let headers = message.headers().map(|headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            value: message.payload().unwrap_or_default().to_vec(),
        }
    }
}

fn reader(stand: &Stand) -> BaseConsumer {
    client(stand)
        .set("group.id", "flk-tests-never-joined")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", WAIT.as_millis().to_string())
        .set("fetch.message.max.bytes", (4 << 20).to_string())
        .create()
        .unwrap()
}

fn partitions_of(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), DEADLINE).unwrap();
    metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect()
}

/// Everything that is in a topic at this moment, partition by partition, each in order.
///
/// # Panics
/// Where it can not be read.
pub fn read(stand: &Stand, topic: Topic) -> Vec<Consumed> {
    let (consumer, topic) = (reader(stand), stand.topic(topic));
    let mut list = TopicPartitionList::new();
    let mut open = BTreeSet::new();
    for partition in partitions_of(&consumer, &topic) {
        list.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
        open.insert(partition);
    }
    consumer.assign(&list).unwrap();
    let mut records: Vec<Consumed> = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while !open.is_empty() {
        assert!(Instant::now() < deadline, "{topic} was not read to its end within {DEADLINE:?}");
        match consumer.poll(WAIT) {
            None => {}
            Some(Ok(message)) => records.push(message.detach().into()),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => panic!("{topic}: {error}"),
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// The record at a place.
///
/// # Panics
/// Where there is none.
pub fn read_at(stand: &Stand, topic: Topic, partition: i32, offset: i64) -> Consumed {
    let (consumer, topic) = (reader(stand), stand.topic(topic));
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, partition, Offset::Offset(offset)).unwrap();
    consumer.assign(&list).unwrap();
    let found = crate::until_some("the record at its place", DEADLINE, || match consumer.poll(WAIT) {
        None => None,
        Some(Ok(message)) => Some(message.detach().into()),
        Some(Err(error)) => panic!("{topic}/{partition}/{offset}: {error}"),
    });
    let found: Consumed = found;
    assert_eq!(found.offset, offset, "there is no record at {topic}/{partition}/{offset}");
    found
}

/// The log's id: the cluster's. Asked for once, since the client takes a second for it.
///
/// # Panics
/// Where the cluster does not say.
pub fn cluster_id(stand: &Stand) -> String {
    static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let ask = || reader(stand).client().fetch_cluster_id(DEADLINE).expect("a cluster has an id");
    known.entry(stand.brokers().to_owned()).or_insert_with(ask).clone()
}

/// Removes what the groups of this service have committed, and the groups with it. Nobody may be a member.
///
/// # Panics
/// Where they can not be removed.
pub fn delete_groups(stand: &Stand) {
    let admin: AdminClient<DefaultClientContext> = client(stand).create().unwrap();
    let groups = || {
        let list = admin.inner().fetch_group_list(None, DEADLINE).unwrap();
        let ours = list.groups().iter().map(|group| group.name().to_owned());
        ours.filter(|name| name.starts_with(stand.prefix())).collect::<Vec<String>>()
    };
    assert!(!groups().is_empty(), "there are groups that have committed something");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    crate::until("the groups are gone", DEADLINE, || {
        let names = groups();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // One whose members have only just left may not be empty yet: it is tried again.
        let deleted = runtime.block_on(admin.delete_groups(&names, &AdminOptions::new()));
        names.is_empty() || deleted.is_ok_and(|each| each.iter().all(Result::is_ok))
    });
}

/// A producer like any other's: straight to pcs.raw.
pub struct Producer {
    producer: BaseProducer,
    topic: String,
}

impl Producer {
    /// To that topic.
    ///
    /// # Panics
    /// Where it can not be made.
    pub fn to(stand: &Stand, topic: Topic) -> Self {
        let producer = client(stand)
            .set("message.max.bytes", (2 << 20).to_string())
            .set("linger.ms", "2")
            .set("queue.buffering.max.messages", "200000")
            .create()
            .unwrap();
        Self { producer, topic: stand.topic(topic) }
    }

    /// Hands a record over; the partition is the client's choice.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn send(&self, value: &[u8]) {
        self.send_with(value, &[]);
    }

    /// Hands a record without any value over: what removes a key, in a topic that is compacted.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn send_nothing(&self) {
        let record = BaseRecord::<(), [u8]>::to(&self.topic);
        self.producer.send(record).unwrap_or_else(|(error, _)| panic!("{}: {error}", self.topic));
    }

    /// Hands a record over, with headers.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn send_with(&self, value: &[u8], headers: &[(&str, &[u8])]) {
        let all = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (name, value)| {
            all.insert(Header { key: name, value: Some(*value) })
        });
        let record = BaseRecord::<(), [u8]>::to(&self.topic).payload(value).headers(all);
        self.producer.send(record).unwrap_or_else(|(error, _)| panic!("{}: {error}", self.topic));
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until all of them are in the topic.
    ///
    /// # Panics
    /// Where they do not come there.
    pub fn flush(&self) {
        self.producer.flush(DEADLINE).unwrap_or_else(|error| panic!("{}: {error}", self.topic));
    }
}
