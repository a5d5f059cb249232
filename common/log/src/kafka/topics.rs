//! The five topics as they have to be: what creates them, and what says how they differ.

use core::time::Duration;
use std::{
    collections::{BTreeSet, HashMap},
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    time::Instant,
};

use super::{
    admin::{Admin, AskError, Configs, Found},
    connection::Connection,
};
use crate::topic::{RECORD_BYTES_MAX, Topic, TopicNames};

/// How long a change may take until the brokers that are asked have heard of it.
const HEARD: Duration = Duration::from_secs(5);

/// How the topics are laid out. Partition counts are chosen once: which partition an id is in depends
/// on them.
#[derive(Debug, Clone)]
pub struct Topics {
    /// Their names.
    pub names: TopicNames,
    /// Partitions of pcs.verified and pcs.results, fixed for ever.
    pub partitions: NonZeroU32,
    /// Partitions of pcs.raw and pcs.refused.
    pub raw_partitions: NonZeroU32,
    /// Partitions of pcs.replies: best one for each instance of ingest.
    pub replies_partitions: NonZeroU32,
    /// How many brokers keep each record.
    pub replication: NonZeroU16,
    /// How many of them have a record before it counts as there.
    pub min_insync: NonZeroU16,
}

const fn count(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

const fn copies(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).expect("not zero")
}

impl Topics {
    /// What production has: 48 partitions, three copies of which two count.
    pub fn production(connection: &Connection) -> Self {
        Self {
            names: connection.names().clone(),
            partitions: count(48),
            raw_partitions: count(48),
            replies_partitions: count(12),
            replication: copies(3),
            min_insync: copies(2),
        }
    }

    /// For one broker: one copy, and so many partitions of each topic.
    pub fn single(connection: &Connection, partitions: NonZeroU32) -> Self {
        Self {
            partitions,
            raw_partitions: partitions,
            replies_partitions: partitions,
            replication: copies(1),
            min_insync: copies(1),
            ..Self::production(connection)
        }
    }

    /// How many partitions a topic has.
    pub fn partitions_of(&self, topic: Topic) -> NonZeroU32 {
        match topic {
            Topic::Verified | Topic::Results => self.partitions,
            Topic::Raw | Topic::Refused => self.raw_partitions,
            Topic::Replies => self.replies_partitions,
        }
    }

    /// What each topic has to be.
    pub fn spec(&self) -> Vec<TopicSpec> {
        Topic::ALL.into_iter().map(|topic| self.spec_of(topic)).collect()
    }

    fn spec_of(&self, topic: Topic) -> TopicSpec {
        let mut configs = vec![
            ("cleanup.policy", topic.cleanup().join(",")),
            ("retention.ms", topic.retention().as_millis().to_string()),
            ("segment.ms", topic.segment().as_millis().to_string()),
            ("max.message.bytes", RECORD_BYTES_MAX.to_string()),
            ("min.insync.replicas", self.min_insync.to_string()),
            // A broker that missed records never leads: offsets would repeat with other records.
            ("unclean.leader.election.enable", "false".into()),
        ];
        if topic.is_timed_by_broker() {
            configs.push(("message.timestamp.type", "LogAppendTime".into()));
        }
        if let Some(lag) = topic.compaction_lag() {
            configs.push(("min.compaction.lag.ms", lag.as_millis().to_string()));
        }
        TopicSpec {
            topic,
            name: self.names.of(topic).clone(),
            partitions: self.partitions_of(topic),
            replication: self.replication,
            configs,
        }
    }

    /// How the cluster's topics differ from what they have to be; empty where all is well.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn check(&self, admin: &Admin) -> Result<Vec<Difference>, AskError> {
        let mut differences = Vec::new();
        for (spec, found) in self.look(admin).await? {
            match found {
                None => differences.push(spec.missing()),
                Some((found, configs)) => spec.compare(&found, &configs, &mut differences),
            }
        }
        Ok(differences)
    }

    async fn look(&self, admin: &Admin) -> Result<Vec<(TopicSpec, Option<(Found, Configs)>)>, AskError> {
        let mut topics = admin.topics().await?;
        let specs: Vec<_> = self.spec().into_iter().map(|spec| (topics.remove(&*spec.name), spec)).collect();
        let there: Vec<&str> = specs.iter().filter(|(found, _)| found.is_some()).map(|(_, spec)| &*spec.name).collect();
        // Asked for no topic, a client says that the request is not one.
        let mut configs = if there.is_empty() { Vec::new() } else { admin.configs(&there).await? }.into_iter();
        let look = |(found, spec): (Option<Found>, TopicSpec)| {
            (spec, found.map(|found| (found, configs.next().unwrap_or_default())))
        };
        Ok(specs.into_iter().map(look).collect())
    }

    /// Creates the topics that are missing and sets what is set otherwise; never changes a partition
    /// count, and leaves settings alone that none of this is about.
    ///
    /// # Errors
    /// Where the cluster does not answer, or does not allow it; also where it was told and nothing changed.
    pub async fn apply(&self, admin: &Admin) -> Result<Applied, AskError> {
        let mut done = Vec::new();
        for (spec, found) in self.look(admin).await? {
            let Some((found, configs)) = found else {
                let partitions = i32::try_from(spec.partitions.get()).unwrap_or(i32::MAX);
                admin.create(&spec.name, partitions, i32::from(spec.replication.get()), &spec.configs).await?;
                done.push(format!("{}: created with {partitions} partitions", spec.name));
                continue;
            };
            let mut differences = Vec::new();
            spec.compare(&found, &configs, &mut differences);
            let changed: Vec<_> = differences.iter().filter_map(|difference| difference.setting.clone()).collect();
            if changed.is_empty() {
                continue;
            }
            let own = configs.into_iter().filter(|(_, (_, own))| *own).map(|(name, (value, _))| (name, value));
            let mut all: HashMap<String, String> = own.collect();
            for (name, value) in &changed {
                all.insert((*name).into(), value.clone());
            }
            admin.set_configs(&spec.name, &all).await?;
            done.extend(changed.into_iter().map(|(name, value)| format!("{}: {name} set to {value}", spec.name)));
        }
        // Brokers hear of a change a little later than whoever made it.
        let deadline = Instant::now() + HEARD;
        loop {
            let left = self.check(admin).await?;
            let Some(still) = left.iter().find(|difference| difference.can_be_applied()) else {
                return Ok(Applied { done, left });
            };
            if Instant::now() >= deadline {
                let why = format!("{still}, and has just tried; allow this user AlterConfigs and Describe on it");
                return Err(AskError(why.into()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// One topic as it has to be.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    /// Which it is.
    pub topic: Topic,
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions.
    pub partitions: NonZeroU32,
    /// How many brokers keep it.
    pub replication: NonZeroU16,
    /// Its settings.
    pub configs: Vec<(&'static str, String)>,
}

/// How one thing about a topic differs. Displayed, it is a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The topic's name.
    pub topic: Arc<str>,
    what: String,
    missing: bool,
    // What would put it right.
    setting: Option<(&'static str, String)>,
}

impl Difference {
    /// Whether [`Topics::apply`] puts it right.
    pub fn can_be_applied(&self) -> bool {
        self.missing || self.setting.is_some()
    }
}

impl core::fmt::Display for Difference {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.topic, self.what)
    }
}

/// What [`Topics::apply`] did, and what it can not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// A sentence for each change.
    pub done: Vec<String>,
    /// What still differs.
    pub left: Vec<Difference>,
}

impl TopicSpec {
    fn differs(&self, what: String, setting: Option<(&'static str, String)>) -> Difference {
        Difference { topic: self.name.clone(), what, missing: false, setting }
    }

    fn missing(&self) -> Difference {
        let what = "is not there, or may not be seen; `flk topics apply` creates it".into();
        Difference { topic: self.name.clone(), what, missing: true, setting: None }
    }

    fn compare(&self, found: &Found, configs: &Configs, into: &mut Vec<Difference>) {
        let (is, wanted) = (found.partitions, self.partitions.get());
        if is != wanted {
            let what = format!(
                "has {is} partitions, {wanted} are set; counts are never changed: set {is}, or begin with another prefix"
            );
            into.push(self.differs(what, None));
        }
        let (is, wanted) = (found.replicas, u32::from(self.replication.get()));
        if is < wanted {
            let what =
                format!("is kept by {is} brokers, {wanted} are set; move its partitions (kafka-reassign-partitions)");
            into.push(self.differs(what, None));
        }
        if configs.is_empty() {
            let what = "its settings can not be read; allow this user DescribeConfigs on it".into();
            into.push(self.differs(what, None));
            return;
        }
        for (name, wanted) in &self.configs {
            let is = configs.get(*name).map_or("", |(value, _)| value.as_str());
            if !is_met(name, is, wanted) {
                let what = format!("{name} is {is:?}, it has to be {wanted}; `flk topics apply` sets it");
                into.push(self.differs(what, Some((name, wanted.clone()))));
            }
        }
    }
}

/// More than asked for is as good where more keeps more.
fn is_met(name: &str, is: &str, wanted: &str) -> bool {
    let list = |text: &str| text.split(',').map(|word| word.trim().to_owned()).collect::<BTreeSet<_>>();
    match name {
        "cleanup.policy" => list(is) == list(wanted),
        "retention.ms" if is == "-1" => true,
        "retention.ms" | "max.message.bytes" | "min.insync.replicas" => {
            match (is.parse::<i64>(), wanted.parse::<i64>()) {
                (Ok(is), Ok(wanted)) => is >= wanted,
                _ => false,
            }
        }
        _ => is == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_production_layout_is_the_designs() {
        let connection = Connection::plain("a:1", "eu.").unwrap();
        let specs = Topics::production(&connection).spec();
        let of = |topic: Topic| specs.iter().find(|spec| spec.topic == topic).unwrap();
        let config = |topic: Topic, name: &str| {
            of(topic).configs.iter().find(|(is, _)| *is == name).map(|(_, value)| value.clone())
        };
        assert_eq!(&*of(Topic::Raw).name, "eu.pcs.raw");
        assert_eq!(of(Topic::Verified).partitions.get(), 48);
        assert_eq!(of(Topic::Results).partitions, of(Topic::Verified).partitions);
        for topic in Topic::ALL {
            assert_eq!(config(topic, "max.message.bytes").unwrap(), "1114112");
            assert_eq!(config(topic, "min.insync.replicas").unwrap(), "2");
            let timed = matches!(topic, Topic::Raw | Topic::Verified);
            assert_eq!(config(topic, "message.timestamp.type").is_some(), timed);
        }
        assert_eq!(config(Topic::Results, "cleanup.policy").unwrap(), "compact,delete");
        assert_eq!(config(Topic::Results, "retention.ms").unwrap(), (32_i64 * 24 * 60 * 60 * 1000).to_string());
    }

    #[test]
    fn more_than_asked_for_is_as_good_where_more_keeps_more() {
        for (name, is, wanted, met) in [
            ("cleanup.policy", "delete,compact", "compact,delete", true),
            ("cleanup.policy", "compact", "compact,delete", false),
            ("retention.ms", "-1", "5", true),
            ("retention.ms", "6", "5", true),
            ("retention.ms", "4", "5", false),
            ("min.insync.replicas", "", "2", false),
            ("message.timestamp.type", "CreateTime", "LogAppendTime", false),
        ] {
            assert_eq!(is_met(name, is, wanted), met, "{name} {is} {wanted}");
        }
    }
}
