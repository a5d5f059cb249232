//! `flk serve`: all of it in one process on an embedded log.
//!
//! A recipe: settings, telemetry, limits, listener, data directory, HTTP, and then whoever ends
//! first. What can be wrong is wrong before the first request is taken.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use flk_ingest::{Limits, MetricsAuth};
use flk_log::{SystemClock, embedded::Options};
use flk_service::{
    Metrics, Settings,
    lifecycle::{Exit, Lifecycle, OsSignals, StopSignals, Supervisor, Until},
    limits,
    settings::{Admission, Raw, Source},
    telemetry,
};
use flk_verifier::Verifier;
use tokio::net::TcpListener;

use crate::{
    Failure, disk,
    embedded::{Embedded, WriterLost},
};

/// What `flk serve` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Raw,
}

/// Serves until it is told to stop.
///
/// # Errors
/// [`Failure`] where it can not start, in one sentence.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let settings = Settings::load(&args.settings).map_err(Failure::mistake)?;
    let telemetry = telemetry::init(&settings.logging).map_err(Failure::failed)?;
    let metrics = Metrics::new();
    metrics.watch_dropped_lines(telemetry.dropped_lines());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime can not be started: {error}")))?;
    let exit = runtime.block_on(serve(&settings, metrics));
    // What still blocks has had its deadline.
    runtime.shutdown_background();
    drop(telemetry);
    exit.map(ExitCode::from)
}

async fn serve(settings: &Settings, metrics: Arc<Metrics>) -> Result<Exit, Failure> {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let signals = OsSignals::listen().map_err(Failure::failed)?;
    let limits = limits_of(settings)?;
    let listener = listen(settings.listen).await?;
    let addr = listener.local_addr().map_err(Failure::failed)?;
    let lifecycle = Lifecycle::new();
    let embedded = Arc::new(open(settings, metrics.clone(), lifecycle.clone()).await?);
    tracing::info!(%addr, data_dir = %settings.data_dir.display(), log = %embedded.log_id(), "listening");

    Ok(until_stopped(settings, embedded, listener, limits, metrics, lifecycle, signals).await)
}

/// Answers requests until a signal comes or a task ends that should not, and then stops in order.
async fn until_stopped(
    settings: &Settings,
    embedded: Arc<Embedded>,
    listener: TcpListener,
    limits: Limits,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
    signals: impl StopSignals,
) -> Exit {
    let auth = settings.metrics_auth.as_ref();
    let auth = auth.map_or_else(MetricsAuth::open, |auth| MetricsAuth::basic(&auth.user, auth.password.expose()));
    let router = flk_ingest::app(embedded.clone(), metrics.clone(), limits, auth);
    let mut tasks = Supervisor::new(lifecycle.clone(), settings.deadlines);
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
    match tokio::time::timeout(settings.deadlines.commit, closed).await {
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
async fn open(settings: &Settings, metrics: Arc<Metrics>, lifecycle: Lifecycle) -> Result<Embedded, Failure> {
    let verifier = Verifier::new(settings.signing, Arc::new(settings.keys.clone()));
    let options = Options { queue: settings.queue, retention: settings.retention, ..Options::default() };
    let (dir, clock) = (settings.data_dir.clone(), Arc::new(SystemClock));
    let opened =
        tokio::task::spawn_blocking(move || Embedded::open(&dir, &options, verifier, clock, metrics, lifecycle)).await;
    opened.map_err(Failure::failed)?.map_err(Failure::mistake)
}

fn limits_of(settings: &Settings) -> Result<Limits, Failure> {
    let Admission { token_rate, requests, bytes, header_read, body_read, .. } = settings.admission;
    let (connections, drain) = (connections(settings)?, settings.deadlines.drain);
    Ok(Limits { connections, header_read, body_read, requests, bytes, token_rate, drain, ..Limits::default() })
}

/// Makes room for as many connections as are set. Where the system has none for them, a number
/// that somebody chose is a mistake, and the default is lowered to what fits.
fn connections(settings: &Settings) -> Result<usize, Failure> {
    let wanted = settings.admission.connections;
    let Err(few) = limits::raise_open_files(wanted) else { return Ok(wanted) };
    let chosen = |source| source != Source::Default;
    if settings.source_of(limits::SETTING).is_some_and(chosen) || few.fits == 0 {
        return Err(Failure::mistake(few));
    }
    tracing::warn!("{few}; going on with {}", few.fits);
    Ok(few.fits)
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(addr).await.map_err(|error| {
        Failure::mistake(format!(
            "{addr} can not be listened on ({error}); set --listen or PORT to an address that is free"
        ))
    })
}

#[cfg(test)]
mod tests;
