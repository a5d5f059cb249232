//! The servers that the rows over Kafka are measured on, and topics of their own for each.

use core::{num::NonZeroU32, time::Duration};
use std::time::Instant;

use flk_log::{
    kafka::{Admin, Connection, Outgoing, Producer, ProducerOptions, Topics},
    topic::Topic,
};
use flk_servers::{Kafka, KafkaOptions, Redis, RedisOptions};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::Failure;

/// Longest that one measurement may take.
const LONGEST: Duration = Duration::from_secs(180);

/// The partition, the key and the value of a record.
pub(crate) type Filling = (i32, Option<Vec<u8>>, Vec<u8>);

/// A broker and a Redis, for the whole run.
pub(crate) struct Servers {
    pub(crate) kafka: Kafka,
    pub(crate) redis: Redis,
}

impl Servers {
    pub(crate) fn start() -> Result<Self, Failure> {
        Ok(Self { kafka: Kafka::start(&KafkaOptions::default())?, redis: Redis::start(&RedisOptions::default())? })
    }
}

/// Topics that nothing else uses, and an empty Redis.
pub(crate) struct World {
    pub(crate) brokers: String,
    pub(crate) redis: String,
    pub(crate) prefix: String,
    pub(crate) topics: Topics,
    connection: Connection,
    asking: BaseConsumer,
}

impl World {
    /// With so many partitions of each topic.
    pub(crate) async fn new(servers: &Servers, partitions: u32) -> Result<Self, Failure> {
        servers.redis.flush()?;
        let (brokers, prefix) = (servers.kafka.bootstrap(), flk_servers::unique("bench") + ".");
        let connection = Connection::plain(&brokers, &prefix)?;
        let topics = Topics::single(&connection, NonZeroU32::new(partitions).ok_or("no partitions")?);
        topics.apply(&Admin::new(&connection)?).await?;
        let asking = connection.config().set("group.id", &prefix).create()?;
        Ok(Self { brokers, redis: servers.redis.url(), prefix, topics, connection, asking })
    }

    /// How many partitions its topics have.
    pub(crate) fn partitions(&self) -> i32 {
        i32::try_from(self.topics.partitions.get()).unwrap_or(i32::MAX)
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn name(&self, topic: Topic) -> &str {
        self.topics.names.of(topic)
    }

    /// Records of a topic, in all its partitions: nothing is ever removed from them here.
    pub(crate) fn count(&self, topic: &str) -> Result<i64, Failure> {
        let mut count = 0;
        for partition in 0..self.partitions() {
            count += self.asking.fetch_watermarks(topic, partition, Duration::from_secs(10))?.1;
        }
        Ok(count)
    }

    /// Records a second that come into a topic until there are so many: from a tenth on, because
    /// joining a group takes seconds whatever is done after it.
    pub(crate) fn pace(&self, topic: &str, total: i64) -> Result<f64, Failure> {
        let deadline = Instant::now() + LONGEST;
        let mut begun = None;
        loop {
            let count = self.count(topic)?;
            let now = Instant::now();
            if begun.is_none() && count * 10 >= total {
                begun = Some((count, now));
            }
            let (from, since) = begun.unwrap_or((0, now));
            if count >= total && from < total {
                return Ok((total - from) as f64 / now.duration_since(since).as_secs_f64());
            }
            if now > deadline {
                return Err(format!("{topic} has {count} records of {total} after {LONGEST:?}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Produces values, spread over the partitions as `place` says.
    pub(crate) fn fill(&self, topic: &str, values: impl Iterator<Item = Filling>) -> Result<(), Failure> {
        let producer = Producer::new(&self.connection, &ProducerOptions::default())?;
        let none = core::iter::empty::<(&str, &[u8])>;
        for (partition, key, value) in values {
            let record = Outgoing { topic, partition: Some(partition), key: key.as_deref(), value: &value };
            while let Err(error) = producer.produce_with(record, none(), |_| {}) {
                if error != flk_log::kafka::NotQueued::Full {
                    return Err(error.into());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let deadline = Instant::now() + LONGEST;
        while producer.in_flight() > 0 {
            if Instant::now() > deadline {
                return Err(format!("{topic} could not be filled").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
