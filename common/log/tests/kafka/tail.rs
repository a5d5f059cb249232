//! Reading from the end: nothing that comes after it is well is missed, whatever happens to the brokers.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::sync::{Arc, Mutex};

use flk_log::{
    kafka::{Admin, Connection, Outgoing, ProduceError, Producer, ProducerOptions, Tail, TailOptions, Tailed, Topics},
    topic::Topic,
};
use flk_servers::{Cluster, Direction, Kafka, KafkaOptions, Listeners, Stop, Tool};

use crate::support::{self, SOON, fill, until};

/// What a tail told.
#[derive(Default)]
struct Told {
    records: Vec<(i64, Vec<u8>)>,
    gaps: Vec<(i64, i64)>,
}

struct Tailing {
    tail: Tail,
    told: Arc<Mutex<Told>>,
}

impl Tailing {
    fn start(connection: &Connection, topics: &Topics) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let telling = told.clone();
        let options = TailOptions::new(topics.names.of(Topic::Replies), 0);
        let tail = Tail::start(connection, options, move |tailed| {
            let mut told = telling.lock().unwrap();
            match tailed {
                Tailed::Record(record) => told.records.push((record.offset, record.value.to_vec())),
                Tailed::Gap { expected, found } => told.gaps.push((expected, found)),
            }
        });
        Self { tail: tail.unwrap(), told }
    }

    async fn well(&self) {
        until("the tail is well", async || self.tail.health()).await;
    }

    fn offsets(&self) -> Vec<i64> {
        self.told.lock().unwrap().records.iter().map(|(offset, _)| *offset).collect()
    }

    fn gaps(&self) -> Vec<(i64, i64)> {
        self.told.lock().unwrap().gaps.clone()
    }

    /// Waits until the record at an offset was told.
    async fn reaches(&self, offset: i64) {
        until("a record is told", async || {
            let offsets = self.offsets();
            if offsets.last().is_some_and(|last| *last >= offset) { Ok(()) } else { Err(offsets) }
        })
        .await;
    }
}

async fn produce(producer: &Producer, topic: &str, value: &[u8]) -> Result<i64, ProduceError> {
    let outgoing = Outgoing { topic, partition: Some(0), key: None, value };
    let delivery = producer.produce(outgoing, [("schema", b"pcs.replies/1")]).unwrap();
    Ok(delivery.await?.offset)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_once_it_is_well_and_nothing_from_before_is_read() {
    let connection = support::connection("tail-end");
    let topics = support::topics(&connection, 1).await;
    let topic = topics.names.of(Topic::Replies).clone();
    fill(&connection, &topic, 0, 0..50).await;
    let stop = Arc::new(AtomicBool::new(false));
    // Produces all the time, before, while and after the ends are found.
    let producing: Vec<_> = (0..3)
        .map(|n| {
            let (connection, topic, stop) = (connection.clone(), topic.clone(), stop.clone());
            tokio::spawn(async move {
                let producer = Producer::new(&connection, &ProducerOptions::default()).unwrap();
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    last = produce(&producer, &topic, format!("{n}").as_bytes()).await.unwrap();
                }
                last
            })
        })
        .collect();
    let producer = Producer::new(&connection, &ProducerOptions::default()).unwrap();
    let mut tails = Vec::new();
    for _ in 0..8 {
        let tailing = Tailing::start(&connection, &topics);
        tailing.well().await;
        // Whoever asks for an answer now gets it.
        let asked = produce(&producer, &topic, b"asked").await.unwrap();
        tails.push((tailing, asked));
    }
    stop.store(true, Ordering::Relaxed);
    let mut last = 0;
    for producing in producing {
        last = last.max(producing.await.unwrap());
    }
    last = last.max(produce(&producer, &topic, b"last").await.unwrap());
    for (tailing, asked) in tails {
        tailing.reaches(last).await;
        let offsets = tailing.offsets();
        let first = *offsets.first().unwrap();
        assert!((50..=asked).contains(&first), "{first} is after the end, and not after {asked}");
        assert_eq!(offsets, (first..=last).collect::<Vec<_>>(), "each once, in order");
        let told = tailing.told.lock().unwrap();
        let at = usize::try_from(asked - first).unwrap();
        assert_eq!(told.records.get(at).unwrap(), &(asked, b"asked".to_vec()));
        assert_eq!(told.gaps, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_produced_the_moment_it_is_well_is_read_however_slow_the_way_is() {
    let options = KafkaOptions { listeners: Listeners::Proxied, ..KafkaOptions::default() };
    let kafka = Kafka::start(&options).unwrap();
    let direct = Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics(&direct, 1).await;
    let producer = Producer::new(&direct, &ProducerOptions::default()).unwrap();
    let connection = Connection::plain(&kafka.proxied_bootstrap().unwrap(), "").unwrap();
    for _ in 0..5 {
        let tailing = Tailing::start(&connection, &topics);
        // Not a moment later: whatever would still have to be asked for is held up.
        while tailing.tail.health().is_err() {
            std::hint::spin_loop();
        }
        kafka.proxy(0).unwrap().stall(Direction::Both);
        let asked = produce(&producer, "pcs.replies", b"asked").await.unwrap();
        kafka.proxy(0).unwrap().resume();
        tailing.reaches(asked).await;
        assert_eq!(tailing.offsets(), [asked]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_started_again_is_read_on_without_a_gap() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let connection = Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics(&connection, 1).await;
    let producer = Producer::new(&connection, &ProducerOptions::default()).unwrap();
    let tailing = Tailing::start(&connection, &topics);
    tailing.well().await;
    for offset in 0..10 {
        assert_eq!(produce(&producer, "pcs.replies", b"x").await.unwrap(), offset);
    }
    kafka.stop_broker(0, Stop::Kill).unwrap();
    until("it says that Kafka is away", async || match tailing.tail.health() {
        Err(why) if why.contains("out of reach") => Ok(()),
        other => Err(other),
    })
    .await;
    kafka.start_broker(0).unwrap();
    let after = until("it can be produced again", async || produce(&producer, "pcs.replies", b"x").await).await;
    tailing.reaches(after).await;
    tailing.well().await;
    assert_eq!(tailing.offsets(), (0..=after).collect::<Vec<_>>());
    assert_eq!(tailing.gaps(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_is_followed_to_the_next_one() {
    let kafka = Kafka::start(&KafkaOptions { cluster: Cluster::Three, ..KafkaOptions::default() }).unwrap();
    let connection = Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics_with(&connection, 1, 3, 2).await;
    let patient = ProducerOptions { timeout: SOON, ..ProducerOptions::default() };
    let producer = Producer::new(&connection, &patient).unwrap();
    let tailing = Tailing::start(&connection, &topics);
    tailing.well().await;
    let leader = kafka.in_sync("pcs.replies").unwrap()[0].leader.unwrap();
    let leader = usize::try_from(leader).unwrap();
    let mut last = 0;
    for n in 0..60 {
        if n == 20 {
            kafka.stop_broker(leader, Stop::Kill).unwrap();
        }
        if n == 40 {
            kafka.start_broker(leader).unwrap();
        }
        last = produce(&producer, "pcs.replies", b"x").await.unwrap();
    }
    tailing.reaches(last).await;
    assert_eq!(tailing.offsets(), (0..=last).collect::<Vec<_>>());
    assert_eq!(tailing.gaps(), []);
    tailing.well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_starts_before_kafka_waits_and_one_that_is_cut_off_says_so() {
    let options = KafkaOptions { listeners: Listeners::Proxied, ..KafkaOptions::default() };
    let kafka = Kafka::start(&options).unwrap();
    let direct = Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics(&direct, 1).await;
    kafka.proxy(0).unwrap().refuse().unwrap();
    let connection = Connection::plain(&kafka.proxied_bootstrap().unwrap(), "").unwrap();
    let tailing = Tailing::start(&connection, &topics);
    until("it says that Kafka is away", async || match tailing.tail.health() {
        Err(why) if why.contains("out of reach") => Ok(()),
        other => Err(other),
    })
    .await;
    fill(&direct, "pcs.replies", 0, 0..5).await;
    kafka.proxy(0).unwrap().accept().unwrap();
    tailing.well().await;
    fill(&direct, "pcs.replies", 0, 5..8).await;
    tailing.reaches(7).await;
    assert_eq!(tailing.offsets(), [5, 6, 7]);

    // Connections stay open, and nothing comes: only asking tells.
    kafka.proxy(0).unwrap().stall(Direction::Both);
    until("it notices", async || match tailing.tail.health() {
        Err(_) => Ok(()),
        Ok(()) => Err("well"),
    })
    .await;
    fill(&direct, "pcs.replies", 0, 8..10).await;
    kafka.proxy(0).unwrap().resume();
    tailing.reaches(9).await;
    tailing.well().await;
    assert_eq!(tailing.offsets(), [5, 6, 7, 8, 9]);
    assert_eq!(tailing.gaps(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_removed_and_a_topic_made_anew_are_gaps_and_it_goes_on_at_the_end() {
    let options = KafkaOptions { listeners: Listeners::Proxied, ..KafkaOptions::default() };
    let kafka = Kafka::start(&options).unwrap();
    let direct = Connection::plain(&kafka.bootstrap(), "").unwrap();
    let topics = support::topics(&direct, 1).await;
    let connection = Connection::plain(&kafka.proxied_bootstrap().unwrap(), "").unwrap();
    let tailing = Tailing::start(&connection, &topics);
    tailing.well().await;
    fill(&direct, "pcs.replies", 0, 0..10).await;
    tailing.reaches(9).await;

    // What comes while it is cut off is removed before it is back.
    kafka.proxy(0).unwrap().refuse().unwrap();
    kafka.proxy(0).unwrap().cut();
    fill(&direct, "pcs.replies", 0, 10..20).await;
    let plan = r#"{"partitions":[{"topic":"pcs.replies","partition":0,"offset":18}],"version":1}"#;
    let plan = kafka.file("delete.json", plan).unwrap();
    kafka.tool(Tool::DeleteRecords, &["--offset-json-file", plan.to_str().unwrap()]).unwrap();
    kafka.proxy(0).unwrap().accept().unwrap();
    until("it says what it has not read", async || match &*tailing.gaps() {
        [(10, found @ 18..=20)] => Ok(*found),
        gaps => Err(gaps.to_vec()),
    })
    .await;
    tailing.well().await;
    fill(&direct, "pcs.replies", 0, 20..22).await;
    tailing.reaches(21).await;

    kafka.tool(Tool::Topics, &["--delete", "--topic", "pcs.replies"]).unwrap();
    until("it says that the topic is gone", async || match tailing.tail.health() {
        Err(_) => Ok(()),
        Ok(()) => Err("well"),
    })
    .await;
    topics.apply(&Admin::new(&direct).unwrap()).await.unwrap();
    until("it says that it is another one", async || match &*tailing.gaps() {
        [_, (22, 0)] => Ok(()),
        gaps => Err(gaps.to_vec()),
    })
    .await;
    tailing.well().await;
    let before = tailing.offsets().len();
    fill(&direct, "pcs.replies", 0, 0..5).await;
    until("it reads the new one", async || {
        let offsets = tailing.offsets();
        if offsets.get(before..) == Some(&[0, 1, 2, 3, 4]) { Ok(()) } else { Err(offsets) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_panics_ends_it_and_is_told() {
    let connection = support::connection("tail-panic");
    let topics = support::topics(&connection, 1).await;
    let topic = topics.names.of(Topic::Replies).clone();
    let tail = Tail::start(&connection, TailOptions::new(&topic, 0), |_| panic!("a fault that the test asked for"));
    let tail = tail.unwrap();
    until("the tail is well", async || tail.health()).await;
    fill(&connection, &topic, 0, 0..1).await;
    let why = tokio::time::timeout(SOON, tail.failed()).await.unwrap();
    assert!(why.contains("has ended"), "{why}");
    assert!(tail.health().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_not_there_is_said() {
    let connection = support::connection("tail-none");
    let topics = support::topics(&connection, 1).await;
    let tail = Tail::start(&connection, TailOptions::new(topics.names.of(Topic::Replies), 7), |_| ()).unwrap();
    until("it says which", async || match tail.health() {
        Err(why) if why.contains("partition 7, can not be read") => Ok(()),
        other => Err(other),
    })
    .await;
    assert!(tokio::time::timeout(Duration::from_millis(10), tail.failed()).await.is_err());
}
