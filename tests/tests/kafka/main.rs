//! The promises of the service over Kafka and Redis, each with the real binary, real servers and a real fault. What is
//! on the topics in the end is checked from the topics alone (`flk_tests::audit`): every record has one outcome, every
//! id one result, and nobody was told another.
//!
//! How the rooms keep these promises one by one, at every step of theirs, is tested in their own crates; every order of
//! events is tried in `tests/model`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can not go on has failed")]
#![allow(clippy::print_stdout, reason = "what a failed run is repeated with is shown with it")]

mod away;
mod drill;
mod log_away;
mod moving;
mod read_side;
mod straight;
mod zombie;

use std::time::Duration;

use flk_tests::{Pcs, Request, Response, Rng, Role, Service, Setup, Traffic, audit, rng, stand::PARTITIONS, until};

/// Longer than a session of a consumer group (30 s) and all that follows its end.
const TAKEN_OVER: Duration = Duration::from_secs(90);

/// So many processes of each role.
fn fleet(ingests: usize, verifiers: usize, sinks: usize) -> Setup {
    let of = |role, n| std::iter::repeat_n(role, n);
    let members: Vec<Role> =
        of(Role::Ingest, ingests).chain(of(Role::Verifier, verifiers)).chain(of(Role::Sink, sinks)).collect();
    Setup::hmac().roles(&members)
}

/// Clients submit records of every kind while `fault` happens, and until each has its final answer.
fn under_load(service: &mut Service, clients: u64, fault: impl FnOnce(&mut Service, &Traffic)) -> Traffic {
    let ingests = service.processes().iter().filter(|process| process.name().starts_with("ingest")).count();
    let doors = (0..ingests).map(|n| service.process(Role::Ingest, n).addr()).collect();
    let traffic = Traffic::new("load", doors).paced(Duration::from_millis(20));
    let seed = rng::seed();
    println!("FLK_SEED={seed}");
    let mut rng = Rng::new(seed);
    std::thread::scope(|scope| {
        // A fault that fails its test ends the clients too.
        let _stop = StopWhenDropped(&traffic);
        for client in 0..clients {
            let (traffic, rng) = (&traffic, rng.fork());
            scope.spawn(move || traffic.run(client, rng, u64::MAX));
        }
        answered(&traffic, 200);
        fault(service, &traffic);
        answered(&traffic, 200);
    });
    traffic
}

struct StopWhenDropped<'a>(&'a Traffic);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Waits until so many more final answers have come.
fn answered(traffic: &Traffic, more: u64) {
    let before = traffic.answered();
    until("clients are answered", TAKEN_OVER, || traffic.answered() >= before + more);
}

/// Every record has one outcome, every id one result: on the topics, as told, and as served.
fn all_is_well(service: &Service, traffic: &Traffic) {
    let audit = audit::settled(service.stand().unwrap(), TAKEN_OVER);
    service.read_side_is_complete();
    let mut faults = audit.against(traffic);
    faults.extend(audit::served(service, &audit));
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A fresh record of each partition of pcs.verified is told its verdict.
fn every_partition_settles(service: &Service) {
    for partition in 0..PARTITIONS {
        let pcs = Pcs::in_partition(partition, PARTITIONS);
        until("a record of each partition is told its verdict", TAKEN_OVER, || {
            service.client().send(&Request::submit(&pcs).prefer("wait=2")).is_ok_and(|answer| answer.status == 200)
        });
    }
}

/// Several submissions at a time.
fn submit_all(service: &Service, records: &[Pcs]) -> Vec<Response> {
    std::thread::scope(|scope| {
        let submit = |pcs| scope.spawn(move || service.submit(pcs));
        let all: Vec<_> = records.iter().map(submit).collect();
        all.into_iter().map(|answer| answer.join().unwrap()).collect()
    })
}
