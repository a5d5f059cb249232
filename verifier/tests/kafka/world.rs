//! Topics, roles and producers, and the audit: every record of pcs.raw has its outcome, and only that.

use core::{fmt::Debug, num::NonZeroU32, time::Duration};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use flk_contract::{
    Code, Form, Key, Keyring, LogId, Origin, Position, Settled, Signing, Tenant, Verdict, keys::Window, wire::State,
};
use flk_log::{
    Decided, SystemClock,
    kafka::{
        Admin, AskError, Connection, ConsumerOptions, Outgoing, Placed, Producer, ProducerOptions, Scan, Scanned,
        Topics,
    },
    topic::{Refused, Topic, Verified},
};
use flk_verifier::{
    Verifier,
    role::{GROUP, Options, Parts, VerifierRole, Watch},
};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::vectors;

/// Longest that anything here may take.
pub(crate) const SOON: Duration = Duration::from_secs(60);

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

/// Waits until something is so.
pub(crate) async fn until_so(claim: &str, is: impl Fn() -> bool) {
    until(claim, async || if is() { Ok(()) } else { Err("not yet") }).await;
}

/// What comes in time.
pub(crate) async fn within<T>(claim: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("not in time: {claim}"))
}

/// What the role let be seen.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    judged: HashMap<Code, usize>,
    produced: HashMap<Topic, usize>,
    retried: HashMap<Topic, usize>,
    timeless: usize,
    gaps: usize,
    panics_at: Option<usize>,
}

impl Seen {
    pub(crate) fn judged(&self) -> usize {
        self.0.lock().unwrap().judged.values().sum()
    }

    pub(crate) fn judged_as(&self, code: Code) -> usize {
        self.0.lock().unwrap().judged.get(&code).copied().unwrap_or(0)
    }

    pub(crate) fn produced(&self) -> usize {
        self.0.lock().unwrap().produced.values().sum()
    }

    pub(crate) fn retried(&self, topic: Topic) -> usize {
        self.0.lock().unwrap().retried.get(&topic).copied().unwrap_or(0)
    }

    pub(crate) fn timeless(&self) -> usize {
        self.0.lock().unwrap().timeless
    }

    pub(crate) fn gaps(&self) -> usize {
        self.0.lock().unwrap().gaps
    }

    /// Whoever is told of the n-th record that was judged panics.
    pub(crate) fn panic_at(&self, n: usize) {
        self.0.lock().unwrap().panics_at = Some(n);
    }
}

impl Watch for Seen {
    fn on_judged(&self, code: Code, _: Option<&Tenant>, _took: Duration) {
        let panics = {
            let mut counts = self.0.lock().unwrap();
            *counts.judged.entry(code).or_default() += 1;
            counts.panics_at.is_some_and(|at| counts.judged.values().sum::<usize>() == at)
        };
        assert!(!panics, "a fault of ours, on purpose");
    }

    fn on_produced(&self, topic: Topic) {
        *self.0.lock().unwrap().produced.entry(topic).or_default() += 1;
    }

    fn on_retry(&self, topic: Topic) {
        *self.0.lock().unwrap().retried.entry(topic).or_default() += 1;
    }

    fn on_gap(&self, _partition: i32, _expected: i64, _found: i64) {
        self.0.lock().unwrap().gaps += 1;
    }

    fn on_timeless(&self, _partition: i32) {
        self.0.lock().unwrap().timeless += 1;
    }
}

/// A role that runs.
pub(crate) struct Running {
    pub(crate) role: Arc<VerifierRole>,
    pub(crate) seen: Arc<Seen>,
    draining: CancellationToken,
    running: JoinHandle<Result<(), String>>,
}

impl Running {
    pub(crate) fn failing(&self) -> Vec<String> {
        let checks = self.role.readiness();
        checks.iter().filter(|check| !check.ok).map(|check| format!("{check:?}")).collect()
    }

    pub(crate) async fn is_ready(&self) {
        until("the role is ready", async || {
            let failing = self.failing();
            if failing.is_empty() { Ok(()) } else { Err(failing) }
        })
        .await;
    }

    /// Told to end, it ends.
    pub(crate) async fn drain(self) -> Result<(), String> {
        self.draining.cancel();
        self.ended().await
    }

    /// It ends by itself.
    pub(crate) async fn ended(self) -> Result<(), String> {
        within("the role ends", self.running).await.unwrap()
    }

    /// Dropped where it is.
    pub(crate) async fn crash(self) {
        self.running.abort();
        assert!(within("it is gone", self.running).await.unwrap_err().is_cancelled());
        let role = Arc::into_inner(self.role).unwrap();
        tokio::task::spawn_blocking(move || drop(role)).await.unwrap();
    }
}

pub(crate) struct World {
    pub(crate) connection: Connection,
    pub(crate) topics: Topics,
    pub(crate) log: LogId,
    pub(crate) verifier: Verifier,
    pub(crate) producer: Producer,
    next: AtomicI64,
}

/// With the key of the vectors.
pub(crate) fn signed() -> Verifier {
    let key = |secret: &String| Key::hmac(None, Tenant::default_tenant(), secret.as_bytes(), Window::default());
    let keys = vectors::verdicts().hmac_keys.iter().map(|secret| key(secret).unwrap()).collect();
    let signing = Signing::Required { hmac: true, ed25519: false, scope: Form::Payload };
    Verifier::new(signing, Arc::new(Keyring::new(keys).unwrap()))
}

/// Without signatures.
pub(crate) fn unsigned() -> Verifier {
    Verifier::new(Signing::Off, Arc::new(Keyring::new(Vec::new()).unwrap()))
}

impl World {
    /// On the shared broker, with topics that no other test has.
    pub(crate) async fn shared(name: &str, partitions: u32, verifier: Verifier) -> Self {
        let prefix = flk_servers::unique(name) + ".";
        Self::on(Connection::plain(&flk_servers::shared::kafka().unwrap(), &prefix).unwrap(), partitions, verifier)
            .await
    }

    pub(crate) async fn on(connection: Connection, partitions: u32, verifier: Verifier) -> Self {
        let topics = Topics::single(&connection, NonZeroU32::new(partitions).unwrap());
        let admin = Admin::new(&connection).unwrap();
        let applied = topics.apply(&admin).await.unwrap();
        assert_eq!(applied.left, [], "{applied:?}");
        let log = admin.cluster_id(SOON).await.unwrap();
        let options = ProducerOptions { timeout: Duration::from_secs(5), ..ProducerOptions::default() };
        let producer = Producer::new(&connection, &options).unwrap();
        Self { connection, topics, log, verifier, producer, next: AtomicI64::new(0) }
    }

    /// Quick to join, and to commit.
    pub(crate) fn options(&self) -> Options {
        let mut member = ConsumerOptions::new(self.connection.group(GROUP), self.topics.names.of(Topic::Raw));
        member.session = Duration::from_secs(6);
        member.commit = Duration::from_millis(50);
        member.fetch_wait = Duration::from_millis(10);
        let producer = ProducerOptions { timeout: Duration::from_secs(3), ..ProducerOptions::default() };
        Options { consumer: Some(member), producer, ..Options::default() }
    }

    pub(crate) fn role(&self) -> Running {
        self.role_with(&self.connection, &self.topics, self.options())
    }

    pub(crate) fn role_with(&self, connection: &Connection, topics: &Topics, options: Options) -> Running {
        let seen = Arc::new(Seen::default());
        let parts = Parts {
            connection,
            topics,
            log: self.log.clone(),
            verifier: self.verifier.clone(),
            clock: Arc::new(SystemClock),
            watch: seen.clone(),
        };
        let role = Arc::new(VerifierRole::start(parts, options).unwrap());
        let draining = CancellationToken::new();
        let running = {
            let (role, draining) = (role.clone(), draining.clone());
            tokio::spawn(async move { role.run(draining).await })
        };
        Running { role, seen, draining, running }
    }

    /// Produces to pcs.raw as any client does.
    pub(crate) async fn produce(
        &self,
        partition: i32,
        key: Option<&[u8]>,
        headers: &[(&str, &[u8])],
        value: &[u8],
    ) -> Placed {
        let topic = self.topics.names.of(Topic::Raw);
        let outgoing = Outgoing { topic, partition: Some(partition), key, value };
        let delivery = self.producer.produce(outgoing, headers.iter().copied()).unwrap();
        within("it is produced", delivery).await.unwrap()
    }

    /// Produces so many bodies of their own, over all partitions; where they are that were acknowledged.
    pub(crate) async fn fill(&self, count: usize) -> Vec<(i32, i64)> {
        let partitions = i64::from(self.topics.raw_partitions.get());
        let mut deliveries = Vec::new();
        for _ in 0..count {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let partition = Some(i32::try_from(n % partitions).unwrap());
            let (topic, value) = (self.topics.names.of(Topic::Raw), vectors::nth(n));
            let outgoing = Outgoing { topic, partition, key: None, value: &value };
            // What finds no room was not sent.
            deliveries.extend(self.producer.produce(outgoing, core::iter::empty::<(&str, &[u8])>()));
        }
        let mut placed = Vec::new();
        for delivery in deliveries {
            placed.extend(within("it has an outcome", delivery).await.map(|placed| (placed.partition, placed.offset)));
        }
        placed
    }

    /// Produces some hundreds a second until it is stopped.
    pub(crate) fn load(self: &Arc<Self>) -> Load {
        let (world, stop) = (self.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let sent = tokio::spawn(async move {
            let mut sent = Vec::new();
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while !stopped.is_cancelled() {
                pace.tick().await;
                sent.extend(world.fill(12).await);
            }
            sent
        });
        Load { stop, sent }
    }

    /// Everything that a topic holds, by partition.
    pub(crate) async fn read(&self, topic: Topic) -> Vec<(i32, Scanned)> {
        let count = i32::try_from(self.topics.partitions_of(topic).get()).unwrap();
        let scans: Vec<_> = (0..count)
            .map(|partition| {
                let (connection, name) = (self.connection.clone(), self.topics.names.of(topic).clone());
                let scan = async move || {
                    let (connection, name) = (connection.clone(), name.clone());
                    tokio::task::spawn_blocking(move || scan(&connection, &name, partition)).await.unwrap()
                };
                // A broker that has just come back may not lead yet.
                tokio::spawn(async move { until("a partition is read", scan).await })
            })
            .collect();
        let mut all = Vec::new();
        for scan in scans {
            all.extend(scan.await.unwrap());
        }
        all
    }

    /// What became of what, by its place in pcs.raw: as far as it did.
    pub(crate) async fn outcomes(&self) -> BTreeMap<(i32, i64), Vec<Outcome>> {
        let mut outcomes: BTreeMap<_, Vec<Outcome>> = BTreeMap::new();
        for topic in [Topic::Verified, Topic::Refused] {
            for (partition, record) in self.read(topic).await {
                let value: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
                let origin = &value["origin"];
                assert_eq!(origin["topic"], *self.topics.names.of(Topic::Raw).as_ref());
                let at = i32::try_from(origin["partition"].as_i64().unwrap()).unwrap();
                let outcome = Outcome { topic, partition, record };
                outcomes.entry((at, origin["offset"].as_i64().unwrap())).or_default().push(outcome);
            }
        }
        outcomes
    }

    /// Waits until every record of pcs.raw has an outcome; then each of them is the one that its verdict
    /// makes. How often each record has one.
    pub(crate) async fn is_complete(&self, sent: &[(i32, i64)]) -> BTreeMap<(i32, i64), usize> {
        let (raw, outcomes) = until("every record has its outcome", async || {
            let raw = self.read(Topic::Raw).await;
            let outcomes = self.outcomes().await;
            let is_missing = |(at, record): &&(i32, Scanned)| !outcomes.contains_key(&(*at, record.offset));
            let missing = raw.iter().filter(is_missing).count();
            // Nothing is told of what is not there.
            let told = outcomes.len();
            if missing == 0 && told == raw.len() { Ok((raw, outcomes)) } else { Err((raw.len(), told, missing)) }
        })
        .await;
        let there: BTreeMap<_, _> = raw.iter().map(|(at, record)| ((*at, record.offset), record)).collect();
        for place in sent {
            assert!(there.contains_key(place), "{place:?} was acknowledged, and is not there");
        }
        for (place, record) in there {
            outcomes[&place].iter().for_each(|outcome| self.check(place, record, outcome));
        }
        outcomes.into_iter().map(|(place, outcomes)| (place, outcomes.len())).collect()
    }

    /// Where a record is, and when it came there.
    pub(crate) fn origin(&self, (partition, offset): (i32, i64), record: &Scanned) -> Option<Origin> {
        let (log, topic) = (self.log.clone(), self.topics.names.of(Topic::Raw).clone());
        Some(Origin { position: Position { log, topic, partition, offset }, appended_at: record.time? })
    }

    pub(crate) fn judge(&self, record: &Scanned) -> Option<Verdict> {
        let body = record.value.as_deref().unwrap_or_default();
        Some(self.verifier.judge(body, record.time?, record.headers.tenant.as_deref()))
    }

    /// That an outcome is the one of this record.
    fn check(&self, place: (i32, i64), record: &Scanned, outcome: &Outcome) {
        let Outcome { topic, partition, record: found } = outcome;
        let value = found.value.as_deref().unwrap();
        assert_eq!(found.schema.as_deref(), Some(topic.schema().as_bytes()), "{place:?}");
        let (mut headers, mut carried) = (found.headers.clone(), record.headers.clone());
        carried.tenant = None;
        if *topic == Topic::Refused {
            (headers.reply, carried.reply) = (None, None);
        }
        assert_eq!(headers, carried, "{place:?}");
        let (Some(verdict), Some(origin)) = (self.judge(record), self.origin(place, record)) else {
            let refused = Refused::decode(found.schema.as_deref(), value).unwrap();
            assert_eq!((refused.code, refused.pcs_id), (Code::Internal, None), "{place:?}: it has no time");
            return;
        };
        if let Some(facts) = verdict.candidate() {
            assert_eq!(*topic, Topic::Verified, "{place:?}");
            let settled = Settled { code: verdict.code, facts: facts.clone(), origin };
            assert_eq!(value, Verified::encode(&settled).unwrap(), "{place:?}");
            let own = flk_contract::partition(&facts.tenant, &facts.pcs_id, self.topics.partitions);
            assert_eq!(u32::try_from(*partition).unwrap(), own, "{place:?}");
            let key = format!("{}/{}", facts.tenant, facts.pcs_id);
            assert_eq!(found.key.as_deref(), Some(key.as_bytes()), "{place:?}");
        } else {
            assert_eq!(*topic, Topic::Refused, "{place:?}");
            let code = verdict.code;
            let decided = Decided { verdict, state: State::Refused, code, standing: None };
            let refused = Refused::of(&decided, &origin, Some(record.value.as_deref().unwrap_or_default())).unwrap();
            assert_eq!(value, refused.encode().unwrap(), "{place:?}");
            assert_eq!(found.key, None, "{place:?}");
        }
    }
}

fn scan(connection: &Connection, topic: &Arc<str>, partition: i32) -> Result<Vec<(i32, Scanned)>, AskError> {
    let mut scan = Scan::open(connection, topic, partition, 0)?;
    let mut all = Vec::new();
    loop {
        let some = scan.read(10_000, Duration::from_secs(5))?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some.into_iter().map(|record| (partition, record)));
    }
}

/// What became of a record, as it is on a topic.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) topic: Topic,
    pub(crate) partition: i32,
    pub(crate) record: Scanned,
}

/// Records that come all the time.
pub(crate) struct Load {
    stop: CancellationToken,
    sent: JoinHandle<Vec<(i32, i64)>>,
}

impl Load {
    /// Where those are that were acknowledged.
    pub(crate) async fn stop(self) -> Vec<(i32, i64)> {
        self.stop.cancel();
        within("the load stops", self.sent).await.unwrap()
    }
}
