//! Contract section 6: methods, sizes, preferences, and everything that is not a record.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use flk_tests::{Client, DEADLINE, Pcs, Request, Response, Service, Setup, record::USUAL, root, until};
use serde_json::Value;

const MIB: usize = 1024 * 1024;

/// RFC 9457, and says what to change.
#[track_caller]
fn is_problem(answer: &Response, status: u16, code: &str) {
    assert_eq!(answer.verdict(), (status, code.to_owned()), "{answer}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer}");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{answer}");
    assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with(code)), "{answer}");
    for field in ["title", "detail"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {answer}");
    }
}

#[test]
fn another_method_is_405_and_allow_names_the_right_ones() {
    let service = Setup::hmac().start();
    for (path, methods, allow) in [
        ("/v1/pcs/submit", &["GET", "PUT", "DELETE", "OPTIONS"][..], "POST"),
        ("/v1/pcs/abc", &["POST", "PUT", "DELETE"], "GET, HEAD"),
        ("/v1/records/0/1", &["POST", "PATCH"], "GET, HEAD"),
        ("/health", &["POST"], "GET, HEAD"),
        ("/metrics", &["DELETE"], "GET, HEAD"),
        ("/readyz", &["POST"], "GET, HEAD"),
        ("/openapi.json", &["PUT"], "GET, HEAD"),
    ] {
        for method in methods {
            let answer = service.call(&Request::new(method, path).body(""));
            is_problem(&answer, 405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        }
    }
    assert!(service.stored_all().is_empty());
}

#[test]
fn an_unknown_path_is_404() {
    let service = Setup::hmac().start();
    for path in ["/", "/v1/pcs", "/v1/pcs/", "/v1/pcs/a/b", "/v2/pcs/submit", "/v1/records/0", "/favicon.ico"] {
        is_problem(&service.get(path), 404, "not_found");
    }
}

#[test]
fn head_is_get_without_its_body() {
    let service = Setup::hmac().start();
    let pcs = Pcs::fresh();
    let wal = service.submit(&pcs).expect(200).field("wal");
    let result = format!("/v1/pcs/{}", pcs.id());
    let place = |beyond: i64| format!("/v1/records/{}/{}", wal["partition"], wal["offset"].as_i64().unwrap() + beyond);
    let (record, none) = (place(0), place(1000));
    for (path, status) in [
        (result.as_str(), 200),
        (record.as_str(), 200),
        ("/health", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/openapi.json", 200),
        ("/v1/pcs/nothing", 404),
        (none.as_str(), 404),
        ("/nothing", 404),
    ] {
        let whole = service.get(path).expect(status);
        // To the end of the connection: there is nothing behind the head.
        let mut stream = TcpStream::connect(service.addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "HEAD {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let mut head = String::new();
        stream.read_to_string(&mut head).unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && head.ends_with("\r\n\r\n"), "{path}: {head}");
        for name in ["content-type", "content-length"] {
            let of_get = whole.header(name).unwrap();
            // Metrics grow with every request.
            let same = head.contains(&format!("\r\n{name}: {of_get}\r\n"));
            assert!(same || (path, name) == ("/metrics", "content-length"), "{path}: {name}: {of_get}, {head}");
        }
    }
}

#[test]
fn a_body_of_one_mib_is_judged_and_one_byte_more_is_413() {
    let service = Setup::hmac().start();
    let mut body = Pcs::fresh().body();
    body.resize(MIB, b' ');
    let _ = service.submit(body.clone()).expect(200);
    body.push(b' ');
    is_problem(&service.submit(body), 413, "body_too_large");
    // Refused by its header alone: not a byte of the body has been sent.
    let mut client = service.client();
    client.write(b"POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n").unwrap();
    is_problem(&client.answer().unwrap(), 413, "body_too_large");
    assert_eq!(service.stored_all().len(), 1, "what is refused by size is not in the log");
}

#[test]
fn a_chunked_body_is_bounded_too() {
    let service = Setup::hmac().start();
    let chunked = |bodies: &[&[u8]]| {
        let mut bytes = b"POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for body in bodies.iter().chain([&&b""[..]]) {
            bytes.extend(format!("{:x}\r\n", body.len()).bytes());
            bytes.extend_from_slice(body);
            bytes.extend(b"\r\n");
        }
        bytes
    };
    let body = Pcs::fresh().body();
    let (one, two) = body.split_at(100);
    let mut client = service.client();
    client.write(&chunked(&[one, two])).unwrap();
    assert_eq!(client.answer().unwrap().expect(200).code(), "ok");
    let part = vec![b' '; MIB / 2];
    let mut client = service.client();
    // The service may stop reading before everything is written: what it answers counts.
    let _ = client.write(&chunked(&[&part, &part, &part]));
    is_problem(&client.answer().unwrap(), 413, "body_too_large");
}

#[test]
fn any_content_type_will_do_as_curl_sends_it() {
    let service = Setup::hmac().start();
    for kind in ["application/x-www-form-urlencoded", "application/json", "text/plain; charset=latin1", "nonsense"] {
        let request = Request::submit(Pcs::fresh()).header("Content-Type", kind).header("Accept", "*/*");
        assert_eq!(service.call(&request).expect(200).code(), "ok", "{kind}");
    }
    // curl waits for this before it sends a large body.
    let body = Pcs::fresh().body();
    let mut client = service.client();
    let head = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.write(head.as_bytes()).unwrap();
    client.write(&body).unwrap();
    let _ = client.answer().unwrap().expect(200);
}

/// What became of a record, once something has.
fn decided(service: &Service, location: &str) -> Value {
    flk_tests::until_some("the record is decided", DEADLINE, || {
        let record = service.get(location).expect(200).json();
        (record["state"] != "pending").then_some(record)
    })
}

#[test]
fn asynchronously_a_record_is_told_its_place_and_found_there() {
    let service = Setup::hmac().start();
    for (body, state, code) in [
        (Pcs::fresh().body(), "settled", "ok"),
        (Pcs::unique().with("regime", "sticky").signed(USUAL).body(), "settled", "regime_mismatch"),
        (Pcs::unique().with("D_hat", 1.9).signed(USUAL).body(), "refused", "d_hat_out_of_tolerance"),
        (Pcs::unique().body(), "refused", "bad_signature"),
        (b"{not json".to_vec(), "refused", "malformed"),
    ] {
        // Always 202 once durable, whatever the record is worth.
        let answer = service.call(&Request::submit(body).prefer("respond-async")).expect(202);
        assert_eq!(answer.field("state"), "pending", "{answer}");
        assert_eq!(answer.header("preference-applied"), Some("respond-async"), "{answer}");
        let wal = answer.field("wal");
        let location = answer.header("location").unwrap();
        assert_eq!(location, format!("/v1/records/{}/{}", wal["partition"], wal["offset"]));
        let record = decided(&service, location);
        assert_eq!((&record["state"], &record["code"]), (&state.into(), &code.into()), "{record}");
        assert_eq!(record["wal"], wal);
        assert_eq!(answer.json().as_object().unwrap().len(), 2, "{answer}");
    }
}

#[test]
fn whoever_can_wait_is_told_the_final_answer() {
    let service = Setup::hmac().start();
    for (prefer, applied) in [
        ("wait=10", "wait=10"),
        ("respond-async, wait=10", "respond-async, wait=10"),
        ("wait=10, respond-async", "respond-async, wait=10"),
        ("wait=9999", "wait=30"),
    ] {
        let pcs = Pcs::fresh();
        let answer = service.call(&Request::submit(&pcs).prefer(prefer)).expect(200);
        assert_eq!((answer.code().as_str(), answer.field("pcs_id")), ("ok", pcs.id().into()), "{prefer}");
        assert_eq!(answer.header("preference-applied"), Some(applied), "{prefer}: {answer}");
        assert_eq!(service.call(&Request::submit("{").prefer(prefer)).expect(400).code(), "malformed");
    }
    // Without any patience it is what is known at once: seldom more than that it has been taken.
    let pcs = Pcs::fresh();
    let answer = service.call(&Request::submit(&pcs).prefer("wait=0"));
    assert!(matches!(answer.verdict(), (200, ok) if ok == "ok") || answer.field("durable") == "unknown", "{answer}");
    let again = service.submit(pcs.retry()).expect(200);
    assert_eq!(again.code(), "ok", "it was not lost");
    // What is not known is no error.
    let answer = service.call(&Request::submit(Pcs::fresh()).prefer("return=minimal")).expect(200);
    assert_eq!(answer.header("preference-applied"), None);
}

#[test]
fn a_problem_is_rfc_9457_and_quotes_nothing_of_the_body() {
    let service = Setup::hmac().start();
    let quiet = "QUOTED-NOWHERE";
    for (body, status, code) in [
        (format!("{{\"{quiet}\": \"{quiet}\", oops").into_bytes(), 400, "malformed"),
        (Pcs::fresh().with("epoch", quiet).body(), 400, "malformed"),
        (Pcs::fresh().with("shard_id", quiet).with("sig", quiet).body(), 401, "bad_signature"),
    ] {
        let answer = service.submit(body);
        is_problem(&answer, status, code);
        assert!(!answer.text().contains(quiet), "{answer}");
        assert!(answer.field("wal")["offset"].is_i64(), "it is in the log, and is told where: {answer}");
    }
    // A judged record echoes its id, and nothing else of what it says.
    let pcs = Pcs::new(quiet, 1).with("regime", quiet).with("extra", quiet).signed(USUAL);
    let answer = service.submit(&pcs).expect(202);
    assert!(!answer.text().contains(quiet), "{answer}");
    assert!(!answer.text().contains(pcs.sig()), "{answer}");
}

#[test]
fn the_process_says_that_it_is_up_and_what_it_depends_on() {
    let service = Setup::hmac().start();
    for path in ["/health", "/livez"] {
        assert_eq!(service.get(path).expect(200).text(), "OK", "{path}");
    }
    for path in ["/readyz", "/readyz?scope=local"] {
        let ready = service.get(path).expect(200).json();
        assert_eq!(ready["status"], "ok", "{ready}");
        let checks = ready["checks"].as_object().unwrap();
        assert!(!checks.is_empty() && checks.values().all(|check| check["ok"] == true), "{ready}");
    }
    let health = |args: &[&str]| flk_tests::setup::run(args, &[]).status.code();
    assert_eq!(health(&["health", &format!("http://{}", service.addr())]), Some(0), "the probe says so too");
    let gone = service.addr();
    drop(service);
    assert_ne!(health(&["health", &format!("http://{gone}")]), Some(0));
}

#[test]
fn the_interface_that_is_served_is_the_one_that_is_published() {
    let service = Setup::hmac().start();
    let served: Value = service.get("/openapi.json").expect(200).json();
    let path = root().join("schemas/openapi.json");
    let published = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(served, serde_json::from_slice::<Value>(&published).unwrap());
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"), "{}", served["openapi"]);
    for path in ["/v1/pcs/submit", "/v1/pcs/{pcs_id}", "/v1/records/{partition}/{offset}", "/readyz", "/metrics"] {
        assert!(served["paths"][path].is_object(), "{path}");
    }
}

#[test]
fn a_request_has_an_id_that_the_answer_the_log_and_the_log_lines_name() {
    let service = Setup::hmac().start();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = Request::submit(Pcs::fresh()).header("X-Request-Id", "job-7.a").header("traceparent", trace);
    let answer = service.call(&request).expect(200);
    assert_eq!(answer.header("x-request-id"), Some("job-7.a"));
    let stored = service.stored(&answer.field("wal")).record;
    assert_eq!((stored.request_id.as_deref(), stored.traceparent.as_deref()), (Some("job-7.a"), Some(trace)));
    line_of(&service, "job-7.a");
    let answer = service.submit(Pcs::fresh()).expect(200);
    let made = answer.header("x-request-id").unwrap().to_owned();
    assert_eq!(service.stored(&answer.field("wal")).record.request_id, Some(made.clone()));
    let line = line_of(&service, &made);
    assert_eq!((&line["code"], &line["status"]), (&"ok".into(), &200.into()), "{line}");
    assert!(line["pcs_id"].is_string() && line["duration_ms"].is_number(), "{line}");
}

/// The one line about a request; it is written a moment after the answer.
fn line_of(service: &Service, request_id: &str) -> Value {
    flk_tests::until_some("a line about the request", DEADLINE, || {
        let mut lines = service.lines().into_iter().filter(|line| line["request_id"] == request_id);
        let line = lines.next()?;
        assert!(lines.next().is_none(), "one line a request");
        Some(line)
    })
}

#[test]
fn nonsense_on_the_wire_hurts_nobody_else() {
    let service = Setup::hmac().start();
    let long = [b"GET /health HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 200_000], b"\r\n\r\n".to_vec()].concat();
    let smuggled =
        b"POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}";
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}  ",
        smuggled,
        &long,
    ] {
        let mut client = service.client();
        let _ = client.write(bytes);
        client.end_of_writing();
        let status = client.answer().map(|answer| answer.status).unwrap_or(400);
        assert!(
            (400..500).contains(&status),
            "{status} for {:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
        );
        assert_eq!(service.get("/health").expect(200).text(), "OK");
    }
    // A body that breaks off is not taken for a record.
    let mut client = service.client();
    client.write(b"POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n{\"pcs_id\":").unwrap();
    client.end_of_writing();
    let _ = client.answer();
    let _ = service.submit(Pcs::fresh()).expect(200);
    assert_eq!(service.stored_all().len(), 1);
    // Several requests written at once are answered in order.
    let mut client = service.client();
    let both = [Request::submit(Pcs::fresh()).bytes(), Request::get("/health").bytes()].concat();
    client.write(&both).unwrap();
    let _ = client.answer().unwrap().expect(200);
    assert_eq!(client.answer().unwrap().expect(200).text(), "OK");
}

#[test]
fn whoever_asks_again_and_again_is_told_that_the_connection_closes_before_it_does() {
    // How long requests are still taken after SIGTERM, and a little less.
    const LAST_CALL: Duration = Duration::from_millis(150);
    let mut service = Setup::hmac().env("TOKEN_RATE", "0").start();
    let (addr, answers) = (service.addr(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let (mut client, mut last) = (Client::connected(addr), Instant::now());
                    loop {
                        match client.send(&Request::get("/health")) {
                            Ok(answer) if answer.header("connection") == Some("close") => return true,
                            Ok(_) => last = Instant::now(),
                            // Only whoever slept through the last call may be cut.
                            Err(cut) => {
                                assert!(last.elapsed() > LAST_CALL, "{cut}, {:?} after an answer", last.elapsed());
                                return false;
                            }
                        }
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        until("the clients are answered", DEADLINE, || answers.load(Ordering::Relaxed) > 500);
        service.sigterm();
        let told = clients.into_iter().map(|client| client.join().unwrap()).filter(|told| *told).count();
        assert!(told > 0, "nobody was told");
    });
    assert_eq!(service.wait().code(), Some(0), "{}", service.said());
}
