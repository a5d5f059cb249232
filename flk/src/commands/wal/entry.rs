//! A record of the log for scripts: where and when, what became of it, the numbers of its verdict.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_contract::{Code, Digest, Form, Nano, Origin, Tenant, signals::Regime, wire::State};
use flk_log::StoredRecord;
use serde::Serialize;

/// Whether bodies are told. They are what agents sent, and may be nobody else's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bodies {
    Tell,
    Withhold,
}

impl Bodies {
    pub(super) const fn asked(told: bool) -> Self {
        if told { Self::Tell } else { Self::Withhold }
    }
}

/// A record as one JSON object. What does not apply is null; only `body_base64` is left out.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    wal: &'a Origin,
    state: Option<State>,
    code: Option<Code>,
    settled_by: Option<i64>,
    verdict: Option<Verdict<'a>>,
    claimed_tenant: Option<&'a str>,
    request_id: Option<&'a str>,
    traceparent: Option<&'a str>,
    body_bytes: usize,
    body_sha256: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[derive(Debug, Serialize)]
struct Verdict<'a> {
    code: Code,
    reason: &'a str,
    tenant: Option<&'a Tenant>,
    pcs_id: Option<&'a str>,
    #[serde(rename = "D_hat")]
    d_hat: Option<Nano>,
    #[serde(rename = "recomputed_D_hat")]
    recomputed_d_hat: Option<Nano>,
    recomputed_budget: Option<Nano>,
    regime: Option<Regime>,
    payload_sha256: Option<Digest>,
    content_sha256: Option<Digest>,
    key_id: Option<&'a str>,
    signed: Option<Form>,
}

impl<'a> Entry<'a> {
    pub(super) fn of(stored: &'a StoredRecord, bodies: Bodies) -> Self {
        let StoredRecord { origin, record, decision } = stored;
        Self {
            wal: origin,
            state: decision.as_ref().map(|decision| decision.state),
            code: decision.as_ref().map(|decision| decision.code),
            settled_by: decision.as_ref().and_then(|decision| decision.settled_by),
            verdict: decision.as_ref().map(|decision| Verdict::of(&decision.verdict)),
            claimed_tenant: record.tenant.as_deref(),
            request_id: record.request_id.as_deref(),
            traceparent: record.traceparent.as_deref(),
            body_bytes: record.body.len(),
            body_sha256: Digest::of(&record.body),
            body_base64: (bodies == Bodies::Tell).then(|| STANDARD.encode(&record.body)),
        }
    }
}

impl<'a> Verdict<'a> {
    fn of(verdict: &'a flk_contract::Verdict) -> Self {
        let facts = verdict.facts.as_ref();
        Self {
            code: verdict.code,
            reason: &verdict.reason,
            tenant: facts.map(|facts| &facts.tenant),
            pcs_id: facts.map(|facts| &*facts.pcs_id),
            d_hat: facts.map(|facts| facts.d_hat),
            recomputed_d_hat: facts.and_then(|facts| facts.recomputed_d_hat),
            recomputed_budget: facts.and_then(|facts| facts.recomputed_budget),
            regime: facts.and_then(|facts| facts.regime),
            payload_sha256: facts.map(|facts| facts.payload_sha256),
            content_sha256: facts.map(|facts| facts.content_sha256),
            key_id: facts.and_then(|facts| facts.key_id.as_deref()),
            signed: facts.and_then(|facts| facts.signed),
        }
    }
}
