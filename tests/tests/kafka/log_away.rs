//! Kafka is away, or hangs: never a 200 for what is not durable, bounded memory, an honest /readyz, and recovery
//! without a restart.

use std::sync::Arc;

use flk_servers::{Direction, Kafka, KafkaOptions, Listeners, Redis, RedisOptions, Stop};
use flk_tests::{DEADLINE, Pcs, Request, Service, Setup, Stand, answers::is_away, until};

use super::{TAKEN_OVER, all_is_well, answered, fleet, under_load};

/// A Kafka of its own, which clients come to by way of a proxy.
fn own(setup: Setup) -> (Kafka, Service) {
    let options = KafkaOptions { listeners: Listeners::Proxied, ..KafkaOptions::default() };
    let kafka = Kafka::start(&options).unwrap_or_else(|error| panic!("{error}"));
    let redis = Arc::new(Redis::start(&RedisOptions::default()).unwrap_or_else(|error| panic!("{error}")));
    let stand = Stand::at(&kafka.bootstrap(), redis);
    let url = stand.redis().url();
    let proxied = stand.by_way_of(&kafka.proxied_bootstrap().unwrap(), &url);
    let service = setup.on(&proxied).start();
    (kafka, service)
}

fn pids(service: &Service) -> Vec<String> {
    service.processes().iter().map(|process| format!("{:?}", process.pid())).collect()
}

#[test]
fn a_broker_that_is_killed_and_started_again_under_load_loses_nothing_that_was_told() {
    let (kafka, mut service) = own(fleet(1, 1, 2));
    let before = pids(&service);
    let traffic = under_load(&mut service, 6, |service, traffic| {
        for how in [Stop::Kill, Stop::Term] {
            kafka.stop_broker(0, how).unwrap();
            let answer = service.call(&Request::submit(Pcs::fresh()).prefer("wait=2"));
            assert_eq!(answer.status, 503, "{answer}");
            assert_ne!(answer.field("durable"), true, "{answer}");
            until("it is said that the log is away", DEADLINE, || {
                let ready = service.get("/readyz");
                ready.status == 503 && ready.json()["checks"]["log"]["ok"] == false
            });
            let _ = service.get("/readyz?scope=local").expect(200);
            let _ = service.get("/livez").expect(200);
            kafka.start_broker(0).unwrap();
            answered(traffic, 100);
            until("it is ready again", TAKEN_OVER, || service.get("/readyz").status == 200);
        }
    });
    assert_eq!(pids(&service), before, "nobody had to be started again");
    all_is_well(&service, &traffic);
}

#[test]
fn a_log_that_hangs_is_not_known_to_have_the_record_and_nothing_is_lost() {
    let (kafka, service) = own(fleet(1, 1, 1));
    let pcs = Pcs::fresh();
    // What is sent arrives; what is answered does not.
    kafka.proxy(0).unwrap().stall(Direction::ToClient);
    let answer = service.call(&Request::submit(&pcs).prefer("wait=1"));
    is_away(&answer, "durability_late", "unknown");
    kafka.proxy(0).unwrap().resume();
    until("whoever asks again hears what became of it", TAKEN_OVER, || {
        let again = service.client().send(&Request::submit(pcs.clone().retry()).prefer("wait=5"));
        again.is_ok_and(|answer| answer.status == 200 && answer.code() == "ok")
    });
}

#[test]
fn while_the_log_hangs_requests_in_flight_are_bounded_and_reading_goes_on() {
    let (kafka, service) = own(fleet(1, 1, 1).env("FLK_MAX_REQUESTS", "4"));
    let told = service.submit(Pcs::fresh()).expect(200);
    kafka.proxy(0).unwrap().stall(Direction::ToServer);
    std::thread::scope(|scope| {
        let held: Vec<_> = (0..4).map(|_| scope.spawn(|| service.submit(Pcs::fresh()))).collect();
        until("four are in flight", DEADLINE, || service.metrics().value("flk_requests_in_flight") == 4.0);
        is_away(&service.submit(Pcs::fresh()), "overloaded_requests", false);
        assert_eq!(service.get("/health").expect(200).text(), "OK");
        let _ = service.result(told.field("pcs_id").as_str().unwrap()).expect(200);
        kafka.proxy(0).unwrap().resume();
        for answer in held {
            let answer = answer.join().unwrap();
            assert!(answer.status == 200 || answer.status == 503, "{answer}");
        }
    });
    until("a record is settled again", TAKEN_OVER, || service.submit(Pcs::fresh()).status == 200);
    assert_eq!(service.metrics().value("flk_requests_in_flight"), 0.0);
}

#[test]
fn bodies_that_wait_for_a_log_that_hangs_are_bounded_also_when_their_clients_have_gone() {
    const SENT: usize = 128;
    const HELD: usize = 8;
    let (kafka, service) = own(fleet(1, 1, 1).env("FLK_MAX_BYTES", "8MiB"));
    let largest = Request::submit(vec![b' '; 1024 * 1024]).bytes();
    let ingest = || service.processes()[0].metrics();
    let shed = || ingest().value(r#"flk_shed_total{reason="bytes"}"#);
    let taken = || ingest().value("flk_ingest_total");
    let resident = || ingest().value("process_resident_memory_bytes");
    let before = resident();
    kafka.proxy(0).unwrap().stall(Direction::ToServer);
    for sent in 1..=SENT {
        let mut client = service.client();
        // Whoever is turned away may be told so before everything is written.
        let _ = client.write(&largest);
        until("it is taken or turned away", DEADLINE, || taken() + shed() == sent as f64);
    }
    until("all clients are gone", DEADLINE, || ingest().value("flk_requests_in_flight") == 0.0);
    assert_eq!((taken(), shed()), (HELD as f64, (SENT - HELD) as f64));
    let grown = (resident() - before) / f64::from(1 << 20);
    assert!(grown < 96.0, "{grown:.0} MiB more for {HELD} MiB that were let in");
    kafka.proxy(0).unwrap().resume();
    until("no body is held", TAKEN_OVER, || ingest().value("flk_bytes_in_flight") == 0.0);
    until("a record is settled again", TAKEN_OVER, || service.submit(Pcs::fresh()).status == 200);
}
