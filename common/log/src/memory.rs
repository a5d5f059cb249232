//! A log in memory: a real one that forgets at the end of the process, for tests of what stands on
//! a log. Faults can be ordered.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use flk_contract::{LogId, LogTime, Origin, Position};

use crate::{Append, AppendError, Appended, Clock, Decide, Decision, Log, ReadError, StoredRecord, Ticket};

struct Inner<D> {
    decide: D,
    records: Vec<StoredRecord>,
    time: LogTime,
    faults: VecDeque<Fault>,
}

/// What happens to one of the next appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The queue is full.
    Full,
    /// It can not be written.
    NotDurable,
    /// It is stored, and the answer is lost.
    LostAnswer,
}

/// A log in memory.
pub struct MemoryLog<D> {
    id: LogId,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner<D>>,
}

impl<D: Decide> MemoryLog<D> {
    /// An empty log.
    pub fn new(id: &str, clock: Arc<dyn Clock>, decide: D) -> Self {
        let inner = Inner { decide, records: Vec::new(), time: LogTime::default(), faults: VecDeque::new() };
        Self { id: LogId::new(id), clock, inner: Mutex::new(inner) }
    }

    /// Orders what happens to the next appends, in order; those after them go well.
    pub fn order(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner<D>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<D: Decide> Log for MemoryLog<D> {
    fn id(&self) -> &LogId {
        &self.id
    }

    async fn append(&self, append: Append) -> Result<Ticket, AppendError> {
        let mut inner = self.lock();
        let fault = inner.faults.pop_front();
        let (resolver, ticket) = Ticket::new();
        match fault {
            Some(Fault::Full) => return Err(AppendError::Full),
            Some(Fault::NotDurable) => {
                resolver.resolve(Err(AppendError::NotDurable("ordered".into())));
                return Ok(ticket);
            }
            Some(Fault::LostAnswer) | None => {}
        }
        let time = self.clock.now().max(inner.time);
        let next = inner.records.len() as i64 + 1;
        let position = Position { log: self.id.clone(), topic: "pcs.raw".into(), partition: 0, offset: next };
        let origin = Origin { position, appended_at: time };
        let decided = inner.decide.decide(&append, &origin).map_err(AppendError::NotDurable)?;
        let decision = Decision {
            state: decided.state,
            code: decided.code,
            verdict: decided.verdict.clone(),
            settled_by: decided.standing.as_ref().map(|standing| standing.origin.position.offset),
        };
        inner.time = time;
        inner.records.push(StoredRecord { origin: origin.clone(), record: append.record, decision: Some(decision) });
        inner.decide.committed(next + 1).map_err(AppendError::Unknown)?;
        if fault.is_none() {
            resolver.resolve(Ok(Appended { origin, decided: Some(decided) }));
        }
        Ok(ticket)
    }

    async fn read(&self, partition: i32, offset: i64) -> Result<Option<StoredRecord>, ReadError> {
        let at = usize::try_from(offset - 1).ok().filter(|_| partition == 0);
        Ok(at.and_then(|at| self.lock().records.get(at).cloned()))
    }

    fn health(&self) -> Result<(), Arc<str>> {
        Ok(())
    }
}
