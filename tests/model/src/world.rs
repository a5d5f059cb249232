//! What a search is about: how many of everything there may be, when things can happen, which faults strike.
//!
//! Time is a handful of instants that the scenario names, in minutes since its beginning. All that is decided
//! about time is decided on real log times: by `settle` and `stands` of the contract.

use std::sync::Arc;

use flk_contract::{Digest, LogId, LogTime, Origin, Outcome, Position, settle, settle::stands};

use crate::{
    rules::{Rule, Rules},
    state::{Held, NONE, Record, State},
};

/// Minutes of an hour.
pub const HOUR: i64 = 60;
/// Minutes of a day.
pub const DAY: i64 = 24 * HOUR;
/// How long pcs.raw and pcs.verified are kept.
const LOG_KEPT: i64 = 16 * DAY;
/// By how much later than that a head is gone: deletion goes by whole segments (`segment.ms` of a day).
const CUT_WITHIN: i64 = DAY;

/// What can go wrong, as often as the scenario's budget says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A sink is killed; its index stays as it was written.
    Crash,
    /// A sink is killed, and its index falls back to what was on the disk.
    PowerLoss,
    /// A sink's index is gone, or found damaged or of another log.
    LoseIndex,
    /// The group's offsets are gone: reading begins at the earliest.
    ResetOffsets,
    /// A produce lands and its acknowledgement does not come.
    LoseAck,
    /// A produce never lands.
    LoseProduce,
    /// The replica, as far as it has come, is the primary.
    FailOver,
    /// The read side is empty.
    Flush,
    /// The read side is out of reach for a while.
    Outage,
}

/// The bounds of one search.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is called in what is printed.
    pub name: &'static str,
    /// Sinks, each with an index of its own. Nothing keeps any of them from working at any time.
    pub sinks: usize,
    /// Different records of pcs.raw.
    pub records: usize,
    /// Offsets of pcs.verified: more than records means that some are verified twice.
    pub offsets: usize,
    /// Different ids.
    pub ids: u8,
    /// The instants at which things happen, in minutes, ascending.
    pub instants: &'static [i64],
    /// How many offsets a sink folds beyond what it has done with.
    pub ahead: usize,
    /// How many produces are under way at a time.
    pub flights: usize,
    /// How many faults strike in all.
    pub faults: u8,
    /// Which ones.
    pub may: &'static [Fault],
    /// Whether there is a read side.
    pub read_side: bool,
    /// How many days pcs.results is kept.
    pub results_kept: i64,
    /// Whether it is compacted.
    pub compacts: bool,
}

/// A scenario, the rules that hold in it, and the records that it is about, as the contract sees them.
pub struct World {
    /// The bounds.
    pub scenario: Scenario,
    /// The rules.
    pub rules: Rules,
    instants: Vec<LogTime>,
    /// By record and instant of its coming into pcs.raw.
    origins: Vec<Vec<Origin>>,
    /// What is said: every other record says the same.
    contents: [Digest; 2],
}

impl World {
    /// The world of a scenario under rules.
    pub fn new(scenario: &Scenario, rules: Rules) -> Self {
        let log = LogId::new("model");
        let topic: Arc<str> = "pcs.raw".into();
        let instants: Vec<LogTime> =
            scenario.instants.iter().map(|minutes| LogTime::from_millis(minutes * 60_000)).collect();
        // Offsets of pcs.raw say nothing about the order in pcs.verified.
        let origin = |record: usize, appended_at: LogTime| Origin {
            position: Position { log: log.clone(), topic: topic.clone(), partition: 0, offset: record as i64 },
            appended_at,
        };
        let origins =
            (0..scenario.records).map(|record| instants.iter().map(|at| origin(record, *at)).collect()).collect();
        Self {
            scenario: scenario.clone(),
            rules,
            instants,
            origins,
            contents: [Digest::of(b"one"), Digest::of(b"other")],
        }
    }

    /// Whether `rule` holds.
    pub fn has(&self, rule: Rule) -> bool {
        self.rules.has(rule)
    }

    /// Whether the scenario has that fault, and the state may still suffer one.
    pub fn may(&self, state: &State, fault: Fault) -> bool {
        state.faults > 0 && self.scenario.may.contains(&fault)
    }

    fn minutes(&self, instant: u8) -> i64 {
        self.scenario.instants[usize::from(instant)]
    }

    /// Minutes from one instant to another.
    pub fn between(&self, from: u8, to: u8) -> i64 {
        self.minutes(to) - self.minutes(from)
    }

    /// Whether what was settled by a record of that instant stands at another: the contract's own word.
    pub fn stands(&self, origin: u8, at: u8) -> bool {
        stands(self.instants[usize::from(origin)], self.instants[usize::from(at)])
    }

    /// Whether it has expired, or will within an hour.
    pub fn ending(&self, origin: u8, now: u8) -> bool {
        let soon = LogTime::from_millis((self.minutes(now) + HOUR) * 60_000);
        !stands(self.instants[usize::from(origin)], soon)
    }

    /// Whether two results of one id are two in one window.
    pub fn clash(&self, one: Record, other: Record) -> bool {
        one.id == other.id && self.stands(one.instant.min(other.instant), one.instant.max(other.instant))
    }

    /// Whether what pcs.verified or pcs.raw took then may be deleted.
    pub fn may_cut(&self, taken: u8, now: u8) -> bool {
        self.between(taken, now) > LOG_KEPT
    }

    /// Whether it is deleted, whatever the segments.
    pub fn must_cut(&self, taken: u8, now: u8) -> bool {
        self.between(taken, now) > LOG_KEPT + CUT_WITHIN
    }

    /// Whether what pcs.results took then may be deleted.
    pub fn may_forget(&self, landed: u8, now: u8) -> bool {
        let days = if self.has(Rule::ResultsOutlive) { self.scenario.results_kept } else { 16 };
        self.between(landed, now) > days * DAY
    }

    /// What the record at an offset of pcs.verified is to its id, by the real `settle`.
    pub fn settle(&self, state: &State, offset: u8, held: Held) -> Outcome {
        self.settle_by(state, offset, held, self.has(Rule::TooOld))
    }

    fn settle_by(&self, state: &State, offset: u8, held: Held, too_old: bool) -> Outcome {
        let entry = state.verified[usize::from(offset)];
        let origin = self.origin(state, entry.record);
        let stored = (held.record != NONE).then(|| (self.origin(state, held.record), self.content(held.record)));
        let settled_at = if too_old { self.instants[usize::from(entry.instant)] } else { origin.appended_at };
        settle(origin, self.content(entry.record), stored, settled_at)
    }

    fn origin(&self, state: &State, record: u8) -> &Origin {
        let record = usize::from(record);
        &self.origins[record][usize::from(state.records[record].instant)]
    }

    fn content(&self, record: u8) -> &Digest {
        &self.contents[usize::from(record) % 2]
    }

    /// Who wins: the fold over all that pcs.verified ever took, up to an offset, by somebody who forgets
    /// nothing. Calls `each` with every winner, in order.
    pub fn winners(&self, state: &State, mut each: impl FnMut(Held)) {
        let mut held = [Held::default(); crate::state::IDS];
        for (offset, entry) in (0_u8..).zip(state.verified.iter()) {
            let id = usize::from(state.records[usize::from(entry.record)].id);
            if self.settle_by(state, offset, held[id], true) == Outcome::Settles {
                held[id] = Held { record: entry.record, offset };
                each(held[id]);
            }
        }
    }
}
