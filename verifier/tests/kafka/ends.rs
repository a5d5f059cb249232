//! How the role ends: told to, dropped, or by a fault of its own.

use core::time::Duration;
use std::sync::Arc;

use flk_log::kafka::Connection;
use flk_servers::{Kafka, KafkaOptions, Listeners};
use flk_verifier::role::Options;

use crate::world::{World, unsigned, until_so};

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_under_load_it_commits_all_that_it_has_done_and_nothing_is_done_twice() {
    let world = Arc::new(World::shared("drain", 3, unsigned()).await);
    let first = world.role();
    let load = world.load();
    until_so("it is at work", || first.seen.produced() > 100).await;
    let seen = first.seen.clone();
    first.drain().await.unwrap();
    let before = seen.judged();
    assert_eq!(seen.produced(), before, "what it had taken up is done");
    let sent = load.stop().await;

    let second = world.role();
    let times = world.is_complete(&sent).await;
    assert_eq!(before + second.seen.judged(), times.len());
    second.drain().await.unwrap();
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_is_done_again_with_the_same_values() {
    let proxied = KafkaOptions { listeners: Listeners::Proxied, ..KafkaOptions::default() };
    let kafka = Kafka::start(&proxied).unwrap();
    let connect = |brokers: String| Connection::plain(&brokers, "").unwrap();
    let world = World::on(connect(kafka.bootstrap()), 2, unsigned()).await;
    let mut sent = world.fill(700).await;
    // Nothing is committed before it is gone, and then nothing reaches Kafka any more.
    let mut options = Options { instance: Some("verifier-1".into()), ..world.options() };
    if let Some(member) = &mut options.consumer {
        member.commit = Duration::from_secs(3600);
    }
    let first = world.role_with(&connect(kafka.proxied_bootstrap().unwrap()), &world.topics, options);
    until_so("it is at work", || first.seen.produced() > 200).await;
    let proxy = kafka.proxy(0).unwrap();
    proxy.refuse().unwrap();
    proxy.cut();
    let done = first.seen.produced();
    first.crash().await;
    sent.extend(world.fill(100).await);

    // The name is its own again at once.
    let second = world.role_with(
        &world.connection,
        &world.topics,
        Options { instance: Some("verifier-1".into()), ..world.options() },
    );
    let times = world.is_complete(&sent).await;
    let again = times.values().filter(|times| **times > 1).count();
    assert!(again >= done.min(200), "{again} of {done} were done again");
    assert_eq!(times.len(), 800);
    assert_eq!(second.seen.gaps(), 0);
    second.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_panics_ends_the_role_and_whoever_goes_on_does_the_rest() {
    let world = World::shared("panics", 2, unsigned()).await;
    let first = world.role();
    first.seen.panic_at(20);
    let sent = world.fill(100).await;
    let why = first.ended().await.unwrap_err();
    assert!(why.contains("panicked"), "{why}");

    let second = world.role();
    world.is_complete(&sent).await;
    second.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_once() {
    let world = World::shared("once", 1, unsigned()).await;
    let role = world.role();
    role.is_ready().await;
    let again = role.role.run(tokio_util::sync::CancellationToken::new()).await;
    assert!(again.unwrap_err().contains("already"));
    role.drain().await.unwrap();
}
