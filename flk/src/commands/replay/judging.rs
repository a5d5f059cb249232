//! One record judged again at its log time, and what is different.
//!
//! A record is judged under the policy that it was judged under then, which its row tells: with
//! signing off if no key held, else with every algorithm and form. What the environment gives is
//! the keys. Where a key is missing, everything but the signature is judged all the same.

use std::sync::Arc;

use flk_contract::{Code, Facts, Form, Keyring, LogTime, Nano, Record, Signing, Tenant, Verdict, signals::Regime};
use flk_log::StoredRecord;
use flk_verifier::Verifier;

/// A field that is not as it was: its name, what is stored, what comes out now.
pub(super) type Field = (&'static str, String, String);

/// Whether the signature of a record could be checked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signature {
    /// It was, or there is none to check.
    Checked,
    /// The key that held is not in the ring.
    KeyUnknown(Tenant, Arc<str>),
    /// The record was taken with signing off, and now signing is on.
    WasOff,
}

/// What judging a record again came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) differences: Vec<Field>,
    pub(super) signature: Signature,
    /// It was refused as not authentic and would be now: a key was added since.
    pub(super) authentic_now: bool,
}

/// Judges again.
pub(super) struct Judge {
    signing: Signing,
    keys: Arc<Keyring>,
    today: Verifier,
    off: Verifier,
    any: Verifier,
}

impl Judge {
    /// Under these keys, today under this policy.
    pub(super) fn new(signing: Signing, keys: Keyring) -> Self {
        let keys = Arc::new(keys);
        let verifier = |signing| Verifier::new(signing, keys.clone());
        let any = Signing::Required { hmac: true, ed25519: true, scope: Form::Payload };
        Self { signing, today: verifier(signing), off: verifier(Signing::Off), any: verifier(any), keys }
    }

    /// What a record would come to if it came today, at `now`.
    pub(super) fn today(&self, stored: &StoredRecord, now: LogTime) -> Verdict {
        self.today.judge(&stored.record.body, now, stored.record.tenant.as_deref())
    }

    /// Judges a record again and compares.
    pub(super) fn again(&self, stored: &StoredRecord, verdict: &Verdict) -> Again {
        match &verdict.facts {
            Some(facts) => self.judged(stored, verdict, facts),
            None => self.never_judged(stored, verdict.code),
        }
    }

    fn judged(&self, stored: &StoredRecord, verdict: &Verdict, facts: &Facts) -> Again {
        let (body, at, named) = (&stored.record.body, stored.origin.appended_at, stored.record.tenant.as_deref());
        let (signature, now) = match &facts.key_id {
            Some(key) if self.keys.knows(&facts.tenant, key) => (Signature::Checked, self.any.judge(body, at, named)),
            Some(key) => {
                let unknown = Signature::KeyUnknown(facts.tenant.clone(), key.clone());
                (unknown, self.off.judge(body, at, Some(facts.tenant.as_str())))
            }
            None => {
                let signature = if self.signing == Signing::Off { Signature::Checked } else { Signature::WasOff };
                (signature, self.off.judge(body, at, named))
            }
        };
        let mut differences = Vec::new();
        compare(&mut differences, "code", verdict.code.as_str(), now.code.as_str());
        if let Some(now) = &now.facts {
            let signed = !matches!(signature, Signature::KeyUnknown(..));
            compare_facts(&mut differences, facts, now, signed);
        }
        Again { differences, signature, authentic_now: false }
    }

    fn never_judged(&self, stored: &StoredRecord, code: Code) -> Again {
        let mut again = Again { differences: Vec::new(), signature: Signature::Checked, authentic_now: false };
        let formed = Record::parse(&stored.record.body).is_ok();
        // With signing off, a name that can be no tenant's counts as malformed too.
        let named_badly = stored.record.tenant.as_deref().is_some_and(|name| Tenant::new(name).is_err());
        match (code, formed) {
            (Code::Malformed, true) if !named_badly => {
                compare(&mut again.differences, "code", code.as_str(), "well-formed");
            }
            (Code::BadSignature, false) => {
                compare(&mut again.differences, "code", code.as_str(), Code::Malformed.as_str());
            }
            (Code::BadSignature | Code::Internal, true) => {
                let named = stored.record.tenant.as_deref();
                let now = self.today.judge(&stored.record.body, stored.origin.appended_at, named);
                again.authentic_now = now.facts.is_some();
            }
            _ => {}
        }
        again
    }
}

fn compare(differences: &mut Vec<Field>, name: &'static str, stored: &str, now: &str) {
    if stored != now {
        differences.push((name, stored.to_owned(), now.to_owned()));
    }
}

fn compare_facts(differences: &mut Vec<Field>, stored: &Facts, now: &Facts, signed: bool) {
    // Every field is named, so that one that is added is not forgotten here.
    let Facts {
        tenant,
        pcs_id,
        d_hat,
        recomputed_d_hat,
        regime,
        recomputed_budget,
        payload_sha256,
        content_sha256,
        key_id,
        signed: form,
    } = stored;
    let number = |n: Option<Nano>| n.map_or_else(none, |n| n.to_string());
    let word = |regime: Option<Regime>| regime.map_or("none", Regime::as_str);
    let name = |id: &Option<Arc<str>>| id.as_deref().map_or_else(none, str::to_owned);
    let covered = |form: Option<Form>| form.map_or("none", Form::as_str);
    let mut each = |name, stored: &str, now: &str| compare(differences, name, stored, now);
    each("tenant", tenant.as_str(), now.tenant.as_str());
    each("pcs_id", pcs_id, &now.pcs_id);
    each("D_hat", &d_hat.to_string(), &now.d_hat.to_string());
    each("recomputed_D_hat", &number(*recomputed_d_hat), &number(now.recomputed_d_hat));
    each("regime", word(*regime), word(now.regime));
    each("recomputed_budget", &number(*recomputed_budget), &number(now.recomputed_budget));
    each("payload_sha256", &payload_sha256.to_string(), &now.payload_sha256.to_string());
    each("content_sha256", &content_sha256.to_string(), &now.content_sha256.to_string());
    if signed {
        each("key_id", &name(key_id), &name(&now.key_id));
        each("signed", covered(*form), covered(now.signed));
    }
}

fn none() -> String {
    "none".to_owned()
}
