//! The router: the pipeline over Kafka (design, "Replies", "Admission").
//!
//! A record goes into pcs.raw with the address of whoever waits: this instance's partition of
//! pcs.replies, and a random id of the request. Verifiers and sinks answer there. An answer is a courtesy:
//! it is sent once, and nobody keeps it. So whoever has waited for a while also looks where settled
//! results can be read, and a lost answer loses no result.
//!
//! [`KafkaPipeline`] is the role: [`start`](KafkaPipeline::start) it, hand it to [`crate::app()`], and
//! [`run`](KafkaPipeline::run) it as a task until every request has been answered. Where the process
//! starts before Kafka, [`Eventual`] answers until there is a pipeline.
//!
//! What is decided is decided elsewhere: verdicts by the verifier, who wins an id by the sink. This room
//! knows no settings, no signals, no HTTP, and not which store the read side is.

mod became;
mod eventual;
mod follow;
mod health;
mod options;
mod record;
mod replies;
mod verdicts;
mod waiters;

use core::fmt::Display;
use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use flk_contract::{LogTime, Settled, Tenant, Verdict, wire::RecordBody};
use flk_log::{
    AppendError, Clock, Log as _, NewRecord, Ticket,
    kafka::{AskError, Connection, KafkaLog, Tail, TailOptions, Topics},
    topic::{ReplyId, ReplyTo, Topic},
};
use flk_results::read_side::ReadSide;
use flk_service::health::Check;
use flk_verifier::Verifier;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{follow::Following, health::ReadSideHealth, replies::Replies, verdicts::Verdicts, waiters::Waiters};
use crate::{Away, Pipeline, Submission};

pub use self::{
    eventual::Eventual,
    options::{Answered, Options, Source, Unwatched, Watch},
};

/// Bodies up to this length are judged where they are, which takes microseconds; longer ones on a thread
/// that may take its time.
const JUDGED_AT_ONCE: usize = 32 * 1024;

/// What the router stands on.
pub struct Parts<'a> {
    /// How Kafka is reached.
    pub connection: &'a Connection,
    /// The topics.
    pub topics: &'a Topics,
    /// The log.
    pub log: Arc<KafkaLog>,
    /// Where settled results are read back.
    pub read_side: Arc<dyn ReadSide>,
    /// Judges again, for what is read back.
    pub verifier: Verifier,
    /// The server's clock.
    pub clock: Arc<dyn Clock>,
    /// Sees what happens.
    pub watch: Arc<dyn Watch>,
}

/// Why there is no router.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The settings make no client, or the system gives no thread.
    #[error(transparent)]
    Kafka(#[from] AskError),
    /// A partition of answers that there is none of.
    #[error("pcs.replies has {partitions} partitions, counted from 0, and {partition} is none of them; choose another")]
    Partition {
        /// The one that was chosen.
        partition: i32,
        /// How many there are.
        partitions: u32,
    },
    /// No random numbers.
    #[error("the system gives no random numbers, which requests are told apart by: {0}")]
    Randomness(String),
}

/// The pipeline over Kafka.
pub struct KafkaPipeline {
    inner: Arc<Inner>,
    tail: Tail,
    health: ReadSideHealth,
    tasks: TaskTracker,
}

/// What the tasks share.
struct Inner {
    log: Arc<KafkaLog>,
    read_side: Arc<dyn ReadSide>,
    verifier: Verifier,
    clock: Arc<dyn Clock>,
    watch: Arc<dyn Watch>,
    options: Options,
    waiters: Arc<Waiters>,
    verdicts: Arc<Verdicts>,
    read_backs: Semaphore,
    /// Where answers come.
    partition: i32,
}

impl core::fmt::Debug for KafkaPipeline {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KafkaPipeline").field("partition", &self.inner.partition).finish_non_exhaustive()
    }
}

impl KafkaPipeline {
    /// Starts to read answers; nothing is waited for. Records are taken from the beginning: those whose
    /// answer comes before it can be read are read back.
    ///
    /// # Errors
    /// [`StartError`], a sentence for the operator.
    pub fn start(parts: Parts<'_>, options: Options) -> Result<Self, StartError> {
        let Parts { connection, topics, log, read_side, verifier, clock, watch } = parts;
        let partition = choose(options.partition, topics.partitions_of(Topic::Replies).get())?;
        let waiters = Waiters::new(options.waiters, watch.clone());
        let verdicts = Arc::new(Verdicts::new(options.patience));
        let replies = Replies { waiters: waiters.clone(), verdicts: verdicts.clone(), watch: watch.clone() };
        let tail = TailOptions::new(topics.names.of(Topic::Replies), partition);
        let tail = Tail::start(connection, tail, move |tailed| replies.take(tailed))?;
        let read_backs = Semaphore::new(options.read_backs.clamp(1, Semaphore::MAX_PERMITS));
        let inner = Inner { log, read_side, verifier, clock, watch, options, waiters, verdicts, read_backs, partition };
        Ok(Self { inner: Arc::new(inner), tail, health: ReadSideHealth::new(), tasks: TaskTracker::new() })
    }

    /// The partition of pcs.replies that answers come to.
    pub fn partition(&self) -> i32 {
        self.inner.partition
    }

    /// How many records wait for their place or their verdict.
    pub fn waiting(&self) -> usize {
        self.inner.waiters.len()
    }

    /// Everything that answering depends on. Cheap: no I/O.
    ///
    /// All of it is shared by the fleet. The read side is not needed: without it POSTs are answered all the
    /// same. The verdicts are: a client that waits is then told to come back in a minute, while records go
    /// on into the log.
    pub fn readiness(&self) -> Vec<Check> {
        let Inner { log, verdicts, .. } = &*self.inner;
        let check = |name, health: Result<(), Arc<str>>| match health {
            Ok(()) => Check::ok(name),
            Err(why) => Check::failing(name, why),
        };
        let settling = match verdicts.are_away(Instant::now()) {
            None => Check::ok("verdicts"),
            Some(silent) => Check::failing("verdicts", no_verdicts(silent.as_secs())),
        };
        let checks = [check("log", log.health()), check("replies", self.tail.health()), settling];
        checks.into_iter().map(Check::shared).chain([self.health.check()]).collect()
    }

    /// The background work, until every request has been answered: then flushes what was taken in.
    /// `draining` is cancelled after HTTP has stopped: until then requests wait for what is read here.
    ///
    /// # Errors
    /// In a sentence: the process ends with it.
    pub async fn run(&self, draining: CancellationToken) -> Result<(), String> {
        let Inner { log, read_side, options, .. } = &*self.inner;
        tokio::select! {
            biased;
            why = log.failed() => return Err(why.to_string()),
            why = self.tail.failed() => return Err(why.to_string()),
            () = draining.cancelled() => {}
            () = self.health.ask(&**read_side, options.health) => {}
        }
        self.tasks.close();
        let followed = tokio::time::timeout(options.flush, self.tasks.wait());
        let (flushed, followed) = tokio::join!(log.flush(options.flush), followed);
        if flushed && followed.is_ok() {
            return Ok(());
        }
        Err(format!(
            "Kafka did not acknowledge within {:?} what was taken in; whoever sent it was told that this is not known",
            options.flush
        ))
    }
}

fn no_verdicts(seconds: u64) -> impl Display {
    format!(
        "no verdict has come for {seconds} s while records are appended; see that verifiers and sinks run and are ready"
    )
}

/// The partition of answers: the one that was chosen, or any.
fn choose(chosen: Option<i32>, partitions: u32) -> Result<i32, StartError> {
    let there = |partition: &i32| u32::try_from(*partition).is_ok_and(|partition| partition < partitions);
    match chosen {
        Some(partition) if there(&partition) => Ok(partition),
        Some(partition) => Err(StartError::Partition { partition, partitions }),
        None => {
            let number = getrandom::u32().map_err(|error| StartError::Randomness(error.to_string()))?;
            // Below the number of partitions, which Kafka counts by `i32`.
            Ok(i32::try_from(number % partitions).unwrap_or(0))
        }
    }
}

impl Inner {
    /// Judges a body as the verifier does, for what can be known again from it.
    async fn judge(&self, body: Bytes, at: LogTime, tenant: Option<String>) -> Verdict {
        if body.len() <= JUDGED_AT_ONCE {
            return self.verifier.judge(&body, at, tenant.as_deref());
        }
        let verifier = self.verifier.clone();
        let judged = tokio::task::spawn_blocking(move || verifier.judge(&body, at, tenant.as_deref()));
        judged.await.unwrap_or_else(|_| Verdict::internal())
    }

    /// Whether a result of that time is not kept by the read side any more.
    fn has_left(&self, origin: LogTime) -> bool {
        origin.after(self.options.keep) <= self.clock.now()
    }
}

#[async_trait]
impl Pipeline for KafkaPipeline {
    async fn submit(&self, record: NewRecord) -> Result<Submission, AppendError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| AppendError::Closed("the system gives no random numbers"))?;
        let id = ReplyId(id);
        let (waiting, answer) = self.inner.waiters.enter(id).ok_or(AppendError::Full)?;
        let (body, tenant) = (record.body.clone(), record.tenant.clone());
        let reply_to = ReplyTo { partition: self.inner.partition, id };
        let appended = self.inner.log.append_with(record, Some(reply_to)).await?;
        let (resolver, ticket) = Ticket::new();
        let (tell, told) = oneshot::channel();
        let following = Following { ticket: appended, resolver, tell, waiting, answer, body, tenant };
        self.tasks.spawn(following.follow(self.inner.clone()));
        Ok(Submission { ticket, reply: Some(told) })
    }

    async fn result(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, Away> {
        self.inner.look_up(tenant, pcs_id).await
    }

    async fn record(&self, partition: i32, offset: i64) -> Result<Option<RecordBody>, Away> {
        self.inner.record(partition, offset).await
    }

    fn readiness(&self) -> Vec<Check> {
        self.readiness()
    }

    fn are_verdicts_late(&self) -> bool {
        self.inner.verdicts.are_late(Instant::now())
    }

    fn now(&self) -> LogTime {
        self.inner.clock.now()
    }
}
