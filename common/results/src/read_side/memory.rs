//! The read side in memory: all that the port promises, with a clock that is set by hand. For tests.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use flk_contract::{LogTime, Settled, Tenant};

use super::{
    Batch, Lookup, Published, ReadSide, ReadSideError, Subject, Warning,
    marker::{Marker, Taken},
};
use crate::codec::IdKey;

/// What stands for the server: clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: LogTime,
    markers: BTreeMap<u32, (String, Marker)>,
    values: HashMap<IdKey, (i64, Settled)>,
    failures: Option<(u32, ReadSideError)>,
}

impl MemoryStore {
    /// What time it is there.
    pub fn now(&self) -> LogTime {
        self.lock().now
    }

    /// Sets its clock, which stands still otherwise; a new one is at 1970.
    pub fn set_now(&self, now: LogTime) {
        self.lock().now = now;
    }

    /// Forgets everything.
    pub fn lose(&self) {
        let mut state = self.lock();
        state.markers.clear();
        state.values.clear();
    }

    /// The next `calls` to it fail with `error` and change nothing.
    pub fn fail_next(&self, calls: u32, error: ReadSideError) {
        self.lock().failures = Some((calls, error));
    }

    // A panic can not leave the state half changed: nothing in between can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> Result<MutexGuard<'_, State>, ReadSideError> {
        let mut state = self.lock();
        match state.failures.take() {
            Some((calls @ 1.., error)) => {
                state.failures = Some((calls - 1, error.clone()));
                Err(error)
            }
            _ => Ok(state),
        }
    }
}

/// A read side in memory.
#[derive(Debug)]
pub struct MemoryReadSide {
    subject: Subject,
    store: MemoryStore,
}

impl MemoryReadSide {
    /// A read side about `subject` in that store.
    pub fn new(subject: Subject, store: MemoryStore) -> Self {
        Self { subject, store }
    }

    fn marker(&self, state: &State, partition: u32) -> Option<Marker> {
        let (source, marker) = state.markers.get(&partition)?;
        (*source == self.subject.source()).then_some(*marker)
    }
}

#[async_trait]
impl ReadSide for MemoryReadSide {
    async fn publish(&self, batch: &Batch<'_>) -> Result<Published, ReadSideError> {
        let admitted = self.subject.admit(batch)?;
        let mut state = self.store.working()?;
        let before = self.marker(&state, batch.partition).unwrap_or_default();
        let Taken { marker, set_from } = before.take(batch);
        if let Some(least) = set_from {
            let now = state.now.millis();
            for (entry, admitted) in batch.entries.iter().zip(admitted) {
                if admitted.offset >= least && admitted.expires > now {
                    state.values.insert(admitted.key, (admitted.expires, entry.settled.clone()));
                }
            }
        }
        state.markers.insert(batch.partition, (self.subject.source(), marker));
        Ok(marker.published())
    }

    async fn read(&self, tenant: &Tenant, pcs_id: &str) -> Result<Lookup, ReadSideError> {
        let Some(key) = IdKey::new(tenant, pcs_id) else { return Ok(Lookup::Miss { ready: true }) };
        let state = self.store.working()?;
        let value = state.values.get(&key).filter(|(expires, _)| *expires > state.now.millis());
        if let Some((_, settled)) = value.filter(|(_, settled)| self.subject.holds(&settled.origin)) {
            return Ok(Lookup::Hit(Box::new(settled.clone())));
        }
        let marker = self.marker(&state, self.subject.partition(tenant, pcs_id));
        Ok(Lookup::Miss { ready: marker.is_some_and(|marker| marker.published().ready) })
    }

    async fn expire(&self, limit: u32) -> Result<u64, ReadSideError> {
        let mut state = self.store.working()?;
        let now = state.now.millis();
        let expired = state.values.iter().filter(|(_, (expires, _))| *expires <= now);
        let expired: Vec<_> = expired.map(|(key, _)| *key).take(limit as usize).collect();
        for key in &expired {
            state.values.remove(key);
        }
        Ok(expired.len() as u64)
    }

    async fn health(&self) -> Result<Vec<Warning>, ReadSideError> {
        self.store.working().map(|_| Vec::new())
    }
}
