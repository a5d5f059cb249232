//! Reads the settings of a role, and sees that they go together.

use core::{net::SocketAddr, time::Duration};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use super::{
    Admission, BasicAuth, Distributed, Embedded, Ingest, LONGEST, MOST, Process, Role, SHORTEST, Settings,
    SettingsError, Shape, Signatures, Sink,
    definitions::{self, Definition, Group},
    kafka, read_side,
    reader::Reader,
    secret::Secret,
    signing,
    source::{Given, Source},
    values,
};
use crate::{lifecycle::Deadlines, telemetry::Logging};

pub(super) fn settings(
    role: Role,
    flags: &BTreeMap<&'static str, OsString>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Settings, SettingsError> {
    let has = |setting: &Definition| role.has(setting);
    let mut all = definitions::ALL.iter();
    if let Some(setting) = all.find(|setting| flags.contains_key(setting.name) && !has(setting)) {
        let flag = setting.flag().unwrap_or(setting.name);
        let sentence = format!("--{flag} ({}) is no setting of flk {}; leave it out", setting.name, role.command());
        return Err(SettingsError::new(setting.name, sentence));
    }
    let mut reader = Reader::new(Given { flags, env });
    let mut warnings = Vec::new();
    let process = process(&mut reader)?;
    let kafka = kafka::load(&mut reader)?;
    let instance = reader.of(role, &definitions::INSTANCE)?.map(|found| found.parse(values::instance)).transpose()?;
    let admission = if has(&definitions::TOKEN_RATE) { Some(admission(&mut reader)?) } else { None };
    let replies_partition =
        reader.of(role, &definitions::REPLIES_PARTITION)?.map(|found| found.parse(values::partition)).transpose()?;
    let index_dir = if has(&definitions::INDEX_DIR) { Some(index_dir(&mut reader)?) } else { None };
    let read_side = if has(&definitions::BACKEND) { Some(read_side::Given::read(&mut reader)?) } else { None };
    // Before keys: who has not said yet where the log is learns that first.
    if role != Role::Serve && kafka.is_none() {
        return Err(no_brokers());
    }
    let own_log = if role == Role::Serve { Some(own_log(&mut reader)?) } else { None };
    let signatures = if has(&definitions::SIGN_ALG) {
        let signing::Judging { signing, keys, warnings: said } = signing::load(&mut reader)?;
        warnings.extend(said);
        Some(Signatures { signing, keys })
    } else {
        None
    };

    let shape = match kafka {
        Some(kafka) => {
            for setting in [&definitions::RETENTION, &definitions::QUEUE_LENGTH] {
                let sentence = "belongs to the embedded log; with Kafka as the log it changes nothing";
                unused(role, &reader, setting, sentence, &mut warnings)?;
            }
            let read_side = read_side.map(|given| given.load(&mut reader, &kafka.topic_prefix)).transpose()?;
            let ingest = match (admission, &signatures, &read_side) {
                (Some(admission), Some(signatures), Some(read_side)) => Some(Ingest {
                    admission,
                    signatures: signatures.clone(),
                    read_side: read_side.clone(),
                    replies_partition,
                }),
                _ => None,
            };
            let sink = index_dir.zip(read_side).map(|(index_dir, read_side)| Sink { index_dir, read_side });
            let verifier = signatures.filter(|_| role != Role::Ingest);
            Shape::Kafka(Box::new(Distributed { kafka, instance, ingest, verifier, sink }))
        }
        None => {
            if let Some(read_side) = &read_side {
                read_side.must_be_embedded(&mut reader)?;
            }
            for setting in definitions::ALL {
                let of_kafka = matches!(setting.group, Group::Kafka | Group::Topics | Group::ReadSide);
                let own = [definitions::BROKERS.name, definitions::BACKEND.name].contains(&setting.name);
                if (of_kafka && !own) || setting.name == definitions::INDEX_DIR.name {
                    let sentence = "belongs to the shape over Kafka, which KAFKA_BROKERS (--kafka) turns on; without it \
                                    it changes nothing";
                    unused(role, &reader, setting, sentence, &mut warnings)?;
                }
            }
            // All of them, since this is `flk serve`.
            let (Some(admission), Some(signatures), Some((data_dir, retention, queue))) =
                (admission, signatures, own_log)
            else {
                return Err(no_brokers());
            };
            Shape::Embedded(Box::new(Embedded { data_dir, retention, queue, admission, signatures }))
        }
    };
    let rows = reader.into_rows();
    Ok(Settings { role, process, shape, warnings, rows })
}

/// No role of Kafka's shape is anything without Kafka.
pub(super) fn no_brokers() -> SettingsError {
    let name = definitions::BROKERS.name;
    SettingsError::new(name, format!("{name} is not set: set it, or --kafka, to HOST:PORT, several with commas"))
}

/// A setting that changes nothing here. Whoever typed it as a flag expects something: that is refused. An
/// environment may be made for several shapes: there it is said.
fn unused(
    role: Role,
    reader: &Reader<'_>,
    setting: &Definition,
    why: &str,
    warnings: &mut Vec<String>,
) -> Result<(), SettingsError> {
    match reader.source_of(setting) {
        Some(Source::Flag) => {
            let flag = setting.flag().unwrap_or(setting.name);
            Err(SettingsError::new(setting.name, format!("--{flag} ({}) {why}: leave it out", setting.name)))
        }
        Some(Source::Env | Source::File) if role == Role::Serve => {
            warnings.push(format!("{} is set, and {why}", setting.name));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn process(reader: &mut Reader<'_>) -> Result<Process, SettingsError> {
    let port = reader.get(&definitions::PORT, values::port)?;
    let listen = match reader.optional(&definitions::LISTEN)? {
        Some(found) => found.parse(|text| values::listen(text, port))?,
        None => SocketAddr::from(([0, 0, 0, 0], port)),
    };
    reader.came_to(&definitions::LISTEN, listen);
    let header_read = reader.get(&definitions::HEADER_TIMEOUT, values::duration(SHORTEST..=LONGEST))?;
    let deadlines = Deadlines {
        drain_delay: reader.get(&definitions::DRAIN_DELAY, values::duration(Duration::ZERO..=LONGEST))?,
        drain: reader.get(&definitions::DRAIN_DEADLINE, values::duration(SHORTEST..=LONGEST))?,
        ..Deadlines::default()
    };
    let metrics_auth = metrics_auth(reader)?;
    let logging = Logging {
        format: reader
            .optional(&definitions::LOG_FORMAT)?
            .map_or(Ok(Default::default()), |found| found.parse(values::log_format))?,
        filter: reader.get(&definitions::LOG_LEVEL, str::parse)?,
    };
    Ok(Process { listen, header_read, deadlines, metrics_auth, logging })
}

/// The embedded log: where it is, how long it keeps, how much waits for it.
fn own_log(reader: &mut Reader<'_>) -> Result<(PathBuf, Duration, usize), SettingsError> {
    let data_dir = reader.get(&definitions::DATA_DIR, values::directory)?;
    let retention = reader.get(&definitions::RETENTION, values::retention)?;
    let queue = reader.get(&definitions::QUEUE_LENGTH, values::count(1..=MOST))?;
    Ok((data_dir, retention, queue))
}

fn index_dir(reader: &mut Reader<'_>) -> Result<PathBuf, SettingsError> {
    let data_dir = reader.get(&definitions::DATA_DIR, values::directory)?;
    let index_dir = match reader.optional(&definitions::INDEX_DIR)? {
        Some(found) => found.parse(values::directory)?,
        None => data_dir.join("sink"),
    };
    reader.came_to(&definitions::INDEX_DIR, index_dir.display());
    Ok(index_dir)
}

fn admission(reader: &mut Reader<'_>) -> Result<Admission, SettingsError> {
    Ok(Admission {
        token_rate: reader.get(&definitions::TOKEN_RATE, values::rate)?,
        connections: reader.get(&definitions::MAX_CONNECTIONS, values::count(1..=MOST))?,
        requests: reader.get(&definitions::MAX_REQUESTS, values::count(1..=MOST))?,
        bytes: reader.get(&definitions::MAX_BYTES, values::body_bytes)?,
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
