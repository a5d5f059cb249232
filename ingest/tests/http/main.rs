//! The HTTP side over real sockets: every row of contract section 6, with a pipeline in memory that
//! judges and settles by the contract crate.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is a failed claim")]

mod calls;
mod client;
mod limits;
mod lines;
mod memory;
mod operate;
mod prefer;
mod read;
mod records;
mod server;
mod submit;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use flk_ingest::{Drained, Limits, MetricsAuth, app, serve};
use flk_service::metrics::Metrics;
use memory::Memory;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes, shorter than anybody wants to wait.
const DEADLINE: Duration = Duration::from_secs(20);

/// A service on a free port.
struct Service {
    address: SocketAddr,
    memory: Arc<Memory>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    served: JoinHandle<Drained>,
}

impl Service {
    async fn start(memory: Memory) -> Self {
        Self::with(memory, Limits::default(), MetricsAuth::open()).await
    }

    async fn limited(limits: Limits) -> Self {
        Self::with(Memory::new(), limits, MetricsAuth::open()).await
    }

    async fn with(memory: Memory, limits: Limits, auth: MetricsAuth) -> Self {
        lines::install();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (memory, metrics, stop) = (Arc::new(memory), Metrics::new(), CancellationToken::new());
        let router = app(memory.clone(), metrics.clone(), limits, auth);
        let served = tokio::spawn(serve(listener, router, metrics.clone(), limits, stop.clone()));
        Self { address, memory, metrics, stop, served }
    }

    /// Stops the service and says how that went.
    async fn stopped(self) -> Drained {
        self.stop.cancel();
        within("the service stops", self.served).await.unwrap()
    }

    /// The value of one series.
    fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.render();
        let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.unwrap_or_else(|| panic!("{series} in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// What comes in time.
async fn within<T>(claim: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("not in time: {claim}"))
}

/// Waits until something holds, by asking again and again.
async fn until(claim: &str, holds: impl Fn() -> bool) {
    within(claim, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
