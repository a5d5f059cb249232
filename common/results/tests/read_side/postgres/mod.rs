//! In Postgres: the suite on a real server, each test with a schema of its own, and what becomes of
//! it when that fails.

mod access;
mod faults;

use async_trait::async_trait;
use flk_contract::LogTime;
use flk_results::{
    read_side::{Access, PostgresReadSide, PostgresSettings, Subject, conformance::Fixture},
    read_side_conformance,
};
use tokio_postgres::{Client, NoTls};

use crate::support::until;

/// A schema on the server that all tests share.
pub(crate) struct Schema {
    name: String,
}

impl Schema {
    pub(crate) async fn new() -> Self {
        let schema = Self { name: flk_servers::unique("test") };
        schema.sql(&format!("CREATE SCHEMA \"{}\"", schema.name)).await;
        schema
    }

    pub(crate) fn url(&self) -> String {
        format!("{}?options=-csearch_path%3D{}", flk_servers::shared::postgres().unwrap(), self.name)
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap();
    }

    async fn time(&self) -> LogTime {
        let asked = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        LogTime::from_millis(self.client().await.query_one(asked, &[]).await.unwrap().get(0))
    }
}

#[async_trait]
impl Fixture for Schema {
    type Side = PostgresReadSide;

    async fn open(&self, subject: &Subject) -> PostgresReadSide {
        PostgresReadSide::new(subject.clone(), &PostgresSettings::new(self.url(), Access::Publish)).unwrap()
    }

    async fn lose(&self) {
        self.sql("TRUNCATE flk_results, flk_markers").await;
    }

    async fn now(&self) -> LogTime {
        self.time().await
    }

    async fn reach(&self, time: LogTime) {
        until("the server's clock is there", async || self.time().await > time).await;
    }
}

read_side_conformance!(suite, Schema::new().await);
