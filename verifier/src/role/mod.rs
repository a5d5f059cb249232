//! The verifier role: a member of the group that reads pcs.raw. Each record is judged at its log time and
//! goes to pcs.verified, where it may settle its id, or to pcs.refused (design, "Kafka").
//!
//! It keeps nothing: whatever is lost with it is judged again. It does not know which ids are settled, and
//! knows no settings, signals or HTTP.

mod judging;
mod lag;
mod redrive;
mod sending;
mod watch;

use core::time::Duration;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use flk_contract::{LogId, LogTime};
use flk_log::{
    Clock,
    kafka::{
        AskError, Connection, Consumer, ConsumerOptions, Event, Producer, ProducerOptions, Record, Topics, TopicsWatch,
    },
    topic::Topic,
};
use flk_service::health::Check;
use flume::{Receiver, Sender};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::{
    judging::{Court, Delivered},
    sending::{Sending, ToDo},
};
pub use self::{
    redrive::{Redrive, RedriveError},
    watch::{Unwatched, Watch},
};
use crate::Verifier;

/// The group of all verifiers, before any prefix.
pub const GROUP: &str = "flk-verifier";

/// Most records that are judged in one go: a thread is woken for each.
const BATCH: usize = 128;
/// How often it is looked, before anything is read, whether the topics are as they have to be.
const TOPICS: Duration = Duration::from_millis(20);
/// How long the last answers may take on their way, when the role ends.
const REPLIES: Duration = Duration::from_secs(1);
/// What the process ends with where the role has lost a part of itself.
const PANICKED: &str = "a part of the verifier has panicked (the log says where); it goes on where it was when it is \
                        started again";
/// How often it is looked whether all is done, when the role ends.
const ENDING: Duration = Duration::from_millis(5);
/// How often it is said how far behind the role is.
const LAG: Duration = Duration::from_secs(1);

/// What the role stands on.
pub struct Parts<'a> {
    /// How Kafka is reached.
    pub connection: &'a Connection,
    /// The topics.
    pub topics: &'a Topics,
    /// The cluster's id.
    pub log: LogId,
    /// Policy and keys.
    pub verifier: Verifier,
    /// The server's clock: for what is seen of the role, never for a verdict.
    pub clock: Arc<dyn Clock>,
    /// Sees what happens.
    pub watch: Arc<dyn Watch>,
}

/// How the role is set.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of this instance in its group ([`ConsumerOptions::instance`]).
    pub instance: Option<String>,
    /// How many records are judged at the same time; as a rule, the number of processors.
    pub threads: usize,
    /// How long what was taken up may take to be done when the role ends.
    pub finish: Duration,
    /// The member; `None` for the usual one.
    pub consumer: Option<ConsumerOptions>,
    /// How it produces.
    pub producer: ProducerOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            instance: None,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            finish: Duration::from_secs(8),
            consumer: None,
            producer: ProducerOptions::default(),
        }
    }
}

/// Why there is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The settings make no client, or the system gives no thread.
    #[error(transparent)]
    Kafka(#[from] AskError),
}

/// The role.
pub struct VerifierRole {
    sending: Arc<Sending>,
    /// Until it runs.
    work: Mutex<Option<Work>>,
    clock: Arc<dyn Clock>,
    threads: usize,
    finish: Duration,
}

/// What only whoever runs it has.
struct Work {
    consumer: Consumer,
    to_do: ToDo,
}

impl core::fmt::Debug for VerifierRole {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VerifierRole").finish_non_exhaustive()
    }
}

impl VerifierRole {
    /// Joins the group by and by; nothing is waited for, and nothing is read before it [runs](Self::run).
    ///
    /// # Errors
    /// [`StartError`], a sentence for the operator.
    pub fn start(parts: Parts<'_>, options: Options) -> Result<Self, StartError> {
        let Parts { connection, topics, log, verifier, clock, watch } = parts;
        let Options { instance, threads, finish, consumer, producer } = options;
        let raw = topics.names.of(Topic::Raw);
        let court = Court {
            verifier,
            log,
            raw: raw.clone(),
            partitions: topics.partitions_of(Topic::Verified),
            replies: topics.partitions_of(Topic::Replies),
        };
        let mut member = consumer.unwrap_or_else(|| ConsumerOptions::new(connection.group(GROUP), raw));
        member.instance = instance.or(member.instance);
        let consumer = Consumer::start(connection, member)?;
        let producer = Producer::new(connection, &producer)?;
        let (names, control) = (topics.names.clone(), consumer.control().clone());
        let topics = TopicsWatch::start(connection, topics)?;
        let (sending, to_do) = Sending::new(court, names, producer, control, topics, watch);
        let work = Mutex::new(Some(Work { consumer, to_do }));
        Ok(Self { sending, work, clock, threads: threads.max(1), finish })
    }

    /// Everything that judging depends on. Cheap: no I/O.
    pub fn readiness(&self) -> Vec<Check> {
        let Sending { topics, producer, known, .. } = &*self.sending;
        let check = |name, health: Result<(), Arc<str>>| match health {
            Ok(()) => Check::ok(name),
            Err(why) => Check::failing(name, why),
        };
        vec![
            check("topics", topics.health()).shared(),
            check("group", known.control.health()).shared(),
            check("producer", producer.health()).shared(),
        ]
    }

    /// Judges until `draining` is cancelled; then takes nothing more, finishes what it has, commits it and
    /// leaves. To be run once. Dropped meanwhile, it leaves at once, and whoever goes on does the rest.
    ///
    /// # Errors
    /// In a sentence: the process ends with it.
    pub async fn run(&self, draining: CancellationToken) -> Result<(), String> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Work { consumer, to_do }) = work else { return Err("the role has run already".into()) };
        let sending = &self.sending;
        let _ends = Ends(sending.clone());
        let (timeless, without_time) = flume::unbounded();
        let ending = CancellationToken::new();
        // What belongs to the role ends with it, however it ends.
        let mut beside = JoinSet::new();
        for (topic, retries) in to_do.again {
            beside.spawn(sending.clone().send_again(topic, retries));
        }
        beside.spawn(sending.clone().refuse_timeless(without_time));
        let mut replying = JoinSet::new();
        replying.spawn(sending.clone().reply(to_do.replies, ending.clone()));
        let ended = tokio::select! {
            biased;
            why = sending.producer.failed() => Err(why.to_string()),
            why = consumer.failed() => Err(why.to_string()),
            _ = beside.join_next() => Err(PANICKED.into()),
            _ = replying.join_next() => Err(PANICKED.into()),
            read = self.read(consumer.events(), &timeless, &draining) => read,
        };
        beside.abort_all();
        if ended.is_ok() {
            if sending.known.control.held().records > 0 {
                tracing::warn!("some records were not done in time; they are judged again by whoever goes on");
            }
            // Answers only: all else was acknowledged, or is done again.
            ending.cancel();
            let _ = tokio::time::timeout(REPLIES, replying.join_next()).await;
            sending.producer.flush(REPLIES).await;
        }
        sending.end();
        let closed = consumer.close(self.finish).await;
        ended?;
        if closed {
            Ok(())
        } else {
            Err("the group did not take what is done in time; it is done again by whoever goes on".into())
        }
    }

    /// Reads until the role is told to end and everything that was taken up is acknowledged.
    async fn read(
        &self,
        events: &Receiver<Event>,
        timeless: &Sender<Record>,
        draining: &CancellationToken,
    ) -> Result<(), String> {
        let control = &self.sending.known.control;
        // Where the count of partitions is another one, an id would have two winners.
        while let Err(why) = self.sending.topics.health() {
            tracing::debug!(why = &*why, "nothing is read before the topics are as they have to be");
            tokio::select! {
                biased;
                () = draining.cancelled() => return Ok(()),
                () = tokio::time::sleep(TOPICS) => {}
            }
        }
        let mut judging = JoinSet::new();
        let mut lag = tokio::time::interval(LAG);
        lag.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        let mut until = None;
        loop {
            let room = judging.len() < self.threads;
            tokio::select! {
                biased;
                () = draining.cancelled(), if until.is_none() => {
                    control.take_no_more();
                    until = Some(Instant::now() + self.finish);
                }
                // Records of one that panicked would never be done, and hold up all that come after them.
                judged = judging.join_next(), if !judging.is_empty() => if judged.is_some_and(|judged| judged.is_err()) {
                    return Err(PANICKED.into());
                },
                _ = lag.tick() => self.tell_lag(),
                came = events.recv_async(), if room => match came {
                    Ok(event) => self.take(event, &mut batch, timeless),
                    Err(_) => return Err("the consumer has ended".into()),
                },
                () = tokio::time::sleep(ENDING), if until.is_some() => {}
            }
            // What was delivered before is still in the queue.
            if until.is_some_and(|until| control.held().records == 0 || Instant::now() > until) {
                return Ok(());
            }
            if !room {
                continue;
            }
            while batch.len() < BATCH
                && let Ok(event) = events.try_recv()
            {
                self.take(event, &mut batch, timeless);
            }
            if batch.is_empty() {
                continue;
            }
            let (records, sending, now) = (core::mem::take(&mut batch), self.sending.clone(), self.clock.now());
            judging.spawn_blocking(move || sending.judge(records, now));
        }
    }

    fn take(&self, event: Event, batch: &mut Vec<(Record, LogTime)>, timeless: &Sender<Record>) {
        let Sending { known, topics, .. } = &*self.sending;
        let (control, watch) = (&known.control, &known.watch);
        match event {
            Event::Assigned(assigned) => {
                let offset = assigned.resume();
                control.read_from(assigned.partition, assigned.generation, offset);
                tracing::info!(partition = assigned.partition, offset, "reading a partition of pcs.raw");
                watch.on_assigned(assigned.partition, offset);
            }
            Event::Revoked { partition, .. } => {
                known.lag().revoked(partition);
                watch.on_revoked(partition);
            }
            Event::Record(record) => match record.time {
                Some(at) => {
                    known.lag().taken(Delivered::of(&record), at);
                    batch.push((record, at));
                }
                None => {
                    known.lag().taken(Delivered::of(&record), self.clock.now());
                    watch.on_timeless(record.partition);
                    topics.doubt("a record of pcs.raw has no log time; see `flk topics check`");
                    // As many as the member's budget lets be delivered and not done.
                    let _ = timeless.send(record);
                }
            },
            Event::Gap { partition, expected, found, .. } => {
                tracing::error!(partition, expected, found, "records of pcs.raw were removed before they were judged");
                watch.on_gap(partition, expected, found);
            }
        }
    }

    fn tell_lag(&self) {
        let (known, now) = (&self.sending.known, self.clock.now());
        let is_well = known.control.health().is_ok();
        for (partition, _) in known.control.assigned() {
            let oldest = known.lag().oldest(partition);
            match oldest {
                Some(since) => known.watch.on_lag(partition, between(since, now)),
                // What is not fetched is not known of.
                None if is_well => known.watch.on_lag(partition, Duration::ZERO),
                None => {}
            }
        }
    }
}

/// Nothing waits for room any more once the role has ended.
struct Ends(Arc<Sending>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn between(from: LogTime, to: LogTime) -> Duration {
    Duration::from_millis(u64::try_from(to.millis().saturating_sub(from.millis())).unwrap_or(0))
}
