//! The two GETs.

use flk_contract::limits::WINDOW;
use std::time::Duration;

use flk_ingest::{Away, Limits};
use serde_json::{Value, json};

use crate::{
    Service,
    client::Call,
    memory::{Memory, START},
    records::{good, id, signed, signed_with},
};

#[tokio::test]
async fn a_settled_result_is_the_same_for_everybody() {
    let service = Service::start(Memory::new()).await;
    let record = signed("a", json!({"regime": "sticky"}));
    let mut told = Call::post(record.clone()).to(&service).await.json();
    let reply = Call::get(format!("/v1/pcs/{}", id(&record))).to(&service).await;
    for about_the_request in ["duplicate", "conflict", "wal"] {
        told.as_object_mut().unwrap().remove(about_the_request);
    }
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!(202)), "the GET's status is its own");
    assert_eq!(reply.json(), told);
}

#[tokio::test]
async fn only_what_stands_is_found() {
    let service = Service::start(Memory::new()).await;
    let record = good("a");
    let path = format!("/v1/pcs/{}", id(&record));
    Call::get(path.clone()).to(&service).await.problem(404, "not_settled");
    Call::post(signed("a", json!({"D_hat": 9.0}))).to(&service).await;
    Call::get(path.clone()).to(&service).await.problem(404, "not_settled");
    Call::post(record).to(&service).await;
    let window = i64::try_from(WINDOW.as_millis()).unwrap();
    service.memory.set_now(START + window - 1);
    assert_eq!(Call::get(path.clone()).to(&service).await.status, 200);
    service.memory.set_now(START + window);
    Call::get(path).to(&service).await.problem(404, "not_settled");
}

#[tokio::test]
async fn what_can_not_be_an_id_is_not_settled() {
    let service = Service::start(Memory::new()).await;
    for not_an_id in ["x", "%00", "%ff", "..", &"a".repeat(129), "a%2Fb"] {
        let reply = Call::get(format!("/v1/pcs/{not_an_id}")).to(&service).await;
        assert!(matches!(reply.status, 404), "{not_an_id}: {}", reply.text());
    }
}

#[tokio::test]
async fn the_header_names_the_tenant_of_a_result() {
    let service = Service::start(Memory::new()).await;
    let record = signed_with("other", "a", json!({}));
    Call::post(record.clone()).to(&service).await;
    let result = || Call::get(format!("/v1/pcs/{}", id(&record)));
    result().to(&service).await.problem(404, "not_settled");
    result().header("x-tenant-id", "default").to(&service).await.problem(404, "not_settled");
    let found = result().header("x-tenant-id", "team-a").to(&service).await;
    assert_eq!((found.status, &found.json()["tenant"]), (200, &json!("team-a")));
    for bad in ["", "team a", "team-a,team-a", &"x".repeat(65)] {
        let problem = result().header("x-tenant-id", bad).to(&service).await.problem(400, "bad_tenant");
        assert!(problem["detail"].as_str().unwrap().contains("1 to 64"), "{problem}");
    }
    let twice = result().header("x-tenant-id", "team-a").header("x-tenant-id", "team-a");
    let problem = twice.to(&service).await.problem(400, "bad_tenant");
    assert!(problem["detail"].as_str().unwrap().contains("X-Tenant-Id was given more than once"), "{problem}");
}

#[tokio::test]
async fn a_record_says_what_became_of_it() {
    let service = Service::start(Memory::new()).await;
    let first = good("a");
    for body in [first.clone(), signed("a", json!({"attempt": 2})), signed("a", json!({"budget": 0.339}))] {
        Call::post(body).to(&service).await;
    }
    Call::post(signed("b", json!({"coh_star": 2.0}))).to(&service).await;
    Call::post("[]").to(&service).await;
    let result = Call::get(format!("/v1/pcs/{}", id(&first))).to(&service).await.json();
    for (offset, state, code) in [
        (1, "settled", "ok"),
        (2, "duplicate", "ok"),
        (3, "conflict", "conflict"),
        (4, "refused", "coherence_out_of_bounds"),
        (5, "refused", "malformed"),
    ] {
        // The tenant's header does not matter: a place is a place.
        let reply = Call::get(format!("/v1/records/0/{offset}")).header("x-tenant-id", "not one").to(&service).await;
        let record = reply.json();
        assert_eq!((reply.status, &record["state"], &record["code"]), (200, &json!(state), &json!(code)));
        assert_eq!(record["wal"]["offset"], offset);
        match offset {
            1..=3 => assert_eq!(record["result"], result),
            4 => {
                assert_eq!((&record["result"]["accepted"], &record["result"]["origin"]), (&json!(false), &Value::Null))
            }
            _ => assert_eq!(record.get("result"), Some(&Value::Null)),
        }
    }
    service.memory.keep_pending();
    let pending = Call::get("/v1/records/0/1").to(&service).await.json();
    assert_eq!(
        (&pending["state"], &pending["code"], &pending["result"]),
        (&json!("pending"), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn what_can_not_be_a_place_holds_no_record() {
    let service = Service::start(Memory::new()).await;
    Call::post(good("a")).to(&service).await;
    for place in ["0/2", "1/1", "0/0", "-1/1", "0/-1", "0/x", "x/1", "99999999999/1", "0/9223372036854775808", "0/1.0"]
    {
        Call::get(format!("/v1/records/{place}")).to(&service).await.problem(404, "no_such_record");
    }
    // A record has one path: other ways to write its numbers are no places.
    for alias in ["0/01", "00/1", "0/+1", "+0/1", "-0/1", "0/%2B1", "0/%201", "0/1%20", "0/%D9%A1"] {
        Call::get(format!("/v1/records/{alias}")).to(&service).await.problem(404, "no_such_record");
    }
}

#[tokio::test]
async fn a_read_side_that_is_away_or_incomplete_asks_for_a_minute() {
    for away in [Away::Unavailable("redis://secret".into()), Away::Incomplete("restoring".into())] {
        let service = Service::start(Memory::new()).await;
        service.memory.go_away(away);
        for path in ["/v1/pcs/x", "/v1/records/0/1"] {
            let reply = Call::get(path).to(&service).await;
            let problem = reply.problem(503, "results_away");
            assert_eq!(reply.header("retry-after"), Some("60"));
            assert!(problem.get("durable").is_none() && !reply.text().contains("secret"), "{problem}");
        }
        assert_eq!(Call::post(good("a")).to(&service).await.status, 200, "records are answered all the same");
    }
}

#[tokio::test]
async fn a_read_side_that_does_not_answer_is_away() {
    let service = Service::limited(Limits { answer: Duration::from_millis(50), ..Limits::default() }).await;
    service.memory.hang();
    for path in ["/v1/pcs/x", "/v1/records/0/1"] {
        Call::get(path).to(&service).await.problem(503, "results_away");
    }
}
