//! What is on its way is found, nothing of it is lost by a failure, and nobody waits for ever.

use flk_results::{
    MemoryIndex, Place,
    conformance::{Fixture, Kept, entry, place},
    index_conformance,
};

use super::*;

/// An index in memory whose writes wait for a gate.
struct Gated {
    index: MemoryIndex,
    gate: Arc<Mutex<()>>,
    panics: bool,
}

impl Index for Gated {
    fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Entry>, ResultsError> {
        self.index.get(tenant, pcs_id)
    }

    fn next(&self) -> i64 {
        self.index.next()
    }

    fn apply(&self, entries: &[Entry], next: i64) -> Result<(), ResultsError> {
        assert!(!self.panics, "as asked");
        let _gate = self.gate.lock().unwrap();
        self.index.apply(entries, next)
    }

    fn entries(&self, from: i64, limit: usize) -> Result<Vec<Entry>, ResultsError> {
        self.index.entries(from, limit)
    }

    fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError> {
        self.index.forget_before(offset, limit)
    }
}

impl Mend for Gated {}

fn gated(panics: bool) -> (Arc<Mutex<()>>, Trailing<Gated>) {
    gated_waiting(panics, WAIT_MAX)
}

fn gated_waiting(panics: bool, wait: Duration) -> (Arc<Mutex<()>>, Trailing<Gated>) {
    let gate = Arc::new(Mutex::new(()));
    let index = Gated { index: MemoryIndex::new(place()), gate: gate.clone(), panics };
    (gate, Trailing::start_waiting(index, Metrics::new(), wait).unwrap())
}

fn results(ids: core::ops::Range<u64>) -> Vec<Entry> {
    ids.map(|id| entry(&place(), "default", id, id as i64)).collect()
}

fn knows(index: &impl Index, id: u64) -> bool {
    let wanted = entry(&place(), "default", id, id as i64);
    let facts = &wanted.settled.facts;
    index.get(&facts.tenant, &facts.pcs_id).unwrap() == Some(wanted)
}

struct InMemory;

impl Fixture for InMemory {
    type Index = Trailing<MemoryIndex>;

    fn open(&self, place: &Place) -> Result<Self::Index, String> {
        Trailing::start(MemoryIndex::new(place.clone()), Metrics::new()).map_err(|error| error.to_string())
    }

    fn close(&self) -> Kept {
        Kept::No
    }
}

// All but that what does not belong is refused at once: here it is refused when it is applied.
index_conformance!(trailing, InMemory;
    an_index_that_is_new_knows_nothing
    what_is_applied_is_found_as_it_was
    of_two_results_for_an_id_the_last_applied_stands
    the_end_moves_without_results_too
    applying_again_changes_nothing
    forgetting_goes_in_order_and_in_steps
    a_successor_is_not_forgotten
    tenants_are_apart
    entries_are_read_in_the_order_of_their_offsets
    readers_see_whole_batches
);

#[test]
fn nobody_waits_for_what_is_on_its_way_and_it_is_found_all_the_same() {
    let (gate, index) = gated(false);
    let held = gate.lock().unwrap();
    index.apply(&results(1..3), 3).unwrap();
    index.apply(&results(3..9), 9).unwrap();
    assert_eq!(index.next(), 9);
    assert!((1..9).all(|id| knows(&index, id)) && !knows(&index, 9));
    assert_eq!(index.shared.index.next(), 0, "nothing has been applied");
    drop(held);
    index.settle().unwrap();
    assert_eq!(index.shared.index.next(), 9);
    assert!((1..9).all(|id| knows(&index.shared.index, id)));
    assert!(index.shared.ahead().steps.is_empty(), "what was applied is not kept twice");
}

#[test]
fn of_two_that_are_on_their_way_the_last_is_found_whatever_step_they_are_in() {
    let (gate, index) = gated(false);
    let held = gate.lock().unwrap();
    let of = |offset: i64| entry(&place(), "default", 1, offset);
    let found = || index.get(&Tenant::default_tenant(), &flk_results::conformance::id_text(1)).unwrap().unwrap();
    let many = 3 * STEP as i64;
    for offset in 0..many {
        index.apply(&[of(offset)], offset + 1).unwrap();
        if offset % 500 == 0 {
            assert_eq!(found(), of(offset));
        }
    }
    assert!((3..=4).contains(&index.shared.ahead().steps.len()), "small batches are put together");
    drop(held);
    index.settle().unwrap();
    assert_eq!((found(), index.entries(0, 9).unwrap()), (of(many - 1), vec![of(many - 1)]));
}

#[test]
fn what_was_handed_in_is_applied_before_the_end() {
    let (_gate, index) = gated(false);
    index.apply(&results(1..100), 100).unwrap();
    let shared = index.shared.clone();
    drop(index);
    assert_eq!(shared.index.next(), 100);
}

#[test]
fn after_a_failure_nothing_more_is_taken_and_nothing_is_forgotten_until_it_is_mended() {
    let (_gate, index) = gated(false);
    index.apply(&results(1..3), 3).unwrap();
    index.settle().unwrap();
    index.shared.index.index.fail_next(1, ResultsError::Unavailable("the disk is full".into()));
    index.apply(&results(3..5), 5).unwrap();
    assert!(index.settle().is_err());
    assert!(index.has_failed());
    assert!(index.apply(&results(5..7), 7).is_err());
    assert!(knows(&index, 3) && knows(&index, 4), "what was taken is still found");
    assert_eq!(index.mend(7), Ok(true));
    assert_eq!((index.next(), index.has_failed()), (3, false), "it goes on from where the index ends");
    assert!(!knows(&index, 3) && index.lacks(), "what it lost, it does not deny");
    index.apply(&results(3..7), 7).unwrap();
    index.restored();
    assert!(!index.lacks());
    index.settle().unwrap();
    assert!((1..7).all(|id| knows(&index.shared.index, id)));
}

#[test]
fn whoever_hands_in_more_than_may_be_on_its_way_waits_for_room() {
    let (gate, index) = gated(false);
    let most = RESULTS_MAX as u64;
    std::thread::scope(|scope| {
        let held = gate.lock().unwrap();
        index.apply(&results(1..most + 1), most as i64 + 1).unwrap();
        let more = scope.spawn(|| index.apply(&results(most + 1..most + 2), most as i64 + 2));
        assert!(!more.is_finished() && index.next() == most as i64 + 1);
        drop(held);
        more.join().unwrap().unwrap();
    });
    assert_eq!(index.next(), most as i64 + 2);
}

#[test]
fn what_found_no_room_in_time_is_not_denied_and_nothing_is_forgotten_past_what_is_on_its_way() {
    let (gate, index) = gated_waiting(false, Duration::from_millis(20));
    let most = RESULTS_MAX as i64;
    let held = gate.lock().unwrap();
    index.apply(&results(1..most as u64 + 1), most + 1).unwrap();
    assert!(!index.lacks());
    assert!(index.forget_before(2, 10).is_err(), "what would be forgotten is still on its way");
    let told = index.apply(&results(most as u64 + 1..most as u64 + 2), most + 2).unwrap_err();
    assert!(matches!(&told, ResultsError::Unavailable(why) if why.contains("20ms")), "{told}");
    assert_eq!((index.next(), index.lacks(), index.has_failed()), (most + 1, true, false));
    assert_eq!(index.mend(most + 2), Ok(false), "it goes on by itself");
    assert!(index.lacks());
    drop(held);
    while index.settle().is_err() {}
    index.apply(&results(most as u64 + 1..most as u64 + 2), most + 2).unwrap();
    index.restored();
    assert!(!index.lacks() && knows(&index, most as u64 + 1));
    while index.settle().is_err() {}
    assert_eq!((index.forget_before(2, 10).unwrap(), knows(&index, 1)), (1, false));
}

#[test]
fn a_panic_of_its_writer_is_told_and_cannot_be_mended() {
    let (_gate, index) = gated(true);
    index.apply(&results(1..2), 2).unwrap();
    assert!(index.settle().is_err());
    let mended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| index.mend(2)));
    assert!(mended.is_err(), "whoever owns it ends, and the process with it");
}
