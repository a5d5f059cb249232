//! Logs of our making: records as agents send them, judged and settled as a service does, at times
//! that are set by hand.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use flk::embedded::Deciding;
use flk_contract::{
    Key, Keyring, LogTime, Origin, Record, Settled, Signing, Tenant,
    keys::Window,
    pcs_id,
    signature::{HmacForm, Signed, sign_hmac},
};
use flk_log::{
    Append, Clock, Decide, Decided, Log as _, NewRecord, SystemClock,
    embedded::{EmbeddedLog, OpenError, Options},
    watch::Unwatched,
};
use flk_results::{MemoryIndex, Place};
use flk_service::Metrics;
use flk_verifier::Verifier;
use serde_json::{Value, json};

pub(crate) const DAY: i64 = 24 * 60 * 60 * 1000;
/// The secret that records are signed with, unless said otherwise.
pub(crate) const SECRET: &str = "testsecret";

pub(crate) fn now() -> i64 {
    SystemClock.now().millis()
}

/// A record to be, right in everything until it is changed.
#[derive(Clone)]
pub(crate) struct Pcs {
    shard: String,
    epoch: u64,
    fields: Value,
    secret: String,
}

impl Pcs {
    pub(crate) fn new(shard: &str, epoch: u64) -> Self {
        let scales = [1, 2, 4, 8];
        let fields = json!({
            "schema": "fractal-lba-kakeya", "version": "0.1", "shard_id": shard, "epoch": epoch,
            "scales": scales, "N_j": {"1": 1, "2": 2, "4": 4, "8": 8},
            "coh_star": 0.5, "D_hat": 1.0, "r": 0.5, "budget": 0.35, "regime": "mixed", "merkle_root": "ab",
        });
        Self { shard: shard.into(), epoch, fields, secret: SECRET.into() }
    }

    /// With another value for a field.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields[field] = value.into();
        self
    }

    pub(crate) fn signed_with(mut self, secret: &str) -> Self {
        self.secret = secret.into();
        self
    }

    pub(crate) fn id(&self) -> String {
        pcs_id("ab", i64::try_from(self.epoch).unwrap(), &self.shard)
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields["pcs_id"] = fields.get("pcs_id").cloned().unwrap_or_else(|| self.id().into());
        let unsigned = fields.to_string();
        let signed = Signed::of(&Record::parse(unsigned.as_bytes()).unwrap());
        fields["sig"] = sign_hmac(self.secret.as_bytes(), &signed, HmacForm::ContentDigest).into();
        fields.to_string().into_bytes()
    }
}

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> LogTime {
        LogTime::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// What becomes of a record is changed by this before it is written: a log that lies.
type Lie = Box<dyn FnMut(i64, &mut Decided) + Send>;

/// How a log is made.
pub(crate) struct Making {
    signing: Signing,
    keys: Vec<(&'static str, &'static str)>,
    lie: Lie,
}

impl Making {
    pub(crate) fn signed() -> Self {
        let signing = Signing::Required { hmac: true, ed25519: false, scope: flk_contract::Form::Payload };
        Self { signing, keys: vec![("default", SECRET)], lie: Box::new(|_, _| ()) }
    }

    pub(crate) fn unsigned() -> Self {
        Self { signing: Signing::Off, ..Self::signed() }
    }

    pub(crate) fn keys(self, keys: &[(&'static str, &'static str)]) -> Self {
        Self { keys: keys.to_vec(), ..self }
    }

    pub(crate) fn lying(self, lie: impl FnMut(i64, &mut Decided) + Send + 'static) -> Self {
        Self { lie: Box::new(lie), ..self }
    }

    pub(crate) fn open(self, dir: &Path) -> Made {
        let key = |(tenant, secret): &(&str, &str)| {
            Key::hmac(None, Tenant::new(tenant).unwrap(), secret.as_bytes(), Window::default()).unwrap()
        };
        let keys = Keyring::new(self.keys.iter().map(key).collect()).unwrap();
        let verifier = Verifier::new(self.signing, Arc::new(keys));
        let clock = Arc::new(HandClock(AtomicI64::new(0)));
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut lie = Some(self.lie);
        let mut open = || {
            EmbeddedLog::open(dir, &Options::default(), clock.clone(), Arc::new(Unwatched), |log, _| {
                let place = Place::of_log(log.clone(), "pcs.raw");
                let honest = Deciding::new(verifier.clone(), Arc::new(MemoryIndex::new(place)), Metrics::new());
                Ok(Lying { honest, lie: lie.take().unwrap() })
            })
        };
        let log = loop {
            match open() {
                // A process that another test starts holds what we hold until it is that program.
                Err(OpenError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
                opened => break opened.unwrap(),
            }
        };
        while log.health().is_err() {
            assert!(Instant::now() < deadline, "the log does not open within 30 s");
            std::thread::yield_now();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Made { log, clock, runtime }
    }
}

/// An open log: its writer runs until this is dropped.
pub(crate) struct Made {
    log: EmbeddedLog,
    clock: Arc<HandClock>,
    runtime: tokio::runtime::Runtime,
}

impl Made {
    /// The log time of what comes now.
    pub(crate) fn at(&self, millis: i64) -> &Self {
        self.clock.0.store(millis, Ordering::SeqCst);
        self
    }

    pub(crate) fn add(&self, body: impl Into<Vec<u8>>) -> &Self {
        self.add_named(body, None)
    }

    pub(crate) fn add_named(&self, body: impl Into<Vec<u8>>, tenant: Option<&str>) -> &Self {
        let record = NewRecord {
            body: body.into().into(),
            tenant: tenant.map(Into::into),
            request_id: Some("r-1".into()),
            traceparent: None,
        };
        let appended = self
            .runtime
            .block_on(async { self.log.append(Append { record, judged: None }).await.unwrap().durable().await });
        appended.unwrap();
        self
    }

    pub(crate) fn id(&self) -> String {
        self.log.id().to_string()
    }
}

/// Decides as a service does, and may then write something else.
struct Lying {
    honest: Deciding<MemoryIndex>,
    lie: Lie,
}

impl Decide for Lying {
    fn next(&self) -> i64 {
        self.honest.next()
    }

    fn restore(&mut self, settled: &[Settled], next: i64) -> Result<(), Arc<str>> {
        self.honest.restore(settled, next)
    }

    fn decide(&mut self, append: &Append, origin: &Origin) -> Result<Arc<Decided>, Arc<str>> {
        let mut decided = Decided::clone(&*self.honest.decide(append, origin)?);
        (self.lie)(origin.position.offset, &mut decided);
        Ok(Arc::new(decided))
    }

    fn committed(&mut self, next: i64) -> Result<(), Arc<str>> {
        self.honest.committed(next)
    }

    fn abandoned(&mut self) {
        self.honest.abandoned();
    }

    fn forget_before(&mut self, offset: i64) -> Result<bool, Arc<str>> {
        self.honest.forget_before(offset)
    }
}
