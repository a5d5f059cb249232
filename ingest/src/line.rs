//! What is known of one request: one log line, one count, one duration, whatever becomes of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use flk_contract::{Origin, Tenant, wire::State};
use flk_service::metrics::Metrics;
use prometheus::{Histogram, IntCounter};
use tracing::Level;

use crate::route::{CLIENT_GONE, Route};

/// The series of one route, looked up once.
pub(crate) struct Series {
    route: Route,
    by_status: Vec<(u16, IntCounter)>,
    duration: Histogram,
    metrics: Arc<Metrics>,
}

impl Series {
    /// Every series of a route, at 0.
    pub(crate) fn of(route: Route, metrics: &Arc<Metrics>) -> Self {
        let mut statuses = route.statuses();
        statuses.push(CLIENT_GONE);
        metrics.http_route(route.as_label(), &statuses);
        let counter = |status: u16| {
            (status, metrics.http_requests.with_label_values(&[status.to_string().as_str(), route.as_label()]))
        };
        Self {
            route,
            by_status: statuses.into_iter().map(counter).collect(),
            duration: metrics.http_duration.with_label_values(&[route.as_label()]),
            metrics: metrics.clone(),
        }
    }

    fn count(&self, status: u16, took: Duration) {
        match self.by_status.iter().find(|(of, _)| *of == status) {
            Some((_, counter)) => {
                counter.inc();
                self.duration.observe(took.as_secs_f64());
            }
            None => self.metrics.http_answered(self.route.as_label(), status, took),
        }
    }
}

/// One request. Dropped without an end, it says that the client went away.
pub(crate) struct Line<'a> {
    series: &'a Series,
    request_id: &'a str,
    begun: Instant,
    ended: bool,
    /// What became known on the way.
    pub(crate) known: Known,
}

/// What became known of a request. Nothing in here comes from a body that is not authentic.
#[derive(Default)]
pub(crate) struct Known {
    /// The id, of an authentic record or as asked for.
    pub(crate) pcs_id: Option<Arc<str>>,
    /// The tenant, of an authentic record or as asked for.
    pub(crate) tenant: Option<Tenant>,
    /// Where the record is, and how long it took to get there.
    pub(crate) durable: Option<(Origin, Duration)>,
    /// How far the record came.
    pub(crate) state: Option<State>,
    /// What went wrong inside.
    pub(crate) cause: Option<Arc<str>>,
}

impl<'a> Line<'a> {
    pub(crate) fn begin(series: &'a Series, request_id: &'a str) -> Self {
        Self { series, request_id, begun: Instant::now(), ended: false, known: Known::default() }
    }

    /// The request is answered.
    pub(crate) fn end(mut self, status: u16, code: &str, level: Level) {
        self.tell(status, code, level);
    }

    fn tell(&mut self, status: u16, code: &str, level: Level) {
        self.ended = true;
        let took = self.begun.elapsed();
        self.series.count(status, took);
        let (known, durable) = (&self.known, self.known.durable.as_ref());
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(
                    Level::$level,
                    request_id = self.request_id,
                    route = self.series.route.as_label(),
                    status,
                    code,
                    state = known.state.map(State::as_str),
                    pcs_id = known.pcs_id.as_deref(),
                    tenant = known.tenant.as_ref().map(Tenant::as_str),
                    partition = durable.map(|(origin, _)| origin.position.partition),
                    offset = durable.map(|(origin, _)| origin.position.offset),
                    duration_ms = millis(took),
                    durable_ms = durable.map(|(_, took)| millis(*took)),
                    cause = known.cause.as_deref(),
                    "request"
                )
            };
        }
        match level {
            Level::ERROR => line!(ERROR),
            Level::WARN => line!(WARN),
            Level::INFO => line!(INFO),
            Level::DEBUG => line!(DEBUG),
            Level::TRACE => line!(TRACE),
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            self.tell(500, "panic", Level::ERROR);
        } else {
            self.tell(CLIENT_GONE, "client_gone", Level::INFO);
        }
    }
}

/// Milliseconds, to the microsecond.
fn millis(took: Duration) -> f64 {
    took.as_micros() as f64 / 1000.0
}
