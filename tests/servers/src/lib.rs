//! Real servers for tests: Kafka, Redis and Postgres as child processes on the loopback address, and a proxy that
//! puts faults between.
//!
//! Nothing in here knows flk, or a client library: tests bring their clients. Nothing is ever skipped: what is not
//! installed is an [`Error`] that says how to get it, and `scripts/setup servers` gets all of it: Debian's
//! redis-server and postgresql, and Kafka's jars by Maven. Docker is not used.
//!
//! # One server for all tests of a binary
//!
//! What needs no fault takes the shared server and names of its own ([`shared`], [`unique`]). With `FLK_TEST_KAFKA`,
//! `FLK_TEST_REDIS` or `FLK_TEST_POSTGRES` set it is the one that they name.
//!
//! ```no_run
//! let bootstrap = flk_servers::shared::kafka()?;
//! let topic = flk_servers::unique("raw");
//! # Ok::<(), flk_servers::Error>(())
//! ```
//!
//! # A server of its own, for faults
//!
//! ```no_run
//! use flk_servers::{Cluster, Direction, Kafka, KafkaOptions, Listeners, Stop, Tool};
//!
//! let options = KafkaOptions { cluster: Cluster::Three, listeners: Listeners::Proxied, ..KafkaOptions::default() };
//! let kafka = Kafka::start(&options)?;
//! kafka.tool(Tool::Topics, &["--create", "--topic", "t", "--replication-factor", "3"])?;
//! let leader = kafka.in_sync("t")?[0].leader;
//! kafka.stop_broker(0, Stop::Kill)?; // or Stop::Term, or pause and resume
//! kafka.start_broker(0)?;
//! // Clients at kafka.proxied_bootstrap(): what they send arrives, what is answered does not.
//! kafka.proxy(1)?.stall(Direction::ToClient);
//! kafka.proxy(1)?.cut();
//! kafka.proxy(1)?.resume();
//! # Ok::<(), flk_servers::Error>(())
//! ```
//!
//! [`Redis`] is flushed, killed, restarted with or without its data, paused, and failed over to a [`Replica`] that
//! lags; [`Postgres`] is stopped, started and paused; a [`Proxy`] goes before either.
//!
//! # What a server costs
//!
//! A broker is up in about four seconds, with 250 MiB; three take about ten seconds on two cores. Redis is up in
//! some milliseconds, Postgres in two seconds. All of them end with the process that started them, even if it is
//! killed, and their directories (under the system's temporary directory) go with them.

mod error;
mod home;
mod install;
mod kafka;
mod port;
mod postgres;
mod process;
mod proxy;
mod redis;
pub mod shared;
mod tls;
mod wait;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};

pub use error::{Error, Result};
pub use kafka::{
    AutoCreate, Cluster, Kafka, KafkaOptions, Listeners, Metadata, Node, Partition, Permission, Secure, Tool, User,
};
pub use postgres::Postgres;
pub use process::Stop;
pub use proxy::{Direction, Proxy};
pub use redis::{Redis, RedisOptions, RedisTls, Replica, Reply};
pub use tls::{Authority, Identity};

/// A name that no other test, process or run has: for topics, groups and keys on a server that is shared.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Keyed anew for each: from the system's randomness at first, and counted on.
    let number = RandomState::new().hash_one((std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    format!("{prefix}-{number:016x}")
}
