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
    /// How long one waits for what is applied, at the most.
    wait: Duration,
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
    /// Something that was settled is neither here nor in the index, and has to be restored.
    behind: bool,
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
        Self::start_waiting(index, metrics, WAIT_MAX)
    }

    fn start_waiting(index: I, metrics: Arc<Metrics>, wait: Duration) -> std::io::Result<Self> {
        let ahead = Ahead {
            steps: VecDeque::new(),
            results: 0,
            lowest: i64::MAX,
            next: index.next(),
            failed: None,
            behind: false,
            ended: false,
        };
        let shared = Arc::new(Shared {
            index,
            metrics,
            wait,
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
        self.wait_while(|ahead| ahead.results > 0).map(drop)
    }

    /// Waits for what is applied, but not for ever, and not where nothing is.
    fn wait_while(&self, busy: impl Fn(&Ahead) -> bool) -> Result<MutexGuard<'_, Ahead>, ResultsError> {
        let (shared, busy) = (&self.shared, |ahead: &mut Ahead| busy(ahead) && ahead.failed.is_none());
        let waited = shared.applied.wait_timeout_while(shared.ahead(), shared.wait, busy);
        let (mut ahead, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &ahead.failed {
            return Err(error.clone());
        }
        if waited.timed_out() && busy(&mut ahead) {
            return Err(ResultsError::Unavailable(format!("it was not written within {:?}", shared.wait)));
        }
        Ok(ahead)
    }
}

impl Trailing<LiveIndex> {
    /// Whether what it does not have may have been settled all the same.
    pub fn is_incomplete(&self) -> bool {
        self.lacks() || self.shared.index.is_incomplete()
    }
}

impl<I: Mend> Trailing<I> {
    fn lacks(&self) -> bool {
        let ahead = self.shared.ahead();
        ahead.failed.is_some() || ahead.behind
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
        // What is not taken here has been settled all the same.
        let room = self.wait_while(|ahead| ahead.results >= RESULTS_MAX);
        let mut ahead = room.inspect_err(|_| self.shared.ahead().behind = true)?;
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
        (ahead.failed, ahead.behind) = (None, true);
        Ok(true)
    }

    fn has_failed(&self) -> bool {
        self.shared.ahead().failed.is_some() || self.shared.index.has_failed()
    }

    fn restored(&self) {
        self.shared.ahead().behind = false;
        self.shared.index.restored();
    }
}

#[cfg(test)]
mod tests;
