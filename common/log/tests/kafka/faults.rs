//! Brokers that die, stall and come back: never told durable what is not, and everything goes on by itself.

use core::time::Duration;

use bytes::Bytes;
use flk_log::{
    AppendError, Log, NewRecord,
    kafka::{Connection, KafkaLog, LogOptions, ProducerOptions},
    topic::Topic,
};
use flk_servers::{Cluster, Direction, Kafka, KafkaOptions, Listeners, Stop};

use crate::support::{self, Member, SOON, fill, quick};

fn record(body: &str) -> NewRecord {
    NewRecord { body: Bytes::copy_from_slice(body.as_bytes()), ..NewRecord::default() }
}

/// Gives up a record after so long.
fn options(timeout: Duration) -> LogOptions {
    LogOptions {
        producer: ProducerOptions { timeout, ..ProducerOptions::default() },
        read: Duration::from_secs(2),
        ..LogOptions::default()
    }
}

async fn append(log: &KafkaLog, body: &str) -> Result<(i32, i64), AppendError> {
    let appended = log.append_with(record(body), None).await?.durable().await?;
    Ok((appended.origin.position.partition, appended.origin.position.offset))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_unknown_and_nothing_is_taken_until_kafka_is_back() {
    let options_of = KafkaOptions { listeners: Listeners::Proxied, ..KafkaOptions::default() };
    let kafka = Kafka::start(&options_of).unwrap();
    let connection = Connection::plain(&kafka.proxied_bootstrap().unwrap(), "").unwrap();
    let topics = support::topics(&connection, 1).await;
    let log = KafkaLog::open(&connection, &topics, &options(Duration::from_secs(2)), SOON).await.unwrap();
    support::until("it is ready", async || log.health()).await;
    append(&log, "before").await.unwrap();

    // It arrives, and the answer does not.
    kafka.proxy(0).unwrap().stall(Direction::ToClient);
    let error = append(&log, "lost").await.unwrap_err();
    assert!(matches!(error, AppendError::Unknown(_)), "{error}");
    let refused = append(&log, "refused").await.unwrap_err();
    assert!(matches!(refused, AppendError::NotDurable(_)), "{refused}");
    assert!(log.read(0, 0).await.is_err());
    kafka.proxy(0).unwrap().resume();

    support::until("it is ready again", async || log.health()).await;
    let (_, offset) = append(&log, "after").await.unwrap();
    let mut bodies = Vec::new();
    for at in 0..=offset {
        bodies.push(log.read(0, at).await.unwrap().unwrap().record.body);
    }
    assert_eq!(bodies.first().unwrap(), "before");
    assert_eq!(bodies.last().unwrap(), "after");
    let lost = bodies.iter().filter(|body| *body == "lost").count();
    assert!(lost <= 1, "a record that may be there is there at most once: {bodies:?}");
    assert!(!bodies.iter().any(|body| body == "refused"), "{bodies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_under_appends_and_started_again_loses_nothing_that_was_told() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let connection = Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics(&connection, 1).await;
    let log = KafkaLog::open(&connection, &topics, &options(Duration::from_secs(3)), SOON).await.unwrap();
    support::until("it is ready", async || log.health()).await;
    // The broker is away for less than the session.
    let mut patient = quick(&connection, &topics, Topic::Raw);
    patient.session = SOON;
    let member = Member::start(&connection, patient);
    member.resume().await;

    let mut told = Vec::new();
    let mut unknown = 0;
    for n in 0..60 {
        if n == 20 {
            kafka.stop_broker(0, Stop::Kill).unwrap();
        }
        match append(&log, &n.to_string()).await {
            Ok((_, offset)) => told.push((offset, n.to_string())),
            Err(AppendError::Unknown(_)) => unknown += 1,
            Err(AppendError::NotDurable(_)) => {}
            Err(other) => panic!("{other}"),
        }
        if n == 40 {
            assert!(log.health().is_err());
            kafka.start_broker(0).unwrap();
            support::until("it is ready again", async || log.health()).await;
        }
    }
    assert_eq!(told.len(), 20 + 19, "before the kill, and after the start");
    assert!(unknown >= 1, "what was on its way is not known");
    for (offset, body) in &told {
        assert_eq!(log.read(0, *offset).await.unwrap().unwrap().record.body, body.as_bytes());
    }
    // Who reads was there all the time, and gets each once.
    let (last, _) = told.last().unwrap();
    let mut next = 0;
    while next <= *last {
        let record = member.record().await;
        assert_eq!(record.offset, next);
        next += 1;
        member.done(&record);
    }
    support::until("the member is well", async || member.consumer.control().health()).await;
    member.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_is_followed_to_the_next_one() {
    let kafka = Kafka::start(&KafkaOptions { cluster: Cluster::Three, ..KafkaOptions::default() }).unwrap();
    let connection = Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics_with(&connection, 1, 3, 2).await;
    let log = KafkaLog::open(&connection, &topics, &options(Duration::from_secs(30)), SOON).await.unwrap();
    support::until("it is ready", async || log.health()).await;
    let member = Member::start(&connection, quick(&connection, &topics, Topic::Raw));
    member.resume().await;
    append(&log, "first").await.unwrap();
    let leader = kafka.in_sync("pcs.raw").unwrap()[0].leader.unwrap();
    kafka.stop_broker(usize::try_from(leader).unwrap(), Stop::Kill).unwrap();
    // As long as two of three are there, all goes on.
    let (_, offset) = append(&log, "second").await.unwrap();
    assert_eq!(offset, 1);
    for offset in 0..2 {
        let record = member.record().await;
        assert_eq!(record.offset, offset);
        member.done(&record);
    }
    member.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_and_a_log_that_start_before_kafka_wait_for_it() {
    let options_of = KafkaOptions { listeners: Listeners::Proxied, ..KafkaOptions::default() };
    let kafka = Kafka::start(&options_of).unwrap();
    let direct = Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics(&direct, 1).await;
    fill(&direct, "pcs.raw", 0, 0..3).await;
    kafka.proxy(0).unwrap().refuse().unwrap();

    let connection = Connection::plain(&kafka.proxied_bootstrap().unwrap(), "").unwrap();
    let early = KafkaLog::open(&connection, &topics, &LogOptions::default(), Duration::from_millis(300)).await;
    assert!(early.unwrap_err().to_string().contains("out of reach"));
    let member = Member::start(&connection, quick(&connection, &topics, Topic::Raw));
    assert!(member.consumer.control().health().is_err());
    let watch = flk_log::kafka::TopicsWatch::start(&connection, &topics).unwrap();
    support::until("it says that Kafka is away", async || match watch.health() {
        Err(why) if why.contains("out of reach") => Ok(()),
        other => Err(other),
    })
    .await;

    kafka.proxy(0).unwrap().accept().unwrap();
    support::until("the topics are seen", async || watch.health()).await;
    member.resume().await;
    for offset in 0..3 {
        assert_eq!(member.record().await.offset, offset);
    }
    member.close().await;
}
