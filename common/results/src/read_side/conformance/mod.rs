//! What every [`ReadSide`] must do, as tests: for tests only.
//!
//! Each claim is a function that panics where the claim does not hold. One macro,
//! [`read_side_conformance!`](crate::read_side_conformance), makes tests of all of them for one
//! implementation, which says in a [`Fixture`] how it is opened. What is not claimed here: what
//! happens while a store is away, and what one server does that another does not.

mod losses;
mod sample;
mod settling;

use core::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use flk_contract::{LogId, LogTime, Tenant, limits::WINDOW};

pub use self::{losses::*, sample::*, settling::*};
use super::{Batch, Lookup, Published, ReadSide, Subject};
use crate::Entry;

/// How an implementation is opened, on a store that is empty at first; one for each test.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The implementation.
    type Side: ReadSide;

    /// A read side about a subject. All that are opened are on the one store.
    async fn open(&self, subject: &Subject) -> Self::Side;

    /// Makes the store forget everything.
    async fn lose(&self);

    /// What time it is there.
    async fn now(&self) -> LogTime;

    /// Comes back when it is later than that there.
    async fn reach(&self, time: LogTime);
}

/// Makes a module of tests, one for each claim: `read_side_conformance!(name, expression)`, where the
/// expression makes a new [`Fixture`]. The tests are tokio's.
#[macro_export]
macro_rules! read_side_conformance {
    ($name:ident, $fixture:expr) => {
        $crate::read_side_conformance!($name, $fixture;
            one_that_is_new_is_not_ready
            nothing_at_all_is_complete_once_somebody_says_so
            what_is_published_is_found_as_it_was
            an_id_that_is_not_derived_never_settles
            a_batch_that_begins_beyond_the_marker_sets_nothing
            it_is_ready_when_it_has_come_as_far_as_anybody
            one_who_is_behind_does_not_say_ready_for_others
            a_batch_of_long_ago_changes_nothing
            of_a_batch_that_overlaps_only_the_new_part_is_set
            of_two_results_of_an_id_the_later_stands
            what_has_expired_is_neither_set_nor_found
            a_late_batch_does_not_take_the_place_of_a_successor
            a_shorter_window_forgets_earlier
            what_has_expired_is_removed_in_steps
            tenants_and_partitions_are_apart
            a_loss_is_noticed_by_an_empty_batch_and_mended_from_the_start
            another_log_or_topic_is_another_store
            what_does_not_belong_is_refused_and_nothing_is_set
            any_history_says_what_memory_says
        );
    };
    ($name:ident, $fixture:expr; $($claim:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[tokio::test]
                async fn $claim() {
                    $crate::read_side::conformance::$claim(&$fixture).await;
                }
            )*
        }
    };
}

/// A subject to try things with: three partitions, the whole window.
pub fn subject() -> Subject {
    Subject {
        log: LogId::new("the log"),
        topic: "pcs.raw".into(),
        partitions: NonZeroU32::MIN.saturating_add(2),
        keep: WINDOW,
    }
}

/// The partition that most claims are about.
pub const PARTITION: u32 = 1;

pub(super) fn must<T, E: core::fmt::Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|why| panic!("{what}: {why}"))
}

/// A read side, and the time at which the claim begins.
pub(super) struct Trial<S> {
    pub(super) side: S,
    pub(super) subject: Subject,
    pub(super) began: LogTime,
}

impl<S: ReadSide> Trial<S> {
    pub(super) async fn new<F: Fixture<Side = S>>(fixture: &F) -> Self {
        Self::about(fixture, subject()).await
    }

    pub(super) async fn about<F: Fixture<Side = S>>(fixture: &F, subject: Subject) -> Self {
        Self { side: fixture.open(&subject).await, began: fixture.now().await, subject }
    }

    /// The entry of id number `id` of the partition at an offset, in force for a week yet.
    pub(super) fn entry(&self, id: u64, offset: i64) -> Entry {
        self.entry_of(id, offset, Duration::from_hours(7 * 24))
    }

    /// The one of the id that has the offset's number.
    pub(super) fn nth(&self, offset: i64) -> Entry {
        self.entry(offset.unsigned_abs(), offset)
    }

    /// One that expires so long after the beginning of the trial.
    pub(super) fn entry_of(&self, id: u64, offset: i64, left: Duration) -> Entry {
        let at = self.began.after(left).before(self.subject.keep.min(WINDOW));
        entry(&self.subject, PARTITION, id, offset, at)
    }

    pub(super) async fn publish(&self, from: i64, to: i64, end: i64, entries: &[Entry]) -> Published {
        let batch = Batch { partition: PARTITION, from, to, end, entries };
        must("publish", self.side.publish(&batch).await)
    }

    /// A batch that is the end of what its writer knows.
    pub(super) async fn complete(&self, from: i64, to: i64, entries: &[Entry]) -> Published {
        self.publish(from, to, to, entries).await
    }

    pub(super) async fn read(&self, id: u64) -> Lookup {
        self.read_of(&Tenant::default_tenant(), id).await
    }

    pub(super) async fn read_of(&self, tenant: &Tenant, id: u64) -> Lookup {
        must("read", self.side.read(tenant, &id_of(&self.subject, tenant, PARTITION, id)).await)
    }

    pub(super) async fn assert_hit(&self, id: u64, expected: &Entry) {
        assert_eq!(self.read(id).await, Lookup::Hit(Box::new(expected.settled.clone())), "id {id}");
    }

    pub(super) async fn assert_miss(&self, id: u64, ready: bool) {
        assert_eq!(self.read(id).await, Lookup::Miss { ready }, "id {id}");
    }
}

pub(super) const fn published(next: i64, ready: bool) -> Published {
    Published { next, ready }
}
