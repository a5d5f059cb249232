//! From a record of pcs.raw to what is produced for it. Pure: no client, no clock.

use core::num::NonZeroU32;
use std::sync::Arc;

use flk_contract::{Code, LogId, LogTime, Origin, Position, Settled, Verdict, partition, wire::State};
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
    /// Judges a record that has a log time.
    pub(super) fn judge(&self, record: Record, at: LogTime) -> Judged {
        let verdict = self.verifier.judge(&record.value, at, record.headers.tenant.as_deref());
        let origin = self.origin(&record, at);
        let from = Delivered::of(&record);
        match self.verified(&verdict, &origin) {
            Some(out) => Judged { from, code: verdict.code, headers: record.headers, out },
            None => self.refuse(from, verdict, origin, Some(&record.value), record.headers),
        }
    }

    /// Refuses a record that has no log time, and so can not be judged: not ever, because the time of a
    /// record that is there does not change. It was appended while the topic was not as it has to be.
    pub(super) fn refuse_timeless(&self, record: Record) -> Judged {
        let reason = "the record came while its topic kept the times of producers, so that it has no log time to be \
                      judged at; send it again";
        let verdict = Verdict { reason: reason.to_owned(), ..Verdict::internal() };
        let (from, origin) = (Delivered::of(&record), self.origin(&record, LogTime::from_millis(0)));
        self.refuse(from, verdict, origin, Some(&record.value), record.headers)
    }

    /// What is produced instead of something that Kafka does not take.
    pub(super) fn refuse_instead(&self, judged: &Judged, why: &str) -> Judged {
        let nothing = || Out::Nothing(why.to_owned());
        let Judged { from, headers, .. } = judged;
        let out = match &judged.out {
            Out::Verified { value, .. } => match Verified::decode(None, value) {
                Ok(Verified { settled }) => {
                    let origin = settled.origin;
                    return self.refuse(*from, Verdict::internal(), origin, None, headers.clone());
                }
                Err(_) => nothing(),
            },
            Out::Refused { .. } | Out::Nothing(_) => nothing(),
        };
        Judged { from: *from, code: Code::Internal, headers: headers.clone(), out }
    }

    fn verified(&self, verdict: &Verdict, origin: &Origin) -> Option<Out> {
        let facts = verdict.candidate()?;
        let settled = Settled { code: verdict.code, facts: facts.clone(), origin: origin.clone() };
        let value = Verified::encode(&settled).ok()?;
        let partition = partition(&facts.tenant, &facts.pcs_id, self.partitions);
        Some(Out::Verified { partition: i32::try_from(partition).ok()?, key: topic::key(facts), value })
    }

    fn refuse(
        &self,
        from: Delivered,
        verdict: Verdict,
        origin: Origin,
        body: Option<&[u8]>,
        headers: Headers,
    ) -> Judged {
        // What settles and can not be written is a fault of ours.
        let verdict = if verdict.candidate().is_some() { Verdict::internal() } else { verdict };
        let code = verdict.code;
        let decided = Decided { verdict, state: State::Refused, code, standing: None };
        let value = Refused::of(&decided, &origin, body).map(|refused| refused.encode());
        let out = match value {
            Some(Ok(value)) => {
                let reply = headers.reply.filter(|to| self.is_there(*to));
                let reply = reply.and_then(|to| Some((to.partition, Reply::encode(&decided, &origin, to.id).ok()?)));
                Out::Refused { value, reply }
            }
            Some(Err(error)) => Out::Nothing(error.to_string()),
            None => Out::Nothing("it was not refused".to_owned()),
        };
        Judged { from, code, headers, out }
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

impl Delivered {
    fn of(record: &Record) -> Self {
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
