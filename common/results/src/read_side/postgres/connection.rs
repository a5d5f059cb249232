//! One session: how the server is reached, the schema, and what errors mean.

use core::{error::Error as _, str::FromStr, time::Duration};
use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
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
        tls::choose_provider();
        let (connection, named) = of_libpq(settings.connection.trim());
        // The text may hold a password: it is not repeated, and neither is what the parser says of it.
        let mut config = Config::from_str(&connection).map_err(|_| {
            BadSetting(
                "the connection to Postgres is postgres://USER:PASSWORD@HOST:PORT/DATABASE or `host=HOST user=USER \
                 ...`, and what was given is not"
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
        let ca = match (&settings.ca, named) {
            (Some(ca), _) => Some(ca.clone()),
            (None, Some(path)) => Some(
                std::fs::read(&path)
                    .map_err(|why| BadSetting(format!("sslrootcert={path} of Postgres can not be read: {why}")))?,
            ),
            (None, None) => None,
        };
        let tls = MakeRustlsConnect::new(trusting(ca.as_deref())?);
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
        // crash takes back is noticed by the next batch, so nobody has to wait for the disk.
        let limit = self.deadline.as_millis().max(1);
        let start = format!("SET statement_timeout = {limit}; SET synchronous_commit = off");
        client.batch_execute(&start).await.map_err(|why| failed(&why))?;
        schema::check(client, self.access).await?;
        let prepare = async |sql: &str| client.prepare(sql).await.map_err(|why| failed(&why));
        let read = prepare(schema::READ).await?;
        Ok(match self.access {
            Access::Read => (None, read, None),
            Access::Publish => (Some(prepare(schema::PUBLISH).await?), read, Some(prepare(schema::EXPIRE).await?)),
        })
    }

    fn unconnected(&self, error: &Error) -> Failed {
        let mut failed = failed(error);
        if self.config.get_ssl_mode() == SslMode::Prefer
            && text(error).contains("certificate")
            && let ReadSideError::Away { detail, .. } = &mut failed.error
        {
            *detail += "; give the authority's certificate (sslrootcert=FILE), or say sslmode=disable";
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

/// Takes what libpq knows and the library does not: a file of authorities, and the words for checking
/// certificates, which here always are.
fn of_libpq(connection: &str) -> (String, Option<String>) {
    let (head, parameters, between) = match connection.split_once('?') {
        Some((head, parameters)) if connection.contains("://") => (format!("{head}?"), parameters, '&'),
        _ if connection.contains("://") => return (connection.to_owned(), None),
        _ => (String::new(), connection, ' '),
    };
    let mut authorities = None;
    let kept: Vec<_> = parameters
        .split(between)
        .filter_map(|parameter| match parameter.split_once('=') {
            Some(("sslrootcert", path)) => {
                authorities = Some(path.to_owned());
                None
            }
            Some(("sslmode", "verify-ca" | "verify-full")) => Some("sslmode=require"),
            _ => Some(parameter),
        })
        .collect();
    (head + &kept.join(&between.to_string()), authorities)
}

/// What TLS trusts: this authority, or those that everybody trusts.
fn trusting(ca: Option<&[u8]>) -> Result<ClientConfig, BadSetting> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            let bad = |why: String| BadSetting(format!("the authority of Postgres is not a certificate in PEM: {why}"));
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|why| bad(why.to_string()))?;
                roots.add(certificate).map_err(|why| bad(why.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad("there is none in it".into()));
            }
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
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
    use super::of_libpq;

    #[test]
    fn what_only_libpq_knows_is_taken_out_of_a_connection() {
        let cases = [
            ("postgres://u:p@h/d", "postgres://u:p@h/d", None),
            (
                "postgres://u@h/d?sslmode=verify-full&sslrootcert=/a/b.pem",
                "postgres://u@h/d?sslmode=require",
                Some("/a/b.pem"),
            ),
            ("host=h sslrootcert=ca.pem user=u sslmode=disable", "host=h user=u sslmode=disable", Some("ca.pem")),
        ];
        for (given, taken, file) in cases {
            assert_eq!(of_libpq(given), (taken.to_owned(), file.map(str::to_owned)));
        }
    }
}
