//! SIGTERM: what was accepted is answered, whoever comes later is not cut in the middle, and the
//! exit code is 0.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use flk_tests::{Client, Cut, DEADLINE, Pcs, Request, Response, Setup, log, shim::Shim, until};

#[test]
fn requests_in_flight_at_sigterm_are_answered_and_the_exit_code_is_0() {
    const IN_FLIGHT: usize = 20;
    let disk = Shim::compile("fsync");
    let mut service = Setup::hmac().preload(disk.library()).env("FLK_SHIM", disk.control()).start();
    let records: Vec<Pcs> = (0..IN_FLIGHT).map(|_| Pcs::fresh()).collect();
    disk.say("stall");
    let addr = service.addr();
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            records.iter().map(|pcs| scope.spawn(move || Client::new(addr).call(&Request::submit(pcs)))).collect();
        let in_flight = || service.metrics().value("flk_requests_in_flight") == IN_FLIGHT as f64;
        until("all are in flight", DEADLINE, in_flight);
        service.sigterm();
        until("it has heard", DEADLINE, || service.said().contains("draining"));
        disk.rest();
        for answer in asked {
            assert_eq!(answer.join().unwrap().expect(200).code(), "ok");
        }
    });
    assert_eq!(service.wait().code(), Some(0), "{}", service.said());
    assert_eq!(log::records(service.data()).len(), IN_FLIGHT);
    service.start();
    for pcs in &records {
        let _ = service.result(pcs.id()).expect(200);
    }
}

/// One request under load: when it was begun, and what came.
struct Asked {
    begun: Instant,
    pcs: Pcs,
    came: Result<Response, Cut>,
}

/// Clients that send one request after the other until the service is gone.
fn under_load(setup: Setup, ask: impl Fn(&mut Client, &Request) -> Result<Response, Cut> + Sync) {
    let mut service = setup.start();
    let (stop, answers, asked) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(Vec::new()));
    let addr = service.addr();
    let signalled = std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut client = Client::new(addr);
                while !stop.load(Ordering::Relaxed) {
                    let pcs = Pcs::fresh();
                    let begun = Instant::now();
                    let came = ask(&mut client, &Request::submit(&pcs));
                    answers.fetch_add(1, Ordering::Relaxed);
                    let gone = came.is_err();
                    asked.lock().unwrap().push(Asked { begun, pcs, came });
                    if gone {
                        return;
                    }
                }
            });
        }
        until("the clients are answered", DEADLINE, || answers.load(Ordering::Relaxed) >= 500);
        let signalled = Instant::now();
        service.sigterm();
        assert_eq!(service.wait().code(), Some(0), "{}", service.said());
        stop.store(true, Ordering::Relaxed);
        signalled
    });
    let asked = asked.into_inner().unwrap();
    service.start();
    let (mut after, mut cut) = (0, 0);
    for asked in &asked {
        let late = asked.begun >= signalled;
        after += u32::from(late);
        match &asked.came {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{answer}");
                assert_eq!(service.result(asked.pcs.id()).expect(200).field("origin"), answer.field("origin"));
            }
            Err(came) => {
                cut += 1;
                assert_eq!(came.answered, 0, "an answer was cut in the middle: {came}");
                assert!(
                    late || came.sent.is_none_or(|sent| sent >= signalled),
                    "sent {:?} before SIGTERM, and never answered: {came}",
                    signalled.saturating_duration_since(asked.begun)
                );
            }
        }
    }
    assert!(asked.len() > 500 && after + cut > 0, "{} asked, {after} after SIGTERM, {cut} not answered", asked.len());
}

#[test]
fn under_load_on_kept_connections_no_request_sent_before_sigterm_is_lost() {
    for _ in 0..3 {
        under_load(Setup::hmac(), |client, request| client.send(request));
    }
}

#[test]
fn under_load_on_new_connections_no_request_sent_before_sigterm_is_lost() {
    for _ in 0..3 {
        under_load(Setup::hmac(), |client, request| {
            let addr = client.to();
            Client::new(addr).send(request)
        });
    }
}

#[test]
fn while_load_balancers_look_away_requests_are_still_taken() {
    let mut service = Setup::hmac().env("FLK_DRAIN_DELAY", "2s").start();
    let mut kept = service.client();
    let _ = kept.call(&Request::submit(Pcs::fresh())).expect(200);
    service.sigterm();
    let mut probe = service.client();
    until("readiness says no", DEADLINE, || probe.call(&Request::get("/readyz")).status == 503);
    let kept = kept.call(&Request::submit(Pcs::fresh())).expect(200);
    assert_eq!(kept.header("connection"), Some("close"), "the next request may go elsewhere");
    let _ = service.submit(Pcs::fresh()).expect(200);
    assert_eq!(service.get("/livez").expect(200).text(), "OK", "it is alive all the same");
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn what_was_told_asynchronously_is_there_after_sigterm() {
    let mut service = Setup::hmac().start();
    let mut client = service.client();
    let told: Vec<Response> =
        (0..200).map(|_| client.call(&Request::submit(Pcs::fresh()).prefer("respond-async")).expect(202)).collect();
    assert_eq!(service.terminate().code(), Some(0));
    service.start();
    for answer in told {
        assert_eq!(service.get(answer.header("location").unwrap()).expect(200).field("state"), "settled");
    }
}

#[test]
fn after_an_orderly_end_the_log_is_one_file_that_any_tool_can_read() {
    let mut service = Setup::hmac().start();
    let _ = service.submit(Pcs::fresh()).expect(200);
    // Also where it was read from meanwhile.
    let _ = service.record_at(0, 1).expect(200);
    assert_eq!(service.terminate().code(), Some(0));
    let mut files: Vec<String> = std::fs::read_dir(service.data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("log.db"))
        .collect();
    files.sort();
    assert_eq!(files, ["log.db"]);
    assert_eq!(log::records(service.data()).len(), 1);
}

#[test]
fn idle_and_slow_clients_do_not_hold_up_the_end() {
    let mut service = Setup::hmac().start();
    let mut held: Vec<Client> = (0..50).map(|_| Client::connected(service.addr())).collect();
    for (n, client) in held.iter_mut().enumerate() {
        match n % 3 {
            0 => drop(client.call(&Request::get("/health"))),
            1 => client.write(b"GET /health HT").unwrap(),
            _ => {}
        }
    }
    let begun = Instant::now();
    assert_eq!(service.terminate().code(), Some(0), "{}", service.said());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_body_that_never_ends_does_not_hold_up_the_end() {
    let mut service = Setup::hmac().start();
    let mut slow = Client::connected(service.addr());
    slow.write(b"POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{").unwrap();
    until("it is in flight", DEADLINE, || service.metrics().value("flk_requests_in_flight") == 1.0);
    let begun = Instant::now();
    assert_eq!(service.terminate().code(), Some(0), "{}", service.said());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn sigterm_at_any_moment_of_a_start_ends_it() {
    let mut service = Setup::hmac().start();
    let mut client = service.client();
    (0..300).for_each(|_| drop(client.call(&Request::submit(Pcs::fresh())).expect(200)));
    service.kill9();
    for moment in 0..12 {
        service.launch("127.0.0.1:0");
        let begun = Instant::now();
        until("a moment of the start", DEADLINE, || begun.elapsed() >= Duration::from_millis(moment * 3));
        service.sigterm();
        // By its own handler, or before there is one by the system's.
        let status = service.wait();
        assert!(matches!(status.code(), Some(0) | None), "{status}: {}", service.said());
    }
    service.start();
    assert_eq!(log::records(service.data()).len(), 300);
}

#[test]
fn a_second_signal_ends_it_at_once_and_nothing_told_is_lost() {
    let disk = Shim::compile("fsync");
    let mut service = Setup::hmac().preload(disk.library()).env("FLK_SHIM", disk.control()).start();
    let pcs = Pcs::fresh();
    let told = service.submit(&pcs).expect(200);
    disk.say("stall");
    let addr = service.addr();
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || Client::new(addr).send(&Request::submit(Pcs::fresh())));
        until("it is in flight", DEADLINE, || service.metrics().value("flk_requests_in_flight") == 1.0);
        service.sigterm();
        until("it has heard", DEADLINE, || service.said().contains("draining"));
        assert!(service.ended().is_none(), "it waits for the request");
        service.sigterm();
        assert_ne!(service.wait().code(), Some(0), "not everything was done");
        assert!(asked.join().unwrap().is_err(), "what was not durable was not told");
    });
    disk.rest();
    service.start();
    assert_eq!(service.result(pcs.id()).expect(200).field("origin"), told.field("origin"));
}
