//! One connection, from its first byte to its last.

use core::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};
use std::sync::Arc;

use axum::{BoxError, Router};
use bytes::Bytes;
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::io::Guarded;

/// How long a client that is in the middle of a request may take to finish it, once the connection
/// is told to end.
const GRACE: Duration = Duration::from_secs(1);

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
    let stop = closing.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        // A router is always ready, and a clone of it is a counter.
        let (mut router, request_in_flight) = (router.clone(), InFlight::new(&requests));
        let request = request.map(|body| Arriving { body, closing: stop.clone(), given_up: None });
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
                grace = Some(Box::pin(sleep(GRACE)));
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
                grace.as_mut().reset(Instant::now() + GRACE);
            }
            Poll::Pending
        })
        .await;
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// The body of a request, as far as it comes before the connection ends.
struct Arriving {
    body: Incoming,
    closing: CancellationToken,
    /// Only where the body has to be waited for.
    given_up: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let given_up = this.given_up.get_or_insert_with(|| {
            let closing = this.closing.clone();
            Box::pin(async move {
                closing.cancelled().await;
                sleep(GRACE).await;
            })
        });
        ready!(given_up.as_mut().poll(cx));
        Poll::Ready(Some(Err("the server stops, and the body did not come".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
