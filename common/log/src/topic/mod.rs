//! What is on the topics: their names, the headers and the values of their records, and the schemas of
//! both. Pure: bytes in, types out, and back.
//!
//! Each topic has one type: [`Verified`], [`ResultEntry`], [`Refused`] and [`Reply`]; the value of pcs.raw
//! is a body as it came. Whoever encodes can be decoded exactly, and whatever is decoded is bounded and
//! checked, because other programs produce to these topics too.
//!
//! Every record says in a header ([`headers::SCHEMA`]) which schema its value has. Within one version
//! fields are only added, and readers ignore those that they do not know; anything else is a new version,
//! which a reader of the old one refuses. `docs/topics.md` says it for people, [`schema`] for programs.
//!
//! This room knows no broker, no client library, no partition count and no clock.

pub mod asyncapi;
mod error;
pub mod headers;
mod json;
mod names;
mod refused;
mod replies;
mod results;
pub mod schema;
mod verified;

use core::time::Duration;

use flk_contract::{Facts, limits::BODY_BYTES_MAX};

pub use error::{Undecodable, Unencodable};
pub use headers::{Headers, ReplyId, ReplyTo};
pub use names::{BadPrefix, TopicNames};
pub use refused::Refused;
pub use replies::Reply;
pub use results::{ResultEntry, VerifiedAt};
pub use verified::Verified;

/// Largest record of any topic, headers included: a body and 64 KiB. One number for producers, topics
/// and consumers, so that whatever one takes the next one takes too.
pub const RECORD_BYTES_MAX: usize = BODY_BYTES_MAX + 64 * 1024;
/// Largest value of every topic but pcs.raw: several times what the longest fields come to.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The five topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The log: bodies as they came.
    Raw,
    /// Accepted records, judged.
    Verified,
    /// One settled result an id.
    Results,
    /// What settled nothing.
    Refused,
    /// Answers on their way to waiting requests.
    Replies,
}

impl Topic {
    /// All of them, in the order in which a record meets them.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Verified, Self::Results, Self::Refused, Self::Replies];

    /// Its name, before any prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "pcs.raw",
            Self::Verified => "pcs.verified",
            Self::Results => "pcs.results",
            Self::Refused => "pcs.refused",
            Self::Replies => "pcs.replies",
        }
    }

    /// The schema of its values, as the header [`headers::SCHEMA`] of its records says it. Its number
    /// changes only with what an older reader can not read.
    pub const fn schema(self) -> &'static str {
        match self {
            Self::Raw => "pcs.raw/1",
            Self::Verified => "pcs.verified/1",
            Self::Results => "pcs.results/1",
            Self::Refused => "pcs.refused/1",
            Self::Replies => "pcs.replies/1",
        }
    }

    /// How the topic is cleaned up (`cleanup.policy`).
    pub const fn cleanup(self) -> &'static [&'static str] {
        match self {
            Self::Results => &["compact", "delete"],
            Self::Raw | Self::Verified | Self::Refused | Self::Replies => &["delete"],
        }
    }

    /// For how long its records are kept. Results outlast everything that could be settled against them,
    /// because a lost index is loaded from them: a record comes up to 14 days after the result, may be
    /// verified 14 days after that, and is kept for 16 days from then; and two days more (`docs/model.md`).
    pub const fn retention(self) -> Duration {
        match self {
            Self::Raw | Self::Verified | Self::Refused => DAY.saturating_mul(16),
            Self::Results => DAY.saturating_mul(48),
            Self::Replies => HOUR,
        }
    }

    /// How much of it is in one segment. Deletion goes by segments: with Kafka's seven days, records
    /// would stay for a week longer than what they are settled against.
    pub const fn segment(self) -> Duration {
        match self {
            Self::Raw | Self::Verified | Self::Refused | Self::Results => DAY,
            // What is kept for an hour is removed by the hour, not when a segment of a gigabyte is full.
            Self::Replies => Duration::from_secs(10 * 60),
        }
    }

    /// For how long compaction leaves a record alone, where the topic is compacted: longer than anybody
    /// takes to load an index from it. Else a later copy of a result could remove the one that is about
    /// to be read, and lie beyond where reading ends.
    pub const fn compaction_lag(self) -> Option<Duration> {
        match self {
            Self::Results => Some(DAY),
            Self::Raw | Self::Verified | Self::Refused | Self::Replies => None,
        }
    }

    /// Whether the broker gives its records their time (`message.timestamp.type=LogAppendTime`): where
    /// verdicts and settlement go by it.
    pub const fn is_timed_by_broker(self) -> bool {
        matches!(self, Self::Raw | Self::Verified)
    }

    /// Whether its records are keyed by tenant and id ([`key`]) and lie in the partition of their id
    /// ([`flk_contract::partition()`]).
    pub const fn is_keyed(self) -> bool {
        matches!(self, Self::Verified | Self::Results)
    }

    /// Checks the schema that a record of this topic says it has ([`headers::schema_of`]). One that says
    /// none is taken for version 1: the values themselves are checked in any case.
    ///
    /// # Errors
    /// [`Undecodable::Schema`] for another topic's or another version's.
    pub fn admit(self, schema: Option<&[u8]>) -> Result<(), Undecodable> {
        match schema {
            Some(said) if said != self.schema().as_bytes() => Err(Undecodable::other_schema(self, said)),
            _ => Ok(()),
        }
    }

    /// Reads a value of this topic.
    fn read<'de, T: serde::Deserialize<'de>>(self, schema: Option<&[u8]>, value: &'de [u8]) -> Result<T, Undecodable> {
        self.admit(schema)?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(Undecodable::TooLong { topic: self, bytes: value.len() });
        }
        serde_json::from_slice(value).map_err(|error| Undecodable::json(self, &error))
    }
}

impl core::fmt::Display for Topic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// The key of an id's records in pcs.verified and pcs.results: the tenant, a slash, the id. What
/// compaction goes by. No tenant has a slash, so two ids never share a key.
pub fn key(facts: &Facts) -> String {
    [facts.tenant.as_str(), "/", facts.pcs_id.as_ref()].concat()
}

/// Writes a value: some 900 bytes, one allocation.
fn write(value: &impl serde::Serialize) -> Result<Vec<u8>, Unencodable> {
    let mut bytes = Vec::with_capacity(1024);
    serde_json::to_writer(&mut bytes, value).map_err(|error| Unencodable::Json(error.to_string()))?;
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(Unencodable::TooLong(bytes.len()));
    }
    Ok(bytes)
}
