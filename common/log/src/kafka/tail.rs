//! Reading one partition from its end: what comes from now on, and nothing of what was there before.
//!
//! For what is of use only while somebody waits for it: answers in pcs.replies. So no group, no
//! committed offset, and nothing that is read twice on purpose. The end is the high watermark, asked for
//! and then assigned as a number: to assign "the end" by name resolves it later, and passes over what
//! came in between. Whoever sees [`Tail::health`] well gets each record that is produced from then on.
//!
//! One thread polls, and nothing else is done on it but the callback. Brokers that go and come back, and
//! leaders that move, are followed without a gap. Where the place itself is gone (the topic was deleted,
//! or retention removed what was not read yet) reading goes on at the new end, and [`Tailed::Gap`] says so.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{sync::Arc, thread, time::Instant};

use flk_contract::LogTime;
use rdkafka::{
    ClientContext, Message, Offset, Timestamp, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};

use super::{
    admin::AskError,
    connection::{Connection, log, words},
    failure::{Failure, Trouble},
    headers,
};
use crate::topic::{Headers, RECORD_BYTES_MAX};

/// Longest that the thread waits for a record before it looks after the rest.
const TICK: Duration = Duration::from_millis(100);
/// Between two tries to find the end.
const RETRY: Duration = Duration::from_millis(200);
/// How long a broker may take to say where the end is, where nothing is read before it has.
const FIND: Duration = Duration::from_secs(2);
/// The same while records may come: the thread waits for nothing else meanwhile.
const PROBE: Duration = Duration::from_millis(500);
/// Between two looks at the partition while no record comes.
const QUIET: Duration = Duration::from_secs(5);
/// The same while something is amiss.
const AMISS: Duration = Duration::from_millis(500);

/// How a tail is set.
#[derive(Debug, Clone)]
pub struct TailOptions {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// How long a broker may wait for a record before it answers a fetch with none.
    pub fetch_wait: Duration,
}

impl TailOptions {
    /// The usual ones.
    pub fn new(topic: &Arc<str>, partition: i32) -> Self {
        Self { topic: topic.clone(), partition, fetch_wait: Duration::from_millis(500) }
    }
}

/// What comes.
#[derive(Debug)]
pub enum Tailed<'a> {
    /// A record.
    Record(TailRecord<'a>),
    /// What came in between was not read, and will not be.
    Gap {
        /// Where reading should have gone on.
        expected: i64,
        /// Where it goes on: less than `expected` where the topic was made anew.
        found: i64,
    },
}

/// A record, as long as the callback looks at it.
#[derive(Debug)]
pub struct TailRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// The broker's time of it; `None` where the topic keeps its producers' times.
    pub time: Option<LogTime>,
    /// Its value; empty where it has none.
    pub value: &'a [u8],
    /// What was said beside it, bounded.
    pub headers: Headers,
    /// Which schema it says it has, for [`crate::topic::Topic::admit`].
    pub schema: Option<Box<[u8]>>,
}

#[derive(Debug)]
struct Shared {
    options: TailOptions,
    stop: AtomicBool,
    /// Whether reading has begun: what is produced from then on is read.
    placed: AtomicBool,
    failure: Failure,
    trouble: Trouble,
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Reads one partition from its end, until it is dropped.
#[derive(Debug)]
pub struct Tail {
    shared: Arc<Shared>,
}

impl Tail {
    /// Begins to look for the end; nothing is waited for. `tell` is called on the thread that reads, with
    /// each record in the order of offsets: it must not wait for anything.
    ///
    /// # Errors
    /// Where the settings make no client, or the system gives no thread.
    pub fn start(
        connection: &Connection,
        options: TailOptions,
        tell: impl FnMut(Tailed<'_>) + Send + 'static,
    ) -> Result<Self, AskError> {
        let cannot = |error: std::io::Error| AskError(format!("no thread to read with: {error}").into());
        let config = config(connection, &options);
        let shared = Arc::new(Shared {
            options,
            stop: AtomicBool::new(false),
            placed: AtomicBool::new(false),
            failure: Failure::new(),
            trouble: Trouble::default(),
        });
        let client = config.create_with_context(Context(shared.clone())).map_err(|error| AskError::of(&error))?;
        let reading = shared.clone();
        let run = move || {
            // However it ends, nobody waits for records that will not come.
            let _ended = Ended(&reading);
            Reader { client, shared: &reading, tell, next: None, suspect: false }.run();
        };
        thread::Builder::new().name("kafka-tail".into()).spawn(run).map_err(cannot)?;
        Ok(Self { shared })
    }

    /// `Ok` while each record that is produced is read, as far as is known.
    ///
    /// # Errors
    /// What is amiss, in words.
    pub fn health(&self) -> Result<(), Arc<str>> {
        let Shared { options: TailOptions { topic, partition, .. }, placed, failure, trouble, .. } = &*self.shared;
        if let Some(why) = failure.told() {
            return Err(why);
        }
        if !placed.load(Ordering::Acquire) {
            let why = trouble.now();
            return Err(
                why.unwrap_or_else(|| format!("the end of {topic}, partition {partition}, is not known yet").into())
            );
        }
        trouble.now().map_or(Ok(()), Err)
    }

    /// Waits until nothing can ever be read again, and says why: the process ends then. For ever where
    /// all goes well.
    pub async fn failed(&self) -> Arc<str> {
        self.shared.failure.wait().await
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn config(connection: &Connection, options: &TailOptions) -> rdkafka::ClientConfig {
    let mut config = connection.config();
    config
        // Assigning by hand asks for a group too, though nobody ever joins it.
        .set("group.id", connection.group("flk-reader"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        // Where the place is gone is for us to see: by itself the client would go on elsewhere, in silence.
        .set("auto.offset.reset", "error")
        // Nobody's open transaction holds up the answers behind it.
        .set("isolation.level", "read_uncommitted")
        .set("fetch.wait.max.ms", options.fetch_wait.as_millis().to_string())
        .set("fetch.message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set("fetch.max.bytes", (4 * RECORD_BYTES_MAX).to_string())
        .set("queued.max.messages.kbytes", "8192")
        // A queue that was full for a moment is filled again at once, not after a second.
        .set("fetch.queue.backoff.ms", "10")
        // After an error, not half a second without records: somebody waits.
        .set("fetch.error.backoff.ms", "50")
        .set("topic.metadata.refresh.interval.ms", "30000");
    config
}

/// Tells that the thread has ended, whatever ended it.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if !self.0.stopped() {
            let Shared { options: TailOptions { topic, partition, .. }, failure, .. } = self.0;
            // The first word counts: where there was a reason, it was told.
            failure.tell(&format!("the thread that reads {topic}, partition {partition}, has ended; start again"));
        }
    }
}

struct Context(Arc<Shared>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => self.0.failure.tell(&format!("reading can not go on: {reason}")),
            code if is_about_groups(code) => tracing::debug!(%error, "kafka client: {reason}"),
            _ => self.0.trouble.note(&words(&error)),
        }
    }
}

impl ConsumerContext for Context {}

/// Nothing here is done as a group, so nothing is amiss if it may not be.
fn is_about_groups(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(
            Code::GroupAuthorizationFailed
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::NotCoordinator
        )
    )
}

struct Reader<'a, T> {
    client: BaseConsumer<Context>,
    shared: &'a Shared,
    tell: T,
    /// Where reading goes on; `None` before it began.
    next: Option<i64>,
    /// The partition seemed to end before `next`, the last time that it was looked at.
    suspect: bool,
}

/// Whether a place can be read on from.
#[derive(PartialEq, Eq)]
enum Place {
    Stands,
    Gone,
}

impl<T: FnMut(Tailed<'_>)> Reader<'_, T> {
    fn run(mut self) {
        while !self.ended() {
            match self.begin() {
                Ok(()) => self.read(),
                Err(error) => {
                    self.shared.trouble.note(&self.about(&error));
                    // What happens to its connections is queued until somebody takes it.
                    while self.client.poll(Duration::ZERO).is_some() {}
                    thread::park_timeout(RETRY);
                }
            }
        }
    }

    fn ended(&self) -> bool {
        self.shared.stopped() || self.shared.failure.told().is_some()
    }

    fn about(&self, error: &KafkaError) -> String {
        let TailOptions { topic, partition, .. } = &self.shared.options;
        format!("{topic}, partition {partition}, can not be read: {}", words(error))
    }

    /// Goes to the end.
    fn begin(&mut self) -> Result<(), KafkaError> {
        let TailOptions { topic, partition, .. } = &self.shared.options;
        let (_, high) = self.client.fetch_watermarks(topic, *partition, FIND)?;
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(topic, *partition, Offset::Offset(high))?;
        self.client.assign(&place)?;
        let before = self.next.replace(high);
        self.suspect = false;
        self.shared.trouble.clear();
        self.shared.placed.store(true, Ordering::Release);
        match before {
            Some(expected) if expected != high => {
                tracing::warn!(%topic, partition, expected, found = high, "records were not read; going on at the end");
                (self.tell)(Tailed::Gap { expected, found: high });
            }
            _ => tracing::info!(%topic, partition, offset = high, "reading from the end"),
        }
        Ok(())
    }

    /// Reads until the place is gone, or there is an end to it all.
    fn read(&mut self) {
        let mut looked = Instant::now();
        while !self.ended() {
            let place = match self.client.poll(TICK) {
                Some(Ok(message)) => {
                    // In two steps: the message borrows the client, and the rest of this is changed.
                    let (next, tell, shared) = (&mut self.next, &mut self.tell, self.shared);
                    take(&message, next, tell, shared);
                    looked = Instant::now();
                    Place::Stands
                }
                Some(Err(error)) => self.complained(&error),
                None => {
                    let pause = if self.shared.trouble.now().is_some() || self.suspect { AMISS } else { QUIET };
                    if looked.elapsed() < pause {
                        continue;
                    }
                    let place = self.probe();
                    looked = Instant::now();
                    place
                }
            };
            if place == Place::Gone {
                self.shared.placed.store(false, Ordering::Release);
                if let Err(error) = self.client.unassign() {
                    self.shared.trouble.note(&self.about(&error));
                }
                return;
            }
        }
    }

    fn complained(&self, error: &KafkaError) -> Place {
        use RDKafkaErrorCode as Code;
        if let Some((_, why)) = self.client.client().fatal_error() {
            self.shared.failure.tell(&format!("reading can not go on: {why}"));
            return Place::Stands;
        }
        match error.rdkafka_error_code() {
            code if is_about_groups(code) => Place::Stands,
            Some(
                Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::UnknownPartition
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition,
            ) => {
                self.shared.trouble.note(&self.about(error));
                Place::Gone
            }
            _ => {
                self.shared.trouble.note(&self.about(error));
                Place::Stands
            }
        }
    }

    /// Looks whether the partition is there and holds the place. No records is what is usual, so nothing
    /// else would tell that a broker has stopped answering, that it is well again, or that a topic of the
    /// same name was made anew and is still shorter.
    fn probe(&mut self) -> Place {
        let TailOptions { topic, partition, .. } = &self.shared.options;
        match self.client.fetch_watermarks(topic, *partition, PROBE) {
            Ok((_, high)) => {
                self.shared.trouble.clear();
                // A new leader may not know yet how far its followers are: seen twice, it is so.
                let shorter = self.next.is_some_and(|next| high < next);
                let seen = core::mem::replace(&mut self.suspect, shorter);
                if shorter && seen { Place::Gone } else { Place::Stands }
            }
            Err(error) => self.complained(&error),
        }
    }
}

fn take(message: &BorrowedMessage<'_>, next: &mut Option<i64>, tell: &mut impl FnMut(Tailed<'_>), shared: &Shared) {
    let offset = message.offset();
    // Fetched for a place that was left since.
    if next.is_some_and(|next| offset < next) {
        return;
    }
    *next = Some(offset + 1);
    shared.trouble.clear();
    let (headers, schema) = headers::read(message);
    let time = match message.timestamp() {
        Timestamp::LogAppendTime(millis) => Some(LogTime::from_millis(millis)),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
    };
    let value = message.payload().unwrap_or_default();
    tell(Tailed::Record(TailRecord { offset, time, value, headers, schema }));
}
