//! First write wins (contract section 5): what a record is to its id.
//!
//! A fold: who wins is a function of the order of records alone. Times are log times throughout,
//! so that settling again says the same.

use crate::{Code, Digest, Facts, LogTime, Origin, limits::WINDOW};

/// A settled result: the facts of the record that won its id, and where that record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// `Ok`, or one of the accepted 202s.
    pub code: Code,
    /// What was judged.
    pub facts: Facts,
    /// The record that settled it.
    pub origin: Origin,
}

/// What a record is to its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It settles the id.
    Settles,
    /// It is the origin of the stored result, met again: same result, no effect.
    Replay,
    /// The stored result stands and says the same.
    Duplicate,
    /// The stored result stands, and this record says something else.
    Conflict,
    /// It reached settlement too late to settle anything.
    TooOld,
}

/// Whether a result that `origin` settled still stands at `at`: for 14 days, less a millisecond.
pub fn stands(origin: LogTime, at: LogTime) -> bool {
    // By the span between them, which unlike an end of the window exists for every two times.
    i128::from(at.millis()) - i128::from(origin.millis()) < WINDOW.as_millis() as i128
}

/// What an accepted record at `origin` with that content is to its id, for which `stored` is the
/// last that was settled, if any. `settled_at` is the log time at which it reached settlement.
pub fn settle(origin: &Origin, content: &Digest, stored: Option<(&Origin, &Digest)>, settled_at: LogTime) -> Outcome {
    match stored {
        Some((first, _)) if first.position == origin.position => Outcome::Replay,
        Some((first, said)) if stands(first.appended_at, origin.appended_at) => {
            if said == content {
                Outcome::Duplicate
            } else {
                Outcome::Conflict
            }
        }
        _ if !stands(origin.appended_at, settled_at) => Outcome::TooOld,
        _ => Outcome::Settles,
    }
}
