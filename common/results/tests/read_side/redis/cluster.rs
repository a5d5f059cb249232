//! A Redis cluster: every partition at its server, slots that move, and a server that fails.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flk_contract::{LogTime, Tenant};
use flk_results::read_side::{
    Batch, Lookup, ReadSide, Reason, RedisReadSide, RedisSettings, Subject,
    conformance::{PARTITION, entry, id_of, subject},
    slots,
};
use flk_servers::{Redis, RedisOptions, Stop};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net,
};

use super::Server;
use crate::support::{Sink, away, find, published, until};

const THIRDS: [(u16, u16); 3] = [(0, 5461), (5462, 10922), (10923, 16383)];

fn node() -> Redis {
    // The port of the cluster's own protocol; by default it is ten thousand more, which there may not be.
    let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = [
        ("cluster-enabled", "yes".to_owned()),
        ("cluster-port", bus.to_string()),
        ("cluster-node-timeout", "1000".to_owned()),
        // A server that is gone does not hinder those of other slots.
        ("cluster-require-full-coverage", "no".to_owned()),
        ("cluster-replica-validity-factor", "0".to_owned()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Redis::start(&RedisOptions { settings, ..RedisOptions::default() }).unwrap()
}

fn ok(node: &Redis, args: &[&str]) -> String {
    match node.call(args).unwrap() {
        flk_servers::Reply::Error(why) => panic!("{args:?}: {why}"),
        reply => reply.text(),
    }
}

/// What CONFIG says of a server's bus.
fn meet(node: &Redis, other: &Redis) {
    let bus = ok(other, &["CONFIG", "GET", "cluster-port"]).lines().last().unwrap().to_owned();
    ok(node, &["CLUSTER", "MEET", "127.0.0.1", &other.addr().port().to_string(), &bus]);
}

/// Three servers, each with a third of the slots.
async fn cluster() -> Vec<Redis> {
    let nodes: Vec<_> = (0..3).map(|_| node()).collect();
    for (node, (from, to)) in nodes.iter().zip(THIRDS) {
        ok(node, &["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
        meet(node, &nodes[0]);
    }
    agree(&nodes).await;
    nodes
}

async fn agree(nodes: &[Redis]) {
    let known = format!("cluster_known_nodes:{}", nodes.len());
    until("all know all", async || {
        nodes.iter().all(|node| {
            let info = ok(node, &["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384") && info.contains(&known)
        })
    })
    .await;
}

fn slot_of(partition: u32) -> u16 {
    slots::slot(&slots::tags(subject().partitions)[partition as usize])
}

/// The server of a slot.
fn of(nodes: &[Redis], slot: u16) -> usize {
    let third = THIRDS.iter().position(|(from, to)| (*from..=*to).contains(&slot)).unwrap();
    assert!(third < nodes.len());
    third
}

fn now() -> LogTime {
    Server::start().time()
}

#[tokio::test]
async fn every_partition_is_at_its_server_and_found_there() {
    let nodes = cluster().await;
    let about = Subject { partitions: 48.try_into().unwrap(), ..subject() };
    let tenant = Tenant::default_tenant();
    let at = now();
    for first in &nodes {
        let side = RedisReadSide::new(about.clone(), &RedisSettings::new(first.url())).unwrap();
        for partition in 0..48 {
            let entries = [entry(&about, partition, 1, 1, at), entry(&about, partition, 2, 2, at)];
            let batch = Batch { partition, from: 0, to: 3, end: 3, entries: &entries };
            assert_eq!(side.publish(&batch).await, Ok(published(3, true)));
            for (n, entry) in (1..).zip(entries) {
                let found = side.read(&tenant, &id_of(&about, &tenant, partition, n)).await;
                assert_eq!(found, Ok(Lookup::Hit(Box::new(entry.settled))));
            }
            let missed = side.read(&tenant, &id_of(&about, &tenant, partition, 3)).await;
            assert_eq!(missed, Ok(Lookup::Miss { ready: true }));
        }
        assert_eq!(side.health().await, Ok(vec![]));
    }
    for node in &nodes {
        let markers = ok(node, &["KEYS", "flk:{*}"]);
        assert_eq!(markers.lines().count(), 16, "{markers}");
    }
}

/// An operator moves a slot while results are written and read.
#[tokio::test]
async fn while_a_slot_moves_nothing_wrong_is_said_and_then_it_goes_on() {
    let nodes = cluster().await;
    let slot = slot_of(PARTITION);
    let (from, to) = (of(&nodes, slot), (of(&nodes, slot) + 1) % 3);
    let side = Server::side(&nodes[from].url());
    let mut sink = Sink::new(now());
    sink.go_on(&side, 30).await.unwrap();
    let text = slot.to_string();
    let id = |n: usize| ok(&nodes[n], &["CLUSTER", "MYID"]);
    ok(&nodes[to], &["CLUSTER", "SETSLOT", &text, "IMPORTING", &id(from)]);
    ok(&nodes[from], &["CLUSTER", "SETSLOT", &text, "MIGRATING", &id(to)]);

    let moving = |(reason, detail): (Reason, String)| {
        assert_eq!(reason, Reason::Unreachable, "{detail}");
        assert!(detail.contains("moving"), "{detail}");
    };
    // All is at its old place yet: what is there is found, and what is not there could be at the other.
    assert_eq!(find(&side, 3).await, Ok(Lookup::Hit(Box::new(sink.settled(3)))));
    moving(away(find(&side, 99).await));
    moving(away(sink.go_on(&side, 5).await));
    let port = nodes[to].addr().port().to_string();
    loop {
        let keys = nodes[from].call(&["CLUSTER", "GETKEYSINSLOT", &text, "1"]).unwrap();
        let flk_servers::Reply::Array(Some(keys)) = keys else { panic!("{keys:?}") };
        let Some(flk_servers::Reply::Bulk(Some(_))) = keys.first() else { break };
        // Keys are bytes, and the harness says text: a script takes them along.
        let moved = "for _, key in ipairs(redis.call('CLUSTER', 'GETKEYSINSLOT', ARGV[1], 10)) do \
                     redis.call('MIGRATE', '127.0.0.1', ARGV[2], key, 0, 4000) end";
        match nodes[from].call(&["EVAL", moved, "0", &text, &port]).unwrap() {
            flk_servers::Reply::Error(why) => panic!("{why}"),
            _ => {
                // In between: no result is found that is not the right one, and none is missed.
                match find(&side, 3).await {
                    Ok(Lookup::Hit(settled)) => assert_eq!(*settled, sink.settled(3)),
                    other => moving(away(other)),
                }
                moving(away(sink.heal(&side).await));
            }
        }
    }
    for node in &nodes {
        ok(node, &["CLUSTER", "SETSLOT", &text, "NODE", &id(to)]);
    }
    assert_eq!(sink.idle(&side).await, Ok(published(30, false)));
    assert_eq!(sink.heal(&side).await, Ok(published(35, true)));
    sink.assert_all(&side).await;
}

/// The very server that the settings name is gone, and its replica has taken over.
#[tokio::test]
async fn a_replica_that_takes_over_is_found_by_asking_the_others() {
    let mut nodes = cluster().await;
    let first = of(&nodes, slot_of(PARTITION));
    let replica = node();
    meet(&replica, &nodes[first]);
    nodes.push(replica);
    agree(&nodes).await;
    ok(&nodes[3], &["CLUSTER", "REPLICATE", &ok(&nodes[first], &["CLUSTER", "MYID"])]);
    until("the replica follows", async || ok(&nodes[3], &["INFO", "replication"]).contains("master_link_status:up"))
        .await;

    let side = Server::side(&nodes[first].url());
    let mut sink = Sink::new(now());
    sink.go_on(&side, 20).await.unwrap();
    // Partitions of others: so it knows of them.
    for partition in (0..3).filter(|partition| *partition != PARTITION) {
        let batch = Batch { partition, from: 0, to: 0, end: 0, entries: &[] };
        assert_eq!(side.publish(&batch).await, Ok(published(0, true)));
    }
    until("the replica has it all", async || ok(&nodes[first], &["WAIT", "1", "1000"]) == "1").await;
    nodes[first].stop(Stop::Kill).unwrap();
    away(sink.idle(&side).await);
    until("it is written again", async || sink.idle(&side).await == Ok(published(20, true))).await;
    until("it is read again", async || find(&side, 3).await.is_ok()).await;
    sink.assert_all(&side).await;
    // Health is of the servers that have partitions.
    assert_eq!(side.health().await, Ok(vec![]));
    sink.go_on(&side, 5).await.unwrap();
    sink.assert_all(&side).await;
}

/// A server of Redis' protocol that says the same to everything between two ROLEs.
async fn says(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let (answer, count) = (Arc::new(answer), Arc::clone(&connections));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    let role = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
                    let reply = format!("{role}{}{role}", answer(number));
                    if stream.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, connections)
}

#[tokio::test]
async fn servers_that_send_on_and_on_are_given_up() {
    // To itself, under the name of whoever was asked.
    let (url, connections) = says(|_| "-MOVED 7 :1\r\n".into()).await;
    let side = Server::side(&url);
    let (reason, detail) = away(find(&side, 1).await);
    assert_eq!(reason, Reason::Unreachable);
    assert!(detail.contains("127.0.0.1:1"), "{detail}");
    assert_eq!(connections.load(Ordering::Relaxed), 1);

    let (url, _) = says(|_| "-MOVED 7 nowhere\r\n".into()).await;
    assert_eq!(away(find(&Server::side(&url), 1).await).0, Reason::Fault);

    let back: Arc<std::sync::OnceLock<String>> = Arc::default();
    let to = Arc::clone(&back);
    let (url, _) = says(move |_| format!("-MOVED 7 {}\r\n", to.get().unwrap())).await;
    back.set(url.replace("redis://", "")).unwrap();
    let (reason, detail) = away(find(&Server::side(&url), 1).await);
    assert_eq!(reason, Reason::Unreachable);
    assert!(detail.contains("on and on"), "{detail}");
}

/// What is no answer to what was asked: no panic, and nothing that anybody is told.
#[tokio::test]
async fn answers_that_are_none_are_faults() {
    let answers = [
        "+OK\r\n",
        ":7\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n$-1\r\n",
        "*3\r\n$-1\r\n$-1\r\n$-1\r\n",
        "*2\r\n:1\r\n+2\r\n",
        "*2\r\n*0\r\n$-1\r\n",
        "-ERR no\r\n",
        "-\r\n",
        "-MOVED\r\n",
        "-ASK 3 h:1\r\n",
        "-TRYAGAIN later\r\n",
        "-CLUSTERDOWN\r\n",
        "-LOADING soon\r\n",
        "-READONLY x\r\n",
        "-NOSCRIPT x\r\n",
        "-MASTERDOWN x\r\n",
        "nonsense\r\n",
        "$4\r\nabcdef\r\n",
    ];
    for answer in answers {
        let (url, _) = says(move |_| answer.into()).await;
        let side = RedisReadSide::new(
            subject(),
            &RedisSettings { deadline: Duration::from_secs(2), ..RedisSettings::new(url) },
        )
        .unwrap();
        let sink = Sink::new(LogTime::from_millis(0));
        let (read, written) = (away(find(&side, 1).await), away(sink.idle(&side).await));
        assert!(!read.1.is_empty() && !written.1.is_empty(), "{answer}");
    }
}

/// In a cluster, too: back-off outlasts the redirection that leads there.
#[tokio::test]
async fn servers_that_are_not_there_are_asked_rarely() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (url, _) = says(move |_| format!("-MOVED 7 127.0.0.1:{port}\r\n")).await;
    let side = Server::side(&url);
    let began = tokio::time::Instant::now();
    for _ in 0..200 {
        assert_eq!(away(find(&side, 1).await).0, Reason::Unreachable);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
