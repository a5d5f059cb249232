//! `POST /v1/pcs/submit`: let in, read, hand over, wait as long as the client wants, answer.
//!
//! What a verdict means is decided elsewhere; this is the table of contract section 6 in code.

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    http::{HeaderValue, Response, StatusCode, header, request::Parts},
};
use core::time::Duration;
use flk_contract::{
    Code, Origin, Verdict, verdict,
    wire::{Answer, ResultBody, State},
};
use flk_log::{Appended, Decided, NewRecord};
use flk_service::metrics::Shed;
use serde::Serialize;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    answer,
    app::Shared,
    body, incoming,
    limits::Limits,
    line::Line,
    prefer::Prefer,
    refusal::{Kind, Refusal},
};

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Patience {
    /// For the record to be durable.
    durable: Duration,
    /// For its verdict; `None` is not at all.
    verdict: Option<Duration>,
    /// What is answered where the record is durable and its verdict is late.
    late: Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    /// 503, durable.
    Refuse,
    /// 202, pending.
    Pending,
}

impl Patience {
    fn of(prefer: Prefer, limits: &Limits) -> Self {
        match (prefer.respond_async, prefer.wait) {
            (false, None) => Self { durable: limits.answer, verdict: Some(limits.answer), late: Late::Refuse },
            (false, Some(wait)) => Self { durable: wait, verdict: Some(wait), late: Late::Refuse },
            (true, None) => Self { durable: limits.answer, verdict: None, late: Late::Pending },
            (true, Some(wait)) => Self { durable: limits.answer.max(wait), verdict: Some(wait), late: Late::Pending },
        }
    }
}

pub(crate) async fn submit(
    shared: &Shared,
    request: Request,
    request_id: &HeaderValue,
    line: &mut Line<'_>,
) -> Result<(Response<Body>, &'static str), Refusal> {
    let (parts, body) = request.into_parts();
    let prefer = Prefer::of(parts.headers.get_all(incoming::PREFER).iter().map(HeaderValue::as_bytes));
    // Whoever does not wait for the verdict does not mind that it is late.
    if !prefer.respond_async && shared.pipeline.are_verdicts_late() {
        return Err(shared.admission.shed(Shed::Verdicts, Kind::TooManyUnjudged));
    }
    let declared = body.size_hint().exact();
    let permit = shared.admission.enter(declared)?;
    let body = body::read(body, declared, shared.limits.body_read).await?;
    let (_turn, body) = permit.hold(body);
    shared.metrics.ingest_total.inc();

    let patience = Patience::of(prefer, &shared.limits);
    let begun = Instant::now();
    let (appended, reply) =
        match timeout_at(begun + patience.durable, append(shared, record(&parts, body, request_id))).await {
            Ok(appended) => appended?,
            Err(_) => return Err(Refusal::new(Kind::DurabilityLate)),
        };
    let wal = appended.origin;
    line.known.durable = Some((wal.clone(), begun.elapsed()));

    let by = patience.verdict.map(|wait| begun + wait);
    let mut answer = match (verdict(appended.decided, reply, by, patience.late).await, patience.late) {
        (Some(decided), _) => {
            if let Some(facts) = &decided.verdict.facts {
                line.known.pcs_id = Some(facts.pcs_id.clone());
                line.known.tenant = Some(facts.tenant.clone());
            }
            line.known.state = Some(decided.state);
            told(&decided, wal).map_err(|refusal| incoming::with_tenant_repeated(refusal, &parts.headers))?
        }
        (None, Late::Pending) => pending(wal)?,
        (None, Late::Refuse) => return Err(Refusal::new(Kind::VerdictLate).at(wal)),
    };
    if let Some(applied) = prefer.applied().and_then(|applied| HeaderValue::try_from(applied).ok()) {
        answer.0.headers_mut().insert(incoming::PREFERENCE_APPLIED, applied);
    }
    Ok(answer)
}

fn record(parts: &Parts, body: bytes::Bytes, request_id: &HeaderValue) -> NewRecord {
    NewRecord {
        body,
        tenant: incoming::tenant_claimed(&parts.headers),
        request_id: Some(incoming::text(request_id).to_owned()),
        traceparent: incoming::traceparent(&parts.headers),
    }
}

type Reply = Option<oneshot::Receiver<Arc<Decided>>>;

async fn append(shared: &Shared, record: NewRecord) -> Result<(Appended, Reply), Refusal> {
    let submission = shared.pipeline.submit(record).await.map_err(|error| shared.append_failed(error))?;
    let appended = submission.ticket.durable().await.map_err(|error| shared.append_failed(error))?;
    Ok((appended, submission.reply))
}

/// What became of the record, if that is known in time. Whoever takes a 202 instead is told only
/// what is known in time, also where the log has decided, so that the answer does not depend on
/// which log it is; whoever does not is told whatever there is.
async fn verdict(decided: Option<Arc<Decided>>, reply: Reply, by: Option<Instant>, late: Late) -> Option<Arc<Decided>> {
    let by = by?;
    if late == Late::Pending && by <= Instant::now() {
        return None;
    }
    match decided {
        Some(decided) => Some(decided),
        // A reply that was dropped will never come.
        None => timeout_at(by, reply?).await.ok()?.ok(),
    }
}

/// The answer for a record whose fate is known.
fn told(decided: &Decided, wal: Origin) -> Result<(Response<Body>, &'static str), Refusal> {
    let result = match (decided.state, &decided.standing) {
        (State::Settled | State::Duplicate | State::Conflict, Some(standing)) => ResultBody::settled(standing),
        (State::Refused, _) => refused(decided, &wal)?,
        (state, _) => {
            return Err(internal(wal).cause(format!("a decided record is {} without a result", state.as_str())));
        }
    };
    let status = StatusCode::from_u16(result.status).map_err(|_| internal(wal.clone()))?;
    let conflict = decided.state == State::Conflict;
    let duplicate = conflict || decided.state == State::Duplicate;
    let answer = Answer { result, duplicate, conflict, wal };
    Ok((answer::json(status, &answer)?, decided.code.as_str()))
}

/// The body of a record that was judged and refused; what was never judged is a problem.
fn refused(decided: &Decided, wal: &Origin) -> Result<ResultBody, Refusal> {
    let verdict = as_decided(decided);
    let problem = |kind| {
        let problem = Refusal::new(kind).at(wal.clone());
        if verdict.reason.is_empty() { problem } else { problem.detail(verdict.reason.clone()) }
    };
    match verdict.code {
        Code::Malformed => Err(problem(Kind::Malformed)),
        Code::BadSignature => Err(problem(Kind::BadSignature)),
        Code::Internal => Err(problem(Kind::Internal)),
        code => ResultBody::refused(&verdict)
            .ok_or_else(|| internal(wal.clone()).cause(format!("a record refused as {code} has no facts"))),
    }
}

/// The verdict that a refusal is told by: the record's own, or that settling it came too late.
fn as_decided(decided: &Decided) -> Cow<'_, Verdict> {
    if decided.code == decided.verdict.code {
        return Cow::Borrowed(&decided.verdict);
    }
    let facts = decided.verdict.facts.clone();
    let reason = facts.as_ref().map(|facts| verdict::reason(decided.code, facts)).unwrap_or_default();
    Cow::Owned(Verdict { code: decided.code, reason, facts })
}

fn internal(wal: Origin) -> Refusal {
    Refusal::new(Kind::Internal).at(wal)
}

/// What is answered where nobody waits for a verdict.
#[derive(Serialize)]
pub(crate) struct Pending {
    state: State,
    wal: Origin,
}

fn pending(wal: Origin) -> Result<(Response<Body>, &'static str), Refusal> {
    let at = format!("/v1/records/{}/{}", wal.position.partition, wal.position.offset);
    let mut response = answer::json(StatusCode::ACCEPTED, &Pending { state: State::Pending, wal })?;
    if let Ok(location) = HeaderValue::try_from(at) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok((response, State::Pending.as_str()))
}
