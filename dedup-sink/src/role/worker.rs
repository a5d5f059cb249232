//! The thread that folds: it owns the partitions of this member, their indexes and their lines. Nothing in
//! here waits but for the index and for room in the producer's queue.

use core::time::Duration;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use flk_contract::LogTime;
use flk_log::{
    Clock,
    kafka::{Assigned, Connection, Control, NotQueued, Outgoing, ProduceError, Producer, Record},
    ledger::Generation,
    topic::{Headers, Topic, TopicNames, Verified},
};
use flk_results::{
    Index as _, IndexDb, Place, ResultsError,
    read_side::{Batch, ENTRIES_MAX, Published, ReadSide, ReadSideError},
};
use flume::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::Semaphore;

use super::{
    effects::{Effects, Out, Poison, Scope},
    feed::Next,
    line::Waiting,
    partition::{Partition, Settling, Written},
    restore::{Restore, Restored},
    watch::{Step, Watch},
};
use crate::Arrival;

/// Most events that are taken before what they settled is written.
const BATCH: usize = 512;
/// How long the thread sleeps where nothing happens.
const TICK: Duration = Duration::from_millis(50);
/// How often partitions forget what is too old.
const FORGETTING: Duration = Duration::from_secs(20);
/// Entries that are looked at each time.
const FORGET: usize = 5_000;
/// Between two tries to queue a record while the producer's queue is full.
const FULL: Duration = Duration::from_millis(1);
/// First and longest pause before something is done again that failed.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long an entry is kept after its origin's log time: it stands for 14 days, a record that came in
/// that time may be verified 14 days later, and two more.
const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What happens to the thread.
pub(super) enum Event {
    Assigned(Assigned),
    Revoked {
        partition: i32,
        generation: Generation,
    },
    Record(Box<(Record, Result<Verified, Poison>)>),
    Gap {
        partition: i32,
        expected: i64,
        found: i64,
    },
    /// What was made of a record has its outcome.
    Outcome {
        partition: i32,
        generation: Generation,
        offset: i64,
        outcome: Result<(), ProduceError>,
    },
    /// The read side answered.
    Published {
        partition: i32,
        generation: Generation,
        covers: i64,
        outcome: Result<Published, ReadSideError>,
    },
    /// A partition's index is there.
    Restored {
        partition: i32,
        generation: Generation,
        restored: Result<Option<Restored>, String>,
    },
    /// There is nothing more to come.
    End,
}

/// Why the thread has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was told to.
    Told,
    /// By [`Watch::goes_on`].
    Stopped(i32, Step),
    /// The index can not be gone on with.
    Index(String),
    /// The same, and nothing but to drop it is a remedy.
    Damaged(String),
}

impl From<ResultsError> for Ended {
    fn from(error: ResultsError) -> Self {
        match error {
            ResultsError::Damaged(_) => Self::Damaged(error.to_string()),
            ResultsError::Unavailable(_) | ResultsError::Refused(_) => Self::Index(error.to_string()),
        }
    }
}

type Go = Result<(), Ended>;

/// What the thread stands on.
pub(super) struct Worker {
    pub(super) connection: Connection,
    pub(super) names: TopicNames,
    pub(super) scope: Scope,
    pub(super) control: Control,
    pub(super) producer: Producer,
    pub(super) db: IndexDb,
    pub(super) read_side: Option<Arc<dyn ReadSide>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watch: Arc<dyn Watch>,
    pub(super) runtime: tokio::runtime::Handle,
    /// To itself.
    pub(super) events: Sender<Event>,
    /// The role has ended: nothing is waited for.
    pub(super) ended: Arc<AtomicBool>,
    pub(super) partitions: HashMap<i32, Partition>,
    pub(super) again: Again,
    /// As many indexes are restored at a time: each reads ahead.
    pub(super) restores: Arc<Semaphore>,
}

/// What is to be produced again, and when.
#[derive(Debug, Default)]
pub(super) struct Again {
    records: Vec<(i32, Generation, i64)>,
    at: Option<Instant>,
    failures: u32,
}

impl Worker {
    /// Works until it is told to end, or can not go on.
    pub(super) fn run(mut self, events: &Receiver<Event>) -> Ended {
        let mut forget_at = Instant::now() + FORGETTING;
        loop {
            if let Err(ended) = self.turn(events) {
                return ended;
            }
            if Instant::now() >= forget_at {
                forget_at = Instant::now() + FORGETTING;
                self.partitions.values_mut().filter_map(|state| state.settling.as_mut()).for_each(|it| {
                    it.forget(KEEP, FORGET);
                });
            }
        }
    }

    fn turn(&mut self, events: &Receiver<Event>) -> Go {
        match events.recv_timeout(TICK) {
            Ok(event) => self.take(event)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Ended::Told),
        }
        for _ in 0..BATCH {
            let Ok(event) = events.try_recv() else { break };
            self.take(event)?;
        }
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
        for number in &numbers {
            self.write(*number)?;
        }
        self.produce_again();
        for number in numbers {
            self.feed(number)?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event) -> Go {
        match event {
            Event::Assigned(assigned) => self.assigned(assigned),
            Event::Revoked { partition, generation } => self.revoked(partition, generation),
            Event::Record(record) => self.fold(record.0, record.1)?,
            Event::Gap { partition, expected, found } => {
                tracing::error!(
                    partition,
                    expected,
                    found,
                    "records of pcs.verified were removed before they were read"
                );
                self.watch.on_gap(partition, expected, found);
            }
            Event::Outcome { partition, generation, offset, outcome } => {
                self.outcome(partition, generation, offset, outcome)?;
            }
            Event::Published { partition, generation, covers, outcome } => {
                self.published(partition, generation, covers, outcome)?;
            }
            Event::Restored { partition, generation, restored } => {
                self.restored(partition, generation, restored.map_err(Ended::Damaged)?);
            }
            Event::End => return Err(Ended::Told),
        }
        Ok(())
    }

    fn passes(&self, partition: i32, step: Step) -> Go {
        if self.watch.goes_on(partition, step) { Ok(()) } else { Err(Ended::Stopped(partition, step)) }
    }

    /// The partition, if it is still this assignment of it and its index is there.
    fn settling(&mut self, partition: i32, generation: Generation) -> Option<&mut Settling> {
        let state = self.partitions.get_mut(&partition).filter(|state| state.generation == generation)?;
        state.settling.as_mut()
    }

    fn assigned(&mut self, assigned: Assigned) {
        let Assigned { partition, generation, .. } = assigned;
        // One that was there before is dropped, and gives up its index.
        self.partitions.remove(&partition);
        let state = Partition::new(generation);
        let place = Place {
            log: self.scope.log.clone(),
            topic: self.scope.verified.clone(),
            partition,
            partitions: self.scope.partitions,
            origins: self.scope.raw.clone(),
        };
        let restore = Restore {
            connection: self.connection.clone(),
            results: self.names.of(Topic::Results).clone(),
            db: self.db.clone(),
            place,
            assigned,
            watch: self.watch.clone(),
            given_up: state.given_up(),
        };
        self.partitions.insert(partition, state);
        let (events, turns) = (self.events.clone(), self.restores.clone());
        self.runtime.spawn(async move {
            let _turn = turns.acquire().await;
            let restored = tokio::task::spawn_blocking(move || restore.run()).await;
            let restored = restored.unwrap_or_else(|_| Err("restoring an index panicked".into()));
            let _ = events.send(Event::Restored { partition, generation, restored });
        });
    }

    fn revoked(&mut self, partition: i32, generation: Generation) {
        if self.partitions.get(&partition).is_some_and(|state| state.generation == generation) {
            self.partitions.remove(&partition);
            self.watch.on_revoked(partition);
            tracing::info!(partition, "a partition of pcs.verified has gone to another member");
        }
    }

    fn restored(&mut self, partition: i32, generation: Generation, restored: Option<Restored>) {
        let state = self.partitions.get_mut(&partition).filter(|state| state.generation == generation);
        let (Some(state), Some(Restored { index, from, live })) = (state, restored) else { return };
        let settling = Settling::new(index, from, live);
        if settling.is_restored() {
            self.watch.on_restored(partition);
        }
        state.settling = Some(settling);
        self.control.read_from(partition, generation, from);
        tracing::info!(partition, from, live, "reading a partition of pcs.verified");
    }

    /// Folds one record; what it brings about waits until it is in the index.
    fn fold(&mut self, record: Record, verified: Result<Verified, Poison>) -> Go {
        let Record { partition, generation, offset, time, .. } = record;
        let now = self.clock.now();
        if let Some(time) = time {
            self.watch.on_lag(partition, between(time, now));
        }
        let (scope, watch) = (self.scope.clone(), self.watch.clone());
        let Some(state) = self.settling(partition, generation) else { return Ok(()) };
        let effects = match (verified, time) {
            (Ok(verified), Some(settled_at)) => {
                let Verified { settled } = &verified;
                let arrival = Arrival { origin: &settled.origin, offset, settled_at };
                let since = Instant::now();
                let settlement = state.settle(settled.code, &settled.facts, arrival)?;
                watch.on_folded(since.elapsed());
                if !state.is_live(offset) {
                    state.stage_silent(offset);
                    return Ok(());
                }
                let effects = scope.of(partition, &verified, &settlement, &record.headers, now);
                watch.on_settled(effects.settling, settlement.code, between(settled.origin.appended_at, now));
                effects
            }
            (_, _) if !state.is_live(offset) => {
                state.stage_silent(offset);
                return Ok(());
            }
            (verified, time) => {
                let why = verified.err().unwrap_or(Poison::Timeless);
                tracing::error!(partition, offset, %why, "a record of pcs.verified can not be read; it is refused");
                let value = record.has_value.then_some(&*record.value);
                let effects = scope.poisoned((partition, offset), time, value);
                watch.on_settled(effects.settling, flk_contract::Code::Internal, Duration::ZERO);
                effects
            }
        };
        let Effects { settling: _, out, entry, reply } = effects;
        state.stage(Waiting { offset, headers: record.headers, out: out.map(Arc::new), entry, reply });
        Ok(())
    }

    /// Writes what was folded of a partition into its index, and only then produces.
    fn write(&mut self, partition: i32) -> Go {
        let Some(state) = self.partitions.get_mut(&partition) else { return Ok(()) };
        let generation = state.generation;
        let Some(settling) = &mut state.settling else { return Ok(()) };
        if !settling.is_staged() {
            return Ok(());
        }
        if !self.watch.goes_on(partition, Step::Polled) {
            return Err(Ended::Stopped(partition, Step::Polled));
        }
        let since = Instant::now();
        let Some(Written { staged, silent, restored }) = settling.write()? else { return Ok(()) };
        self.watch.on_indexed(since.elapsed());
        self.passes(partition, Step::Indexed)?;
        self.control.done_all(partition, generation, silent);
        if restored {
            tracing::info!(partition, "the index of a partition has caught up");
            self.watch.on_restored(partition);
        }
        let produced: Vec<_> = staged
            .iter()
            .filter_map(|waiting| Some((waiting.offset, waiting.headers.clone(), waiting.out.clone()?)))
            .collect();
        if let Some(settling) = self.settling(partition, generation) {
            for waiting in staged {
                settling.line.push(waiting);
            }
        }
        let any = !produced.is_empty();
        for (offset, headers, out) in produced {
            self.produce(partition, generation, offset, &headers, &out);
        }
        if any { self.passes(partition, Step::Produced) } else { Ok(()) }
    }

    /// Produces, waiting for room; what becomes of it comes back as an event.
    fn produce(&mut self, partition: i32, generation: Generation, offset: i64, headers: &Headers, out: &Out) {
        let headers = headers.encode(out.topic);
        let to = (out.topic != Topic::Refused).then_some(partition);
        let topic = self.names.of(out.topic).clone();
        loop {
            let record = Outgoing {
                topic: &topic,
                partition: to,
                key: out.key.as_deref().map(str::as_bytes),
                value: &out.value,
            };
            let events = self.events.clone();
            let told = move |outcome: Result<_, _>| {
                let outcome = outcome.map(drop);
                let _ = events.send(Event::Outcome { partition, generation, offset, outcome });
            };
            match self.producer.produce_with(record, headers.iter().map(|(name, value)| (*name, value)), told) {
                Ok(()) => return,
                Err(NotQueued::Full) if !self.ended.load(Ordering::Relaxed) => std::thread::sleep(FULL),
                Err(NotQueued::Full | NotQueued::Failed(_)) => return,
                Err(NotQueued::Refused(why)) => {
                    // Every field that goes out is bounded, so this is a topic that is not as it has to be.
                    tracing::error!(partition, offset, why = &*why, "a result can not be produced; trying again");
                    let _ = self.events.send(Event::Outcome {
                        partition,
                        generation,
                        offset,
                        outcome: Err(ProduceError::NotDurable(why)),
                    });
                    return;
                }
            }
        }
    }

    fn outcome(
        &mut self,
        partition: i32,
        generation: Generation,
        offset: i64,
        outcome: Result<(), ProduceError>,
    ) -> Go {
        let watch = self.watch.clone();
        let Some(settling) = self.settling(partition, generation) else { return Ok(()) };
        let topic = settling.line.out(offset).map(|(_, out)| out.topic);
        match outcome {
            Ok(()) => {
                let further = settling.line.acknowledge(offset);
                self.again.failures = 0;
                topic.into_iter().for_each(|topic| watch.on_produced(topic));
                if further { self.passes(partition, Step::Acknowledged) } else { Ok(()) }
            }
            Err(_) => {
                topic.into_iter().for_each(|topic| watch.on_retry(topic));
                self.again.add((partition, generation, offset));
                Ok(())
            }
        }
    }

    fn produce_again(&mut self) {
        for (partition, generation, offset) in self.again.due(Instant::now()) {
            let Some(settling) = self.settling(partition, generation) else { continue };
            let Some((headers, out)) = settling.line.out(offset) else { continue };
            let (headers, out) = (headers.clone(), out.clone());
            self.produce(partition, generation, offset, &headers, &out);
        }
    }

    /// Sends the read side what it lacks, and tells what may be told.
    fn feed(&mut self, partition: i32) -> Go {
        let Some(state) = self.partitions.get_mut(&partition) else { return Ok(()) };
        let generation = state.generation;
        let Some(settling) = state.settling.as_mut().filter(|settling| settling.is_restored()) else { return Ok(()) };
        let (told, acknowledged) = (settling.line.told(), settling.line.acknowledged());
        let Some(read_side) = self.read_side.clone() else {
            return if told < acknowledged { self.tell(partition, generation, acknowledged) } else { Ok(()) };
        };
        let now = Instant::now();
        let (from, to, entries, covers) = match settling.feed.next(told, acknowledged, now) {
            Next::Nothing => return Ok(()),
            Next::Tell => return self.tell(partition, generation, acknowledged),
            Next::Direct => {
                let (entries, to) = settling.line.entries(ENTRIES_MAX);
                (told, to, entries, to)
            }
            Next::Heal(from) => {
                let mut entries = settling.index().entries(from, ENTRIES_MAX)?;
                let all = entries.len() < ENTRIES_MAX;
                entries.retain(|entry| entry.offset < told);
                let to = match entries.last() {
                    Some(last) if !all => last.offset + 1,
                    _ => told,
                };
                (from, to, entries, acknowledged)
            }
        };
        settling.feed.sent(now);
        let Ok(number) = u32::try_from(partition) else { return Ok(()) };
        let events = self.events.clone();
        self.runtime.spawn(async move {
            let batch = Batch { partition: number, from, to, end: covers, entries: &entries };
            let outcome = read_side.publish(&batch).await;
            let _ = events.send(Event::Published { partition, generation, covers, outcome });
        });
        Ok(())
    }

    fn published(
        &mut self,
        partition: i32,
        generation: Generation,
        covers: i64,
        outcome: Result<Published, ReadSideError>,
    ) -> Go {
        let watch = self.watch.clone();
        let Some(settling) = self.settling(partition, generation) else { return Ok(()) };
        match outcome {
            Ok(published) => {
                settling.feed.answered(published);
                watch.on_published(partition, published.ready, (covers - published.next).max(0));
            }
            Err(error) => {
                if settling.feed.failed(Instant::now()) {
                    tracing::warn!(partition, %error, "the read side does not take results; verdicts go on without it");
                }
                watch.on_read_side_error(&error);
            }
        }
        let told = settling.line.told();
        self.passes(partition, Step::Published)?;
        if told < covers { self.tell(partition, generation, covers) } else { Ok(()) }
    }

    /// Answers whoever waits for what lies before an offset, and says that it is done.
    fn tell(&mut self, partition: i32, generation: Generation, before: i64) -> Go {
        let Some(settling) = self.settling(partition, generation) else { return Ok(()) };
        let told = settling.line.tell(before);
        let headers = Headers::default();
        let headers = headers.encode(Topic::Replies);
        let topic = self.names.of(Topic::Replies);
        for waiting in &told {
            let Some((to, value)) = &waiting.reply else { continue };
            let record = Outgoing { topic, partition: Some(*to), key: None, value };
            let headers = headers.iter().map(|(name, value)| (*name, value));
            // Once: an answer that is lost is made up for by reading back.
            if let Err(why) = self.producer.produce_with(record, headers, |_| ()) {
                tracing::debug!(%why, "an answer was not sent");
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        self.passes(partition, Step::Replied)?;
        self.control.done_all(partition, generation, told.iter().map(|waiting| waiting.offset));
        self.passes(partition, Step::Done)
    }
}

impl Again {
    fn add(&mut self, record: (i32, Generation, i64)) {
        self.records.push(record);
        if self.at.is_none() {
            let pause = AGAIN.0.saturating_mul(1 << self.failures.min(10)).min(AGAIN.1);
            self.failures = self.failures.saturating_add(1);
            self.at = Some(Instant::now() + jittered(pause));
        }
    }

    fn due(&mut self, now: Instant) -> Vec<(i32, Generation, i64)> {
        if self.at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.at = None;
        core::mem::take(&mut self.records)
    }
}

/// Between half of it and all.
fn jittered(pause: Duration) -> Duration {
    let share = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + pause.mul_f64(f64::from(share) / f64::from(u32::MAX) / 2.0)
}

fn between(from: LogTime, to: LogTime) -> Duration {
    Duration::from_millis(u64::try_from(to.millis().saturating_sub(from.millis())).unwrap_or(0))
}
