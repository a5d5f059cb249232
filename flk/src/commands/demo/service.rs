//! The service under demonstration: this binary, as a process of its own.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use flk_service::settings::definitions;
use serde_json::Value;

use super::plan::{Keys, Record};
use crate::{Failure, http};

/// How long the service may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running service. Killed when dropped.
pub(super) struct Service {
    child: Child,
    url: String,
}

fn command(keys: &Keys) -> Result<Command, Failure> {
    let binary = std::env::current_exe().map_err(|error| Failure::failed(format!("where is flk? {error}")))?;
    let mut command = Command::new(binary);
    // Settings of another service would change what the demonstration shows.
    for setting in definitions::ALL {
        command.env_remove(setting.name).env_remove(format!("{}_FILE", setting.name));
    }
    command
        .env("PCS_SIGN_ALG", "hmac,ed25519")
        .env("PCS_HMAC_KEY", &keys.hmac)
        .env("PCS_ED25519_PUB_B64", &keys.ed25519_public)
        .env("LOG_FORMAT", "json")
        .stdin(Stdio::null());
    Ok(command)
}

impl Service {
    /// Starts it on a free port, and waits until it takes records.
    pub(super) fn start(dir: &Path, keys: &Keys) -> Result<Self, Failure> {
        let data = dir.join("data");
        let mut child = command(keys)?
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .env("TOKEN_RATE", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::failed(format!("the service can not be started: {error}")))?;
        let (tell, told) = mpsc::channel();
        let log = File::create(dir.join("service.log")).ok();
        if let Some(stderr) = child.stderr.take() {
            // Reads to the end, so that the service never waits for its reader; ends with it.
            std::thread::spawn(move || {
                let mut log = log;
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if let Some(address) = address(&line) {
                        let _ = tell.send(address);
                    }
                    if let Some(log) = &mut log {
                        let _ = std::io::Write::write_all(log, format!("{line}\n").as_bytes());
                    }
                }
            });
        }
        let address = told.recv_timeout(PATIENCE).map_err(|_| {
            let log = std::fs::read_to_string(dir.join("service.log")).unwrap_or_default();
            Failure::failed(format!("the service does not listen; it said: {}", log.trim()))
        });
        let mut service = Self { child, url: String::new() };
        service.url = format!("http://{}", address?);
        let client = client();
        let deadline = Instant::now() + PATIENCE;
        while !matches!(get(&client, &format!("{}/readyz", service.url)), Some((200, _))) {
            if Instant::now() >= deadline {
                return Err(Failure::failed("the service does not become ready"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(service)
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// SIGKILL: what a power cut looks like to a process.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, as an operator stops it; it has to end well.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(Failure::failed(format!("SIGTERM ended the service with {status}"))),
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(Failure::failed(error)),
            }
        }
        Err(Failure::failed("the service does not stop on SIGTERM"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address that the service says it listens on, if this line of its log says so.
fn address(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    if fields.get("message")?.as_str()? != "listening" {
        return None;
    }
    Some(fields.get("addr")?.as_str()?.to_owned())
}

pub(super) fn client() -> ureq::Agent {
    http::agent(DEADLINE, 1, http::Via::Direct)
}

/// The answer to a record; `None` where there was none.
pub(super) fn post(client: &ureq::Agent, url: &str, record: &Record) -> Option<(u16, Value)> {
    let answer = client.post(format!("{url}/v1/pcs/submit")).send(&record.body[..]).ok()?;
    read(answer)
}

/// The answer to a question; `None` where there was none.
pub(super) fn get(client: &ureq::Agent, url: &str) -> Option<(u16, Value)> {
    read(client.get(url).call().ok()?)
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> Option<(u16, Value)> {
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

/// Whether every stored result is judged the same again, from the log alone.
pub(super) fn replay_verify(dir: &Path, keys: &Keys) -> Result<bool, Failure> {
    let done = command(keys)?
        .args(["replay", "--verify", "--data-dir"])
        .arg(dir.join("data"))
        .output()
        .map_err(|error| Failure::failed(format!("flk replay can not be run: {error}")))?;
    Ok(done.status.success())
}
