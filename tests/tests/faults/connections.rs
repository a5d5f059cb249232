//! Clients that hold connections: many of them, and slow ones.

use std::time::{Duration, Instant};

use flk_tests::{Client, DEADLINE, Pcs, Request, Setup, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const IDLE: usize = 10_000;
/// For the connections, and for files and the rest.
const FILES: u64 = 12_000;

/// This process needs a descriptor a connection too.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    assert!(
        limit.maximum.is_none_or(|hard| hard >= FILES),
        "at most {} files may be open here, and {IDLE} idle connections need {FILES}: raise the hard limit (nofile in \
         /etc/security/limits.conf, LimitNOFILE= of systemd, --ulimit nofile={FILES} of a container)",
        limit.maximum.unwrap_or_default()
    );
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

#[test]
fn ten_thousand_idle_connections_take_nothing_from_those_who_ask() {
    raise_own_limit();
    // The service finds the soft limit of a login shell, and raises it itself.
    let service = Setup::hmac().env("FLK_HEADER_TIMEOUT", "5m").soft_files(1024).start();
    let mut idle: Vec<Client> = Vec::with_capacity(IDLE);
    for n in 0..IDLE {
        let mut client = Client::connected(service.addr());
        // Some have asked before; most never say a word.
        if n % 10 == 0 {
            let _ = client.call(&Request::get("/health")).expect(200);
        }
        idle.push(client);
    }
    until("all are connected", DEADLINE, || service.metrics().value("flk_connections") > IDLE as f64);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(service.submit(Pcs::fresh()).expect(200).code(), "ok");
                }
            });
        }
    });
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    let metrics = service.metrics();
    assert_eq!(metrics.value(r#"flk_shed_total{reason="connections"}"#), 0.0);
    let memory = metrics.value("process_resident_memory_bytes") / (1 << 20) as f64;
    println!("{memory:.0} MiB resident with {IDLE} idle connections");
    assert!(memory < 400.0, "{memory} MiB");
    // Any of them may still ask.
    for n in (0..IDLE).step_by(997) {
        assert_eq!(idle[n].call(&Request::submit(Pcs::fresh())).expect(200).code(), "ok");
    }
    drop(idle);
    until("all are gone", DEADLINE, || service.metrics().value("flk_connections") < 10.0);
}

#[test]
fn a_client_that_drips_is_cut_off_and_the_others_do_not_notice() {
    let timeouts = Setup::hmac().env("FLK_HEADER_TIMEOUT", "1s").env("FLK_BODY_TIMEOUT", "1s");
    let service = timeouts.start();
    let drip = |start: &[u8]| {
        let mut client = Client::connected(service.addr());
        client.write(start).unwrap();
        let begun = Instant::now();
        // A byte now and then keeps a naive time-out from ever firing.
        let mut next = begun;
        until("the client is cut off", Duration::from_secs(10), || {
            if Instant::now() >= next {
                next = Instant::now() + Duration::from_millis(100);
                return client.write(b"x").is_err();
            }
            false
        });
        begun.elapsed()
    };
    let head = b"GET /health HTTP/1.1\r\nX-Slow: ";
    let body = b"POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{";
    std::thread::scope(|scope| {
        let slow: Vec<_> = [&head[..], body, b"G"].map(|start| scope.spawn(move || drip(start))).into();
        for _ in 0..20 {
            let _ = service.submit(Pcs::fresh()).expect(200);
        }
        for client in slow {
            let took = client.join().unwrap();
            assert!(took >= Duration::from_millis(500), "{took:?}");
        }
    });
    // A body that is late is told so.
    let mut client = service.client();
    client.write(body).unwrap();
    let answer = client.answer().unwrap().expect(408);
    assert_eq!((answer.code().as_str(), answer.header("connection")), ("body_timeout", Some("close")));
    // A silent one is not kept for ever.
    let mut silent = Client::connected(service.addr());
    assert!(silent.answer().is_err());
    until("nobody is left", DEADLINE, || service.metrics().value("flk_connections") <= 1.0);
    assert_eq!(service.metrics().value("flk_bytes_in_flight"), 0.0, "what a slow body held is given back");
}

#[test]
fn a_client_that_goes_away_in_the_middle_costs_nothing_later() {
    let service = Setup::hmac().start();
    let body = Pcs::fresh().body();
    for end in [10, 60, 200] {
        let bytes = Request::submit(body.clone()).bytes();
        let mut client = Client::connected(service.addr());
        client.write(&bytes[..end]).unwrap();
    }
    // The whole request, and gone before the answer: the record may be there, and counts once.
    let mut client = Client::connected(service.addr());
    client.write(&Request::submit(body.clone()).bytes()).unwrap();
    drop(client);
    until("all are gone", DEADLINE, || service.metrics().value("flk_connections") <= 1.0);
    let _ = service.submit(body).expect(200);
    assert_eq!(service.metrics().value("flk_accepted"), 1.0);
    // The log lets go of a body a moment after its record is told.
    for gauge in ["flk_bytes_in_flight", "flk_requests_in_flight"] {
        until(gauge, DEADLINE, || service.metrics().value(gauge) == 0.0);
    }
}
