//! What is told (contract section 6): the one shape of results, in answers, exports and topics.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    CONTRACT, Code, Digest, Form, Nano, Origin, Settled, Tenant, Verdict,
    signals::Regime,
    verdict::{self, Facts},
};

/// A judged record or a settled result. Fields that were not reached are null, never left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ResultBody {
    /// The id, as claimed; derived once check 3 holds.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub pcs_id: Arc<str>,
    /// Tenant of the key that verified the record.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub tenant: Tenant,
    /// HTTP status of the verdict: 200 or 202.
    pub status: u16,
    /// Whether the record is accepted.
    pub accepted: bool,
    /// Whether a person should look.
    pub escalated: bool,
    /// The machine-readable reason.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub code: Code,
    /// The reason for people; empty for `ok`.
    pub reason: String,
    /// The claimed D̂, rounded to nine decimals.
    #[serde(rename = "D_hat")]
    #[cfg_attr(feature = "schema", schema(value_type = f64))]
    pub d_hat: Nano,
    /// D̂ as recomputed from scales and `N_j`.
    #[serde(rename = "recomputed_D_hat")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<f64>))]
    pub recomputed_d_hat: Option<Nano>,
    /// The budget as recomputed from the claimed signals.
    #[cfg_attr(feature = "schema", schema(value_type = Option<f64>))]
    pub recomputed_budget: Option<Nano>,
    /// The derived regime: sticky, mixed or non_sticky.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub regime: Option<Regime>,
    /// SHA-256 of the canonical payload, hex.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub payload_sha256: Digest,
    /// SHA-256 of the canonical content, hex.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub content_sha256: Digest,
    /// The key that verified the record; null with signing off.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub key_id: Option<Arc<str>>,
    /// What the signature covers: payload or content; null with signing off.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub signed: Option<Form>,
    /// The contract's version.
    pub contract: String,
    /// The record that settled the id; null for a refused record.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Placed>))]
    pub origin: Option<Origin>,
}

impl ResultBody {
    fn new(code: Code, reason: String, facts: &Facts, origin: Option<Origin>) -> Self {
        let meaning = code.meaning();
        Self {
            pcs_id: facts.pcs_id.clone(),
            tenant: facts.tenant.clone(),
            status: meaning.status,
            accepted: meaning.accepted.unwrap_or(false),
            escalated: meaning.escalated,
            code,
            reason,
            d_hat: facts.d_hat,
            recomputed_d_hat: facts.recomputed_d_hat,
            recomputed_budget: facts.recomputed_budget,
            regime: facts.regime,
            payload_sha256: facts.payload_sha256,
            content_sha256: facts.content_sha256,
            key_id: facts.key_id.clone(),
            signed: facts.signed,
            contract: CONTRACT.to_owned(),
            origin,
        }
    }

    /// A settled result: the same for everybody while it stands.
    pub fn settled(settled: &Settled) -> Self {
        let reason = verdict::reason(settled.code, &settled.facts);
        Self::new(settled.code, reason, &settled.facts, Some(settled.origin.clone()))
    }

    /// A judged record that settles nothing. `None` for what was never judged.
    pub fn refused(verdict: &Verdict) -> Option<Self> {
        verdict.code.meaning().accepted?;
        let facts = verdict.facts.as_ref()?;
        Some(Self::new(verdict.code, verdict.reason.clone(), facts, None))
    }

    /// The facts that this was written from.
    pub fn into_facts(self) -> Facts {
        Facts {
            tenant: self.tenant,
            pcs_id: self.pcs_id,
            d_hat: self.d_hat,
            recomputed_d_hat: self.recomputed_d_hat,
            regime: self.regime,
            recomputed_budget: self.recomputed_budget,
            payload_sha256: self.payload_sha256,
            content_sha256: self.content_sha256,
            key_id: self.key_id,
            signed: self.signed,
        }
    }

    /// The settled result that [`ResultBody::settled`] wrote this from, exactly. Its reason is not
    /// looked at: it is made from the rest, and its words may change.
    ///
    /// # Errors
    /// [`NotSettled`] for whatever was not written from a settled result of this contract.
    pub fn into_settled(self) -> Result<Settled, NotSettled> {
        let (code, meaning) = (self.code, self.code.meaning());
        if self.contract != CONTRACT {
            return Err(NotSettled::Contract);
        }
        if !meaning.settles {
            return Err(NotSettled::Code(code));
        }
        let contradicted = [
            ("status", self.status != meaning.status),
            ("accepted", Some(self.accepted) != meaning.accepted),
            ("escalated", self.escalated != meaning.escalated),
        ];
        if let Some((field, _)) = contradicted.into_iter().find(|(_, contradicted)| *contradicted) {
            return Err(NotSettled::Contradiction(field, code));
        }
        // Check 3 has held for every record that settled: its id is a digest.
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if self.pcs_id.len() != 64 || !self.pcs_id.bytes().all(hex) {
            return Err(NotSettled::Id);
        }
        let origin = self.origin.clone().ok_or(NotSettled::NoOrigin)?;
        Ok(Settled { code, facts: self.into_facts(), origin })
    }
}

/// Why a result is not a settled one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSettled {
    /// It is of another contract: what it means is not known here.
    #[error(
        "a result of contract {CONTRACT} was expected, and one of another contract came; read it with that version"
    )]
    Contract,
    /// Its code is one that settles nothing.
    #[error("a result with code `{0}` settles nothing; ok, regime_mismatch, budget_deviation and degraded do")]
    Code(Code),
    /// A field says something else than its code.
    #[error("its {0} is not the one that code `{1}` means; the result was changed after it was written")]
    Contradiction(&'static str, Code),
    /// Its id is not a derived one.
    #[error("a settled id is 64 lower-case hex digits, and another came")]
    Id,
    /// It names no record that settled it.
    #[error("a settled result names the record that settled it (origin), and this one names none")]
    NoOrigin,
}

/// The answer to a POST: a result, and what is about this request alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Answer {
    /// The settled result, or the refused record.
    #[serde(flatten)]
    pub result: ResultBody,
    /// The id had been settled before, by another record.
    pub duplicate: bool,
    /// This record says something else than the one that settled the id.
    pub conflict: bool,
    /// Where this request's own record is.
    #[cfg_attr(feature = "schema", schema(value_type = Placed))]
    pub wal: Origin,
}

/// What became of one record of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RecordBody {
    /// How far it came.
    pub state: State,
    /// The verdict's code, `conflict` or `too_old`; null while pending.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub code: Option<Code>,
    /// Where it is.
    #[cfg_attr(feature = "schema", schema(value_type = Placed))]
    pub wal: Origin,
    /// The result that stands for it, or the judged refusal; null where there is none.
    pub result: Option<ResultBody>,
}

/// How far a record came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In the log, not judged yet.
    Pending,
    /// It settled its id.
    Settled,
    /// Another record had settled the id, with the same content.
    Duplicate,
    /// Another record had settled the id, with other content.
    Conflict,
    /// It settled nothing.
    Refused,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Settled, Self::Duplicate, Self::Conflict, Self::Refused];

    /// The word on the wire and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Settled => "settled",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
        }
    }

    /// The state of a word; `None` if there is none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A place in a log: how [`Origin`] is written.
#[cfg(feature = "schema")]
#[derive(Serialize, utoipa::ToSchema)]
pub struct Placed {
    /// Which log: a cluster's id or a data directory's.
    pub log: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset; in an embedded log the first is 1.
    pub offset: i64,
    /// Log time, RFC 3339, UTC, milliseconds.
    pub appended_at: String,
}
