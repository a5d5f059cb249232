//! The real binary as a child process: started, asked, stopped and killed as an operator would.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Client, DEADLINE, KEY, Request, Response, metrics::Metrics, until, until_some};

/// The binary under test.
///
/// # Panics
/// Where `FLK_BIN` names none.
pub fn flk() -> PathBuf {
    let path = std::env::var_os("FLK_BIN").map(PathBuf::from).filter(|path| path.is_file());
    path.unwrap_or_else(|| panic!("FLK_BIN names the flk binary to test: run `make e2e`, which builds it and says so"))
}

/// A command of the binary, in an empty environment.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(flk());
    command.env_clear().args(args).stdin(Stdio::null());
    command
}

/// Runs a command of the binary to its end.
///
/// # Panics
/// Where it can not be started.
pub fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    command(args).envs(env.iter().copied()).output().unwrap()
}

/// How the service is started.
#[derive(Debug, Clone)]
pub struct Setup {
    dir: PathBuf,
    env: BTreeMap<String, OsString>,
    args: Vec<String>,
    flags: bool,
    soft_files: Option<u64>,
    _temporary: Arc<TempDir>,
}

impl Setup {
    /// In a new data directory; the environment says nothing but the form of the log lines.
    ///
    /// # Panics
    /// Where there is no temporary directory.
    pub fn bare() -> Self {
        let temporary = TempDir::new().unwrap();
        let env = BTreeMap::from([("LOG_FORMAT".to_owned(), "json".into())]);
        let dir = temporary.path().join("data");
        Self { dir, env, args: Vec::new(), flags: true, soft_files: None, _temporary: Arc::new(temporary) }
    }

    /// With HMAC and [`KEY`], and without a limit of the rate.
    pub fn hmac() -> Self {
        Self::bare().env("PCS_SIGN_ALG", "hmac").env("PCS_HMAC_KEY", KEY).env("TOKEN_RATE", "0")
    }

    /// With Ed25519 and this public key.
    pub fn ed25519(public_b64: &str) -> Self {
        Self::bare().env("PCS_SIGN_ALG", "ed25519").env("PCS_ED25519_PUB_B64", public_b64).env("TOKEN_RATE", "0")
    }

    /// With signing off.
    pub fn unsigned() -> Self {
        Self::bare().env("PCS_SIGN_ALG", "none").env("TOKEN_RATE", "0")
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Without an environment variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// With a shared library in front of the system's ([`crate::shim`]).
    #[must_use]
    pub fn preload(self, library: &Path) -> Self {
        self.env("LD_PRELOAD", library)
    }

    /// With an argument behind `serve`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Without the flags that say where to listen and where the data directory is: the environment
    /// does.
    #[must_use]
    pub fn without_flags(mut self) -> Self {
        self.flags = false;
        self
    }

    /// In this data directory.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = dir.to_owned();
        self
    }

    /// With this soft limit of open files, as a login shell would give it.
    #[must_use]
    pub fn soft_files(mut self, files: u64) -> Self {
        self.soft_files = Some(files);
        self
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.dir
    }

    /// A file in the setup's own temporary directory, beside the data directory.
    ///
    /// # Panics
    /// Where it can not be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self._temporary.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The environment, for commands that need the same keys.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &OsString)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Starts the service and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn start(self) -> Service {
        let mut service = Service::new(self);
        service.start();
        service
    }

    /// Starts a service that must refuse to start.
    ///
    /// # Panics
    /// Where it starts.
    #[track_caller]
    pub fn refused(self) -> Refused {
        let mut service = Service::new(self);
        service.launch("127.0.0.1:0");
        service.refusal()
    }

    fn command(&self, listen: &str) -> Command {
        let mut command = match self.soft_files {
            // exec: the process that is started is the service.
            Some(files) => {
                let mut shell = Command::new("/bin/sh");
                shell.env_clear().arg("-c").arg(format!("ulimit -Sn {files} && exec \"$0\" \"$@\"")).arg(flk());
                shell
            }
            None => Command::new(flk()),
        };
        command.env_clear().envs(&self.env).stdin(Stdio::null());
        command.arg("serve");
        if self.flags {
            command.args(["--listen", listen, "--data-dir"]).arg(&self.dir);
        }
        command.args(&self.args);
        command
    }
}

/// How a service that does not start says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The exit code.
    pub code: Option<i32>,
    /// Everything on standard error.
    pub said: String,
}

impl Refused {
    /// Checks that it ended with code 2 and one sentence that has all these words.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn with(&self, words: &[&str]) {
        assert_eq!(self.code, Some(2), "{}", self.said);
        // Log lines may come before it; the sentence is what a person reads last.
        let sentence = self.said.lines().last().unwrap_or_default();
        assert!(sentence.starts_with("flk: "), "{}", self.said);
        assert!(!self.said.contains("panicked"), "{}", self.said);
        for word in words {
            assert!(sentence.contains(word), "{word:?} is not in: {sentence}");
        }
    }
}

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
    fn new(setup: Setup) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let dir = std::env::var_os("FLK_TEST_LOGS").map_or_else(|| setup._temporary.path().join("logs"), PathBuf::from);
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
