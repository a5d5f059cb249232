//! What is in the log behind a service, in every shape: read beside it, as any other tool could.

use flk_contract::{LogId, LogTime, Origin, Position};
use flk_log::{
    NewRecord, StoredRecord,
    topic::{Refused, Topic, headers},
};
use serde_json::Value;

use crate::{
    Service, Shape,
    kafka::{self, Consumed},
    log,
};

/// What is kept as the evidence of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The content digest of the record that says something else.
    pub content_sha256: String,
    /// Where the record is whose result stands.
    pub standing: Position,
}

fn place(wal: &Value) -> (i32, i64) {
    let number = |field: &str| wal[field].as_i64().unwrap_or_else(|| panic!("no {field} in {wal}"));
    (i32::try_from(number("partition")).unwrap(), number("offset"))
}

impl Service {
    /// The record at a place that was told, as the log has it.
    ///
    /// # Panics
    /// Where there is none.
    pub fn stored(&self, wal: &Value) -> StoredRecord {
        let (partition, offset) = place(wal);
        match self.stand() {
            None => {
                assert_eq!(partition, 0, "{wal}");
                log::record(self.data(), offset)
            }
            Some(stand) => {
                let log = log_id(&kafka::cluster_id(stand));
                of_kafka(kafka::read_at(stand, Topic::Raw, partition, offset), &log, &stand.topic(Topic::Raw))
            }
        }
    }

    /// Every record, each partition in order.
    ///
    /// # Panics
    /// Where the log can not be read.
    pub fn stored_all(&self) -> Vec<StoredRecord> {
        let Some(stand) = self.stand() else { return log::records(self.data()) };
        let (log, topic) = (log_id(&kafka::cluster_id(stand)), stand.topic(Topic::Raw));
        kafka::read(stand, Topic::Raw).into_iter().map(|record| of_kafka(record, &log, &topic)).collect()
    }

    /// The evidence of the conflict that the record at a place was.
    ///
    /// # Panics
    /// Where there is none.
    pub fn evidence(&self, wal: &Value) -> Evidence {
        let (partition, offset) = place(wal);
        match self.stand() {
            None => {
                let decision = self.stored(wal).decision.unwrap();
                let standing = log::record(self.data(), decision.settled_by.unwrap()).origin.position;
                Evidence { content_sha256: decision.verdict.facts.unwrap().content_sha256.to_string(), standing }
            }
            Some(stand) => {
                let refused = kafka::read(stand, Topic::Refused).into_iter().map(|record| {
                    Refused::decode(record.header(headers::SCHEMA), &record.value)
                        .unwrap_or_else(|error| panic!("{error}"))
                });
                let mut of_it = refused.filter(|refused| {
                    (refused.origin.position.partition, refused.origin.position.offset) == (partition, offset)
                });
                let conflict = of_it.next().unwrap_or_else(|| panic!("nothing about {wal} is in pcs.refused"));
                Evidence {
                    content_sha256: conflict.content_sha256.unwrap().to_string(),
                    standing: conflict.standing.unwrap().position,
                }
            }
        }
    }

    /// The shape in which it runs.
    pub fn shape(&self) -> Shape {
        self.setup_ref().shape()
    }
}

fn log_id(id: &str) -> LogId {
    serde_json::from_value(id.into()).unwrap()
}

fn of_kafka(record: Consumed, log: &LogId, topic: &str) -> StoredRecord {
    let position =
        Position { log: log.clone(), topic: topic.into(), partition: record.partition, offset: record.offset };
    StoredRecord {
        origin: Origin { position, appended_at: LogTime::from_millis(record.timestamp) },
        record: NewRecord {
            tenant: record.text(headers::TENANT),
            request_id: record.text(headers::REQUEST_ID),
            traceparent: record.text(headers::TRACEPARENT),
            body: record.value.into(),
        },
        decision: None,
    }
}
