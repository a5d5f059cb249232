//! What a folded record brings about: which records are produced, and what is answered. Pure.

use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;

use flk_contract::{LogId, LogTime, Origin, Outcome, Position, Verdict, partition, settle::stands, wire::State};
use flk_log::{
    Decided,
    topic::{self, Headers, Refused, Reply, ResultEntry, Topic, Undecodable, Verified, VerifiedAt},
};
use flk_results::Entry;

use super::watch::Settling;
use crate::{Settlement, Standing};

/// How late a produce may land: a result that expires within it is not produced under its id, because it
/// would win the compaction over its successor.
const LATE: Duration = Duration::from_secs(60 * 60);

/// What is produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Out {
    pub(super) topic: Topic,
    pub(super) key: Option<String>,
    pub(super) value: Vec<u8>,
}

/// What one record brings about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effects {
    pub(super) settling: Settling,
    pub(super) out: Option<Out>,
    /// What the read side is told, if this record settled its id.
    pub(super) entry: Option<Entry>,
    /// To that partition of pcs.replies.
    pub(super) reply: Option<(i32, Vec<u8>)>,
}

/// What effects go by.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) log: LogId,
    pub(super) raw: Arc<str>,
    pub(super) verified: Arc<str>,
    /// Partitions of pcs.verified and of pcs.results.
    pub(super) partitions: NonZeroU32,
    /// Partitions of pcs.replies.
    pub(super) replies: NonZeroU32,
}

/// Why a record of pcs.verified is none: whoever produced it is not a verifier of this cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Poison {
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    #[error("its id belongs to partition {0}")]
    Partition(u32),
    #[error("its origin is of another log or topic")]
    Origin,
    #[error("it has no log time: its topic keeps its producers' times; see `flk topics check`")]
    Timeless,
    #[error("it has no value")]
    NoValue,
}

impl Scope {
    /// Reads a record of a partition of pcs.verified.
    pub(super) fn read(&self, at: i32, schema: Option<&[u8]>, value: Option<&[u8]>) -> Result<Verified, Poison> {
        let verified = Verified::decode(schema, value.ok_or(Poison::NoValue)?)?;
        let facts = &verified.settled.facts;
        let own = partition(&facts.tenant, &facts.pcs_id, self.partitions);
        if i32::try_from(own) != Ok(at) {
            return Err(Poison::Partition(own));
        }
        let Position { log, topic, .. } = &verified.settled.origin.position;
        if (log, topic) != (&self.log, &self.raw) {
            return Err(Poison::Origin);
        }
        Ok(verified)
    }

    /// What a record that can not be read brings about: it is refused, and the others go on.
    pub(super) fn poisoned(&self, at: (i32, i64), time: Option<LogTime>, value: Option<&[u8]>) -> Effects {
        let appended_at = time.unwrap_or(LogTime::from_millis(0));
        let (partition, offset) = at;
        let position = Position { log: self.log.clone(), topic: self.verified.clone(), partition, offset };
        let verdict = Verdict::internal();
        let decided = Decided { code: verdict.code, verdict, state: State::Refused, standing: None };
        let out = refused(&decided, &Origin { position, appended_at }, value);
        Effects { settling: Settling::Poisoned, out, entry: None, reply: None }
    }

    /// What a folded record brings about at `now`, the time of whoever produces.
    pub(super) fn of(
        &self,
        at: i32,
        verified: &Verified,
        settlement: &Settlement,
        headers: &Headers,
        now: LogTime,
    ) -> Effects {
        let settling = match settlement.outcome {
            Some(Outcome::Settles) => Settling::Settled,
            Some(Outcome::Replay) => Settling::Replay,
            Some(Outcome::Duplicate) => Settling::Duplicate,
            Some(Outcome::Conflict) => Settling::Conflict,
            Some(Outcome::TooOld) => Settling::TooOld,
            // Only what settles is in pcs.verified.
            None => Settling::Poisoned,
        };
        if settlement.was_done_before() {
            return Effects { settling, out: None, entry: None, reply: None };
        }
        let decided = Decided {
            verdict: verified.verdict(),
            state: settlement.state,
            code: settlement.code,
            standing: settlement.standing.as_ref().map(|standing| standing.settled.clone()),
        };
        let origin = &verified.settled.origin;
        let (out, entry) = match (settling, &settlement.standing) {
            (Settling::Settled | Settling::Replay, Some(standing)) => {
                let own = standing.offset == settlement.offset;
                let entry = own.then(|| Entry { offset: standing.offset, settled: (*standing.settled).clone() });
                (self.result(at, standing, own, now), entry)
            }
            (Settling::Conflict | Settling::TooOld | Settling::Poisoned, _) => (refused(&decided, origin, None), None),
            _ => (None, None),
        };
        let there = |partition: i32| u32::try_from(partition).is_ok_and(|it| it < self.replies.get());
        let reply = headers.reply.filter(|to| there(to.partition));
        let reply = reply.and_then(|to| Some((to.partition, Reply::encode(&decided, origin, to.id).ok()?)));
        Effects { settling, out, entry, reply }
    }

    /// The stored result, as it is produced: the same however often. One that is about to expire goes under
    /// a key of its own, if this is the record that settled it.
    fn result(&self, partition: i32, standing: &Standing, own: bool, now: LogTime) -> Option<Out> {
        let Standing { offset, settled } = standing;
        let mut key = topic::key(&settled.facts);
        if !stands(settled.origin.appended_at, now.after(LATE)) {
            if !own {
                return None;
            }
            key = format!("{key}@{offset}");
        }
        let value = ResultEntry::encode(settled, VerifiedAt { partition, offset: *offset }).ok()?;
        Some(Out { topic: Topic::Results, key: Some(key), value })
    }
}

fn refused(decided: &Decided, origin: &Origin, body: Option<&[u8]>) -> Option<Out> {
    let value = Refused::of(decided, origin, body)?.encode().ok()?;
    Some(Out { topic: Topic::Refused, key: None, value })
}
