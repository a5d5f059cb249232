//! One index database with many partitions, which come and go.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{path::Path, thread};

use flk_contract::{LogId, Tenant};
use flk_results::{
    Index as _, IndexDb, Load as _, OpenError, Opened, Place, ResultsError,
    conformance::{entry, id_text, place},
};

const PARTITIONS: i32 = 48;

fn of(partition: i32) -> Place {
    Place { partition, ..place() }
}

fn open(directory: &Path) -> IndexDb {
    IndexDb::open(directory, &place().log).unwrap()
}

/// Entries of a partition at the offsets [from, to).
fn entries(partition: i32, from: i64, to: i64) -> Vec<flk_results::Entry> {
    (from..to).map(|at| entry(&of(partition), "default", id(partition, at), at)).collect()
}

fn id(partition: i32, offset: i64) -> u64 {
    ((partition as u64) << 32) | offset as u64
}

#[test]
fn a_partition_in_use_is_one_whoever_opens_it_and_another_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    let (one, same, other) =
        (db.partition(&of(1)).unwrap(), db.partition(&of(1)).unwrap(), db.partition(&of(2)).unwrap());
    one.apply(&entries(1, 0, 5), 5).unwrap();
    assert_eq!((same.next(), other.next()), (5, 0));
    drop((one, same));
    let again = db.clone().partition(&of(1)).unwrap();
    assert_eq!((again.next(), again.entries(0, 9).unwrap()), (5, entries(1, 0, 5)));
}

#[test]
fn where_a_partition_ends_is_said_without_making_it() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    assert_eq!(db.end(&of(1)).unwrap(), None);
    db.partition(&of(1)).unwrap().apply(&[], 7).unwrap();
    assert_eq!((db.end(&of(1)).unwrap(), db.end(&of(2)).unwrap()), (Some(7), None));
    db.drop_partition(&of(1)).unwrap();
    db.drop_partition(&of(2)).unwrap();
    assert_eq!(db.end(&of(1)).unwrap(), None);
    drop(db);
    assert_eq!(open(directory.path()).end(&of(1)).unwrap(), None);
}

#[test]
fn a_partition_that_is_reset_is_empty_and_the_others_are_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let db = open(directory.path());
        let (old, kept) = (db.partition(&of(1)).unwrap(), db.partition(&of(2)).unwrap());
        assert_eq!((old.next(), kept.next()), if round == 0 { (0, 0) } else { (100 + round - 1, 10 * round) });
        old.apply(&entries(1, 1000, 1000 + 500), 2000).unwrap();
        kept.apply(&entries(2, 10 * round, 10 * (round + 1)), 10 * (round + 1)).unwrap();

        let new = db.reset_partition(&of(1)).unwrap();
        for told in [
            old.get(&Tenant::default_tenant(), &id_text(id(1, 1000))).map(drop),
            old.entries(0, 1).map(drop),
            old.apply(&entries(1, 2000, 2001), 2001),
            old.forget_before(2000, 1).map(drop),
            old.load(&[]),
            old.loaded(5),
        ] {
            assert!(matches!(told, Err(ResultsError::Unavailable(_))), "the old one says {told:?}");
        }
        assert_eq!((new.next(), new.entries(i64::MIN, 1).unwrap()), (0, vec![]));
        assert_eq!(new.get(&Tenant::default_tenant(), &id_text(id(1, 1000))).unwrap(), None);
        new.load(&entries(1, 0, 100)).unwrap();
        new.loaded(100 + round).unwrap();
        assert_eq!(db.partition(&of(1)).unwrap().next(), 100 + round);
        assert_eq!(kept.entries(0, 1000).unwrap(), entries(2, 0, 10 * (round + 1)));
    }
    let db = open(directory.path());
    assert_eq!(db.partition(&of(1)).unwrap().entries(0, 1000).unwrap(), entries(1, 0, 100));
}

#[test]
fn what_was_not_loaded_to_its_end_is_loaded_anew_and_the_others_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    db.partition(&of(2)).unwrap().apply(&entries(2, 0, 5), 5).unwrap();
    let loading = db.partition(&of(1)).unwrap();
    loading.load(&entries(1, 50, 60)).unwrap();
    // In the same process it goes on where it was.
    assert_eq!(db.partition(&of(1)).unwrap().next(), 0);
    drop((loading, db));

    let db = open(directory.path());
    let told = db.partition(&of(1)).unwrap_err();
    assert!(matches!(told, OpenError::Unfinished(_)) && told.calls_for_reset() && told.is_of_one_partition(), "{told}");
    let (index, opened) = db.partition_or_reset(&of(1)).unwrap();
    assert!(matches!(opened, Opened::Reset(OpenError::Unfinished(_))), "{opened:?}");
    assert_eq!((index.next(), index.entries(i64::MIN, 9).unwrap()), (0, vec![]));
    index.load(&entries(1, 0, 3)).unwrap();
    index.loaded(3).unwrap();
    let (kept, opened) = db.partition_or_reset(&of(2)).unwrap();
    assert!(matches!(opened, Opened::Kept), "{opened:?}");
    assert_eq!(kept.next(), 5);
    assert!(matches!(db.partition_or_reset(&of(3)).unwrap().1, Opened::Fresh));
}

#[test]
fn a_partition_of_other_records_or_of_another_number_of_partitions_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let others =
        [Place { origins: "other.raw".into(), ..of(1) }, Place { partitions: core::num::NonZeroU32::MIN, ..of(1) }];
    for other in others {
        let db = open(directory.path());
        let index = db.reset_partition(&of(1)).unwrap();
        index.apply(&entries(1, 0, 5), 5).unwrap();
        let in_use = db.partition(&other).unwrap_err();
        drop(index);
        let told = db.partition(&other).unwrap_err();
        for told in [in_use, told] {
            assert!(matches!(told, OpenError::OtherPlace { .. }) && told.is_of_one_partition(), "{told}");
        }
        assert_eq!(db.partition(&of(1)).unwrap().next(), 5, "it was harmed by the attempt");
        let (index, opened) = db.partition_or_reset(&other).unwrap();
        assert!(matches!(opened, Opened::Reset(OpenError::OtherPlace { .. })), "{opened:?}");
        assert_eq!(index.next(), 0);
    }
    let db = open(directory.path());
    let told = db.partition(&Place { log: LogId::new("another log"), ..of(1) }).unwrap_err();
    assert!(matches!(told, OpenError::OtherLog { .. }), "{told}");
}

#[test]
fn many_partitions_share_one_allowance_of_memory_while_they_come_and_go() {
    const BATCH: i64 = 200;
    const ROUNDS: i64 = 16;
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    // Two at a time, each thread with its own half of them: opened, written to and closed in turn.
    thread::scope(|scope| {
        for half in 0..2 {
            let db = &db;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    for partition in (half..PARTITIONS).step_by(2) {
                        let index = db.partition(&of(partition)).unwrap();
                        assert_eq!(index.next(), round * BATCH);
                        let next = (round + 1) * BATCH;
                        index.apply(&entries(partition, round * BATCH, next), next).unwrap();
                        let buffered = db.buffered_bytes();
                        assert!(buffered < 25 * 1024 * 1024, "{buffered} bytes in round {round}");
                    }
                }
            });
        }
    });
    let written = db.disk_bytes().unwrap();
    assert!(written > 10 * 1024 * 1024, "only {written} bytes: what is to be bounded was never reached");
    drop(db);
    let db = open(directory.path());
    for partition in 0..PARTITIONS {
        let index = db.partition(&of(partition)).unwrap();
        assert_eq!(index.next(), ROUNDS * BATCH);
        assert_eq!(index.entries(0, usize::MAX).unwrap().len() as i64, ROUNDS * BATCH, "partition {partition}");
        let last = index.entries(ROUNDS * BATCH - 1, 5).unwrap();
        assert_eq!(last, entries(partition, ROUNDS * BATCH - 1, ROUNDS * BATCH));
    }
}
