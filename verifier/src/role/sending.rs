//! Producing what was judged, until it is acknowledged.
//!
//! To produce a record twice is harmless: it has the same origin, and what settles by its first copy is
//! settled the same by its second. So whatever is not acknowledged is produced again, and a record of
//! pcs.raw is done when what was made of it is safe.

use core::{sync::atomic::AtomicBool, time::Duration};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use flk_contract::Code;
use flk_log::{
    kafka::{Control, NotQueued, Outgoing, Placed, ProduceError, Producer, TopicsWatch},
    topic::{Headers, Topic, TopicNames},
};
use flume::{Receiver, Sender};

use super::{
    judging::{Court, Judged, Out},
    watch::Watch,
};

/// Between two tries to queue a record while the producer's queue is full.
const FULL: Duration = Duration::from_millis(2);
/// First and longest pause before what was not acknowledged is produced again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

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
    /// What was not acknowledged. As many as the member's budget lets be delivered and not done.
    again: Sender<Arc<Judged>>,
    /// What is to be answered.
    replies: Sender<Arc<Judged>>,
    /// Something was acknowledged since the last pause.
    acknowledged: AtomicBool,
}

/// What the tasks beside have to do.
pub(super) struct ToDo {
    pub(super) again: Receiver<Arc<Judged>>,
    pub(super) replies: Receiver<Arc<Judged>>,
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
        let (again, retries) = flume::unbounded();
        let (replies, answers) = flume::bounded(REPLIES);
        let known = Arc::new(Known { control, watch, again, replies, acknowledged: AtomicBool::new(false) });
        let sending = Self { court, names, producer, topics, known, ended: AtomicBool::new(false) };
        (Arc::new(sending), ToDo { again: retries, replies: answers })
    }

    /// Stops waiting for room.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Produces one record; waits for room, so not to be called where nothing may wait.
    pub(super) fn send(self: &Arc<Self>, judged: Arc<Judged>) {
        let mut judged = judged;
        loop {
            let Some(topic) = judged.topic() else {
                if let Out::Nothing(why) = &judged.out {
                    let from = judged.from;
                    tracing::error!(?from, why, "a record is passed over: nothing can be said of it");
                }
                return self.known.done(&judged);
            };
            match self.try_send(topic, &judged) {
                Ok(()) => return,
                Err(NotQueued::Full) if self.is_ended() => return,
                Err(NotQueued::Full) => std::thread::sleep(FULL),
                Err(NotQueued::Refused(why)) => {
                    tracing::error!(from = ?judged.from, why = &*why, "what was made of a record can not be produced");
                    judged = Arc::new(self.court.refuse_instead(&judged, &why));
                }
                // Whoever watches the producer ends the process.
                Err(NotQueued::Failed(_)) => return,
            }
        }
    }

    fn try_send(self: &Arc<Self>, topic: Topic, judged: &Arc<Judged>) -> Result<(), NotQueued> {
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

    /// Answers whoever waits, once: an answer that is lost is made up for by reading back.
    pub(super) async fn reply(self: Arc<Self>, replies: Receiver<Arc<Judged>>) {
        let headers = Headers::default();
        let headers = headers.encode(Topic::Replies);
        while let Ok(judged) = replies.recv_async().await {
            let Out::Refused { reply: Some((partition, value)), .. } = &judged.out else { continue };
            let topic = self.names.of(Topic::Replies);
            let record = Outgoing { topic, partition: Some(*partition), key: None, value };
            let headers = headers.iter().map(|(name, value)| (*name, value));
            if let Err(why) = self.producer.produce_with(record, headers, |_| ()) {
                tracing::debug!(%why, "an answer was not sent");
            }
        }
    }

    /// Whether the member still has the partition by the assignment that delivered the record.
    fn is_ours(&self, judged: &Judged) -> bool {
        self.known.control.assigned().contains(&(judged.from.partition, judged.from.generation))
    }

    /// Produces again what was not acknowledged, ever more slowly until something is.
    pub(super) async fn send_again(self: Arc<Self>, retries: Receiver<Arc<Judged>>) {
        let mut pause = AGAIN.0;
        while let Ok(first) = retries.recv_async().await {
            if self.known.acknowledged.swap(false, Ordering::Relaxed) {
                pause = AGAIN.0;
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(AGAIN.1);
            let mut batch = vec![first];
            batch.extend(retries.drain());
            let this = self.clone();
            let sent = tokio::task::spawn_blocking(move || {
                for judged in batch {
                    // Whoever has the partition now does it.
                    if this.is_ours(&judged) {
                        this.send(judged);
                    }
                }
            });
            let _ = sent.await;
        }
    }

    /// How a judged record is counted.
    pub(super) fn judged(&self, code: Code, since: Instant, waited: Duration) {
        self.known.watch.on_judged(code, waited + since.elapsed());
    }
}

impl Known {
    /// Waits for nothing.
    fn told(&self, topic: Topic, judged: Arc<Judged>, outcome: Result<Placed, ProduceError>) {
        match outcome {
            Ok(_) => {
                self.acknowledged.store(true, Ordering::Relaxed);
                self.watch.on_produced(topic);
                self.done(&judged);
                if matches!(judged.out, Out::Refused { reply: Some(_), .. }) {
                    let _ = self.replies.try_send(judged);
                }
            }
            Err(_) => {
                self.watch.on_retry(topic);
                // Nobody takes it where the role has ended: it is judged again by whoever goes on.
                let _ = self.again.send(judged);
            }
        }
    }

    fn done(&self, judged: &Judged) {
        let from = judged.from;
        self.control.done(from.partition, from.generation, from.offset);
    }
}

/// Between half of it and all.
fn jittered(pause: Duration) -> Duration {
    let share = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + pause.mul_f64(f64::from(share) / f64::from(u32::MAX) / 2.0)
}
