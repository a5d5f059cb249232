//! `flk serve`: all of it in one process on an embedded log.
//!
//! A recipe: settings, telemetry, limits, listener, data directory, HTTP, and then whoever ends
//! first. What can be wrong is wrong before the first request is taken.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use flk_ingest::Limits;
use flk_log::{SystemClock, embedded::Options};
use flk_service::{
    Metrics,
    lifecycle::{Exit, Lifecycle, OsSignals, Supervisor, Until},
    limits, telemetry,
};
use flk_verifier::Verifier;
use tokio::net::TcpListener;

use crate::{Failure, disk, embedded::Embedded, stub as settings, stub::Settings};

/// What `flk serve` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: settings::Raw,
}

/// Serves until it is told to stop.
///
/// # Errors
/// [`Failure`] where it can not start, in one sentence.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let settings = Settings::load(args.settings).map_err(Failure::mistake)?;
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
    let connections = open_files(settings)?;
    let listener = listen(settings.listen).await?;
    let addr = listener.local_addr().map_err(Failure::failed)?;
    let verifier = Verifier::new(settings.signing, settings.keys.clone());
    let options = Options { queue: settings.queue, retention: settings.retention, ..Options::default() };
    let lifecycle = Lifecycle::new();
    let (dir, clock) = (settings.data_dir.clone(), Arc::new(SystemClock));
    let opened = {
        let (metrics, lifecycle) = (metrics.clone(), lifecycle.clone());
        tokio::task::spawn_blocking(move || Embedded::open(&dir, &options, verifier, clock, metrics, lifecycle)).await
    };
    let embedded = Arc::new(opened.map_err(Failure::failed)?.map_err(Failure::mistake)?);
    tracing::info!(%addr, data_dir = %settings.data_dir.display(), log = %embedded.log_id(), "listening");
    if settings.signing == flk_contract::Signing::Off {
        tracing::warn!("PCS_SIGN_ALG=none: records are taken unsigned, from anybody who can reach this address");
    }

    let limits = Limits { connections, ..settings.limits };
    let router = flk_ingest::app(embedded.clone(), metrics.clone(), limits, settings.metrics_auth.clone());
    let mut tasks = Supervisor::new(lifecycle.clone(), settings.deadlines);
    let draining = lifecycle.draining().clone();
    let http = flk_ingest::serve(listener, router, metrics.clone(), limits, draining);
    tasks.spawn("http", Until::Drained, async move {
        match http.await.dropped {
            0 => Ok(()),
            dropped => Err(format!("{dropped} connections were dropped before they were answered")),
        }
    });
    let watched = disk::watch(settings.data_dir.clone(), metrics, lifecycle.committing().clone());
    tasks.spawn("disk", Until::Committed, watched);
    let exit = tasks.run(OsSignals::listen().map_err(Failure::failed)?).await;
    // Every request has been answered: the writer ends with what it was given.
    if let Some(embedded) = Arc::into_inner(embedded) {
        let closed = tokio::task::spawn_blocking(move || embedded.close());
        let _ = tokio::time::timeout(settings.deadlines.commit, closed).await;
    }
    Ok(exit)
}

/// Makes room for as many connections as are set, and says how many there can be.
fn open_files(settings: &Settings) -> Result<usize, Failure> {
    match limits::raise_open_files(settings.limits.connections) {
        Ok(_) => Ok(settings.limits.connections),
        Err(few) => Err(Failure::mistake(few)),
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(addr).await.map_err(|error| {
        Failure::mistake(format!("{addr} can not be listened on ({error}); set --listen or PORT to an address that is free"))
    })
}
