//! The log port: what a write-ahead log promises, whichever log it is.
//!
//! *Accepted* and *durable* are two things. [`Log::append`] accepts: it waits for room at most, and
//! hands back a [`Ticket`]. The ticket resolves when the record is durable, and only then may
//! anybody be told. A ticket whose log went away is an error, never a wait without end.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flk_contract::{Code, Facts, LogId, LogTime, Origin, Settled, Verdict, wire::State};
use tokio::sync::oneshot;

/// What came from outside and is to become durable: the body's bytes untouched, and what was said
/// beside it. All bounded by whoever took it in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRecord {
    /// The body, as it came.
    pub body: Bytes,
    /// The tenant named beside it (`X-Tenant-Id`), as it came: not checked.
    pub tenant: Option<String>,
    /// Names the request in log lines.
    pub request_id: Option<String>,
    /// W3C trace context, as it came.
    pub traceparent: Option<String>,
}

/// A record on its way into a log.
#[derive(Debug, Clone)]
pub struct Append {
    /// The record.
    pub record: NewRecord,
    /// The verdict at a provisional time, where the caller judged already. A log that decides
    /// judges again if a key's window opens or closes between that time and the record's own.
    pub judged: Option<Judged>,
}

/// A verdict and the time that it was given for.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The provisional time.
    pub at: LogTime,
    /// What it came to then.
    pub verdict: Verdict,
}

/// What a durable record is told.
#[derive(Debug, Clone)]
pub struct Appended {
    /// Where it is, and its log time.
    pub origin: Origin,
    /// What became of it, where the log decides in the same transaction (the embedded log);
    /// `None` where verdicts come later (Kafka).
    pub decided: Option<Arc<Decided>>,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The record's own verdict.
    pub verdict: Verdict,
    /// Settled, duplicate, conflict or refused. Never pending.
    pub state: State,
    /// The verdict's code, or `conflict`, or `too_old`.
    pub code: Code,
    /// The result that stands for its id: its own if it settled, the earlier one if it is a
    /// duplicate or conflict, `None` if it was refused.
    pub standing: Option<Arc<Settled>>,
}

/// A record as a log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Where it is, and its log time.
    pub origin: Origin,
    /// What came from outside.
    pub record: NewRecord,
    /// What became of it, where the log keeps that.
    pub decision: Option<Decision>,
}

/// What became of a record, as it is kept beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Settled, duplicate, conflict or refused.
    pub state: State,
    /// The verdict's code, or `conflict`, or `too_old`.
    pub code: Code,
    /// The record's own verdict.
    pub verdict: Verdict,
    /// Offset of the record that settled the id: its own, an earlier one, or `None` if refused.
    pub settled_by: Option<i64>,
}

impl StoredRecord {
    /// The settled result, if this record settled its id.
    pub fn settled(&self) -> Option<Settled> {
        let decision = self.decision.as_ref().filter(|decision| decision.state == State::Settled)?;
        let facts: Facts = decision.verdict.facts.clone()?;
        Some(Settled { code: decision.verdict.code, facts, origin: self.origin.clone() })
    }
}

/// Why a record is not in the log, or may not be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The queue stayed full. Nothing was taken; the caller may retry.
    #[error("the log's queue is full; retry, or send less at a time")]
    Full,
    /// The log can not be written, and this record is not in it. The caller may retry.
    #[error("the log can not be written ({0}); the record is not in it")]
    NotDurable(Arc<str>),
    /// Whether the record is in the log is not known. The caller may retry: an id settles once.
    #[error("the log could not say whether the record is in it ({0})")]
    Unknown(Arc<str>),
    /// The log is shutting down or still starting. Nothing was taken.
    #[error("the log does not take records now: {0}")]
    Closed(&'static str),
}

/// Why a log could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The log can not be read now; the caller may retry.
    #[error("the log can not be read now: {0}")]
    Unavailable(Arc<str>),
    /// What was read is not what was written.
    #[error("the record at offset {offset} is damaged: {what}")]
    Damaged {
        /// Which record.
        offset: i64,
        /// How that was seen.
        what: &'static str,
    },
}

/// Resolves when a record is durable, or is not.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<Appended, AppendError>>);

impl Ticket {
    /// A ticket, and what resolves it. Dropping the resolver resolves it to [`AppendError::Unknown`].
    pub fn new() -> (Resolver, Self) {
        let (tell, told) = oneshot::channel();
        (Resolver(tell), Self(told))
    }

    /// Waits until the record is durable. A resolved position survives a crash. May be dropped at
    /// any time: the record is appended all the same.
    ///
    /// # Errors
    /// [`AppendError`], which says whether the record may be in the log.
    pub async fn durable(self) -> Result<Appended, AppendError> {
        self.0.await.unwrap_or_else(|_| Err(AppendError::Unknown("the log's writer ended".into())))
    }
}

/// The log's side of a [`Ticket`].
#[derive(Debug)]
pub struct Resolver(oneshot::Sender<Result<Appended, AppendError>>);

impl Resolver {
    /// Tells whoever waits; nobody waiting is no error.
    pub fn resolve(self, told: Result<Appended, AppendError>) {
        let _ = self.0.send(told);
    }
}

/// A write-ahead log.
///
/// - A resolved position survives a crash of the process and of the machine, and never changes.
/// - Offsets of a partition grow and never repeat; log times never go backwards.
/// - `append` may wait for room, up to the log's own deadline, then says [`AppendError::Full`].
/// - Every error but a damaged record may be retried. A retry may be appended twice: ids settle once.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Which log this is: positions of different logs never compare equal.
    fn id(&self) -> &LogId;

    /// Takes a record in. Records of one caller keep their order.
    async fn append(&self, append: Append) -> Result<Ticket, AppendError>;

    /// Reads one record; `None` beyond the end and for what retention has removed.
    async fn read(&self, partition: i32, offset: i64) -> Result<Option<StoredRecord>, ReadError>;

    /// `Ok` while records can be appended; otherwise what is wrong, in words.
    fn health(&self) -> Result<(), Arc<str>>;
}

/// Decides what becomes of records, inside the transaction that makes them durable.
///
/// A log that decides first brings the decider up to its own end (`mend`, `next`, `restore`), then
/// calls `decide` once for each record in order, then either `committed` or `abandoned` for all of
/// them.
pub trait Decide: Send + 'static {
    /// The first offset whose record the decider does not know of.
    fn next(&self) -> i64;

    /// Time to open anew what the decider stands on, where that has failed. The log's end is `next`;
    /// what is lacking then is restored. Called before every batch: does nothing where all is well.
    ///
    /// # Errors
    /// In words; nothing can be decided now.
    fn mend(&mut self, next: i64) -> Result<(), Arc<str>> {
        let _ = next;
        Ok(())
    }

    /// Tells what was settled before, in order, by records up to and not including `next`.
    ///
    /// # Errors
    /// In words; the log goes on trying before it takes records.
    fn restore(&mut self, settled: &[Settled], next: i64) -> Result<(), Arc<str>>;

    /// What becomes of one record at its place in the log. Sees what was decided before in the
    /// same batch.
    ///
    /// # Errors
    /// In words, where it can not be decided now; the whole batch is then not appended.
    fn decide(&mut self, append: &Append, origin: &Origin) -> Result<Arc<Decided>, Arc<str>>;

    /// The batch is durable; the first offset after it is `next`. What was decided stands, whether
    /// this succeeds or not: a decider that fails here is behind (`next`), and is restored from the
    /// log before it decides again.
    ///
    /// # Errors
    /// In words.
    fn committed(&mut self, next: i64) -> Result<(), Arc<str>>;

    /// The batch is not durable: forget what was decided in it.
    fn abandoned(&mut self);

    /// The log keeps nothing before `offset` any more; what was settled there may be forgotten.
    /// Called often: do little each time. Returns whether there is more to do.
    ///
    /// # Errors
    /// In words; nothing depends on it.
    fn forget_before(&mut self, offset: i64) -> Result<bool, Arc<str>>;
}

/// Where log times come from.
pub trait Clock: Send + Sync + 'static {
    /// The time now. May go backwards: a log never does.
    fn now(&self) -> LogTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    // The one place that reads the machine's clock for log times.
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> LogTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        LogTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
