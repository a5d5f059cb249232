//! In Redis: the suite on a real server, and what becomes of it when that fails.

mod access;
mod cluster;
mod faults;
mod memory;

use std::sync::Arc;

use async_trait::async_trait;
use flk_contract::LogTime;
use flk_results::{
    read_side::{
        RedisReadSide, RedisSettings, Subject,
        conformance::{Fixture, subject},
    },
    read_side_conformance,
};
use flk_servers::{Redis, RedisOptions, Reply};

use crate::support::until;

/// A server of its own, with nothing in it.
pub(crate) struct Server(pub(crate) Arc<Redis>);

impl Server {
    pub(crate) fn start() -> Self {
        Self(Arc::new(Redis::start(&RedisOptions::default()).unwrap()))
    }

    /// A read side of it, or of a way to it.
    pub(crate) fn side(url: &str) -> RedisReadSide {
        RedisReadSide::new(subject(), &RedisSettings::new(url)).unwrap()
    }

    pub(crate) fn time(&self) -> LogTime {
        let Reply::Array(Some(time)) = self.0.call(&["TIME"]).unwrap() else { panic!("TIME") };
        let number = |at: usize| time[at].text().parse::<i64>().unwrap();
        LogTime::from_millis(number(0) * 1000 + number(1) / 1000)
    }
}

#[async_trait]
impl Fixture for Server {
    type Side = RedisReadSide;

    async fn open(&self, subject: &Subject) -> RedisReadSide {
        RedisReadSide::new(subject.clone(), &RedisSettings::new(self.0.url())).unwrap()
    }

    async fn lose(&self) {
        self.0.flush().unwrap();
    }

    async fn now(&self) -> LogTime {
        self.time()
    }

    async fn reach(&self, time: LogTime) {
        until("the server's clock is there", async || self.time() > time).await;
    }
}

read_side_conformance!(suite, Server::start());
