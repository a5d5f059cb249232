//! Kafka and Redis that go and come back: readiness says so, and everything goes on by itself.

use core::time::Duration;

use flk_ingest::{
    Pipeline as _,
    router::{KafkaPipeline, Options, Parts, StartError, Unwatched},
};
use flk_log::{
    AppendError,
    kafka::{Connection, ProducerOptions},
};
use flk_servers::{Kafka, KafkaOptions, Redis, RedisOptions, Stop};
use flk_service::health::{Check, Readiness, Scope};

use crate::{
    records::good,
    world::{Setup, World, until, within},
};

fn check(world: &World, name: &str) -> Check {
    world.router.readiness().into_iter().find(|check| check.name == name).unwrap()
}

async fn fails(world: &World, name: &str, with: &str) {
    until("a check fails", async || {
        let check = check(world, name);
        if !check.ok && check.detail.contains(with) { Ok(()) } else { Err(check) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_said_and_answers_come_again_when_it_is_back() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let mut setup = Setup::on(Connection::plain(&kafka.bootstrap(), "").unwrap());
    setup.producer = ProducerOptions { timeout: Duration::from_secs(2), ..ProducerOptions::default() };
    let mut world = setup.start().await;
    let (waiting, raw) = world.submitted(&good("before")).await;
    world.answer(raw.reply_id(), &raw.origin, &world.decide(&raw, None)).await;
    waiting.told().await;

    kafka.stop_broker(0, Stop::Kill).unwrap();
    // On its way: nobody knows. Once it is noticed: it is not there.
    let mut last = None;
    for _ in 0..2 {
        let error = match world.submit(&good("away")).await {
            Ok(submission) => within("it resolves", submission.ticket.durable()).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, AppendError::Unknown(_) | AppendError::NotDurable(_)), "{error}");
        last = Some(error);
    }
    assert!(matches!(last, Some(AppendError::NotDurable(_))), "{last:?}");
    fails(&world, "log", "out of reach").await;
    fails(&world, "replies", "out of reach").await;
    assert!(check(&world, "read_side").ok);
    let all = Readiness::of(world.router.readiness(), Scope::All);
    assert!(!all.is_ready() && Readiness::of(world.router.readiness(), Scope::Local).is_ready());
    let position = &raw.origin.position;
    let read = world.router.record(position.partition, position.offset).await;
    assert!(matches!(read, Err(flk_ingest::Away::Unavailable(_))), "{read:?}");
    until("nobody waits", async || if world.router.waiting() == 0 { Ok(()) } else { Err(world.router.waiting()) })
        .await;

    kafka.start_broker(0).unwrap();
    world.is_ready().await;
    let submission = world.submit(&good("after")).await.unwrap();
    let appended = within("it is durable", submission.ticket.durable()).await.unwrap();
    let raw = loop {
        // One whose outcome was not known may be there too.
        let raw = world.raw().await;
        if raw.origin == appended.origin {
            break raw;
        }
    };
    let decided = world.decide(&raw, None);
    world.answer(raw.reply_id(), &raw.origin, &decided).await;
    assert_eq!(*within("it is told", submission.reply.unwrap()).await.unwrap(), decided);
    assert_eq!(world.stop().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_read_side_it_is_ready_and_says_what_is_amiss() {
    let redis = Redis::start(&RedisOptions::default()).unwrap();
    let mut setup = Setup::shared("redis-away").reading_back();
    setup.redis = redis.url();
    let mut world = setup.start().await;
    redis.stop(Stop::Kill).unwrap();
    fails(&world, "read_side", "read side is away").await;
    let checks = world.router.readiness();
    assert!(Readiness::of(checks.clone(), Scope::All).is_ready(), "POSTs are answered: {checks:?}");
    assert!(checks.iter().all(|check| check.shared), "{checks:?}");
    let (waiting, raw) = world.submitted(&good("a")).await;
    until("it is looked for in vain", async || match world.seen.read_errors() {
        0 => Err(0),
        _ => Ok(()),
    })
    .await;
    let decided = world.decide(&raw, None);
    world.answer(raw.reply_id(), &raw.origin, &decided).await;
    assert_eq!(*waiting.told().await, decided);
    redis.start_again().unwrap();
    world.is_ready().await;
    redis.call(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).unwrap();
    until("it warns", async || {
        let check = check(&world, "read_side");
        if check.ok && check.detail.contains("allkeys-lru") { Ok(()) } else { Err(check) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_that_do_not_come_are_said_while_records_go_on_into_the_log() {
    let mut world = Setup::shared("silent").start().await;
    let (waiting, first) = world.submitted(&good("first")).await;
    let mut raws = Vec::new();
    until("it is said", async || {
        // Not overload: nobody is turned away.
        assert!(!world.router.are_verdicts_late());
        let check = check(&world, "verdicts");
        if check.ok { Err(check) } else { Ok(()) }
    })
    .await;
    assert!(check(&world, "verdicts").detail.contains("verifiers and sinks"));
    for n in 0..3 {
        let (waiting, raw) = world.submitted(&good(&n.to_string())).await;
        raws.push((waiting, raw));
    }
    assert!(!Readiness::of(world.router.readiness(), Scope::All).is_ready());
    // They are back, and have answered one.
    world.answer(first.reply_id(), &first.origin, &world.decide(&first, None)).await;
    waiting.told().await;
    world.is_ready().await;
    for (waiting, raw) in raws {
        world.answer(raw.reply_id(), &raw.origin, &world.decide(&raw, None)).await;
        waiting.told().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_of_answers_that_there_is_none_of_is_a_mistake_and_any_other_is_chosen() {
    let world = Setup::shared("chosen").start().await;
    let start = |partition| {
        let parts = Parts {
            connection: &world.connection,
            topics: &world.topics,
            log: world.log.clone(),
            read_side: world.read_side.clone(),
            verifier: world.verifier.clone(),
            clock: world.clock.clone(),
            watch: std::sync::Arc::new(Unwatched),
        };
        KafkaPipeline::start(parts, Options { partition, ..Options::default() })
    };
    for none in [-1, 2] {
        let error = start(Some(none)).unwrap_err();
        assert_eq!(error, StartError::Partition { partition: none, partitions: 2 });
    }
    for _ in 0..8 {
        assert!((0..2).contains(&start(None).unwrap().partition()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_has_not_acknowledged_is_waited_for_at_the_end_and_then_said() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let mut setup = Setup::on(Connection::plain(&kafka.bootstrap(), "").unwrap());
    setup.options.flush = Duration::from_millis(300);
    let world = setup.start().await;
    kafka.pause(0).unwrap();
    let submission = world.submit(&good("a")).await.unwrap();
    let said = world.stop().await.unwrap_err();
    assert!(said.contains("did not acknowledge"), "{said}");
    kafka.resume(0).unwrap();
    // It still is, if the process lives on.
    within("it is durable", submission.ticket.durable()).await.unwrap();
}
