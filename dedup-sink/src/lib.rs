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

/// The fold: an index, and what is not in it yet.
pub struct Fold<I> {
    index: Arc<I>,
    /// Settled by the batch at hand, in order.
    batch: Vec<Arc<Settled>>,
    /// Durable in the log, but not yet taken by the index: normally empty.
    owed: Vec<Arc<Settled>>,
    owed_next: i64,
    /// The last of each id in `owed` and `batch`.
    latest: HashMap<(Tenant, Arc<str>), Arc<Settled>>,
}

impl<I: Index> Fold<I> {
    /// A fold that goes on from where the index ends.
    pub fn new(index: Arc<I>) -> Self {
        let owed_next = index.next();
        Self { index, batch: Vec::new(), owed: Vec::new(), owed_next, latest: HashMap::new() }
    }

    /// The first offset whose record the fold does not know of.
    pub fn next(&self) -> i64 {
        self.owed_next.max(self.index.next())
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
        self.pay()?;
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
        self.pay()?;
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

    /// The batch is durable: it goes into the index. Where the index does not take it, it is owed,
    /// and paid before anything else is settled.
    ///
    /// # Errors
    /// [`ResultsError`] of the index.
    pub fn committed(&mut self, next: i64) -> Result<(), ResultsError> {
        self.owed.append(&mut self.batch);
        self.owed_next = self.owed_next.max(next);
        self.pay()
    }

    /// The batch is not durable: it settled nothing.
    pub fn abandoned(&mut self) {
        self.batch.clear();
        self.latest.clear();
        for settled in &self.owed {
            let id = (settled.facts.tenant.clone(), settled.facts.pcs_id.clone());
            self.latest.insert(id, settled.clone());
        }
    }

    /// Brings the index up to what is durable. Not while a batch is at hand: `latest` holds it.
    fn pay(&mut self) -> Result<(), ResultsError> {
        if self.owed_next <= self.index.next() || !self.batch.is_empty() {
            return Ok(());
        }
        let owed: Vec<Settled> = self.owed.iter().map(|settled| Settled::clone(settled)).collect();
        self.index.apply(&owed, self.owed_next)?;
        self.owed.clear();
        self.latest.clear();
        Ok(())
    }
}
