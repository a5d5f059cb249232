//! The port that HTTP drives: records in, what became of them out.
//!
//! HTTP knows neither log nor index nor verifier. The embedded shape puts all of them behind this
//! trait in one process; with Kafka the same trait stands for a producer, the replies and the read
//! side. Nothing here says which.

use std::sync::Arc;

use async_trait::async_trait;
use flk_contract::{LogTime, Settled, Tenant, wire::RecordBody};
use flk_log::{AppendError, Decided, NewRecord, Ticket};
use flk_service::health::Check;
use tokio::sync::oneshot;

/// What becomes of records.
///
/// - Every future may be dropped at any time, because a client may go away at any time. A record
///   whose `submit` was dropped may be in the log or not; one whose ticket was dropped is appended
///   all the same.
/// - `submit` waits for room at most. Deadlines are the caller's.
/// - A record's body counts against the bytes in flight until its last clone is dropped: it is
///   kept only as long as the record is on its way.
#[async_trait]
pub trait Pipeline: Send + Sync + 'static {
    /// Takes a record in. The submission's ticket resolves when it is durable.
    ///
    /// # Errors
    /// [`AppendError`], which says whether the record may be in the log.
    async fn submit(&self, record: NewRecord) -> Result<Submission, AppendError>;

    /// The result last settled for an id, standing or expired: whoever asks applies the fourteen
    /// days by [`Pipeline::now`]. `None` only if there is none for certain.
    ///
    /// # Errors
    /// [`Away`] where the read side can not be asked, or does not know everything yet.
    async fn result(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, Away>;

    /// What became of the record at one place; `None` beyond the log's end and for what retention
    /// has removed.
    ///
    /// # Errors
    /// [`Away`], as for [`Pipeline::result`].
    async fn record(&self, partition: i32, offset: i64) -> Result<Option<RecordBody>, Away>;

    /// Everything that answering depends on, and whether it is as it should be. Cheap: no I/O.
    fn readiness(&self) -> Vec<Check>;

    /// Whether verdicts come too late for whoever waits for them, because there is more work than is
    /// done: then records of clients that would wait are turned away before the log. Cheap: no I/O.
    fn are_verdicts_late(&self) -> bool {
        false
    }

    /// The server's clock.
    fn now(&self) -> LogTime;
}

/// A record that was taken in.
#[derive(Debug)]
pub struct Submission {
    /// Resolves when the record is durable.
    pub ticket: Ticket,
    /// Resolves with what became of the record, where the log does not decide that itself.
    pub reply: Option<oneshot::Receiver<Arc<Decided>>>,
}

/// Why settled results can not be read. The reasons are for the service's own log: clients are
/// told that they can not, and when to ask again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// The read side can not be reached or read.
    #[error("settled results can not be read: {0}")]
    Unavailable(Arc<str>),
    /// The read side is there, but what it does not have may yet have been settled.
    #[error("settled results are incomplete: {0}")]
    Incomplete(Arc<str>),
}
