//! Claims about what an index takes, finds, and forgets.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use flk_contract::{Code, LogId, Tenant};

use super::{Fixture, apply, entries, entry, forget, get, id_text, must, open, place};
use crate::{Index as _, Place, ResultsError};

/// It says that it ends at 0, and has no result for anything.
pub fn an_index_that_is_new_knows_nothing(fixture: &impl Fixture) {
    let index = open(fixture);
    assert_eq!(index.next(), 0);
    assert_eq!(get(&index, "default", 1), None);
    assert_eq!(forget(&index, i64::MAX, 10), 0);
    for id in ["", "not an id", &"F".repeat(64)] {
        let got = must("get", index.get(&Tenant::default_tenant(), id));
        assert_eq!(got, None, "an id that is not derived never settles: {id}");
    }
}

/// Whatever shape the result has.
pub fn what_is_applied_is_found_as_it_was(fixture: &impl Fixture) {
    let index = open(fixture);
    let settled: Vec<_> = (0..24).map(|n| entry(&place(), "default", n as u64, n)).collect();
    apply(&index, &settled, 24);
    for (id, entry) in (0..).zip(&settled) {
        assert_eq!(get(&index, "default", id).as_ref(), Some(entry));
    }
    assert_eq!(get(&index, "default", 24), None);
}

/// Applied later, or further on in the same batch.
pub fn of_two_results_for_an_id_the_last_applied_stands(fixture: &impl Fixture) {
    let index = open(fixture);
    let entry = |id, offset| entry(&place(), "default", id, offset);
    apply(&index, &[entry(1, 1), entry(2, 2), entry(1, 3)], 10);
    assert_eq!(get(&index, "default", 1), Some(entry(1, 3)), "of two in one batch");
    apply(&index, &[entry(2, 11)], 12);
    assert_eq!(get(&index, "default", 2), Some(entry(2, 11)), "of two in two batches");
}

/// Records that settle nothing are known of as well.
pub fn the_end_moves_without_results_too(fixture: &impl Fixture) {
    let index = open(fixture);
    apply(&index, &[], 5);
    apply(&index, &[], 5);
    apply(&index, &[], 900);
}

/// An index that is behind its log's reader just meets again what it has.
pub fn applying_again_changes_nothing(fixture: &impl Fixture) {
    let index = open(fixture);
    let settled: Vec<_> = (0..8).map(|n| entry(&place(), "default", n as u64, n)).collect();
    for _ in 0..3 {
        apply(&index, &settled, 8);
        apply(&index, &settled[4..], 8);
    }
    for (id, entry) in (0..).zip(&settled) {
        assert_eq!(get(&index, "default", id).as_ref(), Some(entry));
    }
    assert_eq!(forget(&index, 8, 100), 8, "each is kept once");
}

/// A batch is taken whole or not at all.
pub fn what_does_not_belong_is_refused_and_nothing_is_applied(fixture: &impl Fixture) {
    let index = open(fixture);
    let here = place();
    let good = |offset| entry(&here, "default", offset as u64, offset);
    apply(&index, &[good(1)], 5);

    let elsewhere = [
        Place { log: LogId::new("another log"), ..here.clone() },
        Place { origins: "pcs.verified".into(), ..here.clone() },
    ];
    let mut bad: Vec<_> = elsewhere.iter().map(|place| entry(place, "default", 100, 6)).collect();
    let mut settles_nothing = good(6);
    settles_nothing.settled.code = Code::Conflict;
    bad.push(settles_nothing);
    bad.push(good(20));
    for id in ["6", &id_text(6).to_uppercase()] {
        let mut underived = good(6);
        underived.settled.facts.pcs_id = id.into();
        bad.push(underived);
    }
    for bad in bad {
        for batch in [[good(7), bad.clone()], [bad.clone(), good(7)]] {
            let told = index.apply(&batch, 20);
            assert!(matches!(told, Err(ResultsError::Refused(_))), "{told:?} for {bad:?}");
        }
    }
    let told = index.apply(&[good(2)], 4);
    assert!(matches!(told, Err(ResultsError::Refused(_))), "the end never goes back: {told:?}");

    assert_eq!(index.next(), 5);
    assert_eq!(get(&index, "default", 1), Some(good(1)));
    for id in [2, 6, 7, 20, 100] {
        assert_eq!(get(&index, "default", id), None, "{id}");
    }
}

/// From the start on, at most so many at a time, until there is nothing left.
pub fn forgetting_goes_in_order_and_in_steps(fixture: &impl Fixture) {
    let index = open(fixture);
    let entry = |n: i64| entry(&place(), "default", n as u64, 10 * n);
    let settled: Vec<_> = (0..10).map(entry).collect();
    apply(&index, &settled, 1000);
    let left = || (0..10).filter(|n| get(&index, "default", *n).is_some()).collect::<Vec<_>>();

    assert_eq!(forget(&index, 0, 4), 0, "nothing lies before the first");
    assert_eq!(forget(&index, 61, 0), 0, "no step at all");
    assert_eq!(forget(&index, 61, 4), 4);
    assert_eq!(left(), [4, 5, 6, 7, 8, 9]);
    assert_eq!(forget(&index, 61, 4), 3);
    assert_eq!(left(), [7, 8, 9], "what lies at 70 and later stays");
    assert_eq!(forget(&index, 61, 4), 0);
    assert_eq!(index.next(), 1000, "the end stays where it is");

    apply(&index, &[entry(2)], 1000);
    assert_eq!(left(), [2, 7, 8, 9]);
    assert_eq!(forget(&index, 61, 4), 1, "what came again is forgotten again");
    assert_eq!(forget(&index, i64::MAX, 100), 3);
    assert_eq!(left(), [0_u64; 0]);
}

/// The result that took an expired one's place stays when the expired one's record goes.
pub fn a_successor_is_not_forgotten(fixture: &impl Fixture) {
    let index = open(fixture);
    let entry = |id, offset| entry(&place(), "default", id, offset);
    apply(&index, &[entry(1, 1), entry(2, 2)], 10);
    apply(&index, &[entry(1, 50)], 60);
    assert_eq!(forget(&index, 40, 10), 2, "it looked at both old places");
    assert_eq!(get(&index, "default", 1), Some(entry(1, 50)));
    assert_eq!(get(&index, "default", 2), None);
    assert_eq!(forget(&index, 60, 10), 1);
    assert_eq!(get(&index, "default", 1), None);
}

/// One id of two tenants is two ids.
pub fn tenants_are_apart(fixture: &impl Fixture) {
    let index = open(fixture);
    apply(&index, &[entry(&place(), "a", 1, 1), entry(&place(), "ab", 1, 2)], 3);
    assert_eq!(get(&index, "a", 1), Some(entry(&place(), "a", 1, 1)));
    assert_eq!(get(&index, "ab", 1), Some(entry(&place(), "ab", 1, 2)));
    assert_eq!(get(&index, "b", 1), None);
    assert_eq!(forget(&index, 2, 10), 1);
    assert_eq!(get(&index, "a", 1), None);
    assert!(get(&index, "ab", 1).is_some());
}

/// Indexes of two partitions know nothing of each other.
pub fn partitions_are_apart(fixture: &impl Fixture) {
    let other = [Place { partition: 1, ..place() }, Place { topic: "pcs.raw".into(), ..place() }];
    let index = open(fixture);
    apply(&index, &[entry(&place(), "default", 1, 1)], 2);
    for place in other {
        let other = must("open", fixture.open(&place));
        assert_eq!((other.next(), get(&other, "default", 1)), (0, None));
        apply(&other, &[entry(&place, "default", 1, 7)], 9);
        assert_eq!(forget(&other, 9, 10), 1);
    }
    assert_eq!((index.next(), get(&index, "default", 1)), (2, Some(entry(&place(), "default", 1, 1))));
}

/// From any offset on, as many as are asked for; without those that have a successor.
pub fn entries_are_read_in_the_order_of_their_offsets(fixture: &impl Fixture) {
    let index = open(fixture);
    let entry = |id, offset| entry(&place(), "default", id, offset);
    assert_eq!(entries(&index, i64::MIN, 10), []);
    apply(&index, &[entry(1, 10), entry(2, 20), entry(3, 30)], 40);
    apply(&index, &[entry(4, 40), entry(2, 50)], 60);
    let all = [entry(1, 10), entry(3, 30), entry(4, 40), entry(2, 50)];
    for from in [i64::MIN, 0, 10] {
        assert_eq!(entries(&index, from, 10), all, "from {from}");
    }
    assert_eq!(entries(&index, 11, 10), all[1..]);
    assert_eq!(entries(&index, 11, 2), all[1..3], "what has a successor is not counted");
    assert_eq!(entries(&index, 11, 0), []);
    assert_eq!(entries(&index, 51, 10), []);
    assert_eq!(entries(&index, i64::MAX, 10), []);
    assert_eq!(forget(&index, 35, 10), 3);
    assert_eq!(entries(&index, i64::MIN, 10), all[2..]);
    apply(&index, &[entry(5, 5)], 60);
    assert_eq!(entries(&index, i64::MIN, 10), [entry(5, 5), entry(4, 40), entry(2, 50)], "what came late");
}

/// Beside `apply`: all of a batch or nothing of it, and never an end without what lies before it.
pub fn readers_see_whole_batches(fixture: &impl Fixture) {
    const BATCH: i64 = 16;
    const BATCHES: i64 = 300;
    let index = open(fixture);
    let done = AtomicBool::new(false);
    let there = |offset: i64| get(&index, "default", offset as u64).is_some();
    thread::scope(|scope| {
        for reader in 0..2 {
            let (index, done) = (&index, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let next = index.next();
                    assert_eq!(next % BATCH, 0, "an end in the middle of a batch");
                    assert!(next == 0 || there(next - BATCH) && there(next - 1), "an end without its entries");
                    // The batch that is being applied now, from either side.
                    let (mut first, mut last) = (next, next + BATCH - 1);
                    if reader == 1 {
                        (first, last) = (last, first);
                    }
                    if there(first) {
                        assert!(there(last), "only a part of the batch from {next} on");
                    }
                }
            });
        }
        // Also where the writer panics: the readers would go on for ever.
        let _ended = SetOnDrop(&done);
        for batch in 0..BATCHES {
            let offsets = batch * BATCH..(batch + 1) * BATCH;
            let settled: Vec<_> = offsets.map(|n| entry(&place(), "default", n as u64, n)).collect();
            apply(&index, &settled, (batch + 1) * BATCH);
        }
    });
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
