//! The accept loop: a bounded number of connections, each served by hyper within its deadlines.
//!
//! The loop owns every task that it starts. It ends when it is told to: after a last call it stops
//! accepting, lets requests in flight finish, and drops what is left at the deadline. Nothing that a
//! client or the system does ends it before.

mod accept;
mod connection;
mod io;

use core::{pin::pin, time::Duration};
use std::sync::Arc;

use axum::Router;
use flk_service::{
    lifecycle::Lifecycle,
    metrics::{Metrics, Shed},
};
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    limits::Limits,
    refusal::{Kind, Refusal},
};

/// Largest header of a request (431 beyond), and the buffer that a connection reads with.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// How many that are turned away may be given time to read why.
const TURNED_AWAY_MAX: usize = 64;

/// How long connections and requests are taken once the server is told to stop: what was sent before
/// may still be on its way through the system, and whoever sent it waits for an answer. Whoever is
/// answered now is told that the connection closes, and asks elsewhere from then on.
const LAST_CALL: Duration = Duration::from_millis(200);

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were dropped at the deadline, perhaps in the middle of an answer.
    pub dropped: usize,
}

/// How a server hears that it is to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Every answer is now the last of its connection: clients ask elsewhere from then on, if there
    /// is an elsewhere. Requests and connections are taken all the same.
    answers: CancellationToken,
    /// The last call begins.
    call: CancellationToken,
}

impl From<Lifecycle> for Stop {
    fn from(lifecycle: Lifecycle) -> Self {
        Self { answers: lifecycle.not_ready().clone(), call: lifecycle.draining().clone() }
    }
}

impl From<CancellationToken> for Stop {
    fn from(stop: CancellationToken) -> Self {
        Self { answers: stop.clone(), call: stop }
    }
}

/// Serves until `stop`, and then until requests in flight are answered, at most `limits.drain`.
/// Dropping the future drops every connection.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    metrics: Arc<Metrics>,
    limits: Limits,
    stop: impl Into<Stop>,
) -> Drained {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    let mut server = Server {
        http,
        router,
        metrics,
        limits,
        connections: JoinSet::new(),
        turned_away: JoinSet::new(),
        sorry: Refusal::new(Kind::TooManyConnections).raw_response().into(),
        stop: stop.into(),
        closing: CancellationToken::new(),
    };
    server.accept(listener).await;
    server.drain().await
}

struct Server {
    http: http1::Builder,
    router: Router,
    metrics: Arc<Metrics>,
    limits: Limits,
    connections: JoinSet<()>,
    turned_away: JoinSet<()>,
    sorry: Arc<[u8]>,
    stop: Stop,
    /// Cancelled after the last call: connections end when their request in flight is answered.
    closing: CancellationToken,
}

impl Server {
    /// Arms, most urgent first: an arm can starve only those below it. Ended connections are
    /// reaped before new ones are accepted, so that the cap counts what is open.
    async fn accept(&mut self, listener: TcpListener) {
        let mut listener = accept::Listener::new(listener);
        let stop = self.stop.call.clone();
        let mut over = pin!(async {
            stop.cancelled().await;
            sleep(LAST_CALL).await;
        });
        loop {
            tokio::select! {
                biased;
                () = &mut over => break,
                Some(ended) = self.connections.join_next() => reaped(ended),
                Some(ended) = self.turned_away.join_next() => reaped(ended),
                stream = listener.accept() => self.take(stream),
            }
        }
        self.closing.cancel();
    }

    fn take(&mut self, stream: TcpStream) {
        if self.connections.len() >= self.limits.connections {
            return self.turn_away(stream);
        }
        // Answers are small and written at once: waiting for more to send only costs time.
        let _ = stream.set_nodelay(true);
        let gauge = Open::new(&self.metrics);
        let end =
            connection::End { last_answers: self.stop.answers.child_token(), closing: self.closing.child_token() };
        let served = connection::serve(stream, &self.http, self.router.clone(), self.limits.write_stall, end);
        self.connections.spawn(async move {
            let _open = gauge;
            served.await;
        });
    }

    /// Says 503 at once, into the empty buffer of the new socket; some may linger to be heard.
    fn turn_away(&mut self, stream: TcpStream) {
        self.metrics.shed(Shed::Connections);
        let _ = stream.try_write(&self.sorry);
        if self.turned_away.len() < TURNED_AWAY_MAX {
            self.turned_away.spawn(io::linger(stream));
        }
    }

    async fn drain(mut self) -> Drained {
        self.turned_away.abort_all();
        let all = async {
            while let Some(ended) = self.connections.join_next().await {
                reaped(ended);
            }
        };
        let in_time = timeout(self.limits.drain.saturating_sub(LAST_CALL), all).await.is_ok();
        let dropped = if in_time { 0 } else { self.connections.len() };
        self.connections.shutdown().await;
        Drained { dropped }
    }
}

/// A connection that panicked was dropped; the panic itself was reported where it happened.
fn reaped(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection was dropped by a panic");
    }
}

/// Counts an open connection, however it ends.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.connections.inc();
        Self(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}
