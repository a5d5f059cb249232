//! A server as a child process: started, stopped, paused, and its log.

use std::{
    fmt,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Error, Result,
    home::{Home, LastSignal},
    wait::{Look, SOON, START, until},
};

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Asked to (SIGTERM), and waited for: it brings its things to an end.
    Term,
    /// SIGKILL: it does not know.
    Kill,
}

/// How much of a log is shown where a server ends by itself.
const LAST_LINES: usize = 30;

/// What stands for a running child.
#[derive(Debug)]
struct Running {
    child: Child,
    paused: bool,
}

/// A server that can be started again and again by the same command.
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    last: LastSignal,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    running: Mutex<Option<Running>>,
    // Behind `running`: the watchdog is told of every end before it ends itself.
    home: Arc<Home>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name).field("running", &self.running).finish_non_exhaustive()
    }
}

impl Process {
    /// Not started yet. Its output is appended to `NAME.log` in its home.
    pub(crate) fn new(
        home: &Arc<Home>,
        name: &str,
        last: LastSignal,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Self {
        let log = home.join(&format!("{name}.log"));
        let (name, home) = (name.to_owned(), Arc::clone(home));
        Self { name, log, last, command: Box::new(command), running: Mutex::new(None), home }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where its output is.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Its number, where it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running().as_ref().map(|running| running.child.id())
    }

    /// Whether it runs and is not paused.
    pub(crate) fn serves(&self) -> bool {
        self.running().as_ref().is_some_and(|running| !running.paused)
    }

    /// Starts it; what it is ready for is the caller's to find out.
    pub(crate) fn spawn(&self) -> Result<()> {
        let mut running = self.running();
        if running.is_some() {
            return Err(self.misuse("start", "it runs already: stop it first"));
        }
        let open = || File::options().create(true).append(true).open(&self.log);
        let (out, err) = open()
            .and_then(|out| Ok((out.try_clone()?, out)))
            .map_err(Error::io(|| format!("log file {}", self.log.display())))?;
        let child = (self.command)()
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // Ctrl-C is for the tests; the watchdog then ends what they started.
            .process_group(0)
            .spawn()
            .map_err(Error::io(|| format!("{} can not be started", self.name)))?;
        let watched = self.home.watch(child.id(), self.last);
        *running = Some(Running { child, paused: false });
        watched
    }

    /// Looks until the server is ready; ends at once where the process does.
    pub(crate) fn ready<T>(&self, claim: &str, mut look: impl FnMut() -> Look<T>) -> Result<T> {
        until(&format!("{}: {claim}", self.name), START, || {
            if let Some(status) = self.ended()? {
                return Err(Error::Ended { name: self.name.clone(), status, log: self.last_lines() });
            }
            Ok(look())
        })
    }

    /// How it ended, where it did without being asked to.
    fn ended(&self) -> Result<Option<std::process::ExitStatus>> {
        let mut running = self.running();
        let Some(child) = running.as_mut().map(|running| &mut running.child) else { return Ok(None) };
        let pid = child.id();
        let status = child.try_wait().map_err(Error::io(|| format!("waiting for {}", self.name)))?;
        if status.is_some() {
            *running = None;
            self.home.forget(pid)?;
        }
        Ok(status)
    }

    fn last_lines(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
    }

    /// Stops it and waits until it has ended. One that is paused goes on first, where it is asked.
    pub(crate) fn stop(&self, how: Stop) -> Result<()> {
        match how {
            Stop::Term => self.end_with(&[Signal::TERM, Signal::CONT]),
            Stop::Kill => self.end_with(&[Signal::KILL]),
        }
    }

    /// Sends these and waits until it has ended.
    pub(crate) fn end_with(&self, signals: &[Signal]) -> Result<()> {
        let mut running = self.running();
        let Some(child) = running.as_mut().map(|running| &mut running.child) else {
            return Err(self.misuse("stop", "it does not run: start it first"));
        };
        for signal in signals {
            self.send(child.id(), *signal)?;
        }
        until(&format!("{} ends", self.name), SOON, || {
            let status = child.try_wait().map_err(Error::io(|| format!("waiting for {}", self.name)))?;
            Ok(status.map_or_else(|| Look::Not("it still runs".into()), Look::Found))
        })?;
        let pid = child.id();
        *running = None;
        self.home.forget(pid)
    }

    /// Stops it from doing anything, without its knowledge (SIGSTOP); when this returns it does nothing.
    pub(crate) fn pause(&self) -> Result<()> {
        self.halt(Signal::STOP, true)?;
        self.pid().map_or(Ok(()), stopped)
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn resume(&self) -> Result<()> {
        self.halt(Signal::CONT, false)
    }

    fn halt(&self, signal: Signal, paused: bool) -> Result<()> {
        let mut guard = self.running();
        let Some(running) = guard.as_mut() else {
            return Err(self.misuse("pause or resume", "it does not run: start it first"));
        };
        self.send(running.child.id(), signal)?;
        running.paused = paused;
        Ok(())
    }

    fn send(&self, pid: u32, signal: Signal) -> Result<()> {
        send(pid, signal).map_err(Error::io(|| format!("signal {signal:?} to {}", self.name)))
    }

    fn misuse(&self, what: &str, instead: &'static str) -> Error {
        Error::Use { what: format!("{what} {}", self.name), instead }
    }
}

/// Sends a signal to a process that has not been reaped.
pub(crate) fn send(pid: u32, signal: Signal) -> std::io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("not the number of a process"))?;
    kill_process(pid, signal).map_err(Into::into)
}

/// Waits until a process that was sent SIGSTOP has stopped: on another core it may be at work for a moment. One
/// that has ended does nothing either.
pub(crate) fn stopped(pid: u32) -> Result<()> {
    until(&format!("process {pid} stops"), SOON, || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state is behind the name, which is in brackets and may hold any others.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        Ok(match state {
            Some('T' | 'Z' | 'X') | None => Look::Found(()),
            Some(other) => Look::Not(format!("state {other}")),
        })
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        let signals: &[Signal] = match self.last {
            LastSignal::Kill => &[Signal::KILL],
            LastSignal::Quit => &[Signal::QUIT, Signal::CONT],
        };
        // Where it does not run there is nothing to do; where it can not be ended, the watchdog tries again.
        if self.pid().is_some() {
            let _ = self.end_with(signals);
        }
    }
}
