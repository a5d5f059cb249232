//! One member of a group: where it begins, what it commits, how much it takes, and what it is told.

use core::time::Duration;

use flk_log::{
    kafka::{Assigned, Budget, Connection, ConsumerOptions, Event, Topics},
    ledger::{Done, NextOffset},
    topic::Topic,
};
use flk_servers::{Kafka, KafkaOptions, Tool};
use rdkafka::{
    ClientConfig,
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};

use crate::support::{self, Member, SOON, fill, quick, value};

/// One topic of one partition, and how its member is set.
async fn one(name: &str) -> (Connection, Topics, ConsumerOptions) {
    let connection = support::connection(name);
    let topics = support::topics(&connection, 1).await;
    let options = quick(&connection, &topics, Topic::Verified);
    (connection, topics, options)
}

/// What a member is told that comes now.
async fn committed(connection: &Connection, options: &ConsumerOptions) -> Assigned {
    let member = Member::start(connection, options.clone());
    let assigned = member.assigned().await;
    member.close().await;
    assigned
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_begins_where_the_role_says_and_only_a_finished_prefix_is_committed() {
    let (connection, topics, options) = one("prefix").await;
    fill(&connection, topics.names.of(Topic::Verified), 0, 0..10).await;

    let member = Member::start(&connection, options.clone());
    let assigned = member.assigned().await;
    assert_eq!((assigned.committed, assigned.low, assigned.high), (None, 0, 10));
    assert_eq!(assigned.resume(), 0);
    member.consumer.control().read_from(0, assigned.generation, 5);
    let records = [member.record().await, member.record().await, member.record().await];
    assert_eq!(records.each_ref().map(|record| (record.offset, value(record))), [(5, 5), (6, 6), (7, 7)]);
    for record in [&records[0], &records[2]] {
        member.done(record);
    }
    member.close().await;
    // 6 is not done, so that is where it goes on.
    assert_eq!(committed(&connection, &options).await.committed, Some(NextOffset(6)));

    // What it has to know again it reads again; the group does not go back for it.
    let member = Member::start(&connection, options.clone());
    let assigned = member.assigned().await;
    member.consumer.control().read_from(0, assigned.generation, 2);
    for offset in 2..5 {
        let record = member.record().await;
        assert_eq!(record.offset, offset);
        member.done(&record);
    }
    member.close().await;
    assert_eq!(committed(&connection, &options).await.committed, Some(NextOffset(6)));

    // And forward again, to the end.
    let member = Member::start(&connection, options.clone());
    let assigned = member.resume().await;
    assert_eq!(assigned.resume(), 6);
    for offset in 6..10 {
        let record = member.record().await;
        assert_eq!(record.offset, offset);
        member.done(&record);
    }
    assert_eq!(member.consumer.control().done(0, assigned.generation, 9), Done::Unknown);
    member.close().await;
    assert_eq!(committed(&connection, &options).await.committed, Some(NextOffset(10)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_committed_by_and_by_without_anybody_leaving() {
    let (connection, topics, options) = one("pace").await;
    fill(&connection, topics.names.of(Topic::Verified), 0, 0..3).await;
    let member = Member::start(&connection, options.clone());
    member.resume().await;
    for _ in 0..3 {
        let record = member.record().await;
        member.done(&record);
    }
    // Asked without joining: a client of the same group that reads nothing.
    let mut config = connection.config();
    let asker: rdkafka::consumer::BaseConsumer = config.set("group.id", &options.group).create().unwrap();
    let asker = std::sync::Arc::new(asker);
    support::until("the offset is committed", async || {
        let (asker, topic) = (asker.clone(), options.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            use rdkafka::consumer::Consumer as _;
            let mut list = rdkafka::TopicPartitionList::new();
            list.add_partition(&topic, 0);
            asker.committed_offsets(list, SOON).unwrap().elements()[0].offset()
        });
        match asked.await.unwrap() {
            rdkafka::Offset::Offset(3) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(member.consumer.control().held().records, 0);
    member.consumer.control().health().unwrap();
    member.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_budget_is_delivered_and_a_slow_partition_stops_itself_alone() {
    let connection = support::connection("budget");
    let topics = support::topics(&connection, 2).await;
    let topic = topics.names.of(Topic::Verified);
    fill(&connection, topic, 0, 0..500).await;
    fill(&connection, topic, 1, 0..500).await;
    let mut options = quick(&connection, &topics, Topic::Verified);
    options.budget = Budget { records: 40, bytes: 1 << 20 };
    let member = Member::start(&connection, options);
    member.resume().await;
    member.resume().await;

    // Partition 0 is stuck: its share comes, and no more; all of partition 1 comes, in order.
    let (mut stuck, mut next) = (Vec::new(), 0);
    while next < 500 {
        let record = member.record().await;
        if record.partition == 0 {
            stuck.push(record);
            assert!(stuck.len() <= 20, "{} records are out", stuck.len());
        } else {
            assert_eq!(record.offset, next);
            next += 1;
            member.done(&record);
        }
    }
    support::until("the share of partition 0", async || {
        while let Ok(event) = member.consumer.events().try_recv() {
            let Event::Record(record) = event else { panic!("{event:?}") };
            stuck.push(record);
        }
        if stuck.len() == 20 { Ok(()) } else { Err(stuck.len()) }
    })
    .await;
    assert_eq!(member.consumer.control().held().records, 20);

    // It goes on where it was, with nothing lost and nothing twice.
    for record in &stuck {
        member.done(record);
    }
    let mut next = 20;
    while next < 500 {
        let record = member.record().await;
        assert_eq!((record.partition, record.offset), (0, next));
        next += 1;
        member.done(&record);
    }
    member.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_record_may_be_larger_than_the_budget() {
    let (connection, topics, mut options) = one("large").await;
    options.budget = Budget { records: 10, bytes: 1024 };
    let topic = topics.names.of(Topic::Verified);
    let producer = flk_log::kafka::Producer::new(&connection, &flk_log::kafka::ProducerOptions::default()).unwrap();
    let value = vec![b'x'; 1 << 20];
    for _ in 0..3 {
        let outgoing = flk_log::kafka::Outgoing { topic, partition: Some(0), key: None, value: &value };
        producer.produce(outgoing, core::iter::empty::<(&str, &[u8])>()).unwrap().await.unwrap();
    }
    let member = Member::start(&connection, options);
    member.resume().await;
    for offset in 0..3 {
        let record = member.record().await;
        assert_eq!((record.offset, record.value.len()), (offset, 1 << 20));
        assert_eq!(member.consumer.control().held().records, 1, "one at a time");
        member.done(&record);
    }
    member.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_step_of_stopping_takes_no_more_and_commits_what_is_done() {
    let (connection, topics, options) = one("stopping").await;
    let topic = topics.names.of(Topic::Verified);
    fill(&connection, topic, 0, 0..5).await;
    let member = Member::start(&connection, options.clone());
    member.resume().await;
    let mut records = Vec::new();
    for _ in 0..5 {
        records.push(member.record().await);
    }
    member.consumer.control().take_no_more();
    fill(&connection, topic, 0, 5..8).await;
    for record in &records {
        member.done(record);
    }
    assert!(member.consumer.events().try_recv().is_err());
    assert_eq!(member.consumer.control().held().records, 0);
    member.close().await;
    assert_eq!(committed(&connection, &options).await.committed, Some(NextOffset(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_was_cut_off_and_offsets_that_are_gone_are_told() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let connection = Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics(&connection, 1).await;
    let options = quick(&connection, &topics, Topic::Verified);
    fill(&connection, "pcs.verified", 0, 0..10).await;
    let member = Member::start(&connection, options.clone());
    member.resume().await;
    for _ in 0..2 {
        let record = member.record().await;
        member.done(&record);
    }
    member.close().await;

    // The log is cut off beyond what is committed.
    let plan = r#"{"partitions":[{"topic":"pcs.verified","partition":0,"offset":6}],"version":1}"#;
    let plan = kafka.file("delete.json", plan).unwrap();
    let bootstrap = kafka.bootstrap();
    let args = ["--bootstrap-server", &bootstrap, "--offset-json-file", plan.to_str().unwrap()];
    kafka.command("org.apache.kafka.tools.DeleteRecordsCommand", &args).unwrap();
    let member = Member::start(&connection, options.clone());
    let assigned = member.resume().await;
    assert_eq!((assigned.committed, assigned.low, assigned.high), (Some(NextOffset(2)), 6, 10));
    match member.event().await {
        Event::Gap { partition: 0, expected: 2, found: 6, .. } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(member.record().await.offset, 6);
    member.close().await;

    // The group's offsets are gone: it begins with the first that is kept, and says so.
    let args = ["--bootstrap-server", &bootstrap, "--delete", "--group", &options.group];
    support::until("the group is empty and deleted", async || {
        kafka.command("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &args)
    })
    .await;
    let member = Member::start(&connection, options.clone());
    let assigned = member.resume().await;
    assert_eq!((assigned.committed, assigned.resume()), (None, 6));
    for offset in 6..10 {
        let record = member.record().await;
        assert_eq!(record.offset, offset);
        member.done(&record);
    }
    member.close().await;
    assert_eq!(committed(&connection, &options).await.committed, Some(NextOffset(10)));

    // The topic is made anew: what was committed is of another one.
    kafka.tool(Tool::Topics, &["--delete", "--topic", "pcs.verified"]).unwrap();
    support::until("it is gone", async || {
        let differences = topics.check(&flk_log::kafka::Admin::new(&connection).unwrap()).await.unwrap();
        if differences.is_empty() { Err("there") } else { Ok(()) }
    })
    .await;
    support::topics(&connection, 1).await;
    fill(&connection, "pcs.verified", 0, 0..3).await;
    let member = Member::start(&connection, options.clone());
    let assigned = member.resume().await;
    // Brokers drop a deleted topic's offsets, some time later.
    if assigned.committed.is_some() {
        assert!(matches!(member.event().await, Event::Gap { expected: 10, found: 0, .. }));
    }
    for offset in 0..3 {
        assert_eq!(member.record().await.offset, offset);
    }
    member.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_a_transaction_is_no_gap() {
    let (connection, topics, options) = one("transaction").await;
    let topic = topics.names.of(Topic::Verified).clone();
    let (id, brokers) = (flk_servers::unique("transaction"), flk_servers::shared::kafka().unwrap());
    let name = topic.clone();
    let produce = move || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers).set("transactional.id", &id);
        let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
        producer.init_transactions(SOON).unwrap();
        for keep in [true, false, true] {
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::<(), str>::to(&name).payload("7").partition(0)).unwrap();
            producer.flush(SOON).unwrap();
            if keep { producer.commit_transaction(SOON) } else { producer.abort_transaction(SOON) }.unwrap();
        }
    };
    tokio::task::spawn_blocking(produce).await.unwrap();
    fill(&connection, &topic, 0, 6..7).await;
    let member = Member::start(&connection, options);
    member.resume().await;
    // 1 ends the first; 2 was aborted and 3 says so; 5 ends the third.
    for offset in [0, 4, 6] {
        let record = member.record().await;
        assert_eq!(record.offset, offset);
        member.done(&record);
    }
    assert!(member.consumer.events().try_recv().is_err());
    member.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_member_that_restarts_keeps_its_partitions_and_a_second_of_its_name_ends_the_first() {
    let connection = support::connection("named");
    let topics = support::topics(&connection, 4).await;
    let options = |name: &str| {
        let mut options = quick(&connection, &topics, Topic::Verified);
        options.instance = Some(name.into());
        options.session = Duration::from_secs(20);
        options
    };
    let a = Member::start(&connection, options("a"));
    for _ in 0..4 {
        a.assigned().await;
    }
    let b = Member::start(&connection, options("b"));
    let mut of_b = vec![b.assigned().await.partition, b.assigned().await.partition];
    of_b.sort_unstable();
    a.revoked().await;
    a.revoked().await;

    b.close().await;
    let b = Member::start(&connection, options("b"));
    let mut again = vec![b.assigned().await.partition, b.assigned().await.partition];
    again.sort_unstable();
    assert_eq!(again, of_b);
    assert!(a.consumer.events().try_recv().is_err(), "nobody else noticed");

    let second = Member::start(&connection, options("b"));
    let why = tokio::time::timeout(SOON, b.consumer.failed()).await.expect("the first ends");
    assert!(why.contains("another process has this instance's name"), "{why}");
    assert!(b.consumer.control().health().is_err());
    second.assigned().await;
    second.close().await;
    a.close().await;
}
