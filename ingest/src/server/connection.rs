//! One connection, from its first byte to its last.

use core::{convert::Infallible, future::poll_fn, pin::pin, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::Service};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::io::Guarded;

/// Serves one connection until it ends; once `stop` is cancelled, until its request in flight is
/// answered. Errors are the client's (it went away, sent no HTTP, took too long) and end it.
pub(super) fn serve(
    stream: TcpStream,
    http: &http1::Builder,
    router: Router,
    write_stall: Duration,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let io = Guarded::new(stream, write_stall, stop.clone());
    let connection = http.serve_connection(io, Handler(router));
    async move {
        let mut connection = pin!(connection);
        let mut stopped = pin!(stop.cancelled());
        let mut stopping = false;
        let ended = poll_fn(|cx| {
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(cx)
        })
        .await;
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// The router as hyper calls it.
struct Handler(Router);

impl Service<Request<Incoming>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Router as tower::Service<Request<Incoming>>>::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // A router is always ready, and a clone of it is a counter.
        self.0.clone().call(request)
    }
}
