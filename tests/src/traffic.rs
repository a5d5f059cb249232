//! Agents at work: records of every kind, sent until each is told its final answer, whatever happens to the service
//! meanwhile. What was told is kept, and compared: nobody is ever told two results of one id.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Client, Pcs, Request, Response, Rng, record::USUAL};

/// Longer than any fault of these tests lasts.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a record is, and what must become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Settles its id; or is a duplicate of itself, where an answer was lost on the way.
    Good,
    /// As good, and escalated.
    Escalated,
    /// An id that was told its result, once more.
    Retried,
    /// An id that was told its result, with other content.
    Conflicting,
    /// A number that can not be.
    WrongNumber,
    /// Not signed by anybody.
    Forged,
    /// No JSON.
    Malformed,
    /// Good, and produced straight to pcs.raw.
    Straight,
}

impl Kind {
    /// For tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Escalated => "escalated: regime differs",
            Self::Retried => "retried",
            Self::Conflicting => "conflicting",
            Self::WrongNumber => "refused: D_hat is off",
            Self::Forged => "refused: forged",
            Self::Malformed => "refused: malformed",
            Self::Straight => "good, straight to Kafka",
        }
    }

    /// Whether a record of this kind may come to that.
    pub fn may_be(self, state: &str, code: &str) -> bool {
        let first_or_again = matches!(state, "settled" | "duplicate");
        match self {
            Self::Good | Self::Straight => first_or_again && code == "ok",
            Self::Escalated => first_or_again && code == "regime_mismatch",
            Self::Retried => state == "duplicate" && code == "ok",
            Self::Conflicting => state == "conflict",
            Self::WrongNumber => state == "refused" && code == "d_hat_out_of_tolerance",
            Self::Forged => state == "refused" && code == "bad_signature",
            Self::Malformed => state == "refused" && code == "malformed",
        }
    }

    /// Whether an answer is what the contract says. The first attempt may have come through though its answer did not.
    fn is_told(self, answer: &Response) -> bool {
        let flag = |name: &str| answer.field(name) == true;
        let (status, code) = answer.verdict();
        let (status_expected, code_expected) = match self {
            Self::Good | Self::Straight | Self::Retried | Self::Conflicting => (200, "ok"),
            Self::Escalated => (202, "regime_mismatch"),
            Self::WrongNumber => (202, "d_hat_out_of_tolerance"),
            Self::Forged => (401, "bad_signature"),
            Self::Malformed => (400, "malformed"),
        };
        let flags = match self {
            Self::Retried => flag("duplicate") && !flag("conflict"),
            Self::Conflicting => flag("duplicate") && flag("conflict"),
            _ => !flag("conflict"),
        };
        (status, code.as_str()) == (status_expected, code_expected) && flags
    }
}

/// Everything that was sent and told.
#[derive(Debug)]
pub struct Traffic {
    shard: String,
    pause: Duration,
    doors: Mutex<Vec<SocketAddr>>,
    stop: AtomicBool,
    answered: AtomicU64,
    sent_again: AtomicU64,
    sent: Mutex<HashMap<Vec<u8>, Kind>>,
    told: Mutex<BTreeMap<String, Value>>,
    wrong: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Traffic {
    /// To these addresses; of ids that begin with `shard`, in effect.
    pub fn new(shard: &str, doors: Vec<SocketAddr>) -> Self {
        Self {
            shard: shard.to_owned(),
            pause: Duration::ZERO,
            doors: Mutex::new(doors),
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            sent_again: AtomicU64::new(0),
            sent: Mutex::default(),
            told: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// With a pause of each client between two records, so that a long test does not make more of them than
    /// it can look at.
    #[must_use]
    pub fn paced(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// From now on the `n`th address is this one: a process that was started again.
    pub fn moved(&self, n: usize, to: SocketAddr) {
        lock(&self.doors)[n] = to;
    }

    /// How many final answers have come.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// How many submissions had no final answer, and were sent again.
    pub fn sent_again(&self) -> u64 {
        self.sent_again.load(Ordering::Relaxed)
    }

    /// Clients end after the record that they are at.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What the record with this body is.
    pub fn kind_of(&self, body: &[u8]) -> Option<Kind> {
        lock(&self.sent).get(body).copied()
    }

    /// The result of each id that was told, by id.
    pub fn told(&self) -> BTreeMap<String, Value> {
        lock(&self.told).clone()
    }

    /// What was told that must not be, in sentences.
    pub fn wrong(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// One client: sends records of every kind until [`Traffic::stop`], or so many of them.
    pub fn run(&self, client: u64, mut rng: Rng, records: u64) {
        let mut doors = Doors::default();
        let mut settled: Vec<Pcs> = Vec::new();
        for n in 0..records {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if !self.pause.is_zero() {
                std::thread::park_timeout(self.pause);
            }
            let fresh = Pcs::new(&self.shard, i64::try_from(client * 1_000_000 + n).unwrap());
            let (kind, pcs) = match rng.below(16) {
                0 if !settled.is_empty() => {
                    let again = settled[rng.below(settled.len() as u64) as usize].clone();
                    (Kind::Retried, again.with("attempt", n + 2).with("sent_at", format!("client {client}, {n}")))
                }
                1 if !settled.is_empty() => {
                    let again = settled[rng.below(settled.len() as u64) as usize].clone();
                    (Kind::Conflicting, again.otherwise().with("attempt", n + 2).signed(USUAL))
                }
                2 => (Kind::Escalated, fresh.with("regime", "sticky").signed(USUAL)),
                3 => (Kind::WrongNumber, fresh.with("D_hat", 1.9).signed(USUAL)),
                4 => (Kind::Forged, fresh),
                5 => {
                    let body = format!("{{ client {client}, {n}").into_bytes();
                    self.deliver(&mut doors, client, Kind::Malformed, &body);
                    continue;
                }
                _ => (Kind::Good, fresh.signed(USUAL)),
            };
            self.deliver(&mut doors, client, kind, &pcs.body());
            if kind == Kind::Good {
                settled.push(pcs);
            }
        }
    }

    /// A record that is sent another way, and is to be known for what it is.
    pub fn known(&self, kind: Kind, body: &[u8]) {
        lock(&self.sent).insert(body.to_owned(), kind);
    }

    /// Sends a record until it is told its final answer.
    fn deliver(&self, doors: &mut Doors, client: u64, kind: Kind, body: &[u8]) {
        self.known(kind, body);
        let deadline = Instant::now() + PATIENCE;
        let mut attempt = client;
        loop {
            let door = {
                let doors = lock(&self.doors);
                doors[(attempt % doors.len() as u64) as usize]
            };
            match doors.to(door).send(&Request::submit(body)) {
                Ok(answer) if answer.status < 429 => {
                    self.note(kind, &answer);
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Ok(answer) if answer.status == 503 || answer.status == 429 => {}
                Ok(answer) => lock(&self.wrong).push(format!("{}: {answer}", kind.label())),
                Err(_) => {}
            }
            if Instant::now() > deadline {
                lock(&self.wrong).push(format!("{}: no final answer within {PATIENCE:?}", kind.label()));
                return;
            }
            self.sent_again.fetch_add(1, Ordering::Relaxed);
            attempt += 1;
            // Sooner than the answer asks for: the faults of a test are short.
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn note(&self, kind: Kind, answer: &Response) {
        if !kind.is_told(answer) {
            lock(&self.wrong).push(format!("{} was told {answer}", kind.label()));
            return;
        }
        if answer.field("origin").is_null() {
            return;
        }
        let mut result = answer.json();
        for own in ["duplicate", "conflict", "wal"] {
            result.as_object_mut().map(|fields| fields.remove(own));
        }
        let id = result["pcs_id"].as_str().unwrap_or_default().to_owned();
        let first = lock(&self.told).entry(id.clone()).or_insert_with(|| result.clone()).clone();
        if first != result {
            lock(&self.wrong).push(format!("{id} was told two results: {first} and {result}"));
        }
    }
}

/// A client's connections.
#[derive(Debug, Default)]
struct Doors(HashMap<SocketAddr, Client>);

impl Doors {
    fn to(&mut self, door: SocketAddr) -> &mut Client {
        self.0.entry(door).or_insert_with(|| Client::new(door))
    }
}
