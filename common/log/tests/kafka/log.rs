//! pcs.raw as the log, and the producer.

use core::time::Duration;

use bytes::Bytes;
use flk_contract::LogTime;
use flk_log::{
    Append, AppendError, Log, NewRecord, ReadError,
    kafka::{Admin, KafkaLog, LogOptions, NotQueued, Outgoing, ProduceError, Producer, ProducerOptions},
    topic::{Headers, RECORD_BYTES_MAX, ReplyId, ReplyTo, Topic},
};

use crate::support;

fn now() -> LogTime {
    use flk_log::{Clock as _, SystemClock};
    SystemClock.now()
}

fn record(body: &'static str) -> NewRecord {
    NewRecord { body: Bytes::from_static(body.as_bytes()), ..NewRecord::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_resolves_with_the_brokers_place_and_time_and_carries_where_its_answer_goes() {
    let connection = support::connection("append");
    let topics = support::topics(&connection, 3).await;
    let log = KafkaLog::open(&connection, &topics, &LogOptions::default(), support::SOON).await.unwrap();
    support::until("it is ready", async || log.health()).await;
    assert_eq!(*log.id(), Admin::new(&connection).unwrap().cluster_id(support::SOON).await.unwrap());

    let before = now();
    let reply = ReplyTo { partition: 2, id: ReplyId([7; 16]) };
    let ticket = log.append_with(NewRecord { tenant: Some("acme".into()), ..record("{}") }, Some(reply)).await.unwrap();
    let appended = ticket.durable().await.unwrap();
    let origin = appended.origin;
    assert!(appended.decided.is_none());
    assert_eq!(*origin.position.topic, **topics.names.of(Topic::Raw));
    assert!((before..=now()).contains(&origin.appended_at), "{origin:?}");
    let stored = log.read(origin.position.partition, origin.position.offset).await.unwrap().unwrap();
    assert_eq!((stored.origin, stored.record.body), (origin.clone(), Bytes::from("{}")));

    // As a verifier sees it.
    let member = support::Member::start(&connection, support::quick(&connection, &topics, Topic::Raw));
    for _ in 0..3 {
        member.resume().await;
    }
    let seen = member.record().await;
    assert_eq!(seen.headers.reply, Some(reply));
    assert_eq!(seen.headers.tenant.as_deref(), Some("acme"));
    assert_eq!(seen.time, Some(origin.appended_at));
    assert_eq!(seen.schema.as_deref(), Some(Topic::Raw.schema().as_bytes()));
    assert_eq!((seen.partition, seen.offset), (origin.position.partition, origin.position.offset));
    member.close().await;
    assert!(log.flush(support::SOON).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_nor_told_durable_where_the_time_is_not_the_brokers() {
    let kafka = flk_servers::Kafka::start(&flk_servers::KafkaOptions::default()).unwrap();
    let connection = flk_log::kafka::Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics(&connection, 1).await;
    let log = KafkaLog::open(&connection, &topics, &LogOptions::default(), support::SOON).await.unwrap();
    support::until("it is ready", async || log.health()).await;
    let append = async |body| match log.append(Append { record: record(body), judged: None }).await {
        Ok(ticket) => ticket.durable().await,
        Err(error) => Err(error),
    };
    let good = append("good").await.unwrap();

    let set = |to| {
        let args = ["--alter", "--topic", "pcs.raw", "--add-config", to];
        kafka.tool(flk_servers::Tool::Configs, &args).unwrap();
    };
    set("message.timestamp.type=CreateTime");
    // The first that comes by before the next look is durable, and can not be told so.
    let error = append("of its own time").await.unwrap_err();
    assert!(error.to_string().contains("LogAppendTime"), "{error}");
    let error = append("refused").await.unwrap_err();
    assert!(matches!(error, AppendError::NotDurable(_)), "{error}");
    set("message.timestamp.type=LogAppendTime");
    support::until("it is ready again", async || log.health()).await;
    let next = append("good again").await.unwrap();
    let (first, last) = (good.origin.position.offset, next.origin.position.offset);
    for offset in first + 1..last {
        let damaged = log.read(0, offset).await.unwrap_err();
        assert!(matches!(damaged, ReadError::Damaged { .. }), "{damaged}");
    }
    assert!(log.read(0, last).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_removed_is_none() {
    let kafka = flk_servers::Kafka::start(&flk_servers::KafkaOptions::default()).unwrap();
    let connection = flk_log::kafka::Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics(&connection, 1).await;
    let log = KafkaLog::open(&connection, &topics, &LogOptions::default(), support::SOON).await.unwrap();
    support::until("it is ready", async || log.health()).await;
    for _ in 0..3 {
        log.append_with(record("x"), None).await.unwrap().durable().await.unwrap();
    }
    let plan = r#"{"partitions":[{"topic":"pcs.raw","partition":0,"offset":2}],"version":1}"#;
    let plan = kafka.file("delete.json", plan).unwrap();
    let bootstrap = kafka.bootstrap();
    let args = ["--bootstrap-server", &bootstrap, "--offset-json-file", plan.to_str().unwrap()];
    kafka.command("org.apache.kafka.tools.DeleteRecordsCommand", &args).unwrap();
    assert!(log.read(0, 1).await.unwrap().is_none());
    assert!(log.read(0, 2).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn produced_records_are_placed_where_they_were_sent_in_order() {
    let connection = support::connection("produce");
    let topics = support::topics(&connection, 4).await;
    let producer = Producer::new(&connection, &ProducerOptions::default()).unwrap();
    let headers = Headers { request_id: Some("r-1".into()), ..Headers::default() };
    let send = |topic: Topic, value: &[u8]| {
        let name = topics.names.of(topic);
        let outgoing = Outgoing { topic: name, partition: Some(3), key: Some(b"acme/1"), value };
        let pairs = headers.encode(topic);
        producer.produce(outgoing, pairs.iter().map(|(name, value)| (*name, value))).unwrap()
    };
    let deliveries: Vec<_> = (0..100).map(|n| send(Topic::Verified, format!("{n}").as_bytes())).collect();
    for (offset, delivery) in (0..).zip(deliveries) {
        let placed = delivery.await.unwrap();
        assert_eq!((placed.partition, placed.offset), (3, offset));
        assert!(placed.time.is_some(), "pcs.verified is timed by the broker");
    }
    assert_eq!(send(Topic::Results, b"{}").await.unwrap().time, None);
    assert_eq!(producer.in_flight(), 0);

    let mut options = support::quick(&connection, &topics, Topic::Verified);
    options.group = connection.group("reader");
    let member = support::Member::start(&connection, options);
    for _ in 0..4 {
        member.resume().await;
    }
    for n in 0..100 {
        let record = member.record().await;
        assert_eq!((record.offset, record.value), (n, Bytes::from(format!("{n}"))));
        assert_eq!(record.key.as_deref(), Some(&b"acme/1"[..]));
        assert_eq!(record.headers.request_id.as_deref(), Some("r-1"));
    }
    member.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_produced_is_refused_and_a_full_queue_says_so() {
    let connection = support::connection("refused");
    let topics = support::topics(&connection, 1).await;
    let options = ProducerOptions { records: 10, timeout: Duration::from_secs(5), ..ProducerOptions::default() };
    let producer = Producer::new(&connection, &options).unwrap();
    let raw = topics.names.of(Topic::Raw);
    let none = || core::iter::empty::<(&str, &[u8])>();
    let outgoing = |topic, partition, value| Outgoing { topic, partition, key: None, value };

    let big = vec![b'x'; RECORD_BYTES_MAX + 1];
    let refused = producer.produce(outgoing(raw, None, &big), none()).unwrap_err();
    assert!(matches!(refused, NotQueued::Refused(_)), "{refused}");
    let most = vec![b'x'; RECORD_BYTES_MAX - 4096];
    producer.produce(outgoing(raw, None, &most), none()).unwrap().await.unwrap();

    let outcome = match producer.produce(outgoing(raw, Some(9), b"x"), none()) {
        Ok(delivery) => delivery.await.unwrap_err(),
        Err(NotQueued::Refused(why)) => ProduceError::NotDurable(why),
        Err(other) => panic!("{other}"),
    };
    assert!(matches!(outcome, ProduceError::NotDurable(_)), "{outcome}");
    let outcome = producer.produce(outgoing("no-such-topic", None, b"x"), none()).unwrap().await.unwrap_err();
    assert!(matches!(outcome, ProduceError::NotDurable(_) | ProduceError::Unknown(_)), "{outcome}");

    // Faster than any broker answers.
    let mut deliveries = Vec::new();
    let full = loop {
        match producer.produce(outgoing(raw, None, b"x"), none()) {
            Ok(delivery) => deliveries.push(delivery),
            Err(full) => break full,
        }
        assert!(deliveries.len() < 1_000_000);
    };
    assert_eq!(full, NotQueued::Full);
    assert!(producer.flush(support::SOON).await);
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}
