//! `make demo-kafka`: the service over Kafka and Redis, two processes of each role, under load and under fire. Ends
//! with a table in which every record has one outcome and every id one result, taken from the topics themselves and
//! compared with what clients were told and what is served. The exit code is 0 only then.
//!
//! It starts servers of its own, and all of them end with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a demonstration that can not go on has failed, and it speaks to whoever started it"
)]

mod table;

use std::{process::ExitCode, sync::Arc, time::Instant};

use flk_log::topic::Topic;
use flk_servers::{Kafka, KafkaOptions, Redis, RedisOptions};
use flk_tests::{
    DEADLINE, Pcs, Rng, Role, Service, Setup, Stand, Traffic, audit, kafka::Producer, record::USUAL, traffic::Kind,
    until,
};
use table::Table;

/// Agents that submit by HTTP at a time, and how much each has to tell.
const CLIENTS: u64 = 16;
const RECORDS: u64 = 200;
/// Records that are produced straight to pcs.raw.
const STRAIGHT: i64 = 800;

/// What is killed, and after how many answers.
const KILLED: [(Role, u64); 3] = [(Role::Verifier, 400), (Role::Sink, 1000), (Role::Ingest, 1600)];
/// After how many answers Redis is flushed.
const FLUSHED: u64 = 2200;

fn main() -> ExitCode {
    let begun = Instant::now();
    let say = |what: &str| eprintln!("demo-kafka: {:5.1} s  {what}", begun.elapsed().as_secs_f64());

    say("starting Kafka and Redis of its own");
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let redis = Arc::new(Redis::start(&RedisOptions::default()).unwrap_or_else(|error| panic!("{error}")));
    say("creating the topics: flk topics apply");
    let stand = Stand::at(&kafka.bootstrap(), redis);
    say("starting two of each role: flk ingest, flk verifier, flk dedup-sink");
    let members = [Role::Ingest, Role::Ingest, Role::Verifier, Role::Verifier, Role::Sink, Role::Sink];
    let mut service = Setup::hmac().on(&stand).roles(&members).start();

    let doors = (0..2).map(|n| service.process(Role::Ingest, n).addr()).collect();
    let traffic = Traffic::new("demo", doors);
    say(&format!(
        "submitting {} records by HTTP from {CLIENTS} clients, and {STRAIGHT} straight to Kafka",
        CLIENTS * RECORDS
    ));
    std::thread::scope(|scope| {
        let mut rng = Rng::new(flk_tests::rng::seed());
        for client in 0..CLIENTS {
            let (traffic, rng) = (&traffic, rng.fork());
            scope.spawn(move || traffic.run(client, rng, RECORDS));
        }
        scope.spawn(|| produce(&stand, &traffic));
        under_fire(&mut service, &stand, &traffic, &say);
        say("all of them go on until every client has its final answer");
    });

    say("waiting until every record on the topics has its outcome, and the read side is whole again");
    let audit = audit::settled(&stand, DEADLINE);
    service.read_side_is_complete();
    say("asking for every record and every result by HTTP");
    let differs = audit::served(&service, &audit);
    let table = Table::of(&traffic, &audit, &differs);
    say("done");
    println!("\n{table}");
    if table.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a program does that knows Kafka, and nothing of this service.
fn produce(stand: &Stand, traffic: &Traffic) {
    let producer = Producer::to(stand, Topic::Raw);
    for n in 0..STRAIGHT {
        let body = Pcs::new("straight to Kafka", n).signed(USUAL).body();
        traffic.known(Kind::Straight, &body);
        producer.send(&body);
    }
    producer.flush();
}

/// SIGKILL for one of each role while clients wait, and a Redis that forgets everything.
fn under_fire(service: &mut Service, stand: &Stand, traffic: &Traffic, say: &impl Fn(&str)) {
    for (role, at) in KILLED {
        until("the clients are answered", DEADLINE, || traffic.answered() >= at);
        service.process(role, 0).kill9();
        say(&format!("SIGKILL for one flk {} after {at} answers; starting it again", role.command()));
        service.start_one(role, 0);
        if role == Role::Ingest {
            traffic.moved(0, service.process(role, 0).addr());
        }
    }
    until("the clients are answered", DEADLINE, || traffic.answered() >= FLUSHED);
    stand.redis().flush().unwrap_or_else(|error| panic!("{error}"));
    say(&format!("Redis flushed after {FLUSHED} answers"));
}
