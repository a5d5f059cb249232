//! What waits for a topic to be put right, and how far behind that leaves the role.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use flk_contract::{Code, limits::BODY_BYTES_MAX};
use flk_log::{
    SystemClock,
    kafka::{Admin, Connection},
    topic::{RECORD_BYTES_MAX, Topic},
};
use flk_servers::{Kafka, KafkaOptions, Tool};
use flk_verifier::role::{Parts, VerifierRole, Watch};
use tokio_util::sync::CancellationToken;

use crate::world::{World, unsigned, until, until_so, within};

async fn own() -> (Kafka, World) {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let world = World::on(Connection::plain(&kafka.bootstrap(), "").unwrap(), 2, unsigned()).await;
    (kafka, world)
}

fn set(kafka: &Kafka, topic: &str, to: &str) {
    kafka.tool(Tool::Configs, &["--alter", "--topic", topic, "--add-config", to]).unwrap();
}

async fn put_right(world: &World) {
    let applied = world.topics.apply(&Admin::new(&world.connection).unwrap()).await.unwrap();
    assert_eq!(applied.left, [], "{applied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_got_no_log_time_in_the_next_topic_is_produced_again_when_that_gives_one() {
    let (kafka, world) = own().await;
    let role = world.role();
    let mut sent = world.fill(7).await;
    world.is_complete(&sent).await;

    set(&kafka, "pcs.verified", "message.timestamp.type=CreateTime");
    until("something got no time", async || {
        sent.extend(world.fill(7).await);
        if role.seen.retried(Topic::Verified) > 0 { Ok(()) } else { Err("not yet") }
    })
    .await;
    until_so("readiness says so", || role.failing().iter().any(|why| why.contains("pcs.verified"))).await;

    put_right(&world).await;
    world.is_complete(&sent).await;
    until("each that is accepted has a log time", async || {
        let mut timeless = Vec::new();
        for (place, outcomes) in world.outcomes().await {
            if outcomes.iter().all(|outcome| outcome.topic == Topic::Verified && outcome.record.time.is_none()) {
                timeless.push(place);
            }
        }
        if timeless.is_empty() { Ok(()) } else { Err(timeless) }
    })
    .await;
    role.is_ready().await;
    assert_eq!(role.seen.judged_as(Code::Internal), 0);
    role.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_records_that_come_are_refused_and_the_others_go_on() {
    let world = World::shared("large", 1, unsigned()).await;
    let role = world.role();
    let mut sent = Vec::new();
    for bytes in [BODY_BYTES_MAX, BODY_BYTES_MAX + 1, RECORD_BYTES_MAX - 1024] {
        let mut body = b"{\"x\":\"".to_vec();
        body.resize(bytes - 2, b'x');
        body.extend(b"\"}");
        let placed = world.produce(0, None, &[], &body).await;
        sent.push((placed.partition, placed.offset));
        sent.extend(world.fill(1).await);
    }
    let times = world.is_complete(&sent).await;
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert_eq!((role.seen.judged_as(Code::Malformed), role.seen.judged_as(Code::Ok)), (3, 3));
    role.drain().await.unwrap();
}

/// How far behind a role is, as it says last.
#[derive(Default)]
struct Behind {
    lag: Mutex<BTreeMap<i32, Duration>>,
    retried: Mutex<usize>,
}

impl Behind {
    fn most(&self) -> Option<Duration> {
        self.lag.lock().unwrap().values().max().copied()
    }
}

impl Watch for Behind {
    fn on_lag(&self, partition: i32, lag: Duration) {
        self.lag.lock().unwrap().insert(partition, lag);
    }

    fn on_retry(&self, _topic: Topic) {
        *self.retried.lock().unwrap() += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_finds_too_large_is_not_refused_but_waits_and_is_seen_to_wait() {
    let (kafka, world) = own().await;
    let behind = Arc::new(Behind::default());
    let parts = Parts {
        connection: &world.connection,
        topics: &world.topics,
        log: world.log.clone(),
        verifier: world.verifier.clone(),
        clock: Arc::new(SystemClock),
        watch: behind.clone(),
    };
    let role = Arc::new(VerifierRole::start(parts, world.options()).unwrap());
    let draining = CancellationToken::new();
    let running = {
        let (role, draining) = (role.clone(), draining.clone());
        tokio::spawn(async move { role.run(draining).await })
    };
    let mut sent = world.fill(14).await;
    world.is_complete(&sent).await;
    until_so("it is behind by nothing", || behind.most() == Some(Duration::ZERO)).await;

    set(&kafka, "pcs.verified", "max.message.bytes=300");
    until("it is not taken", async || {
        sent.extend(world.fill(2).await);
        if *behind.retried.lock().unwrap() > 0 { Ok(()) } else { Err("not yet") }
    })
    .await;
    let since = Instant::now();
    until_so("it falls behind", || behind.most() > Some(Duration::from_secs(2))).await;
    assert!(since.elapsed() > Duration::from_secs(1));
    let is_said = || role.readiness().iter().any(|check| !check.ok && check.detail.contains("max.message.bytes"));
    until_so("readiness says why", is_said).await;

    put_right(&world).await;
    sent.extend(world.fill(14).await);
    let times = world.is_complete(&sent).await;
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    until_so("it is behind by nothing again", || behind.most() == Some(Duration::ZERO)).await;
    draining.cancel();
    within("it ends", running).await.unwrap().unwrap();
}
