//! Topics that are not as they have to be.

use core::num::NonZeroU32;

use flk_contract::Code;
use flk_log::{
    kafka::{Admin, Connection, Topics},
    topic::Topic,
};
use flk_servers::{Kafka, KafkaOptions, Tool};

use crate::world::{World, signed, unsigned, until, until_so};

#[tokio::test(flavor = "multi_thread")]
async fn without_log_times_it_waits_and_goes_on_when_the_topic_was_put_right() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let world = World::on(Connection::plain(&kafka.bootstrap(), "").unwrap(), 2, unsigned()).await;
    let role = world.role();
    let mut sent = world.fill(20).await;
    world.is_complete(&sent).await;
    role.is_ready().await;

    let to = ["--alter", "--topic", "pcs.raw", "--add-config", "message.timestamp.type=CreateTime"];
    kafka.tool(Tool::Configs, &to).unwrap();
    let mut timed = world.fill(1).await;
    until("the broker gives no times", async || {
        let placed = world.produce(0, None, &[], b"{}").await;
        if placed.time.is_none() {
            return Ok(());
        }
        timed.push((placed.partition, placed.offset));
        Err(placed)
    })
    .await;
    sent.extend(timed);
    let untimed = world.fill(40).await;
    until_so("it waits", || role.seen.timeless() > 0 && role.failing().iter().any(|why| why.contains("pcs.raw"))).await;
    assert_eq!(role.seen.judged_as(Code::Internal), 0, "nothing is refused that may yet be explained");
    let outcomes = world.outcomes().await;
    assert!(untimed.iter().all(|place| !outcomes.contains_key(place)));

    let applied = world.topics.apply(&Admin::new(&world.connection).unwrap()).await.unwrap();
    assert_eq!(applied.left, [], "{applied:?}");
    sent.extend(untimed);
    let after = world.fill(40).await;
    sent.extend(&after);
    let times = world.is_complete(&sent).await;
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert!(role.seen.judged_as(Code::Internal) >= 40);
    assert!(role.seen.judged_as(Code::Ok) >= 30 * 2 / 3, "and what came later is judged");
    role.is_ready().await;
    role.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_because_a_topic_is_gone_or_a_part_of_it() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let world = World::on(Connection::plain(&kafka.bootstrap(), "").unwrap(), 2, unsigned()).await;
    let role = world.role();
    role.is_ready().await;
    let tool = |args: &[&str]| drop(kafka.tool(Tool::Topics, &[args, &["--topic", "pcs.verified"]].concat()).unwrap());
    tool(&["--delete"]);
    let mut sent = world.fill(70).await;
    until_so("it can not be produced", || role.seen.retried(Topic::Verified) > 0).await;
    until_so("readiness says so", || role.failing().iter().any(|why| why.contains("pcs.verified: is not there"))).await;
    // Made by hand, as it must not be.
    tool(&["--create", "--partitions", "1", "--config", "message.timestamp.type=LogAppendTime"]);
    until_so("readiness says so", || role.failing().iter().any(|why| why.contains("has 1 partitions"))).await;
    sent.extend(world.fill(70).await);
    let before = role.seen.retried(Topic::Verified);
    until_so("half of it is tried again and again", || role.seen.retried(Topic::Verified) > before + 60).await;
    assert_eq!(role.seen.judged_as(Code::Internal), 0);

    tool(&["--alter", "--partitions", "2"]);
    let applied = world.topics.apply(&Admin::new(&world.connection).unwrap()).await.unwrap();
    assert_eq!(applied.left, [], "{applied:?}");
    let times = world.is_complete(&sent).await;
    assert_eq!(times.len(), 140);
    role.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_count_of_partitions_is_another_one_nothing_is_judged() {
    let world = World::shared("count", 2, signed()).await;
    let wrong = Topics::single(&world.connection, NonZeroU32::new(4).unwrap());
    let role = world.role_with(&world.connection, &wrong, world.options());
    let sent = world.fill(10).await;
    until_so("it is a member, and waits", || {
        let failing = role.failing();
        failing.len() == 1 && failing[0].contains("has 2 partitions, 4 are set")
    })
    .await;
    // Others, who read for themselves, have long done so.
    let mut others = world.options();
    if let Some(member) = &mut others.consumer {
        member.group = world.connection.group("others");
    }
    let right = world.role_with(&world.connection, &world.topics, others);
    world.is_complete(&sent).await;
    right.drain().await.unwrap();
    assert_eq!(role.seen.judged(), 0);
    // Nothing was taken up, so that there is nothing to wait for, and nothing is committed.
    role.drain().await.unwrap();
    let right = world.role();
    let times = until("each was judged in this group too", async || {
        let times = world.is_complete(&sent).await;
        if times.values().all(|times| *times == 2) { Ok(times) } else { Err(times) }
    });
    assert_eq!(times.await.len(), 10);
    right.drain().await.unwrap();
}
