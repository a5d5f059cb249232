//! What asks a process to stop from outside.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

/// Where signals come from: the operating system, or a test.
pub trait StopSignals {
    /// The next signal's name. Nothing is lost if the future is dropped.
    fn next(&mut self) -> impl Future<Output = &'static str> + Send;
}

/// SIGTERM (orchestrators) and SIGINT (Ctrl-C).
#[derive(Debug)]
pub struct OsSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl OsSignals {
    /// Listens from now on; until then, a signal ends the process. So this comes before anything
    /// that a signal should not cut short.
    ///
    /// # Errors
    /// The system's, where handlers can not be set.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

impl StopSignals for OsSignals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            Some(()) = self.terminate.recv() => "SIGTERM",
            Some(()) = self.interrupt.recv() => "SIGINT",
            else => core::future::pending().await,
        }
    }
}

/// Signals that a program sends to itself. A closed channel sends none.
impl StopSignals for mpsc::Receiver<&'static str> {
    async fn next(&mut self) -> &'static str {
        match self.recv().await {
            Some(name) => name,
            None => core::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_signal_is_told_by_name_instead_of_ending_the_process() {
        let mut signals = OsSignals::listen().unwrap();
        for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM")] {
            kill_process(getpid(), signal).unwrap();
            let came = tokio::time::timeout(Duration::from_secs(10), signals.next()).await.unwrap();
            assert_eq!(came, name);
        }
    }
}
