//! A pipeline in memory: the contract's own `judge` and `settle` over a map, and knobs for
//! everything that can go wrong behind HTTP.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use flk_contract::{
    Code, Form, Key, Keyring, LogId, LogTime, Origin, Outcome, Position, Settled, Signing, Tenant, Verdict, judge,
    keys::Window,
    settle,
    wire::{RecordBody, ResultBody, State},
};
use flk_ingest::{Away, Pipeline, Submission};
use flk_log::{AppendError, Appended, Decided, NewRecord, Ticket};
use flk_service::health::Check;
use tokio::sync::{oneshot, watch};

/// When the log says what became of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decides {
    /// Together with its place, as the embedded log does.
    AtOnce,
    /// Later, by a reply, as Kafka does.
    Later,
}

/// Where an append fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fails {
    /// The record is not taken.
    AtSubmit,
    /// Its ticket fails.
    AtTicket,
}

pub(crate) struct Memory {
    decides: Decides,
    signing: Signing,
    keys: Keyring,
    /// Open while tickets resolve.
    pub(crate) durable: watch::Sender<bool>,
    /// Open while verdicts are given.
    pub(crate) verdicts: watch::Sender<bool>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    now: i64,
    taken: Vec<NewRecord>,
    decided: Vec<(Origin, Arc<Decided>)>,
    settled: HashMap<(Tenant, String), Arc<Settled>>,
    failing: Option<(AppendError, Fails)>,
    away: Option<Away>,
    verdict: Option<Verdict>,
    settles_after: i64,
    drops_replies: bool,
    pending: bool,
    panics: bool,
    hangs: bool,
    late: bool,
    checks: Vec<Check>,
}

/// 2026-01-01T00:00:00Z
pub(crate) const START: i64 = 1_767_225_600_000;

impl Memory {
    /// HMAC `testsecret` of the tenant `default`, HMAC `other` of `team-a`; decides at once.
    pub(crate) fn new() -> Self {
        let key = |tenant: &str, secret: &str| {
            Key::hmac(None, Tenant::new(tenant).unwrap(), secret.as_bytes(), Window::default()).unwrap()
        };
        Self {
            decides: Decides::AtOnce,
            signing: Signing::Required { hmac: true, ed25519: false, scope: Form::Payload },
            keys: Keyring::new(vec![key("default", "testsecret"), key("team-a", "other")]).unwrap(),
            durable: watch::Sender::new(true),
            verdicts: watch::Sender::new(true),
            inner: Mutex::new(Inner { now: START, ..Inner::default() }),
        }
    }

    pub(crate) fn later() -> Self {
        Self { decides: Decides::Later, ..Self::new() }
    }

    pub(crate) fn unsigned() -> Self {
        Self { signing: Signing::Off, ..Self::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Fails every append from now on.
    pub(crate) fn fail(&self, error: AppendError, fails: Fails) {
        self.inner().failing = Some((error, fails));
    }

    /// Takes the read side away.
    pub(crate) fn go_away(&self, away: Away) {
        self.inner().away = Some(away);
    }

    /// Gives this verdict to every record from now on.
    pub(crate) fn say(&self, verdict: Verdict) {
        self.inner().verdict = Some(verdict);
    }

    /// Lets so much time pass between a record's append and its settlement.
    pub(crate) fn settle_after(&self, millis: i64) {
        self.inner().settles_after = millis;
    }

    /// Loses the replies.
    pub(crate) fn drop_replies(&self) {
        self.inner().drops_replies = true;
    }

    /// Tells every record to be pending.
    pub(crate) fn keep_pending(&self) {
        self.inner().pending = true;
    }

    /// Panics at the next record, once.
    pub(crate) fn panic_once(&self) {
        self.inner().panics = true;
    }

    /// Never answers a reader again.
    pub(crate) fn hang(&self) {
        self.inner().hangs = true;
    }

    /// Says that verdicts come too late.
    pub(crate) fn be_late(&self, late: bool) {
        self.inner().late = late;
    }

    pub(crate) fn set_now(&self, millis: i64) {
        self.inner().now = millis;
    }

    pub(crate) fn check(&self, check: Check) {
        self.inner().checks.push(check);
    }

    async fn reading(&self) {
        let hangs = self.inner().hangs;
        if hangs {
            std::future::pending::<()>().await;
        }
    }

    /// How many were taken in so far.
    pub(crate) fn taken_count(&self) -> usize {
        self.inner().taken.len()
    }

    /// What was taken in so far.
    pub(crate) fn taken(&self) -> Vec<NewRecord> {
        self.inner().taken.clone()
    }
}

impl Inner {
    fn decide(&mut self, memory: &Memory, record: &NewRecord) -> (Origin, Arc<Decided>) {
        let position = Position {
            log: LogId::new("memory"),
            topic: "pcs.raw".into(),
            partition: 0,
            offset: i64::try_from(self.decided.len()).unwrap() + 1,
        };
        let origin = Origin { position, appended_at: LogTime::from_millis(self.now) };
        let verdict = self.verdict.clone().unwrap_or_else(|| {
            judge(&record.body, origin.appended_at, record.tenant.as_deref(), memory.signing, &memory.keys)
        });
        // A copy: what the test looks at is not what the log holds.
        self.taken.push(NewRecord { body: Bytes::copy_from_slice(&record.body), ..record.clone() });
        let (state, code, standing) = self.settle(&verdict, &origin);
        let decided = Arc::new(Decided { verdict, state, code, standing });
        self.decided.push((origin.clone(), decided.clone()));
        (origin, decided)
    }

    fn settle(&mut self, verdict: &Verdict, origin: &Origin) -> (State, Code, Option<Arc<Settled>>) {
        let Some(facts) = verdict.candidate() else { return (State::Refused, verdict.code, None) };
        let id = (facts.tenant.clone(), facts.pcs_id.to_string());
        let stored = self.settled.get(&id).cloned();
        let before = stored.as_ref().map(|stored| (&stored.origin, &stored.facts.content_sha256));
        let settled_at = LogTime::from_millis(origin.appended_at.millis() + self.settles_after);
        match settle(origin, &facts.content_sha256, before, settled_at) {
            Outcome::Settles => {
                let settled = Settled { code: verdict.code, facts: facts.clone(), origin: origin.clone() };
                let settled = Arc::new(settled);
                self.settled.insert(id, settled.clone());
                (State::Settled, verdict.code, Some(settled))
            }
            Outcome::Replay => (State::Settled, verdict.code, stored),
            Outcome::Duplicate => (State::Duplicate, verdict.code, stored),
            Outcome::Conflict => (State::Conflict, Code::Conflict, stored),
            Outcome::TooOld => (State::Refused, Code::TooOld, None),
        }
    }
}

async fn open(gate: &watch::Sender<bool>) {
    let _ = gate.subscribe().wait_for(|open| *open).await;
}

#[async_trait]
impl Pipeline for Memory {
    async fn submit(&self, record: NewRecord) -> Result<Submission, AppendError> {
        let panics = std::mem::take(&mut self.inner().panics);
        assert!(!panics, "a panic that the test asked for");
        let failing = self.inner().failing.clone();
        if let Some((error, Fails::AtSubmit)) = failing {
            return Err(error);
        }
        let (resolver, ticket) = Ticket::new();
        if let Some((error, Fails::AtTicket)) = failing {
            resolver.resolve(Err(error));
            return Ok(Submission { ticket, reply: None });
        }
        let (origin, decided, drops) = {
            let mut inner = self.inner();
            let (origin, decided) = inner.decide(self, &record);
            (origin, decided, inner.drops_replies)
        };
        let (durable, verdicts) = (self.durable.clone(), self.verdicts.clone());
        let (tell, told) = oneshot::channel();
        let at_once = self.decides == Decides::AtOnce;
        tokio::spawn(async move {
            open(&durable).await;
            // As a log does: it holds what it was given until it is written, whoever still waits.
            drop(record);
            let appended = Appended { origin, decided: at_once.then(|| decided.clone()) };
            resolver.resolve(Ok(appended));
            if !drops {
                open(&verdicts).await;
                let _ = tell.send(decided);
            }
        });
        Ok(Submission { ticket, reply: (!at_once).then_some(told) })
    }

    async fn result(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, Away> {
        self.reading().await;
        let inner = self.inner();
        if let Some(away) = &inner.away {
            return Err(away.clone());
        }
        Ok(inner.settled.get(&(tenant.clone(), pcs_id.to_owned())).map(|settled| Settled::clone(settled)))
    }

    async fn record(&self, partition: i32, offset: i64) -> Result<Option<RecordBody>, Away> {
        self.reading().await;
        let inner = self.inner();
        if let Some(away) = &inner.away {
            return Err(away.clone());
        }
        let at = |origin: &Origin| origin.position.partition == partition && origin.position.offset == offset;
        let Some((wal, decided)) = inner.decided.iter().find(|(origin, _)| at(origin)) else { return Ok(None) };
        let wal = wal.clone();
        if inner.pending {
            return Ok(Some(RecordBody { state: State::Pending, code: None, wal, result: None }));
        }
        let result = match &decided.standing {
            Some(standing) => Some(ResultBody::settled(standing)),
            None => ResultBody::refused(&decided.verdict),
        };
        Ok(Some(RecordBody { state: decided.state, code: Some(decided.code), wal, result }))
    }

    fn readiness(&self) -> Vec<Check> {
        self.inner().checks.clone()
    }

    fn are_verdicts_late(&self) -> bool {
        self.inner().late
    }

    fn now(&self) -> LogTime {
        LogTime::from_millis(self.inner().now)
    }
}
