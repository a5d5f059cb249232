//! One partition of this member: its fold, what the batch at hand brings about, its line, and how far the
//! read side is with it.

use core::time::Duration;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use flk_contract::{Code, Facts, LogTime};
use flk_log::ledger::Generation;
use flk_results::{PartitionIndex, ResultsError};

use super::{
    feed::Feed,
    line::{Line, Waiting},
};
use crate::{Arrival, Fold, Settlement};

/// A partition, from its assignment on.
pub(super) struct Partition {
    pub(super) generation: Generation,
    /// Told to whoever restores it, when it goes.
    given_up: Arc<AtomicBool>,
    /// `None` until its index is there.
    pub(super) settling: Option<Settling>,
}

/// One whose index is there.
pub(super) struct Settling {
    fold: Fold<PartitionIndex>,
    /// From where on what is folded takes effect.
    live: i64,
    /// The first offset that was not folded.
    next: i64,
    /// Folded, and not in the index yet.
    staged: Vec<Waiting>,
    /// Folded without effect, and not in the index yet.
    silent: Vec<i64>,
    pub(super) line: Line,
    pub(super) feed: Feed,
    /// The greatest time of a record that was folded.
    time: Option<LogTime>,
}

/// What a batch leaves to be done, once it is in the index.
pub(super) struct Written {
    /// To be produced.
    pub(super) staged: Vec<Waiting>,
    /// Done without effect.
    pub(super) silent: Vec<i64>,
    /// The partition has come to where it takes effect, with this batch.
    pub(super) restored: bool,
}

impl Partition {
    pub(super) fn new(generation: Generation) -> Self {
        Self { generation, given_up: Arc::default(), settling: None }
    }

    pub(super) fn given_up(&self) -> Arc<AtomicBool> {
        self.given_up.clone()
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

impl Settling {
    pub(super) fn new(index: PartitionIndex, from: i64, live: i64) -> Self {
        Self {
            fold: Fold::new(Arc::new(index)),
            live,
            next: from,
            staged: Vec::new(),
            silent: Vec::new(),
            line: Line::new(live),
            feed: Feed::new(Instant::now()),
            time: None,
        }
    }

    /// Whether records take effect already.
    pub(super) fn is_restored(&self) -> bool {
        self.next >= self.live
    }

    /// Whether what is folded at an offset takes effect.
    pub(super) fn is_live(&self, offset: i64) -> bool {
        offset >= self.live
    }

    pub(super) fn index(&self) -> &PartitionIndex {
        self.fold.index()
    }

    pub(super) fn settle(
        &mut self,
        code: Code,
        facts: &Facts,
        arrival: Arrival<'_>,
    ) -> Result<Settlement, ResultsError> {
        self.time = self.time.max(Some(arrival.settled_at));
        self.fold.settle(code, facts, arrival)
    }

    /// Whether something was folded that is not in the index yet.
    pub(super) fn is_staged(&self) -> bool {
        !(self.staged.is_empty() && self.silent.is_empty())
    }

    /// Takes up what a folded record brings about.
    pub(super) fn stage(&mut self, waiting: Waiting) {
        self.next = waiting.offset + 1;
        self.staged.push(waiting);
    }

    /// The same of one without effect.
    pub(super) fn stage_silent(&mut self, offset: i64) {
        self.next = offset + 1;
        self.silent.push(offset);
    }

    /// Writes what was folded into the index, with its end: one atomic step.
    ///
    /// # Errors
    /// Of the index, which can then not be gone on with.
    pub(super) fn write(&mut self) -> Result<Option<Written>, ResultsError> {
        if !self.is_staged() {
            return Ok(None);
        }
        self.fold.committed(self.next)?;
        let restored = !self.silent.is_empty() && self.is_restored();
        let (staged, silent) = (core::mem::take(&mut self.staged), core::mem::take(&mut self.silent));
        Ok(Some(Written { staged, silent, restored }))
    }

    /// Forgets entries that nothing is settled against any more, by the log's own time.
    pub(super) fn forget(&mut self, keep: Duration, limit: usize) {
        let Some(time) = self.time else { return };
        if let Err(error) = self.fold.forget_older_than(time.before(keep), limit) {
            tracing::warn!(%error, "entries that are too old stay in the index for now");
        }
    }
}
