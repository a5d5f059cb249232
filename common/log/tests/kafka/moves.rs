//! Partitions move between members while records come: nothing is lost, what stays is not disturbed.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use flk_log::{
    kafka::{Consumer, Event, Outgoing, Producer, ProducerOptions},
    ledger::NextOffset,
    topic::Topic,
};

use crate::support::{self, Member, SOON, quick};

const PARTITIONS: i32 = 6;

/// What a member did, until it was told to stop.
#[derive(Debug, Default)]
struct Work {
    done: BTreeSet<(i32, i64)>,
    assigned: Vec<i32>,
    revoked: Vec<i32>,
}

/// Does each record a little later than it came, so that some are always open.
async fn work(consumer: Consumer, stop: Arc<AtomicBool>) -> Work {
    let mut work = Work::default();
    let mut open = BTreeMap::new();
    let control = consumer.control().clone();
    loop {
        let stopping = stop.load(Ordering::SeqCst);
        let event = tokio::time::timeout(Duration::from_millis(20), consumer.events().recv_async()).await;
        match event {
            Ok(Ok(Event::Assigned(assigned))) => {
                work.assigned.push(assigned.partition);
                control.read_from(assigned.partition, assigned.generation, assigned.resume());
            }
            Ok(Ok(Event::Revoked { partition, generation })) => {
                work.revoked.push(partition);
                open.retain(|(of, in_generation, _), ()| (*of, *in_generation) != (partition, generation));
            }
            Ok(Ok(Event::Record(record))) => {
                open.insert((record.partition, record.generation, record.offset), ());
            }
            Ok(Ok(gap @ Event::Gap { .. })) => panic!("{gap:?}"),
            Ok(Err(_)) => panic!("it ended: {}", consumer.failed().await),
            Err(_) if stopping && open.is_empty() => break,
            Err(_) => {}
        }
        let keep = if stopping { 0 } else { 10 };
        while open.len() > keep {
            let Some(((partition, generation, offset), ())) = open.pop_last() else { break };
            control.done(partition, generation, offset);
            work.done.insert((partition, offset));
        }
    }
    assert!(consumer.close(SOON).await);
    work
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_come_and_go_lose_nothing_and_leave_alone_what_stays() {
    let connection = support::connection("moves");
    let topics = support::topics(&connection, PARTITIONS.unsigned_abs()).await;
    let options = quick(&connection, &topics, Topic::Verified);
    let topic = topics.names.of(Topic::Verified).clone();

    let producing = Arc::new(AtomicBool::new(true));
    let produce = {
        let (producing, connection, topic) = (producing.clone(), connection.clone(), topic.clone());
        tokio::spawn(async move {
            let producer = Producer::new(&connection, &ProducerOptions::default()).unwrap();
            let mut ends = BTreeMap::new();
            while producing.load(Ordering::SeqCst) {
                for partition in 0..PARTITIONS {
                    let outgoing = Outgoing { topic: &topic, partition: Some(partition), key: None, value: b"x" };
                    let placed =
                        producer.produce(outgoing, core::iter::empty::<(&str, &[u8])>()).unwrap().await.unwrap();
                    ends.insert(partition, placed.offset + 1);
                }
            }
            ends
        })
    };

    let start = || {
        let stop = Arc::new(AtomicBool::new(false));
        let consumer = Member::start(&connection, options.clone()).consumer;
        let control = consumer.control().clone();
        (control, stop.clone(), tokio::spawn(work(consumer, stop)))
    };
    let has = async |control: &flk_log::kafka::Control, many: usize| {
        support::until("partitions are spread", async || {
            let assigned = control.assigned();
            if assigned.len() == many { Ok(()) } else { Err(assigned) }
        })
        .await;
    };
    let (a, stop_a, a_work) = start();
    has(&a, 6).await;
    let (b, stop_b, b_work) = start();
    has(&a, 3).await;
    has(&b, 3).await;
    let kept: BTreeSet<_> = a.assigned().into_iter().collect();
    let (c, stop_c, c_work) = start();
    for control in [&a, &b, &c] {
        has(control, 2).await;
    }
    // What stays is the same assignment as before: nobody was disturbed.
    assert!(a.assigned().iter().all(|owned| kept.contains(owned)), "{:?} of {kept:?}", a.assigned());
    stop_b.store(true, Ordering::SeqCst);
    let b_work = b_work.await.unwrap();
    has(&a, 3).await;
    has(&c, 3).await;

    producing.store(false, Ordering::SeqCst);
    let ends = produce.await.unwrap();
    // All of it is done by one or the other.
    stop_a.store(true, Ordering::SeqCst);
    let a_work = a_work.await.unwrap();
    has(&c, 6).await;
    stop_c.store(true, Ordering::SeqCst);
    let c_work = c_work.await.unwrap();
    assert!(!b_work.done.is_empty() && !c_work.done.is_empty());
    let done: BTreeSet<_> =
        [&a_work, &b_work, &c_work].into_iter().flat_map(|work| work.done.iter().copied()).collect();
    let all: BTreeSet<_> =
        ends.iter().flat_map(|(partition, end)| (0..*end).map(|offset| (*partition, offset))).collect();
    assert_eq!(all.difference(&done).collect::<Vec<_>>(), Vec::<&(i32, i64)>::new(), "lost");
    assert!(a_work.revoked.len() >= 4, "{a_work:?}");

    let member = Member::start(&connection, options.clone());
    for _ in 0..PARTITIONS {
        let assigned = member.assigned().await;
        assert_eq!(assigned.committed, Some(NextOffset(ends[&assigned.partition])), "{assigned:?}");
    }
    member.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_long_to_begin_holds_up_nobody() {
    let connection = support::connection("long");
    let topics = support::topics(&connection, 2).await;
    let topic = topics.names.of(Topic::Verified);
    let options = quick(&connection, &topics, Topic::Verified);
    support::fill(&connection, topic, 0, 0..5).await;
    support::fill(&connection, topic, 1, 0..5).await;

    // Both are assigned; one of them is restored, as it were, and not read.
    let a = Member::start(&connection, options.clone());
    let (restoring, other) = (a.assigned().await, a.assigned().await);
    a.consumer.control().read_from(other.partition, other.generation, 0);
    for offset in 0..5 {
        let record = a.record().await;
        assert_eq!((record.partition, record.offset), (other.partition, offset));
        a.done(&record);
    }
    // A second member comes, and gets one: the group is not held up.
    let b = Member::start(&connection, options.clone());
    let moved = b.resume().await;
    let (revoked, generation) = a.revoked().await;
    assert_eq!(revoked, moved.partition);
    // Too late: it is somebody else's, or still its own, as it came.
    a.consumer.control().read_from(restoring.partition, restoring.generation, 0);
    if revoked == restoring.partition {
        assert_eq!(generation, restoring.generation);
        for offset in 0..5 {
            assert_eq!(b.record().await.offset, offset);
        }
    } else {
        for offset in 0..5 {
            let record = a.record().await;
            assert_eq!((record.partition, record.offset), (restoring.partition, offset));
        }
    }
    a.close().await;
    b.close().await;
}
