//! The contract as data, asked of the real service over HTTP.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_tests::{KEY, Setup, log, shim::Shim, vectors};
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
        let offset = answer.field("wal")["offset"].as_i64().unwrap();
        assert_eq!(log::record(service.data(), offset).record.body, body, "{}", case.name);
        let state = match (case.status, answer.field("duplicate") == true) {
            (400, _) => "refused",
            (_, false) => "settled",
            // The good ones are one record in several spellings.
            (_, true) => "duplicate",
        };
        assert_eq!(service.record(offset).expect(200).field("state"), state, "{}", case.name);
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

#[derive(Deserialize)]
struct Settlement {
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

/// What one process can not show, because there a record reaches settlement as it is appended, and
/// once. The contract's own tests (`common/contract/tests/vectors.rs::settlement`) replay these.
const LATE: [&str; 3] = [
    "late, but inside fourteen days",
    "fourteen days late settles nothing",
    "too late, but the id stands: still a duplicate",
];
const MET_AGAIN: [&str; 3] = [
    "first, then the same record, then a retry",
    "other content is a conflict",
    "a replay of an origin that a successor has replaced is a duplicate of it",
];

#[test]
fn every_sequence_of_settle_json_has_its_outcomes_at_its_times() {
    const BASE: i64 = 1_767_225_600_000;
    let cases: Vec<Settlement> = serde_json::from_str(&vectors("settle.json")).unwrap();
    let (mut late, mut met_again, mut sent) = (Vec::new(), Vec::new(), 0);
    for case in &cases {
        if case
            .steps
            .iter()
            .any(|step| step.settled_at != step.appended_at && step.offset == 0 && step.outcome != "duplicate")
            || case.steps.iter().any(|step| step.settled_at != step.appended_at && step.appended_at == 1)
        {
            late.push(case.name.as_str());
            continue;
        }
        let clock = Shim::compile("clock");
        clock.say(&format!("={BASE}"));
        let service = Setup::hmac().preload(clock.library()).env("FLK_SHIM", clock.control()).start();
        let mut last = -1;
        for (n, step) in case.steps.iter().enumerate() {
            if step.offset <= last {
                // The same record again: a log hands each of its own records over once.
                if met_again.last() != Some(&case.name.as_str()) {
                    met_again.push(case.name.as_str());
                }
                continue;
            }
            last = step.offset;
            sent += 1;
            let at = BASE + step.appended_at * 1000;
            clock.say(&format!("={at}"));
            let answer = service.submit(step.pcs.get());
            let body = answer.json();
            let outcome = match (&body["accepted"], &body["duplicate"], &body["conflict"]) {
                (_, Value::Bool(true), Value::Bool(true)) => "conflict",
                (_, Value::Bool(true), _) => "duplicate",
                (Value::Bool(true), Value::Bool(false), _) => "settled",
                _ => "refused",
            };
            assert_eq!(outcome, step.outcome, "{}, step {n}: {answer}", case.name);
            let appended_at = log::record(service.data(), sent_offset(&body)).origin.appended_at.millis();
            assert_eq!(appended_at, at, "{}, step {n}: log time", case.name);
        }
    }
    assert_eq!(late, LATE, "what can not be replayed is known by name");
    assert_eq!(met_again, MET_AGAIN);
    assert_eq!(sent, 15);
}

fn sent_offset(body: &Value) -> i64 {
    body["wal"]["offset"].as_i64().unwrap()
}
