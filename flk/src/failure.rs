//! How a command fails: one plain sentence on standard error, and an exit code that scripts can
//! tell apart.

use std::{fmt::Display, io, process::ExitCode};

use flk_service::settings::SettingsError;

use crate::output::{self, style};

/// Why a command did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The command line, the environment or a setting has to be changed first. Exit code 2.
    #[error("{0}")]
    Mistake(String),
    /// It was tried, and failed, or the answer is no. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Whoever read the output has stopped reading, as `head` does. Nothing is said; the exit code
    /// is 141, as a shell reports a process that SIGPIPE ended.
    #[error("the output is not read any longer")]
    ReaderGone,
}

impl Failure {
    /// The operator has to change something: say what, and to what.
    pub fn mistake(sentence: impl Display) -> Self {
        Self::Mistake(sentence.to_string())
    }

    /// It did not work, or the answer is no.
    pub fn failed(sentence: impl Display) -> Self {
        Self::Failed(sentence.to_string())
    }

    /// The output could not be written.
    pub fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(format!("the output can not be written: {error}")),
        }
    }

    /// The exit code that goes with it.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Mistake(_) => 2,
            Self::Failed(_) => 1,
            Self::ReaderGone => 141,
        }
    }

    /// Says it on standard error, and gives the exit code.
    pub fn tell(&self) -> ExitCode {
        if *self != Self::ReaderGone {
            let sentence = output::printable(&self.to_string()).into_owned();
            output::note(|err| writeln!(err, "{}flk:{:#} {sentence}", style::BAD, style::BAD));
        }
        ExitCode::from(self.code())
    }
}

/// A setting has to be changed, and its sentence says to what.
impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::mistake(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_goes_away_is_no_error_to_speak_of() {
        assert_eq!(Failure::output(io::ErrorKind::BrokenPipe.into()), Failure::ReaderGone);
        assert_eq!(Failure::output(io::ErrorKind::StorageFull.into()).code(), 1);
    }
}
