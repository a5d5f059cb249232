//! The real binary as a child process: started, asked, stopped and killed as an operator would.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Client, DEADLINE, Refused, Request, Response, Setup, flk, metrics::Metrics, until, until_some};

/// A service. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    setup: Setup,
    child: Option<Child>,
    addr: Option<SocketAddr>,
    logs: PathBuf,
    starts: usize,
}

impl Service {
    pub(crate) fn new(setup: Setup) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let dir = std::env::var_os("FLK_TEST_LOGS").map_or_else(|| setup.temporary().join("logs"), PathBuf::from);
        fs::create_dir_all(&dir).unwrap();
        let suite =
            std::env::current_exe().ok().and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
        let suite = suite.unwrap_or_default();
        let suite = suite.rsplit_once('-').map_or(suite.as_str(), |(name, _)| name);
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("main").replace("::", "-");
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { setup, child: None, addr: None, logs: dir.join(format!("{suite}-{test}-{n}")), starts: 0 }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn addr(&self) -> SocketAddr {
        self.addr.expect("the service runs")
    }

    /// How it was set up; what is changed here holds from the next start on.
    pub fn setup(&mut self) -> &mut Setup {
        &mut self.setup
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.setup.dir
    }

    /// Its process.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("the service runs"))
    }

    fn log_file(&self) -> PathBuf {
        self.logs.with_extension(format!("{}.log", self.starts))
    }

    /// Everything that it has said since its last start.
    ///
    /// # Panics
    /// Where that can not be read.
    pub fn said(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its log lines since its last start that are complete.
    pub fn lines(&self) -> Vec<Value> {
        self.said().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Starts the process, and does not wait for anything.
    ///
    /// # Panics
    /// Where it can not be started.
    pub fn launch(&mut self, listen: &str) {
        assert!(self.child.is_none(), "it runs already");
        self.starts += 1;
        let log = File::create(self.log_file()).unwrap();
        let mut command = self.setup.command(listen);
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{}: {error}", flk().display())));
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn start(&mut self) {
        self.launch("127.0.0.1:0");
        self.listening();
        self.ready();
    }

    /// Waits until it says where it listens.
    ///
    /// # Panics
    /// Where it ends instead.
    pub fn listening(&mut self) {
        let addr = until_some("the service listens", DEADLINE, || {
            if let Some(status) = self.ended() {
                panic!("the service did not start ({status}):\n{}", self.said());
            }
            self.lines().iter().find_map(listening_at)
        });
        self.addr = Some(addr);
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn ready(&mut self) {
        let addr = self.addr();
        until("the service is ready", DEADLINE, || {
            if let Some(status) = self.ended() {
                panic!("the service ended while starting ({status}):\n{}", self.said());
            }
            Client::new(addr).send(&Request::get("/readyz")).is_ok_and(|response| response.status == 200)
        });
    }

    /// The exit status, once it has ended by itself.
    ///
    /// # Panics
    /// Where the system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// Where it does not.
    pub fn wait(&mut self) -> ExitStatus {
        let status = until_some("the service ends", DEADLINE, || self.ended());
        self.child = None;
        self.has_not_panicked();
        self.addr = None;
        status
    }

    /// How it refused to start.
    ///
    /// # Panics
    /// Where it did not refuse.
    #[track_caller]
    pub fn refusal(&mut self) -> Refused {
        let status = until_some("the service refuses to start", DEADLINE, || {
            let ended = self.ended();
            assert!(
                ended.is_some() || !self.lines().iter().any(|line| listening_at(line).is_some()),
                "the service started:\n{}",
                self.said()
            );
            ended
        });
        self.child = None;
        Refused { code: status.code(), said: self.said() }
    }

    /// Nothing that is done to it makes any part of it panic.
    fn has_not_panicked(&self) {
        let said = self.said();
        let panic = said.lines().find(|line| line.contains("panicked") || line.contains(r#""message":"panic""#));
        assert!(panic.is_none(), "a panic: {}", panic.unwrap_or_default());
    }

    /// SIGKILL, as the system's out-of-memory killer or an impatient operator would.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the service runs");
        child.kill().unwrap();
        child.wait().unwrap();
        self.addr = None;
        self.has_not_panicked();
    }

    /// SIGTERM; does not wait.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn sigterm(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// SIGTERM, and waits until it has ended.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.sigterm();
        self.wait()
    }

    /// Kills it and starts it again on the same directory.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub fn kill9_and_restart(&mut self) {
        self.kill9();
        self.start();
    }

    /// A connection of its own.
    pub fn client(&self) -> Client {
        Client::new(self.addr())
    }

    /// One request on a connection of its own.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn call(&self, request: &Request) -> Response {
        self.client().call(request)
    }

    /// A GET.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.call(&Request::get(path))
    }

    /// A submission.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn submit(&self, body: impl Into<Vec<u8>>) -> Response {
        self.call(&Request::submit(body))
    }

    /// What is settled for an id, of the tenant `default`.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn result(&self, pcs_id: &str) -> Response {
        self.get(&format!("/v1/pcs/{pcs_id}"))
    }

    /// What became of the record at an offset.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn record(&self, offset: i64) -> Response {
        self.get(&format!("/v1/records/0/{offset}"))
    }

    /// What it counts.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics").expect(200).text())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            if !std::thread::panicking() {
                self.has_not_panicked();
            }
        }
    }
}

/// The address in the one line that says that the service listens.
fn listening_at(line: &Value) -> Option<SocketAddr> {
    let fields = if line["fields"].is_object() { &line["fields"] } else { line };
    (fields["message"] == "listening").then(|| fields["addr"].as_str()?.parse().ok()).flatten()
}
