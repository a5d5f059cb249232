//! The servers under load: the service itself, and the same HTTP stack answering a constant.

use core::time::Duration;
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use axum::{Router, body::Bytes, routing::post};
use flk_ingest::Limits;
use flk_service::Metrics;
use tokio_util::sync::CancellationToken;

use crate::{Failure, records};

/// The argument that makes this program the constant server.
pub(crate) const CONSTANT: &str = "constant";

/// As long as the answer of the service is.
const ANSWER: &str = r#"{"pcs_id":"0000000000000000000000000000000000000000000000000000000000000000","tenant":"default","status":200,"accepted":true,"escalated":false,"code":"ok","reason":"","D_hat":1.125530882,"recomputed_D_hat":1.125530882,"recomputed_budget":0.334,"regime":"mixed","payload_sha256":"0000000000000000000000000000000000000000000000000000000000000000","content_sha256":"0000000000000000000000000000000000000000000000000000000000000000","key_id":"0000000000000000","signed":"content","contract":"0.1","origin":{"log":"00000000000000000000000000000000","topic":"pcs.raw","partition":0,"offset":100000,"appended_at":"2026-01-01T00:00:00.000Z"},"duplicate":false,"conflict":false,"wal":{"log":"00000000000000000000000000000000","topic":"pcs.raw","partition":0,"offset":100000,"appended_at":"2026-01-01T00:00:00.000Z"}}"#;

/// A server as a process of its own. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
}

impl Server {
    /// The service, on a new directory.
    pub(crate) fn service(dir: &Path) -> Result<Self, Failure> {
        let data = dir.display().to_string();
        Self::start(&["serve", "--data-dir", &data], &[], dir)
    }

    /// A command of the binary that listens, with its log in that directory.
    pub(crate) fn start(args: &[&str], env: &[(&str, &str)], dir: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(dir)?;
        let log = dir.join("service.log");
        let file = File::options().create(true).append(true).open(&log)?;
        let said = file.metadata()?.len();
        let child = Command::new(binary()?)
            .args(args)
            .args(["--listen", "127.0.0.1:0"])
            .env("PCS_SIGN_ALG", "hmac")
            .env("PCS_HMAC_KEY", records::KEY)
            .env("TOKEN_RATE", "0")
            .env("LOG_FORMAT", "json")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()?;
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut server = Self { child, addr: SocketAddr::from(([127, 0, 0, 1], 0)) };
        loop {
            let mut text = String::new();
            let mut reader = File::open(&log)?;
            reader.seek(SeekFrom::Start(said))?;
            reader.read_to_string(&mut text)?;
            if let Some(addr) = text.lines().find_map(listening) {
                server.addr = addr;
                return Ok(server);
            }
            if Instant::now() > deadline || server.child.try_wait()?.is_some() {
                return Err(format!("the service does not listen; it said: {text}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The HTTP stack of the service, answering a constant.
    pub(crate) fn constant() -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?).arg(CONSTANT).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let addr = line.trim().parse()?;
        Ok(Self { child, addr })
    }

    /// Processor time that it has used, in seconds. Unlike a rate, it says little of what else the
    /// machine was doing.
    pub(crate) fn processor(&self) -> f64 {
        // Fields 14 and 15, in hundredths of a second; the name before them may hold spaces.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// Memory that it has used at the most, in MiB.
    #[cfg(feature = "kafka")]
    pub(crate) fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = most.and_then(|most| most.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    }

    /// Waits until it is ready.
    #[cfg(feature = "kafka")]
    pub(crate) fn ready(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut answer = String::new();
            let asked = std::net::TcpStream::connect(self.addr).and_then(|mut stream| {
                std::io::Write::write_all(
                    &mut stream,
                    b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n",
                )?;
                stream.read_to_string(&mut answer)
            });
            if asked.is_ok() && answer.starts_with("HTTP/1.1 200") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("it is not ready: {answer}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    (fields.get("message")?.as_str()? == "listening").then_some(())?;
    fields.get("addr")?.as_str()?.parse().ok()
}

/// The release binary beside this one, or the one that `FLK_BIN` names.
fn binary() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("FLK_BIN") {
        return Ok(path.into());
    }
    let beside = std::env::current_exe()?.with_file_name("flk");
    if beside.exists() {
        Ok(beside)
    } else {
        Err(format!("{} is missing; build it first: cargo build --release -p flk", beside.display()).into())
    }
}

/// Serves the constant until it is killed.
pub(crate) fn constant() -> Result<(), Failure> {
    // Reads the body, as the service has to, and nothing else.
    let router = Router::new().route("/v1/pcs/submit", post(|_: Bytes| async { ANSWER }));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        crate::say(&listener.local_addr()?.to_string());
        let stop = CancellationToken::new();
        flk_ingest::serve(listener, router, Metrics::new(), Limits::default(), stop).await;
        Ok(())
    })
}
