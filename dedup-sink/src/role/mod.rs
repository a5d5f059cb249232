//! The sink role: a member of the group that reads pcs.verified. Each partition is a fold whose memory is
//! the derived index; what a record brings about happens in order (design, "Kafka"):
//!
//! 1. what was folded is in the index, with the offset up to which it is complete, in one atomic write;
//! 2. results go to pcs.results, conflicts and what came too late to pcs.refused;
//! 3. when they and everything below them are acknowledged, the read side is written, if it is there;
//! 4. whoever waits is answered;
//! 5. the ledger advances.
//!
//! A crash anywhere repeats work and changes nothing: the fold says the same again. The role knows no
//! settings, signals or HTTP, and not which store the read side is.

mod effects;
mod feed;
mod line;
mod partition;
mod restore;
mod watch;
mod worker;

use core::{num::NonZeroU32, time::Duration};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use flk_contract::LogId;
use flk_log::{
    Clock,
    kafka::{
        AskError, Budget, Connection, Consumer, ConsumerOptions, Event as Came, Producer, ProducerOptions, Topics,
        TopicsWatch,
    },
    topic::Topic,
};
use flk_results::{
    IndexDb, OpenError,
    read_side::{ReadSide, ReadSideError, Warning},
};
use flk_service::health::Check;
use tokio_util::sync::CancellationToken;

pub use self::watch::{Settling, Step, Unwatched, Watch};
use self::{
    effects::Scope,
    worker::{Ended, Event, Worker},
};

/// The group of all sinks, before any prefix.
pub const GROUP: &str = "flk-dedup-sink";

/// Indexes that are restored at a time.
const RESTORES: usize = 4;
/// How often it is looked whether all is done, when the role ends.
const ENDING: Duration = Duration::from_millis(5);
/// How often the read side is asked how it is.
const ASKING: Duration = Duration::from_secs(5);
/// How often it is asked to remove what has expired, where it does not by itself.
const EXPIRING: Duration = Duration::from_secs(60);
/// Results that are removed at a time.
const EXPIRED: u32 = 5_000;

/// What the role stands on.
pub struct Parts<'a> {
    /// How Kafka is reached.
    pub connection: &'a Connection,
    /// The topics.
    pub topics: &'a Topics,
    /// The cluster's id.
    pub log: LogId,
    /// Where the index lies: the role's own directory, which may be lost.
    pub index: &'a Path,
    /// Where settled results are read back; `None` for nowhere.
    pub read_side: Option<Arc<dyn ReadSide>>,
    /// The server's clock: for what is about to expire, never for who wins.
    pub clock: Arc<dyn Clock>,
    /// Sees what happens.
    pub watch: Arc<dyn Watch>,
}

/// How the role is set.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of this instance in its group ([`ConsumerOptions::instance`]): with it a restart keeps its
    /// partitions, and with them its index.
    pub instance: Option<String>,
    /// How long what was taken up may take to be done when the role ends.
    pub finish: Duration,
    /// The member; `None` for the usual one.
    pub consumer: Option<ConsumerOptions>,
    /// How it produces.
    pub producer: ProducerOptions,
}

impl Default for Options {
    fn default() -> Self {
        // Room for everything that the budget lets be under way, with the answers: a partition whose leader
        // is away must not use up the room of the others.
        let producer = ProducerOptions {
            records: 2 * Budget::default().records + 10_000,
            bytes: 96 << 20,
            ..ProducerOptions::default()
        };
        Self { instance: None, finish: Duration::from_secs(8), consumer: None, producer }
    }
}

/// Why there is no role.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The settings make no client, or the system gives no thread.
    #[error(transparent)]
    Kafka(#[from] AskError),
    /// The index can not be opened.
    #[error(transparent)]
    Index(#[from] OpenError),
}

/// The role.
pub struct SinkRole {
    producer: Producer,
    control: flk_log::kafka::Control,
    topics: TopicsWatch,
    read_side: Option<Arc<dyn ReadSide>>,
    /// What the read side said when it was asked last.
    read_side_is: Mutex<Option<Result<Vec<Warning>, ReadSideError>>>,
    /// Partitions whose index is not complete.
    restoring: Arc<Restoring>,
    ended: Arc<AtomicBool>,
    log: LogId,
    index: PathBuf,
    scope: Scope,
    finish: Duration,
    /// Until it runs.
    work: Mutex<Option<Work>>,
}

/// What only whoever runs it has.
struct Work {
    consumer: Consumer,
    db: IndexDb,
    connection: Connection,
    names: flk_log::topic::TopicNames,
    clock: Arc<dyn Clock>,
    watch: Arc<dyn Watch>,
}

impl core::fmt::Debug for SinkRole {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SinkRole").field("index", &self.index).finish_non_exhaustive()
    }
}

impl SinkRole {
    /// Opens the index and joins the group by and by; Kafka is not waited for, and nothing is read before
    /// it [runs](Self::run).
    ///
    /// # Errors
    /// [`StartError`], a sentence for the operator.
    pub fn start(parts: Parts<'_>, options: Options) -> Result<Self, StartError> {
        let Parts { connection, topics, log, index, read_side, clock, watch } = parts;
        let Options { instance, finish, consumer, producer } = options;
        let (db, opened) = IndexDb::open_or_reset(index, &log)?;
        if let flk_results::Opened::Reset(why) = opened {
            tracing::error!(%why, "the index could not be used and was dropped; it is loaded from pcs.results");
        }
        let names = &topics.names;
        let scope = Scope {
            log: log.clone(),
            raw: names.of(Topic::Raw).clone(),
            verified: names.of(Topic::Verified).clone(),
            partitions: topics.partitions_of(Topic::Verified),
            replies: topics.partitions_of(Topic::Replies),
        };
        let mut member = consumer.unwrap_or_else(|| ConsumerOptions::new(connection.group(GROUP), &scope.verified));
        member.instance = instance.or(member.instance);
        let consumer = Consumer::start(connection, member)?;
        let producer = Producer::new(connection, &producer)?;
        let control = consumer.control().clone();
        let restoring = Arc::new(Restoring::new(watch));
        let work = Work {
            consumer,
            db,
            connection: connection.clone(),
            names: names.clone(),
            clock,
            watch: restoring.clone(),
        };
        Ok(Self {
            producer,
            control,
            topics: TopicsWatch::start(connection, topics)?,
            read_side,
            read_side_is: Mutex::new(None),
            restoring,
            ended: Arc::default(),
            log,
            index: index.to_owned(),
            scope,
            finish,
            work: Mutex::new(Some(work)),
        })
    }

    /// How many partitions pcs.verified has.
    pub fn partitions(&self) -> NonZeroU32 {
        self.scope.partitions
    }

    /// Everything that settling depends on. Cheap: no I/O. The read side is not needed: verdicts go on
    /// without it.
    pub fn readiness(&self) -> Vec<Check> {
        let check = |name, health: Result<(), Arc<str>>| match health {
            Ok(()) => Check::ok(name),
            Err(why) => Check::failing(name, why),
        };
        let mut checks = vec![
            check("topics", self.topics.health()).shared(),
            check("group", self.control.health()),
            check("producer", self.producer.health()).shared(),
            check("index", self.restoring.health(&self.control)),
        ];
        if self.read_side.is_some() {
            let said = self.read_side_is.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let read_side = match said {
                None => Check::failing("read_side", "it has not answered yet"),
                Some(Err(error)) => Check::failing("read_side", error),
                Some(Ok(warnings)) => {
                    let words: Vec<_> = warnings.iter().map(ToString::to_string).collect();
                    Check::ok("read_side").saying(words.join("; "))
                }
            };
            checks.push(read_side.shared().optional());
        }
        checks
    }

    /// Settles until `draining` is cancelled; then takes nothing more, finishes what it has, commits it and
    /// leaves. To be run once.
    ///
    /// # Errors
    /// In a sentence: the process ends with it.
    pub async fn run(&self, draining: CancellationToken) -> Result<(), String> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Work { consumer, db, connection, names, clock, watch }) = work else {
            return Err("the role has run already".into());
        };
        // Bounded by the member's budget: an event a record, and one for each that is produced.
        let (events, taken) = flume::unbounded();
        let worker = Worker {
            connection,
            names,
            scope: self.scope.clone(),
            control: self.control.clone(),
            producer: self.producer.clone(),
            db,
            read_side: self.read_side.clone(),
            clock,
            watch,
            runtime: tokio::runtime::Handle::current(),
            events: events.clone(),
            ended: self.ended.clone(),
            partitions: HashMap::new(),
            again: worker::Again::default(),
            restores: Arc::new(tokio::sync::Semaphore::new(RESTORES)),
        };
        let (tell, mut told) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("sink-fold".into()).spawn(move || {
            let _ = tell.send(worker.run(&taken));
        });
        thread.map_err(|error| format!("no thread to settle on: {error}"))?;
        let ended = tokio::select! {
            biased;
            ended = &mut told => Err(self.sentence(&ended.unwrap_or(Ended::Index("settling panicked".into())))),
            why = self.producer.failed() => Err(why.to_string()),
            why = consumer.failed() => Err(why.to_string()),
            never = self.ask_read_side() => never,
            read = self.read(&consumer, &events, &draining) => read,
        };
        let flushed = ended.is_err() || self.producer.flush(self.finish).await;
        self.ended.store(true, Ordering::Relaxed);
        let _ = events.send(Event::End);
        let _ = tokio::time::timeout(self.finish, told).await;
        if ended.is_ok() && (!flushed || self.control.held().records > 0) {
            tracing::warn!("some records were not done in time; they are settled again by whoever goes on");
        }
        if let Err(why) = ended {
            // Nothing is committed on the way but what is done.
            drop(consumer);
            return Err(why);
        }
        if consumer.close(self.finish).await {
            Ok(())
        } else {
            Err("the group did not take what is done in time; it is done again by whoever goes on".into())
        }
    }

    /// Why the process ends.
    fn sentence(&self, ended: &Ended) -> String {
        match ended {
            Ended::Told => "settling has ended".into(),
            Ended::Stopped(partition, step) => format!("told to end after {step:?} of partition {partition}"),
            Ended::Index(why) => format!("{why}; see that there is room in {}, and start again", self.index.display()),
            Ended::Damaged(why) => match IndexDb::open_anew(&self.index, &self.log) {
                Ok(_) => format!("{why}; it was dropped, and is loaded from pcs.results at the next start"),
                Err(error) => format!("{why}, and can not be dropped: {error}"),
            },
        }
    }

    /// Hands on what comes until the role is told to end and everything that was taken up is done.
    async fn read(
        &self,
        consumer: &Consumer,
        events: &flume::Sender<Event>,
        draining: &CancellationToken,
    ) -> Result<(), String> {
        let mut until = None;
        loop {
            let wait = if until.is_some() { ENDING } else { ASKING };
            let came = tokio::select! {
                biased;
                () = draining.cancelled(), if until.is_none() => {
                    self.control.take_no_more();
                    until = Some(Instant::now() + self.finish);
                    continue;
                }
                came = tokio::time::timeout(wait, consumer.events().recv_async()) => came,
            };
            match came {
                Ok(Ok(came)) => {
                    let event = match came {
                        Came::Assigned(assigned) => {
                            self.restoring.begun(assigned.partition);
                            Event::Assigned(assigned)
                        }
                        Came::Revoked { partition, generation } => Event::Revoked { partition, generation },
                        Came::Record(record) => {
                            let value = record.has_value.then_some(&*record.value);
                            let verified = self.scope.read(record.partition, record.schema.as_deref(), value);
                            Event::Record(Box::new((record, verified)))
                        }
                        Came::Gap { partition, expected, found, .. } => Event::Gap { partition, expected, found },
                    };
                    if events.send(event).is_err() {
                        // Whoever settled says why.
                        std::future::pending::<()>().await;
                    }
                }
                Ok(Err(_)) => return Err("the consumer has ended".into()),
                Err(_) if self.control.held().records == 0 => self.restoring.idle(&self.control),
                Err(_) => {}
            }
            if until.is_some_and(|until| self.control.held().records == 0 || Instant::now() > until) {
                return Ok(());
            }
        }
    }

    /// Asks the read side how it is, and to remove what has expired, for ever.
    async fn ask_read_side(&self) -> Result<(), String> {
        let Some(read_side) = &self.read_side else { return std::future::pending().await };
        let mut expire_at = Instant::now();
        loop {
            let said = read_side.health().await;
            *self.read_side_is.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
            if Instant::now() >= expire_at {
                expire_at = Instant::now() + EXPIRING;
                while matches!(read_side.expire(EXPIRED).await, Ok(removed) if removed >= u64::from(EXPIRED)) {}
            }
            tokio::time::sleep(ASKING).await;
        }
    }
}

/// Which partitions are being restored; passes on to the role's watch.
struct Restoring {
    watch: Arc<dyn Watch>,
    partitions: Mutex<std::collections::BTreeSet<i32>>,
}

impl Restoring {
    fn new(watch: Arc<dyn Watch>) -> Self {
        Self { watch, partitions: Mutex::default() }
    }

    fn partitions(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeSet<i32>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begun(&self, partition: i32) {
        self.partitions().insert(partition);
    }

    fn health(&self, control: &flk_log::kafka::Control) -> Result<(), Arc<str>> {
        let assigned = control.assigned();
        let restoring = self.partitions().iter().filter(|it| assigned.iter().any(|(at, _)| at == *it)).count();
        if restoring == 0 {
            return Ok(());
        }
        Err(format!("the index of {restoring} of {} partitions is being restored", assigned.len()).into())
    }

    fn idle(&self, control: &flk_log::kafka::Control) {
        for (partition, _) in control.assigned() {
            self.watch.on_lag(partition, Duration::ZERO);
        }
    }
}

impl Watch for Restoring {
    fn goes_on(&self, partition: i32, step: Step) -> bool {
        self.watch.goes_on(partition, step)
    }
    fn on_settled(&self, settling: Settling, code: flk_contract::Code, took: Duration) {
        self.watch.on_settled(settling, code, took);
    }
    fn on_folded(&self, took: Duration) {
        self.watch.on_folded(took);
    }
    fn on_indexed(&self, took: Duration) {
        self.watch.on_indexed(took);
    }
    fn on_produced(&self, topic: Topic) {
        self.watch.on_produced(topic);
    }
    fn on_retry(&self, topic: Topic) {
        self.watch.on_retry(topic);
    }
    fn on_lag(&self, partition: i32, lag: Duration) {
        self.watch.on_lag(partition, lag);
    }
    fn on_gap(&self, partition: i32, expected: i64, found: i64) {
        self.watch.on_gap(partition, expected, found);
    }
    fn on_loading(&self, partition: i32, next: i64, end: i64) {
        self.watch.on_loading(partition, next, end);
    }
    fn on_restored(&self, partition: i32) {
        self.partitions().remove(&partition);
        self.watch.on_restored(partition);
    }
    fn on_revoked(&self, partition: i32) {
        self.partitions().remove(&partition);
        self.watch.on_revoked(partition);
    }
    fn on_published(&self, partition: i32, ready: bool, behind: i64) {
        self.watch.on_published(partition, ready, behind);
    }
    fn on_read_side_error(&self, error: &ReadSideError) {
        self.watch.on_read_side_error(error);
    }
    fn on_index_error(&self) {
        self.watch.on_index_error();
    }
}
