//! Three brokers: leaders move, a majority decides, and who comes back catches up.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::time::{Duration, Instant};

use flk_servers::{Cluster, Kafka, KafkaOptions, Partition, Stop, Tool};

/// Waits until the partition's leader is another than this.
fn led_by_another(kafka: &Kafka, topic: &str, old: i32) -> Partition {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let seen = kafka.metadata(Some(topic)).map(|metadata| metadata.partitions);
        match seen.as_deref() {
            Ok([partition]) if partition.leader.is_some_and(|leader| leader != old) => return partition.clone(),
            _ => assert!(Instant::now() < deadline, "{seen:?}"),
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn the_leader_moves_away_from_a_broker_that_is_gone_or_paused_and_it_catches_up() {
    let kafka = Kafka::start(&KafkaOptions { cluster: Cluster::Three, ..KafkaOptions::default() }).unwrap();
    assert_eq!(kafka.metadata(None).unwrap().brokers.len(), 3);
    let create = ["--create", "--topic", "t", "--partitions", "1", "--replication-factor", "3"];
    kafka.tool(Tool::Topics, &[&create[..], &["--config", "min.insync.replicas=2"]].concat()).unwrap();
    let mut sent = String::new();
    let produce = |line: &str| kafka.tool_with(Tool::Producer, &["--topic", "t"], line.as_bytes()).unwrap();

    for fault in ["term", "kill", "pause"] {
        let leader = kafka.in_sync("t").unwrap()[0].leader.unwrap();
        let id = usize::try_from(leader).unwrap();
        match fault {
            "term" => kafka.stop_broker(id, Stop::Term).unwrap(),
            "kill" => kafka.stop_broker(id, Stop::Kill).unwrap(),
            _ => kafka.pause(id).unwrap(),
        }
        let moved = led_by_another(&kafka, "t", leader);
        assert!(!moved.in_sync.contains(&leader), "{moved:?}");
        let line = format!("without {fault}\n");
        produce(&line);
        sent += &line;
        if fault == "pause" {
            kafka.resume(id).unwrap();
        } else {
            kafka.start_broker(id).unwrap();
        }
    }
    assert_eq!(kafka.in_sync("t").unwrap()[0].in_sync.len(), 3);
    let args = ["--topic", "t", "--from-beginning", "--max-messages", "3", "--timeout-ms", "20000"];
    assert_eq!(kafka.tool(Tool::Consumer, &args).unwrap(), sent);

    // All at once, and back: none is ready before most of them run.
    for id in 0..3 {
        kafka.stop_broker(id, Stop::Kill).unwrap();
    }
    for id in 0..3 {
        kafka.spawn_broker(id).unwrap();
    }
    for id in 0..3 {
        kafka.await_broker(id).unwrap();
    }
    kafka.in_sync("t").unwrap();
    assert_eq!(kafka.tool(Tool::Consumer, &args).unwrap(), sent);
}
