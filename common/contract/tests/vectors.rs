//! The contract as data: every case of `tests/vectors` at the root of the repository.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use core::num::NonZeroU32;
use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_contract::{
    Code, Digest, Form, Key, Keyring, LogId, LogTime, Origin, Outcome, Position, Record, Signing, Tenant, canonical,
    judge, keys::Window, partition, settle, signals, signature::Signed,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

fn vectors<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

const HMAC: Signing = Signing::Required { hmac: true, ed25519: false, scope: Form::Payload };
const ED25519: Signing = Signing::Required { hmac: false, ed25519: true, scope: Form::Payload };

fn hmac_keys(secrets: &[String]) -> Keyring {
    let key =
        |secret: &String| Key::hmac(None, Tenant::default_tenant(), secret.as_bytes(), Window::default()).unwrap();
    Keyring::new(secrets.iter().map(key).collect()).unwrap()
}

fn at(seconds: i64) -> LogTime {
    LogTime::from_millis(seconds * 1000)
}

#[derive(Deserialize)]
struct CanonicalCase {
    name: String,
    input: Option<Box<RawValue>>,
    input_text: Option<String>,
    payload: String,
    sha256: Digest,
    content: Option<String>,
    content_sha256: Option<Digest>,
}

/// The canonical cases have just the eight fields; what else a record needs is put beside them.
fn with_required_fields(text: &str) -> String {
    let rest = [
        ("schema", "\"fractal-lba-kakeya\""),
        ("version", "\"0.1\""),
        ("scales", "[2]"),
        ("N_j", "{}"),
        ("regime", "\"\""),
    ];
    let given: BTreeMap<String, Value> = serde_json::from_str(text).unwrap();
    let mut out = text.trim_end().strip_suffix('}').unwrap().to_owned();
    for (name, value) in rest.iter().filter(|(name, _)| !given.contains_key(*name)) {
        out.push_str(&format!(",\"{name}\":{value}"));
    }
    out + "}"
}

#[test]
fn canonical_bytes_and_digests() {
    for case in vectors::<Vec<CanonicalCase>>("canonical.json") {
        let text = case.input.map(|raw| raw.get().to_owned()).or(case.input_text).unwrap();
        let text = with_required_fields(&text);
        let record = Record::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(canonical::payload(&record), case.payload, "{}", case.name);
        assert_eq!(Digest::of(case.payload.as_bytes()), case.sha256, "{}", case.name);
        if let (Some(content), Some(digest)) = (case.content, case.content_sha256) {
            assert_eq!(canonical::content(&record), content, "{}", case.name);
            assert_eq!(Signed::of(&record).content_sha256, digest, "{}", case.name);
        }
    }
}

#[derive(Deserialize)]
struct Signatures {
    hmac_keys: Vec<String>,
    refused_public_keys: BTreeMap<String, String>,
    ed25519_public_keys: Vec<String>,
    ed25519_private_seed: String,
    cases: Vec<SignatureCase>,
}

#[derive(Deserialize)]
struct SignatureCase {
    alg: String,
    valid: bool,
    tampered: Option<String>,
    pcs: Box<RawValue>,
}

#[test]
fn signatures() {
    let all: Signatures = vectors("signatures.json");
    let hmac = hmac_keys(&all.hmac_keys);
    let public = |b64: &str| Key::ed25519(None, Tenant::default_tenant(), b64, Window::default());
    let ed25519 = Keyring::new(all.ed25519_public_keys.iter().map(|key| public(key).unwrap()).collect()).unwrap();
    for (n, case) in all.cases.iter().enumerate() {
        let (signing, keys) = if case.alg == "hmac" { (HMAC, &hmac) } else { (ED25519, &ed25519) };
        let verdict = judge(case.pcs.get().as_bytes(), at(0), None, signing, keys);
        let valid = verdict.code != Code::BadSignature;
        assert_eq!(valid, case.valid, "case {n} {} {:?}: {verdict:?}", case.alg, case.tampered);
    }
    for (name, key) in &all.refused_public_keys {
        assert!(public(key).is_err(), "{name}");
    }
    let seed: [u8; 32] = STANDARD.decode(all.ed25519_private_seed).unwrap().try_into().unwrap();
    assert_eq!([flk_contract::signature::ed25519_public(&seed)], *all.ed25519_public_keys);
}

#[derive(Deserialize)]
struct DHat {
    good: Vec<DHatCase>,
    bad: Vec<DHatCase>,
}

#[derive(Deserialize)]
struct DHatCase {
    scales: Value,
    #[serde(rename = "N_j")]
    n_j: Value,
    #[serde(rename = "D_hat")]
    d_hat: Option<f64>,
    error: Option<String>,
}

#[test]
fn recomputed_d_hat() {
    let all: DHat = vectors("d_hat.json");
    for case in all.good.iter().chain(&all.bad) {
        let text = format!(
            r#"{{"pcs_id":"","merkle_root":"m","epoch":0,"shard_id":"s","D_hat":0,"coh_star":0,"r":0,"budget":0,
            "schema":"s","version":"v","regime":"","scales":{},"N_j":{}}}"#,
            case.scales, case.n_j
        );
        let record = Record::parse(text.as_bytes()).unwrap();
        let got = signals::d_hat(&record);
        assert_eq!(got.ok(), case.d_hat.and_then(flk_contract::Nano::from_f64), "{} {:?}", case.scales, case.error);
    }
}

#[derive(Deserialize)]
struct Verdicts {
    hmac_keys: Vec<String>,
    cases: Vec<VerdictCase>,
}

#[derive(Deserialize)]
struct VerdictCase {
    name: String,
    pcs: Box<RawValue>,
    status: u16,
    code: Code,
    accepted: Option<bool>,
    escalated: Option<bool>,
    stored: bool,
    content_sha256: Option<Digest>,
}

#[test]
fn verdicts() {
    let all: Verdicts = vectors("verdicts.json");
    let keys = hmac_keys(&all.hmac_keys);
    for case in all.cases {
        let verdict = judge(case.pcs.get().as_bytes(), at(0), None, HMAC, &keys);
        let meaning = verdict.code.meaning();
        assert_eq!((verdict.code, meaning.status), (case.code, case.status), "{}: {}", case.name, verdict.reason);
        assert_eq!(meaning.accepted, case.accepted, "{}", case.name);
        assert!(case.escalated.is_none_or(|escalated| escalated == meaning.escalated), "{}", case.name);
        assert_eq!(verdict.candidate().is_some(), case.stored, "{}", case.name);
        assert_eq!(verdict.reason.is_empty(), verdict.code == Code::Ok, "{}", case.name);
        if let Some(digest) = case.content_sha256 {
            assert_eq!(verdict.facts.unwrap().content_sha256, digest, "{}", case.name);
        }
    }
}

#[derive(Deserialize)]
struct MalformedCase {
    name: String,
    status: u16,
    body_base64: String,
}

#[test]
fn malformed_bodies() {
    let keys = hmac_keys(&["testsecret".to_owned()]);
    for case in vectors::<Vec<MalformedCase>>("malformed.json") {
        let body = STANDARD.decode(&case.body_base64).unwrap();
        let verdict = judge(&body, at(0), None, HMAC, &keys);
        assert_eq!(verdict.code.meaning().status, case.status, "{}: {}", case.name, verdict.reason);
    }
}

#[derive(Deserialize)]
struct PartitionCase {
    tenant: Tenant,
    pcs_id: String,
    partition: BTreeMap<String, u32>,
}

#[test]
fn partitions() {
    for case in vectors::<Vec<PartitionCase>>("partitions.json") {
        for (count, expected) in case.partition {
            let count: NonZeroU32 = count.parse().unwrap();
            assert_eq!(partition(&case.tenant, &case.pcs_id, count), expected, "{} of {count}", case.pcs_id);
        }
    }
}

#[derive(Deserialize)]
struct SettleCase {
    name: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    pcs: Box<RawValue>,
    offset: i64,
    appended_at: i64,
    settled_at: i64,
    outcome: String,
}

#[test]
fn settlement() {
    let keys = hmac_keys(&["testsecret".to_owned()]);
    for case in vectors::<Vec<SettleCase>>("settle.json") {
        let mut stored: Option<(Origin, Digest)> = None;
        for (n, step) in case.steps.iter().enumerate() {
            let position =
                Position { log: LogId::new("log"), topic: "pcs.raw".into(), partition: 0, offset: step.offset };
            let origin = Origin { position, appended_at: at(step.appended_at) };
            let verdict = judge(step.pcs.get().as_bytes(), at(step.appended_at), None, HMAC, &keys);
            let outcome = verdict.candidate().map_or("refused", |facts| {
                let standing = stored.as_ref().map(|(origin, content)| (origin, content));
                match settle(&origin, &facts.content_sha256, standing, at(step.settled_at)) {
                    Outcome::Settles => {
                        stored = Some((origin, facts.content_sha256));
                        "settled"
                    }
                    Outcome::Replay => "replay",
                    Outcome::Duplicate => "duplicate",
                    Outcome::Conflict => "conflict",
                    Outcome::TooOld => "too_old",
                }
            });
            assert_eq!(outcome, step.outcome, "{}, step {n}", case.name);
        }
    }
}
