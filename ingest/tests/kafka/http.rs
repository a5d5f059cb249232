//! The same through HTTP: what clients are told while verifiers and sinks are away, and afterwards.

use core::time::Duration;
use std::{net::SocketAddr, sync::Arc};

use flk_ingest::{Limits, MetricsAuth, app, router::Eventual, serve};
use flk_log::SystemClock;
use flk_service::{health::Check, metrics::Metrics};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    records::{good, id},
    world::Setup,
};

struct Answer {
    status: u16,
    retry_after: Option<String>,
    body: Value,
}

/// Asks on a thread that may wait.
async fn call(address: SocketAddr, path: &str, body: Option<String>) -> Answer {
    let url = format!("http://{address}{path}");
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = match body {
            Some(body) => agent.post(&url).send(body).unwrap(),
            None => agent.get(&url).call().unwrap(),
        };
        let header = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let text = response.body_mut().read_to_string().unwrap();
        Answer {
            status: response.status().as_u16(),
            retry_after: header,
            body: serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")),
        }
    });
    asked.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_settles_records_go_into_the_log_and_clients_come_back_in_a_minute() {
    let clock = Arc::new(SystemClock);
    let eventual = Arc::new(Eventual::new(clock, || vec![Check::ok("lifecycle")]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (metrics, stop) = (Metrics::new(), CancellationToken::new());
    let limits = Limits { answer: Duration::from_secs(7), ..Limits::default() };
    let router = app(eventual.clone(), metrics.clone(), limits, MetricsAuth::open());
    let served = tokio::spawn(serve(listener, router, metrics, limits, stop.clone()));

    // Kafka has not answered yet.
    let early = call(address, "/v1/pcs/submit", Some(good("a"))).await;
    assert_eq!((early.status, early.body["code"].as_str()), (503, Some("log_closed")));
    assert_eq!((early.body["durable"].as_bool(), early.retry_after.as_deref()), (Some(false), Some("60")));
    assert_eq!(call(address, "/v1/records/0/0", None).await.status, 503);
    eventual.waits_for("Kafka has not answered: tried three times");
    let ready = call(address, "/readyz", None).await;
    assert_eq!((ready.status, ready.body["checks"]["lifecycle"]["ok"].as_bool()), (503, Some(true)));
    assert_eq!(ready.body["checks"]["log"]["detail"], "Kafka has not answered: tried three times");
    assert_eq!(call(address, "/readyz?scope=local", None).await.status, 200);

    let mut world = Setup::shared("http").start().await;
    world.mark(0).await;
    eventual.begin(world.router.clone());
    assert_eq!(call(address, "/readyz", None).await.status, 200);

    // Verifiers and sinks are away.
    let away = call(address, "/v1/pcs/submit", Some(good("a"))).await;
    assert_eq!((away.status, away.body["code"].as_str()), (503, Some("verdict_late")), "{}", away.body);
    assert_eq!((away.body["durable"].as_bool(), away.retry_after.as_deref()), (Some(true), Some("60")));
    let raw = world.raw().await;
    assert_eq!(away.body["wal"], serde_json::to_value(&raw.origin).unwrap());
    let ready = call(address, "/readyz", None).await;
    assert_eq!((ready.status, ready.body["checks"]["verdicts"]["ok"].as_bool()), (503, Some(false)));
    let path = format!("/v1/records/{}/{}", raw.origin.position.partition, raw.origin.position.offset);
    assert_eq!(call(address, &path, None).await.body["state"], "pending");
    assert_eq!(call(address, &format!("/v1/pcs/{}", id(&good("a"))), None).await.status, 404);

    // They are back: what is in the log is settled, and a retry gets it.
    let settled = world.settles(&raw);
    world.publish(&settled).await;
    let raws = world.take_raws();
    let world = Arc::new(world);
    world.answer(raw.reply_id(), &raw.origin, &world.decide(&raw, None)).await;
    let settling = world.settle_all(raws);
    let settled = call(address, "/v1/pcs/submit", Some(good("b"))).await;
    assert_eq!((settled.status, settled.body["duplicate"].as_bool()), (200, Some(false)), "{}", settled.body);
    assert_eq!(call(address, &path, None).await.body["state"], "settled");
    assert_eq!(call(address, &format!("/v1/pcs/{}", id(&good("a"))), None).await.status, 200);
    assert_eq!(call(address, "/readyz", None).await.status, 200);
    settling.abort();
    stop.cancel();
    served.await.unwrap();
}
