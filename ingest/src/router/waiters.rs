//! Who waits for an answer, and for which record.
//!
//! An answer names the request by the random id that travelled with the record, and the record by its
//! place. Both have to be right: whoever waits takes an answer for its own record only, so that an id
//! that somebody has seen is no way to answer in another's name. Answers can be quicker than the word
//! that the record is durable; so a few are kept until its place is known.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use flk_contract::Position;
use flk_log::{
    Decided,
    topic::{Reply, ReplyId},
};
use tokio::sync::oneshot;

use super::options::Watch;

/// Most answers that are kept for one record whose place is not known. An honest one is the first.
const EARLY_MAX: usize = 4;

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answered {
    /// Somebody waited for it, and has it.
    Taken,
    /// It came before its record's place was known, and is kept until then.
    Kept,
    /// Somebody waits under that id, for another record; or too many came before its place was known.
    Elsewhere,
    /// Nobody waits under that id: not here, or not any more.
    Nobody,
}

/// Everybody who waits. Bounded.
pub(super) struct Waiters {
    most: usize,
    watch: Arc<dyn Watch>,
    waiting: Mutex<HashMap<ReplyId, Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    tell: oneshot::Sender<Arc<Decided>>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Unknown { early: Vec<Reply> },
    At(Position),
}

impl Waiters {
    pub(super) fn new(most: usize, watch: Arc<dyn Watch>) -> Arc<Self> {
        Arc::new(Self { most, watch, waiting: Mutex::default() })
    }

    // A panic can not leave the map half changed: nothing in between can panic.
    fn waiting(&self) -> MutexGuard<'_, HashMap<ReplyId, Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait, until the guard is dropped; `None` where too many do.
    pub(super) fn enter(self: &Arc<Self>, id: ReplyId) -> Option<(Waiting, oneshot::Receiver<Arc<Decided>>)> {
        let mut waiting = self.waiting();
        if waiting.len() >= self.most {
            return None;
        }
        let Entry::Vacant(place) = waiting.entry(id) else { return None };
        let (tell, told) = oneshot::channel();
        place.insert(Waiter { tell, place: Place::Unknown { early: Vec::new() } });
        self.watch.on_waiters(waiting.len());
        Some((Waiting { waiters: self.clone(), id }, told))
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Whether somebody waits under that id.
    pub(super) fn knows(&self, id: &ReplyId) -> bool {
        self.waiting().contains_key(id)
    }

    /// An answer came.
    pub(super) fn answer(&self, reply: Reply) -> Answered {
        let mut waiting = self.waiting();
        let Entry::Occupied(mut waiter) = waiting.entry(reply.reply_id) else { return Answered::Nobody };
        match &mut waiter.get_mut().place {
            Place::Unknown { early } if early.len() < EARLY_MAX => {
                early.push(reply);
                Answered::Kept
            }
            Place::At(position) if *position == reply.wal.position => {
                let Waiter { tell, .. } = waiter.remove();
                // Whoever went away just now is not told.
                let _ = tell.send(Arc::new(reply.decided));
                Answered::Taken
            }
            Place::Unknown { .. } | Place::At(_) => Answered::Elsewhere,
        }
    }

    /// The record's place is known: what became of the answers that came before.
    fn placed(&self, id: ReplyId, position: &Position) -> Vec<Answered> {
        let mut waiting = self.waiting();
        let Entry::Occupied(mut waiter) = waiting.entry(id) else { return Vec::new() };
        let before = core::mem::replace(&mut waiter.get_mut().place, Place::At(position.clone()));
        let Place::Unknown { early } = before else { return Vec::new() };
        let mut became = vec![Answered::Elsewhere; early.len()];
        let own = early.into_iter().enumerate().find(|(_, reply)| reply.wal.position == *position);
        if let Some((at, reply)) = own {
            became[at] = Answered::Taken;
            let Waiter { tell, .. } = waiter.remove();
            let _ = tell.send(Arc::new(reply.decided));
        }
        became
    }
}

/// One who waits, until this is dropped.
pub(super) struct Waiting {
    waiters: Arc<Waiters>,
    id: ReplyId,
}

impl Waiting {
    /// The record is at this place; what became of the answers that came before that was known.
    pub(super) fn placed(&self, position: &Position) -> Vec<Answered> {
        self.waiters.placed(self.id, position)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.waiters.waiting();
        waiting.remove(&self.id);
        self.waiters.watch.on_waiters(waiting.len());
    }
}

#[cfg(test)]
mod tests {
    use flk_contract::{Code, LogId, LogTime, Origin, Verdict, wire::State};

    use super::*;
    use crate::router::Unwatched;

    const ID: ReplyId = ReplyId([7; 16]);

    fn position(offset: i64) -> Position {
        Position { log: LogId::new("a"), topic: "pcs.raw".into(), partition: 3, offset }
    }

    fn reply(id: ReplyId, offset: i64, reason: &str) -> Reply {
        let verdict = Verdict { code: Code::Malformed, reason: reason.into(), facts: None };
        Reply {
            reply_id: id,
            wal: Origin { position: position(offset), appended_at: LogTime::from_millis(1) },
            decided: Decided { verdict, state: State::Refused, code: Code::Malformed, standing: None },
        }
    }

    fn told(told: &mut oneshot::Receiver<Arc<Decided>>) -> Option<String> {
        told.try_recv().ok().map(|decided| decided.verdict.reason.clone())
    }

    #[test]
    fn an_answer_is_taken_for_the_own_record_only() {
        let waiters = Waiters::new(9, Arc::new(Unwatched));
        let (waiting, mut receiver) = waiters.enter(ID).unwrap();
        assert_eq!(waiting.placed(&position(5)), []);
        assert_eq!(waiters.answer(reply(ID, 4, "forged")), Answered::Elsewhere);
        assert_eq!(waiters.answer(reply(ReplyId([8; 16]), 5, "forged")), Answered::Nobody);
        let mut other_log = reply(ID, 5, "forged");
        other_log.wal.position.log = LogId::new("b");
        assert_eq!(waiters.answer(other_log), Answered::Elsewhere);
        assert_eq!(told(&mut receiver), None);
        assert_eq!(waiters.answer(reply(ID, 5, "own")), Answered::Taken);
        assert_eq!(told(&mut receiver).as_deref(), Some("own"));
        assert_eq!(waiters.answer(reply(ID, 5, "again")), Answered::Nobody);
        assert_eq!(waiters.len(), 0);
    }

    #[test]
    fn a_few_that_come_before_the_place_is_known_are_kept() {
        let waiters = Waiters::new(9, Arc::new(Unwatched));
        let (waiting, mut receiver) = waiters.enter(ID).unwrap();
        assert_eq!(waiters.answer(reply(ID, 4, "forged")), Answered::Kept);
        assert_eq!(waiters.answer(reply(ID, 5, "own")), Answered::Kept);
        for offset in 6..8 {
            assert_eq!(waiters.answer(reply(ID, offset, "forged")), Answered::Kept);
        }
        use Answered::{Elsewhere, Taken};
        assert_eq!(waiters.answer(reply(ID, 5, "one too many")), Elsewhere);
        assert_eq!(told(&mut receiver), None);
        assert_eq!(waiting.placed(&position(5)), [Elsewhere, Taken, Elsewhere, Elsewhere]);
        assert_eq!(told(&mut receiver).as_deref(), Some("own"));
        assert_eq!(waiters.len(), 0);

        let (waiting, mut receiver) = waiters.enter(ID).unwrap();
        assert_eq!(waiters.answer(reply(ID, 4, "forged")), Answered::Kept);
        assert_eq!(waiting.placed(&position(5)), [Elsewhere]);
        assert_eq!(told(&mut receiver), None);
        assert_eq!(waiters.answer(reply(ID, 5, "own")), Taken);
    }

    #[test]
    fn there_are_no_more_than_there_may_be_and_whoever_goes_makes_room() {
        let waiters = Waiters::new(2, Arc::new(Unwatched));
        let mut held: Vec<_> = (0..2).map(|n| waiters.enter(ReplyId([n; 16])).unwrap()).collect();
        assert!(waiters.enter(ID).is_none());
        held.pop();
        assert!(waiters.knows(&ReplyId([0; 16])) && !waiters.knows(&ReplyId([1; 16])));
        let (waiting, receiver) = waiters.enter(ID).unwrap();
        assert!(waiters.enter(ID).is_none(), "an id is one request's");
        drop(receiver);
        assert_eq!(waiting.placed(&position(1)), []);
        assert_eq!(waiters.answer(reply(ID, 1, "late")), Answered::Taken, "nobody hears it, and it is no fault");
        drop((waiting, held));
        assert_eq!(waiters.len(), 0);
    }
}
