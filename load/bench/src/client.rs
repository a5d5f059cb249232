//! The load: connections that are kept, requests that are bytes, answers of which the status and
//! the end are read. Little of its own, so that what is measured is the server.

use core::time::Duration;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The requests of a run, made before it, each sent once.
pub(crate) struct Requests {
    bytes: Vec<Vec<u8>>,
    next: AtomicUsize,
}

impl Requests {
    /// One POST for each body.
    pub(crate) fn posts(bodies: impl Iterator<Item = String>) -> Arc<Self> {
        let post = |body: String| {
            let head = format!("POST /v1/pcs/submit HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n", body.len());
            [head.into_bytes(), body.into_bytes()].concat()
        };
        Arc::new(Self { bytes: bodies.map(post).collect(), next: AtomicUsize::new(0) })
    }

    fn take(&self) -> Option<&[u8]> {
        self.bytes.get(self.next.fetch_add(1, Ordering::Relaxed)).map(Vec::as_slice)
    }
}

/// One connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(8192) })
    }

    /// Sends one request and reads its answer; its status.
    async fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(end) = self.buffer.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default()).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if self.buffer.len() >= end + 4 + length {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return status.ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// Answers a second.
    pub(crate) rate: f64,
    /// How long it took.
    pub(crate) took: Duration,
    /// Answers that were not 200.
    pub(crate) other: usize,
    /// Latencies of an open run, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Run {
    /// Good answers.
    pub(crate) fn count(&self) -> f64 {
        self.rate * self.took.as_secs_f64()
    }

    /// The latency that a share of the requests stays under.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let at = ((self.latencies.len() as f64 * share) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// So many clients, each sending its next request when the last is answered, for so long.
pub(crate) async fn closed(
    to: SocketAddr,
    requests: &Arc<Requests>,
    clients: usize,
    span: Duration,
) -> io::Result<Run> {
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let mut connection = Connection::open(to).await?;
        let requests = requests.clone();
        tasks.push(tokio::spawn(async move {
            let (mut good, mut other) = (0_usize, 0_usize);
            while started.elapsed() < span {
                let Some(request) = requests.take() else { break };
                if connection.ask(request).await? == 200 { good += 1 } else { other += 1 }
            }
            Ok::<_, io::Error>((good, other, started.elapsed()))
        }));
    }
    let (mut sum, mut run, mut took) = (0, Run::default(), Duration::ZERO);
    for task in tasks {
        let (good, other, until) = task.await.map_err(io::Error::other)??;
        sum += good;
        run.other += other;
        took = took.max(until);
    }
    run.took = took;
    run.rate = sum as f64 / took.as_secs_f64();
    Ok(run)
}

/// Requests at a fixed rate, whether answered or not; the latency counts from when each was due.
pub(crate) async fn open(to: SocketAddr, requests: &Arc<Requests>, rate: f64, span: Duration) -> io::Result<Run> {
    const CONNECTIONS: usize = 64;
    let (send, receive) = flume::unbounded::<Instant>();
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(to).await?;
        let (requests, receive) = (requests.clone(), receive.clone());
        tasks.push(tokio::spawn(async move {
            let (mut latencies, mut other) = (Vec::new(), 0_usize);
            while let Ok(due) = receive.recv_async().await {
                let Some(request) = requests.take() else { break };
                if connection.ask(request).await? != 200 {
                    other += 1;
                }
                latencies.push(due.elapsed());
            }
            Ok::<_, io::Error>((latencies, other))
        }));
    }
    let started = Instant::now();
    let mut sent = 0_u64;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while started.elapsed() < span {
        tick.tick().await;
        let due = (started.elapsed().as_secs_f64() * rate) as u64;
        while sent < due {
            sent += 1;
            let _ = send.send(Instant::now());
        }
    }
    drop(send);
    let mut run = Run::default();
    for task in tasks {
        let (latencies, other) = task.await.map_err(io::Error::other)??;
        run.latencies.extend(latencies);
        run.other += other;
    }
    run.latencies.sort_unstable();
    run.rate = run.latencies.len() as f64 / started.elapsed().as_secs_f64();
    Ok(run)
}
