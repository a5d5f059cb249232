//! The socket as hyper sees it, with two things that a bare socket lacks: a client that takes no
//! byte of its answer is not waited for without end, and a connection is closed so that its last
//! answer arrives.
//!
//! The latter: closing a socket while the client still sends resets the connection, and a reset
//! can overtake the answer. So the write side is closed first, and what still comes is read and
//! thrown away, for a moment.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::io::{self, IoSlice};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long and how much is read and thrown away.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A socket that hyper may use.
pub(super) struct Guarded {
    socket: TokioIo<TcpStream>,
    stall: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    closing: Option<Closing>,
    stop: CancellationToken,
}

impl Guarded {
    pub(super) fn new(stream: TcpStream, stall: Duration, stop: CancellationToken) -> Self {
        Self { socket: TokioIo::new(stream), stall, stalled: None, closing: None, stop }
    }

    /// What a write came to; an error once nothing could be written for too long.
    fn watched<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no bytes of its answer")))
    }
}

impl Read for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl Write for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watched(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Closes the write side, then lingers: not while the server stops, which waits for everybody.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
        }
        if this.stop.is_cancelled() {
            return Poll::Ready(Ok(()));
        }
        let closing = this.closing.get_or_insert_with(Closing::new);
        closing.poll(this.socket.inner_mut(), cx).map(Ok)
    }
}

/// A write side that is closed, waiting for the client to close its own.
struct Closing {
    thrown_away: usize,
    until: Pin<Box<Sleep>>,
}

impl Closing {
    fn new() -> Self {
        Self { thrown_away: 0, until: Box::pin(sleep(LINGER)) }
    }

    /// Ready when the client has closed, failed, sent too much or took too long.
    fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        while self.thrown_away < LINGER_BYTES_MAX {
            let mut read = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.thrown_away += read.filled().len(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.until.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

/// Closes a socket on which the last answer was just written.
pub(super) async fn linger(mut stream: TcpStream) {
    if timeout(LINGER, stream.shutdown()).await.is_ok() {
        let mut closing = Closing::new();
        core::future::poll_fn(|cx| closing.poll(&mut stream, cx)).await;
    }
}
