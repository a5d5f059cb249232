//! What the service counts and measures: one struct with every instrument, and its text form.
//!
//! The first block of names is fixed by the contract (section 8): dashboards and alerts of
//! operators use them. Labels come from enums, from the routes that a role registers, and from a
//! bounded set of tenants: nothing that a client sends can grow the number of series. Everything
//! that can happen starts at 0, so that a rate exists before the first event.
//!
//! Who increments what, and how the text is served, is not known here.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use flk_contract::{CONTRACT, Code, Tenant};
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector, process_collector::ProcessCollector,
};

/// The names of the instruments.
pub mod names {
    /// Bodies received for judging, whatever becomes of them.
    pub const INGEST_TOTAL: &str = "flk_ingest_total";
    /// Records whose id had been settled before.
    pub const DEDUP_HITS: &str = "flk_dedup_hits";
    /// Records judged and accepted.
    pub const ACCEPTED: &str = "flk_accepted";
    /// Records judged that a person should look at.
    pub const ESCALATED: &str = "flk_escalated";
    /// Records that were not authentic.
    pub const SIGNATURE_ERR: &str = "flk_signature_err";
    /// Appends to the log that failed.
    pub const WAL_ERRORS: &str = "flk_wal_errors";
    /// Answers by status and route.
    pub const HTTP_REQUESTS: &str = "http_requests_total";
    /// Time from request to answer, by route.
    pub const HTTP_DURATION: &str = "http_request_duration_seconds";
    /// Time of one operation on the id index.
    pub const DEDUP_DURATION: &str = "dedup_operation_duration_seconds";

    /// The names that the contract fixes (section 8).
    pub const FIXED: [&str; 9] = [
        INGEST_TOTAL,
        DEDUP_HITS,
        ACCEPTED,
        ESCALATED,
        SIGNATURE_ERR,
        WAL_ERRORS,
        HTTP_REQUESTS,
        HTTP_DURATION,
        DEDUP_DURATION,
    ];

    /// Verdicts by code.
    pub const VERDICTS: &str = "flk_verdicts_total";
    /// What became of records, by state.
    pub const OUTCOMES: &str = "flk_outcomes_total";
    /// Accepted records with another content than the one that stands.
    pub const CONFLICTS: &str = "flk_conflicts_total";
    /// Requests being answered now.
    pub const REQUESTS_IN_FLIGHT: &str = "flk_requests_in_flight";
    /// Bytes of bodies held for requests now.
    pub const BYTES_IN_FLIGHT: &str = "flk_bytes_in_flight";
    /// Connections open now.
    pub const CONNECTIONS: &str = "flk_connections";
    /// Requests and connections turned away, by reason.
    pub const SHED: &str = "flk_shed_total";
    /// Time from append to durable.
    pub const LOG_APPEND: &str = "flk_log_append_seconds";
    /// Time of one commit that reaches the disk.
    pub const LOG_FSYNC: &str = "flk_log_fsync_seconds";
    /// Records of one commit.
    pub const LOG_BATCH: &str = "flk_log_batch_records";
    /// Records that wait for the log's writer.
    pub const LOG_QUEUE: &str = "flk_log_queue_depth";
    /// Bytes that the data directory takes.
    pub const DISK_USED: &str = "flk_disk_used_bytes";
    /// Bytes that are free where the data directory is.
    pub const DISK_FREE: &str = "flk_disk_free_bytes";
    /// What readiness depends on, 1 where it holds.
    pub const READY: &str = "flk_ready";
    /// Authentic records by tenant.
    pub const TENANT_RECORDS: &str = "flk_tenant_records_total";
    /// Lines of the service's own log that were dropped.
    pub const LOG_LINES_DROPPED: &str = "flk_telemetry_dropped_lines_total";
    /// What runs.
    pub const BUILD_INFO: &str = "flk_build_info";
}

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Tenants that have a series of their own; further ones share [`OTHER_TENANTS`].
pub const TENANTS_BY_NAME: usize = 32;

/// The label of tenants beyond [`TENANTS_BY_NAME`].
pub const OTHER_TENANTS: &str = "other";

/// Requests and commits: half a millisecond (one flash write) to ten seconds (no client waits longer).
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Index operations: microseconds while the index is in memory, up to seconds when the disk stalls.
const INDEX_SECONDS: [f64; 16] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5,
    1.0, 5.0,
];

/// Records of one commit, up to the largest batch that is worth having.
const BATCH: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// What became of an accepted or refused record (label `state` of `flk_outcomes_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It settled its id.
    Settled,
    /// Its id stood with the same content.
    Duplicate,
    /// Its id stood with another content.
    Conflict,
    /// Its verdict refused it, or it came too late.
    Refused,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Settled, Self::Duplicate, Self::Conflict, Self::Refused];

    /// The label.
    pub const fn as_label(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
        }
    }
}

/// An operation on the id index (label `op` of `dedup_operation_duration_seconds`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Asking what stands for a batch of ids.
    Lookup,
    /// Deciding who settles what.
    Settle,
    /// Writing new ids.
    Apply,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 3] = [Self::Lookup, Self::Settle, Self::Apply];

    /// The label.
    pub const fn as_label(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Settle => "settle",
            Self::Apply => "apply",
        }
    }
}

/// Which limit turned somebody away (label `reason` of `flk_shed_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shed {
    /// Records a second (`TOKEN_RATE`).
    Rate,
    /// Requests in flight.
    Requests,
    /// Bytes in flight.
    Bytes,
    /// Open connections.
    Connections,
    /// The queue before the log's writer.
    Queue,
}

impl Shed {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Rate, Self::Requests, Self::Bytes, Self::Connections, Self::Queue];

    /// The label.
    pub const fn as_label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Requests => "requests",
            Self::Bytes => "bytes",
            Self::Connections => "connections",
            Self::Queue => "queue",
        }
    }
}

/// Every instrument of the service. Cheap to share; one a process, or one a test.
pub struct Metrics {
    registry: Registry,
    /// `flk_ingest_total`
    pub ingest_total: IntCounter,
    /// `flk_dedup_hits`
    pub dedup_hits: IntCounter,
    /// `flk_accepted`
    pub accepted: IntCounter,
    /// `flk_escalated`
    pub escalated: IntCounter,
    /// `flk_signature_err`
    pub signature_err: IntCounter,
    /// `flk_wal_errors`
    pub wal_errors: IntCounter,
    /// `flk_verdicts_total{code}`; see [`Metrics::verdict`].
    pub verdicts: IntCounterVec,
    /// `flk_outcomes_total{state}`; see [`Metrics::outcome`].
    pub outcomes: IntCounterVec,
    /// `flk_conflicts_total`
    pub conflicts: IntCounter,
    /// `http_requests_total{code,route}`, labels in this order; see [`Metrics::http_answered`].
    pub http_requests: IntCounterVec,
    /// `http_request_duration_seconds{route}`
    pub http_duration: HistogramVec,
    /// `dedup_operation_duration_seconds{op}`; see [`Metrics::dedup_op`].
    pub dedup_duration: HistogramVec,
    /// `flk_requests_in_flight`
    pub requests_in_flight: IntGauge,
    /// `flk_bytes_in_flight`
    pub bytes_in_flight: IntGauge,
    /// `flk_connections`
    pub connections: IntGauge,
    /// `flk_shed_total{reason}`; see [`Metrics::shed`].
    pub shed: IntCounterVec,
    /// `flk_log_append_seconds`
    pub log_append_seconds: Histogram,
    /// `flk_log_fsync_seconds`
    pub log_fsync_seconds: Histogram,
    /// `flk_log_batch_records`
    pub log_batch_records: Histogram,
    /// `flk_log_queue_depth`
    pub log_queue_depth: IntGauge,
    /// `flk_disk_used_bytes`
    pub disk_used_bytes: IntGauge,
    /// `flk_disk_free_bytes`
    pub disk_free_bytes: IntGauge,
    /// `flk_ready{check}`
    pub ready: IntGaugeVec,
    /// `flk_tenant_records_total{tenant}`; count by [`Metrics::count_tenant`] only, which bounds it.
    pub tenant_records: IntCounterVec,
    tenants: RwLock<HashMap<Tenant, IntCounter>>,
    other_tenants: IntCounter,
    dropped_lines: IntCounter,
    dropped_lines_source: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
}

impl core::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Makes instruments and puts them into one registry. Names, helps and labels are constants of
/// this file, so that only a mistake in here can fail; any test of this room would.
struct Build(Registry);

impl Build {
    fn add<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let instrument = made.expect("constant names, helps and labels are well-formed");
        self.0.register(Box::new(instrument.clone())).expect("every name is registered once");
        instrument
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> HistogramVec {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

impl Metrics {
    /// All instruments, everything that is known beforehand at 0.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let build = Build(Registry::new());
        let tenant_records =
            build.counters(names::TENANT_RECORDS, "Authentic records, by tenant (bounded).", &["tenant"]);
        let metrics = Self {
            ingest_total: build.counter(names::INGEST_TOTAL, "Bodies received for judging."),
            dedup_hits: build.counter(names::DEDUP_HITS, "Accepted records whose id had been settled before."),
            accepted: build.counter(names::ACCEPTED, "Records judged and accepted, duplicates left out."),
            escalated: build.counter(names::ESCALATED, "Records judged that a person should look at."),
            signature_err: build.counter(names::SIGNATURE_ERR, "Records that are not authentic."),
            wal_errors: build.counter(names::WAL_ERRORS, "Appends to the log that failed."),
            verdicts: build.counters(names::VERDICTS, "Verdicts, by code.", &["code"]),
            outcomes: build.counters(names::OUTCOMES, "What became of judged records.", &["state"]),
            conflicts: build
                .counter(names::CONFLICTS, "Accepted records whose content differs from what stands for their id."),
            http_requests: build.counters(names::HTTP_REQUESTS, "Answers, by status and route.", &["code", "route"]),
            http_duration: build.histograms(
                names::HTTP_DURATION,
                "Time from request to answer, by route.",
                &SECONDS,
                &["route"],
            ),
            dedup_duration: build.histograms(
                names::DEDUP_DURATION,
                "Time of one operation on the id index, a batch counting once.",
                &INDEX_SECONDS,
                &["op"],
            ),
            requests_in_flight: build.gauge(names::REQUESTS_IN_FLIGHT, "Requests being answered."),
            bytes_in_flight: build.gauge(names::BYTES_IN_FLIGHT, "Bytes of bodies held for requests."),
            connections: build.gauge(names::CONNECTIONS, "Connections open."),
            shed: build.counters(names::SHED, "Requests and connections turned away, by the limit.", &["reason"]),
            log_append_seconds: build.histogram(names::LOG_APPEND, "Time from append to durable.", &SECONDS),
            log_fsync_seconds: build.histogram(
                names::LOG_FSYNC,
                "Time of one commit to disk, a batch of records each.",
                &SECONDS,
            ),
            log_batch_records: build.histogram(names::LOG_BATCH, "Records of one commit.", &BATCH),
            log_queue_depth: build.gauge(names::LOG_QUEUE, "Records that wait for the log's writer."),
            disk_used_bytes: build.gauge(names::DISK_USED, "Bytes that the data directory takes."),
            disk_free_bytes: build.gauge(names::DISK_FREE, "Bytes free where the data directory is."),
            ready: build.gauges(names::READY, "1 where a dependency is as it should be, else 0.", &["check"]),
            other_tenants: tenant_records.with_label_values(&[OTHER_TENANTS]),
            tenants: RwLock::default(),
            tenant_records,
            dropped_lines: build.counter(
                names::LOG_LINES_DROPPED,
                "Lines of the service's own log that were dropped because their reader was too slow.",
            ),
            dropped_lines_source: OnceLock::new(),
            registry: build.0.clone(),
        };
        build
            .gauges(names::BUILD_INFO, "What runs; always 1.", &["version", "contract"])
            .with_label_values(&[env!("CARGO_PKG_VERSION"), CONTRACT])
            .set(1);
        build.0.register(Box::new(ProcessCollector::for_self())).expect("every name is registered once");

        for code in Code::ALL {
            metrics.verdicts.with_label_values(&[code.as_str()]);
        }
        for state in State::ALL {
            metrics.outcomes.with_label_values(&[state.as_label()]);
        }
        for op in Op::ALL {
            metrics.dedup_duration.with_label_values(&[op.as_label()]);
        }
        for reason in Shed::ALL {
            metrics.shed.with_label_values(&[reason.as_label()]);
        }
        // It always has a name of its own, however many others come first.
        metrics.tenant(&Tenant::default_tenant());
        Arc::new(metrics)
    }

    /// Starts a route's series at 0, for every status that it can answer with.
    pub fn http_route(&self, route: &'static str, codes: &[u16]) {
        for code in codes {
            self.http_requests.with_label_values(&[code.to_string().as_str(), route]);
        }
        self.http_duration.with_label_values(&[route]);
    }

    /// Counts one answer and its time.
    pub fn http_answered(&self, route: &'static str, code: u16, took: Duration) {
        self.http_requests.with_label_values(&[code.to_string().as_str(), route]).inc();
        self.http_duration.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// Counts one verdict.
    pub fn verdict(&self, code: Code) {
        self.verdicts.with_label_values(&[code.as_str()]).inc();
    }

    /// Counts what became of one record.
    pub fn outcome(&self, state: State) {
        self.outcomes.with_label_values(&[state.as_label()]).inc();
    }

    /// Counts the time of one operation on the index.
    pub fn dedup_op(&self, op: Op, took: Duration) {
        self.dedup_duration.with_label_values(&[op.as_label()]).observe(took.as_secs_f64());
    }

    /// Counts one request or connection that was turned away.
    pub fn shed(&self, reason: Shed) {
        self.shed.with_label_values(&[reason.as_label()]).inc();
    }

    /// Says whether a dependency is as it should be.
    pub fn set_ready(&self, check: &'static str, ok: bool) {
        self.ready.with_label_values(&[check]).set(i64::from(ok));
    }

    /// Counts one authentic record of a tenant: by name for the first [`TENANTS_BY_NAME`], as
    /// [`OTHER_TENANTS`] for the rest (and for a tenant that happens to be called so).
    pub fn count_tenant(&self, tenant: &Tenant) {
        self.tenant(tenant).inc();
    }

    fn tenant(&self, tenant: &Tenant) -> IntCounter {
        let full = |tenants: &HashMap<Tenant, IntCounter>| tenants.len() >= TENANTS_BY_NAME;
        {
            // A poisoned map is as good as before: it only ever gains whole entries.
            let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(counter) = tenants.get(tenant) {
                return counter.clone();
            }
            if full(&tenants) || tenant.as_str() == OTHER_TENANTS {
                return self.other_tenants.clone();
            }
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if full(&tenants) && !tenants.contains_key(tenant) {
            return self.other_tenants.clone();
        }
        let named = || self.tenant_records.with_label_values(&[tenant.as_str()]);
        tenants.entry(tenant.clone()).or_insert_with(named).clone()
    }

    /// Where to ask how many lines of the service's own log were dropped so far. Set once; later
    /// calls change nothing.
    pub fn watch_dropped_lines(&self, dropped: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.dropped_lines_source.set(Box::new(dropped));
    }

    /// Everything, in the Prometheus text format ([`CONTENT_TYPE`]), process metrics included.
    pub fn render(&self) -> String {
        if let Some(dropped) = self.dropped_lines_source.get() {
            self.dropped_lines.inc_by(dropped().saturating_sub(self.dropped_lines.get()));
        }
        let mut text = Vec::new();
        // Writing to memory does not fail, and what is registered is well-formed.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, series: &str) -> Option<f64> {
        let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    #[test]
    fn every_fixed_name_is_there_with_0_before_the_first_event() {
        let metrics = Metrics::new();
        metrics.http_route("/v1/pcs/submit", &[200, 503]);
        let text = metrics.render();
        for name in names::FIXED {
            let of_it = |line: &&str| {
                line.strip_prefix(name).is_some_and(|rest| {
                    [" ", "{", "_bucket{", "_sum", "_count"].iter().any(|next| rest.starts_with(next))
                })
            };
            let lines: Vec<_> = text.lines().filter(of_it).collect();
            assert!(!lines.is_empty(), "{name} is missing in\n{text}");
            assert!(lines.iter().all(|line| line.ends_with(" 0")), "{lines:?}");
        }
        let mut series = vec![
            r#"http_requests_total{code="200",route="/v1/pcs/submit"}"#.to_owned(),
            r#"http_requests_total{code="503",route="/v1/pcs/submit"}"#.to_owned(),
            r#"http_request_duration_seconds_count{route="/v1/pcs/submit"}"#.to_owned(),
            r#"flk_tenant_records_total{tenant="default"}"#.to_owned(),
            r#"flk_tenant_records_total{tenant="other"}"#.to_owned(),
            "flk_conflicts_total".to_owned(),
        ];
        series.extend(Code::ALL.map(|code| format!("flk_verdicts_total{{code=\"{code}\"}}")));
        series.extend(State::ALL.map(|state| format!("flk_outcomes_total{{state=\"{}\"}}", state.as_label())));
        series.extend(Shed::ALL.map(|reason| format!("flk_shed_total{{reason=\"{}\"}}", reason.as_label())));
        series.extend(Op::ALL.map(|op| format!("dedup_operation_duration_seconds_count{{op=\"{}\"}}", op.as_label())));
        for series in series {
            assert_eq!(value(&text, &series), Some(0.0), "{series} in\n{text}");
        }
    }

    #[test]
    fn the_process_and_what_runs_are_told() {
        let text = Metrics::new().render();
        let build = format!(r#"flk_build_info{{contract="0.1",version="{}"}}"#, env!("CARGO_PKG_VERSION"));
        assert_eq!(value(&text, &build), Some(1.0), "{text}");
        assert!(value(&text, "process_resident_memory_bytes").unwrap() > 0.0, "{text}");
        assert!(value(&text, "process_open_fds").unwrap() > 0.0, "{text}");
    }

    #[test]
    fn events_move_their_series_and_no_other() {
        let metrics = Metrics::new();
        metrics.http_route("/v1/pcs/submit", &[200]);
        metrics.http_answered("/v1/pcs/submit", 200, Duration::from_millis(3));
        metrics.verdict(Code::Degraded);
        metrics.outcome(State::Settled);
        metrics.shed(Shed::Queue);
        metrics.dedup_op(Op::Apply, Duration::from_micros(30));
        metrics.set_ready("log", true);
        metrics.set_ready("disk", false);
        metrics.watch_dropped_lines(|| 7);
        metrics.render();
        let text = metrics.render();
        for (series, expected) in [
            (r#"http_requests_total{code="200",route="/v1/pcs/submit"}"#, 1.0),
            (r#"http_request_duration_seconds_bucket{route="/v1/pcs/submit",le="0.0025"}"#, 0.0),
            (r#"http_request_duration_seconds_bucket{route="/v1/pcs/submit",le="0.005"}"#, 1.0),
            (r#"flk_verdicts_total{code="degraded"}"#, 1.0),
            (r#"flk_verdicts_total{code="ok"}"#, 0.0),
            (r#"flk_outcomes_total{state="settled"}"#, 1.0),
            (r#"flk_shed_total{reason="queue"}"#, 1.0),
            (r#"dedup_operation_duration_seconds_count{op="apply"}"#, 1.0),
            (r#"flk_ready{check="log"}"#, 1.0),
            (r#"flk_ready{check="disk"}"#, 0.0),
            (names::LOG_LINES_DROPPED, 7.0),
        ] {
            assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
        }
    }

    #[test]
    fn tenants_beyond_the_bound_share_one_series() {
        let metrics = Metrics::new();
        for n in 0..100 {
            for _ in 0..2 {
                metrics.count_tenant(&Tenant::new(&format!("t{n}")).unwrap());
            }
        }
        metrics.count_tenant(&Tenant::default_tenant());
        let text = metrics.render();
        let series = text.lines().filter(|line| line.starts_with("flk_tenant_records_total{")).count();
        assert_eq!(series, TENANTS_BY_NAME + 1, "{text}");
        assert_eq!(value(&text, r#"flk_tenant_records_total{tenant="t0"}"#), Some(2.0));
        assert_eq!(value(&text, r#"flk_tenant_records_total{tenant="default"}"#), Some(1.0));
        assert_eq!(value(&text, r#"flk_tenant_records_total{tenant="other"}"#), Some(138.0));
    }
}
