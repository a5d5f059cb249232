//! One settled result and where it was settled.

use flk_contract::Settled;

/// What the record at one offset of a followed topic settled.
///
/// The offset is the followed topic's, which orders results of one id: the log's own where the
/// index follows the log itself, pcs.verified's where it follows that. The result's origin is where
/// the record came into the log, in whatever partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The offset, in the followed partition, of the record that settled the id.
    pub offset: i64,
    /// What it settled.
    pub settled: Settled,
}
