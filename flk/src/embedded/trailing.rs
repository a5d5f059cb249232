//! An index that is written behind its users: they go on while a thread of its own applies what
//! they handed in, and what has not been applied yet is found beside it.
//!
//! The store syncs and rotates its files now and then, and a batch that meets that takes a hundred
//! times as long as the others. In the log's writer everybody would wait for it; here nobody does.
//! An index is derived, so that nothing told to anybody depends on what is still on its way: after
//! a crash it is restored from the log, as ever.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use flk_contract::Tenant;
use flk_results::{Entry, Index, ResultsError};
use flk_service::{Metrics, metrics::Op};

use super::index::{LiveIndex, Mend};

/// Results that may be on their way; whoever hands in more waits.
const RESULTS_MAX: usize = 16_384;
/// How long one waits at the most: the disk under the index hangs then.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Results that are applied in one step: what came meanwhile goes together.
const STEP: usize = 2_048;

/// The index, and the thread that applies.
pub struct Trailing<I: Mend> {
    shared: Arc<Shared<I>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<I> {
    index: I,
    metrics: Arc<Metrics>,
    /// Held while something is applied or the index is mended: what was taken out of `ahead` before
    /// it was mended must not be applied after.
    applying: Mutex<()>,
    ahead: Mutex<Ahead>,
    /// Something was handed in, or the end was asked for.
    handed_in: Condvar,
    /// Something was applied, or can not be.
    applied: Condvar,
}

/// What the index does not have yet.
struct Ahead {
    /// In order. The first may be the one that is being applied.
    steps: VecDeque<Arc<Step>>,
    /// Results in all of them.
    results: usize,
    /// The lowest offset among them.
    lowest: i64,
    /// The first offset that was not handed in.
    next: i64,
    /// Why nothing more is applied. What is here stays here, to be found, until it is mended.
    failed: Option<ResultsError>,
    ended: bool,
}

/// What is applied at once. Nobody adds to it while that is done.
#[derive(Default)]
struct Step {
    entries: Vec<Entry>,
    next: i64,
    /// The last entry of each id.
    latest: HashMap<(Tenant, Arc<str>), usize>,
}

impl Step {
    fn add(&mut self, entries: &[Entry], next: i64) {
        self.next = next;
        self.entries.reserve(entries.len());
        for entry in entries {
            let facts = &entry.settled.facts;
            self.latest.insert((facts.tenant.clone(), facts.pcs_id.clone()), self.entries.len());
            self.entries.push(entry.clone());
        }
    }
}

impl Ahead {
    fn add(&mut self, entries: &[Entry], next: i64) {
        self.next = next;
        self.results += entries.len();
        self.lowest = entries.iter().map(|entry| entry.offset).fold(self.lowest, i64::min);
        // What is being applied is held by whoever applies it.
        if let Some(last) = self.steps.back_mut().and_then(Arc::get_mut)
            && last.entries.len() + entries.len() <= STEP
        {
            return last.add(entries, next);
        }
        let mut step = Step::default();
        step.add(entries, next);
        self.steps.push_back(Arc::new(step));
    }

    fn find(&self, id: &(Tenant, Arc<str>)) -> Option<&Entry> {
        self.steps.iter().rev().find_map(|step| step.entries.get(*step.latest.get(id)?))
    }

    fn clear(&mut self) {
        self.steps.clear();
        self.results = 0;
        self.lowest = i64::MAX;
    }
}

impl<I: Mend> Trailing<I> {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(index: I, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let ahead = Ahead {
            steps: VecDeque::new(),
            results: 0,
            lowest: i64::MAX,
            next: index.next(),
            failed: None,
            ended: false,
        };
        let shared = Arc::new(Shared {
            index,
            metrics,
            applying: Mutex::new(()),
            ahead: Mutex::new(ahead),
            handed_in: Condvar::new(),
            applied: Condvar::new(),
        });
        let thread = std::thread::Builder::new().name("index-writer".into()).spawn({
            let shared = shared.clone();
            move || {
                // A panic is a fault of the index, too, and ends whoever hands in next.
                let panicked = Panicked(&shared);
                while shared.step() {}
                core::mem::forget(panicked);
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits until all that was handed in by now has been applied, or can not be.
    fn settle(&self) -> Result<(), ResultsError> {
        let busy = |ahead: &mut Ahead| ahead.results > 0 && ahead.failed.is_none();
        let waited = self.shared.applied.wait_timeout_while(self.shared.ahead(), WAIT_MAX, busy);
        match &waited.unwrap_or_else(PoisonError::into_inner).0.failed {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

impl Trailing<LiveIndex> {
    /// Whether what it does not have may have been settled all the same.
    pub fn is_incomplete(&self) -> bool {
        self.shared.ahead().failed.is_some() || self.shared.index.is_incomplete()
    }
}

impl<I: Mend> Drop for Trailing<I> {
    fn drop(&mut self) {
        self.shared.ahead().ended = true;
        self.shared.handed_in.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Tells of a panic when it is dropped.
struct Panicked<'a, I>(&'a Shared<I>);

impl<I> Drop for Panicked<'_, I> {
    fn drop(&mut self) {
        let mut ahead = self.0.ahead();
        ahead.failed = Some(ResultsError::Unavailable("its writer panicked".into()));
        ahead.ended = true;
        self.0.applied.notify_all();
    }
}

impl<I> Shared<I> {
    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        // Every change of it is a few moves that do not panic.
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn applying(&self) -> MutexGuard<'_, ()> {
        self.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Mend> Shared<I> {
    /// Applies what was handed in, or waits for something; whether to go on.
    fn step(&self) -> bool {
        {
            let idle = |ahead: &mut Ahead| !ahead.ended && (ahead.steps.is_empty() || ahead.failed.is_some());
            let ahead = self.handed_in.wait_while(self.ahead(), idle).unwrap_or_else(PoisonError::into_inner);
            if ahead.ended && (ahead.steps.is_empty() || ahead.failed.is_some()) {
                return false;
            }
        }
        let _applying = self.applying();
        let Some(step) = self.ahead().steps.front().cloned() else { return true };
        let started = Instant::now();
        let came = self.index.apply(&step.entries, step.next);
        self.metrics.dedup_op(Op::Apply, started.elapsed());
        let mut ahead = self.ahead();
        match came {
            Ok(()) => {
                ahead.steps.pop_front();
                ahead.results -= step.entries.len();
                if ahead.results == 0 {
                    ahead.lowest = i64::MAX;
                }
            }
            Err(error) => ahead.failed = Some(error),
        }
        self.applied.notify_all();
        true
    }
}

impl<I: Mend> Index for Trailing<I> {
    fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Entry>, ResultsError> {
        let started = Instant::now();
        {
            let ahead = self.shared.ahead();
            if ahead.results > 0
                && let Some(found) = ahead.find(&(tenant.clone(), pcs_id.into()))
            {
                // The index times its own.
                self.shared.metrics.dedup_op(Op::Lookup, started.elapsed());
                return Ok(Some(found.clone()));
            }
        }
        // What was ahead a moment ago has been applied before it was taken away there.
        self.shared.index.get(tenant, pcs_id)
    }

    fn next(&self) -> i64 {
        self.shared.ahead().next
    }

    fn apply(&self, entries: &[Entry], next: i64) -> Result<(), ResultsError> {
        let full = |ahead: &mut Ahead| ahead.results >= RESULTS_MAX && ahead.failed.is_none();
        let waited = self.shared.applied.wait_timeout_while(self.shared.ahead(), WAIT_MAX, full);
        let (mut ahead, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &ahead.failed {
            return Err(error.clone());
        }
        if waited.timed_out() {
            return Err(ResultsError::Unavailable(format!("nothing was written for {} s", WAIT_MAX.as_secs())));
        }
        if next < ahead.next {
            return Err(ResultsError::Refused(format!("it ends at {}, and is to end at {next}", ahead.next)));
        }
        if entries.is_empty() && next == ahead.next {
            return Ok(());
        }
        ahead.add(entries, next);
        drop(ahead);
        self.shared.handed_in.notify_one();
        Ok(())
    }

    fn entries(&self, from: i64, limit: usize) -> Result<Vec<Entry>, ResultsError> {
        self.settle()?;
        self.shared.index.entries(from, limit)
    }

    fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError> {
        // What is forgotten is days old, and has long been applied; whoever wants more, waits.
        if self.shared.ahead().lowest < offset {
            self.settle()?;
        }
        self.shared.index.forget_before(offset, limit)
    }
}

impl<I: Mend> Mend for Trailing<I> {
    fn mend(&self, next: i64) -> Result<bool, Arc<str>> {
        if self.shared.ahead().failed.is_none() && !self.shared.index.has_failed() {
            return Ok(false);
        }
        let _applying = self.shared.applying();
        self.shared.index.mend(next)?;
        let mut ahead = self.shared.ahead();
        assert!(!ahead.ended, "the writer of the index has panicked");
        ahead.clear();
        ahead.next = self.shared.index.next();
        ahead.failed = None;
        Ok(true)
    }

    fn has_failed(&self) -> bool {
        self.shared.ahead().failed.is_some() || self.shared.index.has_failed()
    }

    fn restored(&self) {
        self.shared.index.restored();
    }
}

#[cfg(test)]
mod tests {
    use flk_results::{
        MemoryIndex, Place,
        conformance::{Fixture, Kept, entry, place},
        index_conformance,
    };

    use super::*;

    /// An index in memory whose writes wait for a gate.
    struct Gated {
        index: MemoryIndex,
        gate: Arc<Mutex<()>>,
        panics: bool,
    }

    impl Index for Gated {
        fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Entry>, ResultsError> {
            self.index.get(tenant, pcs_id)
        }

        fn next(&self) -> i64 {
            self.index.next()
        }

        fn apply(&self, entries: &[Entry], next: i64) -> Result<(), ResultsError> {
            assert!(!self.panics, "as asked");
            let _gate = self.gate.lock().unwrap();
            self.index.apply(entries, next)
        }

        fn entries(&self, from: i64, limit: usize) -> Result<Vec<Entry>, ResultsError> {
            self.index.entries(from, limit)
        }

        fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError> {
            self.index.forget_before(offset, limit)
        }
    }

    impl Mend for Gated {}

    fn gated(panics: bool) -> (Arc<Mutex<()>>, Trailing<Gated>) {
        let gate = Arc::new(Mutex::new(()));
        let index = Gated { index: MemoryIndex::new(place()), gate: gate.clone(), panics };
        (gate, Trailing::start(index, Metrics::new()).unwrap())
    }

    fn results(ids: core::ops::Range<u64>) -> Vec<Entry> {
        ids.map(|id| entry(&place(), "default", id, id as i64)).collect()
    }

    fn knows(index: &impl Index, id: u64) -> bool {
        let wanted = entry(&place(), "default", id, id as i64);
        let facts = &wanted.settled.facts;
        index.get(&facts.tenant, &facts.pcs_id).unwrap() == Some(wanted)
    }

    struct InMemory;

    impl Fixture for InMemory {
        type Index = Trailing<MemoryIndex>;

        fn open(&self, place: &Place) -> Result<Self::Index, String> {
            Trailing::start(MemoryIndex::new(place.clone()), Metrics::new()).map_err(|error| error.to_string())
        }

        fn close(&self) -> Kept {
            Kept::No
        }
    }

    // All but that what does not belong is refused at once: here it is refused when it is applied.
    index_conformance!(trailing, InMemory;
        an_index_that_is_new_knows_nothing
        what_is_applied_is_found_as_it_was
        of_two_results_for_an_id_the_last_applied_stands
        the_end_moves_without_results_too
        applying_again_changes_nothing
        forgetting_goes_in_order_and_in_steps
        a_successor_is_not_forgotten
        tenants_are_apart
        entries_are_read_in_the_order_of_their_offsets
        readers_see_whole_batches
    );

    #[test]
    fn nobody_waits_for_what_is_on_its_way_and_it_is_found_all_the_same() {
        let (gate, index) = gated(false);
        let held = gate.lock().unwrap();
        index.apply(&results(1..3), 3).unwrap();
        index.apply(&results(3..9), 9).unwrap();
        assert_eq!(index.next(), 9);
        assert!((1..9).all(|id| knows(&index, id)) && !knows(&index, 9));
        assert_eq!(index.shared.index.next(), 0, "nothing has been applied");
        drop(held);
        index.settle().unwrap();
        assert_eq!(index.shared.index.next(), 9);
        assert!((1..9).all(|id| knows(&index.shared.index, id)));
        assert!(index.shared.ahead().steps.is_empty(), "what was applied is not kept twice");
    }

    #[test]
    fn of_two_that_are_on_their_way_the_last_is_found_whatever_step_they_are_in() {
        let (gate, index) = gated(false);
        let held = gate.lock().unwrap();
        let of = |offset: i64| entry(&place(), "default", 1, offset);
        let found = || index.get(&Tenant::default_tenant(), &flk_results::conformance::id_text(1)).unwrap().unwrap();
        let many = 3 * STEP as i64;
        for offset in 0..many {
            index.apply(&[of(offset)], offset + 1).unwrap();
            if offset % 500 == 0 {
                assert_eq!(found(), of(offset));
            }
        }
        assert!((3..=4).contains(&index.shared.ahead().steps.len()), "small batches are put together");
        drop(held);
        index.settle().unwrap();
        assert_eq!((found(), index.entries(0, 9).unwrap()), (of(many - 1), vec![of(many - 1)]));
    }

    #[test]
    fn what_was_handed_in_is_applied_before_the_end() {
        let (_gate, index) = gated(false);
        index.apply(&results(1..100), 100).unwrap();
        let shared = index.shared.clone();
        drop(index);
        assert_eq!(shared.index.next(), 100);
    }

    #[test]
    fn after_a_failure_nothing_more_is_taken_and_nothing_is_forgotten_until_it_is_mended() {
        let (_gate, index) = gated(false);
        index.apply(&results(1..3), 3).unwrap();
        index.settle().unwrap();
        index.shared.index.index.fail_next(1, ResultsError::Unavailable("the disk is full".into()));
        index.apply(&results(3..5), 5).unwrap();
        assert!(index.settle().is_err());
        assert!(index.has_failed());
        assert!(index.apply(&results(5..7), 7).is_err());
        assert!(knows(&index, 3) && knows(&index, 4), "what was taken is still found");
        assert_eq!(index.mend(7), Ok(true));
        assert_eq!((index.next(), index.has_failed()), (3, false), "it goes on from where the index ends");
        index.apply(&results(3..7), 7).unwrap();
        index.settle().unwrap();
        assert!((1..7).all(|id| knows(&index.shared.index, id)));
    }

    #[test]
    fn whoever_hands_in_more_than_may_be_on_its_way_waits_for_room() {
        let (gate, index) = gated(false);
        let most = RESULTS_MAX as u64;
        std::thread::scope(|scope| {
            let held = gate.lock().unwrap();
            index.apply(&results(1..most + 1), most as i64 + 1).unwrap();
            let more = scope.spawn(|| index.apply(&results(most + 1..most + 2), most as i64 + 2));
            assert!(!more.is_finished() && index.next() == most as i64 + 1);
            drop(held);
            more.join().unwrap().unwrap();
        });
        assert_eq!(index.next(), most as i64 + 2);
    }

    #[test]
    fn a_panic_of_its_writer_is_told_and_cannot_be_mended() {
        let (_gate, index) = gated(true);
        index.apply(&results(1..2), 2).unwrap();
        assert!(index.settle().is_err());
        let mended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| index.mend(2)));
        assert!(mended.is_err(), "whoever owns it ends, and the process with it");
    }
}
