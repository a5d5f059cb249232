//! The disk under the log hangs: a library in front of `fsync` makes it. Over Kafka there is no disk of the service's
//! own; there the log's brokers hang instead (`tests/kafka/log_away.rs`).

use flk_tests::{DEADLINE, Pcs, Request, Response, Service, Setup, answers::is_away, shim::Shim, until};

/// A service whose disk hangs and recovers as it is told.
fn on_a_hanging_disk(setup: Setup) -> (Service, Shim) {
    let disk = Shim::compile("fsync");
    let service = setup.preload(disk.library()).env("FLK_SHIM", disk.control()).start();
    (service, disk)
}

#[test]
fn over_the_requests_in_flight_a_submission_is_503_and_reading_goes_on() {
    let (service, disk) = on_a_hanging_disk(Setup::hmac().env("FLK_MAX_REQUESTS", "4"));
    let told = service.submit(Pcs::fresh()).expect(200);
    disk.say("stall");
    std::thread::scope(|scope| {
        let held: Vec<_> = (0..4).map(|_| scope.spawn(|| service.submit(Pcs::fresh()))).collect();
        until("four are in flight", DEADLINE, || service.metrics().value("flk_requests_in_flight") == 4.0);
        is_away(&service.submit(Pcs::fresh()), "overloaded_requests", false);
        assert_eq!(service.get("/health").expect(200).text(), "OK");
        let _ = service.result(told.field("pcs_id").as_str().unwrap()).expect(200);
        assert_eq!(service.metrics().value(r#"flk_shed_total{reason="requests"}"#), 1.0);
        disk.rest();
        for answer in held {
            let _ = answer.join().unwrap().expect(200);
        }
    });
    let _ = service.submit(Pcs::fresh()).expect(200);
    assert_eq!(service.metrics().value("flk_requests_in_flight"), 0.0);
    // The log lets go of a body a moment after its record is told.
    until("no body is held", DEADLINE, || service.metrics().value("flk_bytes_in_flight") == 0.0);
}

#[test]
fn over_the_bytes_in_flight_a_submission_is_503_whatever_its_length_is_said_to_be() {
    let (service, disk) = on_a_hanging_disk(Setup::hmac().env("FLK_MAX_BYTES", "1MiB"));
    let large = |kib: usize| {
        let mut body = Pcs::fresh().body();
        body.resize(kib * 1024, b' ');
        Request::submit(body)
    };
    disk.say("stall");
    std::thread::scope(|scope| {
        let (service, large) = (&service, &large);
        let held = scope.spawn(move || service.call(&large(600)));
        until("it is in flight", DEADLINE, || service.metrics().value("flk_bytes_in_flight") >= 600.0 * 1024.0);
        is_away(&service.call(&large(500)), "overloaded_bytes", false);
        // What does not say its length counts as the largest.
        let mut client = service.client();
        client.write(b"POST /v1/pcs/submit HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        is_away(&client.answer().unwrap(), "overloaded_bytes", false);
        disk.rest();
        let _ = held.join().unwrap().expect(200);
    });
    assert_eq!(service.metrics().value(r#"flk_shed_total{reason="bytes"}"#), 2.0);
    until("no body is held", DEADLINE, || service.metrics().value("flk_bytes_in_flight") == 0.0);
    let _ = service.call(&large(1024)).expect(200);
}

#[test]
fn bodies_that_wait_for_a_stalled_log_are_bounded_also_when_their_clients_have_gone() {
    const SENT: usize = 128;
    const HELD: usize = 8;
    let (service, disk) = on_a_hanging_disk(Setup::hmac().env("FLK_MAX_BYTES", "8MiB").env("TOKEN_RATE", "0"));
    let largest = Request::submit(vec![b' '; 1024 * 1024]).bytes();
    let shed = || service.metrics().value(r#"flk_shed_total{reason="bytes"}"#);
    let taken = || service.metrics().value("flk_ingest_total");
    let resident = || service.metrics().value("process_resident_memory_bytes");
    let before = resident();
    disk.say("stall");
    for sent in 1..=SENT {
        let mut client = service.client();
        // Whoever is turned away may be told so before everything is written.
        let _ = client.write(&largest);
        until("it is taken or turned away", DEADLINE, || taken() + shed() == sent as f64);
    }
    until("all clients are gone", DEADLINE, || service.metrics().value("flk_requests_in_flight") == 0.0);
    assert_eq!((taken(), shed()), (HELD as f64, (SENT - HELD) as f64));
    assert_eq!(service.metrics().value("flk_bytes_in_flight"), (HELD * 1024 * 1024) as f64);
    let grown = (resident() - before) / f64::from(1 << 20);
    assert!(grown < 64.0, "{grown:.0} MiB more for {HELD} MiB that were let in");
    is_away(&service.submit(Pcs::fresh()), "overloaded_bytes", false);
    disk.rest();
    until("no body is held", DEADLINE, || service.metrics().value("flk_bytes_in_flight") == 0.0);
    let _ = service.submit(Pcs::fresh()).expect(200);
    assert_eq!(flk_tests::log::records(service.data()).len(), HELD + 1);
}

#[test]
fn while_the_disk_hangs_nobody_is_told_anything_and_who_waits_too_long_hears_so() {
    let (service, disk) = on_a_hanging_disk(Setup::hmac());
    let pcs = Pcs::fresh();
    disk.say("stall");
    let answer = service.call(&Request::submit(&pcs).prefer("wait=1"));
    is_away(&answer, "durability_late", "unknown");
    disk.rest();
    // It was not lost either: whoever asks again hears what became of it.
    let answer = service.submit(pcs.retry()).expect(200);
    assert_eq!(answer.code(), "ok");
}

#[test]
fn a_full_queue_is_503_and_nothing_is_half_taken() {
    const MANY: usize = 24;
    let (service, disk) = on_a_hanging_disk(Setup::hmac().env("FLK_QUEUE_LENGTH", "1"));
    let submit = || {
        let pcs = Pcs::fresh();
        let answer = service.submit(&pcs);
        (pcs, answer)
    };
    let answers: Vec<(Pcs, Response)> = std::thread::scope(|scope| {
        let mut submissions = Vec::new();
        // The writer waits for the disk with one record in its hands; then there is room for one.
        disk.stall(|| submissions.push(scope.spawn(submit)));
        submissions.extend((0..MANY).map(|_| scope.spawn(submit)));
        until("the queue is full", DEADLINE, || service.metrics().value(r#"flk_shed_total{reason="queue"}"#) >= 1.0);
        disk.rest();
        submissions.into_iter().map(|submission| submission.join().unwrap()).collect()
    });
    let (taken, shed): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, answer)| answer.status == 200);
    assert!(!taken.is_empty() && !shed.is_empty());
    for (pcs, answer) in shed {
        is_away(answer, "log_queue_full", false);
        let _ = service.result(pcs.id()).expect(404);
    }
    for (pcs, _) in &taken {
        let _ = service.result(pcs.id()).expect(200);
    }
    assert_eq!(flk_tests::log::records(service.data()).len(), taken.len());
}
