//! Which settings each command has: what a role can not use it does not offer.

use super::definitions::{self, Definition, Group};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// All of it: on a log of its own, or over Kafka.
    Serve,
    /// Answers requests, over Kafka.
    Ingest,
    /// Judges records, over Kafka.
    Verifier,
    /// Settles them, over Kafka.
    Sink,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Serve, Self::Ingest, Self::Verifier, Self::Sink];

    /// The command that starts it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Ingest => "ingest",
            Self::Verifier => "verifier",
            Self::Sink => "dedup-sink",
        }
    }

    /// Whether it has this setting.
    pub fn has(self, setting: &Definition) -> bool {
        let one_of = |some: &[Definition]| some.iter().any(|one| one.name == setting.name);
        // Without submissions there are no bodies, and few connections.
        let listens = setting.group == Group::Listening && !one_of(&[definitions::BODY_TIMEOUT]);
        let member = setting.group == Group::Kafka && !one_of(&[definitions::REPLIES_PARTITION]);
        let observed = matches!(setting.group, Group::Metrics | Group::Logging);
        match (self, setting.group) {
            (Self::Serve, _) => true,
            (Self::Ingest, Group::Storage) => false,
            (Self::Ingest, _) => !one_of(&[definitions::INSTANCE, definitions::QUEUE_LENGTH]),
            (Self::Verifier, Group::Topics | Group::Signing) => true,
            (Self::Sink, Group::Topics | Group::ReadSide) => true,
            (Self::Sink, Group::Storage) => !one_of(&[definitions::RETENTION]),
            (Self::Verifier | Self::Sink, _) => listens || member || observed,
        }
    }
}

/// Which settings a command has.
pub trait Which: 'static {
    /// Whether it has this one.
    fn has(setting: &Definition) -> bool;
}

/// The settings of a role: what starts it takes.
pub trait OfRole: Which {
    /// The role.
    const ROLE: Role;
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $role:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Which for $name {
                fn has(setting: &Definition) -> bool {
                    Self::ROLE.has(setting)
                }
            }

            impl OfRole for $name {
                const ROLE: Role = Role::$role;
            }
        )*
    };
}

roles! {
    /// All settings: what a service takes.
    Everything = Serve;
    /// What ingest takes.
    IngestOnly = Ingest;
    /// What a verifier takes.
    VerifierOnly = Verifier;
    /// What a sink takes.
    SinkOnly = Sink;
}

/// How Kafka is reached and its topics are laid out: what makes them.
#[derive(Debug, Clone, Copy)]
pub struct TopicsOnly;

impl Which for TopicsOnly {
    fn has(setting: &Definition) -> bool {
        let member = [definitions::INSTANCE.name, definitions::REPLIES_PARTITION.name];
        matches!(setting.group, Group::Kafka | Group::Topics) && !member.contains(&setting.name)
    }
}

/// The data directory alone: what reads a log.
#[derive(Debug, Clone, Copy)]
pub struct DataDirOnly;

impl Which for DataDirOnly {
    fn has(setting: &Definition) -> bool {
        setting.name == definitions::DATA_DIR.name
    }
}

/// How long records are kept, alone: what makes a log smaller.
#[derive(Debug, Clone, Copy)]
pub struct RetentionOnly;

impl Which for RetentionOnly {
    fn has(setting: &Definition) -> bool {
        setting.name == definitions::RETENTION.name
    }
}

/// The data directory, and what signatures are judged by: what judges a log again.
#[derive(Debug, Clone, Copy)]
pub struct JudgingOnly;

impl Which for JudgingOnly {
    fn has(setting: &Definition) -> bool {
        DataDirOnly::has(setting) || setting.group == Group::Signing
    }
}

/// What judges a log again, wherever it is: what [`JudgingOnly`] and [`TopicsOnly`] have together.
#[derive(Debug, Clone, Copy)]
pub struct ReplayOnly;

impl Which for ReplayOnly {
    fn has(setting: &Definition) -> bool {
        JudgingOnly::has(setting) || TopicsOnly::has(setting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_what_it_can_use_and_no_more() {
        for (role, has, has_not) in [
            (Role::Ingest, &["TOKEN_RATE", "REDIS_ADDR", "PCS_HMAC_KEY"][..], &["WAL_DIR", "FLK_INDEX_DIR"][..]),
            (Role::Verifier, &["KAFKA_BROKERS", "PCS_HMAC_KEY", "PORT"], &["REDIS_ADDR", "TOKEN_RATE", "WAL_DIR"]),
            (Role::Sink, &["REDIS_ADDR", "FLK_INDEX_DIR", "WAL_DIR"], &["PCS_HMAC_KEY", "TOKEN_RATE", "FLK_RETENTION"]),
        ] {
            let of = |name: &&str| role.has(definitions::ALL.iter().find(|setting| setting.name == *name).unwrap());
            assert!(has.iter().all(of), "{role:?}");
            assert!(!has_not.iter().any(of), "{role:?}");
        }
        for role in Role::ALL {
            for group in [Group::Kafka, Group::Topics, Group::Metrics, Group::Logging] {
                assert!(definitions::ALL.iter().any(|setting| setting.group == group && role.has(setting)), "{role:?}");
            }
        }
    }

    #[test]
    fn what_makes_topics_has_what_they_are_made_of() {
        for setting in definitions::ALL {
            let topics = matches!(setting.group, Group::Kafka | Group::Topics) && !setting.name.starts_with("FLK_");
            assert_eq!(TopicsOnly::has(setting), topics, "{}", setting.name);
        }
    }
}
