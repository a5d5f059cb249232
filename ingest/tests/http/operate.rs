//! What operators ask.

use flk_ingest::{Limits, MetricsAuth};
use flk_service::health::Check;
use serde_json::json;

use crate::{Service, client::Call, memory::Memory, records::good};

#[tokio::test]
async fn the_process_is_up() {
    let memory = Memory::new();
    memory.check(Check::failing("log", "disk full"));
    let service = Service::start(memory).await;
    for path in ["/health", "/livez"] {
        let reply = Call::get(path).to(&service).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "OK"), "{path}");
    }
}

#[tokio::test]
async fn readiness_has_an_entry_a_dependency_and_the_local_scope_leaves_out_what_is_shared() {
    let service = Service::start(Memory::new()).await;
    service.memory.check(Check::ok("log"));
    service.memory.check(Check::failing("cache", "away").optional());
    assert_eq!(Call::get("/readyz").to(&service).await.status, 200);
    service.memory.check(Check::failing("kafka", "out of reach").shared());
    let all = Call::get("/readyz").to(&service).await;
    assert_eq!((all.status, &all.json()["status"]), (503, &json!("failing")));
    assert_eq!(all.json()["checks"]["kafka"]["detail"], "out of reach");
    for query in ["scope=local", "a=b&scope=local"] {
        let local = Call::get(format!("/readyz?{query}")).to(&service).await;
        assert_eq!((local.status, &local.json()["status"]), (200, &json!("ok")));
        assert_eq!(local.json()["checks"].as_object().unwrap().keys().collect::<Vec<_>>(), ["cache", "log"]);
    }
    service.memory.check(Check::failing("disk", "full"));
    assert_eq!(Call::get("/readyz?scope=local").to(&service).await.status, 503);
    assert_eq!(Call::get("/readyz?scope=other").to(&service).await.status, 503);
}

#[tokio::test]
async fn metrics_are_open_unless_there_is_a_user() {
    let service = Service::start(Memory::new()).await;
    let reply = Call::get("/metrics").to(&service).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain; version=0.0.4")));
    assert!(reply.text().contains("\nflk_ingest_total 0\n"), "{}", reply.text());

    let service = Service::with(Memory::new(), Limits::default(), MetricsAuth::basic("prom", "secret")).await;
    let refused = Call::get("/metrics").to(&service).await;
    refused.problem(401, "unauthorized");
    assert!(refused.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic ")));
    // prom:wrong, prom:secret
    Call::get("/metrics")
        .header("authorization", "Basic cHJvbTp3cm9uZw==")
        .to(&service)
        .await
        .problem(401, "unauthorized");
    let right = Call::get("/metrics").header("authorization", "Basic cHJvbTpzZWNyZXQ=").to(&service).await;
    assert_eq!(right.status, 200);
    assert_eq!(Call::get("/health").to(&service).await.status, 200);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status_and_start_at_0() {
    let service = Service::start(Memory::new()).await;
    for (code, route) in [(200, "/v1/pcs/submit"), (503, "/v1/pcs/submit"), (404, "/v1/pcs/{pcs_id}"), (404, "other")] {
        assert_eq!(service.metric(&format!("http_requests_total{{code=\"{code}\",route=\"{route}\"}}")), 0.0);
    }
    Call::post(good("a")).to(&service).await;
    Call::post("{}").to(&service).await;
    Call::get("/v1/pcs/x").to(&service).await;
    for (code, route) in [(200, "/v1/pcs/submit"), (400, "/v1/pcs/submit"), (404, "/v1/pcs/{pcs_id}")] {
        assert_eq!(service.metric(&format!("http_requests_total{{code=\"{code}\",route=\"{route}\"}}")), 1.0);
    }
    assert_eq!(service.metric("http_request_duration_seconds_count{route=\"/v1/pcs/submit\"}"), 2.0);
    assert_eq!(service.metric("flk_ingest_total"), 2.0);
    assert_eq!((service.metric("flk_requests_in_flight"), service.metric("flk_bytes_in_flight")), (0.0, 0.0));
}

#[tokio::test]
async fn the_interface_describes_itself() {
    let service = Service::start(Memory::new()).await;
    let reply = Call::get("/openapi.json").to(&service).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.text(), flk_ingest::openapi::json());
}
