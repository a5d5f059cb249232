//! The embedded log's decider: the verifier and the fold, inside the transaction of the log.

use std::{sync::Arc, time::Instant};

use flk_contract::{Code, Origin, Settled, Verdict, wire::State};
use flk_dedup_sink::{Arrival, Fold};
use flk_log::{Append, Decide, Decided};
use flk_results::{Entry, ResultsError};
use flk_service::{
    Metrics,
    metrics::{self, Op},
};
use flk_verifier::Verifier;

use super::index::Mend;

/// Ids whose records are gone that are looked at in one step: little, since the writer waits.
const FORGET_AT_A_TIME: usize = 500;

/// Judges where the provisional verdict does not hold any more, and settles.
pub struct Deciding<I> {
    verifier: Verifier,
    fold: Fold<I>,
    metrics: Arc<Metrics>,
    /// Decided in the batch at hand; counted when it is durable.
    batch: Vec<Arc<Decided>>,
    /// Where the log ended when it was last said.
    end: i64,
}

impl<I: Mend> Deciding<I> {
    /// A decider that goes on from where the index ends.
    pub fn new(verifier: Verifier, index: Arc<I>, metrics: Arc<Metrics>) -> Self {
        Self { verifier, fold: Fold::new(index), metrics, batch: Vec::new(), end: 0 }
    }

    fn verdict(&self, append: &Append, origin: &Origin) -> Verdict {
        match &append.judged {
            Some(judged) if !self.verifier.changes_between(judged.at, origin.appended_at) => judged.verdict.clone(),
            _ => self.verifier.judge(&append.record.body, origin.appended_at, append.record.tenant.as_deref()),
        }
    }

    fn note_whether_restored(&self, next: i64) {
        if next >= self.end {
            self.fold.index().restored();
        }
    }

    /// Counts one durable record (contract section 8): accepted and escalated count what was
    /// settled or refused, not duplicates.
    fn count(&self, decided: &Decided) {
        let metrics = &self.metrics;
        metrics.verdict(decided.verdict.code);
        if let Some(facts) = &decided.verdict.facts {
            metrics.count_tenant(&facts.tenant);
        }
        if decided.verdict.code == Code::BadSignature {
            metrics.signature_err.inc();
        }
        let meaning = decided.code.meaning();
        match decided.state {
            State::Settled | State::Refused => {
                if meaning.status == 200 {
                    metrics.accepted.inc();
                } else if meaning.escalated {
                    metrics.escalated.inc();
                }
            }
            State::Duplicate => metrics.dedup_hits.inc(),
            State::Conflict => {
                metrics.dedup_hits.inc();
                metrics.conflicts.inc();
            }
            State::Pending => {}
        }
        match decided.state {
            State::Settled => metrics.outcome(metrics::State::Settled),
            State::Duplicate => metrics.outcome(metrics::State::Duplicate),
            State::Conflict => metrics.outcome(metrics::State::Conflict),
            State::Refused => metrics.outcome(metrics::State::Refused),
            State::Pending => {}
        }
    }
}

fn said(error: ResultsError) -> Arc<str> {
    error.to_string().into()
}

impl<I: Mend> Decide for Deciding<I> {
    fn next(&self) -> i64 {
        self.fold.next()
    }

    fn mend(&mut self, next: i64) -> Result<(), Arc<str>> {
        self.end = next;
        let index = self.fold.index().clone();
        if index.mend(next)? {
            // What was owed to the old one is in the log.
            self.fold = Fold::new(index);
        }
        self.note_whether_restored(self.fold.next());
        Ok(())
    }

    fn restore(&mut self, settled: &[Settled], next: i64) -> Result<(), Arc<str>> {
        // The index follows the log itself: what a record settled lies where the record does.
        let entry = |settled: &Settled| Entry { offset: settled.origin.position.offset, settled: settled.clone() };
        self.fold.restore(&settled.iter().map(entry).collect::<Vec<_>>(), next).map_err(said)?;
        self.note_whether_restored(next);
        Ok(())
    }

    fn decide(&mut self, append: &Append, origin: &Origin) -> Result<Arc<Decided>, Arc<str>> {
        let verdict = self.verdict(append, origin);
        let started = Instant::now();
        let settlement = self.fold.settle_judged(&verdict, Arrival::in_log(origin)).map_err(said)?;
        self.metrics.dedup_op(Op::Settle, started.elapsed());
        let decided = Arc::new(Decided {
            verdict,
            state: settlement.state,
            code: settlement.code,
            standing: settlement.standing.map(|standing| standing.settled),
        });
        self.batch.push(decided.clone());
        Ok(decided)
    }

    fn committed(&mut self, next: i64) -> Result<(), Arc<str>> {
        self.batch.iter().for_each(|decided| self.count(decided));
        self.batch.clear();
        self.fold.committed(next).map_err(said)
    }

    fn abandoned(&mut self) {
        self.batch.clear();
        self.fold.abandoned();
    }

    fn forget_before(&mut self, offset: i64) -> Result<bool, Arc<str>> {
        let looked = self.fold.index().forget_before(offset, FORGET_AT_A_TIME).map_err(said)?;
        Ok(looked >= FORGET_AT_A_TIME)
    }
}
