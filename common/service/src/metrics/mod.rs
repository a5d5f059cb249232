//! What the service counts and measures: one struct with every instrument, and its text form.
//!
//! The first block of names is fixed by the contract (section 8): dashboards and alerts of
//! operators use them. Labels come from enums, from the routes that a role registers, and from a
//! bounded set of tenants: nothing that a client sends can grow the number of series. Everything
//! that can happen starts at 0, so that a rate exists before the first event.
//!
//! Who increments what, and how the text is served, is not known here.

mod kafka;
mod labels;
pub mod names;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use flk_contract::{CONTRACT, Code, Tenant};
use prometheus::{
    Encoder as _, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder, core::Collector, process_collector::ProcessCollector,
};

pub use kafka::OverKafka;
pub use labels::{Op, Shed, State};

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
    verdicts: Series<Code, IntCounter>,
    outcomes: Series<State, IntCounter>,
    /// `flk_conflicts_total`
    pub conflicts: IntCounter,
    /// `http_requests_total{code,route}`, labels in this order; see [`Metrics::http_answered`].
    pub http_requests: IntCounterVec,
    /// `http_request_duration_seconds{route}`
    pub http_duration: HistogramVec,
    dedup_duration: Series<Op, Histogram>,
    /// `flk_requests_in_flight`
    pub requests_in_flight: IntGauge,
    /// `flk_bytes_in_flight`
    pub bytes_in_flight: IntGauge,
    /// `flk_connections`
    pub connections: IntGauge,
    shed: Series<Shed, IntCounter>,
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
    over_kafka: OnceLock<Arc<OverKafka>>,
}

impl core::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The series of an instrument whose label has few values, all of them known: looked up by their
/// words once, and from then on by the value. So each starts at 0.
struct Series<L, M>(Vec<(L, M)>);

impl<L: Copy + PartialEq, M> Series<L, M> {
    fn new(values: impl IntoIterator<Item = L>, series: impl Fn(L) -> M) -> Self {
        Self(values.into_iter().map(|value| (value, series(value))).collect())
    }

    /// `None` only for a value that is not in its list of all.
    fn of(&self, value: L) -> Option<&M> {
        self.0.iter().find(|(of, _)| *of == value).map(|(_, series)| series)
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

    fn levels(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(Opts::new(name, help), labels))
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
        let verdicts = build.counters(names::VERDICTS, "Verdicts, by code.", &["code"]);
        let outcomes = build.counters(names::OUTCOMES, "What became of judged records.", &["state"]);
        let shed = build.counters(names::SHED, "Requests and connections turned away, by the limit.", &["reason"]);
        let dedup_duration = build.histograms(
            names::DEDUP_DURATION,
            "Time of one operation on the id index: one lookup, settling one record (with its lookup), applying one \
             batch.",
            &INDEX_SECONDS,
            &["op"],
        );
        let metrics = Self {
            ingest_total: build.counter(names::INGEST_TOTAL, "Bodies received for judging."),
            dedup_hits: build.counter(names::DEDUP_HITS, "Accepted records whose id had been settled before."),
            accepted: build.counter(names::ACCEPTED, "Records judged and accepted, duplicates left out."),
            escalated: build.counter(names::ESCALATED, "Records judged that a person should look at."),
            signature_err: build.counter(names::SIGNATURE_ERR, "Records that are not authentic."),
            wal_errors: build.counter(names::WAL_ERRORS, "Appends to the log that failed."),
            verdicts: Series::new(Code::ALL, |code| verdicts.with_label_values(&[code.as_str()])),
            outcomes: Series::new(State::ALL, |state| outcomes.with_label_values(&[state.as_label()])),
            conflicts: build
                .counter(names::CONFLICTS, "Accepted records whose content differs from what stands for their id."),
            http_requests: build.counters(names::HTTP_REQUESTS, "Answers, by status and route.", &["code", "route"]),
            http_duration: build.histograms(
                names::HTTP_DURATION,
                "Time from request to answer, by route.",
                &SECONDS,
                &["route"],
            ),
            dedup_duration: Series::new(Op::ALL, |op| dedup_duration.with_label_values(&[op.as_label()])),
            requests_in_flight: build.gauge(names::REQUESTS_IN_FLIGHT, "Requests being answered."),
            bytes_in_flight: build.gauge(names::BYTES_IN_FLIGHT, "Bytes of bodies held for requests."),
            connections: build.gauge(names::CONNECTIONS, "Connections open."),
            shed: Series::new(Shed::ALL, |reason| shed.with_label_values(&[reason.as_label()])),
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
            over_kafka: OnceLock::new(),
            registry: build.0.clone(),
        };
        build
            .gauges(names::BUILD_INFO, "What runs; always 1.", &["version", "contract"])
            .with_label_values(&[env!("CARGO_PKG_VERSION"), CONTRACT])
            .set(1);
        build.0.register(Box::new(ProcessCollector::for_self())).expect("every name is registered once");

        // It always has a name of its own, however many others come first.
        metrics.with_tenant(&Tenant::default_tenant(), |_| ());
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
        self.verdicts.of(code).inspect(|counter| counter.inc());
    }

    /// Counts what became of one record.
    pub fn outcome(&self, state: State) {
        self.outcomes.of(state).inspect(|counter| counter.inc());
    }

    /// Counts the time of one operation on the index.
    pub fn dedup_op(&self, op: Op, took: Duration) {
        self.dedup_duration.of(op).inspect(|histogram| histogram.observe(took.as_secs_f64()));
    }

    /// Counts one request or connection that was turned away.
    pub fn shed(&self, reason: Shed) {
        self.shed.of(reason).inspect(|counter| counter.inc());
    }

    /// Says whether a dependency is as it should be.
    pub fn set_ready(&self, check: &'static str, ok: bool) {
        self.ready.with_label_values(&[check]).set(i64::from(ok));
    }

    /// Counts one authentic record of a tenant: by name for the first [`TENANTS_BY_NAME`], as
    /// [`OTHER_TENANTS`] for the rest (and for a tenant that happens to be called so).
    pub fn count_tenant(&self, tenant: &Tenant) {
        self.with_tenant(tenant, IntCounter::inc);
    }

    fn with_tenant(&self, tenant: &Tenant, count: impl Fn(&IntCounter)) {
        let full = |tenants: &HashMap<Tenant, IntCounter>| tenants.len() >= TENANTS_BY_NAME;
        {
            // A poisoned map is as good as before: it only ever gains whole entries.
            let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(counter) = tenants.get(tenant) {
                return count(counter);
            }
            if full(&tenants) || tenant.as_str() == OTHER_TENANTS {
                return count(&self.other_tenants);
            }
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if full(&tenants) && !tenants.contains_key(tenant) {
            return count(&self.other_tenants);
        }
        let named = || self.tenant_records.with_label_values(&[tenant.as_str()]);
        count(tenants.entry(tenant.clone()).or_insert_with(named));
    }

    /// What the roles over Kafka count besides: there from the first call on, so that a service without
    /// Kafka does not show it.
    pub fn over_kafka(&self) -> Arc<OverKafka> {
        self.over_kafka.get_or_init(|| Arc::new(OverKafka::new(&Build(self.registry.clone())))).clone()
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
mod tests;
