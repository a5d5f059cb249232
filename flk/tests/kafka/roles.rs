//! The roles as processes: they start before Kafka, say what they wait for, and end in order.

use flk_servers::{Proxy, Redis, RedisOptions, shared, unique};

use crate::run::{Running, environment, flk, until};

const COMMANDS: [&str; 4] = ["serve", "ingest", "verifier", "dedup-sink"];

fn ready(process: &Running) -> Option<()> {
    (process.get("/readyz").0 == 200).then_some(())
}

#[test]
fn a_role_listens_before_kafka_is_there_and_becomes_ready_when_it_is() {
    let (kafka, redis) = (shared::kafka().unwrap(), Redis::start(&RedisOptions::default()).unwrap());
    let (proxy, prefix) = (Proxy::unaimed().unwrap(), unique("waits"));
    let mut env = environment(&proxy.addr().to_string(), &prefix);
    env.extend([("PCS_SIGN_ALG", "none".to_owned()), ("REDIS_ADDR", redis.url())]);
    let processes = COMMANDS.map(|command| (command, Running::start(command, &env)));
    for (command, process) in &processes {
        assert_eq!(process.get("/livez"), (200, "OK".to_owned()), "{command}");
        let (status, document) = process.get("/readyz");
        assert!(status == 503 && document.contains("Kafka"), "{command}: {status} {document}");
        assert_eq!(process.get("/readyz?scope=local").0, 200, "{command}: what all wait for is nobody's own");
        until("metrics say so", || process.get("/metrics").1.contains("flk_ready{check=\"log\"} 0").then_some(()));
        let submitted = process.get("/v1/pcs/submit").0;
        assert_eq!(submitted, if ["serve", "ingest"].contains(command) { 405 } else { 404 }, "{command}");
    }

    // Kafka comes, and then its topics.
    proxy.aim(kafka.parse().unwrap());
    for (command, process) in &processes {
        until("it says what its topics lack", || process.get("/readyz").1.contains("flk topics apply").then_some(()));
        assert!(ready(process).is_none(), "{command}");
    }
    assert_eq!(flk(&["topics", "apply"], &environment(&kafka, &prefix)).code, Some(0));
    for (command, process) in &processes {
        until(&format!("{command} is ready"), || ready(process));
    }
    for (command, process) in processes {
        assert!(!process.said().contains("panic"), "{command}: {}", process.said());
        assert_eq!(process.terminate(), Some(0), "{command}");
    }
}

#[test]
fn a_role_that_still_waits_ends_at_once_when_it_is_told_to() {
    let mut env = environment("127.0.0.1:9", "");
    env.extend([("PCS_SIGN_ALG", "none".to_owned()), ("REDIS_ADDR", "127.0.0.1:9".to_owned())]);
    for command in COMMANDS {
        let process = Running::start(command, &env);
        assert_eq!(process.terminate(), Some(0), "{command}");
    }
}

#[test]
fn what_a_role_can_not_start_with_is_a_sentence() {
    let env = |name: &'static str, value: &str| {
        let mut env = environment("127.0.0.1:9", "");
        env.extend([("PCS_SIGN_ALG", "none".to_owned()), ("REDIS_ADDR", "127.0.0.1:9".to_owned())]);
        env.retain(|(other, _)| *other != name);
        env.push((name, value.to_owned()));
        env
    };
    for (command, name, value, part) in [
        ("verifier", "KAFKA_BROKERS", "", "KAFKA_BROKERS is not set"),
        ("verifier", "PCS_SIGN_ALG", "hmac", "needs a key"),
        ("dedup-sink", "REDIS_ADDR", "", "needs REDIS_ADDR"),
        ("dedup-sink", "REDIS_ADDR", "http://hunter2@r", "the address of Redis"),
        ("dedup-sink", "FLK_INDEX_DIR", "/dev/null/x", "set FLK_INDEX_DIR"),
        ("ingest", "FLK_REPLIES_PARTITION", "2", "below KAFKA_REPLIES_PARTITIONS, which is 2"),
        ("serve", "DEDUP_BACKEND", "embedded", "redis or postgres"),
        ("serve", "REDIS_PREFIX", "{", "the prefix of Redis keys"),
    ] {
        let ran = flk(&[command, "--listen", "127.0.0.1:0"], &env(name, value));
        assert_eq!(ran.code, Some(2), "{command} {name}: {}", ran.stderr);
        assert!(ran.stderr.contains(part) && !ran.stderr.contains("hunter"), "{command} {name}: {}", ran.stderr);
        // What would be refused is refused before.
        let ran = flk(&["config", "--role", command], &env(name, value));
        assert_eq!(ran.code, Some(if name == "FLK_INDEX_DIR" { 0 } else { 2 }), "{command} {name}: {}", ran.stderr);
    }
}

#[test]
fn config_shows_what_a_role_would_run_with() {
    let mut env = environment("a:9092", "eu.");
    env.extend([("REDIS_ADDR", "r:6379".to_owned()), ("REDIS_PASSWORD", "hunter2".to_owned())]);
    let sink = flk(&["config", "--role", "dedup-sink"], &env);
    assert_eq!(sink.code, Some(0), "{}", sink.stderr);
    assert!(sink.stdout.contains("flk:eu.") && sink.stdout.contains("Read side"), "{}", sink.stdout);
    assert!(!sink.stdout.contains("hunter") && !sink.stdout.contains("PCS_SIGN_ALG"), "{}", sink.stdout);
}
