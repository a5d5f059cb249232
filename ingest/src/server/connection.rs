//! One connection, from its first byte to its last.
//!
//! How the header and the body of a request are told apart is hyper's: where `Content-Length` and
//! `Transfer-Encoding` are both given, it goes by the latter, hides the former, and closes the
//! connection behind the answer (RFC 9112, section 6.3). Such a request can not be told from others
//! here, and so is not refused; what follows it is never taken for a request.

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
    header::{CONNECTION, HeaderValue},
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

/// How a connection hears of the server's end.
pub(super) struct End {
    /// Requests are still answered; every answer is the last of its connection, and says so, so
    /// that no client sends its next request into a connection that is about to be closed.
    pub(super) last_answers: CancellationToken,
    /// The request in flight is answered, and nothing after it.
    pub(super) closing: CancellationToken,
}

/// Serves one connection until it ends, or `end` says so. Errors are the client's (it went away,
/// sent no HTTP, took too long) and end it.
pub(super) fn serve(
    stream: TcpStream,
    http: &http1::Builder,
    router: Router,
    write_stall: Duration,
    end: End,
) -> impl Future<Output = ()> + Send + use<> {
    let End { last_answers, closing } = end;
    let in_flight = Arc::new(AtomicUsize::new(0));
    let requests = in_flight.clone();
    let stop = closing.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        // A router is always ready, and a clone of it is a counter.
        let (mut router, request_in_flight) = (router.clone(), InFlight::new(&requests));
        let request = request.map(|body| Arriving { body, closing: stop.clone(), given_up: None });
        let last_answers = last_answers.clone();
        async move {
            let mut answer = router.call(request).await;
            drop(request_in_flight);
            if let Ok(answer) = &mut answer
                && last_answers.is_cancelled()
            {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        }
    });
    let connection = http.serve_connection(Guarded::new(stream, write_stall, closing.clone()), service);
    async move {
        let mut connection = pin!(connection);
        let mut closing = pin!(closing.cancelled());
        let mut grace = None;
        let ended = poll_fn(|cx| {
            // The connection first: a request that has arrived is in flight, and is answered.
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            if grace.is_none() && closing.as_mut().poll(cx).is_ready() {
                grace = Some(Box::pin(sleep(GRACE)));
                connection.as_mut().graceful_shutdown();
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(ended);
                }
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use hyper_util::rt::TokioTimer;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::timeout,
    };

    use super::*;

    /// Two requests written at once, served by one connection; everything that is answered.
    async fn answered(last_answers: CancellationToken, closing: CancellationToken) -> String {
        const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: flk\r\n\r\n";
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(&[REQUEST, REQUEST].concat()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(100));
        let router = Router::new().route("/", get(|| async { "OK" }));
        let served = serve(stream, &http, router, Duration::from_secs(9), End { last_answers, closing });
        let mut answers = String::new();
        let both = async { tokio::join!(served, client.read_to_string(&mut answers)).1 };
        timeout(Duration::from_secs(20), both).await.unwrap().unwrap();
        answers
    }

    fn cancelled() -> CancellationToken {
        let token = CancellationToken::new();
        token.cancel();
        token
    }

    #[tokio::test]
    async fn the_last_answer_of_a_connection_says_that_it_is_and_nothing_is_answered_after_it() {
        let usual = answered(CancellationToken::new(), CancellationToken::new()).await;
        assert_eq!((usual.matches("200 OK").count(), usual.contains("connection")), (2, false), "{usual}");
        let last = answered(cancelled(), CancellationToken::new()).await;
        assert_eq!((last.matches("200 OK").count(), last.contains("connection: close")), (1, true), "{last}");
    }

    #[tokio::test]
    async fn a_request_that_has_arrived_before_the_end_is_answered() {
        let last = answered(cancelled(), cancelled()).await;
        assert_eq!((last.matches("200 OK").count(), last.contains("connection: close")), (1, true), "{last}");
    }
}
