//! Claims about indexes that are built from results, not from the records that they follow.

use super::{Fixture, Kept, apply, entries, entry, forget, get, must, open, place};
use crate::{Entry, Index as _, Load, Place, ResultsError};

fn load(index: &impl Load, entries: &[Entry]) {
    must("load", index.load(entries));
    assert_eq!(index.next(), 0, "the end while it is loaded");
}

fn loaded(index: &impl Load, next: i64) {
    must("loaded", index.loaded(next));
    assert_eq!(index.next(), next);
}

fn is_refused(told: Result<(), ResultsError>, why: &str) {
    assert!(matches!(told, Err(ResultsError::Refused(_))), "{why}: {told:?}");
}

/// Whatever its shape; and then it is an index like any other.
pub fn what_is_loaded_in_any_order_is_found_as_it_was<F: Fixture<Index: Load>>(fixture: &F) {
    let index = open(fixture);
    let all: Vec<_> = (0..24).map(|n| entry(&place(), "default", n as u64, 10 * n)).collect();
    let mut shuffled: Vec<_> = (0..24).map(|n| all[n * 7 % 24].clone()).collect();
    load(&index, &shuffled.split_off(10));
    load(&index, &[]);
    load(&index, &shuffled);
    loaded(&index, 240);
    assert_eq!(entries(&index, 0, 100), all);
    assert!((0..24).all(|id| get(&index, "default", id).as_ref() == all.get(id as usize)));
    apply(&index, &[entry(&place(), "default", 100, 240)], 250);
    assert_eq!(forget(&index, 100, 100), 10);
    assert_eq!(entries(&index, 0, 100).len(), 15);

    let empty = Place { partition: 5, ..place() };
    let empty = must("open", fixture.open(&empty));
    loaded(&empty, 7);
}

/// In one batch or in two, whichever comes first.
pub fn of_two_loaded_results_for_an_id_the_one_further_on_stands<F: Fixture<Index: Load>>(fixture: &F) {
    let index = open(fixture);
    let entry = |id, offset| entry(&place(), "default", id, offset);
    load(&index, &[entry(1, 1), entry(1, 50), entry(2, 60), entry(2, 2), entry(3, 3), entry(4, 70)]);
    load(&index, &[entry(3, 80), entry(4, 4), entry(4, 70)]);
    loaded(&index, 100);
    let standing = [entry(1, 50), entry(2, 60), entry(4, 70), entry(3, 80)];
    assert_eq!(entries(&index, i64::MIN, 10), standing);
    for (id, entry) in [(1, 0), (2, 1), (4, 2), (3, 3)] {
        assert_eq!(get(&index, "default", id).as_ref(), standing.get(entry));
    }
    while forget(&index, 100, 3) > 0 {}
    assert!((1..5).all(|id| get(&index, "default", id).is_none()));
}

/// It would be taken for complete.
pub fn nothing_else_is_taken_while_it_is_loaded<F: Fixture<Index: Load>>(fixture: &F) {
    let index = open(fixture);
    let entry = |id, offset| entry(&place(), "default", id, offset);
    load(&index, &[entry(1, 1)]);
    is_refused(index.apply(&[entry(2, 2)], 3), "applying");
    is_refused(index.apply(&[], 3), "moving the end");
    is_refused(index.forget_before(10, 10).map(drop), "forgetting");
    let mut settles_nothing = entry(3, 3);
    settles_nothing.settled.code = flk_contract::Code::TooOld;
    is_refused(index.load(&[entry(4, 4), settles_nothing]), "what settles nothing");
    let elsewhere = Place { origins: "pcs.verified".into(), ..place() };
    is_refused(index.load(&[entry(4, 4), super::entry(&elsewhere, "default", 5, 5)]), "another topic's");
    is_refused(index.loaded(-1), "a negative end");
    assert_eq!(index.next(), 0);
    loaded(&index, 9);
    assert_eq!(entries(&index, i64::MIN, 10), [entry(1, 1)]);
    is_refused(index.loaded(10), "loaded a second time");
}

/// What is there might be newer.
pub fn only_an_index_that_is_new_is_loaded<F: Fixture<Index: Load>>(fixture: &F) {
    let index = open(fixture);
    apply(&index, &[entry(&place(), "default", 1, 1)], 2);
    is_refused(index.load(&[entry(&place(), "default", 2, 2)]), "an index with an entry");
    is_refused(index.loaded(9), "the end of one with an entry");
    assert_eq!((index.next(), entries(&index, 0, 10).len()), (2, 1));
    let other = must("open", fixture.open(&Place { partition: 3, ..place() }));
    apply(&other, &[], 5);
    is_refused(other.load(&[entry(&place(), "default", 2, 2)]), "an index with an end");
}

/// Results are known of records whose offset was never committed.
pub fn entries_beyond_the_end_are_met_again<F: Fixture<Index: Load>>(fixture: &F) {
    let entry = |id, offset| entry(&place(), "default", id, offset);
    let begin = || {
        let index = open(fixture);
        load(&index, &[entry(1, 10), entry(2, 30)]);
        loaded(&index, 20);
        index
    };
    drop(begin());
    let index = if fixture.close() == Kept::Yes { open(fixture) } else { begin() };
    assert_eq!(index.next(), 20);
    assert_eq!(entries(&index, 0, 10), [entry(1, 10), entry(2, 30)]);
    apply(&index, &[entry(3, 25)], 26);
    apply(&index, &[entry(2, 30)], 31);
    assert_eq!(entries(&index, 0, 10), [entry(1, 10), entry(3, 25), entry(2, 30)]);
}

/// Half of the results look like all of them.
pub fn what_was_not_loaded_to_its_end_is_not_there_when_opened_again<F: Fixture<Index: Load>>(fixture: &F) {
    let index = open(fixture);
    load(&index, &[entry(&place(), "default", 1, 1)]);
    drop(index);
    if fixture.close() == Kept::Yes {
        assert!(fixture.open(&place()).is_err(), "it was opened as if it were complete");
    }
}
