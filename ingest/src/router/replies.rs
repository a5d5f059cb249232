//! Answers as they come by in pcs.replies.

use std::{sync::Arc, time::Instant};

use flk_contract::LogTime;
use flk_log::{
    kafka::{TailRecord, Tailed},
    topic::{Reply, ReplyId, Topic},
};
use serde::Deserialize;

use super::{
    options::{Answered, Watch},
    verdicts::Verdicts,
    waiters::Waiters,
};

/// What is done with each, on the thread that reads them: nothing here waits.
pub(super) struct Replies {
    pub(super) waiters: Arc<Waiters>,
    pub(super) verdicts: Arc<Verdicts>,
    pub(super) watch: Arc<dyn Watch>,
}

/// As much of an answer as everybody looks at: instances share partitions, and most of what comes by may
/// be for others.
#[derive(Deserialize)]
struct Address {
    reply_id: ReplyId,
    wal: At,
}

#[derive(Deserialize)]
struct At {
    appended_at: LogTime,
}

impl Replies {
    pub(super) fn take(&self, tailed: Tailed<'_>) {
        match tailed {
            Tailed::Record(record) => match self.answer(&record) {
                Some(answered) => self.watch.on_reply(answered),
                None => {
                    tracing::debug!(offset = record.offset, "what came by in pcs.replies is no answer");
                    self.watch.on_undecodable();
                }
            },
            Tailed::Gap { expected, found } => self.watch.on_gap(expected, found),
        }
    }

    fn answer(&self, record: &TailRecord<'_>) -> Option<Answered> {
        let schema = record.schema.as_deref();
        Topic::Replies.admit(schema).ok()?;
        let address: Address = serde_json::from_slice(record.value).ok()?;
        self.verdicts.answered(Instant::now(), address.wal.appended_at);
        if !self.waiters.knows(&address.reply_id) {
            return Some(Answered::Nobody);
        }
        let reply = Reply::decode(schema, record.value).ok()?;
        let answered = self.waiters.answer(reply);
        if answered == Answered::Elsewhere {
            tracing::warn!(
                offset = record.offset,
                "an answer is for another record than the one that waits under its id"
            );
        }
        Some(answered)
    }
}
