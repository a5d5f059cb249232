//! What a log lets others see of its work. Empty by default; metrics and tests fill it in.

use core::time::Duration;

use crate::AppendError;

/// One group commit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Commit {
    /// Records in the batch.
    pub records: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// Records that wait behind it.
    pub queued: usize,
    /// Settling and writing them.
    pub write: Duration,
    /// The commit with its fsync.
    pub fsync: Duration,
}

/// Watches a log at work.
pub trait Watch: Send + Sync + 'static {
    /// A batch became durable.
    fn on_commit(&self, _commit: &Commit) {}
    /// One record became durable, that long after it was handed in.
    fn on_append(&self, _took: Duration) {}
    /// A batch was refused.
    fn on_refusal(&self, _error: &AppendError, _records: usize) {}
    /// The decider was brought up to `next`, of `end`.
    fn on_restore(&self, _next: i64, _end: i64) {}
    /// Retention removed that many records.
    fn on_removed(&self, _records: usize) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}
