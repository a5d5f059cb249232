//! A server's directory, and the watchdog that ends the server and removes the directory.
//!
//! A test process can be killed, and statics are never dropped: nothing in the process itself can be trusted to
//! clean up. The kernel's parent death signal would, but it fires when the *thread* that started the child ends,
//! and a test runs on a thread of its own: a server that tests share would die with the first of them. So a
//! small shell reads a pipe of which this process alone holds the other end. When that end closes, for whatever
//! reason, it ends the processes that it was told of and removes the directory.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::{Error, Result};

/// `watch PID SIGNAL` and `forget PID` on standard input; the end of input is the end of this process' parent.
/// CONT: a stopped process sees no signal but KILL. The loop: a server that dies may still write for a moment.
const WATCHDOG: &str = r#"
cd / || exit 1
list=
while read -r word pid signal; do
    case $word in
    watch) list="$list $pid:$signal" ;;
    forget)
        rest=
        for entry in $list; do [ "${entry%:*}" = "$pid" ] || rest="$rest $entry"; done
        list=$rest
        ;;
    esac
done
for entry in $list; do
    kill -s "${entry#*:}" "${entry%:*}"
    kill -s CONT "${entry%:*}"
done
tries=0
until rm -rf "$0" || [ "$tries" = 50 ]; do tries=$((tries + 1)); sleep 0.1; done
"#;

/// How the watchdog ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastSignal {
    /// SIGKILL.
    Kill,
    /// SIGQUIT: Postgres gives its shared memory back and takes its children with it.
    Quit,
}

/// The directory, until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    watchdog: Mutex<Child>,
}

impl Home {
    /// A new directory with its watchdog.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("flk-test-{name}-"))
            .tempdir()
            .map_err(Error::io(|| format!("temporary directory for {name}")))?;
        let watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is sent to the group of the tests; the watchdog must outlive them.
            .process_group(0)
            .spawn()
            .map_err(Error::io(|| "/bin/sh as watchdog"))?;
        Ok(Self { path: dir.keep(), watchdog: Mutex::new(watchdog) })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file or directory in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The process ends with this one.
    pub(crate) fn watch(&self, pid: u32, signal: LastSignal) -> Result<()> {
        self.tell(&format!("watch {pid} {}\n", if signal == LastSignal::Kill { "KILL" } else { "QUIT" }))
    }

    /// The process is about to be reaped: its number may be another's soon.
    pub(crate) fn forget(&self, pid: u32) -> Result<()> {
        self.tell(&format!("forget {pid}\n"))
    }

    fn tell(&self, line: &str) -> Result<()> {
        let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        // Piped at the start and never taken.
        let Some(pipe) = watchdog.stdin.as_mut() else { return Ok(()) };
        pipe.write_all(line.as_bytes()).map_err(Error::io(|| "the watchdog's pipe"))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let watchdog = self.watchdog.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(watchdog.stdin.take());
        // It ends by itself; that it could not be waited for changes nothing.
        let _ = watchdog.wait();
    }
}
