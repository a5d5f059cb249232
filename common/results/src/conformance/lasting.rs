//! Claims about what outlives the process, and about histories of all that is done to an index.

use std::collections::BTreeMap;

use flk_contract::LogId;

use super::{Fixture, Kept, apply, entries, entry, forget, get, open, place};
use crate::{Entry, Index as _, Place};

/// Results, end and what was forgotten; for those that outlive their process.
pub fn what_was_applied_is_there_when_opened_again(fixture: &impl Fixture) {
    let entry = |n: i64| entry(&place(), "default", n as u64, n);
    for round in 0..3 {
        let index = open(fixture);
        assert_eq!(index.next(), 100 * round);
        for n in 0..10 {
            let at = 100 * (round - 1) + n;
            let expected = (round > 0 && n >= 5).then(|| entry(at));
            assert_eq!(get(&index, "default", at as u64), expected, "{at} in round {round}");
        }
        let settled: Vec<_> = (0..10).map(|n| entry(100 * round + n)).collect();
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
    apply(&open(fixture), &[entry(&place(), "default", 1, 1)], 2);
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
                let settled = settled.into_iter().map(|(id, at)| (id, entry(&place(), "default", id, at)));
                let settled: Vec<_> = settled.collect();
                let batch: Vec<_> = settled.iter().map(|(_, entry)| entry.clone()).collect();
                apply(&index, &batch, next);
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
                by_id.retain(|_, entry: &mut Entry| entry.offset >= before);
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
        let (from, limit) = (random(next as u64 + 3) as i64, random(50) as usize);
        let mut in_order: Vec<_> = by_id.values().filter(|entry| entry.offset >= from).cloned().collect();
        in_order.sort_by_key(|entry| entry.offset);
        in_order.truncate(limit);
        assert_eq!(entries(&index, from, limit), in_order, "{limit} from {from} after step {step}");
    }
}
