//! One server: how it is reached, how it is asked, and what its errors mean.
//!
//! Every question is a transaction that begins with ROLE: a fail-over may come between any two
//! commands, and what a replica says is not to be told. All answers come in one round trip.

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError,
    ServerError, ServerErrorKind, TlsCertificates, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use super::RedisSettings;
use crate::read_side::{
    BadSetting, ReadSideError, Reason,
    link::{Connect, Failed},
    tls,
};

/// Makes connections to one server.
pub(super) struct Server {
    client: Client,
}

/// How all servers of one read side are reached.
pub(super) struct Servers {
    info: ConnectionInfo,
    tls: TlsCertificates,
}

impl Servers {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, BadSetting> {
        tls::choose_provider();
        let address = settings.address.trim();
        let url = if address.contains("://") { address.to_owned() } else { format!("redis://{address}") };
        // The address may hold a password: it is not repeated.
        let bad = |why: &RedisError| {
            BadSetting(format!(
                "the address of Redis is HOST:PORT or redis[s]://[USER:PASSWORD@]HOST:PORT[/DB], and what was \
                 given is not: {why}"
            ))
        };
        let info = url.as_str().into_connection_info().map_err(|why| bad(&why))?;
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
        let servers = Self { info, tls };
        servers.first().map_err(|why| bad(&why))?;
        Ok(servers)
    }

    /// The one that the settings name.
    pub(super) fn first(&self) -> Result<Server, RedisError> {
        self.client(self.info.clone())
    }

    /// Another one of the same cluster.
    pub(super) fn at(&self, host: &str, port: u16) -> Result<Server, RedisError> {
        let addr = match (self.info.addr().clone(), host) {
            (ConnectionAddr::Tcp(known, _), "") => ConnectionAddr::Tcp(known, port),
            (ConnectionAddr::Tcp(..), host) => ConnectionAddr::Tcp(host.to_owned(), port),
            (ConnectionAddr::TcpTls { host: known, insecure, tls_params, .. }, host) => {
                let host = if host.is_empty() { known } else { host.to_owned() };
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            (other, _) => other,
        };
        self.client(self.info.clone().set_addr(addr))
    }

    fn client(&self, info: ConnectionInfo) -> Result<Server, RedisError> {
        let client = match info.addr() {
            ConnectionAddr::TcpTls { .. } => Client::build_with_tls(info, self.tls.clone())?,
            _ => Client::open(info)?,
        };
        Ok(Server { client })
    }
}

#[async_trait::async_trait]
impl Connect for Server {
    type Connection = MultiplexedConnection;

    async fn connect(&self) -> Result<MultiplexedConnection, ReadSideError> {
        // Time is kept outside: by the link for connecting, by each call for its answer.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connection.map_err(|why| failed(&why).error)
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
    let mut pipeline = Pipeline::with_capacity(4);
    pipeline.cmd("MULTI").cmd("ROLE").add_command(command).cmd("EXEC");
    let replies = connection.req_packed_commands(&pipeline, 0, 4).await.map_err(|why| failed(&why))?;
    let no_answer = || Failed::broken(Reason::Fault, "Redis answered a transaction with what is no answer to it");
    let replies: [Value; 4] = replies.try_into().map_err(|_| no_answer())?;
    // What is refused when it is queued says why; EXEC then only says that it was not done.
    let [multi, role, queued, exec] = replies;
    for reply in [multi, role, queued] {
        if let Value::ServerError(error) = reply {
            return meaning(&error);
        }
    }
    let answers = match exec {
        Value::Array(answers) => answers,
        Value::ServerError(error) => return meaning(&error),
        _ => return Err(no_answer()),
    };
    let [role, answer]: [Value; 2] = answers.try_into().map_err(|_| no_answer())?;
    match role {
        Value::Array(role) if text(role.first()) == Some("master") => {}
        Value::ServerError(error) => return meaning(&error),
        _ => return Err(Failed::broken(Reason::Replica, "who answers is a replica; the primary is needed")),
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

/// `SLOT HOST:PORT`; without a host it is the one that was asked.
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
        (_, "NOAUTH" | "WRONGPASS") => Failed::broken(Reason::Denied, error),
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
