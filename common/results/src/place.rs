//! What all results of one index share, and what an index takes.

use core::num::NonZeroU32;
use std::sync::Arc;

use flk_contract::{LogId, LogTime, Origin, Position, Settled};

use crate::{Entry, ResultsError, codec::IdKey};

/// The partition that an index follows, and where what it settled lies. All of it is the same for
/// all results of the index, and so is kept once, not in each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The log.
    pub log: LogId,
    /// The topic in it that is followed: its offsets order the results of an id.
    pub topic: Arc<str>,
    /// The partition of that topic.
    pub partition: i32,
    /// How many partitions that topic has: it decides which ids are settled in this one.
    pub partitions: NonZeroU32,
    /// The topic of the same log in which origins lie, in any of its partitions.
    pub origins: Arc<str>,
}

impl Place {
    /// The only partition of a log that is followed itself: what it settles are its own records.
    pub fn of_log(log: LogId, topic: &str) -> Self {
        let topic = Arc::<str>::from(topic);
        Self { log, topic: topic.clone(), partition: 0, partitions: NonZeroU32::MIN, origins: topic }
    }

    /// The origin of a record in a partition of the topic of origins.
    pub fn origin(&self, partition: i32, offset: i64, appended_at: LogTime) -> Origin {
        let (log, topic) = (self.log.clone(), self.origins.clone());
        Origin { position: Position { log, topic, partition, offset }, appended_at }
    }

    /// Whether a result's origin may be one of this index.
    pub fn holds(&self, settled: &Settled) -> bool {
        let Position { log, topic, .. } = &settled.origin.position;
        (log, topic) == (&self.log, &self.origins)
    }

    /// Checks what an index that ends at `current` is asked to apply; gives the keys of the ids.
    ///
    /// # Errors
    /// [`ResultsError::Refused`]: applied, these would make the index say what its log does not.
    pub(crate) fn admit(&self, entries: &[Entry], next: i64, current: i64) -> Result<Vec<IdKey>, ResultsError> {
        if next < current {
            return refuse(format!("its end never goes back: it is {current}, and {next} came"));
        }
        if let Some(beyond) = entries.iter().find(|entry| entry.offset >= next) {
            return refuse(format!("its end {next} must lie beyond every offset in it, and {} came", beyond.offset));
        }
        self.keys(entries)
    }

    /// The keys of the ids of entries that belong here.
    ///
    /// # Errors
    /// [`ResultsError::Refused`].
    pub(crate) fn keys(&self, entries: &[Entry]) -> Result<Vec<IdKey>, ResultsError> {
        let key = |Entry { settled, .. }: &Entry| {
            if !self.holds(settled) {
                let at = &settled.origin.position;
                return refuse(format!(
                    "it is about records of {} of log {}, and a result of {} of log {} came",
                    self.origins, self.log, at.topic, at.log
                ));
            }
            IdKey::new(&settled.facts.tenant, &settled.facts.pcs_id)
                .map_or_else(|| refuse("a settled id is 64 lower-case hex digits, and another came".into()), Ok)
        };
        entries.iter().map(key).collect()
    }
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { log, topic, partition, partitions, origins } = self;
        write!(f, "{topic}/{partition} of {partitions} in log {log}")?;
        if origins == topic { Ok(()) } else { write!(f, ", about records of {origins}") }
    }
}

fn refuse<T>(why: String) -> Result<T, ResultsError> {
    Err(ResultsError::Refused(why))
}
