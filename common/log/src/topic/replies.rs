//! pcs.replies: what became of a record, on its way to the request that waits for it.

use std::{borrow::Cow, sync::Arc};

use flk_contract::{
    Code, Origin, Settled, Verdict, verdict,
    wire::{ResultBody, State},
};
use serde::{Deserialize, Serialize};

use super::{ReplyId, Topic, Undecodable, Unencodable, verified, write};
use crate::Decided;

/// What became of the record at one place, for whoever asked under that id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What the answer is recognised by.
    pub reply_id: ReplyId,
    /// The record: whoever waits takes an answer for its own only.
    pub wal: Origin,
    /// What became of it.
    pub decided: Decided,
}

#[derive(Serialize, Deserialize)]
struct ReplyBody<'a> {
    reply_id: ReplyId,
    wal: Cow<'a, Origin>,
    state: State,
    code: Code,
    /// Of the refusal or conflict, or of the record that settled.
    reason: String,
    /// What is told: the result that stands, or the judged refusal.
    result: Option<ResultBody>,
    /// The record's own verdict, where it says something else than `result`.
    judged: Option<ResultBody>,
}

impl Reply {
    /// Writes the value: all of what became of the record at `wal`.
    ///
    /// # Errors
    /// [`Unencodable`] where it was not decided, or is decided in a way that has no answer.
    pub fn encode(decided: &Decided, wal: &Origin, reply_id: ReplyId) -> Result<Vec<u8>, Unencodable> {
        let Decided { verdict, state, code, standing } = decided;
        let (reason, result, judged) = match (state, standing) {
            (State::Settled | State::Duplicate | State::Conflict, Some(standing)) => {
                let (told, own) = (verified::body(standing)?, of(standing));
                let judged = if *verdict == own { None } else { Some(judged(verdict)?) };
                let reason = if *code == own.code { own.reason } else { verdict::reason(*code, &standing.facts) };
                (reason, Some(told), judged)
            }
            (State::Refused, None) => match &verdict.facts {
                None if *code == verdict.code => (verdict.reason.clone(), None, None),
                None => return Err(Unencodable::Undecided("it was refused for what only a judged record can be")),
                Some(_) if *code == verdict.code => (verdict.reason.clone(), Some(judged(verdict)?), None),
                // Settling it came too late: it is told so, and was judged otherwise.
                Some(facts) => {
                    let reason = verdict::reason(*code, facts);
                    let told = Verdict { code: *code, reason: reason.clone(), facts: Some(facts.clone()) };
                    (reason, Some(judged(&told)?), Some(judged(verdict)?))
                }
            },
            (State::Refused, Some(_)) => {
                return Err(Unencodable::Undecided("it was refused, and a result stands for it"));
            }
            (State::Pending, _) => return Err(Unencodable::Undecided("it is pending")),
            (_, None) => return Err(Unencodable::Undecided("no result stands for it")),
        };
        write(&ReplyBody { reply_id, wal: Cow::Borrowed(wal), state: *state, code: *code, reason, result, judged })
    }

    /// Reads a value, of a record that says it has that schema.
    ///
    /// # Errors
    /// [`Undecodable`]; reading again says the same.
    pub fn decode(schema: Option<&[u8]>, value: &[u8]) -> Result<Self, Undecodable> {
        let ReplyBody { reply_id, wal, state, code, reason, result, judged } = Topic::Replies.read(schema, value)?;
        let own =
            judged.map(|body| Verdict { code: body.code, reason: body.reason.clone(), facts: Some(body.into_facts()) });
        let (verdict, standing) = match (state, result) {
            (State::Settled | State::Duplicate | State::Conflict, Some(result)) => {
                let standing = result.into_settled()?;
                (own.unwrap_or_else(|| of(&standing)), Some(Arc::new(standing)))
            }
            (State::Refused, result) => {
                if result.as_ref().is_some_and(|result| result.code != code || result.origin.is_some()) {
                    return Err(Undecodable::Contradiction("it is refused, and its result is not of that refusal"));
                }
                let refusal = Verdict { code, reason, facts: result.map(ResultBody::into_facts) };
                (own.unwrap_or(refusal), None)
            }
            (State::Pending, _) => return Err(Undecodable::Contradiction("a reply says what became, and is pending")),
            (_, None) => return Err(Undecodable::Contradiction("a result stands, and none is there")),
        };
        Ok(Self { reply_id, wal: wal.into_owned(), decided: Decided { verdict, state, code, standing } })
    }
}

/// The verdict of the record that settled a result.
fn of(settled: &Settled) -> Verdict {
    let reason = verdict::reason(settled.code, &settled.facts);
    Verdict { code: settled.code, reason, facts: Some(settled.facts.clone()) }
}

fn judged(verdict: &Verdict) -> Result<ResultBody, Unencodable> {
    ResultBody::refused(verdict).ok_or(Unencodable::Undecided("its verdict has no facts, or a code that needs none"))
}
