//! The service on a log of its own, as a process.

use std::sync::Arc;

use flk_log::{SystemClock, embedded::Options};
use flk_service::{
    Metrics,
    lifecycle::{Exit, Lifecycle, StopSignals, Supervisor, Until},
    settings,
};
use flk_verifier::Verifier;

use super::Begun;
use crate::{
    Failure, disk,
    embedded::{Embedded, WriterLost},
};

/// Runs until it is told to stop.
pub(super) async fn run(
    settings: &settings::Embedded,
    begun: Begun,
    signals: impl StopSignals,
) -> Result<Exit, Failure> {
    let embedded = Arc::new(open(settings, begun.metrics.clone(), begun.lifecycle.clone()).await?);
    tracing::info!(addr = %begun.addr, data_dir = %settings.data_dir.display(), log = %embedded.log_id(), "listening");
    Ok(until_stopped(settings, embedded, begun, signals).await)
}

/// Answers requests until a signal comes or a task ends that should not, and then stops in order.
async fn until_stopped(
    settings: &settings::Embedded,
    embedded: Arc<Embedded>,
    begun: Begun,
    signals: impl StopSignals,
) -> Exit {
    let auth = begun.auth();
    let Begun { process, limits, listener, metrics, lifecycle, .. } = begun;
    let router = flk_ingest::app(embedded.clone(), metrics.clone(), limits, auth);
    let mut tasks = Supervisor::new(lifecycle.clone(), process.deadlines);
    let http = flk_ingest::serve(listener, router, metrics.clone(), limits, lifecycle.clone());
    tasks.spawn("http", Until::Drained, async move {
        match http.await.dropped {
            0 => Ok(()),
            dropped => Err(format!("{dropped} connections were dropped before they were answered")),
        }
    });
    tasks.spawn("log", Until::Committed, embedded.writer());
    let watched = disk::watch(settings.data_dir.clone(), metrics, lifecycle.committing().clone());
    tasks.spawn("disk", Until::Committed, watched);
    let exit = tasks.run(signals).await;
    if exit == Exit::AtOnce {
        // Dropping it waits for the log's writer, and that may wait for the disk.
        std::mem::forget(embedded);
        return exit;
    }
    // Every request has been answered: the writer ends with what it was given.
    let Some(embedded) = Arc::into_inner(embedded) else { return exit };
    let closed = tokio::task::spawn_blocking(move || embedded.close());
    match tokio::time::timeout(process.deadlines.commit, closed).await {
        Ok(Ok(Ok(()))) => exit,
        Ok(closed) => {
            // Where the process stops because of it, it has been said.
            if exit == Exit::Success {
                let error = closed.map_or_else(|error| error.to_string(), |_| WriterLost.to_string());
                tracing::error!(error, "the log was not closed in order");
            }
            Exit::Failure
        }
        Err(_) => {
            tracing::error!("the log's writer did not end in time");
            Exit::Failure
        }
    }
}

/// The data directory, opened on a thread that may block.
async fn open(settings: &settings::Embedded, metrics: Arc<Metrics>, lifecycle: Lifecycle) -> Result<Embedded, Failure> {
    let signatures = &settings.signatures;
    let verifier = Verifier::new(signatures.signing, Arc::new(signatures.keys.clone()));
    let options = Options { queue: settings.queue, retention: settings.retention, ..Options::default() };
    let (dir, clock) = (settings.data_dir.clone(), Arc::new(SystemClock));
    let opened =
        tokio::task::spawn_blocking(move || Embedded::open(&dir, &options, verifier, clock, metrics, lifecycle)).await;
    opened.map_err(Failure::failed)?.map_err(Failure::mistake)
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
