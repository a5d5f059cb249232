//! Claims about a service that can not go on.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::path::Path;

use flk_contract::LogTime;
use flk_ingest::Limits;
use flk_log::Clock;
use flk_service::{
    Settings,
    settings::{Raw, Role, Shape},
};
use tokio::{net::TcpListener, sync::mpsc};

use super::*;
use crate::http;

const LONG: Duration = Duration::from_secs(30);

/// The machine's clock, until it makes the log's writer panic.
#[derive(Default)]
struct Trap(AtomicBool);

impl Clock for Trap {
    fn now(&self) -> LogTime {
        let writing = std::thread::current().name() == Some("log-writer");
        assert!(!(writing && self.0.load(Ordering::SeqCst)), "a bug in the writer");
        SystemClock.now()
    }
}

/// Signals that the test sends.
struct Sent(mpsc::Receiver<&'static str>);

impl StopSignals for Sent {
    async fn next(&mut self) -> &'static str {
        StopSignals::next(&mut self.0).await
    }
}

/// A service in this directory, over real sockets, whose signals are ours.
struct Running {
    url: String,
    clock: Arc<Trap>,
    signals: mpsc::Sender<&'static str>,
    exit: tokio::task::JoinHandle<Exit>,
}

async fn start(dir: &Path) -> Running {
    let data_dir = dir.as_os_str().to_owned();
    let env = move |name: &str| match name {
        "PCS_SIGN_ALG" => Some("none".into()),
        "WAL_DIR" => Some(data_dir.clone()),
        _ => None,
    };
    let settings = Settings::load_from(Role::Serve, &Raw::default(), env).unwrap();
    let Shape::Embedded(embedded) = settings.shape else { panic!("there is no Kafka") };
    let (metrics, lifecycle, clock) = (Metrics::new(), Lifecycle::new(), Arc::new(Trap::default()));
    let verifier = Verifier::new(embedded.signatures.signing, Arc::new(embedded.signatures.keys.clone()));
    let opened =
        Embedded::open(dir, &Options::default(), verifier, clock.clone(), metrics.clone(), lifecycle.clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let url = format!("http://{addr}");
    let (signals, asked) = mpsc::channel(1);
    let limits = Limits { connections: 16, ..Limits::default() };
    let begun = Begun { process: settings.process, limits, listener, addr, metrics, lifecycle };
    let exit = tokio::spawn(async move { until_stopped(&embedded, Arc::new(opened), begun, Sent(asked)).await });
    Running { url, clock, signals, exit }
}

impl Running {
    /// The status of an answer to one body, on a connection of its own.
    async fn post(&self) -> u16 {
        let url = format!("{}/v1/pcs/submit", self.url);
        let post = move || {
            let agent = http::agent(LONG, 1, http::Via::Direct);
            agent.post(url).send("{").unwrap().status().as_u16()
        };
        tokio::task::spawn_blocking(post).await.unwrap()
    }

    /// Waits until bodies are taken.
    async fn open(self) -> Self {
        let taken = async {
            while self.post().await != 400 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, taken).await.expect("the log opens");
        self
    }

    async fn exit(self) -> Exit {
        tokio::time::timeout(LONG, self.exit).await.expect("it stops long before").unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_logs_writer_stops_the_process_with_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await.open().await;
    running.clock.0.store(true, Ordering::SeqCst);
    assert_eq!(running.post().await, 503, "who sent the record that it fell over is told that it may be sent again");
    assert_eq!(running.exit().await, Exit::Failure);
    // A restart goes on from what is durable.
    let running = start(dir.path()).await.open().await;
    running.signals.send("SIGTERM").await.unwrap();
    assert_eq!(running.exit().await, Exit::Success);
}
