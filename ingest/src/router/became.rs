//! What became of a record, as far as its id's result tells: the rules of settling, read backwards.
//!
//! Settling goes by the order of pcs.verified, which nobody here knows. It is not needed: the result that
//! is found settled its id, and the record's log time says whether it did so for this record too.

use flk_contract::{
    Digest, Origin, Outcome, Settled,
    settle::{settle, stands},
    wire::State,
};

/// What an accepted record at `origin` with that content is, where `found` is the result last settled for
/// its id: settled, duplicate or conflict. `None` where that result tells nothing about this record: it
/// stood before the record came and no longer does, or it was settled when the record's own window was over.
pub(super) fn became(origin: &Origin, content: &Digest, found: &Settled) -> Option<State> {
    let first = (&found.origin, &found.facts.content_sha256);
    // Never too late: what is found for it was settled in time, or it stands in another's window.
    let state = match settle(origin, content, Some(first), origin.appended_at) {
        Outcome::Replay => State::Settled,
        Outcome::Duplicate => State::Duplicate,
        Outcome::Conflict => State::Conflict,
        Outcome::Settles | Outcome::TooOld => return None,
    };
    stands(origin.appended_at, found.origin.appended_at).then_some(state)
}

#[cfg(test)]
mod tests {
    use flk_contract::{Code, Facts, LogId, LogTime, Nano, Position, Tenant, limits::WINDOW};

    use super::*;

    fn origin(offset: i64, millis: i64) -> Origin {
        let position = Position { log: LogId::new("a"), topic: "pcs.raw".into(), partition: 0, offset };
        Origin { position, appended_at: LogTime::from_millis(millis) }
    }

    fn found(offset: i64, millis: i64) -> Settled {
        let facts = Facts {
            tenant: Tenant::default_tenant(),
            pcs_id: "0".repeat(64).into(),
            d_hat: Nano::from_units(0),
            recomputed_d_hat: None,
            regime: None,
            recomputed_budget: None,
            payload_sha256: Digest([0; 32]),
            content_sha256: Digest([1; 32]),
            key_id: None,
            signed: None,
        };
        Settled { code: Code::Ok, facts, origin: origin(offset, millis) }
    }

    #[test]
    fn the_own_origin_is_settled_and_another_is_a_duplicate_or_a_conflict() {
        let (same, other) = (Digest([1; 32]), Digest([2; 32]));
        assert_eq!(became(&origin(7, 1000), &same, &found(7, 1000)), Some(State::Settled));
        assert_eq!(became(&origin(7, 1000), &other, &found(7, 1000)), Some(State::Settled));
        // Brokers' clocks differ, and partitions are read in any order: who settled may have come later.
        for at in [0, 1000, 2000] {
            assert_eq!(became(&origin(7, 1000), &same, &found(8, at)), Some(State::Duplicate));
            assert_eq!(became(&origin(7, 1000), &other, &found(8, at)), Some(State::Conflict));
        }
    }

    #[test]
    fn a_result_of_another_window_tells_nothing() {
        let window = i64::try_from(WINDOW.as_millis()).unwrap();
        let same = Digest([1; 32]);
        // It stood before, and had expired when this one came.
        assert_eq!(became(&origin(7, window), &same, &found(8, 0)), None);
        assert_eq!(became(&origin(7, window - 1), &same, &found(8, 0)), Some(State::Duplicate));
        // It was settled when this one's window was over.
        assert_eq!(became(&origin(7, 0), &same, &found(8, window)), None);
        assert_eq!(became(&origin(7, 0), &same, &found(8, window - 1)), Some(State::Duplicate));
    }
}
