//! One process of the real binary: started, watched, stopped and killed as an operator would.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Client, DEADLINE, Request, Response, metrics::Metrics, setup::flk, until, until_some};

/// A process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Option<Child>,
    addr: Option<SocketAddr>,
    logs: PathBuf,
    starts: usize,
}

impl Process {
    /// One that does not run yet; what it says goes to files beside `logs`.
    pub(crate) fn new(name: &str, logs: &Path) -> Self {
        let mut stem = logs.as_os_str().to_owned();
        stem.push("-");
        stem.push(name);
        Self { name: name.to_owned(), child: None, addr: None, logs: stem.into(), starts: 0 }
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn addr(&self) -> SocketAddr {
        self.addr.unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    /// Whether it has been started, and neither ended by a test nor waited for.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Its number.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name)))
    }

    fn log_file(&self) -> PathBuf {
        let mut path = self.logs.as_os_str().to_owned();
        path.push(format!(".{}.log", self.starts));
        path.into()
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

    /// Starts it, and does not wait for anything.
    ///
    /// # Panics
    /// Where it can not be started.
    pub(crate) fn launch(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        self.starts += 1;
        let log = File::create(self.log_file()).unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{}: {error}", flk().display())));
    }

    /// Waits until it says where it listens.
    ///
    /// # Panics
    /// Where it ends instead.
    pub fn listening(&mut self) {
        let addr = until_some(&format!("{} listens", self.name), DEADLINE, || {
            if let Some(status) = self.ended() {
                panic!("{} did not start ({status}):\n{}", self.name, self.said());
            }
            self.listens_at()
        });
        self.addr = Some(addr);
    }

    /// Where it says that it listens.
    pub(crate) fn listens_at(&self) -> Option<SocketAddr> {
        self.lines().iter().find_map(listening_at)
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn ready(&mut self) {
        let addr = self.addr();
        until(&format!("{} is ready", self.name), DEADLINE, || {
            if let Some(status) = self.ended() {
                panic!("{} ended while starting ({status}):\n{}", self.name, self.said());
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
        let status = until_some(&format!("{} ends", self.name), DEADLINE, || self.ended());
        self.gone();
        self.has_not_panicked();
        status
    }

    /// It is known to have ended, and has been waited for.
    pub(crate) fn gone(&mut self) {
        (self.child, self.addr) = (None, None);
    }

    /// Nothing that is done to it makes any part of it panic.
    fn has_not_panicked(&self) {
        let said = self.said();
        let panic = said.lines().find(|line| line.contains("panicked") || line.contains(r#""message":"panic""#));
        assert!(panic.is_none(), "a panic of {}: {}", self.name, panic.unwrap_or_default());
    }

    /// SIGKILL, as the system's out-of-memory killer or an impatient operator would.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().unwrap_or_else(|| panic!("{} does not run", self.name));
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

    /// SIGSTOP: it is there, and does nothing.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// A GET.
    ///
    /// # Panics
    /// Where no answer comes.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        Client::new(self.addr()).call(&Request::get(path))
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

impl Drop for Process {
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

/// The address in the one line that says that the process listens.
fn listening_at(line: &Value) -> Option<SocketAddr> {
    let fields = if line["fields"].is_object() { &line["fields"] } else { line };
    (fields["message"] == "listening").then(|| fields["addr"].as_str()?.parse().ok()).flatten()
}
