//! The port of this room: the derived index of settled ids.

use flk_contract::Tenant;

use crate::Entry;

/// Why an index can not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResultsError {
    /// It can not be read or written now.
    #[error("settled results can not be had now: {0}")]
    Unavailable(String),
    /// What is stored is not what was written. An index is derived: drop it and build it anew.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// It was asked to take what can not be: a result of another log, an id that is not derived, an
    /// end that goes back. Nothing was applied; asking again says the same.
    #[error("the index does not take this: {0}")]
    Refused(String),
}

/// The index of what the records of one partition settled: id → settled result, ids by the offset
/// of the record that settled them, and how far it is complete.
///
/// The partition is one that is followed. Offsets here are always its offsets. The results' origins
/// may lie elsewhere (see [`Entry`]).
///
/// - `apply` moves entries and the end in one atomic step: after a crash both are there or
///   neither. It need not be durable: an index that is behind catches up from its log, one that
///   ends before the log's head or is damaged is built anew.
/// - Of two entries for one id the last applied stands.
/// - Reads may go on beside `apply` and see it whole or not at all.
pub trait Index: Send + Sync + 'static {
    /// The result last settled for an id, standing or expired; `None` if there is none.
    ///
    /// # Errors
    /// [`ResultsError`]; never an absent result where one may be stored.
    fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Entry>, ResultsError>;

    /// The first offset whose record the index does not know of; 0 for an index that knows nothing.
    fn next(&self) -> i64;

    /// Adds entries, in order, and moves the index's end to `next`. May block while what was added
    /// before is written out.
    ///
    /// # Errors
    /// [`ResultsError`]; the index is then as it was for as long as it is open. An index that could
    /// not be written may take nothing more before it is opened anew, and may then hold the batch,
    /// whole: ask it where it ends.
    fn apply(&self, entries: &[Entry], next: i64) -> Result<(), ResultsError>;

    /// The first `limit` entries at `from` or beyond, in the order of their offsets, that are still
    /// the last of their id. Fewer than `limit`: there are no more.
    ///
    /// # Errors
    /// [`ResultsError`]; never fewer entries than there are.
    fn entries(&self, from: i64, limit: usize) -> Result<Vec<Entry>, ResultsError>;

    /// Removes at most `limit` results that were settled by records before `offset` and have no
    /// successor; returns how many places it looked at, 0 when there is nothing left to do.
    ///
    /// # Errors
    /// [`ResultsError`]; what was removed until then stays removed.
    fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError>;
}

/// An index that can be built from its results instead of from the records that it follows.
///
/// Between the first `load` and `loaded` it ends at 0 and takes nothing else. If its process ends
/// before `loaded`, nothing of it is left: half of the results look like all of them otherwise.
pub trait Load: Index {
    /// Adds entries of an index that is new, in any order: of two for one id the one with the
    /// greater offset stands, whichever came first. May block, as [`Index::apply`].
    ///
    /// # Errors
    /// [`ResultsError`]; [`Refused`](ResultsError::Refused) where the index is not new.
    fn load(&self, entries: &[Entry]) -> Result<(), ResultsError>;

    /// All is loaded: the index is complete up to `next`. There may be entries beyond it: their
    /// records will be met again.
    ///
    /// # Errors
    /// [`ResultsError`], as for [`Load::load`].
    fn loaded(&self, next: i64) -> Result<(), ResultsError>;
}
