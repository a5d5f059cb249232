//! How far a store knows one partition, and what a batch makes of that.
//!
//! The rule is written three times, because it must run where the data is: here, in the Lua of the
//! Redis script and in the SQL of the Postgres function. The conformance suite keeps them equal.

use super::{Batch, Published};

/// The marker of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marker {
    /// Everything before it is in the store.
    pub(crate) next: i64,
    /// The greatest end that any writer spoke of since the marker was made. Without it, a writer
    /// that is behind could say ready after a loss that another has noticed.
    pub(crate) goal: i64,
}

/// What a batch makes of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The marker afterwards.
    pub(crate) marker: Marker,
    /// Values from this offset on are set; none where the marker is behind the batch.
    pub(crate) set_from: Option<i64>,
}

impl Marker {
    /// What a batch makes of it.
    pub(crate) fn take(self, batch: &Batch<'_>) -> Taken {
        let goal = self.goal.max(batch.end);
        if self.next >= batch.from {
            Taken { marker: Self { next: self.next.max(batch.to), goal }, set_from: Some(self.next) }
        } else {
            Taken { marker: Self { goal, ..self }, set_from: None }
        }
    }

    /// What it says to writers, and to readers of what is not there.
    pub(crate) fn published(self) -> Published {
        Published { next: self.next, ready: self.next >= self.goal }
    }
}
