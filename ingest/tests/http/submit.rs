//! What a submission is answered with once its fate is known (contract sections 4 to 6).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_contract::{Verdict, limits::BODY_BYTES_MAX, limits::WINDOW};
use flk_log::AppendError;
use flk_service::health::Check;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    Service,
    client::Call,
    memory::{Fails, Memory},
    records::{good, id, signed, signed_with, vectors},
};

#[tokio::test]
async fn an_accepted_record_is_told_its_result() {
    let service = Service::start(Memory::new()).await;
    let record = good("a");
    let reply = Call::post(record.clone()).to(&service).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let wal = json!({
        "log": "memory", "topic": "pcs.raw", "partition": 0, "offset": 1, "appended_at": "2026-01-01T00:00:00.000Z"
    });
    let answer = reply.json();
    let digest = |name: &str| answer[name].as_str().filter(|hex| hex.len() == 64).unwrap().to_owned();
    let expected = json!({
        "pcs_id": id(&record), "tenant": "default", "status": 200, "accepted": true, "escalated": false,
        "code": "ok", "reason": "", "D_hat": 1.125530882, "recomputed_D_hat": answer["recomputed_D_hat"],
        "recomputed_budget": 0.334, "regime": "mixed", "payload_sha256": digest("payload_sha256"),
        "content_sha256": digest("content_sha256"), "key_id": answer["key_id"], "signed": "content",
        "contract": "0.1", "origin": wal, "duplicate": false, "conflict": false, "wal": wal,
    });
    assert_eq!(answer, expected);
    assert!(answer["recomputed_D_hat"].is_f64() && answer["key_id"].is_string(), "{answer}");
    assert_eq!(service.memory.taken()[0].body, record, "the log has the bytes as they came");
}

#[tokio::test]
async fn a_retry_is_a_duplicate_and_another_content_a_conflict() {
    let service = Service::start(Memory::new()).await;
    let first = signed("a", json!({"budget": 0.9}));
    let told = Call::post(first.clone()).to(&service).await;
    assert_eq!((told.status, &told.json()["code"]), (202, &json!("budget_deviation")));
    let again = signed("a", json!({"budget": 0.9, "attempt": 2}));
    let other = signed("a", json!({}));
    for (offset, record, conflict) in [(2, again, false), (3, other, true)] {
        let reply = Call::post(record).to(&service).await;
        let (mut expected, answer) = (told.json(), reply.json());
        expected["duplicate"] = true.into();
        expected["conflict"] = conflict.into();
        expected["wal"]["offset"] = offset.into();
        assert_eq!((reply.status, answer), (202, expected), "the stored result and status, and its own place");
    }
}

#[tokio::test]
async fn a_judged_refusal_has_the_same_fields_and_no_origin() {
    let service = Service::start(Memory::new()).await;
    let reply = Call::post(signed("a", json!({"pcs_id": "0".repeat(64)}))).to(&service).await;
    let answer = reply.json();
    assert_eq!(reply.status, 202);
    assert_eq!(
        (&answer["code"], &answer["accepted"], &answer["escalated"]),
        (&json!("pcs_id_mismatch"), &json!(false), &json!(true))
    );
    assert_eq!((&answer["wal"]["offset"], &answer["duplicate"]), (&json!(1), &json!(false)));
    for unreached in ["origin", "recomputed_D_hat", "recomputed_budget", "regime"] {
        assert_eq!(answer.get(unreached), Some(&Value::Null), "{unreached} is null, never left out");
    }
}

#[tokio::test]
async fn what_reaches_settlement_too_late_is_refused_as_too_old() {
    let memory = Memory::new();
    memory.settle_after(i64::try_from(WINDOW.as_millis()).unwrap());
    let service = Service::start(memory).await;
    let reply = Call::post(good("a")).to(&service).await;
    let answer = reply.json();
    assert_eq!(reply.status, 202);
    assert_eq!(
        (&answer["code"], &answer["accepted"], &answer["origin"]),
        (&json!("too_old"), &json!(false), &Value::Null)
    );
    assert!(answer["reason"].as_str().unwrap().contains("14 days"), "{answer}");
    assert_eq!(answer["wal"]["offset"], 1);
}

#[tokio::test]
async fn what_was_never_judged_is_a_problem_with_its_place_in_the_log() {
    let service = Service::start(Memory::new()).await;
    let malformed = Call::post("{\"pcs_id\": 7}").to(&service).await.problem(400, "malformed");
    assert_eq!(malformed["wal"]["offset"], 1);
    let unsigned = Call::post(good("a").replace("\"sig\"", "\"gis\"")).to(&service).await;
    let problem = unsigned.problem(401, "bad_signature");
    assert_eq!(problem["wal"]["offset"], 2);
    assert!(problem["detail"].as_str().unwrap().contains("sig is missing"), "{problem}");
    assert!(unsigned.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("PCS-Signature")));
    service.memory.say(Verdict::internal());
    let internal = Call::post(good("b")).to(&service).await.problem(500, "internal");
    assert_eq!(internal["wal"]["offset"], 3);
    for problem in [malformed, problem, internal] {
        assert!(problem.get("durable").is_none(), "{problem}");
    }
}

#[derive(Deserialize)]
struct Verdicts {
    cases: Vec<VerdictCase>,
}

#[derive(Deserialize)]
struct VerdictCase {
    name: String,
    pcs: Box<RawValue>,
    status: u16,
    code: String,
}

#[tokio::test]
async fn every_verdict_of_the_vectors_is_told_as_it_says() {
    for case in vectors::<Verdicts>("verdicts.json").cases {
        // Ids repeat between cases: each has a service of its own.
        let service = Service::start(Memory::new()).await;
        let reply = Call::post(case.pcs.get()).to(&service).await;
        let answer = reply.json();
        assert_eq!((reply.status, &answer["code"]), (case.status, &json!(case.code)), "{}: {answer}", case.name);
    }
}

#[derive(Deserialize)]
struct MalformedCase {
    name: String,
    status: u16,
    body_base64: String,
}

#[tokio::test]
async fn every_malformed_body_of_the_vectors_is_told_so_and_kept() {
    let service = Service::start(Memory::new()).await;
    let cases: Vec<MalformedCase> = vectors("malformed.json");
    for case in &cases {
        let body = STANDARD.decode(&case.body_base64).unwrap();
        let largest = body.len() <= BODY_BYTES_MAX;
        let reply = Call::post(body).to(&service).await;
        assert_eq!(reply.status, if largest { case.status } else { 413 }, "{}: {}", case.name, reply.text());
    }
    assert_eq!(service.memory.taken().len(), cases.len());
    assert_eq!(service.metric("flk_ingest_total"), cases.len() as f64);
}

#[tokio::test]
async fn any_content_type_will_do() {
    let service = Service::start(Memory::new()).await;
    for (n, content_type) in
        ["application/x-www-form-urlencoded", "application/json", "text/plain; x=y", "?"].iter().enumerate()
    {
        let reply = Call::post(good(&n.to_string())).header("content-type", *content_type).to(&service).await;
        assert_eq!(reply.status, 200, "{content_type}");
    }
}

#[tokio::test]
async fn with_keys_the_tenant_is_the_keys_and_what_is_sent_must_be_it() {
    let service = Service::start(Memory::new()).await;
    let other = |shard| signed_with("other", shard, json!({}));
    let silent = Call::post(other("a")).to(&service).await;
    assert_eq!((silent.status, &silent.json()["tenant"]), (200, &json!("team-a")));
    let right = Call::post(other("b")).header("x-tenant-id", "team-a").to(&service).await;
    assert_eq!(right.status, 200);
    for wrong in ["default", "TEAM-A", "", "team-a,team-a", "team a"] {
        let reply = Call::post(other("c")).header("x-tenant-id", wrong).to(&service).await;
        assert!(!says_twice(&reply.problem(401, "bad_signature")), "{wrong}");
    }
    let twice = Call::post(other("c")).header("x-tenant-id", "team-a").header("x-tenant-id", "team-a");
    let problem = twice.to(&service).await.problem(401, "bad_signature");
    assert!(says_twice(&problem), "{problem}");
    assert_eq!(service.memory.taken().last().unwrap().tenant.as_deref(), Some("team-a,team-a"));
    assert_eq!(Call::post(other("c")).to(&service).await.status, 200, "what was refused took nothing");
}

#[tokio::test]
async fn without_signing_the_header_names_the_tenant() {
    let service = Service::start(Memory::unsigned()).await;
    let named = Call::post(good("a")).header("x-tenant-id", "team-b").to(&service).await.json();
    assert_eq!((&named["tenant"], &named["key_id"], &named["signed"]), (&json!("team-b"), &Value::Null, &Value::Null));
    let unnamed = Call::post(good("a")).to(&service).await.json();
    assert_eq!((&unnamed["tenant"], &unnamed["duplicate"]), (&json!("default"), &json!(false)));
    // Kept with the record, and so judged with it; a GET leaves nothing behind.
    let problem = Call::post(good("a")).header("x-tenant-id", "no tenant").to(&service).await.problem(400, "malformed");
    assert!(problem["wal"].is_object() && !says_twice(&problem), "{problem}");
    assert_eq!(service.memory.taken().last().unwrap().tenant.as_deref(), Some("no tenant"));
    Call::get("/v1/pcs/x").header("x-tenant-id", "no tenant").to(&service).await.problem(400, "bad_tenant");
    let twice = Call::post(good("a")).header("x-tenant-id", "team-b").header("x-tenant-id", "team-b");
    let problem = twice.to(&service).await.problem(400, "malformed");
    assert!(says_twice(&problem), "{problem}");
}

fn says_twice(problem: &Value) -> bool {
    problem["detail"].as_str().unwrap().contains("X-Tenant-Id was given more than once")
}

#[tokio::test]
async fn a_failed_append_says_whether_the_record_may_be_in_the_log() {
    let errors = || {
        [
            (AppendError::Full, "log_queue_full", json!(false)),
            (AppendError::NotDurable("disk full".into()), "log_unavailable", json!(false)),
            (AppendError::Unknown("fsync failed".into()), "log_unknown", json!("unknown")),
            (AppendError::Closed("shutting down"), "log_closed", json!(false)),
        ]
    };
    for (error, code, durable) in errors() {
        for fails in [Fails::AtSubmit, Fails::AtTicket] {
            let service = Service::start(Memory::new()).await;
            service.memory.fail(error.clone(), fails);
            let reply = Call::post(good("a")).to(&service).await;
            let problem = reply.problem(503, code);
            assert_eq!((&problem["durable"], problem.get("wal")), (&durable, None), "{problem}");
            assert_eq!(reply.header("retry-after"), Some("5"), "{code}");
            assert!(!reply.text().contains("disk full"), "{problem}");
            let failed = matches!(error, AppendError::NotDurable(_) | AppendError::Unknown(_));
            assert_eq!(service.metric("flk_wal_errors"), f64::from(u8::from(failed)), "{code}");
            let full = matches!(error, AppendError::Full);
            assert_eq!(service.metric("flk_shed_total{reason=\"queue\"}"), f64::from(u8::from(full)), "{code}");
        }
    }
}

#[tokio::test]
async fn a_log_that_is_being_restored_asks_for_a_minute() {
    let memory = Memory::new();
    memory.check(Check::failing("index", "being built anew"));
    memory.fail(AppendError::Closed("starting"), Fails::AtSubmit);
    let service = Service::start(memory).await;
    let reply = Call::post(good("a")).to(&service).await;
    reply.problem(503, "log_closed");
    assert_eq!(reply.header("retry-after"), Some("60"));
}
