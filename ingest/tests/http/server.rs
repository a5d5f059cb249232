//! The server underneath: slow and idle clients, the cap on connections, stopping.

use std::{sync::Arc, time::Duration};

use flk_ingest::{Limits, MetricsAuth, app, serve};
use flk_service::{
    Metrics,
    lifecycle::{Deadlines, Lifecycle, Phase, Supervisor},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    DEADLINE, Service,
    client::{Call, Socket, get, post},
    memory::Memory,
    records::good,
    until, within,
};

const SHORT: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_header_that_does_not_come_closes_the_connection() {
    let service = Service::limited(Limits { header_read: SHORT, ..Limits::default() }).await;
    for begun in ["", "GET /health HTTP/1.1\r\nhost: f"] {
        let mut socket = Socket::open(service.address).await;
        socket.send(begun).await;
        assert!(socket.rest().await.is_empty(), "{begun:?}");
    }
    until("no connection is left", || service.metrics.connections.get() == 0).await;
}

#[tokio::test]
async fn bytes_now_and_then_do_not_keep_a_slow_header_alive() {
    let service = Service::limited(Limits { header_read: SHORT, ..Limits::default() }).await;
    let mut socket = Socket::open(service.address).await;
    socket.send("GET /health HTTP/1.1\r\n").await;
    let dripping = async {
        use tokio::io::AsyncWriteExt as _;
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while socket.0.write_all(b"a: b\r\n").await.is_ok() {
            tick.tick().await;
        }
    };
    within("the server gives up", dripping).await;
    until("no connection is left", || service.metrics.connections.get() == 0).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let service = Service::limited(Limits { header_read: SHORT, ..Limits::default() }).await;
    let mut socket = Socket::open(service.address).await;
    socket.send(get("/health")).await;
    assert_eq!(socket.reply().await.status, 200);
    assert!(socket.rest().await.is_empty());
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_not_waited_for() {
    let limits = Limits { write_stall: SHORT, ..Limits::default() };
    let service = Service::limited(limits).await;
    let socket = Socket::open(service.address).await;
    let asking = async {
        use tokio::io::AsyncWriteExt as _;
        let mut socket = socket.0;
        // Answers fill the buffers of both sides, and nobody reads them.
        while socket.write_all(get("/openapi.json").as_bytes()).await.is_ok() {}
    };
    within("the server gives up", asking).await;
    until("no connection is left", || service.metrics.connections.get() == 0).await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let service = Service::limited(Limits { connections: 2, ..Limits::default() }).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut socket = Socket::open(service.address).await;
        socket.send(get("/health")).await;
        assert_eq!(socket.reply().await.status, 200);
        open.push(socket);
    }
    for turned_away in 1..=3 {
        let reply = Call::post(good("a")).to(&service).await;
        let problem = reply.problem(503, "overloaded_connections");
        assert_eq!(problem["durable"], false);
        assert_eq!((reply.header("retry-after"), reply.header("connection")), (Some("1"), Some("close")));
        assert_eq!(service.metric("flk_shed_total{reason=\"connections\"}"), f64::from(turned_away));
    }
    assert_eq!(service.metric("flk_connections"), 2.0);
    drop(open.pop());
    until("a place is free", || service.metrics.connections.get() == 1).await;
    assert_eq!(Call::get("/health").to(&service).await.status, 200);
}

#[tokio::test]
async fn many_that_are_turned_away_cost_no_more_than_a_few() {
    let service = Service::limited(Limits { connections: 0, ..Limits::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(service.address).await.unwrap());
    }
    until("all are turned away", || service.metric("flk_shed_total{reason=\"connections\"}") >= 300.0).await;
    let mut last = Socket::open(service.address).await;
    last.reply().await.problem(503, "overloaded_connections");
    assert_eq!(service.stopped().await.dropped, 0);
}

#[tokio::test]
async fn stopping_answers_what_is_in_flight_and_closes_the_rest() {
    let service = Service::start(Memory::new()).await;
    service.memory.durable.send_replace(false);
    let mut idle = Socket::open(service.address).await;
    idle.send(get("/health")).await;
    assert_eq!(idle.reply().await.status, 200);
    let mut silent = Socket::open(service.address).await;
    let mut waiting = Socket::open(service.address).await;
    waiting.send(post(good("a").as_bytes(), "")).await;
    until("it is in flight", || service.memory.taken().len() == 1).await;
    until("all are accepted", || service.metrics.connections.get() == 3).await;
    service.stop.cancel();
    assert!(idle.rest().await.is_empty());
    assert!(silent.rest().await.is_empty());
    within("no new connections", async { while TcpStream::connect(service.address).await.is_ok() {} }).await;
    assert!(!service.served.is_finished(), "one request is in flight");
    service.memory.durable.send_replace(true);
    let reply = waiting.reply().await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert_eq!(service.stopped().await.dropped, 0);
}

#[tokio::test]
async fn while_load_balancers_look_away_requests_are_taken_and_every_answer_is_the_last_of_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (lifecycle, metrics, limits) = (Lifecycle::new(), Metrics::new(), Limits::default());
    let router = app(Arc::new(Memory::new()), metrics.clone(), limits, MetricsAuth::open());
    let served = tokio::spawn(serve(listener, router, metrics, limits, lifecycle.clone()));
    let supervisor = Supervisor::new(lifecycle.clone(), Deadlines { drain_delay: DEADLINE, ..Deadlines::default() });
    let (_signal, signals) = mpsc::channel(1);
    let supervised = tokio::spawn(supervisor.run(signals));
    let mut kept = Socket::open(address).await;
    kept.send(get("/health")).await;
    assert_eq!(kept.reply().await.header("connection"), None);

    lifecycle.stop();
    within("load balancers look away", lifecycle.phases().wait_for(|phase| *phase == Phase::NotReady)).await.unwrap();
    for mut socket in [kept, Socket::open(address).await] {
        socket.send(post(good("a").as_bytes(), "")).await;
        let reply = socket.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
        assert!(socket.rest().await.is_empty(), "it is closed");
    }
    assert!(!served.is_finished() && !supervised.is_finished());
    served.abort();
    supervised.abort();
}

#[tokio::test]
async fn stopping_ends_at_its_deadline() {
    let limits = Limits { drain: SHORT, answer: DEADLINE, ..Limits::default() };
    let service = Service::with(Memory::new(), limits, MetricsAuth::open()).await;
    service.memory.durable.send_replace(false);
    let mut waiting = Socket::open(service.address).await;
    waiting.send(post(good("a").as_bytes(), "")).await;
    until("it is in flight", || service.memory.taken().len() == 1).await;
    let metrics = service.metrics.clone();
    assert_eq!(service.stopped().await.dropped, 1);
    assert!(waiting.rest().await.is_empty());
    assert_eq!((metrics.connections.get(), metrics.requests_in_flight.get()), (0, 0));
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_record_and_nothing_else() {
    let service = Service::start(Memory::new()).await;
    service.memory.durable.send_replace(false);
    let mut socket = Socket::open(service.address).await;
    socket.send(post(good("a").as_bytes(), "")).await;
    until("it is in flight", || service.memory.taken().len() == 1).await;
    drop(socket);
    until("nothing is in flight", || service.metrics.requests_in_flight.get() == 0).await;
    assert_eq!(service.metric("http_requests_total{code=\"499\",route=\"/v1/pcs/submit\"}"), 1.0);
    service.memory.durable.send_replace(true);
    let retried = Call::post(good("a")).to(&service).await;
    assert_eq!((retried.status, &retried.json()["duplicate"]), (200, &true.into()), "a retry is safe");
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let service = Service::start(Memory::new()).await;
    for (bytes, status) in [("\u{16}\u{3}\u{1}\0", 400), ("GET / HTTP/9.9\r\n\r\n", 400), ("GET /\r\n\r\n", 400)] {
        let mut socket = Socket::open(service.address).await;
        socket.send(bytes).await;
        assert_eq!(socket.reply().await.status, status, "{bytes:?}");
    }
    let many = (0..101).map(|n| format!("h{n}: v\r\n")).collect::<String>();
    let too_much = [
        format!("GET /health HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(70_000)),
        format!("GET /health HTTP/1.1\r\n{many}\r\n"),
        format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000)),
    ];
    for bytes in too_much {
        let mut socket = Socket::open(service.address).await;
        socket.send(bytes).await;
        let reply = socket.reply().await;
        // Before there is a request: hyper's own words, which are none.
        assert_eq!((reply.status, reply.text().as_str(), reply.header("connection")), (431, "", Some("close")));
        assert!(reply.header("x-request-id").is_none() && socket.rest().await.is_empty());
    }
    assert_eq!(Call::get("/health").to(&service).await.status, 200);
}

#[tokio::test]
async fn what_follows_a_request_of_two_lengths_is_never_taken_for_another() {
    let service = Service::start(Memory::new()).await;
    let (length, chunked) = ("content-length: 14\r\n", "transfer-encoding: chunked\r\n");
    let lengths = [[length, chunked], [chunked, length], [chunked, "content-length: nonsense\r\n"]];
    for (n, [one, two]) in lengths.into_iter().enumerate() {
        let mut socket = Socket::open(service.address).await;
        let body = "2\r\n{}\r\n0\r\n\r\n";
        let request = format!("POST /v1/pcs/submit HTTP/1.1\r\nhost: flk\r\n{one}{two}\r\n{body}");
        socket.send([request, get("/health")].concat()).await;
        let reply = socket.reply().await;
        reply.problem(400, "malformed");
        assert_eq!(reply.header("connection"), Some("close"), "{one}{two}");
        assert!(socket.rest().await.is_empty(), "{one}{two}");
        let taken = service.memory.taken();
        assert_eq!((taken.len(), &taken[n].body[..]), (n + 1, b"{}".as_slice()), "by its chunks: {one}{two}");
    }
}

#[tokio::test]
async fn a_panic_costs_one_connection_and_is_counted() {
    let service = Service::start(Memory::new()).await;
    service.memory.panic_once();
    let mut socket = Socket::open(service.address).await;
    socket.send(post(good("a").as_bytes(), "")).await;
    assert!(socket.rest().await.is_empty());
    until("nothing is in flight", || service.metrics.connections.get() == 0).await;
    assert_eq!(service.metric("http_requests_total{code=\"500\",route=\"/v1/pcs/submit\"}"), 1.0);
    assert_eq!((service.metric("flk_requests_in_flight"), service.metric("flk_bytes_in_flight")), (0.0, 0.0));
    assert_eq!(Call::post(good("a")).to(&service).await.status, 200);
}
