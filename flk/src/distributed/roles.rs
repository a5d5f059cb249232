//! The roles of one process: each waits for Kafka, starts, and runs until what it took up is done.

use core::time::Duration;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flk_contract::LogId;
use flk_dedup_sink::role::{self as sink, SinkRole};
use flk_ingest::router::{self, Eventual, KafkaPipeline};
use flk_log::{
    SystemClock,
    kafka::{Admin, AskError, Connection, KafkaLog, LogOptions, Topics},
};
use flk_results::read_side::Access;
use flk_service::{
    health::Check,
    lifecycle::Lifecycle,
    settings::{Ingest, Signatures, Sink},
};
use flk_verifier::{
    Verifier,
    role::{self as verifier, VerifierRole},
};
use tokio_util::sync::CancellationToken;

use super::{connect, watch::RoleMetrics};

/// How long one question to Kafka may take.
const ASK: Duration = Duration::from_secs(5);
/// Between two questions while Kafka does not answer.
const AGAIN: Duration = Duration::from_millis(250);

/// What the roles of a process share.
pub(super) struct Shared {
    pub(super) connection: Connection,
    pub(super) topics: Topics,
    pub(super) admin: Admin,
    pub(super) instance: Option<String>,
    pub(super) lifecycle: Lifecycle,
    pub(super) watch: Arc<RoleMetrics>,
    /// How long what was taken up may take to be done when the process stops.
    pub(super) finish: Duration,
    log: tokio::sync::OnceCell<LogId>,
    waits_for: Mutex<Arc<str>>,
    /// Whose wait for Kafka clients are told of.
    eventual: OnceLock<Arc<Eventual>>,
    started: Started,
}

/// The roles that have started.
#[derive(Default)]
struct Started {
    verifier: OnceLock<Arc<VerifierRole>>,
    sink: OnceLock<Arc<SinkRole>>,
}

/// Which roles a process has besides the one that answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Has {
    pub(super) verifier: bool,
    pub(super) sink: bool,
}

impl Shared {
    pub(super) fn new(
        connection: Connection,
        topics: Topics,
        admin: Admin,
        instance: Option<String>,
        lifecycle: Lifecycle,
        watch: Arc<RoleMetrics>,
        finish: Duration,
    ) -> Self {
        let waits_for = Mutex::new("Kafka has not answered yet".into());
        let (log, eventual, started) = Default::default();
        Self { connection, topics, admin, instance, lifecycle, watch, finish, log, waits_for, eventual, started }
    }

    /// Who is told what is waited for.
    pub(super) fn tells(&self, eventual: &Arc<Eventual>) {
        let _ = self.eventual.set(eventual.clone());
    }

    /// The process's phase, and the verifier and the sink in it.
    pub(super) fn readiness(&self, has: Has) -> Vec<Check> {
        let waiting = || vec![Check::failing("log", self.waited_for()).shared()];
        let mut checks = vec![self.lifecycle.check()];
        if has.verifier {
            checks.extend(self.started.verifier.get().map_or_else(waiting, |role| role.readiness()));
        }
        if has.sink {
            checks.extend(self.started.sink.get().map_or_else(waiting, |role| role.readiness()));
        }
        checks
    }

    fn waited_for(&self) -> Arc<str> {
        self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn waits(&self, why: &AskError) {
        let why: Arc<str> = format!("waiting for Kafka: {why}").into();
        let before =
            core::mem::replace(&mut *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner), why.clone());
        if before != why {
            tracing::warn!("{why}");
        }
        if let Some(eventual) = self.eventual.get() {
            eventual.waits_for(why);
        }
    }

    /// Asks until there is an answer; `None` where the process stops before that.
    async fn answered<T, F: Future<Output = Result<T, AskError>>>(&self, ask: impl Fn() -> F) -> Option<T> {
        let stop = self.stop();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                answer = ask() => match answer {
                    Ok(answer) => return Some(answer),
                    Err(why) => self.waits(&why),
                },
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// Which log this is: the cluster's id, asked for once in a process.
    async fn log(&self) -> Option<LogId> {
        let ask = || {
            let admin = self.admin.clone();
            async move { admin.cluster_id(ASK).await }
        };
        let first = || async {
            let id = self.answered(ask).await.ok_or(())?;
            tracing::info!(log = %id, "Kafka answers");
            Ok::<_, ()>(id)
        };
        self.log.get_or_try_init(first).await.ok().cloned()
    }

    /// Everybody has been answered: what was taken up is finished.
    fn stop(&self) -> CancellationToken {
        self.lifecycle.committing().clone()
    }

    fn verifier(signatures: &Signatures) -> Verifier {
        Verifier::new(signatures.signing, Arc::new(signatures.keys.clone()))
    }
}

/// Answers requests.
pub(super) async fn ingest(shared: Arc<Shared>, settings: Ingest, eventual: Arc<Eventual>) -> Result<(), String> {
    let Some(log_id) = shared.log().await else { return Ok(()) };
    let Shared { connection, topics, .. } = &*shared;
    let options = LogOptions::default();
    let open = || {
        let (connection, topics, options) = (connection.clone(), topics.clone(), options.clone());
        async move { KafkaLog::open(&connection, &topics, &options, ASK).await }
    };
    let Some(log) = shared.answered(open).await else { return Ok(()) };
    let read_side = connect::read_side(&settings.read_side, &topics.names, topics.partitions, &log_id, Access::Read);
    let parts = router::Parts {
        connection,
        topics,
        log: Arc::new(log.watched(shared.watch.clone())),
        read_side: shared.watch.timed(read_side.map_err(|error| error.to_string())?),
        verifier: Shared::verifier(&settings.signatures),
        clock: Arc::new(SystemClock),
        watch: shared.watch.clone(),
    };
    let defaults = router::Options::default();
    let options = router::Options {
        partition: settings.replies_partition,
        // Those that do not wait for their verdict are followed too.
        waiters: defaults.waiters.max(settings.admission.requests.saturating_mul(2)),
        keep: settings.read_side.window,
        flush: shared.finish,
        ..defaults
    };
    let pipeline = Arc::new(KafkaPipeline::start(parts, options).map_err(|error| error.to_string())?);
    tracing::info!(log = %log_id, replies = pipeline.partition(), "taking records");
    eventual.begin(pipeline.clone());
    pipeline.run(shared.stop()).await
}

/// Judges records.
pub(super) async fn verifier(shared: Arc<Shared>, signatures: Signatures) -> Result<(), String> {
    let Some(log) = shared.log().await else { return Ok(()) };
    let parts = verifier::Parts {
        connection: &shared.connection,
        topics: &shared.topics,
        log,
        verifier: Shared::verifier(&signatures),
        clock: Arc::new(SystemClock),
        watch: shared.watch.clone(),
    };
    let options =
        verifier::Options { instance: shared.instance.clone(), finish: shared.finish, ..verifier::Options::default() };
    let role = VerifierRole::start(parts, options).map_err(|error| error.to_string())?;
    let role = shared.started.verifier.get_or_init(|| Arc::new(role)).clone();
    role.run(shared.stop()).await
}

/// Settles them.
pub(super) async fn sink(shared: Arc<Shared>, settings: Sink) -> Result<(), String> {
    let Some(log) = shared.log().await else { return Ok(()) };
    let on_a_thread = {
        let shared = shared.clone();
        // Opening the index reads what the last run left.
        tokio::task::spawn_blocking(move || {
            let Shared { connection, topics, .. } = &*shared;
            let read_side =
                connect::read_side(&settings.read_side, &topics.names, topics.partitions, &log, Access::Publish)
                    .map_err(|error| error.to_string())?;
            let parts = sink::Parts {
                connection,
                topics,
                log,
                index: &settings.index_dir,
                read_side: Some(shared.watch.timed(read_side)),
                clock: Arc::new(SystemClock),
                watch: shared.watch.clone(),
            };
            let options =
                sink::Options { instance: shared.instance.clone(), finish: shared.finish, ..sink::Options::default() };
            SinkRole::start(parts, options).map_err(|error| error.to_string())
        })
    };
    let role = on_a_thread.await.map_err(|_| "opening the index panicked".to_owned())??;
    let role = shared.started.sink.get_or_init(|| Arc::new(role)).clone();
    role.run(shared.stop()).await
}
