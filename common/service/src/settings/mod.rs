//! Settings of a service (contract section 7), in two steps: [`Raw`] is what the command line said;
//! [`Settings`] is what holds, made once of that and the environment, with usable types only and
//! every rule between settings checked. Whoever has [`Settings`] has nothing left to check.
//!
//! One room a question: [`definitions`] says which settings there are, `raw` what clap makes of
//! them, `source` where a value comes from, `values` what it looks like, `signing` and `keys_file`
//! which keys hold, [`table`] what is in force. Nothing in here opens a port or a directory.

pub mod definitions;
mod keys_file;
mod raw;
mod reader;
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

pub use raw::{DataDirOnly, Everything, Flags, JudgingOnly, Raw, RetentionOnly, Which};
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

/// Where settled results are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The index of the embedded shape.
    Embedded,
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
    /// How long the header of a request may take, idle time included.
    pub header_read: Duration,
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

/// Everything that a service is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The directory of the log and its index.
    pub data_dir: PathBuf,
    /// How long records are kept: at least as long as a result stands.
    pub retention: Duration,
    /// Where settled results are looked up.
    pub backend: Backend,
    /// Which signatures are taken.
    pub signing: Signing,
    /// The keys; there is one of every algorithm that is taken.
    pub keys: Keyring,
    /// How much is taken on.
    pub admission: Admission,
    /// Records that wait for the log's writer, at least 1.
    pub queue: usize,
    /// How long stopping may take.
    pub deadlines: Deadlines,
    /// Who may read the metrics; `None` is everybody.
    pub metrics_auth: Option<BasicAuth>,
    /// What is logged, and how.
    pub logging: Logging,
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
    pub fn load(raw: &Raw) -> Result<Self, SettingsError> {
        Self::load_from(raw, |name| std::env::var_os(name))
    }

    /// The same with any environment.
    ///
    /// # Errors
    /// [`SettingsError`]: the first setting that has to be changed.
    pub fn load_from(raw: &Raw, env: impl Fn(&str) -> Option<OsString>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(Given { flags: &raw.given, env: &env });
        let port = reader.get(&definitions::PORT, values::port)?;
        let listen = match reader.optional(&definitions::LISTEN)? {
            Some(found) => found.parse(|text| values::listen(text, port))?,
            None => SocketAddr::from(([0, 0, 0, 0], port)),
        };
        reader.came_to(&definitions::LISTEN, listen);
        let data_dir = reader.get(&definitions::DATA_DIR, values::directory)?;
        let retention = reader.get(&definitions::RETENTION, values::retention)?;
        let backend = reader.get(&definitions::BACKEND, values::backend)?;
        let signing::Judging { signing, keys, warnings } = signing::load(&mut reader)?;
        let admission = admission(&mut reader)?;
        let queue = reader.get(&definitions::QUEUE_LENGTH, values::count(1..=MOST))?;
        let deadlines = Deadlines {
            drain_delay: reader.get(&definitions::DRAIN_DELAY, values::duration(Duration::ZERO..=LONGEST))?,
            drain: reader.get(&definitions::DRAIN_DEADLINE, values::duration(SHORTEST..=LONGEST))?,
            ..Deadlines::default()
        };
        let metrics_auth = metrics_auth(&mut reader)?;
        let logging = Logging {
            format: reader
                .optional(&definitions::LOG_FORMAT)?
                .map_or(Ok(Default::default()), |found| found.parse(values::log_format))?,
            filter: reader.get(&definitions::LOG_LEVEL, str::parse)?,
        };
        Ok(Self {
            listen,
            data_dir,
            retention,
            backend,
            signing,
            keys,
            admission,
            queue,
            deadlines,
            metrics_auth,
            logging,
            warnings,
            rows: reader.into_rows(),
        })
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
    pub fn load(flags: &Flags<JudgingOnly>) -> Result<Self, SettingsError> {
        Self::load_from(flags, |name| std::env::var_os(name))
    }

    /// The same with any environment.
    ///
    /// # Errors
    /// [`SettingsError`]: the first setting that has to be changed.
    pub fn load_from(
        flags: &Flags<JudgingOnly>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
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

fn admission(reader: &mut Reader<'_>) -> Result<Admission, SettingsError> {
    Ok(Admission {
        token_rate: reader.get(&definitions::TOKEN_RATE, values::rate)?,
        connections: reader.get(&definitions::MAX_CONNECTIONS, values::count(1..=MOST))?,
        requests: reader.get(&definitions::MAX_REQUESTS, values::count(1..=MOST))?,
        bytes: reader.get(&definitions::MAX_BYTES, values::body_bytes)?,
        header_read: reader.get(&definitions::HEADER_TIMEOUT, values::duration(SHORTEST..=LONGEST))?,
        body_read: reader.get(&definitions::BODY_TIMEOUT, values::duration(SHORTEST..=LONGEST))?,
    })
}

fn metrics_auth(reader: &mut Reader<'_>) -> Result<Option<BasicAuth>, SettingsError> {
    let user = reader.optional(&definitions::METRICS_USER)?;
    let password = reader.optional(&definitions::METRICS_PASS)?;
    let (given, missing) = match (user, password) {
        (None, None) => return Ok(None),
        (Some(user), Some(password)) => {
            if user.value.contains(':') || user.value.contains(char::is_control) {
                return Err(user.refuse(
                    "must have no colon and no control characters: Basic authentication has no way to send them",
                ));
            }
            let password = Secret::new(password.value.as_str());
            return Ok(Some(BasicAuth { user: user.value.to_string(), password }));
        }
        (Some(user), None) => (user, &definitions::METRICS_PASS),
        (None, Some(password)) => (password, &definitions::METRICS_USER),
    };
    let sentence =
        format!("{} is set without {}: set both to protect /metrics, or none", given.given_as(), missing.name);
    Err(SettingsError::new(missing.name, sentence))
}

#[cfg(test)]
mod tests;
