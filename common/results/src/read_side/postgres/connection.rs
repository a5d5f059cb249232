//! One session: how the server is reached, the schema, and what errors mean.

use core::{error::Error as _, str::FromStr, time::Duration};
use std::sync::Arc;

use rustls::RootCertStore;
use tokio::task::AbortHandle;
use tokio_postgres::{
    Client, Config, Error, Statement,
    config::{SslMode, TargetSessionAttrs},
    error::SqlState,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Access, PostgresSettings, schema};
use crate::read_side::{
    BadSetting, ReadSideError, Reason,
    link::{Connect, Failed},
    tls,
};

/// Makes sessions.
pub(super) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    access: Access,
    deadline: Duration,
}

/// A session. Its last handle closes it, whatever is under way on it.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) publish: Option<Statement>,
    pub(super) read: Statement,
    pub(super) expire: Option<Statement>,
    task: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) fn new(settings: &PostgresSettings) -> Result<Self, BadSetting> {
        let (connection, files) = of_libpq(settings.connection.trim());
        // The text may hold a password: it is not repeated, and neither is what the parser says of it.
        let mut config = Config::from_str(&connection).map_err(|_| {
            BadSetting(
                "the connection to Postgres is postgres://USER:PASSWORD@HOST:PORT/DATABASE or `host=HOST user=USER \
                 ...`, and what was given is not; in a URL, special characters of a password are written %40 for @ \
                 and so on"
                    .into(),
            )
        })?;
        if config.get_hosts().is_empty() {
            return Err(BadSetting("the connection to Postgres names no host".into()));
        }
        if config.get_hosts().len() > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // Of several servers the primary is meant.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_application_name().is_none() {
            config.application_name("flk");
        }
        let ca = match &settings.ca {
            Some(ca) => Some(ca.clone()),
            None => files.authority.as_deref().map(|path| file("sslrootcert", path)).transpose()?,
        };
        let client = match (&settings.client_certificate, &files.certificate, &files.key) {
            (Some(client), _, _) => Some(client.clone()),
            (None, Some(certificate), Some(key)) => {
                let key = file("sslkey", key)?;
                let key = String::from_utf8(key).map_err(|_| BadSetting("sslkey of Postgres is not PEM".into()))?;
                Some((file("sslcert", certificate)?, key))
            }
            (None, None, None) => None,
            _ => return Err(BadSetting("for Postgres, sslcert and sslkey are given together or not at all".into())),
        };
        if ca.is_some() || client.is_some() {
            // Who says whom to trust does not want to be served without.
            match config.get_ssl_mode() {
                SslMode::Disable => {
                    let why = "certificates for Postgres are given, and its connection says sslmode=disable";
                    return Err(BadSetting(why.into()));
                }
                SslMode::Prefer => drop(config.ssl_mode(SslMode::Require)),
                _ => {}
            }
        }
        let tls = MakeRustlsConnect::new(tls::config(
            "Postgres",
            RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
            ca.as_deref(),
            client.as_ref(),
        )?);
        Ok(Self { config, tls, access: settings.access, deadline: settings.deadline })
    }

    async fn session(&self) -> Result<Session, Failed> {
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(|why| self.unconnected(&why))?;
        // It ends with the session, or with its socket.
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        let task = task.abort_handle();
        let session = self.prepare(&client).await;
        match session {
            Ok((publish, read, expire)) => Ok(Session { client, publish, read, expire, task }),
            Err(why) => {
                task.abort();
                Err(why)
            }
        }
    }

    async fn prepare(&self, client: &Client) -> Result<(Option<Statement>, Statement, Option<Statement>), Failed> {
        // What nobody waits for any more ends at the server too. A read side is a copy: a commit that a
        // crash takes back is noticed by the next batch, so nobody has to wait for the disk. A database
        // may have another isolation by default, in which whoever comes second fails instead of waiting.
        let limit = self.deadline.as_millis().max(1);
        let start = format!(
            "SET statement_timeout = {limit}; SET synchronous_commit = off; \
             SET default_transaction_isolation = 'read committed'"
        );
        client.batch_execute(&start).await.map_err(|why| failed(&why))?;
        schema::check(client, self.access).await?;
        let prepare = async |sql: &str| {
            client.prepare(sql).await.map_err(|why| {
                let mut failed = failed(&why);
                if let ReadSideError::Away { reason: Reason::Setup, detail } = &mut failed.error {
                    *detail += ": part of the schema is gone; drop flk_schema, flk_markers, flk_results and the \
                                function flk_publish, and the dedup-sink makes them anew and fills them";
                }
                failed
            })
        };
        let read = prepare(schema::READ).await?;
        Ok(match self.access {
            Access::Read => (None, read, None),
            Access::Publish => (Some(prepare(schema::PUBLISH).await?), read, Some(prepare(schema::EXPIRE).await?)),
        })
    }

    fn unconnected(&self, error: &Error) -> Failed {
        let mut failed = failed(error);
        if text(error).contains("invalid peer certificate")
            && let ReadSideError::Away { detail, .. } = &mut failed.error
        {
            *detail += "; give the certificate of the authority that signed the server's (sslrootcert=FILE)";
        }
        failed
    }
}

#[async_trait::async_trait]
impl Connect for Server {
    type Connection = Arc<Session>;

    async fn connect(&self) -> Result<Arc<Session>, ReadSideError> {
        self.session().await.map(Arc::new).map_err(|why| why.error)
    }
}

/// What a connection says about files.
#[derive(Debug, Default, PartialEq, Eq)]
struct Files {
    authority: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

/// Takes what libpq knows and the library does not: files of certificates, and the words for checking
/// them, which here is always done.
fn of_libpq(connection: &str) -> (String, Files) {
    let (head, parameters, between) = match connection.split_once('?') {
        Some((head, parameters)) if connection.contains("://") => (format!("{head}?"), parameters, '&'),
        _ if connection.contains("://") => return (connection.to_owned(), Files::default()),
        _ => (String::new(), connection, ' '),
    };
    let mut files = Files::default();
    let in_url = !head.is_empty();
    let kept: Vec<_> = parameters
        .split(between)
        .filter_map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let file = match name {
                "sslrootcert" => &mut files.authority,
                "sslcert" => &mut files.certificate,
                "sslkey" => &mut files.key,
                "sslmode" if matches!(value, "verify-ca" | "verify-full") => return Some("sslmode=require"),
                _ => return Some(parameter),
            };
            *file = Some(if in_url { decoded(value) } else { value.trim_matches('\'').to_owned() });
            None
        })
        .collect();
    (head + &kept.join(&between.to_string()), files)
}

/// A value of a URL without its percent signs; what is not written so stays as it is.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let mut raw = [0];
        match after.split_at_checked(2) {
            Some((digits, behind)) if *byte == b'%' && hex::decode_to_slice(digits, &mut raw).is_ok() => {
                bytes.extend(raw);
                rest = behind;
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn file(name: &str, path: &str) -> Result<Vec<u8>, BadSetting> {
    std::fs::read(path).map_err(|why| BadSetting(format!("{name}={path} of Postgres can not be read: {why}")))
}

/// What an error means for its session.
pub(super) fn failed(error: &Error) -> Failed {
    let detail = text(error);
    let Some(code) = error.code() else {
        return Failed::broken(Reason::Unreachable, detail);
    };
    match *code {
        SqlState::READ_ONLY_SQL_TRANSACTION => Failed::broken(Reason::Replica, detail),
        SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => Failed::kept(Reason::Deadline, detail),
        SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY | SqlState::INSUFFICIENT_RESOURCES => {
            Failed::kept(Reason::Full, detail)
        }
        SqlState::INSUFFICIENT_PRIVILEGE => Failed::kept(Reason::Denied, detail),
        // What was prepared is not there any more: a new session makes it again.
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN | SqlState::UNDEFINED_FUNCTION => {
            Failed::broken(Reason::Setup, detail)
        }
        _ => match code.code().get(..2) {
            Some("28") => Failed::broken(Reason::Denied, detail),
            // Shutting down, starting, too many connections, broken connections.
            Some("57" | "53" | "08") => Failed::broken(Reason::Unreachable, detail),
            _ => Failed::broken(Reason::Fault, detail),
        },
    }
}

/// An error with its causes; of the server's own the sentence alone, which holds no values.
fn text(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        text += &format!(": {why}");
        cause = why.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Files, of_libpq};

    #[test]
    fn what_only_libpq_knows_is_taken_out_of_a_connection() {
        let none = Files::default;
        let named = |path: &str| Some(path.to_owned());
        let cases = [
            ("postgres://u:p@h/d", "postgres://u:p@h/d", none()),
            (
                "postgres://u@h/d?sslmode=verify-full&sslrootcert=%2Fa%2fb%25.pem&x=1",
                "postgres://u@h/d?sslmode=require&x=1",
                Files { authority: named("/a/b%.pem"), ..none() },
            ),
            (
                "host=h sslrootcert='ca.pem' user=u sslkey=k sslcert=c sslmode=verify-ca password='a b'",
                "host=h user=u sslmode=require password='a b'",
                Files { authority: named("ca.pem"), certificate: named("c"), key: named("k") },
            ),
            ("postgres://u@h?sslcert=100%&a", "postgres://u@h?a", Files { certificate: named("100%"), ..none() }),
        ];
        for (given, taken, files) in cases {
            assert_eq!(of_libpq(given), (taken.to_owned(), files));
        }
    }
}
