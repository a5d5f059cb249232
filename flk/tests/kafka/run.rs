//! Runs the real binary in an environment that holds nothing of the surroundings, to its end or beside the test.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a command is told about a Kafka of one broker.
pub(crate) fn environment(brokers: &str, prefix: &str) -> Vec<(&'static str, String)> {
    let few = |name| (name, "2".to_owned());
    vec![
        ("KAFKA_BROKERS", brokers.to_owned()),
        ("KAFKA_TOPIC_PREFIX", prefix.to_owned()),
        ("KAFKA_REPLICATION", "1".to_owned()),
        few("KAFKA_PARTITIONS"),
        few("KAFKA_RAW_PARTITIONS"),
        few("KAFKA_REPLIES_PARTITIONS"),
    ]
}

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", self.stdout, self.stderr))
    }
}

fn command(args: &[&str], env: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flk"));
    command.args(args).env_clear().envs(env.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
    command
}

/// One run, to its end.
pub(crate) fn flk(args: &[&str], env: &[(&str, String)]) -> Ran {
    let output = command(args, env).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Waits until something is there.
pub(crate) fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process beside the test; killed when dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    url: String,
    _dir: TempDir,
}

impl Running {
    /// Starts it on a free port, in a directory of its own, and waits until it listens.
    pub(crate) fn start(command_name: &str, env: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = command(&[command_name, "--listen", "127.0.0.1:0"], env);
        command.current_dir(dir.path()).env("LOG_FORMAT", "json");
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut running = Self { child, log, url: String::new(), _dir: dir };
        let addr = until("it listens", || {
            assert_eq!(running.child.try_wait().unwrap(), None, "{}", running.said());
            running.lines().iter().find_map(|line| line["fields"]["addr"].as_str().map(str::to_owned))
        });
        running.url = format!("http://{addr}");
        running
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        let lines = self.said();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .map(|line| if line["fields"].is_object() { line } else { serde_json::json!({ "fields": line }) })
            .collect()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(format!("{}{path}", self.url)).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        until("it ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
