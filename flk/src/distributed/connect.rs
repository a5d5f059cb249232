//! From settings to what connects: Kafka and the read side. Whatever can be wrong without asking them is
//! wrong here.

use core::num::NonZeroU32;
use std::sync::Arc;

use flk_contract::LogId;
use flk_log::{
    kafka::{self, Admin, Connection, Invalid, Topics},
    topic::{Topic, TopicNames},
};
use flk_results::read_side::{
    Access, BadSetting, PostgresReadSide, PostgresSettings, ReadSide, RedisReadSide, RedisSettings, Subject,
};
use flk_service::settings::{self, Distributed, Layout, Store};
use zeroize::Zeroizing;

use crate::Failure;

/// Settings with which everything can be connected, as far as that can be known beforehand.
pub(crate) struct Checked {
    pub(super) connection: Connection,
    pub(super) topics: Topics,
    pub(super) admin: Admin,
    pub(super) roles: Distributed,
}

impl Checked {
    /// Nothing is asked of anybody; the sink's directory is made.
    ///
    /// # Errors
    /// The first setting that has to be changed.
    pub(crate) fn new(roles: &Distributed) -> Result<Self, Failure> {
        check(roles)?;
        let connection = connection(&roles.kafka)?;
        let topics = topics(&connection, &roles.kafka.layout);
        let admin = admin(&connection)?;
        if let Some(sink) = &roles.sink {
            std::fs::create_dir_all(&sink.index_dir).map_err(|error| {
                Failure::mistake(format!(
                    "the index's directory {} can not be made ({error}); set FLK_INDEX_DIR to one that can",
                    sink.index_dir.display()
                ))
            })?;
        }
        Ok(Self { connection, topics, admin, roles: roles.clone() })
    }
}

/// Whether all of it can be used. Nothing is asked of anybody.
///
/// # Errors
/// The first setting that has to be changed.
pub(crate) fn check(roles: &Distributed) -> Result<(), Failure> {
    let connection = connection(&roles.kafka)?;
    admin(&connection)?;
    let names = connection.names();
    if let Some(sink) = &roles.sink {
        read_side(&sink.read_side, names, roles.kafka.layout.partitions, &LogId::new(""), Access::Publish)?;
    }
    if let Some(ingest) = &roles.ingest {
        read_side(&ingest.read_side, names, roles.kafka.layout.partitions, &LogId::new(""), Access::Read)?;
        let there = roles.kafka.layout.replies_partitions;
        if let Some(partition) = ingest.replies_partition
            && u32::try_from(partition).is_ok_and(|partition| partition >= there.get())
        {
            return Err(Failure::mistake(format!(
                "FLK_REPLIES_PARTITION is {partition}, but must be below KAFKA_REPLIES_PARTITIONS, which is {there}"
            )));
        }
    }
    Ok(())
}

/// How Kafka is reached.
pub(crate) fn connection(of: &settings::Kafka) -> Result<Connection, Failure> {
    let secret = |secret: &settings::Secret| Zeroizing::new(secret.expose().to_owned());
    let settings = kafka::Settings {
        brokers: of.brokers.clone(),
        security_protocol: Some(of.security_protocol.clone()),
        sasl_mechanism: of.sasl_mechanism.clone(),
        sasl_username: of.sasl_username.clone(),
        sasl_password: of.sasl_password.as_ref().map(secret),
        ssl_ca: of.ca.clone(),
        ssl_cert: of.certificate.clone(),
        ssl_key: of.key.as_ref().map(secret),
        topic_prefix: of.topic_prefix.clone(),
    };
    Connection::new(&settings).map_err(|Invalid { name, what }| Failure::mistake(format!("{name}: {what}")))
}

/// What the topics have to be.
pub(crate) fn topics(connection: &Connection, layout: &Layout) -> Topics {
    let Layout { partitions, raw_partitions, replies_partitions, replication, min_insync } = *layout;
    let names = connection.names().clone();
    Topics { names, partitions, raw_partitions, replies_partitions, replication, min_insync }
}

/// Who asks Kafka. A certificate that can not be read shows here.
pub(crate) fn admin(connection: &Connection) -> Result<Admin, Failure> {
    Admin::new(connection).map_err(|error| Failure::mistake(format!("no client of Kafka can be made: {error}")))
}

/// Where settled results are read back. Nothing is asked of it yet.
pub(super) fn read_side(
    of: &settings::ReadSide,
    names: &TopicNames,
    partitions: NonZeroU32,
    log: &LogId,
    access: Access,
) -> Result<Arc<dyn ReadSide>, Failure> {
    let subject = Subject { log: log.clone(), topic: names.of(Topic::Raw).clone(), partitions, keep: of.window };
    let bad = |setting: &str| {
        let setting = setting.to_owned();
        move |error: BadSetting| Failure::mistake(format!("{setting}: {error}"))
    };
    Ok(match &of.store {
        Store::Redis(redis) => {
            let mut settings = RedisSettings::new(redis.address.expose());
            settings.ca = redis.ca.as_ref().map(|pem| pem.as_bytes().to_vec());
            let certificate = redis.certificate.as_ref();
            settings.client_certificate =
                certificate.map(|(pem, key)| (pem.as_bytes().to_vec(), key.expose().to_owned()));
            settings.prefix.clone_from(&redis.prefix);
            Arc::new(RedisReadSide::new(subject, &settings).map_err(bad("REDIS_ADDR and what goes with it"))?)
        }
        Store::Postgres { connection } => {
            let settings = PostgresSettings::new(connection.expose(), access);
            Arc::new(PostgresReadSide::new(subject, &settings).map_err(bad("POSTGRES_CONN"))?)
        }
    })
}
