//! Where a service over Kafka and Redis stands: which servers, and which topics on them.

use std::{ffi::OsString, process::Command, sync::Arc};

use flk_log::topic::{Topic, TopicNames};
use flk_servers::{Redis, RedisOptions, shared, unique};

use crate::setup::flk;

/// Partitions of pcs.verified and pcs.results: enough that ids fall into several, few enough that
/// topics are made in no time.
pub const PARTITIONS: u32 = 4;
/// Partitions of pcs.raw.
pub const RAW_PARTITIONS: u32 = 3;
/// Partitions of pcs.replies.
pub const REPLIES_PARTITIONS: u32 = 2;

/// Topics of its own on a Kafka, and a Redis. Cheap to clone: clones stand at the same place.
#[derive(Debug, Clone)]
pub struct Stand {
    brokers: String,
    prefix: String,
    redis_url: String,
    redis: Option<Arc<Redis>>,
}

impl Stand {
    /// New topics on the Kafka that all tests of a binary share, and a Redis of its own, which is up
    /// in some milliseconds.
    ///
    /// # Panics
    /// Where a server can not be started, or the topics not be made.
    pub fn shared() -> Self {
        let redis = Redis::start(&RedisOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        let brokers = shared::kafka().unwrap_or_else(|error| panic!("{error}"));
        Self::at(&brokers, Arc::new(redis))
    }

    /// New topics at these brokers.
    ///
    /// # Panics
    /// Where they can not be made.
    pub fn at(brokers: &str, redis: Arc<Redis>) -> Self {
        let stand =
            Self { brokers: brokers.to_owned(), prefix: unique("t") + ".", redis_url: redis.url(), redis: Some(redis) };
        stand.apply();
        stand
    }

    /// Where no server is: for what ends before it asks any.
    pub(crate) fn nowhere() -> Self {
        let nobody = "127.0.0.1:9";
        Self { brokers: nobody.into(), prefix: String::new(), redis_url: format!("redis://{nobody}"), redis: None }
    }

    /// The same topics and groups by way of other addresses: a proxy's.
    #[must_use]
    pub fn by_way_of(mut self, brokers: &str, redis_url: &str) -> Self {
        (self.brokers, self.redis_url) = (brokers.to_owned(), redis_url.to_owned());
        self
    }

    /// `flk topics apply`.
    fn apply(&self) {
        let mut command = Command::new(flk());
        let output = command.env_clear().envs(self.environment()).args(["topics", "apply"]).output().unwrap();
        assert!(output.status.success(), "flk topics apply: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What every process is told.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, OsString)> {
        let number = |n: u32| OsString::from(n.to_string());
        [
            ("KAFKA_BROKERS", OsString::from(&self.brokers)),
            ("KAFKA_TOPIC_PREFIX", OsString::from(&self.prefix)),
            ("KAFKA_PARTITIONS", number(PARTITIONS)),
            ("KAFKA_RAW_PARTITIONS", number(RAW_PARTITIONS)),
            ("KAFKA_REPLIES_PARTITIONS", number(REPLIES_PARTITIONS)),
            ("KAFKA_REPLICATION", number(1)),
            ("KAFKA_MIN_INSYNC", number(1)),
            ("REDIS_ADDR", OsString::from(&self.redis_url)),
        ]
        .into_iter()
    }

    /// `bootstrap.servers`.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// What the names of topics and groups begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The Redis.
    ///
    /// # Panics
    /// Where there is none.
    pub fn redis(&self) -> &Redis {
        self.redis.as_ref().expect("there is a Redis")
    }

    /// The address of the Redis.
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The name of a topic.
    ///
    /// # Panics
    /// Never.
    pub fn topic(&self, topic: Topic) -> String {
        TopicNames::new(&self.prefix).unwrap().of(topic).to_string()
    }
}
