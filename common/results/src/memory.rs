//! The index in memory: all that the port promises, but gone when the process ends.
//!
//! For tests and for trying things out. It can be told to fail, to see what its user does then.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use flk_contract::{Settled, Tenant};

use crate::{
    Index, Place, ResultsError,
    codec::{self, IdKey},
};

/// An index in memory.
#[derive(Debug)]
pub struct MemoryIndex {
    place: Place,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    next: i64,
    by_id: HashMap<IdKey, Settled>,
    by_offset: BTreeMap<i64, IdKey>,
    failures: Option<(u32, ResultsError)>,
}

impl MemoryIndex {
    /// An index that knows nothing yet.
    pub fn new(place: Place) -> Self {
        Self { place, state: RwLock::default() }
    }

    /// The next `calls` to it fail with `error` and change nothing.
    pub fn fail_next(&self, calls: u32, error: ResultsError) {
        self.write().failures = Some((calls, error));
    }

    // A panic can not leave the state half changed: everything is checked before it is touched.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_fail(&self) -> Result<(), ResultsError> {
        if self.read().failures.is_none() {
            return Ok(());
        }
        let mut state = self.write();
        match state.failures.take() {
            Some((calls @ 1.., error)) => {
                state.failures = Some((calls - 1, error.clone()));
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

impl Index for MemoryIndex {
    fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, ResultsError> {
        self.may_fail()?;
        Ok(IdKey::new(tenant, pcs_id).and_then(|key| self.read().by_id.get(&key).cloned()))
    }

    fn next(&self) -> i64 {
        self.read().next
    }

    fn apply(&self, settled: &[Settled], next: i64) -> Result<(), ResultsError> {
        self.may_fail()?;
        let mut state = self.write();
        let keys = self.place.admit(settled, next, state.next)?;
        for result in settled {
            // What the stored form has no room for is not taken here either.
            codec::encode(result, &mut Vec::new()).map_err(|why| ResultsError::Refused(why.to_string()))?;
        }
        for (key, result) in keys.into_iter().zip(settled) {
            state.by_offset.insert(result.origin.position.offset, key);
            state.by_id.insert(key, result.clone());
        }
        state.next = next;
        Ok(())
    }

    fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError> {
        self.may_fail()?;
        let mut state = self.write();
        let places: Vec<_> = state.by_offset.range(..offset).take(limit).map(|(at, key)| (*at, *key)).collect();
        for (at, key) in &places {
            state.by_offset.remove(at);
            if state.by_id.get(key).is_some_and(|result| result.origin.position.offset == *at) {
                state.by_id.remove(key);
            }
        }
        Ok(places.len())
    }
}
