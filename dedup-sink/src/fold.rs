//! The fold: one partition's records in order, an index, and what the batch at hand adds to it.

use std::{collections::HashMap, sync::Arc};

use flk_contract::{Code, Digest, Facts, LogTime, Origin, Outcome, Settled, Tenant, Verdict, settle, wire::State};
use flk_results::{Entry, Index, ResultsError};

use crate::{Arrival, Settlement, Standing};

/// The fold over one partition.
pub struct Fold<I> {
    index: Arc<I>,
    /// Settled by the batch at hand, in order.
    batch: Vec<Entry>,
    /// The last of each id in `batch`.
    latest: HashMap<(Tenant, Arc<str>), Standing>,
}

impl<I: Index> Fold<I> {
    /// A fold that goes on from where the index ends.
    pub fn new(index: Arc<I>) -> Self {
        Self { index, batch: Vec::new(), latest: HashMap::new() }
    }

    /// The first offset whose record the fold does not know of. Whoever settles has to bring it up
    /// to there first, also after a batch that the index did not take. Records before it may be met
    /// again: they settle nothing, and change nothing.
    pub fn next(&self) -> i64 {
        self.index.next()
    }

    /// The index, for those who read.
    pub fn index(&self) -> &Arc<I> {
        &self.index
    }

    /// Takes over what was settled before, up to and not including `next`.
    ///
    /// # Errors
    /// [`ResultsError`] of the index; nothing is lost, try again.
    pub fn restore(&mut self, settled: &[Entry], next: i64) -> Result<(), ResultsError> {
        self.index.apply(settled, next)
    }

    /// What one judged record is to its id.
    ///
    /// # Errors
    /// [`ResultsError`] of the index: the record can not be settled now.
    pub fn settle_judged(&mut self, verdict: &Verdict, arrival: Arrival<'_>) -> Result<Settlement, ResultsError> {
        match &verdict.facts {
            Some(facts) => self.settle(verdict.code, facts, arrival),
            None => Ok(Settlement::refused(arrival.offset, None, verdict.code)),
        }
    }

    /// What a record is to its id, by the code and the facts of its verdict. Records come in the
    /// order of their offsets.
    ///
    /// # Errors
    /// [`ResultsError`] of the index: the record can not be settled now.
    pub fn settle(&mut self, code: Code, facts: &Facts, arrival: Arrival<'_>) -> Result<Settlement, ResultsError> {
        let Arrival { origin, offset, settled_at } = arrival;
        if !code.meaning().settles {
            return Ok(Settlement::refused(offset, None, code));
        }
        let stored = self.stored(facts)?;
        let before: Option<(&Origin, &Digest)> =
            stored.as_ref().map(|stored| (&stored.settled.origin, &stored.settled.facts.content_sha256));
        let outcome = settle(origin, &facts.content_sha256, before, settled_at);
        let stands = |state, code, standing| Settlement { offset, outcome: Some(outcome), state, code, standing };
        Ok(match outcome {
            Outcome::Settles => {
                let standing = self.settled(code, facts, origin, offset);
                stands(State::Settled, code, Some(standing))
            }
            Outcome::Replay => stands(State::Settled, code, stored),
            Outcome::Duplicate => stands(State::Duplicate, code, stored),
            Outcome::Conflict => stands(State::Conflict, Code::Conflict, stored),
            Outcome::TooOld => Settlement::refused(offset, Some(outcome), Code::TooOld),
        })
    }

    fn settled(&mut self, code: Code, facts: &Facts, origin: &Origin, offset: i64) -> Standing {
        let settled = Settled { code, facts: facts.clone(), origin: origin.clone() };
        let standing = Standing { offset, settled: Arc::new(settled.clone()) };
        self.latest.insert((facts.tenant.clone(), facts.pcs_id.clone()), standing.clone());
        self.batch.push(Entry { offset, settled });
        standing
    }

    fn stored(&self, facts: &Facts) -> Result<Option<Standing>, ResultsError> {
        if !self.latest.is_empty()
            && let Some(standing) = self.latest.get(&(facts.tenant.clone(), facts.pcs_id.clone()))
        {
            return Ok(Some(standing.clone()));
        }
        let stored = self.index.get(&facts.tenant, &facts.pcs_id)?;
        Ok(stored.map(|Entry { offset, settled }| Standing { offset, settled: Arc::new(settled) }))
    }

    /// The batch is certain, up to and not including `next`: it goes into the index, with its end.
    /// An index that ends further on keeps its end.
    ///
    /// # Errors
    /// [`ResultsError`] of the index, which is then behind: the batch is given up here, and the
    /// partition is folded again from [`Fold::next`] on, or [`Fold::restore`] brings what it settled.
    pub fn committed(&mut self, next: i64) -> Result<(), ResultsError> {
        let told = self.index.apply(&self.batch, next.max(self.index.next()));
        self.abandoned();
        told
    }

    /// The batch is not certain: it settled nothing.
    pub fn abandoned(&mut self) {
        self.batch.clear();
        self.latest.clear();
    }

    /// Forgets results whose origin's log time is before `time`, at most `limit` of them, in the
    /// order of their offsets and no further than to the first that is younger; how many places
    /// were looked at, 0 when there is nothing left to do.
    ///
    /// # Errors
    /// [`ResultsError`] of the index; nothing depends on it.
    pub fn forget_older_than(&mut self, time: LogTime, limit: usize) -> Result<usize, ResultsError> {
        let oldest = self.index.entries(i64::MIN, limit)?;
        let younger = oldest.iter().find(|entry| entry.settled.origin.appended_at >= time);
        let before = match (younger, oldest.last()) {
            (Some(younger), _) => younger.offset,
            (None, Some(last)) => last.offset.saturating_add(1),
            (None, None) => return Ok(0),
        };
        self.index.forget_before(before, limit)
    }
}
