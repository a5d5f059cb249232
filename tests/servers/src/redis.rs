//! Redis: a server that keeps what it was told through a kill, with replicas, TLS and ACL users where asked for.

mod resp;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

pub use resp::Reply;

use crate::{
    Authority, Error, Proxy, Result, Stop,
    home::{Home, LastSignal},
    install,
    port::Port,
    process::Process,
    tls::Identity,
    wait::{Look, SOON, until},
};

/// The user as which this crate gives its commands where there is an ACL.
const HARNESS: &str = "flk-servers";

/// TLS, on a port beside the one without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisTls {
    /// None.
    #[default]
    Off,
    /// The server shows a certificate.
    Server,
    /// The client must show one too.
    Mutual,
}

/// How a Redis is started; the default is a plain one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisOptions {
    /// Lines of an ACL file, such as `user sink on >secret ~flk:* +@all`. Without one that says `user default`,
    /// commands without a log-in go on to be allowed.
    pub acl: Vec<String>,
    /// Whether there is a port with TLS.
    pub tls: RedisTls,
    /// Further settings, such as `("maxmemory", "4mb")`; they win over this crate's own.
    pub settings: Vec<(String, String)>,
}

/// A server of its own; dropped, its process ends and its data is removed.
///
/// It writes every command to a file before it answers (and does not wait for the disk), so a restart or a kill
/// loses nothing that was answered; [`Redis::restart_empty`] loses everything.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: Port,
    tls: Option<(Port, Authority)>,
    login: Option<String>,
    options: RedisOptions,
    home: Arc<Home>,
}

impl Redis {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// Where redis-server is not installed ([`Error::Missing`] says how to), or it does not become ready.
    pub fn start(options: &RedisOptions) -> Result<Self> {
        let redis = Self::prepare(options, None)?;
        redis.restarted()?;
        Ok(redis)
    }

    fn prepare(options: &RedisOptions, primary: Option<(SocketAddr, Option<&str>)>) -> Result<Self> {
        let server = install::program("redis-server", "install Debian's package redis-server")?;
        let home = Arc::new(Home::new("redis")?);
        let port = Port::choose()?;
        let data = home.join("data");
        fs::create_dir_all(&data).map_err(Error::io(|| format!("directory {}", data.display())))?;
        // Only this machine comes near it; the password keeps tests from using this user by accident.
        let login = (!options.acl.is_empty()).then(|| crate::unique("harness"));
        let tls = match options.tls {
            RedisTls::Off => None,
            RedisTls::Server | RedisTls::Mutual => Some((Port::choose()?, Authority::new(&home.join("tls"))?)),
        };
        let mut config = vec![
            ("bind", "127.0.0.1".to_owned()),
            ("port", port.number().to_string()),
            ("dir", data.display().to_string()),
            ("save", "\"\"".to_owned()),
            ("appendonly", "yes".to_owned()),
            // A replica notices in a second that its primary is gone, and one that comes is served at once.
            ("repl-ping-replica-period", "1".to_owned()),
            ("repl-diskless-sync-delay", "0".to_owned()),
        ];
        if let Some((tls_port, authority)) = &tls {
            let Identity { cert, key } = authority.server("redis")?;
            config.extend([
                ("tls-port", tls_port.number().to_string()),
                ("tls-cert-file", cert.display().to_string()),
                ("tls-key-file", key.display().to_string()),
                ("tls-ca-cert-file", authority.ca().display().to_string()),
                ("tls-auth-clients", if options.tls == RedisTls::Mutual { "yes" } else { "no" }.to_owned()),
            ]);
        }
        if let Some(password) = &login {
            config.push(("aclfile", write_acl(&home, &options.acl, password)?.display().to_string()));
        }
        if let Some((primary, password)) = primary {
            config.push(("replicaof", format!("{} {}", primary.ip(), primary.port())));
            if let Some(password) = password {
                config.extend([("masteruser", HARNESS.to_owned()), ("masterauth", password.to_owned())]);
            }
        }
        config.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let text: String = config.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        let path = home.join("redis.conf");
        fs::write(&path, text).map_err(Error::io(|| format!("file {}", path.display())))?;
        let process = Process::new(&home, "redis", LastSignal::Kill, move || {
            let mut command = Command::new(&server);
            command.arg(&path);
            command
        });
        Ok(Self { process, port, tls, login, options: options.clone(), home })
    }

    fn restarted(&self) -> Result<()> {
        self.process.spawn()?;
        // It says LOADING while it reads its data.
        self.process.ready("answers", || match self.call(&["PING"]) {
            Ok(Reply::Simple(_)) => Look::Found(()),
            Ok(other) => Look::Not(format!("{other:?}")),
            Err(error) => Look::Not(error.to_string()),
        })
    }

    /// A replica of this, with the same options, once it holds what this holds.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn replica(&self) -> Result<Replica> {
        let link = Proxy::start(self.addr())?;
        let redis = Self::prepare(&self.options, Some((link.addr(), self.login.as_deref())))?;
        redis.restarted()?;
        let replica = Replica { redis, link };
        replica.follows()?;
        Ok(replica)
    }

    /// Where it listens, without TLS.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// `redis://127.0.0.1:PORT`; with an ACL, put the user before the host.
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// `rediss://127.0.0.1:PORT`.
    ///
    /// # Errors
    /// Where [`RedisOptions::tls`] did not ask for it.
    pub fn tls_url(&self) -> Result<String> {
        let (port, _) = self.tls.as_ref().ok_or_else(no_tls)?;
        Ok(format!("rediss://{}", port.addr()))
    }

    /// The authority that signed the server's certificate, and that signs clients'.
    ///
    /// # Errors
    /// Where [`RedisOptions::tls`] did not ask for it.
    pub fn authority(&self) -> Result<&Authority> {
        self.tls.as_ref().map(|(_, authority)| authority).ok_or_else(no_tls)
    }

    /// Gives a command, with every right, and gives what is answered; an answer that is an error is an answer.
    ///
    /// # Errors
    /// Where nothing, or nothing that is Redis', is answered.
    pub fn call(&self, args: &[&str]) -> Result<Reply> {
        resp::call(self.addr(), self.login.as_deref().map(|password| (HARNESS, password)), args)
    }

    /// Forgets everything (FLUSHALL).
    ///
    /// # Errors
    /// Where it does not do so.
    pub fn flush(&self) -> Result<()> {
        self.call(&["FLUSHALL", "SYNC"])?.ok("FLUSHALL")
    }

    /// Stops it.
    ///
    /// # Errors
    /// Where it does not run, or does not end.
    pub fn stop(&self, how: Stop) -> Result<()> {
        self.process.stop(how)
    }

    /// Starts it again after a stop, at its address and with its data.
    ///
    /// # Errors
    /// Where it runs, or does not become ready.
    pub fn start_again(&self) -> Result<()> {
        self.restarted()
    }

    /// Kills it, where it runs, and starts it with its data.
    ///
    /// # Errors
    /// Where it does not become ready.
    pub fn restart(&self) -> Result<()> {
        self.end()?;
        self.restarted()
    }

    /// Kills it, where it runs, and starts it without its data: as a server does that kept nothing on disk.
    ///
    /// # Errors
    /// Where it does not become ready.
    pub fn restart_empty(&self) -> Result<()> {
        self.end()?;
        let data = self.home.join("data");
        fs::remove_dir_all(&data)
            .and_then(|()| fs::create_dir_all(&data))
            .map_err(Error::io(|| format!("directory {}", data.display())))?;
        self.restarted()
    }

    fn end(&self) -> Result<()> {
        if self.process.pid().is_some() { self.process.stop(Stop::Kill) } else { Ok(()) }
    }

    /// Stops it from doing anything (SIGSTOP); its connections stay open.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// The number of its process, where it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// The file with its log.
    pub fn log(&self) -> &Path {
        self.process.log()
    }
}

/// A replica, behind a proxy of its own to its primary.
///
/// A fail-over to a replica that lags: `link().stall(Direction::Both)`, write to the primary, stop the primary
/// with [`Stop::Kill`], `promote()`: the write is gone.
#[derive(Debug)]
pub struct Replica {
    redis: Redis,
    link: Proxy,
}

impl Replica {
    /// The replica as a server.
    pub const fn redis(&self) -> &Redis {
        &self.redis
    }

    /// The way by which it follows: stalled, it lags; cut and refused, it is alone.
    pub const fn link(&self) -> &Proxy {
        &self.link
    }

    /// Waits until it follows its primary and holds all that the primary held at the call.
    ///
    /// # Errors
    /// Where it does not in time.
    pub fn follows(&self) -> Result<()> {
        until("the replica follows its primary", SOON, || {
            Ok(match self.redis.call(&["INFO", "replication"]) {
                Ok(reply) => {
                    let text = reply.text();
                    let is = |line: &str| text.lines().any(|found| found == line);
                    if is("master_link_status:up") && is("master_sync_in_progress:0") {
                        Look::Found(())
                    } else {
                        Look::Not(text)
                    }
                }
                Err(error) => Look::Not(error.to_string()),
            })
        })
    }

    /// Makes it a primary: what it has not got by now it never gets.
    ///
    /// # Errors
    /// Where it does not become one.
    pub fn promote(&self) -> Result<()> {
        self.link.cut();
        self.redis.call(&["REPLICAOF", "NO", "ONE"])?.ok("REPLICAOF NO ONE")?;
        self.link.refuse()
    }
}

/// Waits until a server of somebody else answers; one that asks for a password does so too.
pub(crate) fn answers(addr: &str) -> Result<()> {
    until(&format!("Redis at {addr} answers"), SOON, || Ok(resp::call(addr, None, &["PING"]).map(drop).into()))
}

fn write_acl(home: &Home, lines: &[String], password: &str) -> Result<PathBuf> {
    let path = home.join("users.acl");
    let mut text = format!("user {HARNESS} on >{password} ~* &* +@all\n");
    if !lines.iter().any(|line| line.starts_with("user default ")) {
        text += "user default on nopass ~* &* +@all\n";
    }
    for line in lines {
        text += line;
        text.push('\n');
    }
    fs::write(&path, text).map_err(Error::io(|| format!("file {}", path.display())))?;
    Ok(path)
}

fn no_tls() -> Error {
    Error::Use {
        what: "TLS to Redis".into(),
        instead: "ask for it at the start: RedisOptions { tls: RedisTls::Server, .. }",
    }
}
