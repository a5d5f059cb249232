//! Settings of a service (contract section 7), in two steps: [`Raw`] is what the command line said;
//! [`Settings`] is what holds, made once of that and the environment, with usable types only and
//! every rule between settings checked. Whoever has [`Settings`] has nothing left to check.
//!
//! One room a question: [`definitions`] says which settings there are, `role` which of them a command
//! has, `raw` what clap makes of them, `source` where a value comes from, `values` what it looks like,
//! `signing` and `keys_file` which keys hold, `kafka` and `read_side` where the log and the results are,
//! [`table`] what is in force. Nothing in here opens a port or a directory.

mod definition;
pub mod definitions;
mod kafka;
mod keys_file;
mod load;
mod raw;
mod read_side;
mod reader;
mod role;
mod secret;
mod signing;
mod source;
pub mod table;
mod values;

use core::{net::SocketAddr, time::Duration};
use std::{ffi::OsString, path::PathBuf};

use flk_contract::{Keyring, Signing};

use crate::{lifecycle::Deadlines, telemetry::Logging};
use reader::Reader;
use source::Given;

pub use kafka::{Kafka, Layout};
pub use raw::{Flags, Raw};
pub use read_side::{ReadSide, Redis, Store};
pub use role::{
    DataDirOnly, Everything, IngestOnly, JudgingOnly, OfRole, ReplayOnly, RetentionOnly, Role, SinkOnly, TopicsOnly,
    VerifierOnly, Which,
};
pub use secret::Secret;
pub use source::{Source, from_env};
pub use table::reference_markdown;

/// A setting that has to be changed before anything can start: one sentence, which names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct SettingsError {
    /// The setting's name in the environment.
    pub setting: String,
    /// What was expected, what came, and what to do. Quotes no secret.
    pub sentence: String,
}

impl SettingsError {
    pub(crate) fn new(setting: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { setting: setting.into(), sentence: sentence.into() }
    }
}

/// How much is taken on at a time, and how long clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Records a second, in bursts of up to twice that; 0 is no limit.
    pub token_rate: u32,
    /// Connections open at a time, at least 1.
    pub connections: usize,
    /// Submissions in flight, at least 1.
    pub requests: usize,
    /// Bytes of bodies in flight, at least one largest body.
    pub bytes: usize,
    /// How long the body of a request may take.
    pub body_read: Duration,
}

/// Who may read the metrics.
#[derive(Debug, Clone)]
pub struct BasicAuth {
    /// The user: without a colon.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// What every process has, whatever it does.
#[derive(Debug, Clone)]
pub struct Process {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// How long the header of a request may take, idle time included.
    pub header_read: Duration,
    /// How long stopping may take.
    pub deadlines: Deadlines,
    /// Who may read the metrics; `None` is everybody.
    pub metrics_auth: Option<BasicAuth>,
    /// What is logged, and how.
    pub logging: Logging,
}

/// What signatures are judged by.
#[derive(Debug, Clone)]
pub struct Signatures {
    /// Which signatures are taken.
    pub signing: Signing,
    /// The keys; there is one of every algorithm that is taken.
    pub keys: Keyring,
}

/// A service on a log of its own.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// The directory of the log and its index.
    pub data_dir: PathBuf,
    /// How long records are kept: at least as long as a result stands.
    pub retention: Duration,
    /// Records that wait for the log's writer, at least 1.
    pub queue: usize,
    /// How much is taken on.
    pub admission: Admission,
    /// What signatures are judged by.
    pub signatures: Signatures,
}

/// What runs over Kafka: one role of it, or all in one process.
#[derive(Debug, Clone)]
pub struct Distributed {
    /// Kafka.
    pub kafka: Kafka,
    /// The name of this instance in its groups.
    pub instance: Option<String>,
    /// Answers requests.
    pub ingest: Option<Ingest>,
    /// Judges records.
    pub verifier: Option<Signatures>,
    /// Settles them.
    pub sink: Option<Sink>,
}

/// What answers requests over Kafka.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// How much is taken on.
    pub admission: Admission,
    /// What signatures are judged by: what is read back by its place is judged again.
    pub signatures: Signatures,
    /// Where settled results are read back.
    pub read_side: ReadSide,
    /// Which partition of pcs.replies is this instance's.
    pub replies_partition: Option<i32>,
}

/// What settles records over Kafka.
#[derive(Debug, Clone)]
pub struct Sink {
    /// The directory of its index.
    pub index_dir: PathBuf,
    /// Where settled results are read back.
    pub read_side: ReadSide,
}

/// How the service is put together.
#[derive(Debug, Clone)]
pub enum Shape {
    /// One process on a log of its own.
    Embedded(Box<Embedded>),
    /// Over Kafka.
    Kafka(Box<Distributed>),
}

/// Everything that a process is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it does.
    pub role: Role,
    /// What every process has.
    pub process: Process,
    /// How the service is put together, and what this process does in it.
    pub shape: Shape,
    /// What is allowed, but perhaps not meant: to be said at every start.
    pub warnings: Vec<String>,
    rows: Vec<table::Row>,
}

/// The most of anything that is counted: far beyond any machine, and small enough to calculate with.
const MOST: usize = 1_000_000;
/// The shortest time-out: less is no client's fault.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest time-out, and the longest that stopping may take.
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl Settings {
    /// The settings that hold: flags over the environment of this process over defaults.
    ///
    /// # Errors
    /// [`SettingsError`]: the first setting that has to be changed.
    pub fn load<W: OfRole>(flags: &Flags<W>) -> Result<Self, SettingsError> {
        Self::load_from(W::ROLE, flags, |name| std::env::var_os(name))
    }

    /// Those of a role, with all flags there are and any environment.
    ///
    /// # Errors
    /// [`SettingsError`]: the first setting that has to be changed.
    pub fn load_from<W: Which>(
        role: Role,
        flags: &Flags<W>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        load::settings(role, &flags.given, &env)
    }

    /// What signatures are judged by, where this process judges any.
    pub fn signatures(&self) -> Option<&Signatures> {
        match &self.shape {
            Shape::Embedded(embedded) => Some(&embedded.signatures),
            Shape::Kafka(roles) => {
                roles.verifier.as_ref().or_else(|| roles.ingest.as_ref().map(|ingest| &ingest.signatures))
            }
        }
    }
}

/// What a log is judged again with: its directory, and the signatures that were taken.
#[derive(Debug, Clone)]
pub struct Judging {
    /// The directory of the log and its index.
    pub data_dir: PathBuf,
    /// Which signatures are taken.
    pub signing: Signing,
    /// The keys.
    pub keys: Keyring,
    /// What is allowed, but perhaps not meant.
    pub warnings: Vec<String>,
}

impl Judging {
    /// Those of this process.
    ///
    /// # Errors
    /// [`SettingsError`]: the first setting that has to be changed.
    pub fn load<W>(flags: &Flags<W>) -> Result<Self, SettingsError> {
        Self::load_from(flags, |name| std::env::var_os(name))
    }

    /// The same with any environment.
    ///
    /// # Errors
    /// [`SettingsError`]: the first setting that has to be changed.
    pub fn load_from<W>(flags: &Flags<W>, env: impl Fn(&str) -> Option<OsString>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(Given { flags: &flags.given, env: &env });
        let data_dir = reader.get(&definitions::DATA_DIR, values::directory)?;
        let signing::Judging { signing, keys, warnings } = signing::load(&mut reader)?;
        Ok(Self { data_dir, signing, keys, warnings })
    }
}

/// The data directory alone, for commands that read a log, whatever else they could be given.
///
/// # Errors
/// [`SettingsError`], where it can not be a directory's path.
pub fn data_dir<W>(flags: &Flags<W>) -> Result<PathBuf, SettingsError> {
    let env = |name: &str| std::env::var_os(name);
    Reader::new(Given { flags: &flags.given, env: &env }).get(&definitions::DATA_DIR, values::directory)
}

/// How long records are kept, alone: what a service with the same environment would keep.
///
/// # Errors
/// [`SettingsError`], where a settled result stands longer than that.
pub fn retention(flags: &Flags<RetentionOnly>) -> Result<Duration, SettingsError> {
    let env = |name: &str| std::env::var_os(name);
    Reader::new(Given { flags: &flags.given, env: &env }).get(&definitions::RETENTION, values::retention)
}

/// Kafka alone, for commands that ask it, whatever else they could be given.
///
/// # Errors
/// [`SettingsError`]: the first setting that has to be changed.
pub fn kafka(flags: &Flags<TopicsOnly>) -> Result<Kafka, SettingsError> {
    let env = |name: &str| std::env::var_os(name);
    kafka::load(&mut Reader::new(Given { flags: &flags.given, env: &env }))?.ok_or_else(load::no_brokers)
}

/// Kafka, where the log is there: where brokers are set, and no data directory was typed instead.
///
/// # Errors
/// [`SettingsError`]: the first setting that has to be changed.
pub fn kafka_if_set<W>(flags: &Flags<W>) -> Result<Option<Kafka>, SettingsError> {
    // What is typed goes before what the environment says.
    let typed = |setting: &definitions::Definition| flags.given.contains_key(setting.name);
    if typed(&definitions::DATA_DIR) && !typed(&definitions::BROKERS) {
        return Ok(None);
    }
    let env = |name: &str| std::env::var_os(name);
    kafka::load(&mut Reader::new(Given { flags: &flags.given, env: &env }))
}

#[cfg(test)]
mod kafka_tests;
#[cfg(test)]
mod tests;
