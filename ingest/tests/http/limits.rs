//! Admission: size, time, rate, requests and bytes in flight.

use std::time::{Duration, Instant};

use flk_contract::limits::BODY_BYTES_MAX;
use flk_ingest::Limits;
use serde_json::json;

use crate::{
    Service,
    client::{Call, Reply, Socket, post},
    memory::Memory,
    records::good,
    until,
};

const MORE: usize = BODY_BYTES_MAX + 1;

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_read() {
    let service = Service::limited(Limits::default()).await;
    let mut socket = Socket::open(service.address).await;
    socket.send(format!("POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\ncontent-length: {MORE}\r\n\r\n")).await;
    let reply = socket.reply().await;
    reply.problem(413, "body_too_large");
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(socket.rest().await.is_empty());
    assert!(service.memory.taken().is_empty());
}

#[tokio::test]
async fn whoever_asks_first_is_told_before_sending_the_body() {
    let service = Service::limited(Limits::default()).await;
    let head = |length: usize| {
        format!("POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
    };
    let mut socket = Socket::open(service.address).await;
    socket.send(head(2)).await;
    assert_eq!(socket.reply().await.status, 100);
    socket.send("{}").await;
    socket.reply().await.problem(400, "malformed");
    let mut socket = Socket::open(service.address).await;
    socket.send(head(MORE)).await;
    socket.reply().await.problem(413, "body_too_large");
}

#[tokio::test]
async fn a_client_that_keeps_sending_hears_413_all_the_same() {
    let service = Service::limited(Limits::default()).await;
    for _ in 0..8 {
        let reply = Call::post(vec![b' '; 3 * MORE]).to(&service).await;
        reply.problem(413, "body_too_large");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_refused_while_it_is_read() {
    let service = Service::limited(Limits::default()).await;
    let mut socket = Socket::open(service.address).await;
    socket.send("POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = [format!("{MORE:x}\r\n").into_bytes(), vec![b' '; MORE], b"\r\n0\r\n\r\n".to_vec()].concat();
    socket.send(chunk).await;
    socket.reply().await.problem(413, "body_too_large");
}

#[tokio::test]
async fn the_largest_body_is_read_in_either_framing() {
    let service = Service::limited(Limits::default()).await;
    let most = vec![b' '; BODY_BYTES_MAX];
    Call::post(most.clone()).to(&service).await.problem(400, "malformed");
    let mut socket = Socket::open(service.address).await;
    let head = "POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\ntransfer-encoding: chunked\r\n\r\n";
    socket
        .send([head.as_bytes(), format!("{BODY_BYTES_MAX:x}\r\n").as_bytes(), &most, b"\r\n0\r\n\r\n"].concat())
        .await;
    socket.reply().await.problem(400, "malformed");
    assert!(service.memory.taken().iter().all(|record| record.body == most));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let service = Service::limited(Limits { body_read: Duration::from_millis(50), ..Limits::default() }).await;
    let mut socket = Socket::open(service.address).await;
    socket.send("POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\ncontent-length: 9\r\n\r\n{\"a\"").await;
    let reply = socket.reply().await;
    reply.problem(408, "body_timeout");
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(socket.rest().await.is_empty());
    assert_eq!(service.metric("flk_requests_in_flight"), 0.0);
}

#[tokio::test]
async fn over_the_rate_is_429_and_a_burst_is_twice_the_rate() {
    let service = Service::limited(Limits { token_rate: 1, ..Limits::default() }).await;
    let begun = Instant::now();
    let mut taken = 0;
    let reply = loop {
        let reply = Call::post(good(&taken.to_string())).to(&service).await;
        if reply.status != 200 {
            break reply;
        }
        taken += 1;
    };
    reply.problem(429, "rate_limited");
    assert_eq!(reply.header("retry-after"), Some("10"));
    assert!(taken >= 2 && taken <= 3 + begun.elapsed().as_secs(), "{taken} in {:?}", begun.elapsed());
    assert_eq!(service.metric("flk_shed_total{reason=\"rate\"}"), 1.0);
    assert_eq!(Call::get("/v1/pcs/x").to(&service).await.status, 404, "only submissions are limited");
    assert_eq!(service.memory.taken().len() as u64, taken);
}

#[tokio::test]
async fn no_rate_is_no_limit() {
    let service = Service::limited(Limits { token_rate: 0, ..Limits::default() }).await;
    let mut socket = Socket::open(service.address).await;
    for _ in 0..100 {
        socket.send(post(b"{}", "")).await;
        assert_eq!(socket.reply().await.status, 400);
    }
}

#[track_caller]
fn is_shed(reply: &Reply, code: &str) {
    let problem = reply.problem(503, code);
    assert_eq!((&problem["durable"], problem.get("wal")), (&json!(false), None));
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn over_the_requests_in_flight_is_503_before_the_body_is_read() {
    let service = Service::limited(Limits { requests: 2, ..Limits::default() }).await;
    service.memory.durable.send_replace(false);
    let mut waiting = Vec::new();
    for shard in ["a", "b"] {
        let mut socket = Socket::open(service.address).await;
        socket.send(post(good(shard).as_bytes(), "")).await;
        waiting.push(socket);
    }
    until("two are in flight", || service.memory.taken().len() == 2).await;
    let mut third = Socket::open(service.address).await;
    // Its body never comes: it is turned away without it.
    third.send("POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\ncontent-length: 9\r\n\r\n").await;
    is_shed(&third.reply().await, "overloaded_requests");
    assert_eq!(service.metric("flk_shed_total{reason=\"requests\"}"), 1.0);
    assert_eq!(service.metric("flk_requests_in_flight"), 2.0);
    assert_eq!(Call::get("/livez").to(&service).await.status, 200, "probes are never shed");
    service.memory.durable.send_replace(true);
    for socket in &mut waiting {
        assert_eq!(socket.reply().await.status, 200);
    }
    assert_eq!(Call::post(good("c")).to(&service).await.status, 200);
}

#[tokio::test]
async fn bytes_in_flight_count_what_is_declared_or_the_most_there_can_be() {
    let service = Service::limited(Limits { bytes: 2 * BODY_BYTES_MAX, ..Limits::default() }).await;
    let mut declared = Socket::open(service.address).await;
    declared
        .send(format!("POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\ncontent-length: {BODY_BYTES_MAX}\r\n\r\n"))
        .await;
    let mut unknown = Socket::open(service.address).await;
    let chunked = "POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\ntransfer-encoding: chunked\r\n\r\n";
    unknown.send(chunked).await;
    until("both are in flight", || service.metrics.bytes_in_flight.get() == 2 * BODY_BYTES_MAX as i64).await;
    is_shed(&Call::post("{}").to(&service).await, "overloaded_bytes");
    assert_eq!(service.metric("flk_shed_total{reason=\"bytes\"}"), 1.0);
    unknown.send("2\r\n{}\r\n0\r\n\r\n").await;
    unknown.reply().await.problem(400, "malformed");
    Call::post("{}").to(&service).await.problem(400, "malformed");
    drop(declared);
    until("a client that went away holds nothing", || service.metrics.bytes_in_flight.get() == 0).await;
}

#[tokio::test]
async fn bytes_a_second_are_bounded_too() {
    let service = Service::limited(Limits { byte_rate: Some(1), ..Limits::default() }).await;
    let largest = vec![b' '; BODY_BYTES_MAX];
    let mut taken = 0;
    // Two are a burst; on a machine that is busy time for another may pass meanwhile.
    let shed = loop {
        let reply = Call::post(largest.clone()).to(&service).await;
        if reply.status == 503 {
            break reply;
        }
        reply.problem(400, "malformed");
        taken += 1;
    };
    is_shed(&shed, "overloaded_bytes");
    assert!(taken >= 2, "{taken}");
    assert_eq!(service.metric("flk_shed_total{reason=\"bytes\"}"), 1.0);
    assert_eq!((service.metric("flk_bytes_in_flight"), service.metric("flk_requests_in_flight")), (0.0, 0.0));
}

#[tokio::test]
async fn while_verdicts_come_too_late_whoever_would_wait_is_turned_away_before_the_log() {
    let service = Service::start(Memory::new()).await;
    service.memory.be_late(true);
    for prefer in ["", "prefer: wait=5\r\n"] {
        let mut socket = Socket::open(service.address).await;
        socket.send(post(good("a").as_bytes(), prefer)).await;
        let reply = socket.reply().await;
        let problem = reply.problem(503, "overloaded_verdicts");
        assert_eq!((&problem["durable"], problem.get("wal")), (&json!(false), None));
        assert_eq!(reply.header("retry-after"), Some("5"));
    }
    assert_eq!((service.memory.taken_count(), service.metric("flk_shed_total{reason=\"verdicts\"}")), (0, 2.0));
    let mut socket = Socket::open(service.address).await;
    socket.send(post(good("b").as_bytes(), "prefer: respond-async\r\n")).await;
    assert_eq!(socket.reply().await.status, 202, "whoever does not wait does not mind");
    service.memory.be_late(false);
    assert_eq!(Call::post(good("a")).to(&service).await.status, 200);
}

#[tokio::test]
async fn bodies_of_clients_that_went_away_count_for_as_long_as_the_log_holds_them() {
    const BODIES: usize = 8;
    let service = Service::limited(Limits { bytes: BODIES * BODY_BYTES_MAX, ..Limits::default() }).await;
    service.memory.durable.send_replace(false);
    let largest = post(&vec![b' '; BODY_BYTES_MAX], "");
    for taken in 1..=BODIES {
        let mut socket = Socket::open(service.address).await;
        socket.send(&largest).await;
        until("the log has it", || service.memory.taken_count() == taken).await;
    }
    until("all clients are gone", || service.metrics.requests_in_flight.get() == 0).await;
    for _ in 0..3 {
        is_shed(&Call::post("{}").to(&service).await, "overloaded_bytes");
    }
    assert_eq!(service.metric("flk_bytes_in_flight"), (BODIES * BODY_BYTES_MAX) as f64);
    assert_eq!(service.memory.taken_count(), BODIES);
    service.memory.durable.send_replace(true);
    until("the log has let go", || service.metrics.bytes_in_flight.get() == 0).await;
    assert_eq!(Call::post(good("a")).to(&service).await.status, 200);
}
