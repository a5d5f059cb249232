//! The contract as data, asked of the real service over HTTP.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_tests::{KEY, Setup, vectors};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
struct Malformed {
    name: String,
    status: u16,
    body_base64: String,
}

#[test]
fn every_body_of_malformed_json_is_answered_as_it_says_and_kept_as_it_came() {
    let service = Setup::hmac().start();
    let cases: Vec<Malformed> = serde_json::from_str(&vectors("malformed.json")).unwrap();
    assert!(cases.len() >= 36);
    for case in cases {
        let body = STANDARD.decode(&case.body_base64).unwrap();
        let answer = service.submit(body.clone());
        assert_eq!(answer.status, case.status, "{}: {answer}", case.name);
        let code = if case.status == 400 { "malformed" } else { "ok" };
        assert_eq!(answer.code(), code, "{}: {answer}", case.name);
        let wal = answer.field("wal");
        assert_eq!(service.stored(&wal).record.body, body, "{}", case.name);
        let state = match (case.status, answer.field("duplicate") == true) {
            (400, _) => "refused",
            (_, false) => "settled",
            // The good ones are one record in several spellings.
            (_, true) => "duplicate",
        };
        assert_eq!(service.record(&wal).expect(200).field("state"), state, "{}", case.name);
    }
    assert_eq!(service.get("/health").expect(200).text(), "OK");
}

#[derive(Deserialize)]
struct Verdicts {
    hmac_keys: Vec<String>,
    cases: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Verdict {
    name: String,
    pcs: Box<RawValue>,
    status: u16,
    code: String,
    accepted: Option<bool>,
    escalated: Option<bool>,
    stored: bool,
    content_sha256: Option<String>,
}

#[test]
fn every_record_of_verdicts_json_gets_its_verdict_and_settles_what_it_says() {
    let all: Verdicts = serde_json::from_str(&vectors("verdicts.json")).unwrap();
    assert_eq!(all.hmac_keys, [KEY]);
    assert!(all.cases.len() >= 74);
    let service = Setup::hmac().start();
    let mut settled = HashSet::new();
    for case in &all.cases {
        let name = &case.name;
        let answer = service.submit(case.pcs.get());
        assert_eq!(answer.verdict(), (case.status, case.code.clone()), "{name}: {answer}");
        let body = answer.json();
        if let Some(accepted) = case.accepted {
            assert_eq!(body["accepted"], accepted, "{name}: {answer}");
            assert_eq!(body["status"], case.status, "{name}: {answer}");
            assert_eq!(body["origin"] != Value::Null, case.stored, "{name}: {answer}");
            assert_eq!(body["reason"] == "", case.code == "ok", "{name}: {answer}");
        }
        if let Some(escalated) = case.escalated {
            assert_eq!(body["escalated"], escalated, "{name}: {answer}");
        }
        if let Some(digest) = &case.content_sha256 {
            assert_eq!(&body["content_sha256"], digest, "{name}: {answer}");
        }
        let pcs: Value = serde_json::from_str(case.pcs.get()).unwrap();
        let Some(id) = pcs["pcs_id"].as_str() else { continue };
        if case.stored {
            // A few of the cases say the same of one id.
            let first = settled.insert(id.to_owned());
            assert_eq!((&body["duplicate"], &body["conflict"]), (&(!first).into(), &false.into()), "{name}: {answer}");
        }
        let read = service.result(id);
        assert_eq!(read.status, if settled.contains(id) { 200 } else { 404 }, "{name}: {read}");
        if case.stored {
            assert_eq!(read.field("code"), case.code.as_str(), "{name}");
            assert_eq!(read.field("origin"), body["origin"], "{name}");
        }
    }
}
