//! The read side: where settled results are read back, with Kafka as the log.

use core::{fmt::Write as _, time::Duration};
use std::path::Path;

use zeroize::Zeroizing;

use super::{
    Secret, SettingsError,
    definitions::{self, Definition, Kind},
    reader::Reader,
    source::{Found, read, shown},
    values::{self, Backend},
};

/// Where settled results are read back.
#[derive(Debug, Clone)]
pub struct ReadSide {
    /// In which store.
    pub store: Store,
    /// How long.
    pub window: Duration,
}

/// The store of a read side.
#[derive(Debug, Clone)]
pub enum Store {
    /// Redis.
    Redis(Redis),
    /// Postgres.
    Postgres {
        /// How it is reached.
        connection: Secret,
    },
}

/// How Redis is reached.
#[derive(Debug, Clone)]
pub struct Redis {
    /// `HOST:PORT` or a URL, with user and password in it.
    pub address: Secret,
    /// Whom to trust, PEM; `None` for the public authorities.
    pub ca: Option<Zeroizing<String>>,
    /// The client's certificate and its key, PEM.
    pub certificate: Option<(Zeroizing<String>, Secret)>,
    /// What all keys begin with.
    pub prefix: String,
}

/// Everything about it that was given, while nobody knows yet whether it is needed.
pub(super) struct Given {
    backend: Option<Found>,
    address: Option<Found>,
    username: Option<Found>,
    password: Option<Found>,
    ca: Option<Found>,
    certificate: Option<Found>,
    key: Option<Found>,
    prefix: Option<Found>,
    postgres: Option<Found>,
    window: Duration,
}

impl Given {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, SettingsError> {
        let backend = reader.optional(&definitions::BACKEND)?;
        // What is no name of one is refused whatever else is set.
        backend.as_ref().map(|found| found.parse(values::backend)).transpose()?;
        Ok(Self {
            backend,
            address: reader.optional(&definitions::REDIS_ADDR)?,
            username: reader.optional(&definitions::REDIS_USERNAME)?,
            password: reader.optional(&definitions::REDIS_PASSWORD)?,
            ca: reader.optional(&definitions::REDIS_CA)?,
            certificate: reader.optional(&definitions::REDIS_CERT)?,
            key: reader.optional(&definitions::REDIS_KEY)?,
            prefix: reader.optional(&definitions::REDIS_PREFIX)?,
            postgres: reader.optional(&definitions::POSTGRES_CONN)?,
            window: reader.get(&definitions::HOT_WINDOW, values::window)?,
        })
    }

    /// Without Kafka, the index of the log is all there is.
    pub(super) fn must_be_embedded(&self, reader: &mut Reader<'_>) -> Result<(), SettingsError> {
        reader.came_to(&definitions::BACKEND, "embedded");
        match &self.backend {
            Some(found) if found.parse(values::backend)? != Backend::Embedded => Err(found.refuse(format_args!(
                "must be embedded while there is no Kafka: set {} (or --kafka) for the distributed shape",
                definitions::BROKERS.name
            ))),
            _ => Ok(()),
        }
    }

    /// With Kafka.
    pub(super) fn load(self, reader: &mut Reader<'_>, topic_prefix: &str) -> Result<ReadSide, SettingsError> {
        let backend = match &self.backend {
            None => Backend::Redis,
            Some(found) => match found.parse(values::backend)? {
                Backend::Embedded => return Err(found.refuse("must be redis or postgres with Kafka as the log")),
                backend => backend,
            },
        };
        let window = self.window;
        let store = match backend {
            Backend::Postgres => Store::Postgres { connection: self.postgres()? },
            Backend::Redis | Backend::Embedded => Store::Redis(self.redis(reader, topic_prefix)?),
        };
        let name = if matches!(store, Store::Redis(_)) { "redis" } else { "postgres" };
        reader.came_to(&definitions::BACKEND, name);
        Ok(ReadSide { store, window })
    }

    fn postgres(self) -> Result<Secret, SettingsError> {
        match self.postgres {
            Some(found) => Ok(Secret::new(found.value.as_str())),
            None => Err(needs("DEDUP_BACKEND=postgres", &definitions::POSTGRES_CONN, "")),
        }
    }

    fn redis(self, reader: &mut Reader<'_>, topic_prefix: &str) -> Result<Redis, SettingsError> {
        let Some(address) = self.address else {
            let backend = if self.backend.is_some() { "DEDUP_BACKEND=redis" } else { "redis (the default with Kafka)" };
            return Err(needs(backend, &definitions::REDIS_ADDR, ", or DEDUP_BACKEND=postgres"));
        };
        let address = with_login(&address, self.username.as_ref(), self.password.as_ref())?;
        let pem = |found: &Option<Found>| found.as_ref().map(pem).transpose();
        let certificate = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((self::pem(certificate)?, Secret::new(self::pem(key)?.as_str()))),
            (None, None) => None,
            (Some(given), None) => return Err(goes_with(given, &definitions::REDIS_KEY)),
            (None, Some(given)) => return Err(goes_with(given, &definitions::REDIS_CERT)),
        };
        let prefix = match (&self.prefix, topic_prefix) {
            (Some(found), _) => found.value.to_string(),
            (None, "") => "flk".to_owned(),
            (None, prefix) => format!("flk:{prefix}"),
        };
        reader.came_to(&definitions::REDIS_PREFIX, &prefix);
        Ok(Redis { address, ca: pem(&self.ca)?, certificate, prefix })
    }
}

fn needs(backend: &str, setting: &Definition, instead: &str) -> SettingsError {
    let flag = setting.flag().map_or_else(String::new, |flag| format!(" or --{flag}"));
    let name = setting.name;
    let sentence = format!("{backend} needs {name}: set it ({name}_FILE{flag}){instead}");
    SettingsError::new(name, sentence)
}

fn goes_with(given: &Found, missing: &Definition) -> SettingsError {
    let sentence = format!("{} is set without {}: set both, or none", given.given_as(), missing.name);
    SettingsError::new(missing.name, sentence)
}

/// The address with a user and a password that were given apart from it.
fn with_login(address: &Found, user: Option<&Found>, password: Option<&Found>) -> Result<Secret, SettingsError> {
    let text = address.value.trim();
    let Some(password) = password else {
        return match user {
            Some(user) => Err(goes_with(user, &definitions::REDIS_PASSWORD)),
            None => Ok(Secret::new(text)),
        };
    };
    let (scheme, rest) = text.split_once("://").unwrap_or(("redis", text));
    if rest.contains('@') {
        let sentence = format!(
            "{} is set, and {} holds a user or a password already: leave one of them out",
            password.given_as(),
            address.given_as()
        );
        return Err(SettingsError::new(definitions::REDIS_PASSWORD.name, sentence));
    }
    let user = user.map_or("", |user| user.value.as_str());
    let login = Zeroizing::new(format!("{}:{}", *escaped(user), *escaped(&password.value)));
    Ok(Secret::new(format!("{scheme}://{}@{rest}", *login)))
}

/// As a part of a URL.
fn escaped(text: &str) -> Zeroizing<String> {
    // No reallocation, which would leave a copy behind.
    let mut escaped = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to memory does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// PEM: the value itself, or what is in the file that it names.
fn pem(found: &Found) -> Result<Zeroizing<String>, SettingsError> {
    if found.value.trim_start().starts_with("-----BEGIN") {
        return Ok(found.value.clone());
    }
    let path = Path::new(found.value.as_str());
    read(path).map_err(|why| {
        // What was meant to be the key itself is not quoted.
        let file = match found.setting.kind {
            Kind::Open(_) => format!("the file {}", shown(path.as_os_str())),
            Kind::Secret => "a file".to_owned(),
        };
        let sentence = format!("{} names {file}, {why}", found.given_as());
        SettingsError::new(found.setting.name, sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_password_can_stand_in_a_url() {
        assert_eq!(*escaped("a/b@c#d?e%f:ü~"), "a%2Fb%40c%23d%3Fe%25f%3A%C3%BC~");
    }
}
