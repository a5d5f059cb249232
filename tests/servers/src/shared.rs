//! One plain server of a kind for all tests of a test binary.
//!
//! From `FLK_TEST_KAFKA` (`HOST:PORT`, several with commas), `FLK_TEST_REDIS` (`HOST:PORT` or a `redis://` URL)
//! and `FLK_TEST_POSTGRES` (a `postgres://` URL) where they are set; else started at the first use. Tests share
//! it, and a server that was named may have other users and an earlier run's data: names are made with
//! [`crate::unique`], and nothing is stopped, flushed or configured. For that a test starts a server of its own.

use std::sync::OnceLock;

use crate::{Error, Kafka, KafkaOptions, Postgres, Redis, RedisOptions, Result, kafka, postgres, redis};

/// `bootstrap.servers` of the shared Kafka.
///
/// # Errors
/// Where the named one does not answer, or none can be started.
pub fn kafka() -> Result<String> {
    static SERVER: OnceLock<std::result::Result<Kafka, String>> = OnceLock::new();
    match named("FLK_TEST_KAFKA") {
        Some(bootstrap) => named_kafka(bootstrap),
        None => once(&SERVER, "Kafka", || Kafka::start(&KafkaOptions::default())).map(Kafka::bootstrap),
    }
}

/// The URL of the shared Redis.
///
/// # Errors
/// Where the named one does not answer, or none can be started.
pub fn redis() -> Result<String> {
    static SERVER: OnceLock<std::result::Result<Redis, String>> = OnceLock::new();
    match named("FLK_TEST_REDIS") {
        Some(named) => named_redis(named),
        None => once(&SERVER, "Redis", || Redis::start(&RedisOptions::default())).map(Redis::url),
    }
}

/// The URL of the shared Postgres.
///
/// # Errors
/// Where the named one does not answer, or none can be started.
pub fn postgres() -> Result<String> {
    static SERVER: OnceLock<std::result::Result<Postgres, String>> = OnceLock::new();
    match named("FLK_TEST_POSTGRES") {
        Some(url) => named_postgres(url),
        None => once(&SERVER, "Postgres", || Postgres::start(&[])).map(Postgres::url),
    }
}

fn named_kafka(bootstrap: String) -> Result<String> {
    kafka::answers(&bootstrap).map(|()| bootstrap)
}

fn named_redis(named: String) -> Result<String> {
    let url = if named.contains("://") { named } else { format!("redis://{named}") };
    redis::answers(&host("FLK_TEST_REDIS", &url, "6379")?).map(|()| url)
}

fn named_postgres(url: String) -> Result<String> {
    postgres::answers(&host("FLK_TEST_POSTGRES", &url, "5432")?).map(|()| url)
}

fn named(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Starts it once. An error is kept too: every test says it, and none waits for it again.
fn once<S: Sync>(
    server: &'static OnceLock<std::result::Result<S, String>>,
    name: &str,
    start: impl FnOnce() -> Result<S>,
) -> Result<&'static S> {
    let started = server.get_or_init(|| start().map_err(|error| error.to_string()));
    started.as_ref().map_err(|error| Error::Shared { name: name.to_owned(), error: error.clone() })
}

/// `HOST:PORT` of a URL.
fn host(variable: &str, url: &str, port: &str) -> Result<String> {
    let rest = url.split_once("://").map(|(_, rest)| rest);
    let authority = rest.and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // Behind the brackets of an IPv6 address, if there are any.
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    match host {
        "" => Err(Error::Use {
            what: format!("{variable}={url}"),
            instead: "give a URL: redis://HOST:PORT, postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        }),
        host if has_port => Ok(host.to_owned()),
        host => Ok(format!("{host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{host, named_kafka, named_postgres, named_redis};
    use crate::{Kafka, KafkaOptions, Postgres, Redis, RedisOptions};

    #[test]
    fn a_server_that_is_named_is_taken_once_it_answers() {
        let redis = Redis::start(&RedisOptions::default()).unwrap();
        assert_eq!(named_redis(redis.url()).unwrap(), redis.url());
        assert_eq!(named_redis(redis.addr().to_string()).unwrap(), redis.url());
        let postgres = Postgres::start(&[]).unwrap();
        assert_eq!(named_postgres(postgres.url()).unwrap(), postgres.url());
        let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
        assert_eq!(named_kafka(kafka.bootstrap()).unwrap(), kafka.bootstrap());
    }

    #[test]
    fn the_address_of_a_url_is_found_whatever_is_around_it() {
        let cases = [
            ("redis://127.0.0.1:6380", "127.0.0.1:6380"),
            ("redis://localhost", "localhost:1"),
            ("rediss://user:p%40ss@host:7/0?x=1", "host:7"),
            ("postgres://u:p@[::1]:5/db", "[::1]:5"),
            ("postgres://u@[::1]/db", "[::1]:1"),
        ];
        for (url, expected) in cases {
            assert_eq!(host("V", url, "1").unwrap(), expected);
        }
        assert!(host("V", "127.0.0.1:5432", "1").is_err());
        assert!(host("V", "postgres:///db", "1").is_err());
    }
}
