//! Redis is away, or forgets: GETs wait for it, verdicts do not, and it heals by itself out of the sinks' indexes.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use flk_servers::{Redis, Stop};
use flk_tests::{Client, DEADLINE, Pcs, Request, Service, Traffic, until};
use serde_json::Value;

use super::{all_is_well, answered, fleet, under_load};

/// An id that could be somebody's, and that nobody has settled. What can not be one is 404 without asking.
const NOBODYS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Asks for everything that is told, again and again, until it is stopped: nobody ever reads another result.
fn reads(traffic: &Traffic, to: std::net::SocketAddr, stop: &AtomicBool) -> u64 {
    let (mut client, mut found) = (Client::new(to), 0);
    while !stop.load(Ordering::Relaxed) {
        let told: BTreeMap<String, Value> = traffic.told();
        for (id, result) in told.iter().rev().take(50) {
            let answer = client.call(&Request::get(&format!("/v1/pcs/{id}")));
            match answer.status {
                200 => assert_eq!(answer.json(), *result),
                // Until somebody has noticed the loss.
                404 => {}
                _ => assert_eq!((answer.status, answer.header("retry-after")), (503, Some("60")), "{answer}"),
            }
            found += u64::from(answer.status == 200);
        }
    }
    found
}

fn forgets(fault: impl FnOnce(&Redis, &Service, &Traffic)) {
    let mut service = fleet(1, 1, 2).start();
    let traffic = under_load(&mut service, 4, |service, traffic| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| reads(traffic, service.addr(), &stop));
            fault(service.stand().unwrap().redis(), service, traffic);
            answered(traffic, 100);
            for (id, result) in traffic.told() {
                until("every result that was told is there again", DEADLINE, || service.result(&id).status == 200);
                assert_eq!(service.result(&id).json(), result);
            }
            stop.store(true, Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0);
        });
    });
    all_is_well(&service, &traffic);
}

#[test]
fn a_redis_that_is_flushed_under_load_is_filled_again() {
    forgets(|redis, _, traffic| {
        for _ in 0..3 {
            redis.flush().unwrap();
            answered(traffic, 30);
        }
    });
}

#[test]
fn a_redis_that_is_started_again_empty_is_filled_again() {
    forgets(|redis, _, traffic| {
        redis.restart_empty().unwrap();
        answered(traffic, 30);
    });
}

#[test]
fn while_redis_is_away_verdicts_go_on_and_gets_are_503() {
    forgets(|redis, service, traffic| {
        redis.stop(Stop::Kill).unwrap();
        answered(traffic, 100);
        // What nobody has been told cannot be answered for at all; nor can what somebody has.
        let pcs = Pcs::fresh();
        let _ = service.submit(&pcs).expect(200);
        for id in [pcs.id(), NOBODYS] {
            let answer = service.result(id).expect(503);
            assert_eq!(answer.header("retry-after"), Some("60"), "{answer}");
        }
        // GETs need it, and nothing else does.
        let ready = service.get("/readyz").expect(200);
        until("it is said that the read side is away", DEADLINE, || {
            service.get("/readyz").json()["checks"]["read_side"]["ok"] == false
        });
        assert_eq!(ready.json()["checks"]["log"]["ok"], true);
        redis.start_again().unwrap();
    });
}

#[test]
fn a_redis_that_hangs_holds_up_no_verdict() {
    forgets(|redis, service, traffic| {
        redis.pause().unwrap();
        answered(traffic, 60);
        let answer = service.result(NOBODYS);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("60")), "{answer}");
        redis.resume().unwrap();
    });
}
