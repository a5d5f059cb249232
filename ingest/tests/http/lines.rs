//! The service's own log: one line a request, and nothing in it that was not meant to be.

use std::{
    cell::RefCell,
    io::Write,
    sync::{Arc, Mutex, OnceLock},
};

use flk_log::AppendError;
use serde_json::{Value, json};
use tracing::Level;

use crate::{
    Service,
    client::{Call, Socket, get, post},
    memory::{Fails, Memory},
    records::{good, id, signed},
    until,
};

thread_local! {
    /// Where this thread's lines go. A service's tasks run on the thread of its test.
    static KEPT: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// One subscriber for all tests, before the first of them logs: one a test would race with the
/// others for what tracing remembers about each place that logs.
pub(crate) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(Level::TRACE)
            .with_writer(Lines::of_thread)
            .init();
    });
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Forgets where this thread's lines go.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        KEPT.set(None);
    }
}

impl Lines {
    /// What this thread logs from now on.
    fn kept() -> (Self, Guard) {
        let lines = Self::default();
        KEPT.set(Some(lines.clone()));
        (lines, Guard)
    }

    /// Lines that nobody keeps go nowhere.
    fn of_thread() -> Self {
        KEPT.with_borrow(|kept| kept.clone().unwrap_or_default())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines about requests.
    fn requests(&self) -> Vec<Value> {
        let lines: Vec<Value> = self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.into_iter().filter(|line| line["message"] == "request").collect()
    }

    /// Those of them that an operator sees by default.
    fn informing(&self) -> Vec<Value> {
        self.requests()
            .into_iter()
            .filter(|line| !["DEBUG", "TRACE"].contains(&line["level"].as_str().unwrap()))
            .collect()
    }
}

#[tokio::test]
async fn a_request_is_one_line_that_says_what_is_known() {
    let (lines, _guard) = Lines::kept();
    let service = Service::start(Memory::new()).await;
    let record = good("a");
    Call::post(record.clone()).header("x-request-id", "r1").to(&service).await;
    Call::post("{}").header("x-request-id", "r2").header("x-tenant-id", "claimed").to(&service).await;
    Call::get(format!("/v1/pcs/{}", id(&record))).header("x-request-id", "r3").to(&service).await;
    Call::get("/health").to(&service).await;
    assert_eq!(lines.requests().len(), 4, "one each: {}", lines.text());
    let lines = lines.informing();
    let [good, malformed, read] = &lines[..] else { panic!("three lines in {lines:?}") };
    for (line, expected) in [
        (
            good,
            json!({"level": "INFO", "request_id": "r1", "route": "/v1/pcs/submit", "status": 200, "code": "ok",
                   "state": "settled", "pcs_id": id(&record), "tenant": "default", "partition": 0, "offset": 1}),
        ),
        (
            malformed,
            json!({"level": "INFO", "request_id": "r2", "route": "/v1/pcs/submit", "status": 400, "code": "malformed",
                   "partition": 0, "offset": 2}),
        ),
        (
            read,
            json!({"request_id": "r3", "route": "/v1/pcs/{pcs_id}", "status": 200, "code": "ok", "pcs_id": id(&record)}),
        ),
    ] {
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&line[name], value, "{name} in {line}");
        }
        assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    }
    assert!(good["durable_ms"].is_f64() && good.get("cause").is_none(), "{good}");
    assert!(malformed.get("pcs_id").is_none() && malformed.get("tenant").is_none(), "nothing unverified: {malformed}");
}

#[tokio::test]
async fn no_body_signature_or_key_is_in_any_line() {
    let (lines, _guard) = Lines::kept();
    let service = Service::start(Memory::new()).await;
    let marked = "marker-7f3a";
    let good = signed("a", json!({"note": marked}));
    let bad = good.replace("\"sig\":\"", "\"sig\":\"AAAA");
    let malformed = format!("{{\"{marked}\": ");
    let mut sent = vec![marked.to_owned(), "testsecret".to_owned()];
    for body in [&good, &bad] {
        let body: Value = serde_json::from_str(body).unwrap();
        sent.push(body["sig"].as_str().unwrap().to_owned());
        sent.push(body["merkle_root"].as_str().unwrap().to_owned());
    }
    for body in [&good, &bad, &malformed] {
        Call::post(body.clone()).header("authorization", format!("Bearer {marked}")).to(&service).await;
    }
    Call::get("/v1/pcs/nothing").header("x-tenant-id", format!("no tenant {marked}")).to(&service).await;
    Call::get(format!("/{marked}")).to(&service).await;
    let text = lines.text();
    assert_eq!(lines.requests().len(), 5, "{text}");
    for secret in sent {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn the_level_follows_whose_fault_it_is_and_the_cause_is_told() {
    let (lines, _guard) = Lines::kept();
    let service = Service::start(Memory::new()).await;
    service.memory.fail(AppendError::NotDurable("disk full".into()), Fails::AtTicket);
    Call::post(good("a")).to(&service).await;
    service.memory.fail(AppendError::Full, Fails::AtSubmit);
    Call::post(good("a")).to(&service).await;
    Call::get("/metrics").to(&service).await;
    let lines = lines.requests();
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["WARN", "DEBUG", "DEBUG"], "{lines:?}");
    assert!(lines[0]["cause"].as_str().unwrap().contains("disk full"), "{lines:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_is_told_of_too() {
    let (lines, _guard) = Lines::kept();
    let service = Service::start(Memory::new()).await;
    service.memory.durable.send_replace(false);
    let mut socket = Socket::open(service.address).await;
    socket.send(post(good("a").as_bytes(), "x-request-id: gone\r\n")).await;
    until("it is in flight", || service.memory.taken().len() == 1).await;
    drop(socket);
    until("a line is written", || !lines.requests().is_empty()).await;
    let lines = lines.requests();
    assert_eq!((&lines[0]["code"], &lines[0]["request_id"]), (&json!("client_gone"), &json!("gone")));
    let mut alive = Socket::open(service.address).await;
    alive.send(get("/health")).await;
    assert_eq!(alive.reply().await.status, 200);
}
