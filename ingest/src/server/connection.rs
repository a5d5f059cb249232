//! One connection, from its first byte to its last.

use core::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
    time::Duration,
};
use std::sync::Arc;

use axum::Router;
use hyper::{server::conn::http1, service::service_fn};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::io::Guarded;

/// How long a client that is in the middle of a request's header may take to finish it, once the
/// connection is told to end.
const HEADER_GRACE: Duration = Duration::from_secs(1);

/// Serves one connection until it ends; once `closing` is cancelled, until its request in flight is
/// answered. Errors are the client's (it went away, sent no HTTP, took too long) and end it.
pub(super) fn serve(
    stream: TcpStream,
    http: &http1::Builder,
    router: Router,
    write_stall: Duration,
    closing: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let in_flight = Arc::new(AtomicUsize::new(0));
    let requests = in_flight.clone();
    let service = service_fn(move |request| {
        // A router is always ready, and a clone of it is a counter.
        let (mut router, request_in_flight) = (router.clone(), InFlight::new(&requests));
        async move {
            let answer = router.call(request).await;
            drop(request_in_flight);
            answer
        }
    });
    let connection = http.serve_connection(Guarded::new(stream, write_stall, closing.clone()), service);
    async move {
        let mut connection = pin!(connection);
        let mut closing = pin!(closing.cancelled());
        let mut grace = None;
        let ended = poll_fn(|cx| {
            if grace.is_none() && closing.as_mut().poll(cx).is_ready() {
                grace = Some(Box::pin(sleep(HEADER_GRACE)));
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            while let Some(grace) = &mut grace
                && grace.as_mut().poll(cx).is_ready()
            {
                if in_flight.load(Ordering::Relaxed) == 0 {
                    return Poll::Ready(Ok(()));
                }
                grace.as_mut().reset(Instant::now() + HEADER_GRACE);
            }
            Poll::Pending
        })
        .await;
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// Counts a request as in flight, however it ends.
struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    fn new(requests: &Arc<AtomicUsize>) -> Self {
        requests.fetch_add(1, Ordering::Relaxed);
        Self(requests.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
