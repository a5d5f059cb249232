//! The dedup-sink: settling as a fold over one partition, with the derived index as its memory.
//!
//! Who wins an id is a function of the order of records alone ([`flk_contract::settle()`]). This
//! room remembers: what was settled before is in the index, what is being settled in the batch at
//! hand is beside it, until the batch is durable. It reads no clock and no body.

use std::{collections::HashMap, sync::Arc};

use flk_contract::{
    Code, Digest, LogTime, Origin, Outcome, Settled, Tenant, Verdict, settle, verdict::Facts, wire::State,
};
use flk_results::{Index, ResultsError};

/// What became of one record, and the result that stands for its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Settled (also when its own origin is met again), duplicate, conflict or refused.
    pub state: State,
    /// The verdict's code, or `conflict`, or `too_old`.
    pub code: Code,
    /// The result that stands; `None` if the record was refused.
    pub standing: Option<Arc<Settled>>,
}

/// The fold: an index, and what the batch at hand adds to it.
pub struct Fold<I> {
    index: Arc<I>,
    /// Settled by the batch at hand, in order.
    batch: Vec<Arc<Settled>>,
    /// The last of each id in `batch`.
    latest: HashMap<(Tenant, Arc<str>), Arc<Settled>>,
}

impl<I: Index> Fold<I> {
    /// A fold that goes on from where the index ends.
    pub fn new(index: Arc<I>) -> Self {
        Self { index, batch: Vec::new(), latest: HashMap::new() }
    }

    /// The first offset whose record the fold does not know of. Whoever settles has to bring it up
    /// to the log's end first, also after a batch that the index did not take.
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
    pub fn restore(&mut self, settled: &[Settled], next: i64) -> Result<(), ResultsError> {
        self.index.apply(settled, next)
    }

    /// What one judged record is to its id. `settled_at` is the log time at which it reached
    /// settlement; in the embedded log that is its own.
    ///
    /// # Errors
    /// [`ResultsError`] of the index: the record can not be settled now.
    pub fn settle(
        &mut self,
        verdict: &Verdict,
        origin: &Origin,
        settled_at: LogTime,
    ) -> Result<Settlement, ResultsError> {
        let refused = |code| Settlement { state: State::Refused, code, standing: None };
        let Some(facts) = verdict.candidate() else { return Ok(refused(verdict.code)) };
        let stored = self.stored(facts)?;
        let before: Option<(&Origin, &Digest)> =
            stored.as_ref().map(|stored| (&stored.origin, &stored.facts.content_sha256));
        let stands = |state, code| Settlement { state, code, standing: stored.clone() };
        Ok(match settle(origin, &facts.content_sha256, before, settled_at) {
            Outcome::Settles => {
                let settled = Arc::new(Settled { code: verdict.code, facts: facts.clone(), origin: origin.clone() });
                self.latest.insert((facts.tenant.clone(), facts.pcs_id.clone()), settled.clone());
                self.batch.push(settled.clone());
                Settlement { state: State::Settled, code: verdict.code, standing: Some(settled) }
            }
            Outcome::Replay => stands(State::Settled, verdict.code),
            Outcome::Duplicate => stands(State::Duplicate, verdict.code),
            Outcome::Conflict => stands(State::Conflict, Code::Conflict),
            Outcome::TooOld => refused(Code::TooOld),
        })
    }

    fn stored(&self, facts: &Facts) -> Result<Option<Arc<Settled>>, ResultsError> {
        if !self.latest.is_empty()
            && let Some(settled) = self.latest.get(&(facts.tenant.clone(), facts.pcs_id.clone()))
        {
            return Ok(Some(settled.clone()));
        }
        Ok(self.index.get(&facts.tenant, &facts.pcs_id)?.map(Arc::new))
    }

    /// The batch is durable: it goes into the index.
    ///
    /// # Errors
    /// [`ResultsError`] of the index, which is then behind: the log has the batch, and
    /// [`Fold::restore`] brings it from there.
    pub fn committed(&mut self, next: i64) -> Result<(), ResultsError> {
        let settled: Vec<Settled> = self.batch.iter().map(|settled| Settled::clone(settled)).collect();
        self.abandoned();
        self.index.apply(&settled, next)
    }

    /// The batch is not durable: it settled nothing.
    pub fn abandoned(&mut self) {
        self.batch.clear();
        self.latest.clear();
    }
}
