//! Who wins each id, worked out once more from the order of the records (contract section 5).
//!
//! What is compared with is what the log says of each record; what decides is the contract's
//! [`settle()`](settle()). The verdicts are taken as stored: whether they are right is [`super::judging`]'s
//! question.

use std::collections::HashMap;

use flk_contract::{Code, Digest, LogTime, Origin, Outcome, Tenant, settle, wire::State};
use flk_log::Decision;

/// What the log should say of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) state: State,
    pub(super) code: Code,
    pub(super) settled_by: Option<i64>,
}

/// What the order of the records says of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// The log is right.
    Same,
    /// It is not: this is what it should say.
    Other(Expected),
    /// The record that settled the id is not there to compare with.
    Unknown,
}

/// An id that was settled. A log may hold millions: kept small.
#[derive(Debug, Clone, Copy)]
struct Winner {
    offset: i64,
    at: LogTime,
    content: Digest,
}

/// The fold over a log, in order.
#[derive(Debug, Default)]
pub(super) struct Fold {
    tenants: HashMap<Tenant, u32>,
    winners: HashMap<(u32, Digest), Winner>,
    /// The first offset kept: what came before is not known.
    first: Option<i64>,
    /// Offsets that could not be read, in order, first and last.
    unreadable: Vec<(i64, i64)>,
}

impl Fold {
    /// Records from `from` to `to` could not be read: what they settled is not known.
    pub(super) fn skip(&mut self, from: i64, to: i64) {
        self.first.get_or_insert(from);
        self.unreadable.push((from, to));
    }

    /// The next record, and what the log says of it.
    pub(super) fn step(&mut self, origin: &Origin, decision: &Decision) -> Says {
        let own = origin.position.offset;
        self.first.get_or_insert(own);
        let Some(facts) = decision.verdict.candidate() else {
            return told(decision, Expected { state: State::Refused, code: decision.verdict.code, settled_by: None });
        };
        let key = (self.tenant(&facts.tenant), Digest::of(facts.pcs_id.as_bytes()));
        let winner = self.winners.get(&key).copied();
        let before = winner.map(|winner| {
            let position = flk_contract::Position { offset: winner.offset, ..origin.position.clone() };
            (Origin { position, appended_at: winner.at }, winner.content)
        });
        let before = before.as_ref().map(|(origin, content)| (origin, content));
        // Here a record reaches settlement as it is appended: both times are one.
        let outcome = settle(origin, &facts.content_sha256, before, origin.appended_at);
        let by = winner.map(|winner| winner.offset);
        let expected = match outcome {
            Outcome::Settles => {
                // Somebody else may have won, of whom nothing is known.
                if matches!(decision.state, State::Duplicate | State::Conflict)
                    && decision.settled_by.is_some_and(|by| by < own && !self.knows(by))
                {
                    return Says::Unknown;
                }
                let won = Winner { offset: own, at: origin.appended_at, content: facts.content_sha256 };
                self.winners.insert(key, won);
                Expected { state: State::Settled, code: decision.verdict.code, settled_by: Some(own) }
            }
            Outcome::Replay => Expected { state: State::Settled, code: decision.verdict.code, settled_by: by },
            Outcome::Duplicate => Expected { state: State::Duplicate, code: decision.verdict.code, settled_by: by },
            Outcome::Conflict => Expected { state: State::Conflict, code: Code::Conflict, settled_by: by },
            Outcome::TooOld => Expected { state: State::Refused, code: Code::TooOld, settled_by: None },
        };
        told(decision, expected)
    }

    /// Whether the record at an offset was there to be looked at.
    fn knows(&self, offset: i64) -> bool {
        self.first.is_some_and(|first| first <= offset)
            && !self.unreadable.iter().any(|(from, to)| (*from..=*to).contains(&offset))
    }

    fn tenant(&mut self, tenant: &Tenant) -> u32 {
        if let Some(number) = self.tenants.get(tenant) {
            return *number;
        }
        // There are at most as many as there are keys, or names that somebody made up in a log
        // that fits on a disk.
        let number = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
        self.tenants.insert(tenant.clone(), number);
        number
    }
}

fn told(decision: &Decision, expected: Expected) -> Says {
    let Decision { state, code, settled_by, .. } = *decision;
    if (Expected { state, code, settled_by }) == expected { Says::Same } else { Says::Other(expected) }
}

#[cfg(test)]
mod tests {
    use flk_contract::{Facts, LogId, Nano, Position, Verdict, limits::WINDOW};

    use super::*;
    use State::{Conflict, Duplicate, Settled};

    const WINDOW_MS: i64 = WINDOW.as_millis() as i64;

    fn origin(offset: i64, millis: i64) -> Origin {
        let position = Position { log: LogId::new("l"), topic: "pcs.raw".into(), partition: 0, offset };
        Origin { position, appended_at: LogTime::from_millis(millis) }
    }

    fn decision(id: &str, content: &str, state: State, by: Option<i64>) -> Decision {
        let facts = Facts {
            tenant: Tenant::default_tenant(),
            pcs_id: id.into(),
            d_hat: Nano::from_units(0),
            recomputed_d_hat: None,
            regime: None,
            recomputed_budget: None,
            payload_sha256: Digest::of(b""),
            content_sha256: Digest::of(content.as_bytes()),
            key_id: None,
            signed: None,
        };
        let code = if state == Conflict { Code::Conflict } else { Code::Ok };
        let verdict = Verdict { code: Code::Ok, reason: String::new(), facts: Some(facts) };
        Decision { state, code, verdict, settled_by: by }
    }

    #[test]
    fn the_first_wins_until_its_window_has_passed() {
        let mut fold = Fold::default();
        let mut say = |offset, millis, content, state, by| {
            fold.step(&origin(offset, millis), &decision("a", content, state, Some(by)))
        };
        assert_eq!(say(1, 0, "x", Settled, 1), Says::Same);
        assert_eq!(say(2, 1, "x", Duplicate, 1), Says::Same);
        assert_eq!(say(3, 2, "y", Conflict, 1), Says::Same);
        assert_eq!(say(4, WINDOW_MS - 1, "x", Duplicate, 1), Says::Same);
        assert_eq!(say(5, WINDOW_MS, "y", Settled, 5), Says::Same);
        let by_five = Expected { state: Duplicate, code: Code::Ok, settled_by: Some(5) };
        assert_eq!(say(6, WINDOW_MS + 1, "y", Settled, 6), Says::Other(by_five));
        // What the log says wrongly wins nothing.
        assert_eq!(say(7, WINDOW_MS + 2, "y", Duplicate, 5), Says::Same);
        assert_eq!(say(8, WINDOW_MS + 3, "y", Duplicate, 6), Says::Other(by_five));
    }

    #[test]
    fn a_refused_record_settles_nothing() {
        let mut fold = Fold::default();
        let mut refused = decision("a", "x", State::Refused, None);
        refused.verdict.code = Code::PcsIdMismatch;
        refused.code = Code::PcsIdMismatch;
        assert_eq!(fold.step(&origin(1, 0), &refused), Says::Same);
        let claimed = Decision { state: Settled, settled_by: Some(2), ..refused.clone() };
        let expected = Expected { state: State::Refused, code: Code::PcsIdMismatch, settled_by: None };
        assert_eq!(fold.step(&origin(2, 0), &claimed), Says::Other(expected));
        assert_eq!(fold.step(&origin(3, 0), &decision("a", "x", Settled, Some(3))), Says::Same);
    }

    #[test]
    fn a_winner_that_retention_or_damage_took_is_not_compared_with() {
        let mut fold = Fold::default();
        let mut say = |id: &str, offset, state, by| {
            if offset == 13 {
                fold.skip(13, 14);
            }
            fold.step(&origin(offset, offset), &decision(id, "x", state, Some(by)))
        };
        assert_eq!(say("a", 10, Duplicate, 3), Says::Unknown);
        assert_eq!(say("a", 11, Duplicate, 3), Says::Unknown);
        assert_eq!(say("b", 12, Settled, 12), Says::Same);
        // 13 and 14 are skipped.
        assert_eq!(
            say("c", 13, Duplicate, 13),
            Says::Other(Expected { state: Settled, code: Code::Ok, settled_by: Some(13) })
        );
        assert_eq!(say("d", 15, Duplicate, 14), Says::Unknown);
        // One who is kept, and did not settle it, is no excuse; neither is one to come.
        let settles = |offset| Says::Other(Expected { state: Settled, code: Code::Ok, settled_by: Some(offset) });
        assert_eq!(say("e", 16, Duplicate, 12), settles(16));
        assert_eq!(say("f", 17, Duplicate, 99), settles(17));
        // Of an id whose winner is known, nobody else can have won.
        let by_twelve = Expected { state: Duplicate, code: Code::Ok, settled_by: Some(12) };
        assert_eq!(say("b", 18, Duplicate, 3), Says::Other(by_twelve));
    }
}
