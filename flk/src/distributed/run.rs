//! The life of a process over Kafka: a port at once, roles when Kafka answers, and an end in order.

use core::{convert::Infallible, time::Duration};
use std::{collections::BTreeSet, sync::Arc};

use flk_ingest::router::Eventual;
use flk_log::SystemClock;
use flk_service::{
    Metrics,
    health::{Check, Readiness, Scope},
    lifecycle::{Exit, StopSignals, Supervisor, Until},
    settings::Distributed,
};
use tokio_util::sync::CancellationToken;

use super::{
    Checked,
    roles::{self, Has, Shared},
    watch::RoleMetrics,
};
use crate::{Failure, disk, service::Begun};

/// How often readiness is looked at, for metrics and for the log.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until it is told to stop.
///
/// # Errors
/// None here: what can be wrong beforehand was [`Checked`].
pub(crate) async fn run(checked: Checked, begun: Begun, signals: impl StopSignals) -> Result<Exit, Failure> {
    let Checked { connection, topics, admin, roles } = checked;
    let auth = begun.auth();
    let Begun { process, limits, listener, addr, metrics, lifecycle } = begun;
    let Distributed { kafka, instance, ingest, verifier, sink } = roles;
    let has = Has { verifier: verifier.is_some(), sink: sink.is_some() };
    let watch = Arc::new(RoleMetrics::new(metrics.clone()));
    // Within what the supervisor gives for committing, with time to leave the group.
    let finish = process.deadlines.commit.mul_f32(0.6);
    let shared = Arc::new(Shared::new(connection, topics, admin, instance, lifecycle.clone(), watch, finish));
    tracing::info!(%addr, brokers = kafka.brokers, "listening");

    let mut tasks = Supervisor::new(lifecycle.clone(), process.deadlines);
    let readiness = {
        let shared = shared.clone();
        move || shared.readiness(has)
    };
    let (app, all) = match ingest {
        Some(ingest) => {
            let eventual = Arc::new(Eventual::new(Arc::new(SystemClock), readiness));
            shared.tells(&eventual);
            tasks.spawn("ingest", Until::Committed, roles::ingest(shared.clone(), ingest, eventual.clone()));
            let all: Ask = {
                let eventual = eventual.clone();
                Box::new(move || flk_ingest::Pipeline::readiness(&*eventual))
            };
            (flk_ingest::app(eventual, metrics.clone(), limits, auth), all)
        }
        None => {
            let all: Ask = Box::new(readiness.clone());
            (flk_ingest::operate_app(readiness, metrics.clone(), limits, auth), all)
        }
    };
    if let Some(signatures) = verifier {
        tasks.spawn("verifier", Until::Committed, roles::verifier(shared.clone(), signatures));
    }
    if let Some(sink) = sink {
        let watched = disk::watch(sink.index_dir.clone(), metrics.clone(), lifecycle.committing().clone());
        tasks.spawn("disk", Until::Committed, watched);
        tasks.spawn("sink", Until::Committed, roles::sink(shared.clone(), sink));
    }
    tasks.spawn("readiness", Until::Committed, look(all, metrics.clone(), lifecycle.committing().clone()));
    let http = flk_ingest::serve(listener, app, metrics, limits, lifecycle);
    tasks.spawn("http", Until::Drained, async move {
        match http.await.dropped {
            0 => Ok(()),
            dropped => Err(format!("{dropped} connections were dropped before they were answered")),
        }
    });
    Ok(tasks.run(signals).await)
}

/// Asks for readiness.
type Ask = Box<dyn Fn() -> Vec<Check> + Send + Sync>;

/// Says readiness in metrics, and every change of it in the log.
async fn look(ask: Ask, metrics: Arc<Metrics>, stop: CancellationToken) -> Result<(), Infallible> {
    let mut tick = tokio::time::interval(LOOK);
    let mut before = None;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        let readiness = Readiness::of(ask(), Scope::All);
        for check in readiness.checks.values() {
            metrics.set_ready(check.name, check.ok);
        }
        let failing: BTreeSet<_> = readiness.failing().collect();
        if before.as_ref() != Some(&failing) {
            match failing.iter().next().and_then(|name| readiness.checks.get(name)) {
                None => tracing::info!("ready"),
                Some(first) => tracing::info!(?failing, "not ready: {}", first.detail),
            }
            before = Some(failing);
        }
    }
}
