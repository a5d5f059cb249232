//! What is published, in what order, and what is then found.

use core::time::Duration;

use flk_contract::Tenant;

use super::{Fixture, PARTITION, Trial, entry_of, must, published, subject};
use crate::read_side::{Batch, ENTRIES_MAX, Lookup, ReadSide, Subject};

const WEEK: Duration = Duration::from_hours(7 * 24);

/// Nobody knows what it lacks.
pub async fn one_that_is_new_is_not_ready(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    trial.assert_miss(1, false).await;
    assert_eq!(must("expire", trial.side.expire(10).await), 0);
    assert_eq!(must("health", trial.side.health().await), []);
}

/// A partition in which nothing was settled.
pub async fn nothing_at_all_is_complete_once_somebody_says_so(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    assert_eq!(trial.complete(0, 0, &[]).await, published(0, true));
    trial.assert_miss(1, true).await;
    assert_eq!(trial.complete(0, 900, &[]).await, published(900, true));
    assert_eq!(trial.complete(900, 900, &[]).await, published(900, true));
    trial.assert_miss(1, true).await;
}

/// Whatever shape the result has, and however many come at once.
pub async fn what_is_published_is_found_as_it_was(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let entries: Vec<_> = (0..72).map(|n| trial.nth(n)).collect();
    assert_eq!(trial.complete(0, 72, &entries).await, published(72, true));
    for (id, entry) in (0..).zip(&entries) {
        trial.assert_hit(id, entry).await;
    }
    trial.assert_miss(72, true).await;

    let many: Vec<_> = (100..).take(ENTRIES_MAX).map(|n| trial.nth(n)).collect();
    let end = 100 + ENTRIES_MAX as i64;
    assert_eq!(trial.complete(72, end, &many).await, published(end, true));
    trial.assert_hit(100, &many[0]).await;
    trial.assert_hit(end.unsigned_abs() - 1, &many[ENTRIES_MAX - 1]).await;
}

/// Whatever the store knows: what is asked for by HTTP may be anything.
pub async fn an_id_that_is_not_derived_never_settles(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    for id in ["", "not an id", &"F".repeat(64), "\0"] {
        let told = must("read", trial.side.read(&Tenant::default_tenant(), id).await);
        assert_eq!(told, Lookup::Miss { ready: true }, "{id:?}");
    }
}

/// It would certify what lies between.
pub async fn a_batch_that_begins_beyond_the_marker_sets_nothing(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let entries = [trial.entry(5, 5), trial.entry(6, 6)];
    assert_eq!(trial.complete(5, 7, &entries).await, published(0, false));
    trial.assert_miss(5, false).await;
    assert_eq!(trial.complete(0, 3, &[]).await, published(3, false), "somebody was at 7");
    assert_eq!(trial.complete(5, 7, &entries).await, published(3, false));
    trial.assert_miss(5, false).await;
    assert_eq!(trial.complete(3, 7, &entries).await, published(7, true));
    trial.assert_hit(5, &entries[0]).await;
    trial.assert_miss(1, true).await;
}

/// In steps, with a hit for what is there already.
pub async fn it_is_ready_when_it_has_come_as_far_as_anybody(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let entries: Vec<_> = (0..6).map(|n| trial.nth(n)).collect();
    assert_eq!(trial.publish(0, 2, 6, &entries[..2]).await, published(2, false));
    trial.assert_hit(1, &entries[1]).await;
    trial.assert_miss(2, false).await;
    assert_eq!(trial.publish(2, 4, 6, &entries[2..4]).await, published(4, false));
    assert_eq!(trial.publish(4, 6, 6, &entries[4..]).await, published(6, true));
    trial.assert_hit(5, &entries[5]).await;
    trial.assert_miss(6, true).await;
}

/// After a loss that one writer has noticed, another that has not come as far comes first.
pub async fn one_who_is_behind_does_not_say_ready_for_others(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let told = trial.entry(8, 8);
    assert_eq!(trial.complete(10, 10, &[]).await, published(0, false));
    assert_eq!(trial.complete(0, 5, &[]).await, published(5, false));
    trial.assert_miss(8, false).await;
    assert_eq!(trial.complete(5, 10, core::slice::from_ref(&told)).await, published(10, true));
    trial.assert_hit(8, &told).await;
}

/// A zombie, or an answer that was waited for in vain: the same again, or what was so once.
pub async fn a_batch_of_long_ago_changes_nothing(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let entries: Vec<_> = (0..10).map(|n| trial.nth(n)).collect();
    assert_eq!(trial.complete(0, 10, &entries).await, published(10, true));
    assert_eq!(trial.complete(0, 10, &entries).await, published(10, true));
    // What no index says: if it were set, it would be seen.
    let other = [trial.entry(1, 3), trial.entry(20, 4)];
    for end in [6, 10] {
        assert_eq!(trial.publish(3, 6, end, &other).await, published(10, true));
    }
    trial.assert_hit(1, &entries[1]).await;
    trial.assert_miss(20, true).await;
}

/// Two writers cut the same offsets differently.
pub async fn of_a_batch_that_overlaps_only_the_new_part_is_set(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    assert_eq!(trial.complete(0, 10, &[]).await, published(10, true));
    let entries = [trial.entry(1, 9), trial.entry(2, 10), trial.entry(3, 11)];
    assert_eq!(trial.complete(5, 12, &entries).await, published(12, true));
    trial.assert_miss(1, true).await;
    trial.assert_hit(2, &entries[1]).await;
    trial.assert_hit(3, &entries[2]).await;
}

/// In one batch, or in two.
pub async fn of_two_results_of_an_id_the_later_stands(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let entries = [trial.entry(1, 1), trial.entry(2, 2), trial.entry(1, 3)];
    assert_eq!(trial.complete(0, 4, &entries).await, published(4, true));
    trial.assert_hit(1, &entries[2]).await;
    let later = trial.entry(2, 5);
    assert_eq!(trial.complete(4, 6, core::slice::from_ref(&later)).await, published(6, true));
    trial.assert_hit(2, &later).await;
}

/// By the store's clock. The marker moves on all the same.
pub async fn what_has_expired_is_neither_set_nor_found(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let soon = Duration::from_millis(1500);
    let entries = [trial.entry_of(1, 1, Duration::ZERO), trial.entry_of(2, 2, soon), trial.entry(3, 3)];
    assert_eq!(trial.complete(0, 4, &entries).await, published(4, true));
    trial.assert_miss(1, true).await;
    if fixture.now().await < trial.began.after(soon / 2) {
        trial.assert_hit(2, &entries[1]).await;
    }
    fixture.reach(trial.began.after(soon)).await;
    trial.assert_miss(2, true).await;
    trial.assert_hit(3, &entries[2]).await;
}

/// The record at 1 settled the id long ago, the one at 5 settled it again; then the first comes late.
pub async fn a_late_batch_does_not_take_the_place_of_a_successor(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let (first, successor) = (trial.entry_of(1, 1, Duration::ZERO), trial.entry(1, 5));
    assert_eq!(trial.complete(0, 6, core::slice::from_ref(&successor)).await, published(6, true));
    assert_eq!(trial.complete(0, 2, core::slice::from_ref(&first)).await, published(6, true));
    trial.assert_hit(1, &successor).await;
    // Also where it is brought back from the start by one who does not know of the successor yet.
    fixture.lose().await;
    assert_eq!(trial.complete(0, 6, core::slice::from_ref(&successor)).await, published(6, true));
    assert_eq!(trial.complete(6, 8, &[trial.entry_of(1, 7, Duration::ZERO)]).await, published(8, true));
    trial.assert_hit(1, &successor).await;
}

/// The hot window: what has left it is a miss like any other.
pub async fn a_shorter_window_forgets_earlier(fixture: &impl Fixture) {
    let about = Subject { keep: Duration::from_hours(1), ..subject() };
    let trial = Trial::about(fixture, about).await;
    let entries = [trial.entry_of(1, 1, Duration::ZERO), trial.entry_of(2, 2, Duration::from_mins(30))];
    assert_eq!(trial.complete(0, 3, &entries).await, published(3, true));
    trial.assert_miss(1, true).await;
    trial.assert_hit(2, &entries[1]).await;
    // Longer than results stand is as long as they stand.
    let long = Trial::about(fixture, Subject { keep: 2 * WEEK + WEEK, ..subject() }).await;
    let gone = long.entry_of(9, 9, Duration::ZERO);
    assert_eq!(long.complete(3, 10, &[gone]).await, published(10, true));
    long.assert_miss(9, true).await;
}

/// Where the store does not do it by itself; what stands stays.
pub async fn what_has_expired_is_removed_in_steps(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let soon = Duration::from_millis(1200);
    let mut entries: Vec<_> = (0..8).map(|n: i64| trial.entry_of(n.unsigned_abs(), n, soon)).collect();
    entries.extend([trial.entry(8, 8), trial.entry(9, 9)]);
    assert_eq!(trial.complete(0, 10, &entries).await, published(10, true));
    fixture.reach(trial.began.after(soon)).await;
    let mut steps = Vec::new();
    loop {
        match must("expire", trial.side.expire(3).await) {
            0 => break,
            removed => steps.push(removed),
        }
    }
    assert!(steps.is_empty() || steps == [3, 3, 2], "{steps:?}");
    for id in 0..8 {
        trial.assert_miss(id, true).await;
    }
    trial.assert_hit(8, &entries[8]).await;
    trial.assert_hit(9, &entries[9]).await;
}

/// One id of two tenants is two ids, and partitions know nothing of each other.
pub async fn tenants_and_partitions_are_apart(fixture: &impl Fixture) {
    let trial = Trial::new(fixture).await;
    let (a, ab) = (must("a tenant", Tenant::new("a")), must("a tenant", Tenant::new("ab")));
    let at = trial.began;
    let entries =
        [entry_of(&a, &trial.subject, PARTITION, 1, 1, at), entry_of(&ab, &trial.subject, PARTITION, 1, 2, at)];
    assert_eq!(trial.complete(0, 3, &entries).await, published(3, true));
    for (tenant, entry) in [(&a, &entries[0]), (&ab, &entries[1])] {
        assert_eq!(trial.read_of(tenant, 1).await, Lookup::Hit(Box::new(entry.settled.clone())));
    }
    trial.assert_miss(1, true).await;
    for partition in [0, 2] {
        let id = super::id_of(&trial.subject, &a, partition, 1);
        assert_eq!(must("read", trial.side.read(&a, &id).await), Lookup::Miss { ready: false });
        let batch = Batch { partition, from: 1, to: 1, end: 1, entries: &[] };
        assert_eq!(must("publish", trial.side.publish(&batch).await), published(0, false));
    }
    assert_eq!(trial.complete(3, 3, &[]).await, published(3, true));
}
