//! What a read side is about, and what it takes: the checks that are the same for every store.

use core::{num::NonZeroU32, time::Duration};
use std::sync::Arc;

use flk_contract::{LogId, Origin, Position, Settled, limits::WINDOW, partition};

use super::{Batch, ENTRIES_MAX, ReadSideError, value};
use crate::codec::IdKey;

/// Offsets beyond it are not whole numbers to every store (Lua's numbers are doubles).
const OFFSET_MAX: i64 = 1 << 53;

/// Which results a read side holds. It is the same for all of them, so it is not in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The log.
    pub log: LogId,
    /// The topic of origins: pcs.raw, with its prefix.
    pub topic: Arc<str>,
    /// How many partitions pcs.verified has: fixed for ever.
    pub partitions: NonZeroU32,
    /// How long a result is kept from its origin's log time on: the whole 14 days that it stands,
    /// or less to save memory. An id that has left a shorter window is a miss like any other.
    pub keep: Duration,
}

impl Subject {
    /// What a marker is about. A store may have been another topic's, for all topics with the same
    /// prefix of keys, or of the same one with another number of partitions.
    pub(crate) fn source(&self) -> String {
        format!("{} {} {}", self.partitions, self.topic, self.log)
    }

    /// When a result expires, in milliseconds since 1970.
    pub(crate) fn expires(&self, settled: &Settled) -> i64 {
        settled.origin.appended_at.after(self.keep.min(WINDOW)).millis()
    }

    /// The partition of an id.
    pub(crate) fn partition(&self, tenant: &flk_contract::Tenant, pcs_id: &str) -> u32 {
        partition(tenant, pcs_id, self.partitions)
    }

    /// Whether a result's origin is a record of this log.
    pub(crate) fn holds(&self, origin: &Origin) -> bool {
        let Position { log, topic, .. } = &origin.position;
        (log, topic) == (&self.log, &self.topic)
    }

    /// Checks a batch; gives what is to be set, in order.
    ///
    /// # Errors
    /// [`ReadSideError::Refused`]: published, it would make the store say what its log does not.
    pub(crate) fn admit(&self, batch: &Batch<'_>) -> Result<Vec<Admitted>, ReadSideError> {
        let Batch { partition, from, to, end, entries } = *batch;
        if partition >= self.partitions.get() {
            return refuse(format!("there are {} partitions, and number {partition} came", self.partitions));
        }
        if !(0 <= from && from <= to && to <= end && end < OFFSET_MAX) {
            return refuse(format!("0 <= from <= to <= end < 2^53 must hold: {from}, {to}, {end}"));
        }
        if entries.len() > ENTRIES_MAX {
            return refuse(format!("at most {ENTRIES_MAX} entries at a time, and {} came", entries.len()));
        }
        let mut least = from;
        let admit = |entry: &crate::Entry| {
            let (offset, settled) = (entry.offset, &entry.settled);
            let facts = &settled.facts;
            if !(least..to).contains(&offset) {
                return refuse(format!("offset {offset} is not one of {least} to {to}, exclusive, in order"));
            }
            least = offset + 1;
            if !self.holds(&settled.origin) {
                let at = &settled.origin.position;
                return refuse(format!(
                    "it is about {} of log {}, and a result of {} of log {} came",
                    self.topic, self.log, at.topic, at.log
                ));
            }
            let Some(key) = IdKey::new(&facts.tenant, &facts.pcs_id) else {
                return refuse("a settled id is 64 lower-case hex digits, and another came".into());
            };
            let of = self.partition(&facts.tenant, &facts.pcs_id);
            if of != partition {
                return refuse(format!("the id at {offset} belongs to partition {of}, not to {partition}"));
            }
            let stored = value::encode(settled).map_err(|why| ReadSideError::Refused(why.to_string()))?;
            Ok(Admitted { offset, key, expires: self.expires(settled), stored })
        };
        entries.iter().map(admit).collect()
    }
}

/// An entry as it is set.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// Its offset in pcs.verified.
    pub(crate) offset: i64,
    /// Tenant and id.
    pub(crate) key: IdKey,
    /// When it expires, in milliseconds since 1970.
    pub(crate) expires: i64,
    /// The rest.
    #[cfg_attr(
        not(any(feature = "redis", feature = "postgres")),
        allow(dead_code, reason = "memory keeps results as they are")
    )]
    pub(crate) stored: value::Stored,
}

fn refuse<T>(why: String) -> Result<T, ReadSideError> {
    Err(ReadSideError::Refused(why))
}
