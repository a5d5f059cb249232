//! Redis flushed, empty, failed over, away, hanging, evicting, full.

use std::time::Duration;

use flk_results::read_side::{Lookup, ReadSide, ReadSideError, Reason, Warning};
use flk_servers::{Direction, Proxy, Redis, RedisOptions, Stop};

use super::Server;
use crate::support::{
    Sink, away, fails_at_once_and_recovers, find, gives_up_in_time_and_recovers, join, published, until,
};

const DEADLINE: Duration = Duration::from_millis(500);

fn server_with(settings: &[(&str, &str)]) -> Server {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Server(Redis::start(&RedisOptions { settings, ..RedisOptions::default() }).unwrap().into())
}

#[tokio::test]
async fn flushed_it_says_so_and_is_brought_back() {
    let server = Server::start();
    let side = Server::side(&server.0.url());
    let mut sink = Sink::new(server.time());
    assert_eq!(sink.go_on(&side, 300).await, Ok(published(300, true)));
    server.0.flush().unwrap();
    assert_eq!(find(&side, 7).await, Ok(Lookup::Miss { ready: false }));
    assert_eq!(sink.go_on(&side, 10).await, Ok(published(0, false)));
    assert_eq!(sink.heal(&side).await, Ok(published(310, true)));
    sink.assert_all(&side).await;
}

#[tokio::test]
async fn restarted_empty_it_says_so_and_is_brought_back() {
    let server = Server::start();
    let side = Server::side(&server.0.url());
    let mut sink = Sink::new(server.time());
    sink.go_on(&side, 20).await.unwrap();
    server.0.restart_empty().unwrap();
    until("it is read again", async || find(&side, 7).await == Ok(Lookup::Miss { ready: false })).await;
    until("it is written again", async || sink.idle(&side).await == Ok(published(0, false))).await;
    assert_eq!(sink.heal(&side).await, Ok(published(20, true)));
    sink.assert_all(&side).await;
}

#[tokio::test]
async fn failed_over_to_a_replica_that_lags_it_is_behind_and_brought_back() {
    let primary = Server::start();
    let way = Proxy::start(primary.0.addr()).unwrap();
    let side = Server::side(&format!("redis://{}", way.addr()));
    let mut sink = Sink::new(primary.time());
    sink.go_on(&side, 20).await.unwrap();
    let replica = primary.0.replica().unwrap();
    replica.link().stall(Direction::Both);
    assert_eq!(sink.go_on(&side, 5).await, Ok(published(25, true)));
    primary.0.stop(Stop::Kill).unwrap();

    // The way leads to it before it is a primary: what it says is not told, what it has not is no miss.
    way.aim(replica.redis().addr());
    way.cut();
    until("a replica is known as one", async || away(sink.idle(&side).await).0 == Reason::Replica).await;
    until("by readers too", async || away(find(&side, 22).await).0 == Reason::Replica).await;
    until("and for who asks for its health", async || away(side.health().await).0 == Reason::Replica).await;

    replica.promote().unwrap();
    until("the loss is noticed", async || sink.idle(&side).await == Ok(published(20, false))).await;
    until("and told", async || find(&side, 22).await == Ok(Lookup::Miss { ready: false })).await;
    assert_eq!(find(&side, 3).await, Ok(Lookup::Hit(Box::new(sink.settled(3)))));
    assert_eq!(sink.heal(&side).await, Ok(published(25, true)));
    sink.assert_all(&side).await;
}

#[tokio::test]
async fn while_it_is_away_calls_fail_at_once() {
    let server = Server::start();
    let way = Proxy::start(server.0.addr()).unwrap();
    let side = Server::side(&format!("redis://{}", way.addr()));
    let mut sink = Sink::new(server.time());
    sink.go_on(&side, 20).await.unwrap();
    let go = || {
        way.refuse().unwrap();
        way.cut();
    };
    fails_at_once_and_recovers(&side, &mut sink, go, || way.accept().unwrap()).await;
    assert_eq!(way.connections(), 2, "one to read, one to write");
}

#[tokio::test]
async fn while_it_hangs_calls_end_in_time() {
    let server = Server::start();
    let way = Proxy::start(server.0.addr()).unwrap();
    let side = Server::side(&format!("redis://{}", way.addr()));
    let mut sink = Sink::new(server.time());
    sink.go_on(&side, 20).await.unwrap();
    for direction in [Direction::ToServer, Direction::ToClient] {
        gives_up_in_time_and_recovers(&side, DEADLINE, &mut sink, || way.stall(direction), || way.resume()).await;
    }
    let (pause, resume) = (|| server.0.pause().unwrap(), || server.0.resume().unwrap());
    gives_up_in_time_and_recovers(&side, DEADLINE, &mut sink, pause, resume).await;
    until("connections that were given up are closed", async || way.connections() == 2).await;
}

/// Each of them leaves its answer behind on a connection that others use.
#[tokio::test]
async fn callers_that_go_away_leave_answers_to_their_askers() {
    let server = Server::start();
    let way = Proxy::start(server.0.addr()).unwrap();
    let side = Server::side(&format!("redis://{}", way.addr()));
    let mut sink = Sink::new(server.time());
    sink.go_on(&side, 50).await.unwrap();
    for round in 0..50 {
        let calls = (0..50).map(async |n| {
            let patience = Duration::from_micros(20 * ((n + round) % 50));
            let n = i64::try_from(n).unwrap();
            if let Ok(found) = tokio::time::timeout(patience, find(&side, n)).await {
                assert_eq!(found, Ok(Lookup::Hit(Box::new(sink.settled(n)))), "{n}");
            }
            if let Ok(told) = tokio::time::timeout(patience, sink.send(&side, n, n + 1)).await {
                assert_eq!(told, Ok(published(50, true)));
            }
        });
        join(calls).await;
    }
    sink.assert_all(&side).await;
    assert_eq!(way.connections(), 2);
}

/// Evicting: what is told is right, or nothing is told.
#[tokio::test]
async fn one_that_evicts_is_warned_of_and_never_believed_in_a_miss() {
    let server = server_with(&[("maxmemory", "4mb"), ("maxmemory-policy", "allkeys-lru")]);
    let side = Server::side(&server.0.url());
    assert_eq!(side.health().await, Ok(vec![Warning::Evicts("allkeys-lru".into())]));
    let mut sink = Sink::new(server.time());
    let evicted = async || side.health().await.unwrap().iter().any(|warning| matches!(warning, Warning::Evicted(_)));
    while !evicted().await {
        assert!(sink.end() < 100_000, "4 MiB hold them all?");
        // A marker that is evicted says 0, as after any loss.
        let told = sink.go_on(&side, 1000).await.unwrap();
        assert!(told.next == sink.end() || told.next == 0, "{told:?}");
    }
    let mut missed = 0;
    for n in (0..sink.end()).step_by(7) {
        match find(&side, n).await.unwrap() {
            Lookup::Hit(settled) => assert_eq!(*settled, sink.settled(n)),
            Lookup::Miss { ready } => {
                assert!(!ready, "{n} was told, and is a 404");
                missed += 1;
            }
        }
    }
    assert!(missed > 0);
    // The advice of the warning.
    for setting in [["maxmemory", "0"], ["maxmemory-policy", "noeviction"]] {
        server.0.call(&["CONFIG", "SET", setting[0], setting[1]]).unwrap();
    }
    server.0.flush().unwrap();
    server.0.call(&["CONFIG", "RESETSTAT"]).unwrap();
    assert_eq!(sink.heal(&side).await, Ok(published(sink.end(), true)));
    assert_eq!(side.health().await, Ok(vec![]));
    sink.assert_all(&side).await;
}

#[tokio::test]
async fn one_that_is_full_takes_a_batch_whole_or_not_at_all() {
    let server = server_with(&[("maxmemory", "3mb"), ("maxmemory-policy", "noeviction")]);
    let side = Server::side(&server.0.url());
    let mut sink = Sink::new(server.time());
    let taken = loop {
        let before = sink.end();
        assert!(before < 100_000, "3 MiB hold them all?");
        match sink.go_on(&side, 500).await {
            Ok(told) => assert_eq!(told, published(sink.end(), true)),
            Err(ReadSideError::Away { reason: Reason::Full, detail }) => {
                assert!(detail.contains("no room") && detail.contains("maxmemory"), "{detail}");
                break before;
            }
            Err(other) => panic!("{other}"),
        }
    };
    for n in taken..sink.end() {
        assert_eq!(find(&side, n).await, Ok(Lookup::Miss { ready: false }), "{n}");
    }
    for n in (0..taken).step_by(50) {
        assert_eq!(find(&side, n).await, Ok(Lookup::Hit(Box::new(sink.settled(n)))));
    }
    assert_eq!(sink.idle(&side).await, Ok(published(taken, false)));
    assert_eq!(away(sink.heal(&side).await).0, Reason::Full);
    let warnings = side.health().await.unwrap();
    assert!(matches!(warnings[..], [Warning::NearlyFull { limit: 3_145_728, .. }]), "{warnings:?}");

    server.0.call(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    assert_eq!(sink.heal(&side).await, Ok(published(sink.end(), true)));
    sink.assert_all(&side).await;
}

/// The first batch of all: there is no marker yet that could say that the store lacks something.
#[tokio::test]
async fn one_that_is_full_from_the_start_says_that_it_is_not_ready() {
    let server = server_with(&[("maxmemory", "1"), ("maxmemory-policy", "noeviction")]);
    let side = Server::side(&server.0.url());
    let mut sink = Sink::new(server.time());
    for _ in 0..2 {
        assert_eq!(away(sink.go_on(&side, 5).await).0, Reason::Full);
        assert_eq!(find(&side, 3).await, Ok(Lookup::Miss { ready: false }));
    }
    server.0.call(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    assert_eq!(sink.idle(&side).await, Ok(published(0, false)));
    assert_eq!(sink.heal(&side).await, Ok(published(10, true)));
}

/// What somebody else wrote under these names, or a newer release: never taken for a miss.
#[tokio::test]
async fn what_can_not_be_read_is_no_miss() {
    let server = Server::start();
    let side = Server::side(&server.0.url());
    let mut sink = Sink::new(server.time());
    sink.go_on(&side, 3).await.unwrap();
    let keys = server.0.call(&["KEYS", "flk:{*}"]).unwrap().text();
    assert_eq!(keys.lines().count(), 1, "{keys}");
    for text in ["", "3", "3 3", "x 3 3 pcs.raw the log", "3 3 3 pcs.raw another log", "99999999999999999999 3 x"] {
        server.0.call(&["SET", &keys, text]).unwrap();
        assert_eq!(find(&side, 9).await, Ok(Lookup::Miss { ready: false }), "{text}");
        assert_eq!(sink.heal(&side).await, Ok(published(3, true)), "{text}");
    }
    server.0.call(&["DEL", &keys]).unwrap();
    server.0.call(&["RPUSH", &keys, "a list"]).unwrap();
    assert_eq!(find(&side, 9).await, Ok(Lookup::Miss { ready: false }));
    let (reason, detail) = away(sink.idle(&side).await);
    assert!(reason == Reason::Fault && detail.contains("WRONGTYPE"), "{detail}");
    server.0.call(&["DEL", &keys]).unwrap();
    sink.heal(&side).await.unwrap();
    // A value of a later form.
    let script = "for _, key in ipairs(redis.call('KEYS', 'flk:{*}:*')) do redis.call('SET', key, '\\9x') end";
    server.0.call(&["EVAL", script, "0"]).unwrap();
    let (reason, detail) = away(find(&side, 1).await);
    assert!(reason == Reason::Setup && detail.contains("version 9"), "{detail}");
}
