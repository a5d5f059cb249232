//! What operators and orchestrators ask: alive, ready, metrics, the description of the interface.

use axum::{
    body::Body,
    http::{Response, StatusCode, request::Parts},
};
use flk_service::{
    health::{Readiness, Scope},
    metrics,
};

use crate::{
    answer,
    app::Shared,
    refusal::{Kind, Refusal},
};

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

type Answered = (Response<Body>, &'static str);

/// `GET /health`, `GET /livez`: whoever answers is up.
pub(crate) fn live() -> Answered {
    (answer::response(StatusCode::OK, TEXT, "OK"), "ok")
}

/// `GET /readyz`: everything that answering depends on. With `scope=local` what the whole fleet
/// shares is left out: a load balancer that takes out every instance at once helps nobody.
pub(crate) fn readyz(shared: &Shared, parts: &Parts) -> Result<Answered, Refusal> {
    let local = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "scope=local"));
    let readiness = Readiness::of(shared.pipeline.readiness(), if local { Scope::Local } else { Scope::All });
    let (status, code) =
        if readiness.is_ready() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    Ok((answer::json(status, &readiness)?, code))
}

/// `GET /metrics`
pub(crate) fn metrics(shared: &Shared, parts: &Parts) -> Result<Answered, Refusal> {
    if !shared.auth.allows(&parts.headers) {
        return Err(Refusal::new(Kind::Unauthorized));
    }
    Ok((answer::response(StatusCode::OK, metrics::CONTENT_TYPE, shared.metrics.render()), "ok"))
}

/// `GET /openapi.json`
pub(crate) fn openapi(shared: &Shared) -> Answered {
    (answer::response(StatusCode::OK, answer::JSON, shared.openapi.clone()), "ok")
}
