//! Kafka: how it is reached, how its topics are laid out. What Kafka makes of the words is checked by
//! whoever connects, since only builds with Kafka in them can.

use core::num::{NonZeroU16, NonZeroU32};

use super::{
    Secret, SettingsError,
    definitions::{self, Definition},
    reader::Reader,
    values,
};

/// Where Kafka is, and what is there.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `HOST:PORT`, several with commas.
    pub brokers: String,
    /// How connections are secured.
    pub security_protocol: String,
    /// How to log in; `None` where nobody said.
    pub sasl_mechanism: Option<String>,
    /// Who logs in.
    pub sasl_username: Option<String>,
    /// The password.
    pub sasl_password: Option<Secret>,
    /// Whom to trust; a path, or PEM text.
    pub ca: Option<String>,
    /// The client's own certificate; a path, or PEM text.
    pub certificate: Option<String>,
    /// Its key; a path, or PEM text.
    pub key: Option<Secret>,
    /// What the names of topics and groups begin with.
    pub topic_prefix: String,
    /// The topics.
    pub layout: Layout,
}

/// How the topics are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Partitions of pcs.verified and pcs.results.
    pub partitions: NonZeroU32,
    /// Partitions of pcs.raw and pcs.refused.
    pub raw_partitions: NonZeroU32,
    /// Partitions of pcs.replies.
    pub replies_partitions: NonZeroU32,
    /// How many brokers keep each record.
    pub replication: NonZeroU16,
    /// How many of them have a record before it counts as there; no more than keep it.
    pub min_insync: NonZeroU16,
}

/// Kafka; `None` where no brokers are set.
pub(super) fn load(reader: &mut Reader<'_>) -> Result<Option<Kafka>, SettingsError> {
    let text = |reader: &mut Reader<'_>, setting: &'static Definition| -> Result<Option<String>, SettingsError> {
        Ok(reader.optional(setting)?.map(|found| found.value.to_string()))
    };
    let secret = |reader: &mut Reader<'_>, setting: &'static Definition| -> Result<Option<Secret>, SettingsError> {
        Ok(reader.optional(setting)?.map(|found| Secret::new(found.value.as_str())))
    };
    let brokers = text(reader, &definitions::BROKERS)?;
    let security_protocol = reader.found(&definitions::SECURITY_PROTOCOL)?.value.to_string();
    let sasl_mechanism = text(reader, &definitions::SASL_MECHANISM)?;
    let sasl_username = text(reader, &definitions::SASL_USERNAME)?;
    let sasl_password = secret(reader, &definitions::SASL_PASSWORD)?;
    let ca = text(reader, &definitions::KAFKA_CA)?;
    let certificate = text(reader, &definitions::KAFKA_CERT)?;
    let key = secret(reader, &definitions::KAFKA_KEY)?;
    let topic_prefix = text(reader, &definitions::TOPIC_PREFIX)?.unwrap_or_default();
    let layout = layout(reader)?;
    Ok(brokers.map(|brokers| Kafka {
        brokers,
        security_protocol,
        sasl_mechanism,
        sasl_username,
        sasl_password,
        ca,
        certificate,
        key,
        topic_prefix,
        layout,
    }))
}

fn layout(reader: &mut Reader<'_>) -> Result<Layout, SettingsError> {
    let partitions = reader.get(&definitions::PARTITIONS, values::partitions)?;
    let raw_partitions = reader.get(&definitions::RAW_PARTITIONS, values::partitions)?;
    let replies_partitions = reader.get(&definitions::REPLIES_PARTITIONS, values::partitions)?;
    let replication = reader.get(&definitions::REPLICATION, values::copies)?;
    let usual = NonZeroU16::MIN.saturating_add(1).min(replication);
    let min_insync = match reader.optional(&definitions::MIN_INSYNC)? {
        None => usual,
        Some(found) => {
            let min_insync = found.parse(values::copies)?;
            if min_insync > replication {
                return Err(found.refuse(format_args!(
                    "must be at most {} ({}), or no record would ever be durable",
                    definitions::REPLICATION.name,
                    replication
                )));
            }
            min_insync
        }
    };
    reader.came_to(&definitions::MIN_INSYNC, min_insync);
    Ok(Layout { partitions, raw_partitions, replies_partitions, replication, min_insync })
}
