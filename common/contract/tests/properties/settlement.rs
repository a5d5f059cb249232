//! Settlement is a fold over the order of records: whatever is met again, nobody else wins.

use std::collections::HashSet;

use flk_contract::{Digest, LogId, LogTime, Origin, Outcome, Position, limits::WINDOW, settle};
use proptest::{collection::vec, prelude::*};

use crate::cases;

/// An accepted record of the one id that all of this is about.
#[derive(Debug, Clone)]
struct Accepted {
    origin: Origin,
    content: Digest,
    settled_at: LogTime,
}

const DAY: i64 = 24 * 60 * 60 * 1000;
const STANDS: i64 = WINDOW.as_millis() as i64;

/// Records in the order in which they reach settlement. Their log times are often on the edges of
/// each other's fourteen days, and in no order: they come from several partitions.
fn records() -> impl Strategy<Value = Vec<Accepted>> {
    let near = |unit: i64, most: i64| (0..most, -1..=1_i64).prop_map(move |(n, by)| n * unit + by);
    let time = prop_oneof![near(STANDS, 5), near(DAY, 60), Just(i64::MAX), Just(i64::MIN)];
    let delay = prop_oneof![4 => 0..1000_i64, 1 => near(STANDS, 2)];
    vec((time, delay, 0..3_u8), 1..24).prop_map(|records| {
        (1..)
            .zip(records)
            .map(|(offset, (time, delay, content))| Accepted {
                origin: Origin {
                    position: Position { log: LogId::new("log"), topic: "pcs.raw".into(), partition: 0, offset },
                    appended_at: LogTime::from_millis(time),
                },
                content: Digest([content; 32]),
                settled_at: LogTime::from_millis(time.saturating_add(delay)),
            })
            .collect()
    })
}

/// The index of one id.
#[derive(Debug, Clone, Default, PartialEq)]
struct Index(Option<(Origin, Digest)>);

impl Index {
    fn meet(&mut self, record: &Accepted) -> Outcome {
        let stored = self.0.as_ref().map(|(origin, content)| (origin, content));
        let outcome = settle(&record.origin, &record.content, stored, record.settled_at);
        if outcome == Outcome::Settles {
            self.0 = Some((record.origin.clone(), record.content));
        }
        outcome
    }

    fn fold(&mut self, records: &[Accepted]) -> Vec<Outcome> {
        records.iter().map(|record| self.meet(record)).collect()
    }
}

fn winners<'a>(records: &'a [Accepted], outcomes: &[Outcome]) -> Vec<&'a Accepted> {
    let settles = records.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Settles);
    settles.map(|(record, _)| record).collect()
}

proptest! {
    #![proptest_config(cases(4))]

    #[test]
    fn the_same_order_gives_the_same_outcomes(records in records()) {
        prop_assert_eq!(Index::default().fold(&records), Index::default().fold(&records));
    }

    #[test]
    fn no_two_winners_are_less_than_fourteen_days_apart(records in records()) {
        let outcomes = Index::default().fold(&records);
        let won = winners(&records, &outcomes);
        let positions: HashSet<_> = won.iter().map(|winner| &winner.origin.position).collect();
        prop_assert_eq!(positions.len(), won.len());
        for pair in won.windows(2) {
            let millis = |n: usize| i128::from(pair[n].origin.appended_at.millis());
            prop_assert!(millis(1) - millis(0) >= i128::from(STANDS));
        }
    }

    #[test]
    fn each_outcome_is_what_the_contract_says_in_its_order(records in records()) {
        let mut index = Index::default();
        for record in &records {
            let before = index.clone();
            let outcome = index.meet(record);
            let millis = |time: LogTime| i128::from(time.millis());
            let at = millis(record.origin.appended_at);
            let expired = |from: i128, to: i128| to - from >= i128::from(STANDS);
            let standing = before.0.as_ref().filter(|(first, _)| !expired(millis(first.appended_at), at));
            let late = expired(at, millis(record.settled_at));
            let expected = match standing {
                Some((_, content)) if *content == record.content => Outcome::Duplicate,
                Some(_) => Outcome::Conflict,
                None if late => Outcome::TooOld,
                None => Outcome::Settles,
            };
            prop_assert_eq!(outcome, expected);
            prop_assert!(outcome == Outcome::Settles || index == before);
            // Met again at once: a winner meets itself, nobody else wins.
            let again = index.clone().meet(record);
            prop_assert_eq!(again == Outcome::Replay, outcome == Outcome::Settles);
            prop_assert!(again == outcome || again == Outcome::Replay);
        }
    }

    #[test]
    fn the_own_origin_is_always_a_replay(records in records(), late in any::<i64>(), content in any::<u8>()) {
        let mut index = Index::default();
        for record in &records {
            index.meet(record);
            if let Some((origin, _)) = &index.0 {
                let again = Accepted {
                    origin: Origin { appended_at: record.origin.appended_at, ..origin.clone() },
                    content: Digest([content; 32]),
                    settled_at: LogTime::from_millis(late),
                };
                prop_assert_eq!(index.clone().meet(&again), Outcome::Replay);
            }
        }
    }

    /// A crash after any record, and delivery again from anywhere before it.
    #[test]
    fn what_is_delivered_again_changes_no_winner(
        records in records(), crash in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(),
    ) {
        let crash = crash.index(records.len() + 1);
        let from = from.index(crash + 1);
        let mut once = Index::default();
        let outcomes = once.fold(&records);
        let mut index = Index::default();
        index.fold(&records[..crash]);
        let before = index.clone();
        let again = index.fold(&records[from..crash]);
        prop_assert!(!again.contains(&Outcome::Settles));
        prop_assert_eq!(&index, &before);
        prop_assert_eq!(index.fold(&records[crash..]), &outcomes[crash..]);
        prop_assert_eq!(index, once);
    }
}
