//! Kafka's log against the list of claims that every log has to meet.

use core::time::Duration;
use std::sync::Arc;

use flk_log::{
    Log,
    conformance::{HandClock, Subject},
    kafka::{Connection, KafkaLog, LogOptions},
    log_conformance,
};
use tokio::{runtime::Handle, task::block_in_place};

use crate::support;

struct Kafka(Connection);

impl Kafka {
    fn new() -> Self {
        Self(support::connection("conformance"))
    }
}

impl Subject for Kafka {
    // The broker's own clock is what counts.
    fn open(&self, _: Arc<HandClock>) -> Arc<dyn Log> {
        let open = async {
            // One partition: the claims are about one line of offsets.
            let topics = support::topics(&self.0, 1).await;
            KafkaLog::open(&self.0, &topics, &LogOptions::default(), Duration::from_secs(30)).await.unwrap()
        };
        Arc::new(block_in_place(|| Handle::current().block_on(open)))
    }

    fn persists(&self) -> bool {
        true
    }

    fn first(&self) -> i64 {
        0
    }
}

log_conformance!(kafka, Kafka::new());
