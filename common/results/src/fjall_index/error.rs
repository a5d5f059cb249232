//! What is wrong with an index, in words that say what to do.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::directory::FORMAT;
use crate::ResultsError;

/// Why an index can not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// It is not what was written. It is derived: drop it and build it anew.
    #[error("the index is damaged: {0}; it has to be built anew from its log")]
    Damaged(String),
    /// Another version of this program wrote it. It is derived: drop it and build it anew.
    #[error("the index has format {found}, and this program has format {FORMAT}; it has to be built anew from its log")]
    OtherFormat {
        /// The format that was found.
        found: String,
    },
    /// It is about another log. Drop it and build it anew.
    #[error("the index is of log {found}, and the log is {expected}; it has to be built anew")]
    OtherLog {
        /// The log that it is about.
        found: String,
        /// The log that was asked for.
        expected: String,
    },
    /// The partition is there, but what it was made of is not what was asked for. Drop it and build
    /// it anew.
    #[error("the index of a partition is about {found}, and {expected} was asked for; it has to be built anew")]
    OtherPlace {
        /// What it is about.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The partition's process ended while it was loaded. Drop it and load it anew.
    #[error("the index of {0} was not loaded to its end; it has to be built anew")]
    Unfinished(String),
    /// Another process has it open, or this one has.
    #[error("the index in {} is in use by another process; stop that one, or choose another directory", .0.display())]
    InUse(PathBuf),
    /// It can not be read or written now. It may be whole: leave it as it is.
    #[error("the index in {} can not be opened: {why}; see to the directory and start again", directory.display())]
    Unavailable {
        /// Where it is.
        directory: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The name of the partition can not be one.
    #[error("the partition's name {0} is too long: a topic has 249 bytes at the most")]
    BadName(String),
}

impl OpenError {
    /// Whether dropping the index and building it anew is the remedy. Where
    /// [one partition](Self::is_of_one_partition) is to blame, dropping that one is enough.
    pub fn calls_for_reset(&self) -> bool {
        match self {
            Self::Damaged(_)
            | Self::OtherFormat { .. }
            | Self::OtherLog { .. }
            | Self::OtherPlace { .. }
            | Self::Unfinished(_) => true,
            Self::InUse(_) | Self::Unavailable { .. } | Self::BadName(_) => false,
        }
    }

    /// Whether it is about one partition, and the others are as they should be.
    pub fn is_of_one_partition(&self) -> bool {
        matches!(self, Self::OtherPlace { .. } | Self::Unfinished(_))
    }

    pub(super) fn unavailable(directory: &Path, why: &dyn core::fmt::Display) -> Self {
        Self::Unavailable { directory: directory.to_owned(), why: why.to_string() }
    }

    /// What an error of the store is to somebody who opens it.
    pub(super) fn of_store(directory: &Path, error: &fjall::Error) -> Self {
        match error {
            fjall::Error::Locked => Self::InUse(directory.to_owned()),
            error if is_damage(error) => Self::Damaged(error.to_string()),
            error => Self::unavailable(directory, error),
        }
    }
}

impl From<OpenError> for ResultsError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Damaged(what) => Self::Damaged(what),
            OpenError::OtherFormat { .. }
            | OpenError::OtherLog { .. }
            | OpenError::OtherPlace { .. }
            | OpenError::Unfinished(_) => Self::Damaged(error.to_string()),
            OpenError::InUse(_) | OpenError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            OpenError::BadName(_) => Self::Refused(error.to_string()),
        }
    }
}

/// What an error of the store is to somebody who reads or writes it.
pub(super) fn in_use(error: &fjall::Error) -> ResultsError {
    match error {
        fjall::Error::Poisoned => ResultsError::Unavailable(
            "an earlier write of the index failed (is the disk full?); open it anew once that is mended".into(),
        ),
        error if is_damage(error) => ResultsError::Damaged(error.to_string()),
        error => ResultsError::Unavailable(error.to_string()),
    }
}

/// Whether an error says that what is stored is not what was written: then it never mends itself,
/// while a full disk or too many open files do.
fn is_damage(error: &fjall::Error) -> bool {
    use fjall::{Error, LsmError};
    match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => matches!(
            error.kind(),
            // Files that should be there and are not, are there and should not be, or end too early.
            io::ErrorKind::NotFound
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
        ),
        Error::Poisoned | Error::KeyspaceDeleted | Error::Locked => false,
        // Checksums, versions, tags, trailers, journals; and whatever the store learns to say later:
        // to build an index anew that is whole costs time, to use one that is not costs answers.
        _ => true,
    }
}
