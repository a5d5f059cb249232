//! The ports of this room: the derived index of settled ids, and the read side.

use flk_contract::{Settled, Tenant};

/// Why an index or a read side can not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResultsError {
    /// It can not be read or written now.
    #[error("settled results can not be had now: {0}")]
    Unavailable(String),
    /// What is stored is not what was written. An index is derived: drop it and build it anew.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// It was asked to take what can not be: a result of another partition, an id that is not
    /// derived, an end that goes back. Nothing was applied; asking again says the same.
    #[error("the index does not take this: {0}")]
    Refused(String),
}

/// The index of settled ids of one partition: id → settled result, and how far it is complete.
///
/// - `apply` moves entries and the offset in one atomic step: after a crash both are there or
///   neither. It need not be durable: an index that is behind catches up from its log, one that
///   ends before the log's head or is damaged is built anew.
/// - Of two entries for one id the last applied stands.
/// - Reads may go on beside `apply` and see it whole or not at all.
pub trait Index: Send + Sync + 'static {
    /// The result last settled for an id, standing or expired; `None` if there is none.
    ///
    /// # Errors
    /// [`ResultsError`]; never an absent result where one may be stored.
    fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, ResultsError>;

    /// The first offset whose record the index does not know of; 0 for an index that knows nothing.
    fn next(&self) -> i64;

    /// Adds settled results, in order, and moves the index's end to `next`. May block while what
    /// was added before is written out.
    ///
    /// # Errors
    /// [`ResultsError`]; the index is then as it was for as long as it is open. An index that could
    /// not be written may take nothing more before it is opened anew, and may then hold the batch,
    /// whole: ask it where it ends.
    fn apply(&self, settled: &[Settled], next: i64) -> Result<(), ResultsError>;

    /// Removes at most `limit` results that were settled by records before `offset` and have no
    /// successor; returns how many places it looked at, 0 when there is nothing left to do.
    ///
    /// # Errors
    /// [`ResultsError`]; what was removed until then stays removed.
    fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError>;
}
