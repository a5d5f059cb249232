//! `Prefer` and the deadlines: who waits how long for what, in both shapes of the log.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use flk_ingest::{Limits, MetricsAuth, app};
use flk_service::{health::Check, metrics::Metrics};
use serde_json::json;
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::{
    Service,
    client::{Call, Reply},
    memory::Memory,
    records::good,
    until,
};

const SHAPES: [fn() -> Memory; 2] = [Memory::new, Memory::later];

async fn impatient(memory: Memory) -> Service {
    let limits = Limits { answer: Duration::from_millis(300), ..Limits::default() };
    Service::with(memory, limits, MetricsAuth::open()).await
}

async fn submit(service: &Service, prefer: Option<&str>) -> Reply {
    let call = Call::post(good("a"));
    match prefer {
        Some(prefer) => call.header("prefer", prefer).to(service).await,
        None => call.to(service).await,
    }
}

#[track_caller]
fn is_pending(reply: &Reply, applied: &str) {
    let wal = json!({
        "log": "memory", "topic": "pcs.raw", "partition": 0, "offset": 1, "appended_at": "2026-01-01T00:00:00.000Z"
    });
    assert_eq!((reply.status, reply.json()), (202, json!({"state": "pending", "wal": wal})));
    assert_eq!(reply.header("preference-applied"), Some(applied));
    assert_eq!(reply.header("location"), Some("/v1/records/0/1"));
}

#[track_caller]
fn is_late(reply: &Reply, code: &str) {
    let problem = reply.problem(503, code);
    if code == "verdict_late" {
        assert_eq!((&problem["durable"], &problem["wal"]["offset"]), (&json!(true), &json!(1)));
    } else {
        assert_eq!((&problem["durable"], problem.get("wal")), (&json!("unknown"), None));
    }
    assert_eq!(reply.header("retry-after"), Some("5"));
    assert_eq!(reply.header("preference-applied"), None);
}

#[tokio::test]
async fn with_a_prompt_verdict_only_respond_async_changes_the_answer() {
    for shape in SHAPES {
        for (prefer, applied) in [
            (None, None),
            (Some("wait=7"), Some("wait=7")),
            (Some("wait=900"), Some("wait=30")),
            (Some("respond-async, wait=7"), Some("respond-async, wait=7")),
            (Some("return=minimal"), None),
        ] {
            let service = Service::start(shape()).await;
            let reply = submit(&service, prefer).await;
            assert_eq!((reply.status, &reply.json()["code"]), (200, &json!("ok")), "{prefer:?}");
            assert_eq!(reply.header("preference-applied"), applied, "{prefer:?}");
        }
        let service = Service::start(shape()).await;
        is_pending(&submit(&service, Some("respond-async")).await, "respond-async");
    }
}

#[tokio::test]
async fn respond_async_is_202_whatever_the_verdict() {
    let service = Service::start(Memory::new()).await;
    let reply = Call::post("not a record").header("prefer", "Respond-Async").to(&service).await;
    is_pending(&reply, "respond-async");
    let location = reply.header("location").unwrap().to_owned();
    let record = Call::get(location).to(&service).await;
    assert_eq!((record.status, &record.json()["code"]), (200, &json!("malformed")));
}

#[tokio::test]
async fn preferences_come_in_several_fields() {
    let service = Service::start(Memory::new()).await;
    let reply = Call::post(good("a")).header("prefer", "respond-async").header("prefer", "wait=0").to(&service).await;
    is_pending(&reply, "respond-async, wait=0");
}

#[tokio::test]
async fn a_late_verdict_of_a_durable_record_is_202_or_503() {
    for prefer in [None, Some("wait=1"), Some("respond-async"), Some("respond-async, wait=1")] {
        let service = impatient(Memory::later()).await;
        service.memory.verdicts.send_replace(false);
        let reply = submit(&service, prefer).await;
        match prefer {
            Some(applied) if applied.starts_with("respond-async") => is_pending(&reply, applied),
            _ => is_late(&reply, "verdict_late"),
        }
    }
}

#[tokio::test]
async fn a_lost_reply_is_not_waited_for() {
    let service = Service::start(Memory::later()).await;
    service.memory.drop_replies();
    is_late(&submit(&service, Some("wait=30")).await, "verdict_late");
}

#[tokio::test]
async fn while_results_can_not_be_settled_the_client_is_asked_for_a_minute() {
    let memory = Memory::later();
    memory.check(Check::ok("log"));
    memory.check(Check::failing("verifier", "away").shared());
    memory.verdicts.send_replace(false);
    let service = impatient(memory).await;
    let reply = submit(&service, None).await;
    reply.problem(503, "verdict_late");
    assert_eq!(reply.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn a_record_that_is_not_durable_in_time_is_unknown() {
    for shape in SHAPES {
        for prefer in [None, Some("wait=1"), Some("respond-async"), Some("respond-async, wait=1")] {
            let service = impatient(shape()).await;
            service.memory.durable.send_replace(false);
            is_late(&submit(&service, prefer).await, "durability_late");
        }
    }
}

#[tokio::test]
async fn respond_async_waits_for_durability_beyond_its_wait() {
    for shape in SHAPES {
        let service = Service::start(shape()).await;
        service.memory.durable.send_replace(false);
        let (reply, ()) = tokio::join!(submit(&service, Some("respond-async, wait=0")), async {
            until("the record is taken in", || !service.memory.taken().is_empty()).await;
            service.memory.durable.send_replace(true);
        });
        is_pending(&reply, "respond-async, wait=0");
    }
}

#[tokio::test]
async fn a_verdict_within_the_wait_is_told() {
    for prefer in ["wait=30", "respond-async, wait=30"] {
        let service = impatient(Memory::later()).await;
        service.memory.verdicts.send_replace(false);
        let (reply, ()) = tokio::join!(submit(&service, Some(prefer)), async {
            until("the record is taken in", || !service.memory.taken().is_empty()).await;
            service.memory.verdicts.send_replace(true);
        });
        assert_eq!((reply.status, &reply.json()["code"]), (200, &json!("ok")), "{prefer}");
        assert_eq!(reply.header("preference-applied"), Some(prefer));
    }
}

#[tokio::test]
async fn wait_0_is_told_what_is_known_at_once() {
    let service = Service::start(Memory::later()).await;
    service.memory.durable.send_replace(false);
    // Nobody waits, for the log neither: the record may become durable.
    is_late(&submit(&service, Some("wait=0")).await, "durability_late");
    assert_eq!(service.memory.taken_count(), 1);
    service.memory.durable.send_replace(true);
    let retried = submit(&service, None).await;
    assert_eq!((retried.status, &retried.json()["duplicate"]), (200, &json!(true)), "a retry is safe");
    // Durable and not judged yet.
    service.memory.verdicts.send_replace(false);
    let reply = Call::post(good("b")).header("prefer", "respond-async, wait=0").to(&service).await;
    assert_eq!((reply.status, &reply.json()["state"]), (202, &json!("pending")));
    assert_eq!(reply.header("preference-applied"), Some("respond-async, wait=0"));
}

/// Without sockets, so that time stands still until everybody waits for it, and can be told to the
/// millisecond.
#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_thirty_seconds_whatever_he_prefers() {
    for (prefer, seconds, status) in [
        ("wait=29", 29, 503),
        ("wait=30", 30, 503),
        ("wait=31", 30, 503),
        ("wait=99999999999", 30, 503),
        ("respond-async, wait=900", 30, 202),
    ] {
        let memory = Arc::new(Memory::later());
        memory.verdicts.send_replace(false);
        let router = app(memory, Metrics::new(), Limits::default(), MetricsAuth::open());
        let request = Request::post("/v1/pcs/submit").header("prefer", prefer).body(Body::from(good("a"))).unwrap();
        let begun = Instant::now();
        let reply = router.oneshot(request).await.unwrap();
        let waited = begun.elapsed();
        assert_eq!(reply.status().as_u16(), status, "{prefer}");
        let late = waited.saturating_sub(Duration::from_secs(seconds));
        assert!(waited.as_secs() == seconds && late < Duration::from_millis(10), "{prefer}: {waited:?}");
    }
}
