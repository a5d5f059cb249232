//! The index of ids for as long as the process lives. It is derived, so that whatever happens to it
//! is mended while the service runs: where a write failed (a full disk) it is opened anew, where it
//! is damaged it is built anew, and what it then lacks is restored from the log.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Instant,
};

use flk_contract::{LogId, Tenant};
use flk_log::embedded::{OpenError, TOPIC};
use flk_results::{Entry, Index, IndexDb, MemoryIndex, Opened, PartitionIndex, Place, ResultsError};
use flk_service::{Metrics, metrics::Op};

/// An index that its user mends where it has failed.
pub trait Mend: Index {
    /// Opens or builds it anew where it has failed; whether it did. It may lack what it had: the
    /// caller restores that, and then says [`Mend::restored`].
    ///
    /// # Errors
    /// In words, where that can not be done now.
    fn mend(&self, next: i64) -> Result<bool, Arc<str>> {
        let _ = next;
        Ok(false)
    }

    /// Whether it takes nothing more before it is mended.
    fn has_failed(&self) -> bool {
        false
    }

    /// It has everything that the log has settled.
    fn restored(&self) {}
}

impl Mend for MemoryIndex {}

/// An index that can be opened anew under those who use it. Every lookup is timed here, whoever asks.
pub struct LiveIndex {
    dir: PathBuf,
    log: LogId,
    state: RwLock<State>,
    metrics: Arc<Metrics>,
}

struct State {
    /// `None` where opening it anew has failed, until it succeeds.
    index: Option<PartitionIndex>,
    fault: Option<Fault>,
}

/// Why the index may lack what the log has settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It takes nothing more: to be opened anew.
    Closed,
    /// What is in it is not what was written: to be built anew.
    Damaged,
    /// It was opened anew, and what it lacks is being restored.
    Behind,
}

impl LiveIndex {
    /// Opens the index of a log that will give `next`; one that cannot be used is built anew.
    ///
    /// # Errors
    /// [`OpenError`], a sentence for the operator.
    pub fn open(dir: &Path, log: &LogId, next: i64, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        let index = open(dir, log, next)
            .map_err(|error| OpenError::Unwritable { path: dir.into(), error: error.to_string() })?;
        let state = State { index: Some(index), fault: None };
        Ok(Self { dir: dir.into(), log: log.clone(), state: RwLock::new(state), metrics })
    }

    /// Whether what it does not have may have been settled all the same.
    pub fn is_incomplete(&self) -> bool {
        self.read().fault.is_some()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // A panic leaves an index that is there or is not: either is a state.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, ask: impl FnOnce(&PartitionIndex) -> Result<T, ResultsError>) -> Result<T, ResultsError> {
        match &self.read().index {
            Some(index) => ask(index),
            None => Err(ResultsError::Unavailable("the index of ids can not be opened".into())),
        }
    }

    /// Remembers what an error says about the index itself.
    fn note(&self, fault: Fault) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.fault != Some(Fault::Damaged) {
            state.fault = Some(fault);
        }
    }

    /// What came of a read.
    fn read_from<T>(&self, came: Result<T, ResultsError>) -> Result<T, ResultsError> {
        if let Err(ResultsError::Damaged(_)) = &came {
            self.note(Fault::Damaged);
        }
        came
    }

    /// What came of a write: after one that failed, nothing more is taken.
    fn written<T>(&self, came: Result<T, ResultsError>) -> Result<T, ResultsError> {
        match &came {
            Ok(_) | Err(ResultsError::Refused(_)) => {}
            Err(ResultsError::Unavailable(_)) => self.note(Fault::Closed),
            Err(ResultsError::Damaged(_)) => self.note(Fault::Damaged),
        }
        came
    }
}

impl Mend for LiveIndex {
    fn mend(&self, next: i64) -> Result<bool, Arc<str>> {
        if !self.has_failed() {
            return Ok(false);
        }
        // Nobody reads meanwhile: a store can be opened only when all its handles are gone.
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.index = None;
        let opened = if state.fault == Some(Fault::Damaged) {
            tracing::warn!("the index of ids is damaged; it is built anew from the log");
            anew(&self.dir, &self.log)
        } else {
            open(&self.dir, &self.log, next)
        };
        state.index = Some(opened.map_err(|error| error.to_string())?);
        state.fault = Some(Fault::Behind);
        Ok(true)
    }

    fn has_failed(&self) -> bool {
        matches!(self.read().fault, Some(Fault::Closed | Fault::Damaged))
    }

    fn restored(&self) {
        if self.read().fault == Some(Fault::Behind) {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if state.fault == Some(Fault::Behind) {
                state.fault = None;
                tracing::info!("the index of ids is complete again");
            }
        }
    }
}

impl Index for LiveIndex {
    fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Entry>, ResultsError> {
        let started = Instant::now();
        let came = self.with(|index| index.get(tenant, pcs_id));
        self.metrics.dedup_op(Op::Lookup, started.elapsed());
        self.read_from(came)
    }

    fn next(&self) -> i64 {
        self.read().index.as_ref().map_or(0, PartitionIndex::next)
    }

    fn apply(&self, entries: &[Entry], next: i64) -> Result<(), ResultsError> {
        self.written(self.with(|index| index.apply(entries, next)))
    }

    fn entries(&self, from: i64, limit: usize) -> Result<Vec<Entry>, ResultsError> {
        self.read_from(self.with(|index| index.entries(from, limit)))
    }

    fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError> {
        self.written(self.with(|index| index.forget_before(offset, limit)))
    }
}

/// Opens what there is; builds it anew where it cannot be used.
fn open(dir: &Path, log: &LogId, next: i64) -> Result<PartitionIndex, flk_results::OpenError> {
    let (db, opened) = IndexDb::open_or_reset(dir, log)?;
    if let Opened::Reset(why) = opened {
        tracing::warn!(%why, "the index of ids can not be used; it is built anew from the log");
    }
    // An index that knows more than the log does belongs to a log that was since put back to an
    // earlier state: what it knows beyond never happened.
    match db.partition(&place(log)) {
        Ok(index) if index.next() <= next => return Ok(index),
        Ok(index) => {
            tracing::warn!(index = index.next(), log = next, "the index of ids is ahead of the log; it is built anew")
        }
        Err(why) if why.calls_for_reset() => {
            tracing::warn!(%why, "the index of ids can not be used; it is built anew from the log")
        }
        Err(error) => return Err(error),
    }
    drop(db);
    anew(dir, log)
}

fn anew(dir: &Path, log: &LogId) -> Result<PartitionIndex, flk_results::OpenError> {
    IndexDb::open_anew(dir, log).and_then(|db| db.partition(&place(log)))
}

/// The log has one partition, and the index follows it.
fn place(log: &LogId) -> Place {
    Place::of_log(log.clone(), TOPIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (tempfile::TempDir, LiveIndex) {
        let dir = tempfile::tempdir().unwrap();
        let index = LiveIndex::open(&dir.path().join("index"), &LogId::new("log"), 1, Metrics::new()).unwrap();
        index.apply(&[], 7).unwrap();
        (dir, index)
    }

    #[test]
    fn an_index_that_is_well_is_left_alone() {
        let (_dir, index) = opened();
        assert_eq!(index.mend(7), Ok(false));
        assert!(!index.is_incomplete());
        index.restored();
        assert_eq!(index.next(), 7);
    }

    #[test]
    fn one_that_takes_no_more_is_opened_anew_and_is_incomplete_until_it_is_restored() {
        let (_dir, index) = opened();
        let failed = Err::<(), _>(ResultsError::Unavailable("the disk is full".into()));
        assert!(index.written(failed).is_err());
        assert!(index.is_incomplete());
        assert_eq!(index.mend(9), Ok(true));
        assert_eq!((index.next(), index.is_incomplete()), (7, true), "it has what it had");
        assert_eq!(index.mend(9), Ok(false), "it is open; what it lacks is the caller's to restore");
        index.apply(&[], 9).unwrap();
        index.restored();
        assert_eq!((index.next(), index.is_incomplete()), (9, false));
    }

    #[test]
    fn one_that_is_damaged_is_built_anew_from_nothing() {
        let (_dir, index) = opened();
        index.note(Fault::Damaged);
        // What fails besides does not make it whole.
        index.note(Fault::Closed);
        assert_eq!(index.mend(9), Ok(true));
        assert_eq!((index.next(), index.is_incomplete()), (0, true));
    }

    #[test]
    fn one_of_an_earlier_format_is_built_anew() {
        let (dir, index) = opened();
        drop(index);
        let path = dir.path().join("index");
        let marker = path.join("index.format");
        let said = std::fs::read_to_string(&marker).unwrap();
        std::fs::write(&marker, said.replace("format 2", "format 1")).unwrap();
        assert_ne!(std::fs::read_to_string(&marker).unwrap(), said);
        let index = LiveIndex::open(&path, &LogId::new("log"), 7, Metrics::new()).unwrap();
        assert_eq!((index.next(), index.is_incomplete()), (0, false), "the log restores it before it decides");
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), said);
    }

    #[test]
    fn one_that_can_not_be_opened_answers_nothing_until_it_can() {
        let (dir, index) = opened();
        index.note(Fault::Closed);
        let (path, aside) = (dir.path().join("index"), dir.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        std::fs::write(&path, "in the way").unwrap();
        assert!(index.mend(7).is_err());
        assert!(index.get(&Tenant::default_tenant(), &"0".repeat(64)).is_err());
        assert!(index.apply(&[], 8).is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(index.mend(7), Ok(true));
        assert_eq!(index.next(), 7);
        assert!(index.get(&Tenant::default_tenant(), &"0".repeat(64)).unwrap().is_none());
    }
}
