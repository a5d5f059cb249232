//! A broker that is away, under load.

use core::time::Duration;
use std::{sync::Arc, time::Instant};

use flk_log::{kafka::Connection, topic::Topic};
use flk_servers::{Kafka, KafkaOptions, Stop};
use flk_verifier::role::Options;

use crate::world::{World, unsigned, until_so};

async fn own() -> (Kafka, Arc<World>) {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let connection = Connection::plain(&kafka.bootstrap(), "").unwrap();
    (kafka, Arc::new(World::on(connection, 2, unsigned()).await))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_started_under_load_costs_no_record() {
    let (kafka, world) = own().await;
    let role = world.role();
    let load = world.load();
    until_so("it is at work", || role.seen.produced() > 200).await;
    kafka.stop_broker(0, Stop::Kill).unwrap();
    until_so("it is not ready", || !role.failing().is_empty()).await;
    until_so("what was given up is tried again", || role.seen.retried(Topic::Verified) > 0).await;
    kafka.start_broker(0).unwrap();
    let before = role.seen.produced();
    until_so("it is at work again", || role.seen.produced() > before + 200).await;
    let sent = load.stop().await;
    world.is_complete(&sent).await;
    assert_eq!(role.seen.gaps(), 0);
    role.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_while_kafka_does_not_answer_it_ends_in_time_and_the_rest_is_done_later() {
    let (kafka, world) = own().await;
    let finish = Duration::from_secs(1);
    let mut options = Options { finish, ..world.options() };
    // So little room that it is used up.
    options.producer.records = 8;
    let first = world.role_with(&world.connection, &world.topics, options);
    let load = world.load();
    until_so("it is at work", || first.seen.produced() > 100).await;
    kafka.pause(0).unwrap();
    until_so("nothing is acknowledged, and something is judged", || first.seen.judged() > first.seen.produced()).await;
    let since = Instant::now();
    let ended = first.drain().await;
    let took = since.elapsed();
    kafka.resume(0).unwrap();
    assert!(took < 5 * finish, "{took:?}: {ended:?}");
    let sent = load.stop().await;
    let second = world.role();
    world.is_complete(&sent).await;
    second.drain().await.unwrap();
}
