//! Consuming as a member of a group: what every role that reads a topic is built on.
//!
//! One thread polls, always: a partition whose budget is used up is paused, never left unpolled, so that
//! rebalances are served whatever the role is busy with. What happens comes as [`Event`]s; what is to
//! happen goes through [`Control`]. For each partition that this member gets:
//!
//! 1. [`Event::Assigned`], with what the group has committed and what the partition holds, asked for
//!    beside the polling thread. Nothing is read yet: the role may first restore what it stands on, for
//!    as long as that takes.
//! 2. The role says where to begin: [`Control::read_from`]. From below the committed offset to read what
//!    it has to know again; [`Assigned::resume`] otherwise.
//! 3. [`Event::Record`]s, in order. The role says [`Control::done`] for each, in any order, when all that
//!    follows from it is safe. The ledger commits the prefix in which all is done, and never goes back.
//! 4. [`Event::Revoked`]: another member has it, or soon will. What is said of it from then on is
//!    ignored, and done again by that other member.
//!
//! The generation tells assignments of one partition apart. [`Event::Gap`] says that records were removed
//! before they were read: an alarm. [`Consumer::failed`] resolves when the member can not go on (another
//! process took its name, say): the process ends.
//!
//! ```no_run
//! # use flk_log::kafka::{Consumer, Event};
//! # async fn run(consumer: Consumer) {
//! let control = consumer.control();
//! while let Ok(event) = consumer.events().recv_async().await {
//!     match event {
//!         Event::Assigned(a) => control.read_from(a.partition, a.generation, a.resume()),
//!         Event::Record(r) => { /* work */ control.done(r.partition, r.generation, r.offset); }
//!         Event::Revoked { partition, .. } => println!("{partition} is somebody else's"),
//!         Event::Gap { partition, expected, found, .. } => println!("{partition}: {expected} to {found} are lost"),
//!     }
//! }
//! # }
//! ```

mod context;
mod lookup;
mod poll;
mod state;

use core::time::Duration;
use std::{sync::Arc, thread};

use bytes::Bytes;
use flk_contract::LogTime;
use flume::{Receiver, Sender};
use tokio::sync::oneshot;

use self::{context::Context, poll::Command, state::Shared};
use super::{admin::AskError, connection::Connection};
use crate::{
    ledger::{Done, Generation, Held, NextOffset},
    topic::{Headers, RECORD_BYTES_MAX},
};

/// What may be delivered and not done, over all partitions of a member. Each gets an equal share, so that
/// one that is stuck holds up none of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Records.
    pub records: usize,
    /// Bytes of keys and values; a partition may go over its share by one record.
    pub bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { records: 20_000, bytes: 24 << 20 }
    }
}

/// How a member of a group is set.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// The group ([`Connection::group`]).
    pub group: String,
    /// The topic.
    pub topic: Arc<str>,
    /// A name that this instance has again after a restart, and no other has: with it a restart within
    /// `session` keeps its partitions. Without one a member is new each time.
    pub instance: Option<String>,
    /// What may be delivered and not done.
    pub budget: Budget,
    /// How long a member that does not answer is waited for.
    pub session: Duration,
    /// How often what is done is committed.
    pub commit: Duration,
    /// How long a broker may wait for more before it answers a fetch.
    pub fetch_wait: Duration,
    /// How much is fetched ahead of the budget.
    pub ahead: usize,
}

impl ConsumerOptions {
    /// The usual ones.
    pub fn new(group: String, topic: &Arc<str>) -> Self {
        Self {
            group,
            topic: topic.clone(),
            instance: None,
            budget: Budget::default(),
            session: Duration::from_secs(30),
            commit: Duration::from_secs(1),
            fetch_wait: Duration::from_millis(100),
            ahead: 8 << 20,
        }
    }
}

/// A partition that this member got, before anything of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// The partition.
    pub partition: i32,
    /// Which assignment of it this is.
    pub generation: Generation,
    /// What the group has committed; `None` for a group that never did, or whose offsets are gone.
    pub committed: Option<NextOffset>,
    /// The first offset that is still kept.
    pub low: i64,
    /// The offset of the next record that will be appended: the high watermark, read *after* `committed`.
    pub high: i64,
}

impl Assigned {
    /// Where reading goes on: at the committed offset, or at the first that is kept. Where the head of
    /// the log was cut off beyond the committed offset, [`Event::Gap`] follows.
    pub fn resume(&self) -> i64 {
        self.committed.map_or(self.low, |NextOffset(offset)| offset)
    }

    /// Whether reading can begin there: not before what is kept, nor beyond the end.
    pub fn keeps(&self, offset: i64) -> bool {
        (self.low..=self.high).contains(&offset)
    }
}

/// A record of the topic.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Which assignment of it delivered the record.
    pub generation: Generation,
    /// Its offset.
    pub offset: i64,
    /// The broker's time of it; `None` where the topic keeps its producers' times.
    pub time: Option<LogTime>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; empty where it has none.
    pub value: Bytes,
    /// Whether it has a value: one without is a deletion, in a compacted topic.
    pub has_value: bool,
    /// What was said beside it, bounded.
    pub headers: Headers,
    /// Which schema it says it has, for [`crate::topic::Topic::admit`].
    pub schema: Option<Box<[u8]>>,
}

/// What happens to a member.
#[derive(Debug)]
pub enum Event {
    /// It got a partition.
    Assigned(Assigned),
    /// It has a partition no longer.
    Revoked {
        /// The partition.
        partition: i32,
        /// Of which assignment.
        generation: Generation,
    },
    /// A record came.
    Record(Record),
    /// Records were removed before they were read, or a topic was made anew.
    Gap {
        /// The partition.
        partition: i32,
        /// Which assignment of it.
        generation: Generation,
        /// Where reading should have gone on.
        expected: i64,
        /// Where it goes on.
        found: i64,
    },
}

/// A member of a group; dropped, it leaves without waiting for anything. [`close`](Self::close) it.
#[derive(Debug)]
pub struct Consumer {
    events: Receiver<Event>,
    control: Control,
    ended: oneshot::Receiver<()>,
}

impl Consumer {
    /// Joins the group, by and by; nothing is waited for.
    ///
    /// # Errors
    /// Where the settings make no client, or the system gives no thread.
    pub fn start(connection: &Connection, options: ConsumerOptions) -> Result<Self, AskError> {
        let cannot = |error: std::io::Error| AskError(format!("no thread to consume with: {error}").into());
        // Records are bounded by the budget, all else by how often partitions move.
        let (tell, events) = flume::unbounded();
        let (order, orders) = flume::unbounded();
        let (ask, asked) = flume::unbounded();
        let shared = Arc::new(Shared::new(&options, tell, ask));
        let client = config(connection, &options).create_with_context(Context(shared.clone()));
        let client: poll::Client = client.map_err(|error| AskError::of(&error))?;
        let asker = lookup::Asker::new(connection, &options, asked)?;
        let asking = shared.clone();
        thread::Builder::new().name("kafka-offsets".into()).spawn(move || asker.run(&asking)).map_err(cannot)?;
        let (end, ended) = oneshot::channel();
        let polling = shared.clone();
        let run = move || {
            poll::run(client, &polling, &orders);
            let _ = end.send(());
        };
        thread::Builder::new().name("kafka-poll".into()).spawn(run).map_err(cannot)?;
        Ok(Self { events, control: Control { shared, order }, ended })
    }

    /// What happens, in order. One reader: an event is given to one.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// What is to happen; cheap to clone.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Waits until the member can never go on, and says why: the process ends then. For ever where all
    /// goes well.
    pub async fn failed(&self) -> Arc<str> {
        self.control.shared.failure.wait().await
    }

    /// Commits what is done and leaves; a member with a name keeps its partitions for as long as its
    /// session. Returns whether that was done within the deadline.
    pub async fn close(mut self, deadline: Duration) -> bool {
        self.control.shared.stop();
        tokio::time::timeout(deadline, &mut self.ended).await.is_ok()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.control.shared.stop();
    }
}

/// Tells a member what to do.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
    order: Sender<Command>,
}

impl Control {
    /// Begins to read a partition that was assigned, at this offset. Of an assignment that is over
    /// nothing is read.
    pub fn read_from(&self, partition: i32, generation: Generation, offset: i64) {
        // The member has ended where nobody takes it, and has said so.
        let _ = self.order.send(Command::Read { partition, generation, offset });
    }

    /// A record is done: whatever follows from it is safe, and it need not be read again.
    pub fn done(&self, partition: i32, generation: Generation, offset: i64) -> Done {
        self.shared.state().done(partition, generation, offset)
    }

    /// Several records of one partition are done.
    pub fn done_all(&self, partition: i32, generation: Generation, offsets: impl IntoIterator<Item = i64>) {
        let mut state = self.shared.state();
        for offset in offsets {
            state.done(partition, generation, offset);
        }
    }

    /// Takes no further records, of any partition; the member stays one, and what is done is committed.
    /// The first step of stopping.
    pub fn take_no_more(&self) {
        self.shared.state().taking = false;
    }

    /// What was delivered and is not done.
    pub fn held(&self) -> Held {
        self.shared.state().held()
    }

    /// The partitions that this member has, with their generation.
    pub fn assigned(&self) -> Vec<(i32, Generation)> {
        self.shared.state().assigned()
    }

    /// `Ok` while the member is one of its group and nothing was complained of lately.
    ///
    /// # Errors
    /// What is amiss, in words.
    pub fn health(&self) -> Result<(), Arc<str>> {
        if let Some(why) = self.shared.failure.told() {
            return Err(why);
        }
        if !self.shared.state().joined {
            return Err(format!("not yet a member of group {}", self.shared.group).into());
        }
        self.shared.trouble.now().map_or(Ok(()), Err)
    }
}

fn config(connection: &Connection, options: &ConsumerOptions) -> rdkafka::ClientConfig {
    let session = options.session.as_millis().max(100);
    let mut config = connection.config();
    config
        .set("group.id", &options.group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session.to_string())
        .set("heartbeat.interval.ms", (session / 10).clamp(30, 3000).to_string())
        // Only the ledger says what may be committed; what it says is committed at this pace, and when a
        // partition goes.
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", options.commit.as_millis().max(10).to_string())
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", options.fetch_wait.as_millis().to_string())
        .set("fetch.message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set("fetch.max.bytes", options.ahead.max(RECORD_BYTES_MAX).to_string())
        .set("queued.max.messages.kbytes", (options.ahead / 1024).max(1024).to_string())
        .set("queued.min.messages", "2000")
        // What is fetched ahead is bounded, so it is often full: then not a second until the next fetch.
        .set("fetch.queue.backoff.ms", "10")
        // After an error, not a second without records.
        .set("fetch.error.backoff.ms", "100")
        // Somebody waits in a partition that a producer has just made, or that has just moved.
        .set("topic.metadata.refresh.interval.ms", "30000");
    if let Some(instance) = &options.instance {
        config.set("group.instance.id", instance);
    }
    config
}
