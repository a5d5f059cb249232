//! One server: how it is reached, how it is asked, and what its errors mean.
//!
//! Every question stands between two of ROLE: a fail-over may come between any two commands, and
//! what a replica says is not to be told. Who was a primary before and after was one in between. All
//! answers come in one round trip. (A transaction would say the same, but a server without room takes
//! none, not even to read.)

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError,
    ServerError, ServerErrorKind, TlsCertificates, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use rustls::RootCertStore;

use super::RedisSettings;
use crate::read_side::{
    BadSetting, ReadSideError, Reason,
    link::{Connect, Failed},
    tls,
};

/// Makes connections to one server.
pub(super) struct Server {
    client: Client,
    name: String,
}

/// How all servers of one read side are reached.
pub(super) struct Servers {
    info: ConnectionInfo,
    tls: TlsCertificates,
}

impl Servers {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, BadSetting> {
        let info = address(settings.address.trim())?;
        let encrypted = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        if !encrypted && (settings.ca.is_some() || settings.client_certificate.is_some()) {
            return Err(BadSetting(
                "certificates for Redis are given, and its address is one without TLS: write rediss:// with two s"
                    .into(),
            ));
        }
        // The library makes its own of them, at the first connection.
        let (ca, client) = (settings.ca.as_deref(), settings.client_certificate.as_ref());
        tls::config("Redis", RootCertStore::empty(), ca, client)?;
        // What a library calls itself is not worth a command that an ACL may forbid.
        let redis = info.redis_settings().clone().set_skip_set_lib_name();
        let info = info.set_redis_settings(redis);
        let tls = TlsCertificates {
            client_tls: settings.client_certificate.clone().map(|(client_cert, client_key)| redis::ClientTlsConfig {
                client_cert,
                client_key: client_key.into_bytes(),
            }),
            root_cert: settings.ca.clone(),
        };
        Ok(Self { info, tls })
    }

    /// Where the settings lead.
    pub(super) fn place(&self) -> (String, u16) {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port),
            // Addresses of other kinds are refused.
            _ => Default::default(),
        }
    }

    /// The server at a place.
    pub(super) fn at(&self, host: &str, port: u16) -> Result<Server, RedisError> {
        let host = host.to_owned();
        // In brackets, as in a URL, where it is an IPv6 address.
        let name = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let client = match self.info.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                let info = self.info.clone().set_addr(ConnectionAddr::TcpTls { host, port, insecure, tls_params });
                Client::build_with_tls(info, self.tls.clone())?
            }
            _ => Client::open(self.info.clone().set_addr(ConnectionAddr::Tcp(host, port)))?,
        };
        Ok(Server { client, name })
    }
}

/// Reads the address. It may hold a password, so nothing of it is repeated.
fn address(address: &str) -> Result<ConnectionInfo, BadSetting> {
    let bad = |why: &str| {
        BadSetting(format!(
            "the address of Redis is HOST:PORT or redis[s]://[USER:PASSWORD@]HOST:PORT[/DB], and what was given is \
             not: {why}"
        ))
    };
    if address.contains(['#', '?']) {
        // Half of a password would be taken for a host.
        return Err(bad("it has a # or a ?; in a password write %23 and %3F (and %2F, %40, %25 for / @ %)"));
    }
    let url = if address.contains("://") { address.to_owned() } else { format!("redis://{address}") };
    if !["redis://", "rediss://", "valkey://", "valkeys://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(bad("it begins otherwise"));
    }
    url.as_str().into_connection_info().map_err(|why| bad(why.detail().unwrap_or("it can not be read")))
}

#[async_trait::async_trait]
impl Connect for Server {
    type Connection = MultiplexedConnection;

    async fn connect(&self) -> Result<MultiplexedConnection, ReadSideError> {
        // Time is kept outside: by the link for connecting, by each call for its answer.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connection.map_err(|why| match failed(&why).error {
            // In a cluster it is not the server of the settings that can not be reached.
            ReadSideError::Away { reason, detail } => ReadSideError::away(reason, format!("{}: {detail}", self.name)),
            refused @ ReadSideError::Refused(_) => refused,
        })
    }
}

/// An answer, or what has to be done to get one.
#[derive(Debug)]
pub(super) enum Answer<T> {
    Is(T),
    /// The script is not known there (any more).
    NoScript,
    /// Another server of the cluster has these keys.
    Moved {
        host: String,
        port: u16,
    },
    /// It has no room.
    Full(String),
}

/// Asks the primary one thing.
pub(super) async fn ask(connection: &mut MultiplexedConnection, command: Cmd) -> Result<Answer<Value>, Failed> {
    let mut pipeline = Pipeline::with_capacity(3);
    pipeline.cmd("ROLE").add_command(command).cmd("ROLE");
    let replies = connection.req_packed_commands(&pipeline, 0, 3).await.map_err(|why| failed(&why))?;
    let [before, answer, after]: [Value; 3] = replies
        .try_into()
        .map_err(|_| Failed::broken(Reason::Fault, "Redis gave another number of answers than it was asked for"))?;
    for role in [before, after] {
        match role {
            Value::Array(role) if text(role.first()) == Some("master") => {}
            Value::ServerError(error) => return meaning(&error),
            _ => return Err(Failed::broken(Reason::Replica, "who answers is a replica; the primary is needed")),
        }
    }
    match answer {
        Value::ServerError(error) => meaning(&error),
        answer => Ok(Answer::Is(answer)),
    }
}

/// A text among the values of an answer.
fn text(value: Option<&Value>) -> Option<&str> {
    match value? {
        Value::BulkString(bytes) => core::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn meaning(error: &ServerError) -> Result<Answer<Value>, Failed> {
    match (error.kind(), error.code()) {
        (Some(ServerErrorKind::NoScript), _) => Ok(Answer::NoScript),
        (Some(ServerErrorKind::Moved), _) => moved(error),
        (_, "OOM") => Ok(Answer::Full(error.details().unwrap_or_default().to_owned())),
        _ => Err(server(error)),
    }
}

/// `SLOT HOST:PORT`; without a host it is the one of who was asked.
fn moved(error: &ServerError) -> Result<Answer<Value>, Failed> {
    let place = error.details().and_then(|details| details.split_once(' ')).map(|(_, place)| place.trim());
    let place = place.and_then(|place| place.rsplit_once(':'));
    match place.map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => Ok(Answer::Moved { host: host.trim_matches(['[', ']']).to_owned(), port }),
        _ => Err(server(error)),
    }
}

fn server(error: &ServerError) -> Failed {
    match (error.kind(), error.code()) {
        // A connection to a replica may have been one to the primary: a new one may lead there.
        (Some(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown), _) => Failed::broken(Reason::Replica, error),
        (Some(ServerErrorKind::NoPerm), _) => Failed::kept(Reason::Denied, error),
        // What a script was not allowed to do, as Redis 7.0 says it.
        (_, "ERR") if error.details().is_some_and(|details| details.starts_with("The user executing the script")) => {
            Failed::kept(Reason::Denied, error)
        }
        (_, "NOAUTH" | "WRONGPASS") => Failed::broken(Reason::Denied, error),
        // Its keys are at two places: neither can answer for all of them until the move is done. (To
        // follow ASK helps nobody: there, too, a command on several keys needs all of them.)
        (Some(ServerErrorKind::Ask | ServerErrorKind::TryAgain), _) => {
            Failed::kept(Reason::Unreachable, format!("the cluster is moving this slot: {error}"))
        }
        (Some(ServerErrorKind::ClusterDown | ServerErrorKind::BusyLoading), _) => {
            Failed::kept(Reason::Unreachable, error)
        }
        _ => Failed::kept(Reason::Fault, error),
    }
}

/// What an error of the library means for its connection.
pub(super) fn failed(error: &RedisError) -> Failed {
    if let Some(errors) = error.clone().into_server_errors()
        && let Some((_, error)) = errors.first()
    {
        return server(error);
    }
    match error.kind() {
        redis::ErrorKind::AuthenticationFailed => Failed::broken(Reason::Denied, error),
        redis::ErrorKind::Io | redis::ErrorKind::Client => Failed::broken(Reason::Unreachable, error),
        _ => Failed::broken(Reason::Fault, error),
    }
}
