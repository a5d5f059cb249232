//! Kafka for all roles: connecting, topics, producing, consuming as a member of a group, and pcs.raw as
//! the log (design, "Kafka"). The only room that knows Kafka's client library; what a record means is
//! decided elsewhere.
//!
//! Nothing here blocks the async runtime: what a client library can only ask by waiting is asked on
//! threads of its own, with a deadline. Nothing waits for Kafka to be there either: whoever asks too
//! early is told so and asks again.
//!
//! # How to use it
//!
//! ```no_run
//! use core::{num::NonZeroU32, time::Duration};
//! use flk_log::{
//!     kafka::{Admin, Connection, Consumer, ConsumerOptions, Event, KafkaLog, LogOptions, Outgoing, Producer,
//!         ProducerOptions, Settings, Tail, TailOptions, Topics, TopicsWatch},
//!     topic::{Headers, Topic},
//! };
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! // Settings, checked; one for the process.
//! let connection = Connection::new(&Settings { brokers: "localhost:9092".into(), ..Settings::default() })?;
//! let topics = Topics::production(&connection);
//!
//! // `flk topics apply` and `check`; readiness of every role is `watch.health()`.
//! let admin = Admin::new(&connection)?;
//! let applied = topics.apply(&admin).await?;
//! let differences = topics.check(&admin).await?;
//! let watch = TopicsWatch::start(&connection, &topics)?;
//! let log_id = admin.cluster_id(Duration::from_secs(10)).await?;
//!
//! // ingest: the port, and where an answer goes.
//! let log = KafkaLog::open(&connection, &topics, &LogOptions::default(), Duration::from_secs(10)).await?;
//! // let ticket = log.append_with(record, Some(reply_to)).await?; let appended = ticket.durable().await?;
//! // Answers come by: what is produced to one partition from now on; see [`Tail`].
//! let options = TailOptions::new(topics.names.of(Topic::Replies), 3);
//! let tail = Tail::start(&connection, options, |tailed| println!("{tailed:?}"))?;
//!
//! // Every role that produces.
//! let producer = Producer::new(&connection, &ProducerOptions::default())?;
//! let record = Outgoing {
//!     topic: topics.names.of(Topic::Verified), partition: Some(7), key: Some(b"acme/00"), value: b"{}",
//! };
//! let headers = Headers::default();
//! let pairs = headers.encode(Topic::Verified);
//! let placed = producer.produce(record, pairs.iter().map(|(name, value)| (*name, value)))?.await?;
//!
//! // Every role that consumes: see [`Consumer`].
//! let options = ConsumerOptions::new(connection.group("flk-verifier"), topics.names.of(Topic::Raw));
//! let consumer = Consumer::start(&connection, options)?;
//! while let Ok(event) = consumer.events().recv_async().await {
//!     match event {
//!         Event::Assigned(assigned) => {
//!             consumer.control().read_from(assigned.partition, assigned.generation, assigned.resume());
//!         }
//!         Event::Record(record) => {
//!             consumer.control().done(record.partition, record.generation, record.offset);
//!         }
//!         Event::Revoked { .. } | Event::Gap { .. } => {}
//!     }
//! }
//! // At the end: producer.flush(..) first, then consumer.close(..). `failed()` of either ends the process.
//! # Ok(()) }
//! ```

mod admin;
mod connection;
mod consumer;
mod failure;
mod headers;
mod log;
mod producer;
mod reader;
mod scan;
mod tail;
mod topics;
mod watch;

pub use admin::{Admin, AskError};
pub use connection::{Connection, Invalid, Settings};
pub use consumer::{Assigned, Budget, Consumer, ConsumerOptions, Control, Event, Record};
pub use log::{KafkaLog, LogOptions};
pub use producer::{Delivery, NotQueued, Outgoing, Placed, ProduceError, Producer, ProducerOptions};
pub use scan::{Scan, Scanned, offset_at};
pub use tail::{Tail, TailOptions, TailRecord, Tailed};
pub use topics::{Applied, Difference, TopicSpec, Topics};
pub use watch::TopicsWatch;
