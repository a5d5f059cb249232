//! Topics are made as the design has them, never repartitioned, and what differs is said.

use core::{num::NonZeroU32, time::Duration};

use flk_log::{
    kafka::{Admin, Topics, TopicsWatch},
    topic::Topic,
};
use flk_servers::{AutoCreate, Kafka, KafkaOptions, Tool};

use crate::support;

fn partitions(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_makes_what_check_asks_for_and_leaves_alone_what_it_does_not() {
    let connection = support::connection("apply");
    let (admin, topics) = (Admin::new(&connection).unwrap(), Topics::single(&connection, partitions(3)));
    let missing = topics.check(&admin).await.unwrap();
    assert_eq!(missing.len(), 5, "{missing:?}");
    assert!(missing.iter().all(|difference| difference.to_string().contains("`flk topics apply` creates it")));

    let applied = topics.apply(&admin).await.unwrap();
    assert_eq!((applied.done.len(), applied.left.len()), (5, 0), "{applied:?}");
    assert_eq!(topics.check(&admin).await.unwrap(), []);
    assert_eq!(topics.apply(&admin).await.unwrap().done, [""; 0], "nothing is left to do");

    // Another count is said, and stays.
    let more = Topics::single(&connection, partitions(4));
    let differences = more.check(&admin).await.unwrap();
    assert_eq!(differences.len(), 5, "{differences:?}");
    assert!(differences[0].to_string().contains("has 3 partitions, 4 are set"), "{}", differences[0]);
    let applied = more.apply(&admin).await.unwrap();
    assert_eq!((applied.done.len(), applied.left.len()), (0, 5));
    assert_eq!(topics.check(&admin).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_a_broker_made_by_itself_is_seen_and_put_right() {
    let options = KafkaOptions { topics: AutoCreate::Allowed, ..KafkaOptions::default() };
    let kafka = Kafka::start(&options).unwrap();
    let connection = flk_log::kafka::Connection::plain(&kafka.bootstrap(), "").unwrap();
    let (admin, topics) = (Admin::new(&connection).unwrap(), Topics::single(&connection, partitions(1)));
    // To look does not make them.
    assert_eq!(topics.check(&admin).await.unwrap().len(), 5);
    assert_eq!(topics.check(&admin).await.unwrap().len(), 5);

    kafka.tool_with(Tool::Producer, &["--topic", "pcs.raw"], b"too early\n").unwrap();
    kafka.in_sync("pcs.raw").unwrap();
    let own = ["--alter", "--topic", "pcs.raw", "--add-config", "segment.bytes=1048576,flush.ms=1000"];
    kafka.tool(Tool::Configs, &own).unwrap();
    let watch = TopicsWatch::start(&connection, &topics).unwrap();
    let ill = support::until("readiness says what differs", async || match watch.health() {
        Err(why) if why.contains("more: see") => Ok(why),
        other => Err(other),
    });
    assert!(ill.await.starts_with("pcs.raw: "));
    let differences = topics.check(&admin).await.unwrap();
    let said: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|said| said.contains(r#"message.timestamp.type is "CreateTime""#)), "{said:?}");

    let applied = topics.apply(&admin).await.unwrap();
    assert_eq!(applied.left, [], "{applied:?}");
    assert!(applied.done.iter().any(|done| done == "pcs.raw: message.timestamp.type set to LogAppendTime"));
    support::until("readiness comes back", async || watch.health()).await;
    // What somebody else set is still set.
    let now = kafka.tool(Tool::Configs, &["--describe", "--topic", "pcs.raw"]).unwrap();
    assert!(now.contains("segment.bytes=1048576") && now.contains("flush.ms=1000"), "{now}");

    // Set back, it is seen again.
    let back = ["--alter", "--topic", "pcs.raw", "--add-config", "message.timestamp.type=CreateTime"];
    kafka.tool(Tool::Configs, &back).unwrap();
    let differences = topics.check(&admin).await.unwrap();
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].can_be_applied());
    // And so is a topic that is gone.
    kafka.tool(Tool::Topics, &["--delete", "--topic", "pcs.replies"]).unwrap();
    support::until("it is gone", async || {
        let differences = topics.check(&admin).await.unwrap();
        differences.iter().find(|it| &*it.topic == "pcs.replies").map(drop).ok_or(differences.len())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_copies_than_brokers_are_refused_in_words() {
    let connection = support::connection("copies");
    let admin = Admin::new(&connection).unwrap();
    let topics = Topics::production(&connection);
    let error = topics.apply(&admin).await.unwrap_err().to_string();
    assert!(error.contains("3 times: it has fewer brokers"), "{error}");
    let single = support::topics(&connection, 48).await;
    assert_eq!(single.names.of(Topic::Raw), topics.names.of(Topic::Raw));
    let differences = topics.check(&admin).await.unwrap();
    assert!(differences.iter().any(|it| it.to_string().contains("is kept by 1 brokers, 3 are set")), "{differences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_not_there_is_said_to_be_out_of_reach() {
    let nobody = flk_servers::Proxy::unaimed().unwrap();
    nobody.refuse().unwrap();
    let connection = flk_log::kafka::Connection::plain(&nobody.addr().to_string(), "").unwrap();
    let admin = Admin::new(&connection).unwrap();
    let error = admin.cluster_id(Duration::from_millis(300)).await.unwrap_err();
    assert!(error.to_string().contains("out of reach"), "{error}");
}
