//! Asking the cluster: who it is, what topics there are, how they are set.

use core::time::Duration;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use flk_contract::LogId;
use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::connection::{ASK, Connection, explanation, log, words};

/// How long is waited, at first, before it is looked why nothing comes.
const GLANCE: Duration = Duration::from_millis(500);

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

/// Why brokers turn this client away, as far as they or TLS have said: calls only say that nothing came.
#[derive(Default)]
struct Reasons(Mutex<Option<Arc<str>>>);

impl Reasons {
    fn last(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl ClientContext for Reasons {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "kafka client: {reason}");
        if let Some(why) = explanation(&error, reason) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.into());
        }
    }
}

impl ConsumerContext for Reasons {}

type Changing = Arc<AdminClient<DefaultClientContext>>;

/// Asks the cluster, and changes topics. Cheap to clone; connects when it is first used.
///
/// Two clients: one that asks, and is polled, so that what is wrong with the connection comes out of it; and
/// the administrative one, which nobody can poll. It queues each failure to connect until it is dropped, so
/// it is dropped when something fails.
#[derive(Clone)]
pub struct Admin {
    connection: Connection,
    asking: Arc<BaseConsumer<Reasons>>,
    changing: Arc<Mutex<Option<Changing>>>,
}

impl Admin {
    /// A client to ask with.
    ///
    /// # Errors
    /// Where the settings make no client (a certificate that can not be read, say).
    pub fn new(connection: &Connection) -> Result<Self, AskError> {
        let mut config = connection.config();
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let asking = config.create_with_context(Reasons::default()).map_err(|error| AskError::of(&error))?;
        Ok(Self { connection: connection.clone(), asking: Arc::new(asking), changing: Arc::default() })
    }

    /// Asks on a thread that may wait, again and again, longer each time. In between it is looked why nothing
    /// comes: who is turned away need not wait.
    async fn ask<T: Send + 'static>(
        &self,
        deadline: Duration,
        ask: impl Fn(&BaseConsumer<Reasons>, Duration) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, AskError> {
        let client = self.asking.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let until = Instant::now() + deadline;
            let mut patience = GLANCE;
            loop {
                let left = until.saturating_duration_since(Instant::now());
                let asked = ask(&client, patience.min(left));
                while client.poll(Duration::ZERO).is_some() {}
                match (asked, client.context().last()) {
                    (Ok(answer), _) => {
                        client.context().clear();
                        return Ok(answer);
                    }
                    (Err(_), Some(why)) => return Err(AskError(why)),
                    (Err(error), None) if left <= patience || !is_silence(&error) => return Err(AskError::of(&error)),
                    (Err(_), None) => patience *= 2,
                }
            }
        });
        let answer = asked.await.map_err(|_| AskError::ended())?;
        if answer.is_err() {
            self.give_up();
        }
        answer
    }

    fn changing(&self) -> Result<Changing, AskError> {
        let mut client = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let mut config = self.connection.config();
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let new = config.create_with_context(DefaultClientContext).map_err(|error| AskError::of(&error))?;
        Ok(client.insert(Arc::new(new)).clone())
    }

    /// The administrative client goes; the next call makes another.
    fn give_up(&self) {
        let gone = self.changing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(gone) = gone {
            // Its end is waited for, and not here.
            drop(tokio::task::spawn_blocking(move || drop(gone)));
        }
    }

    fn failed(&self, error: &KafkaError) -> AskError {
        self.give_up();
        AskError::of(error)
    }

    /// The cluster's id, which is the log's: positions of another cluster never compare equal.
    ///
    /// # Errors
    /// Where no broker answers within `deadline`, or none lets this client in.
    pub async fn cluster_id(&self, deadline: Duration) -> Result<LogId, AskError> {
        let asked = self.ask(deadline, |client, patience| {
            let id = client.client().fetch_cluster_id(patience);
            id.ok_or(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown))
        });
        Ok(LogId::new(&asked.await?))
    }

    /// All topics that there are. All of them are asked for: to ask for one that is not there would
    /// create it, on a broker that allows that.
    pub(super) async fn topics(&self) -> Result<HashMap<String, Found>, AskError> {
        self.ask(ASK, |client, patience| {
            let metadata = client.fetch_metadata(None, patience)?;
            let found = metadata.topics().iter().filter(|topic| topic.error().is_none()).map(|topic| {
                let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
                let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
                let replicas = replicas.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
                (topic.name().to_owned(), Found { partitions, replicas })
            });
            Ok(found.collect())
        })
        .await
    }

    /// The settings of these topics, in their order; empty for one that may not be seen.
    pub(super) async fn configs(&self, topics: &[&str]) -> Result<Vec<Configs>, AskError> {
        let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let described = self.changing()?.describe_configs(&resources, &options()).await;
        let described = described.map_err(|error| self.failed(&error))?;
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
        let results =
            self.changing()?.create_topics([&topic], &options()).await.map_err(|error| self.failed(&error))?;
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

    /// Sets all settings of a topic: those that are not named go back to their defaults. The client library
    /// does not tell whether they were set: look.
    pub(super) async fn set_configs(&self, topic: &str, configs: &HashMap<String, String>) -> Result<(), AskError> {
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        alter.entries.extend(configs.iter().map(|(name, value)| (&**name, &**value)));
        let asked = self.changing()?.alter_configs([&alter], &options()).await;
        asked.map(drop).map_err(|error| self.failed(&error))
    }
}

/// Nothing came, in time.
fn is_silence(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve)
    )
}

impl core::fmt::Debug for Admin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK))
}
