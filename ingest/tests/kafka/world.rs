//! A router, and everything around it that a test plays.

use core::{
    fmt::Debug,
    num::NonZeroU32,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use bytes::Bytes;
use flk_contract::{
    Code, Form, Key, Keyring, LogTime, Origin, Outcome, Position, Settled, Signing, Tenant, Verdict, keys::Window,
    limits::WINDOW, partition, settle, wire::State,
};
use flk_ingest::{
    Pipeline as _, Submission,
    router::{Answered, KafkaPipeline, Options, Parts, Source, Watch},
};
use flk_log::{
    AppendError, Clock, Decided, Log as _, NewRecord, SystemClock,
    kafka::{
        Admin, Connection, KafkaLog, LogOptions, Outgoing, Producer, ProducerOptions, Tail, TailOptions, Tailed, Topics,
    },
    topic::{Headers, Reply, ReplyId, Topic},
};
use flk_results::{
    Entry,
    read_side::{Batch, ReadSide as _, RedisReadSide, RedisSettings, Subject},
};
use flk_verifier::Verifier;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Longest that anything here may take.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Partitions of each topic.
pub(crate) const PARTITIONS: u32 = 2;

/// Looks until something is found.
pub(crate) async fn until<T, S: Debug>(claim: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < deadline, "{claim}: {seen:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What comes in time.
pub(crate) async fn within<T>(claim: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("not in time: {claim}"))
}

/// What the router let be seen.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    replies: HashMap<Answered, usize>,
    verdicts: HashMap<Source, usize>,
    undecodable: usize,
    looks: usize,
    gaps: usize,
    read_errors: usize,
    waiting: usize,
}

impl Seen {
    pub(crate) fn replies(&self, answered: Answered) -> usize {
        self.0.lock().unwrap().replies.get(&answered).copied().unwrap_or(0)
    }

    pub(crate) fn verdicts(&self, source: Source) -> usize {
        self.0.lock().unwrap().verdicts.get(&source).copied().unwrap_or(0)
    }

    pub(crate) fn undecodable(&self) -> usize {
        self.0.lock().unwrap().undecodable
    }

    pub(crate) fn looks(&self) -> usize {
        self.0.lock().unwrap().looks
    }

    pub(crate) fn read_errors(&self) -> usize {
        self.0.lock().unwrap().read_errors
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().unwrap().waiting
    }
}

impl Watch for Seen {
    fn on_reply(&self, answered: Answered) {
        *self.0.lock().unwrap().replies.entry(answered).or_default() += 1;
    }

    fn on_undecodable(&self) {
        self.0.lock().unwrap().undecodable += 1;
    }

    fn on_gap(&self, _expected: i64, _found: i64) {
        self.0.lock().unwrap().gaps += 1;
    }

    fn on_verdict(&self, source: Source, _took: Duration) {
        *self.0.lock().unwrap().verdicts.entry(source).or_default() += 1;
    }

    fn on_look(&self) {
        self.0.lock().unwrap().looks += 1;
    }

    fn on_waiters(&self, waiting: usize) {
        self.0.lock().unwrap().waiting = waiting;
    }

    fn on_read_error(&self) {
        self.0.lock().unwrap().read_errors += 1;
    }
}

/// The machine's clock, set forward by hand.
#[derive(Default)]
pub(crate) struct Ahead(AtomicI64);

impl Ahead {
    pub(crate) fn by(&self, span: Duration) {
        self.0.store(i64::try_from(span.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Ahead {
    fn now(&self) -> LogTime {
        LogTime::from_millis(SystemClock.now().millis() + self.0.load(Ordering::Relaxed))
    }
}

/// A record of pcs.raw, as a verifier gets it.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) origin: Origin,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) fn reply_id(&self) -> ReplyId {
        self.headers.reply.unwrap().id
    }
}

/// How a world is made.
pub(crate) struct Setup {
    /// To Kafka: for topics, for what the test does, for answers.
    pub(crate) connection: Connection,
    /// To Kafka, for the log; as `connection` where it is not said.
    pub(crate) log: Option<Connection>,
    pub(crate) redis: String,
    pub(crate) options: Options,
    pub(crate) producer: ProducerOptions,
}

impl Setup {
    /// With the shared servers and names of its own.
    pub(crate) fn shared(name: &str) -> Self {
        let prefix = flk_servers::unique(name) + ".";
        Self::on(Connection::plain(&flk_servers::shared::kafka().unwrap(), &prefix).unwrap())
    }

    /// On a Kafka of its own.
    pub(crate) fn on(connection: Connection) -> Self {
        // Whoever does not ask for it waits for his answer only.
        let options = Options { partition: Some(1), read_back: SOON, ..Options::default() };
        let redis = flk_servers::shared::redis().unwrap();
        Self { connection, log: None, redis, options, producer: ProducerOptions::default() }
    }

    /// Looks for results soon.
    pub(crate) fn reading_back(mut self) -> Self {
        self.options.read_back = Duration::from_millis(50);
        self
    }

    pub(crate) async fn start(self) -> World {
        World::start(self).await
    }
}

pub(crate) struct World {
    pub(crate) connection: Connection,
    pub(crate) topics: Topics,
    pub(crate) log: Arc<KafkaLog>,
    pub(crate) read_side: Arc<RedisReadSide>,
    pub(crate) router: Arc<KafkaPipeline>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) clock: Arc<Ahead>,
    pub(crate) verifier: Verifier,
    pub(crate) producer: Producer,
    raws: mpsc::UnboundedReceiver<Raw>,
    /// The next offset of each partition of pcs.verified, as far as the read side is told.
    next: HashMap<u32, i64>,
    draining: CancellationToken,
    running: JoinHandle<Result<(), String>>,
    _tails: Vec<Tail>,
}

impl World {
    async fn start(setup: Setup) -> Self {
        let Setup { connection, log, redis, options, producer } = setup;
        let count = NonZeroU32::new(PARTITIONS).unwrap();
        let topics = Topics::single(&connection, count);
        let applied = topics.apply(&Admin::new(&connection).unwrap()).await.unwrap();
        assert_eq!(applied.left, [], "{applied:?}");
        let log_options = LogOptions { producer, read: Duration::from_secs(5), ..LogOptions::default() };
        let log = KafkaLog::open(log.as_ref().unwrap_or(&connection), &topics, &log_options, SOON).await.unwrap();
        let log = Arc::new(log);
        let topic = topics.names.of(Topic::Raw).clone();
        let subject = Subject { log: log.id().clone(), topic: topic.clone(), partitions: count, keep: WINDOW };
        let settings = RedisSettings { prefix: flk_servers::unique("router"), ..RedisSettings::new(redis) };
        let read_side = Arc::new(RedisReadSide::new(subject, &settings).unwrap());
        let key = Key::hmac(None, Tenant::default_tenant(), b"testsecret", Window::default()).unwrap();
        let signing = Signing::Required { hmac: true, ed25519: false, scope: Form::Payload };
        let verifier = Verifier::new(signing, Arc::new(Keyring::new(vec![key]).unwrap()));
        let (seen, clock) = (Arc::new(Seen::default()), Arc::new(Ahead::default()));
        let parts = Parts {
            connection: &connection,
            topics: &topics,
            log: log.clone(),
            read_side: read_side.clone(),
            verifier: verifier.clone(),
            clock: clock.clone(),
            watch: seen.clone(),
        };
        let router = Arc::new(KafkaPipeline::start(parts, options).unwrap());
        let draining = CancellationToken::new();
        let running = {
            let (router, draining) = (router.clone(), draining.clone());
            tokio::spawn(async move { router.run(draining).await })
        };
        let (tell, raws) = mpsc::unbounded_channel();
        let tails = (0..i32::try_from(PARTITIONS).unwrap()).map(|partition| {
            let (tell, id, topic) = (tell.clone(), log.id().clone(), topic.clone());
            let each = move |tailed: Tailed<'_>| {
                let Tailed::Record(record) = tailed else { return };
                let position = Position { log: id.clone(), topic: topic.clone(), partition, offset: record.offset };
                let origin = Origin { position, appended_at: record.time.unwrap() };
                let _ = tell.send(Raw { origin, headers: record.headers, body: record.value.to_vec() });
            };
            Tail::start(&connection, TailOptions::new(topics.names.of(Topic::Raw), partition), each).unwrap()
        });
        let tails: Vec<_> = tails.collect();
        for tail in &tails {
            until("pcs.raw is read", async || tail.health()).await;
        }
        let producer = Producer::new(&connection, &ProducerOptions::default()).unwrap();
        let world = Self {
            connection,
            topics,
            log,
            read_side,
            router,
            seen,
            clock,
            verifier,
            producer,
            raws,
            next: HashMap::new(),
            draining,
            running,
            _tails: tails,
        };
        world.is_ready().await;
        world
    }

    pub(crate) async fn is_ready(&self) {
        until("the router is ready", async || {
            let checks = self.router.readiness();
            if checks.iter().all(|check| check.ok) { Ok(()) } else { Err(checks) }
        })
        .await;
    }

    pub(crate) async fn submit(&self, body: &str) -> Result<Submission, AppendError> {
        let record = NewRecord { body: Bytes::copy_from_slice(body.as_bytes()), ..NewRecord::default() };
        self.router.submit(record).await
    }

    /// Submits, and waits until the record is durable and here.
    pub(crate) async fn submitted(&mut self, body: &str) -> (Waiting, Raw) {
        let submission = self.submit(body).await.unwrap();
        let appended = within("it is durable", submission.ticket.durable()).await.unwrap();
        let raw = self.raw().await;
        assert_eq!((&raw.origin, raw.body.as_slice()), (&appended.origin, body.as_bytes()));
        (Waiting { reply: submission.reply.unwrap() }, raw)
    }

    /// The next record of pcs.raw.
    pub(crate) async fn raw(&mut self) -> Raw {
        within("a record is in pcs.raw", self.raws.recv()).await.unwrap()
    }

    /// What a record is that nobody else's result stands before.
    pub(crate) fn settles(&self, raw: &Raw) -> Settled {
        let verdict = self.judge(raw);
        let facts = verdict.candidate().cloned().unwrap();
        Settled { code: verdict.code, facts, origin: raw.origin.clone() }
    }

    pub(crate) fn judge(&self, raw: &Raw) -> Verdict {
        self.verifier.judge(&raw.body, raw.origin.appended_at, raw.headers.tenant.as_deref())
    }

    /// What a record came to, against what was settled before.
    pub(crate) fn decide(&self, raw: &Raw, stored: Option<&Settled>) -> Decided {
        let verdict = self.judge(raw);
        let Some(facts) = verdict.candidate() else {
            let code = verdict.code;
            return Decided { verdict, state: State::Refused, code, standing: None };
        };
        let before = stored.map(|stored| (&stored.origin, &stored.facts.content_sha256));
        let standing = |settled: &Settled| Some(Arc::new(settled.clone()));
        let (state, code, standing) = match settle(&raw.origin, &facts.content_sha256, before, raw.origin.appended_at) {
            Outcome::Settles => (State::Settled, verdict.code, standing(&self.settles(raw))),
            Outcome::Replay => (State::Settled, verdict.code, stored.and_then(standing)),
            Outcome::Duplicate => (State::Duplicate, verdict.code, stored.and_then(standing)),
            Outcome::Conflict => (State::Conflict, Code::Conflict, stored.and_then(standing)),
            Outcome::TooOld => panic!("it reaches settlement at once"),
        };
        Decided { verdict, state, code, standing }
    }

    /// Answers, in the name of the record at `at`.
    pub(crate) async fn answer(&self, reply_id: ReplyId, at: &Origin, decided: &Decided) {
        let value = Reply::encode(decided, at, reply_id).unwrap();
        self.produce(Topic::Replies, self.router.partition(), Topic::Replies.schema(), &value).await;
    }

    pub(crate) async fn produce(&self, topic: Topic, partition: i32, schema: &str, value: &[u8]) {
        let outgoing = Outgoing { topic: self.topics.names.of(topic), partition: Some(partition), key: None, value };
        let delivery = self.producer.produce(outgoing, [("schema", schema.as_bytes())]).unwrap();
        within("it is produced", delivery).await.unwrap();
    }

    /// The partition of an id in pcs.verified.
    pub(crate) fn partition_of(settled: &Settled) -> u32 {
        partition(&settled.facts.tenant, &settled.facts.pcs_id, NonZeroU32::new(PARTITIONS).unwrap())
    }

    /// Publishes a result to the read side, as a sink that has come so far.
    pub(crate) async fn publish(&mut self, settled: &Settled) {
        let partition = Self::partition_of(settled);
        let from = self.next.get(&partition).copied().unwrap_or(0);
        let entries = [Entry { offset: from, settled: settled.clone() }];
        let batch = Batch { partition, from, to: from + 1, end: from + 1, entries: &entries };
        let published = self.read_side.publish(&batch).await.unwrap();
        assert!(published.next == from + 1 && published.ready, "{published:?}");
        self.next.insert(partition, from + 1);
    }

    /// Says to the read side how far each partition is known.
    pub(crate) async fn mark(&self, further: i64) {
        for partition in 0..PARTITIONS {
            let from = self.next.get(&partition).copied().unwrap_or(0);
            let batch = Batch { partition, from, to: from, end: from + further, entries: &[] };
            self.read_side.publish(&batch).await.unwrap();
        }
    }

    /// Answers every record from now on, as verifiers and sinks do.
    pub(crate) fn settle_all(self: &Arc<Self>, mut raws: mpsc::UnboundedReceiver<Raw>) -> JoinHandle<()> {
        let world = self.clone();
        tokio::spawn(async move {
            let mut settled: HashMap<String, Settled> = HashMap::new();
            while let Some(raw) = raws.recv().await {
                let id = world.judge(&raw).candidate().map(|facts| facts.pcs_id.to_string());
                let decided = world.decide(&raw, id.as_ref().and_then(|id| settled.get(id)));
                if let (Some(id), Some(standing), State::Settled) = (id, &decided.standing, decided.state) {
                    settled.insert(id, Settled::clone(standing));
                }
                let Some(reply) = raw.headers.reply else { continue };
                let value = Reply::encode(&decided, &raw.origin, reply.id).unwrap();
                let topic = world.topics.names.of(Topic::Replies);
                let outgoing = Outgoing { topic, partition: Some(reply.partition), key: None, value: &value };
                // Fire and forget, as the sink does.
                let schema = Topic::Replies.schema().as_bytes();
                drop(world.producer.produce(outgoing, [("schema", schema)]).unwrap());
            }
        })
    }

    /// Takes what comes in pcs.raw out of the world's hands.
    pub(crate) fn take_raws(&mut self) -> mpsc::UnboundedReceiver<Raw> {
        let (_, none) = mpsc::unbounded_channel();
        core::mem::replace(&mut self.raws, none)
    }

    /// Ends the role.
    pub(crate) async fn stop(self) -> Result<(), String> {
        self.draining.cancel();
        within("the role ends", self.running).await.unwrap()
    }
}

/// A client that waits.
pub(crate) struct Waiting {
    reply: tokio::sync::oneshot::Receiver<Arc<Decided>>,
}

impl Waiting {
    pub(crate) async fn told(self) -> Arc<Decided> {
        within("it is told", self.reply).await.unwrap()
    }

    /// Nothing was told up to now.
    #[track_caller]
    pub(crate) fn hears_nothing(&mut self) {
        let told = self.reply.try_recv();
        assert!(matches!(told, Err(tokio::sync::oneshot::error::TryRecvError::Empty)), "{told:?}");
    }
}
