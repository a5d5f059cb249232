//! What every [`Index`] must do, as tests: for tests only.
//!
//! Each claim is a function that panics where the claim does not hold. One macro,
//! [`index_conformance!`](crate::index_conformance), makes tests of all of them for one
//! implementation, which says in a [`Fixture`] how it is opened. What is not claimed here: what a
//! crash leaves behind, and what is done about damage.

mod keeping;
mod lasting;
mod loading;

use core::num::NonZeroU32;

use flk_contract::{Code, Digest, Facts, Form, LogId, LogTime, Nano, Settled, Tenant, signals::Regime};

pub use self::{keeping::*, lasting::*, loading::*};
use crate::{Entry, Index, Place};

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
            entries_are_read_in_the_order_of_their_offsets
            readers_see_whole_batches
            what_was_applied_is_there_when_opened_again
            an_index_of_another_log_is_not_opened
            any_history_says_what_a_plain_map_says
            what_is_loaded_in_any_order_is_found_as_it_was
            of_two_loaded_results_for_an_id_the_one_further_on_stands
            nothing_else_is_taken_while_it_is_loaded
            only_an_index_that_is_new_is_loaded
            entries_beyond_the_end_are_met_again
            what_was_not_loaded_to_its_end_is_not_there_when_opened_again
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

/// A partition to try things with, whose origins lie elsewhere.
pub fn place() -> Place {
    let log = LogId::new("the log");
    let partitions = NonZeroU32::MIN.saturating_add(47);
    Place { log, topic: "pcs.verified".into(), partition: 0, partitions, origins: "pcs.raw".into() }
}

/// What the record at `offset` settled for id number `id`. Over a few offsets it takes every shape
/// that a result can have, and its origin lies in another place than its neighbours'.
pub fn entry(place: &Place, tenant: &str, id: u64, offset: i64) -> Entry {
    let pick = |n: usize| offset.unsigned_abs() as usize % n;
    let signed = [Some(Form::Content), Some(Form::Payload), None][pick(3)];
    let (partition, at) =
        if place.origins == place.topic { (place.partition, offset) } else { (pick(5) as i32, 1_000 + 3 * offset) };
    let settled = Settled {
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
        origin: place.origin(partition, at, LogTime::from_millis(1_767_225_600_000 + offset)),
    };
    Entry { offset, settled }
}

/// The derived id number `id`.
pub fn id_text(id: u64) -> String {
    Digest::of(&id.to_be_bytes()).to_string()
}

fn must<T, E: core::fmt::Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|why| panic!("{what}: {why}"))
}

fn apply(index: &impl Index, entries: &[Entry], next: i64) {
    must("apply", index.apply(entries, next));
    assert_eq!(index.next(), next, "the end after applying up to {next}");
}

fn get(index: &impl Index, tenant: &str, id: u64) -> Option<Entry> {
    let tenant = must("a tenant", Tenant::new(tenant));
    must("get", index.get(&tenant, &id_text(id)))
}

fn forget(index: &impl Index, before: i64, limit: usize) -> usize {
    must("forget", index.forget_before(before, limit))
}

fn open<F: Fixture>(fixture: &F) -> F::Index {
    must("open", fixture.open(&place()))
}

fn entries(index: &impl Index, from: i64, limit: usize) -> Vec<Entry> {
    must("entries", index.entries(from, limit))
}
