//! What a member knows of its partitions. No client in here: what is to be done about it is returned.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use flume::Sender;

use super::{Assigned, Budget, ConsumerOptions, Event, lookup::Question};
use crate::{
    kafka::failure::{Failure, Trouble},
    ledger::{Done, Generation, Held, Ledger, NextOffset},
};

/// What the polling thread, the one that asks, and the role have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) topic: Arc<str>,
    pub(super) group: String,
    pub(super) failure: Failure,
    pub(super) trouble: Trouble,
    pub(super) events: Sender<Event>,
    pub(super) questions: Sender<Question>,
    stopped: AtomicBool,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(options: &ConsumerOptions, events: Sender<Event>, questions: Sender<Question>) -> Self {
        Self {
            topic: options.topic.clone(),
            group: options.group.clone(),
            failure: Failure::new(),
            trouble: Trouble::default(),
            events,
            questions,
            stopped: AtomicBool::new(false),
            state: Mutex::new(State::new(options.budget)),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Tells the role; one that is gone is not told.
    pub(super) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// Where a partition that this member has is on its way.
#[derive(Debug)]
enum Phase {
    /// What is committed is being asked.
    Asked,
    /// The role was told, and has not said where to begin.
    Told(Assigned),
    /// It is read.
    Read(Reading),
}

#[derive(Debug)]
struct Reading {
    ledger: Ledger,
    // Where the next record should be.
    expected: i64,
    // The first of all was delivered.
    begun: bool,
    paused: bool,
    // A hole is being looked into; one at a time.
    looking: bool,
}

#[derive(Debug)]
struct Owned {
    generation: Generation,
    phase: Phase,
}

/// The partitions of a member.
#[derive(Debug)]
pub(super) struct State {
    budget: Budget,
    last: Generation,
    owned: BTreeMap<i32, Owned>,
    /// The group has this member, with or without partitions.
    pub(super) joined: bool,
    /// Records are taken.
    pub(super) taking: bool,
}

/// What is to be done about a record that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It is delivered; then the partition is paused, if that is said.
    Deliver {
        generation: Generation,
        pause: bool,
        /// Offsets are missing before it.
        hole: Option<Hole>,
    },
    /// It is nobody's: of an assignment that is over, or delivered before.
    Drop,
}

/// Offsets that were expected and did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) expected: i64,
    pub(super) found: i64,
}

impl State {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, last: Generation(0), owned: BTreeMap::new(), joined: false, taking: true }
    }

    /// A partition came; what is committed is to be asked.
    pub(super) fn assigned_now(&mut self, partition: i32) -> Generation {
        self.last = Generation(self.last.0 + 1);
        self.owned.insert(partition, Owned { generation: self.last, phase: Phase::Asked });
        self.last
    }

    /// A partition goes; its generation, and whether the client reads it.
    pub(super) fn revoked(&mut self, partition: i32) -> Option<(Generation, bool)> {
        let owned = self.owned.remove(&partition)?;
        Some((owned.generation, matches!(owned.phase, Phase::Read(_))))
    }

    /// The committed offset is known; whether anybody still wants to know.
    pub(super) fn known(&mut self, assigned: Assigned) -> bool {
        match self.owned.get_mut(&assigned.partition) {
            Some(Owned { generation, phase: phase @ Phase::Asked }) if *generation == assigned.generation => {
                *phase = Phase::Told(assigned);
                true
            }
            _ => false,
        }
    }

    /// Whether this assignment still waits for its committed offset.
    pub(super) fn is_asked(&self, partition: i32, generation: Generation) -> bool {
        let owned = self.owned.get(&partition);
        owned.is_some_and(|owned| owned.generation == generation && matches!(owned.phase, Phase::Asked))
    }

    /// The role says where to begin; what it was told before, if it may.
    pub(super) fn begin(&mut self, partition: i32, generation: Generation, offset: i64) -> Option<Assigned> {
        let owned = self.owned.get_mut(&partition).filter(|owned| owned.generation == generation)?;
        let Phase::Told(assigned) = owned.phase else { return None };
        // A committed offset beyond the end is of a topic that was made anew: it holds nothing back.
        let committed = assigned.committed.map(|NextOffset(offset)| NextOffset(offset.min(assigned.high)));
        owned.phase = Phase::Read(Reading {
            ledger: Ledger::new(generation, committed),
            // A place that is not kept is told by itself; the client goes on at the first that is.
            expected: if assigned.keeps(offset) { offset } else { assigned.low },
            begun: false,
            paused: false,
            looking: false,
        });
        Some(assigned)
    }

    pub(super) fn came(&mut self, partition: i32, offset: i64, bytes: usize) -> Came {
        let (share, taking) = (self.share(), self.taking);
        let Some(Owned { generation, phase: Phase::Read(reading) }) = self.owned.get_mut(&partition) else {
            return Came::Drop;
        };
        if !taking || reading.ledger.admit(offset, bytes).is_err() {
            return Came::Drop;
        }
        let hole = Hole { expected: reading.expected, found: offset };
        // Before the first record of a reading anything may have happened; between two, offsets grow.
        let is_hole = hole.found > hole.expected || (!reading.begun && hole.found < hole.expected);
        let hole = (is_hole && !reading.looking).then_some(hole);
        reading.looking |= hole.is_some();
        (reading.begun, reading.expected) = (true, offset.saturating_add(1));
        let held = reading.ledger.held();
        let pause = !reading.paused && (held.records >= share.records || held.bytes >= share.bytes);
        reading.paused |= pause;
        Came::Deliver { generation: *generation, pause, hole }
    }

    /// The hole was looked into.
    pub(super) fn looked(&mut self, partition: i32, generation: Generation) -> bool {
        match self.owned.get_mut(&partition) {
            Some(Owned { generation: now, phase: Phase::Read(reading) }) if *now == generation => {
                reading.looking = false;
                true
            }
            _ => false,
        }
    }

    /// What each partition may hold. At least two, so that half of it is one.
    fn share(&self) -> Budget {
        let partitions = self.owned.len().max(1);
        Budget { records: (self.budget.records / partitions).max(2), bytes: (self.budget.bytes / partitions).max(2) }
    }

    pub(super) fn done(&mut self, partition: i32, generation: Generation, offset: i64) -> Done {
        match self.owned.get_mut(&partition) {
            Some(Owned { phase: Phase::Read(reading), .. }) => reading.ledger.done(generation, offset),
            _ => Done::Stale,
        }
    }

    /// What is to be committed, of all partitions.
    pub(super) fn take_committable(&mut self) -> Vec<(i32, NextOffset)> {
        let take = |(partition, owned): (&i32, &mut Owned)| match &mut owned.phase {
            Phase::Read(reading) => Some((*partition, reading.ledger.take_committable()?)),
            Phase::Asked | Phase::Told(_) => None,
        };
        self.owned.iter_mut().filter_map(take).collect()
    }

    /// Partitions that were paused and hold no more than half of their share: not each record that is
    /// done pauses and resumes, because what a paused one had fetched is thrown away.
    pub(super) fn take_resumable(&mut self) -> Vec<i32> {
        let share = self.share();
        if !self.taking {
            return Vec::new();
        }
        let take = |(partition, owned): (&i32, &mut Owned)| {
            let Phase::Read(reading) = &mut owned.phase else { return None };
            let held = reading.ledger.held();
            let resume = reading.paused && held.records <= share.records / 2 && held.bytes <= share.bytes / 2;
            reading.paused &= !resume;
            resume.then_some(*partition)
        };
        self.owned.iter_mut().filter_map(take).collect()
    }

    /// Partitions that are read and not paused, which are to be now.
    pub(super) fn take_pausable(&mut self) -> Vec<i32> {
        let take = |(partition, owned): (&i32, &mut Owned)| match &mut owned.phase {
            Phase::Read(reading) => (!core::mem::replace(&mut reading.paused, true)).then_some(*partition),
            Phase::Asked | Phase::Told(_) => None,
        };
        self.owned.iter_mut().filter_map(take).collect()
    }

    pub(super) fn held(&self) -> Held {
        let mut all = Held::default();
        for owned in self.owned.values() {
            if let Phase::Read(reading) = &owned.phase {
                let held = reading.ledger.held();
                all = Held { records: all.records + held.records, bytes: all.bytes + held.bytes };
            }
        }
        all
    }

    pub(super) fn assigned(&self) -> Vec<(i32, Generation)> {
        self.owned.iter().map(|(partition, owned)| (*partition, owned.generation)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(budget: Budget, partitions: i32) -> (State, Vec<Generation>) {
        let mut state = State::new(budget);
        let generations: Vec<_> = (0..partitions).map(|partition| state.assigned_now(partition)).collect();
        for (partition, generation) in (0..).zip(&generations) {
            let assigned = Assigned { partition, generation: *generation, committed: None, low: 0, high: 100 };
            assert!(state.known(assigned));
            assert!(!state.known(assigned), "told once");
            assert!(state.begin(partition, *generation, 0).is_some());
        }
        (state, generations)
    }

    fn paused(came: &Came) -> bool {
        matches!(came, Came::Deliver { pause: true, .. })
    }

    #[test]
    fn one_partition_that_is_stuck_uses_up_its_own_share_only() {
        let (mut state, generations) = reading(Budget { records: 8, bytes: 1000 }, 2);
        let came: Vec<_> = (0..4).map(|offset| paused(&state.came(0, offset, 1))).collect();
        assert_eq!(came, [false, false, false, true]);
        for offset in 0..100 {
            assert!(!paused(&state.came(1, offset, 1)));
            assert_eq!(state.done(1, generations[1], offset), Done::Noted);
        }
        assert!(state.take_resumable().is_empty());
        state.done(0, generations[0], 0);
        assert!(state.take_resumable().is_empty());
        state.done(0, generations[0], 1);
        assert_eq!(state.take_resumable(), [0]);
        assert!(state.take_resumable().is_empty());
    }

    #[test]
    fn bytes_pause_as_records_do() {
        let (mut state, _) = reading(Budget { records: 1000, bytes: 100 }, 1);
        assert!(!paused(&state.came(0, 0, 99)));
        assert!(paused(&state.came(0, 1, 1)));
    }

    #[test]
    fn what_is_said_of_an_assignment_that_is_over_moves_nothing() {
        let (mut state, old) = reading(Budget::default(), 1);
        assert!(matches!(state.came(0, 0, 1), Came::Deliver { .. }));
        assert_eq!(state.revoked(0), Some((old[0], true)));
        assert_eq!(state.revoked(0), None);
        assert_eq!(state.came(0, 1, 1), Came::Drop);
        assert_eq!(state.done(0, old[0], 0), Done::Stale);
        let new = state.assigned_now(0);
        assert!(new > old[0]);
        let late = Assigned { partition: 0, generation: old[0], committed: None, low: 0, high: 1 };
        assert!(!state.known(late));
        assert!(state.known(Assigned { generation: new, ..late }));
        assert!(state.begin(0, old[0], 0).is_none());
        assert!(state.begin(0, new, 0).is_some());
        assert!(state.begin(0, new, 0).is_none(), "once");
        assert!(matches!(state.came(0, 0, 1), Came::Deliver { .. }));
        assert_eq!(state.done(0, old[0], 0), Done::Stale);
        assert!(state.take_committable().is_empty());
        assert_eq!(state.done(0, new, 0), Done::Noted);
        assert_eq!(state.take_committable(), [(0, NextOffset(1))]);
    }

    #[test]
    fn a_hole_is_seen_once_until_it_was_looked_into() {
        let (mut state, generations) = reading(Budget::default(), 1);
        let hole = |came: Came| match came {
            Came::Deliver { hole, .. } => hole.map(|hole| (hole.expected, hole.found)),
            Came::Drop => panic!("dropped"),
        };
        assert_eq!(hole(state.came(0, 3, 1)), Some((0, 3)));
        assert_eq!(hole(state.came(0, 5, 1)), None, "it is being looked into");
        assert!(state.looked(0, generations[0]));
        assert_eq!(hole(state.came(0, 6, 1)), None);
        assert_eq!(hole(state.came(0, 8, 1)), Some((7, 8)));
    }

    #[test]
    fn nothing_is_taken_after_the_word_to_stop_taking() {
        let (mut state, generations) = reading(Budget::default(), 1);
        assert!(matches!(state.came(0, 0, 1), Came::Deliver { .. }));
        state.taking = false;
        assert_eq!(state.came(0, 1, 1), Came::Drop);
        assert_eq!(state.take_pausable(), [0]);
        assert!(state.take_resumable().is_empty());
        assert_eq!(state.done(0, generations[0], 0), Done::Noted);
        assert_eq!(state.take_committable(), [(0, NextOffset(1))]);
        assert_eq!(state.held(), Held::default());
    }
}
