//! pcs.refused: records that settled nothing, and conflicts. Never a body: that is in pcs.raw.

use std::sync::Arc;

use flk_contract::{Code, Digest, Facts, Form, Origin, Tenant, verdict, wire::State};
use serde::{Deserialize, Serialize};

use super::{Topic, Undecodable, Unencodable, write};
use crate::Decided;

/// A record that settled nothing. Fields that were not reached are null, never left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Refused, or conflict.
    pub state: State,
    /// The verdict's code, `conflict` or `too_old`.
    pub code: Code,
    /// The reason for people. Quotes nothing of the body.
    pub reason: String,
    /// The id, as claimed; null for a record that is malformed or not authentic.
    pub pcs_id: Option<Arc<str>>,
    /// Tenant of the key that verified the record; null where none did.
    pub tenant: Option<Tenant>,
    /// SHA-256 of the canonical payload.
    pub payload_sha256: Option<Digest>,
    /// SHA-256 of the canonical content.
    pub content_sha256: Option<Digest>,
    /// SHA-256 of the body's bytes; null where it was not at hand (conflicts, and what came too late).
    pub body_sha256: Option<Digest>,
    /// How long the body is; null as `body_sha256`.
    pub body_bytes: Option<u64>,
    /// The key that verified the record.
    pub key_id: Option<Arc<str>>,
    /// What the signature covers.
    pub signed: Option<Form>,
    /// Where the record is: the body is there.
    pub origin: Origin,
    /// Where the record is whose result stands for the id; null unless this is a conflict.
    pub standing: Option<Origin>,
    /// The content digest of the result that stands: with `content_sha256`, what the conflict is between.
    pub standing_content_sha256: Option<Digest>,
}

impl Refused {
    /// What is kept of a decided record at `origin`, with its body where that is at hand. `None` for a
    /// record that was not refused and is no conflict.
    pub fn of(decided: &Decided, origin: &Origin, body: Option<&[u8]>) -> Option<Self> {
        if !is_kept(decided.state) {
            return None;
        }
        let facts = decided.verdict.facts.as_ref();
        let reason = match facts {
            Some(facts) if decided.code != decided.verdict.code => verdict::reason(decided.code, facts),
            _ => decided.verdict.reason.clone(),
        };
        let standing = decided.standing.as_ref().filter(|_| decided.state == State::Conflict);
        let facts_of = |facts: &Facts| (facts.pcs_id.clone(), facts.tenant.clone());
        let (pcs_id, tenant) = facts.map(facts_of).unzip();
        Some(Self {
            state: decided.state,
            code: decided.code,
            reason,
            pcs_id,
            tenant,
            payload_sha256: facts.map(|facts| facts.payload_sha256),
            content_sha256: facts.map(|facts| facts.content_sha256),
            body_sha256: body.map(Digest::of),
            body_bytes: body.map(|body| body.len() as u64),
            key_id: facts.and_then(|facts| facts.key_id.clone()),
            signed: facts.and_then(|facts| facts.signed),
            origin: origin.clone(),
            standing: standing.map(|standing| standing.origin.clone()),
            standing_content_sha256: standing.map(|standing| standing.facts.content_sha256),
        })
    }

    /// Writes the value.
    ///
    /// # Errors
    /// [`Unencodable::Undecided`] for another state than refused and conflict.
    pub fn encode(&self) -> Result<Vec<u8>, Unencodable> {
        if !is_kept(self.state) {
            return Err(Unencodable::Undecided("it was not refused and is no conflict"));
        }
        write(self)
    }

    /// Reads a value, of a record that says it has that schema.
    ///
    /// # Errors
    /// [`Undecodable`]; reading again says the same.
    pub fn decode(schema: Option<&[u8]>, value: &[u8]) -> Result<Self, Undecodable> {
        let refused: Self = Topic::Refused.read(schema, value)?;
        if !is_kept(refused.state) {
            return Err(Undecodable::Contradiction("its state is neither refused nor conflict"));
        }
        Ok(refused)
    }
}

fn is_kept(state: State) -> bool {
    match state {
        State::Refused | State::Conflict => true,
        State::Pending | State::Settled | State::Duplicate => false,
    }
}
