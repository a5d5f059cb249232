//! The router, and the one place that every request goes through: it gets its id, is answered,
//! logged and counted here, once.
//!
//! No middleware: a request is one call of [`edge`], and what a handler learns travels by
//! reference, so that nothing is boxed or looked up on the way.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Response, header},
    routing::any,
};
use bytes::Bytes;
use flk_log::AppendError;
use flk_service::{
    health::{Check, Readiness, Scope},
    metrics::{Metrics, Shed},
};

use crate::{
    admission::Admission,
    auth::MetricsAuth,
    incoming,
    limits::Limits,
    line::{Line, Series},
    openapi, operate,
    pipeline::Pipeline,
    read,
    refusal::{Kind, Refusal},
    route::Route,
    submit,
};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) pipeline: Arc<dyn Pipeline>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) admission: Arc<Admission>,
    pub(crate) auth: MetricsAuth,
    pub(crate) openapi: Bytes,
}

impl Shared {
    /// A record that did not get into the log: counted by whose fault it is.
    pub(crate) fn append_failed(&self, error: AppendError) -> Refusal {
        match error {
            AppendError::Full => self.metrics.shed(Shed::Queue),
            AppendError::NotDurable(_) | AppendError::Unknown(_) => self.metrics.wal_errors.inc(),
            AppendError::Closed(_) => {}
        }
        error.into()
    }

    /// Whether everything that settling depends on is as it should be.
    fn can_settle(&self) -> bool {
        Readiness::of(self.pipeline.readiness(), Scope::All).is_ready()
    }
}

/// The HTTP side of a pipeline: every path of contract section 6.
pub fn app(pipeline: Arc<dyn Pipeline>, metrics: Arc<Metrics>, limits: Limits, auth: MetricsAuth) -> Router {
    router(pipeline, metrics, limits, auth, &Route::ALL)
}

/// The HTTP side of a process that answers no submissions: alive, ready, metrics. What `readiness` says has
/// to be cheap to say.
pub fn operate_app(
    readiness: impl Fn() -> Vec<Check> + Send + Sync + 'static,
    metrics: Arc<Metrics>,
    limits: Limits,
    auth: MetricsAuth,
) -> Router {
    router(Arc::new(operate::Only(readiness)), metrics, limits, auth, &operate::ROUTES)
}

fn router(
    pipeline: Arc<dyn Pipeline>,
    metrics: Arc<Metrics>,
    limits: Limits,
    auth: MetricsAuth,
    routes: &[Route],
) -> Router {
    let shared = Arc::new(Shared {
        admission: Arc::new(Admission::new(&limits, metrics.clone())),
        pipeline,
        limits,
        auth,
        openapi: openapi::json().into(),
        metrics,
    });
    let handler = |route: Route| {
        let shared = shared.clone();
        let series = Arc::new(Series::of(route, &shared.metrics));
        any(move |request: Request| {
            let (shared, series) = (shared.clone(), series.clone());
            async move { edge(&shared, &series, route, request).await }
        })
    };
    routes.iter().fold(Router::new(), |router, &route| match route.path() {
        Some(path) => router.route(path, handler(route)),
        None => router.fallback_service(handler(route)),
    })
}

/// One request, from its id to its log line.
async fn edge(shared: &Shared, series: &Series, route: Route, request: Request) -> Response<Body> {
    let request_id = incoming::request_id(request.headers());
    let mut line = Line::begin(series, incoming::text(&request_id));
    let mut response = match handle(shared, route, request, &request_id, &mut line).await {
        Ok((response, code)) => {
            line.end(response.status().as_u16(), code, route.level());
            response
        }
        Err(mut refusal) => {
            debug_assert!(route.refusals().contains(&refusal.kind), "{route:?} is not documented with {refusal:?}");
            let mut response = refusal.response(|| shared.can_settle());
            if refusal.kind == Kind::MethodNotAllowed {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.allow()));
            }
            line.known.cause = refusal.cause.take();
            let row = refusal.kind.row();
            line.end(row.status, row.code, row.level);
            response
        }
    };
    response.headers_mut().insert(incoming::REQUEST_ID, request_id);
    response
}

/// The answer and its code, by route.
async fn handle(
    shared: &Shared,
    route: Route,
    request: Request,
    request_id: &HeaderValue,
    line: &mut Line<'_>,
) -> Result<(Response<Body>, &'static str), Refusal> {
    if !route.takes(request.method()) {
        return Err(Refusal::new(Kind::MethodNotAllowed));
    }
    if route == Route::Submit {
        return submit::submit(shared, request, request_id, line).await;
    }
    let (mut parts, _) = request.into_parts();
    match route {
        Route::Result => read::result(shared, &mut parts, line).await,
        Route::Record => read::record(shared, &mut parts, line).await,
        Route::Health | Route::Livez => Ok(operate::live()),
        Route::Readyz => operate::readyz(shared, &parts),
        Route::Metrics => operate::metrics(shared, &parts),
        Route::OpenApi => Ok(operate::openapi(shared)),
        Route::Submit | Route::Other => Err(Refusal::new(Kind::NotFound)),
    }
}
