//! The clients: each does one random thing after the other on a kept connection, and writes down
//! what it was told.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use flk_tests::{Client, Pcs, Request, Rng, record::USUAL};

use crate::history::{History, Sent, Told};

pub(crate) const CLIENTS: u64 = 32;

/// What a client may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    /// A good record with an id of its own.
    Good,
    /// An accepted one that a person should see.
    Escalated,
    /// One that is judged and refused.
    Refused,
    /// One of two contents of an id that several clients send at once.
    Shared,
    /// A record that was answered before, once more.
    Retry,
    /// Other content for an id that was settled before.
    Conflict,
    /// A record whose answer never came, perhaps because of a crash.
    Unanswered,
    /// A good record changed after signing.
    Tampered,
    /// No record at all.
    Malformed,
    /// A good record whose verdict is not waited for.
    Async,
}

const DEEDS: [(Deed, u64); 10] = [
    (Deed::Good, 30),
    (Deed::Escalated, 6),
    (Deed::Refused, 6),
    (Deed::Shared, 16),
    (Deed::Retry, 10),
    (Deed::Conflict, 8),
    (Deed::Unanswered, 6),
    (Deed::Tampered, 6),
    (Deed::Malformed, 4),
    (Deed::Async, 8),
];

/// Content that neither side of a shared id has.
fn a_third(pcs: Pcs) -> Pcs {
    pcs.with("r", 0.49995).signed(USUAL)
}

fn choose(rng: &mut Rng) -> Deed {
    let mut left = rng.below(DEEDS.iter().map(|(_, weight)| weight).sum());
    for (deed, weight) in DEEDS {
        if left < weight {
            return deed;
        }
        left -= weight;
    }
    Deed::Good
}

/// What all clients of a round share.
pub(crate) struct Load<'a> {
    to: SocketAddr,
    round: u64,
    history: Mutex<&'a mut History>,
    shared: AtomicU64,
    pub(crate) answers: AtomicU64,
    pub(crate) stop: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(to: SocketAddr, round: u64, history: &'a mut History) -> Self {
        Self {
            to,
            round,
            history: Mutex::new(history),
            shared: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// One client, until the service is gone.
    pub(crate) fn run(&self, client: u64, mut rng: Rng) {
        let mut connection = Client::new(self.to);
        let mut own: Vec<Pcs> = Vec::new();
        let mut n = 0;
        loop {
            n += 1;
            let deed = choose(&mut rng);
            let Some((sent, request)) = self.next(deed, client, n, &own, &mut rng) else { continue };
            let answered = connection.send(&request);
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            let told = match &answered {
                Ok(answer) => history.told(&sent, answer),
                Err(cut) if self.stop.load(Ordering::Relaxed) => {
                    history.unanswered(sent);
                    let _ = cut;
                    return;
                }
                Err(cut) => Err(format!("{deed:?} was cut off while nobody had killed the service: {cut}")),
            };
            drop(history);
            match told {
                Ok(told) => {
                    self.answers.fetch_add(1, Ordering::Relaxed);
                    if told == Told::Settled && own.len() < 200 {
                        own.extend(sent.pcs);
                    }
                }
                Err(why) => {
                    self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                    return;
                }
            }
        }
    }

    fn next(&self, deed: Deed, client: u64, n: u64, own: &[Pcs], rng: &mut Rng) -> Option<(Sent, Request)> {
        let fresh = || Pcs::new(&format!("round-{}-client-{client}", self.round), n as i64);
        let history = || self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let pcs = match deed {
            Deed::Good | Deed::Async => fresh().signed(USUAL),
            Deed::Escalated => fresh().with("regime", "sticky").signed(USUAL),
            Deed::Refused => fresh().with("D_hat", 1.9).signed(USUAL),
            Deed::Tampered => fresh().signed(USUAL).with("budget", 0.3),
            Deed::Malformed => {
                let body = fresh().body();
                let cut = 1 + rng.below(body.len() as u64 - 1) as usize;
                return Some(Sent::of(deed, body[..cut].to_vec(), None));
            }
            Deed::Shared => {
                let id = self.shared.fetch_add(1, Ordering::Relaxed) / 6;
                let pcs = Pcs::new(&format!("round-{}-shared", self.round), id as i64);
                if rng.below(2) == 0 { pcs.signed(USUAL) } else { pcs.otherwise().signed(USUAL) }
            }
            // Of this client, or of anybody in any round.
            Deed::Retry if rng.below(2) == 0 => rng.choose(own)?.clone().retry(),
            Deed::Retry => history().someones(rng)?.retry(),
            Deed::Conflict if rng.below(2) == 0 => a_third(rng.choose(own)?.clone()),
            Deed::Conflict => a_third(history().someones(rng)?),
            Deed::Unanswered => history().take_unanswered(rng)?.retry(),
        };
        Some(Sent::of(deed, pcs.body(), Some(pcs)))
    }

    pub(crate) fn failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The first thing that was not as the contract says, if there was one.
    pub(crate) fn finish(&mut self) {
        if let Some(why) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            panic!("{why}");
        }
    }
}
