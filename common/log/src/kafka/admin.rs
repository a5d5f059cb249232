//! Asking the cluster: who it is, what topics there are, how they are set.

use core::time::Duration;
use std::{collections::HashMap, sync::Arc};

use flk_contract::LogId;
use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication},
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::connection::{ASK, Asking, Connection, words};

/// Why the cluster was not asked, or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AskError(pub Arc<str>);

impl AskError {
    pub(super) fn of(error: &KafkaError) -> Self {
        Self(words(error).into())
    }

    pub(super) fn ended() -> Self {
        Self("the thread that asked Kafka ended".into())
    }
}

/// A topic as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) partitions: u32,
    /// Of the partition that has the fewest.
    pub(super) replicas: u32,
}

/// Settings of a topic, with whether each was set for that topic.
pub(super) type Configs = HashMap<String, (String, bool)>;

/// Asks the cluster, and changes topics. Cheap to clone; connects when it is first used.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<Asking>>,
}

impl Admin {
    /// A client to ask with.
    ///
    /// # Errors
    /// Where the settings make no client (a certificate that can not be read, say).
    pub fn new(connection: &Connection) -> Result<Self, AskError> {
        let mut config = connection.config();
        // Nobody takes log lines off an administrative client: they would stay for ever.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let client = config.create_with_context(Asking).map_err(|error| AskError::of(&error))?;
        Ok(Self { client: Arc::new(client) })
    }

    /// The cluster's id, which is the log's: positions of another cluster never compare equal.
    ///
    /// # Errors
    /// Where no broker answers within `deadline`.
    pub async fn cluster_id(&self, deadline: Duration) -> Result<LogId, AskError> {
        let client = self.client.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let id = client.inner().fetch_cluster_id(deadline);
            id.ok_or_else(|| AskError::of(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown)))
        });
        asked.await.map_err(|_| AskError::ended())?.map(|id| LogId::new(&id))
    }

    /// All topics that there are. All of them are asked for: to ask for one that is not there would
    /// create it, on a broker that allows that.
    pub(super) async fn topics(&self) -> Result<HashMap<String, Found>, AskError> {
        let client = self.client.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = client.inner().fetch_metadata(None, ASK).map_err(|error| AskError::of(&error))?;
            let found = metadata.topics().iter().filter(|topic| topic.error().is_none()).map(|topic| {
                let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
                let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
                let replicas = replicas.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
                (topic.name().to_owned(), Found { partitions, replicas })
            });
            Ok(found.collect())
        });
        asked.await.map_err(|_| AskError::ended())?
    }

    /// The settings of these topics, in their order; empty for one that may not be seen.
    pub(super) async fn configs(&self, topics: &[&str]) -> Result<Vec<Configs>, AskError> {
        let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let described = self.client.describe_configs(&resources, &options()).await;
        let described = described.map_err(|error| AskError::of(&error))?;
        let mut by_name = HashMap::new();
        for resource in described {
            let Ok(resource) = resource else { continue };
            if let rdkafka::admin::OwnedResourceSpecifier::Topic(name) = resource.specifier {
                let entries = resource.entries.into_iter().filter_map(|entry| {
                    let own = entry.source == ConfigSource::DynamicTopic;
                    Some((entry.name, (entry.value?, own)))
                });
                by_name.insert(name, entries.collect::<Configs>());
            }
        }
        Ok(topics.iter().map(|topic| by_name.remove(*topic).unwrap_or_default()).collect())
    }

    /// Creates a topic; one that is there already is none of its business.
    pub(super) async fn create(
        &self,
        name: &str,
        partitions: i32,
        replication: i32,
        configs: &[(&str, String)],
    ) -> Result<(), AskError> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
        for (name, value) in configs {
            topic = topic.set(name, value);
        }
        let results = self.client.create_topics([&topic], &options()).await.map_err(|error| AskError::of(&error))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                    return Err(AskError(
                        format!(
                            "Kafka can not keep {name} {replication} times: it has fewer brokers; set a lower replication"
                        )
                        .into(),
                    ));
                }
                Err((name, code)) => {
                    let why = words(&KafkaError::AdminOp(code));
                    return Err(AskError(format!("Kafka does not create {name}: {why}").into()));
                }
            }
        }
        Ok(())
    }

    /// Sets all settings of a topic: those that are not named go back to their defaults.
    pub(super) async fn set_configs(&self, topic: &str, configs: &HashMap<String, String>) -> Result<(), AskError> {
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        alter.entries.extend(configs.iter().map(|(name, value)| (&**name, &**value)));
        let results = self.client.alter_configs([&alter], &options()).await.map_err(|error| AskError::of(&error))?;
        for result in results {
            if let Err((_, code)) = result {
                let why = words(&KafkaError::AdminOp(code));
                return Err(AskError(format!("Kafka does not change the settings of {topic}: {why}").into()));
            }
        }
        Ok(())
    }
}

impl core::fmt::Debug for Admin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK))
}
