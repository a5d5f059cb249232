//! What operators and orchestrators ask: alive, ready, metrics, the description of the interface.

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{Response, StatusCode, request::Parts},
};
use flk_contract::{LogTime, Settled, Tenant, wire::RecordBody};
use flk_log::{AppendError, Clock as _, NewRecord, SystemClock};
use flk_service::{
    health::{Check, Readiness, Scope},
    metrics,
};

use crate::{
    answer,
    app::Shared,
    pipeline::{Away, Pipeline, Submission},
    refusal::{Kind, Refusal},
    route::Route,
};

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// What a process has that answers no submissions.
pub(crate) const ROUTES: [Route; 5] = [Route::Health, Route::Livez, Route::Readyz, Route::Metrics, Route::Other];

/// Nothing behind HTTP but readiness: no route leads to the rest.
pub(crate) struct Only<F>(pub(crate) F);

#[async_trait]
impl<F: Fn() -> Vec<Check> + Send + Sync + 'static> Pipeline for Only<F> {
    async fn submit(&self, _: NewRecord) -> Result<Submission, AppendError> {
        Err(AppendError::Closed("this process takes no records"))
    }

    async fn result(&self, _: &Tenant, _: &str) -> Result<Option<Settled>, Away> {
        Err(Away::Unavailable("this process answers nobody".into()))
    }

    async fn record(&self, _: i32, _: i64) -> Result<Option<RecordBody>, Away> {
        Err(Away::Unavailable("this process answers nobody".into()))
    }

    fn readiness(&self) -> Vec<Check> {
        (self.0)()
    }

    fn now(&self) -> LogTime {
        SystemClock.now()
    }
}

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

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};
    use flk_service::metrics::Metrics;
    use tower::ServiceExt as _;

    use crate::{Limits, MetricsAuth, operate_app};

    use super::*;

    #[tokio::test]
    async fn a_process_without_submissions_says_how_it_is_and_nothing_else() {
        let readiness = || vec![Check::failing("group", "not yet a member")];
        let app = operate_app(readiness, Metrics::new(), Limits::default(), MetricsAuth::basic("u", "p"));
        for (path, status) in [
            ("/livez", 200),
            ("/health", 200),
            ("/readyz", 503),
            ("/metrics", 401),
            ("/v1/pcs/submit", 404),
            ("/v1/pcs/00", 404),
            ("/openapi.json", 404),
        ] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status, "{path}");
        }
    }
}
