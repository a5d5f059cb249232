//! What the fold is told about a record, and what it says.

use std::sync::Arc;

use flk_contract::{Code, LogTime, Origin, Outcome, Settled, wire::State};

/// A record as it comes to be settled.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Where it came into the log, and its log time.
    pub origin: &'a Origin,
    /// Its offset in the partition that is folded: the log's own, or that of the topic of verified
    /// records.
    pub offset: i64,
    /// The log time of that offset: when the record reached settlement.
    pub settled_at: LogTime,
}

impl<'a> Arrival<'a> {
    /// A record that is settled where it came into the log, and as it came.
    pub fn in_log(origin: &'a Origin) -> Self {
        Self { origin, offset: origin.position.offset, settled_at: origin.appended_at }
    }
}

/// The result that stands for an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The offset, in the partition that is folded, of the record that settled it.
    pub offset: i64,
    /// The result.
    pub settled: Arc<Settled>,
}

/// What became of one record, and the result that stands for its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The record's offset in the partition that is folded.
    pub offset: i64,
    /// What the record is to its id; `None` if its verdict settles nothing.
    pub outcome: Option<Outcome>,
    /// Settled (also when its own origin is met again), duplicate, conflict or refused.
    pub state: State,
    /// The verdict's code, or `conflict`, or `too_old`.
    pub code: Code,
    /// The result that stands; `None` if the record was refused.
    pub standing: Option<Standing>,
}

impl Settlement {
    pub(crate) fn refused(offset: i64, outcome: Option<Outcome>, code: Code) -> Self {
        Self { offset, outcome, state: State::Refused, code, standing: None }
    }

    /// Whether the result that stands was settled further on. The index was ahead then, and this
    /// record was done with when it was met first. Nothing of it takes effect again: it may have
    /// settled the id itself, so that it is no duplicate and no conflict, and the result that stands
    /// may not have been told to anybody yet.
    pub fn was_done_before(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.offset > self.offset)
    }
}
