//! From a record of pcs.raw to what is produced for it. Pure: no client, no clock.

use core::num::NonZeroU32;
use std::{panic::AssertUnwindSafe, sync::Arc};

use flk_contract::{Code, LogId, LogTime, Origin, Position, Settled, Tenant, Verdict, partition, wire::State};
use flk_log::{
    Decided,
    kafka::Record,
    ledger::Generation,
    topic::{self, Headers, Refused, Reply, ReplyTo, Topic, Verified},
};

use crate::Verifier;

/// What judging goes by.
#[derive(Debug, Clone)]
pub(super) struct Court {
    /// Policy and keys.
    pub(super) verifier: Verifier,
    /// The log.
    pub(super) log: LogId,
    /// pcs.raw, with its prefix.
    pub(super) raw: Arc<str>,
    /// Partitions of pcs.verified.
    pub(super) partitions: NonZeroU32,
    /// Partitions of pcs.replies.
    pub(super) replies: NonZeroU32,
}

/// Where a record was delivered: what says that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) partition: i32,
    pub(super) generation: Generation,
    pub(super) offset: i64,
}

/// A judged record on its way out.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) from: Delivered,
    pub(super) code: Code,
    /// Whose it is, where that is known.
    pub(super) tenant: Option<Tenant>,
    pub(super) headers: Headers,
    pub(super) out: Out,
}

/// What is produced for it.
#[derive(Debug)]
pub(super) enum Out {
    /// To pcs.verified.
    Verified { partition: i32, key: String, value: Vec<u8> },
    /// To pcs.refused, and then an answer to whoever waits.
    Refused { value: Vec<u8>, reply: Option<(i32, Vec<u8>)> },
    /// It can not be said at all, not even that it was refused. A fault of ours: every field that goes out
    /// is bounded.
    Nothing(String),
}

impl Court {
    /// Judges a record that has a log time. Never unwinds.
    pub(super) fn judge(&self, record: Record, at: LogTime) -> Judged {
        let mut tenant = None;
        let (code, out) = self.or_internal(&record, at, || {
            let verdict = self.verifier.judge(&record.value, at, record.headers.tenant.as_deref());
            tenant = verdict.facts.as_ref().map(|facts| facts.tenant.clone());
            let origin = self.origin(&record, at);
            match self.verified(&verdict, &origin) {
                Some(out) => (verdict.code, out),
                None => self.refused(verdict, &origin, Some(&record.value), record.headers.reply),
            }
        });
        Judged { from: Delivered::of(&record), code, tenant, headers: record.headers, out }
    }

    /// Refuses a record that has no log time, and so can not be judged: not ever, because the time of a
    /// record that is there does not change. It was appended while the topic was not as it has to be.
    pub(super) fn refuse_timeless(&self, record: Record) -> Judged {
        let never = LogTime::from_millis(0);
        let (code, out) = self.or_internal(&record, never, || {
            let reason = "the record came while its topic kept the times of producers, so that it has no log time to \
                          be judged at; send it again";
            let verdict = Verdict { reason: reason.to_owned(), ..Verdict::internal() };
            self.refused(verdict, &self.origin(&record, never), Some(&record.value), record.headers.reply)
        });
        Judged { from: Delivered::of(&record), code, tenant: None, headers: record.headers, out }
    }

    /// What a record comes to, also where finding out panics: nobody can buy a crash loop with one record.
    fn or_internal(&self, record: &Record, at: LogTime, make: impl FnOnce() -> (Code, Out)) -> (Code, Out) {
        let internal = || self.refused(Verdict::internal(), &self.origin(record, at), None, record.headers.reply);
        let nothing = || (Code::Internal, Out::Nothing("to say that it is refused panicked".to_owned()));
        caught(make).or_else(|| caught(internal)).unwrap_or_else(nothing)
    }

    fn verified(&self, verdict: &Verdict, origin: &Origin) -> Option<Out> {
        let facts = verdict.candidate()?;
        let settled = Settled { code: verdict.code, facts: facts.clone(), origin: origin.clone() };
        let value = Verified::encode(&settled).ok()?;
        let partition = partition(&facts.tenant, &facts.pcs_id, self.partitions);
        Some(Out::Verified { partition: i32::try_from(partition).ok()?, key: topic::key(facts), value })
    }

    fn refused(&self, verdict: Verdict, origin: &Origin, body: Option<&[u8]>, to: Option<ReplyTo>) -> (Code, Out) {
        // What settles and can not be written is a fault of ours.
        let verdict = if verdict.candidate().is_some() { Verdict::internal() } else { verdict };
        let code = verdict.code;
        let decided = Decided { verdict, state: State::Refused, code, standing: None };
        let why = match Refused::of(&decided, origin, body).map(|refused| refused.encode()) {
            Some(Ok(value)) => {
                let reply = to.filter(|to| self.is_there(*to));
                let reply = reply.and_then(|to| Some((to.partition, Reply::encode(&decided, origin, to.id).ok()?)));
                return (code, Out::Refused { value, reply });
            }
            Some(Err(error)) => error.to_string(),
            None => "it was not refused".to_owned(),
        };
        // What has no facts is bounded by what is written here.
        if decided.verdict.facts.is_some() {
            return self.refused(Verdict::internal(), origin, None, to);
        }
        (code, Out::Nothing(why))
    }

    /// Anybody may have written the header: a partition that is not there would be produced to for ever.
    fn is_there(&self, to: ReplyTo) -> bool {
        u32::try_from(to.partition).is_ok_and(|partition| partition < self.replies.get())
    }

    fn origin(&self, record: &Record, appended_at: LogTime) -> Origin {
        let (partition, offset) = (record.partition, record.offset);
        let position = Position { log: self.log.clone(), topic: self.raw.clone(), partition, offset };
        Origin { position, appended_at }
    }
}

fn caught<T>(make: impl FnOnce() -> T) -> Option<T> {
    // The record is the only thing that was being worked on; nothing of what was made of it is kept.
    std::panic::catch_unwind(AssertUnwindSafe(make)).ok()
}

impl Delivered {
    pub(super) fn of(record: &Record) -> Self {
        Self { partition: record.partition, generation: record.generation, offset: record.offset }
    }
}

impl Judged {
    /// The topic that it goes to.
    pub(super) fn topic(&self) -> Option<Topic> {
        match self.out {
            Out::Verified { .. } => Some(Topic::Verified),
            Out::Refused { .. } => Some(Topic::Refused),
            Out::Nothing(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
