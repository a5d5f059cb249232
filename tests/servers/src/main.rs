//! Starts servers, says where they are, and ends them with its standard input: for scripts, for trying things by
//! hand, and for the test that servers end with a process that is killed.
//!
//! `cargo run -p flk-servers -- kafka redis postgres` prints `FLK_TEST_KAFKA=...` and so on, a line each as it is
//! ready; `kafka3` is a Kafka of three brokers.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use flk_servers::{Cluster, Error, Kafka, KafkaOptions, Postgres, Redis, RedisOptions};

/// What was asked for, kept until the end.
enum Server {
    Kafka { _until_dropped: Kafka },
    Redis { _until_dropped: Redis },
    Postgres { _until_dropped: Postgres },
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error closed there is nobody to tell; the code says it too.
            let _ = writeln!(io::stderr(), "flk-servers: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(names: impl Iterator<Item = String>, out: &mut impl Write) -> Result<(), Error> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| Error::Io { what, source }
    };
    let mut servers = Vec::new();
    for name in names {
        let (server, line) = start(&name)?;
        servers.push(server);
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(io("standard output"))?;
    }
    if servers.is_empty() {
        return Err(Error::Use { what: "no server".into(), instead: "name some of: kafka kafka3 redis postgres" });
    }
    io::stdin().lock().read_to_end(&mut Vec::new()).map(drop).map_err(io("standard input"))
}

fn start(name: &str) -> Result<(Server, String), Error> {
    let kafka = |cluster| {
        let kafka = Kafka::start(&KafkaOptions { cluster, ..KafkaOptions::default() })?;
        let line = format!("FLK_TEST_KAFKA={}", kafka.bootstrap());
        Ok((Server::Kafka { _until_dropped: kafka }, line))
    };
    match name {
        "kafka" => kafka(Cluster::One),
        "kafka3" => kafka(Cluster::Three),
        "redis" => {
            let redis = Redis::start(&RedisOptions::default())?;
            let line = format!("FLK_TEST_REDIS={}", redis.url());
            Ok((Server::Redis { _until_dropped: redis }, line))
        }
        "postgres" => {
            let postgres = Postgres::start(&[])?;
            let line = format!("FLK_TEST_POSTGRES={}", postgres.url());
            Ok((Server::Postgres { _until_dropped: postgres }, line))
        }
        _ => Err(Error::Use { what: format!("server {name:?}"), instead: "name some of: kafka kafka3 redis postgres" }),
    }
}
