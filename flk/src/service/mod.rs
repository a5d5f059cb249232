//! A service as a process: telemetry, signals, a port, and then whatever the settings put together.
//!
//! A recipe: what can be wrong is wrong before the first request is taken. What a shape is made of is in
//! [`crate::embedded`] and [`crate::distributed`].

mod embedded;

use core::net::SocketAddr;
use std::{process::ExitCode, sync::Arc};

use flk_ingest::{Limits, MetricsAuth};
use flk_service::{
    Metrics, Settings,
    lifecycle::{Exit, Lifecycle, OsSignals},
    limits,
    settings::{Admission, Process, Shape, Source},
    telemetry,
};
use tokio::net::TcpListener;

use crate::{Failure, distributed};

/// Runs until it is told to stop.
///
/// # Errors
/// [`Failure`] where it can not start, in one sentence.
pub(crate) fn run(settings: &Settings) -> Result<ExitCode, Failure> {
    if let Shape::Kafka(_) = settings.shape {
        distributed::is_built()?;
    }
    let telemetry = telemetry::init(&settings.process.logging).map_err(Failure::failed)?;
    let metrics = Metrics::new();
    metrics.watch_dropped_lines(telemetry.dropped_lines());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime can not be started: {error}")))?;
    let exit = runtime.block_on(serve(settings, metrics));
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
    match &settings.shape {
        Shape::Embedded(embedded) => {
            let limits = limits_of(settings, &embedded.admission)?;
            let begun = Begun::new(&settings.process, limits, metrics).await?;
            embedded::run(embedded, begun, signals).await
        }
        Shape::Kafka(roles) => {
            let limits = match &roles.ingest {
                Some(ingest) => limits_of(settings, &ingest.admission)?,
                None => Limits { connections: WATCHERS, ..limits_of_process(&settings.process) },
            };
            let parts = distributed::Checked::new(roles)?;
            let begun = Begun::new(&settings.process, limits, metrics).await?;
            distributed::run(parts, begun, signals).await
        }
    }
}

/// Connections to a process that answers nobody but those who watch it.
const WATCHERS: usize = 256;

/// What every process has once it listens.
pub(crate) struct Begun {
    pub(crate) process: Process,
    pub(crate) limits: Limits,
    pub(crate) listener: TcpListener,
    pub(crate) addr: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) lifecycle: Lifecycle,
}

impl Begun {
    async fn new(process: &Process, limits: Limits, metrics: Arc<Metrics>) -> Result<Self, Failure> {
        let listener = listen(process.listen).await?;
        let addr = listener.local_addr().map_err(Failure::failed)?;
        Ok(Self { process: process.clone(), limits, listener, addr, metrics, lifecycle: Lifecycle::new() })
    }

    pub(crate) fn auth(&self) -> MetricsAuth {
        let auth = self.process.metrics_auth.as_ref();
        auth.map_or_else(MetricsAuth::open, |auth| MetricsAuth::basic(&auth.user, auth.password.expose()))
    }
}

fn limits_of_process(process: &Process) -> Limits {
    Limits { header_read: process.header_read, drain: process.deadlines.drain, ..Limits::default() }
}

fn limits_of(settings: &Settings, admission: &Admission) -> Result<Limits, Failure> {
    let Admission { token_rate, requests, bytes, body_read, .. } = *admission;
    let connections = connections(settings, admission.connections)?;
    let of_process = limits_of_process(&settings.process);
    Ok(Limits { connections, body_read, requests, bytes, token_rate, ..of_process })
}

/// Makes room for as many connections as are set. Where the system has none for them, a number
/// that somebody chose is a mistake, and the default is lowered to what fits.
fn connections(settings: &Settings, wanted: usize) -> Result<usize, Failure> {
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
