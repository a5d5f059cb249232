//! The embedded shape: log, index, verifier and fold in one process, behind the port that HTTP
//! drives. Everything is decided elsewhere; here it is put together.

mod deciding;
mod index;
mod trailing;
mod watch;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use flk_contract::{
    LogId, LogTime, Settled, Tenant,
    settle::stands,
    wire::{RecordBody, ResultBody, State},
};
use flk_ingest::{Away, Pipeline, Submission};
use flk_log::{
    Append, AppendError, Clock, Judged, Log as _, NewRecord, ReadError, StoredRecord,
    embedded::{EmbeddedLog, OpenError, Options, PARTITION, WriterEnd},
};
use flk_results::Index as _;
use flk_service::{Metrics, health::Check, lifecycle::Lifecycle};
use flk_verifier::Verifier;

pub use deciding::Deciding;
pub use index::{LiveIndex, Mend};
pub use trailing::Trailing;
pub use watch::LogMetrics;

/// The index's directory in the data directory.
const INDEX_DIR: &str = "index";

/// Why a service has to stop though nobody asked it to: its log has no writer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log's writer ended by a fault of its own, so that no record can be taken any more; start the process again, \
     which goes on from what is durable, and report the panic that was logged before this"
)]
pub struct WriterLost;

/// The embedded service, without its HTTP.
pub struct Embedded {
    log: EmbeddedLog,
    index: Arc<Trailing<LiveIndex>>,
    verifier: Verifier,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
}

impl Embedded {
    /// Opens the data directory, and starts to bring the index up to the log's end.
    ///
    /// # Errors
    /// [`OpenError`], a sentence for the operator.
    pub fn open(
        dir: &Path,
        options: &Options,
        verifier: Verifier,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
    ) -> Result<Self, OpenError> {
        let mut opened = None;
        let watch = Arc::new(LogMetrics::new(metrics.clone()));
        let log = EmbeddedLog::open(dir, options, clock.clone(), watch, |id, next| {
            let path = dir.join(INDEX_DIR);
            let index = LiveIndex::open(&path, id, next, metrics.clone())?;
            let index = Trailing::start(index, metrics.clone())
                .map_err(|error| OpenError::Unwritable { path, error: error.to_string() })?;
            let index = Arc::new(index);
            opened = Some(index.clone());
            Ok(Deciding::new(verifier.clone(), index, metrics.clone()))
        })?;
        let index = opened.ok_or_else(|| OpenError::Unwritable { path: dir.into(), error: "no index".into() })?;
        Ok(Self { log, index, verifier, clock, metrics, lifecycle })
    }

    /// The log's id.
    pub fn log_id(&self) -> &LogId {
        self.log.id()
    }

    /// The log's writer as a task, for whoever owns all tasks: it ends when what was accepted is to
    /// be committed, since the writer goes on until [`Embedded::close`].
    ///
    /// # Errors
    /// [`WriterLost`], as soon as the writer has ended before that.
    pub fn writer(&self) -> impl Future<Output = Result<(), WriterLost>> + Send + use<> {
        let (ended, committing) = (self.log.ended(), self.lifecycle.committing().clone());
        async move {
            tokio::select! {
                biased;
                _ = ended => Err(WriterLost),
                () = committing.cancelled() => Ok(()),
            }
        }
    }

    /// Ends the log's writer after what is queued. Nothing is appended afterwards. Blocks.
    ///
    /// # Errors
    /// [`WriterLost`] where it did not come to that.
    pub fn close(self) -> Result<(), WriterLost> {
        match self.log.close() {
            WriterEnd::Orderly => Ok(()),
            WriterEnd::Panicked => Err(WriterLost),
        }
    }

    /// What stands for a duplicate or conflict: the result of the record that settled its id.
    async fn settled_by(&self, offset: Option<i64>) -> Result<Option<ResultBody>, ReadError> {
        let Some(offset) = offset else { return Ok(None) };
        let origin = self.log.read(PARTITION, offset).await?;
        Ok(origin.and_then(|origin| origin.settled()).map(|settled| ResultBody::settled(&settled)))
    }

    async fn body_of(&self, stored: StoredRecord) -> Result<RecordBody, ReadError> {
        let Some(decision) = &stored.decision else {
            return Ok(RecordBody { state: State::Pending, code: None, wal: stored.origin, result: None });
        };
        let result = match decision.state {
            State::Settled => stored.settled().map(|settled| ResultBody::settled(&settled)),
            State::Duplicate | State::Conflict => self.settled_by(decision.settled_by).await?,
            State::Refused => ResultBody::refused(&decision.verdict),
            State::Pending => None,
        };
        Ok(RecordBody { state: decision.state, code: Some(decision.code), wal: stored.origin, result })
    }
}

fn away(error: ReadError) -> Away {
    Away::Unavailable(error.to_string().into())
}

#[async_trait]
impl Pipeline for Embedded {
    async fn submit(&self, record: NewRecord) -> Result<Submission, AppendError> {
        // Judged here, on the request's own thread; the writer judges again only if a key's window
        // opens or closes until the record has its log time.
        let at = self.clock.now();
        let verdict = self.verifier.judge(&record.body, at, record.tenant.as_deref());
        let ticket = self.log.append(Append { record, judged: Some(Judged { at, verdict }) }).await?;
        Ok(Submission { ticket, reply: None })
    }

    async fn result(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, Away> {
        if self.log.is_restoring() {
            return Err(Away::Incomplete("the index of ids is being restored from the log".into()));
        }
        // Looked at before and after: what is restored meanwhile may have been lacking, and what fails
        // meanwhile may lack.
        let lacked = self.index.is_incomplete();
        let (index, tenant, pcs_id) = (self.index.clone(), tenant.clone(), pcs_id.to_owned());
        let found = tokio::task::spawn_blocking(move || index.get(&tenant, &pcs_id)).await;
        let found = found
            .map_err(|_| Away::Unavailable("the look-up was cut off".into()))?
            .map_err(|error| Away::Unavailable(error.to_string().into()))?
            .map(|entry| entry.settled);
        // What stands can not be replaced; what is not there, or has expired, may have been.
        let stands = found.as_ref().is_some_and(|found| stands(found.origin.appended_at, self.clock.now()));
        if !stands && (lacked || self.index.is_incomplete()) {
            return Err(Away::Incomplete("the index of ids lacks what the log has settled last".into()));
        }
        Ok(found)
    }

    async fn record(&self, partition: i32, offset: i64) -> Result<Option<RecordBody>, Away> {
        let Some(stored) = self.log.read(partition, offset).await.map_err(away)? else { return Ok(None) };
        self.body_of(stored).await.map(Some).map_err(away)
    }

    fn readiness(&self) -> Vec<Check> {
        let restoring = self.log.is_restoring();
        let health = self.log.health();
        let log = match (&health, restoring) {
            (Err(why), false) => Check::failing("log", why),
            _ => Check::ok("log"),
        };
        let index = if restoring {
            Check::failing("index", "the index of ids is being restored from the log")
        } else if self.index.is_incomplete() {
            Check::failing("index", "the index of ids failed, and is opened anew as soon as that can be")
        } else {
            Check::ok("index")
        };
        let checks = vec![self.lifecycle.check(), log, index];
        for check in &checks {
            self.metrics.set_ready(check.name, check.ok);
        }
        checks
    }

    fn now(&self) -> LogTime {
        self.clock.now()
    }
}

#[cfg(test)]
mod tests;
