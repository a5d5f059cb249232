//! Real records: those of the contract's vectors, judged under their keys.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use flk_contract::{
    Code, Form, Key, Keyring, LogId, LogTime, Origin, Position, Settled, Signing, Tenant, Verdict, judge, keys::Window,
    wire::State,
};
use flk_log::{Decided, topic::VerifiedAt};
use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) const VERIFIED_AT: VerifiedAt = VerifiedAt { partition: 2, offset: 318 };

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pcs: Box<RawValue>,
    pub(crate) code: Code,
}

impl Case {
    pub(crate) fn body(&self) -> Bytes {
        Bytes::from(self.pcs.get().to_owned())
    }
}

#[derive(Deserialize)]
struct Verdicts {
    hmac_keys: Vec<String>,
    cases: Vec<Case>,
}

fn vectors() -> Verdicts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/verdicts.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn cases() -> Vec<Case> {
    vectors().cases
}

pub(crate) fn body(name: &str) -> Bytes {
    cases().into_iter().find(|case| case.name == name).unwrap().body()
}

pub(crate) fn verdict(body: &[u8]) -> Verdict {
    let key = |secret: &String| Key::hmac(None, Tenant::default_tenant(), secret.as_bytes(), Window::default());
    let keys = Keyring::new(vectors().hmac_keys.iter().map(|secret| key(secret).unwrap()).collect()).unwrap();
    let signing = Signing::Required { hmac: true, ed25519: false, scope: Form::Payload };
    judge(body, origin(0).appended_at, None, signing, &keys)
}

/// A place in pcs.raw; log time goes with the offset.
pub(crate) fn origin(offset: i64) -> Origin {
    let log = LogId::new("4L6g3nShT-eMCtK--X86sw");
    Origin {
        position: Position { log, topic: "pcs.raw".into(), partition: 3, offset },
        appended_at: LogTime::from_millis(1_767_225_600_000 + (offset & 0xff) * 250),
    }
}

fn settled_by(name: &str) -> Settled {
    let verdict = verdict(&body(name));
    Settled { code: verdict.code, facts: verdict.candidate().unwrap().clone(), origin: origin(41) }
}

/// What the first case settles.
pub(crate) fn settled() -> Settled {
    settled_by("mixed accepted")
}

/// An accepted 202.
pub(crate) fn escalated() -> Settled {
    settled_by("budget differs")
}

pub(crate) fn decided_as_settled() -> Decided {
    let settled = settled();
    let verdict = verdict(&body("mixed accepted"));
    Decided { verdict, state: State::Settled, code: settled.code, standing: Some(Arc::new(settled)) }
}

/// The record that settled, with a field changed that its signature does not cover.
pub(crate) fn conflict() -> Decided {
    let body = String::from_utf8(body("mixed accepted").into()).unwrap();
    let verdict = verdict(body.replace("\"mixed\"", "\"sticky\"").as_bytes());
    assert_eq!(verdict.code, Code::RegimeMismatch);
    Decided { verdict, state: State::Conflict, code: Code::Conflict, standing: Some(Arc::new(settled())) }
}

fn refused(name: &str) -> Decided {
    let verdict = verdict(&body(name));
    assert!(verdict.candidate().is_none());
    Decided { state: State::Refused, code: verdict.code, verdict, standing: None }
}

pub(crate) fn refused_by_d_hat() -> Decided {
    refused("claim outside the tolerance")
}

pub(crate) fn refused_by_signature() -> Decided {
    refused("unsigned")
}
