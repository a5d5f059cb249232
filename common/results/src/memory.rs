//! The index in memory: all that the port promises, but gone when the process ends.
//!
//! For tests and for trying things out. It can be told to fail, to see what its user does then.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use flk_contract::Tenant;

use crate::{
    Entry, Index, Load, Place, ResultsError,
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
    loading: bool,
    by_id: HashMap<IdKey, Entry>,
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

/// What the stored form has no room for is not taken here either.
fn storable(entries: &[Entry]) -> Result<(), ResultsError> {
    let mut value = Vec::new();
    entries.iter().try_for_each(|entry| {
        value.clear();
        codec::encode(&entry.settled, &mut value).map_err(|why| ResultsError::Refused(why.to_string()))
    })
}

impl State {
    fn may_apply(&self) -> Result<(), ResultsError> {
        if self.loading { Err(ResultsError::Refused("it is being loaded".into())) } else { Ok(()) }
    }

    fn may_load(&self) -> Result<(), ResultsError> {
        if self.loading || (self.next == 0 && self.by_offset.is_empty()) {
            Ok(())
        } else {
            Err(ResultsError::Refused("only an index that is new is loaded".into()))
        }
    }

    fn insert(&mut self, key: IdKey, entry: &Entry) {
        self.by_offset.insert(entry.offset, key);
        self.by_id.insert(key, entry.clone());
    }

    /// The entry at a place in the order of offsets, if it is still the last of its id.
    fn last(&self, at: i64, key: &IdKey) -> Option<&Entry> {
        self.by_id.get(key).filter(|entry| entry.offset == at)
    }
}

impl Index for MemoryIndex {
    fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Entry>, ResultsError> {
        self.may_fail()?;
        Ok(IdKey::new(tenant, pcs_id).and_then(|key| self.read().by_id.get(&key).cloned()))
    }

    fn next(&self) -> i64 {
        self.read().next
    }

    fn apply(&self, entries: &[Entry], next: i64) -> Result<(), ResultsError> {
        self.may_fail()?;
        let mut state = self.write();
        state.may_apply()?;
        let keys = self.place.admit(entries, next, state.next)?;
        storable(entries)?;
        for (key, entry) in keys.into_iter().zip(entries) {
            state.insert(key, entry);
        }
        state.next = next;
        Ok(())
    }

    fn entries(&self, from: i64, limit: usize) -> Result<Vec<Entry>, ResultsError> {
        self.may_fail()?;
        let state = self.read();
        let last = state.by_offset.range(from..).filter_map(|(at, key)| state.last(*at, key));
        Ok(last.take(limit).cloned().collect())
    }

    fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError> {
        self.may_fail()?;
        let mut state = self.write();
        state.may_apply()?;
        let places: Vec<_> = state.by_offset.range(..offset).take(limit).map(|(at, key)| (*at, *key)).collect();
        for (at, key) in &places {
            state.by_offset.remove(at);
            if state.last(*at, key).is_some() {
                state.by_id.remove(key);
            }
        }
        Ok(places.len())
    }
}

impl Load for MemoryIndex {
    fn load(&self, entries: &[Entry]) -> Result<(), ResultsError> {
        self.may_fail()?;
        let mut state = self.write();
        state.may_load()?;
        let keys = self.place.keys(entries)?;
        storable(entries)?;
        state.loading = true;
        for (key, entry) in keys.into_iter().zip(entries) {
            if state.by_id.get(&key).is_none_or(|stored| stored.offset < entry.offset) {
                state.insert(key, entry);
            }
        }
        Ok(())
    }

    fn loaded(&self, next: i64) -> Result<(), ResultsError> {
        self.may_fail()?;
        let mut state = self.write();
        state.may_load()?;
        if next < 0 {
            return Err(ResultsError::Refused(format!("an end is never negative, and {next} came")));
        }
        (state.loading, state.next) = (false, next);
        Ok(())
    }
}
