//! What can go wrong, and what to do about it.

use std::{io, process::ExitStatus, time::Duration};

/// What every operation of this crate gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server is not there, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program or its files are not on this machine.
    #[error("{what} is not installed: run `make setup-servers`, or {how}")]
    Missing {
        /// What was looked for, and where.
        what: String,
        /// How to install it by hand.
        how: &'static str,
    },
    /// The process ended although nobody asked it to.
    #[error("{name} ended by itself ({status}); the end of its log says:\n{log}")]
    Ended {
        /// Which server.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// What was waited for did not come in time.
    #[error("{claim}: not within {within:?}; last seen: {seen}")]
    Late {
        /// What was waited for.
        claim: String,
        /// How long.
        within: Duration,
        /// What was seen instead.
        seen: String,
    },
    /// An operation of the system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command ended with another code than 0.
    #[error("{command} ended with {status}: {said}")]
    Command {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        said: String,
    },
    /// A server's answer is not what its protocol says.
    #[error("{from}: expected {expected}, got {came}")]
    Answer {
        /// Who answered.
        from: String,
        /// What was expected.
        expected: &'static str,
        /// What came.
        came: String,
    },
    /// What was asked for makes no sense, or not in this state.
    #[error("{what}: {instead}")]
    Use {
        /// What was asked for.
        what: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// The server that the tests share could not be started, as the first of them was told.
    #[error("the shared {name}: {error}")]
    Shared {
        /// Which.
        name: String,
        /// What the first one was told.
        error: String,
    },
    /// A certificate could not be made.
    #[error("certificate for {name}: {source}")]
    Certificate {
        /// Whose.
        name: String,
        /// What the generator said.
        source: rcgen::Error,
    },
}

impl Error {
    /// For `map_err`: says what was tried.
    pub(crate) fn io<W: Into<String>>(what: impl FnOnce() -> W) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what: what().into(), source }
    }
}
