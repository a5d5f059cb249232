//! What every [`Index`] must do, as tests: for tests only.
//!
//! Each claim is a function that panics where the claim does not hold. One macro,
//! [`index_conformance!`](crate::index_conformance), makes tests of all of them for one
//! implementation, which says in a [`Fixture`] how it is opened. What is not claimed here: what a
//! crash leaves behind, and what is done about damage.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use flk_contract::{Code, Digest, Facts, Form, LogId, LogTime, Nano, Settled, Tenant, signals::Regime};

use crate::{Index, Place, ResultsError};

/// How an implementation is opened; one for each test.
pub trait Fixture {
    /// The implementation.
    type Index: Index;

    /// Opens the index of a place, or makes it.
    ///
    /// # Errors
    /// In words, where there is an index, but not one that can be used for that place.
    fn open(&self, place: &Place) -> Result<Self::Index, String>;

    /// Called when every index that was opened is dropped: whether what they held can be opened
    /// again.
    fn close(&self) -> Kept;
}

/// Whether an index outlives its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// On disk.
    Yes,
    /// In memory.
    No,
}

/// Makes a module of tests, one for each claim: `index_conformance!(name, expression)`, where the
/// expression makes a new [`Fixture`].
#[macro_export]
macro_rules! index_conformance {
    ($name:ident, $fixture:expr) => {
        $crate::index_conformance!($name, $fixture;
            an_index_that_is_new_knows_nothing
            what_is_applied_is_found_as_it_was
            of_two_results_for_an_id_the_last_applied_stands
            the_end_moves_without_results_too
            applying_again_changes_nothing
            what_does_not_belong_is_refused_and_nothing_is_applied
            forgetting_goes_in_order_and_in_steps
            a_successor_is_not_forgotten
            tenants_are_apart
            partitions_are_apart
            readers_see_whole_batches
            what_was_applied_is_there_when_opened_again
            an_index_of_another_log_is_not_opened
            any_history_says_what_a_plain_map_says
        );
    };
    ($name:ident, $fixture:expr; $($claim:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[test]
                fn $claim() {
                    $crate::conformance::$claim(&$fixture);
                }
            )*
        }
    };
}

/// A partition to try things with.
pub fn place() -> Place {
    Place { log: LogId::new("the log"), topic: "pcs.raw".into(), partition: 0 }
}

/// A settled result for id number `id`, made by the record at `offset`. Over a few offsets it
/// takes every shape that a result can have.
pub fn result(place: &Place, tenant: &str, id: u64, offset: i64) -> Settled {
    let pick = |n: usize| offset.unsigned_abs() as usize % n;
    let signed = [Some(Form::Content), Some(Form::Payload), None][pick(3)];
    Settled {
        code: [Code::Ok, Code::RegimeMismatch, Code::BudgetDeviation, Code::Degraded][pick(4)],
        facts: Facts {
            tenant: must("a tenant", Tenant::new(tenant)),
            pcs_id: id_text(id).into(),
            d_hat: [Nano::from_units(1_400_000_000 + i128::from(offset)), Nano::from_f64(-0.0).unwrap_or_default()]
                [pick(2)],
            recomputed_d_hat: [None, Some(Nano::from_units(i128::from(offset) << 64))][pick(2)],
            regime: [None, Some(Regime::Sticky), Some(Regime::Mixed), Some(Regime::NonSticky)][pick(4)],
            recomputed_budget: [Some(Nano::from_units(-1)), None, Some(Nano::from_units(412_345_678))][pick(3)],
            payload_sha256: Digest::of(&offset.to_le_bytes()),
            content_sha256: Digest::of(&id.to_le_bytes()),
            key_id: signed.map(|_| "0123456789abcdef".into()),
            signed,
        },
        origin: place.origin(offset, LogTime::from_millis(1_767_225_600_000 + offset)),
    }
}

/// The derived id number `id`.
pub fn id_text(id: u64) -> String {
    Digest::of(&id.to_be_bytes()).to_string()
}

fn must<T, E: core::fmt::Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|why| panic!("{what}: {why}"))
}

fn apply(index: &impl Index, settled: &[Settled], next: i64) {
    must("apply", index.apply(settled, next));
    assert_eq!(index.next(), next, "the end after applying up to {next}");
}

fn get(index: &impl Index, tenant: &str, id: u64) -> Option<Settled> {
    let tenant = must("a tenant", Tenant::new(tenant));
    must("get", index.get(&tenant, &id_text(id)))
}

fn forget(index: &impl Index, before: i64, limit: usize) -> usize {
    must("forget", index.forget_before(before, limit))
}

fn open<F: Fixture>(fixture: &F) -> F::Index {
    must("open", fixture.open(&place()))
}

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
    let settled: Vec<_> = (0..24).map(|n| result(&place(), "default", n as u64, n)).collect();
    apply(&index, &settled, 24);
    for (id, result) in (0..).zip(&settled) {
        assert_eq!(get(&index, "default", id).as_ref(), Some(result));
    }
    assert_eq!(get(&index, "default", 24), None);
}

/// Applied later, or further on in the same batch.
pub fn of_two_results_for_an_id_the_last_applied_stands(fixture: &impl Fixture) {
    let index = open(fixture);
    let result = |id, offset| result(&place(), "default", id, offset);
    apply(&index, &[result(1, 1), result(2, 2), result(1, 3)], 10);
    assert_eq!(get(&index, "default", 1), Some(result(1, 3)), "of two in one batch");
    apply(&index, &[result(2, 11)], 12);
    assert_eq!(get(&index, "default", 2), Some(result(2, 11)), "of two in two batches");
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
    let settled: Vec<_> = (0..8).map(|n| result(&place(), "default", n as u64, n)).collect();
    for _ in 0..3 {
        apply(&index, &settled, 8);
        apply(&index, &settled[4..], 8);
    }
    for (id, result) in (0..).zip(&settled) {
        assert_eq!(get(&index, "default", id).as_ref(), Some(result));
    }
    assert_eq!(forget(&index, 8, 100), 8, "each is kept once");
}

/// A batch is taken whole or not at all.
pub fn what_does_not_belong_is_refused_and_nothing_is_applied(fixture: &impl Fixture) {
    let index = open(fixture);
    let here = place();
    let good = |offset| result(&here, "default", offset as u64, offset);
    apply(&index, &[good(1)], 5);

    let elsewhere = [
        Place { log: LogId::new("another log"), ..here.clone() },
        Place { topic: "pcs.verified".into(), ..here.clone() },
        Place { partition: 1, ..here.clone() },
    ];
    let mut bad: Vec<_> = elsewhere.iter().map(|place| result(place, "default", 100, 6)).collect();
    bad.push(Settled { code: Code::Conflict, ..good(6) });
    bad.push(good(20));
    for id in ["6", &id_text(6).to_uppercase()] {
        let mut underived = good(6);
        underived.facts.pcs_id = id.into();
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
    let result = |n: i64| result(&place(), "default", n as u64, 10 * n);
    let settled: Vec<_> = (0..10).map(result).collect();
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

    apply(&index, &[result(2)], 1000);
    assert_eq!(left(), [2, 7, 8, 9]);
    assert_eq!(forget(&index, 61, 4), 1, "what came again is forgotten again");
    assert_eq!(forget(&index, i64::MAX, 100), 3);
    assert_eq!(left(), [0_u64; 0]);
}

/// The result that took an expired one's place stays when the expired one's record goes.
pub fn a_successor_is_not_forgotten(fixture: &impl Fixture) {
    let index = open(fixture);
    let result = |id, offset| result(&place(), "default", id, offset);
    apply(&index, &[result(1, 1), result(2, 2)], 10);
    apply(&index, &[result(1, 50)], 60);
    assert_eq!(forget(&index, 40, 10), 2, "it looked at both old places");
    assert_eq!(get(&index, "default", 1), Some(result(1, 50)));
    assert_eq!(get(&index, "default", 2), None);
    assert_eq!(forget(&index, 60, 10), 1);
    assert_eq!(get(&index, "default", 1), None);
}

/// One id of two tenants is two ids.
pub fn tenants_are_apart(fixture: &impl Fixture) {
    let index = open(fixture);
    apply(&index, &[result(&place(), "a", 1, 1), result(&place(), "ab", 1, 2)], 3);
    assert_eq!(get(&index, "a", 1), Some(result(&place(), "a", 1, 1)));
    assert_eq!(get(&index, "ab", 1), Some(result(&place(), "ab", 1, 2)));
    assert_eq!(get(&index, "b", 1), None);
    assert_eq!(forget(&index, 2, 10), 1);
    assert_eq!(get(&index, "a", 1), None);
    assert!(get(&index, "ab", 1).is_some());
}

/// Indexes of two partitions know nothing of each other.
pub fn partitions_are_apart(fixture: &impl Fixture) {
    let other = [Place { partition: 1, ..place() }, Place { topic: "pcs.verified".into(), ..place() }];
    let index = open(fixture);
    apply(&index, &[result(&place(), "default", 1, 1)], 2);
    for place in other {
        let other = must("open", fixture.open(&place));
        assert_eq!((other.next(), get(&other, "default", 1)), (0, None));
        apply(&other, &[result(&place, "default", 1, 7)], 9);
        assert_eq!(forget(&other, 9, 10), 1);
    }
    assert_eq!((index.next(), get(&index, "default", 1)), (2, Some(result(&place(), "default", 1, 1))));
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
            let settled: Vec<_> = offsets.map(|n| result(&place(), "default", n as u64, n)).collect();
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

/// Results, end and what was forgotten; for those that outlive their process.
pub fn what_was_applied_is_there_when_opened_again(fixture: &impl Fixture) {
    let result = |n: i64| result(&place(), "default", n as u64, n);
    for round in 0..3 {
        let index = open(fixture);
        assert_eq!(index.next(), 100 * round);
        for n in 0..10 {
            let at = 100 * (round - 1) + n;
            let expected = (round > 0 && n >= 5).then(|| result(at));
            assert_eq!(get(&index, "default", at as u64), expected, "{at} in round {round}");
        }
        let settled: Vec<_> = (0..10).map(|n| result(100 * round + n)).collect();
        apply(&index, &settled, 100 * (round + 1));
        let left = if round == 0 { 0 } else { 5 };
        assert_eq!(forget(&index, 100 * round + 5, 100), left + 5, "round {round}");
        drop(index);
        if fixture.close() == Kept::No {
            assert_eq!(open(fixture).next(), 0, "one that does not outlive its process is new each time");
            return;
        }
    }
}

/// Positions of different logs never compare equal: its entries would be taken for others.
pub fn an_index_of_another_log_is_not_opened(fixture: &impl Fixture) {
    apply(&open(fixture), &[result(&place(), "default", 1, 1)], 2);
    if fixture.close() == Kept::Yes {
        let other = Place { log: LogId::new("another log"), ..place() };
        assert!(fixture.open(&other).is_err(), "it was opened for another log");
        assert!(get(&open(fixture), "default", 1).is_some(), "it was harmed by the attempt");
    }
}

/// A few hundred steps of every kind, on few ids, so that each is met often.
pub fn any_history_says_what_a_plain_map_says(fixture: &impl Fixture) {
    let mut seed = 7_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let (mut index, mut by_id, mut next) = (open(fixture), BTreeMap::new(), 0);
    for step in 0..400 {
        match random(10) {
            0..6 => {
                let settled: Vec<_> = (0..random(6)).zip(next..).map(|(_, at)| (random(40), at)).collect();
                next += settled.len() as i64 + random(3) as i64;
                let settled = settled.into_iter().map(|(id, at)| (id, result(&place(), "default", id, at)));
                let settled: Vec<_> = settled.collect();
                let results: Vec<_> = settled.iter().map(|(_, result)| result.clone()).collect();
                apply(&index, &results, next);
                by_id.extend(settled);
            }
            6..9 => {
                let (before, limit) = (random(next as u64 + 3) as i64, 1 + random(20) as usize);
                loop {
                    let looked = forget(&index, before, limit);
                    assert!(looked <= limit, "{looked} places where {limit} were asked for");
                    if looked == 0 {
                        break;
                    }
                }
                by_id.retain(|_, settled: &mut Settled| settled.origin.position.offset >= before);
            }
            _ => {
                drop(index);
                if fixture.close() == Kept::No {
                    (by_id, next) = (BTreeMap::new(), 0);
                }
                index = open(fixture);
            }
        }
        assert_eq!(index.next(), next, "after step {step}");
        for id in 0..40 {
            assert_eq!(get(&index, "default", id).as_ref(), by_id.get(&id), "id {id} after step {step}");
        }
    }
}
