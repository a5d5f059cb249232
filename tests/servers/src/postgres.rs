//! Postgres: one server with one database and one user, who logs in with a password.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    Error, Result, Stop,
    home::{Home, LastSignal},
    install,
    port::Port,
    process::{Process, send, stopped},
    wait::{Look, SOON, until},
};

/// The user and, without a name of its own, the database.
const USER: &str = "flk";

/// For one answer of an idle server.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a test wants otherwise than by default: no socket outside of its directory, and no waiting for the disk,
/// which a kill of the process does not need.
const QUICK: [&str; 4] = ["unix_socket_directories=", "fsync=off", "shared_buffers=16MB", "listen_addresses=127.0.0.1"];

/// A server of its own; dropped, its processes end and its data is removed.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: Port,
    password: String,
    bin: PathBuf,
    home: Arc<Home>,
}

impl Postgres {
    /// Starts a server, with further settings such as `("max_connections", "10")`, and waits until it answers.
    ///
    /// # Errors
    /// Where Postgres is not installed ([`Error::Missing`] says how to), or it does not become ready.
    pub fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let bin = install::postgres_bin()?;
        let user = User::of_servers()?;
        let home = Arc::new(Home::new("postgres")?);
        let port = Port::choose()?;
        let password = crate::unique("pw");
        let (data, secret) = (home.join("data"), home.join("password"));
        fs::write(&secret, &password).map_err(Error::io(|| format!("file {}", secret.display())))?;
        user.owns(&[home.path(), &secret])?;
        let initdb = user.command(&bin.join("initdb"), |command| {
            command.arg("--pgdata").arg(&data).arg("--pwfile").arg(&secret);
            command.args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]);
            command.args(["--no-sync", "--no-instructions"]);
        });
        run(initdb, "initdb")?;
        let mut settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        settings.splice(0..0, QUICK.map(str::to_owned));
        let (server, number) = (bin.join("postgres"), port.number().to_string());
        let process = Process::new(&home, "postgres", LastSignal::Quit, move || {
            user.command(&server, |command| {
                command.arg("-D").arg(&data).args(["-p", &number]);
                command.args(settings.iter().flat_map(|setting| ["-c", setting]));
            })
        });
        let postgres = Self { process, port, password, bin, home };
        postgres.start_again()?;
        postgres.query_in("postgres", &format!("CREATE DATABASE {USER}"))?;
        Ok(postgres)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE`.
    pub fn url(&self) -> String {
        self.url_at(self.addr())
    }

    /// The same by another address, that of a proxy.
    pub fn url_at(&self, addr: SocketAddr) -> String {
        format!("postgres://{USER}:{}@{addr}/{USER}", self.password)
    }

    /// Runs SQL with `psql` and gives its rows, a line each, with `|` between columns.
    ///
    /// # Errors
    /// Where the server or the SQL fails.
    pub fn query(&self, sql: &str) -> Result<String> {
        self.query_in(USER, sql)
    }

    fn query_in(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER])
            .args(["-p", &self.port.number().to_string(), "-d", database, "-c", sql])
            .env("PGPASSWORD", &self.password)
            .env("PGCONNECT_TIMEOUT", "5")
            .current_dir(self.home.path());
        run(psql, "psql")
    }

    /// Stops it. Asked to ([`Stop::Term`]), it closes connections and writes everything down first (its fast
    /// shutdown).
    ///
    /// # Errors
    /// Where it does not run, or does not end.
    pub fn stop(&self, how: Stop) -> Result<()> {
        match how {
            // To Postgres, TERM is to wait until clients have gone.
            Stop::Term => {
                self.resume()?;
                self.process.end_with(&[Signal::INT])
            }
            Stop::Kill => {
                // Its children see that it is gone and follow; stopped ones would hold the data directory.
                self.resume()?;
                let children = self.children();
                self.process.stop(how)?;
                until("Postgres' children end", SOON, || {
                    let left: Vec<_> = children.iter().filter(|pid| is_postgres(**pid)).collect();
                    Ok(if left.is_empty() { Look::Found(()) } else { Look::Not(format!("{left:?} still run")) })
                })
            }
        }
    }

    /// Starts it again after a stop, at its address and with its data.
    ///
    /// # Errors
    /// Where it runs, or does not become ready.
    pub fn start_again(&self) -> Result<()> {
        self.process.spawn()?;
        self.process.ready("answers", || knock(self.addr()).into())
    }

    /// Stops it and every connection's process from doing anything (SIGSTOP); connections stay open.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pause(&self) -> Result<()> {
        // First the one that makes the others.
        self.process.pause()?;
        self.signal_children(Signal::STOP);
        self.children().into_iter().try_for_each(stopped)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal_children(Signal::CONT);
        self.process.resume()
    }

    fn signal_children(&self, signal: Signal) {
        for child in self.children() {
            // One that has ended since is as good.
            let _ = send(child, signal);
        }
    }

    fn children(&self) -> Vec<u32> {
        let Some(pid) = self.process.pid() else { return Vec::new() };
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// The number of its first process, where it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// The file with its log.
    pub fn log(&self) -> &Path {
        self.process.log()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Children that are stopped would not hear that their parent ends. Where nothing runs, nothing is to do.
        let _ = self.resume();
    }
}

/// As whom Postgres runs: it refuses to be root.
#[derive(Debug, Clone)]
struct User(Option<(u32, u32, PathBuf)>);

impl User {
    fn of_servers() -> Result<Self> {
        if !rustix::process::getuid().is_root() {
            return Ok(Self(None));
        }
        let setpriv = install::program("setpriv", "install Debian's package util-linux")?;
        let (user, group) = install::unprivileged()?;
        Ok(Self(Some((user, group, setpriv))))
    }

    fn owns(&self, paths: &[&Path]) -> Result<()> {
        let Some((user, group, _)) = self.0 else { return Ok(()) };
        paths.iter().try_for_each(|path| {
            chown(path, Some(user), Some(group)).map_err(Error::io(|| format!("owner of {}", path.display())))
        })
    }

    /// A command of this user. setpriv becomes the program, so a signal to it reaches the program.
    fn command(&self, program: &Path, args: impl FnOnce(&mut Command)) -> Command {
        let mut command = match &self.0 {
            None => Command::new(program),
            Some((user, group, setpriv)) => {
                let mut command = Command::new(setpriv);
                command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into()]);
                command.arg("--").arg(program);
                command
            }
        };
        args(&mut command);
        // The directory of the tests may be one that the user may not enter; messages are looked at by programs.
        command.current_dir("/").env("LC_ALL", "C").env_remove("PGDATA");
        command
    }
}

fn run(mut command: Command, name: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(Error::io(|| format!("{name} can not be started")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    Err(Error::Command { command: name.to_owned(), status: output.status, said })
}

fn is_postgres(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "postgres")
}

/// Waits until a server of somebody else answers; to be refused is an answer, to be told to wait is not.
pub(crate) fn answers(addr: &str) -> Result<()> {
    until(&format!("Postgres at {addr} answers"), SOON, || Ok(knock(addr).into()))
}

/// Begins to log in, and looks whether it is asked for the password.
fn knock(addr: impl ToSocketAddrs) -> io::Result<()> {
    let addr = addr.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Protocol 3.0, then pairs of names and values.
    let body = format!("\0\x03\0\0user\0{USER}\0database\0postgres\0\0");
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    match kind {
        b'R' => Ok(()),
        b'E' => {
            let length = u64::from(u32::from_be_bytes(length).saturating_sub(4)).min(64 << 10);
            let mut said = Vec::new();
            stream.take(length).read_to_end(&mut said)?;
            let said = String::from_utf8_lossy(&said).replace('\0', " ");
            // cannot_connect_now: it is starting, stopping or recovering.
            if said.contains("C57P03") { Err(io::Error::other(said)) } else { Ok(()) }
        }
        other => Err(io::Error::other(format!("not an answer of Postgres: it begins with byte {other}"))),
    }
}
