//! Producing what was judged, until it is acknowledged.
//!
//! To produce a record twice is harmless: it has the same origin, and what settles by its first copy is
//! settled the same by its second. So whatever is not acknowledged is produced again, and a record of
//! pcs.raw is done when what was made of it is safe. Nothing is ever refused because Kafka does not take
//! it: all that goes out is bounded, so that a topic is what has to be mended.

use core::{sync::atomic::AtomicBool, time::Duration};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Instant,
};

use flk_contract::LogTime;
use flk_log::{
    kafka::{Control, NotQueued, Outgoing, Placed, ProduceError, Producer, Record, TopicsWatch},
    topic::{Headers, Topic, TopicNames},
};
use flume::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

use super::{
    judging::{Court, Delivered, Judged, Out},
    lag::Lag,
    watch::Watch,
};

/// Between two tries to queue a record while the producer's queue is full.
const FULL: Duration = Duration::from_millis(2);
/// First and longest pause before what was not acknowledged is produced again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often those without a log time look whether their topic is as it has to be.
const TIMELESS: Duration = Duration::from_millis(250);
/// Most answers that wait to be produced; others are lost, and made up for by reading back.
const REPLIES: usize = 4096;

/// Produces, and says what is done.
pub(super) struct Sending {
    pub(super) court: Court,
    pub(super) names: TopicNames,
    pub(super) producer: Producer,
    pub(super) topics: TopicsWatch,
    pub(super) known: Arc<Known>,
    /// Nothing is waited for any more: the role ends.
    ended: AtomicBool,
}

/// What becomes known of records, on the producer's own thread. It does not hold the producer, which
/// must not be dropped there.
pub(super) struct Known {
    pub(super) control: Control,
    pub(super) watch: Arc<dyn Watch>,
    lag: Mutex<Lag>,
    verified: Lane,
    refused: Lane,
    /// What is to be answered.
    replies: Sender<Arc<Judged>>,
}

/// What goes to one topic: one that takes nothing holds up nothing of the other.
struct Lane {
    /// What was not acknowledged. As many as the member's budget lets be delivered and not done.
    again: Sender<Arc<Judged>>,
    /// Something was acknowledged since the last pause.
    acknowledged: AtomicBool,
    /// Something was, and got no time of the broker's where its topic has to give one.
    timeless: AtomicBool,
}

/// What the tasks beside have to do.
pub(super) struct ToDo {
    pub(super) again: [(Topic, Receiver<Arc<Judged>>); 2],
    pub(super) replies: Receiver<Arc<Judged>>,
}

impl Lane {
    fn new() -> (Self, Receiver<Arc<Judged>>) {
        let (again, retries) = flume::unbounded();
        (Self { again, acknowledged: AtomicBool::new(false), timeless: AtomicBool::new(false) }, retries)
    }
}

impl Sending {
    pub(super) fn new(
        court: Court,
        names: TopicNames,
        producer: Producer,
        control: Control,
        topics: TopicsWatch,
        watch: Arc<dyn Watch>,
    ) -> (Arc<Self>, ToDo) {
        let ((verified, verified_again), (refused, refused_again)) = (Lane::new(), Lane::new());
        let (replies, answers) = flume::bounded(REPLIES);
        let known = Arc::new(Known { control, watch, lag: Mutex::default(), verified, refused, replies });
        let sending = Self { court, names, producer, topics, known, ended: AtomicBool::new(false) };
        let again = [(Topic::Verified, verified_again), (Topic::Refused, refused_again)];
        (Arc::new(sending), ToDo { again, replies: answers })
    }

    /// Stops waiting for room.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// What the member still has, by the assignments that it has it by: whoever has the rest now does it.
    pub(super) fn ours(&self) -> impl Fn(Delivered) -> bool + use<> {
        let assigned: HashSet<_> = self.known.control.assigned().into_iter().collect();
        move |from| assigned.contains(&(from.partition, from.generation))
    }

    /// Produces one record; waits for room, so not to be called where nothing may wait.
    pub(super) fn send(&self, judged: &Arc<Judged>) {
        let Some(topic) = judged.topic() else {
            if let Out::Nothing(why) = &judged.out {
                tracing::error!(from = ?judged.from, why, "a record is passed over: nothing can be said of it");
                self.known.watch.on_passed_over(judged.from.partition, judged.from.offset);
            }
            return self.known.done(judged);
        };
        loop {
            match self.try_send(topic, judged) {
                Ok(()) => return,
                Err(NotQueued::Full) if self.is_ended() || !self.ours()(judged.from) => return,
                Err(NotQueued::Full) => std::thread::sleep(FULL),
                // The topic, or its partition, is not there: readiness says so, and it is tried again.
                Err(NotQueued::Refused(why)) => {
                    tracing::debug!(%topic, why = &*why, "a record is not taken, and is produced again");
                    return self.known.not_acknowledged(topic, judged.clone());
                }
                // Whoever watches the producer ends the process.
                Err(NotQueued::Failed(_)) => return,
            }
        }
    }

    fn try_send(&self, topic: Topic, judged: &Arc<Judged>) -> Result<(), NotQueued> {
        let (partition, key, value) = match &judged.out {
            Out::Verified { partition, key, value } => (Some(*partition), Some(key.as_bytes()), value),
            Out::Refused { value, .. } => (None, None, value),
            Out::Nothing(_) => return Ok(()),
        };
        let record = Outgoing { topic: self.names.of(topic), partition, key, value };
        let headers = judged.headers.encode(topic);
        let (known, told) = (self.known.clone(), judged.clone());
        let outcome = move |outcome| known.told(topic, told, outcome);
        self.producer.produce_with(record, headers.iter().map(|(name, value)| (*name, value)), outcome)
    }

    /// Answers whoever waits, once: an answer that is lost is made up for by reading back. Told to end, it
    /// answers those that it has been given.
    pub(super) async fn reply(self: Arc<Self>, replies: Receiver<Arc<Judged>>, ending: CancellationToken) {
        let headers = Headers::default();
        let headers = headers.encode(Topic::Replies);
        loop {
            let judged = tokio::select! {
                biased;
                judged = replies.recv_async() => judged,
                () = ending.cancelled() => return,
            };
            let Ok(judged) = judged else { return };
            let Out::Refused { reply: Some((partition, value)), .. } = &judged.out else { continue };
            let topic = self.names.of(Topic::Replies);
            let record = Outgoing { topic, partition: Some(*partition), key: None, value };
            let headers = headers.iter().map(|(name, value)| (*name, value));
            let watch = self.known.watch.clone();
            let told = move |outcome: Result<Placed, ProduceError>| watch.on_reply(outcome.is_ok());
            if let Err(why) = self.producer.produce_with(record, headers, told) {
                tracing::debug!(%why, "an answer was not sent");
                self.known.watch.on_reply(false);
            }
        }
    }

    /// Produces again what a topic did not acknowledge, ever more slowly until it acknowledges something.
    /// What got no time waits until its topic gives one: until then each copy would be worth as little.
    pub(super) async fn send_again(self: Arc<Self>, topic: Topic, retries: Receiver<Arc<Judged>>) {
        let mut pause = AGAIN.0;
        while let Ok(first) = retries.recv_async().await {
            if self.known.lane(topic).timeless.swap(false, Ordering::Relaxed) {
                self.topics.doubt(&format!("{topic} gives its records no log time; see `flk topics check`"));
                while self.topics.health().is_err() {
                    tokio::time::sleep(TIMELESS).await;
                }
            }
            if self.known.lane(topic).acknowledged.swap(false, Ordering::Relaxed) {
                pause = AGAIN.0;
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(AGAIN.1);
            let mut batch = vec![first];
            batch.extend(retries.drain());
            let ours = self.ours();
            batch.retain(|judged| ours(judged.from));
            let this = self.clone();
            let sent = tokio::task::spawn_blocking(move || batch.iter().for_each(|judged| this.send(judged)));
            if sent.await.is_err() {
                return;
            }
        }
    }

    /// Records without a log time wait until their topics are as they have to be: before that, whatever
    /// comes would be refused. Then nothing is left but to refuse them.
    pub(super) async fn refuse_timeless(self: Arc<Self>, records: Receiver<Record>) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() {
                let Ok(first) = records.recv_async().await else { return };
                waiting.push(first);
            }
            waiting.extend(records.drain());
            let ours = self.ours();
            waiting.retain(|record| ours(Delivered::of(record)));
            if self.topics.health().is_err() {
                tokio::time::sleep(TIMELESS).await;
                continue;
            }
            let (this, batch) = (self.clone(), core::mem::take(&mut waiting));
            let sent = tokio::task::spawn_blocking(move || {
                for record in batch {
                    let since = Instant::now();
                    let judged = this.court.refuse_timeless(record);
                    this.judged(&judged, since, Duration::ZERO);
                    this.send(&Arc::new(judged));
                }
            });
            if sent.await.is_err() {
                return;
            }
        }
    }

    /// Judges records and produces what they come to; waits for room.
    pub(super) fn judge(&self, records: Vec<(Record, LogTime)>, now: LogTime) {
        let (since, ours) = (Instant::now(), self.ours());
        for (record, at) in records.into_iter().filter(|(record, _)| ours(Delivered::of(record))) {
            let judged = self.court.judge(record, at);
            self.judged(&judged, since, super::between(at, now));
            self.send(&Arc::new(judged));
        }
    }

    /// How a judged record is counted.
    fn judged(&self, judged: &Judged, since: Instant, waited: Duration) {
        self.known.watch.on_judged(judged.code, judged.tenant.as_ref(), waited + since.elapsed());
    }
}

impl Known {
    /// What was made of a record was acknowledged, or not. Waits for nothing.
    fn told(&self, topic: Topic, judged: Arc<Judged>, outcome: Result<Placed, ProduceError>) {
        let Ok(placed) = outcome else { return self.not_acknowledged(topic, judged) };
        // It is there, and whoever reads it can not go by it.
        if topic.is_timed_by_broker() && placed.time.is_none() {
            self.lane(topic).timeless.store(true, Ordering::Relaxed);
            return self.not_acknowledged(topic, judged);
        }
        self.lane(topic).acknowledged.store(true, Ordering::Relaxed);
        self.watch.on_produced(topic);
        // First: where all is done, all that is to be answered has been handed on.
        let is_awaited = matches!(judged.out, Out::Refused { reply: Some(_), .. });
        if is_awaited && self.replies.try_send(judged.clone()).is_err() {
            self.watch.on_reply(false);
        }
        self.done(&judged);
    }

    fn not_acknowledged(&self, topic: Topic, judged: Arc<Judged>) {
        self.watch.on_retry(topic);
        // Nobody takes it where the role has ended: it is judged again by whoever goes on.
        let _ = self.lane(topic).again.send(judged);
    }

    fn lane(&self, topic: Topic) -> &Lane {
        if topic == Topic::Verified { &self.verified } else { &self.refused }
    }

    /// What is taken up and not done.
    pub(super) fn lag(&self) -> MutexGuard<'_, Lag> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, judged: &Judged) {
        let from = judged.from;
        self.lag().done(from);
        self.control.done(from.partition, from.generation, from.offset);
    }
}

/// Between half of it and all.
fn jittered(pause: Duration) -> Duration {
    let share = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + pause.mul_f64(f64::from(share) / f64::from(u32::MAX) / 2.0)
}
