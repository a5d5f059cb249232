//! What all results of one index share, and what an index takes.

use std::sync::Arc;

use flk_contract::{LogId, LogTime, Origin, Position, Settled};

use crate::{ResultsError, codec::IdKey};

/// The partition of a log that an index is about. It is the same for all its results, and so is
/// kept once, not in each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The log.
    pub log: LogId,
    /// The topic in it.
    pub topic: Arc<str>,
    /// The partition of the topic.
    pub partition: i32,
}

impl Place {
    /// The origin of a record of this partition.
    pub fn origin(&self, offset: i64, appended_at: LogTime) -> Origin {
        let Self { log, topic, partition } = self.clone();
        Origin { position: Position { log, topic, partition, offset }, appended_at }
    }

    /// Whether a record at that origin is one of this partition.
    pub fn holds(&self, origin: &Origin) -> bool {
        let Position { log, topic, partition, offset: _ } = &origin.position;
        (log, topic, *partition) == (&self.log, &self.topic, self.partition)
    }

    /// Checks what an index at `current` is asked to apply; gives the keys of the ids.
    ///
    /// # Errors
    /// [`ResultsError::Refused`]: applied, these would make the index say what its log does not.
    pub(crate) fn admit(&self, settled: &[Settled], next: i64, current: i64) -> Result<Vec<IdKey>, ResultsError> {
        if next < current {
            return refuse(format!("its end never goes back: it is {current}, and {next} came"));
        }
        let key = |result: &Settled| {
            let at = &result.origin.position;
            if !self.holds(&result.origin) {
                return refuse(format!(
                    "it is about {}/{} of log {}, and a result of {}/{} of log {} came",
                    self.topic, self.partition, self.log, at.topic, at.partition, at.log
                ));
            }
            if at.offset >= next {
                return refuse(format!("its end {next} must lie beyond every offset in it, and {} came", at.offset));
            }
            IdKey::new(&result.facts.tenant, &result.facts.pcs_id)
                .map_or_else(|| refuse("a settled id is 64 lower-case hex digits, and another came".into()), Ok)
        };
        settled.iter().map(key).collect()
    }
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{} of log {}", self.topic, self.partition, self.log)
    }
}

fn refuse<T>(why: String) -> Result<T, ResultsError> {
    Err(ResultsError::Refused(why))
}
