//! Records that other programs produce straight to pcs.raw: judged and settled as any other; and what nobody should
//! produce there, which harms nobody.

use flk_log::topic::Topic;
use flk_tests::{
    DEADLINE, Pcs, Request, Stand,
    audit::{self, Audit},
    kafka::Producer,
    record::USUAL,
    until, until_or,
};

use super::{TAKEN_OVER, fleet};

/// Records of one id.
const RETRIES: i64 = 100_000;

fn settled(stand: &Stand) -> Audit {
    audit::settled(stand, DEADLINE)
}

#[test]
fn a_record_that_was_produced_straight_to_kafka_is_found_by_get_and_in_pcs_results() {
    let service = fleet(1, 1, 1).start();
    let stand = service.stand().unwrap();
    let producer = Producer::to(stand, Topic::Raw);
    let records: Vec<Pcs> = (0..20).map(|_| Pcs::fresh()).collect();
    records.iter().for_each(|pcs| producer.send(&pcs.body()));
    let refused = Pcs::unique().with("D_hat", 1.9).signed(USUAL);
    producer.send(&refused.body());
    producer.flush();
    for pcs in &records {
        until("it is settled", DEADLINE, || service.result(pcs.id()).status == 200);
    }
    let audit = settled(stand);
    assert_eq!(audit.results.len(), records.len());
    for pcs in &records {
        let (partition, offset) = audit.of_body(&pcs.body()).unwrap().place;
        let record = service.record_at(partition, offset).expect(200);
        assert_eq!(record.field("state"), "settled", "{record}");
        assert_eq!(service.result(pcs.id()).expect(200).field("origin"), record.field("wal"));
        // Whoever submits it by HTTP as well hears what stands.
        let again = service.submit(pcs.clone().retry()).expect(200);
        assert_eq!((again.field("duplicate"), again.field("origin")), (true.into(), record.field("wal")));
    }
    assert_eq!(audit.of_body(&refused.body()).unwrap().code, "d_hat_out_of_tolerance");
    assert_eq!(audit::served(&service, &audit), [""; 0]);
}

#[test]
fn forged_headers_reach_nobody_and_change_no_verdict() {
    let service = fleet(1, 1, 1).start();
    let stand = service.stand().unwrap();
    let producer = Producer::to(stand, Topic::Raw);
    let (nobody, long) = ("f".repeat(32), "x".repeat(10_000));
    let (nobody, long) = (nobody.as_bytes(), long.as_bytes());
    let reply = |to: &'static [u8], id| [("reply-to", to), ("reply-id", id)];
    let mut sent = Vec::new();
    let mut send = |headers: &[(&str, &[u8])]| {
        let pcs = Pcs::fresh();
        producer.send_with(&pcs.body(), headers);
        sent.push(pcs);
    };
    // To partitions that are there, that are not, that can not be; from nobody who waits.
    for to in [&b"0"[..], b"1", b"2", b"999999", b"2147483647", b"2147483648", b"-1", b"+1", b"01", b"", b"\xff"] {
        send(&reply(to, nobody));
    }
    for id in [&b""[..], b"F", b"not hex at all, but of a good length", b"\0\0", long] {
        send(&reply(b"0", id));
    }
    send(&[("reply-to", b"0"), ("reply-to", b"1"), ("reply-id", nobody), ("reply-id", nobody)]);
    send(&[("request-id", long), ("traceparent", long), ("schema", long)]);
    send(&[("request-id", b"\n{\"level\":\"ERROR\"}"), ("traceparent", b"00-zz"), ("schema", b"pcs.raw/999")]);
    for n in 0..200 {
        let name = format!("header-{n}");
        send(&[(name.as_str(), nobody)]);
    }
    // A tenant that the key does not belong to is a 401 by HTTP, and here as well.
    let foreign = Pcs::fresh();
    producer.send_with(&foreign.body(), &[("tenant", b"globex")]);
    let long_tenant = Pcs::fresh();
    producer.send_with(&long_tenant.body(), &[("tenant", long)]);
    producer.flush();

    let answer = service.submit(Pcs::fresh()).expect(200);
    assert_eq!(answer.field("duplicate"), false, "those who wait are told their own");
    let audit = settled(stand);
    for pcs in &sent {
        let outcome = audit.of_body(&pcs.body()).unwrap();
        assert_eq!((outcome.state, outcome.code.as_str()), ("settled", "ok"));
        let _ = service.result(pcs.id()).expect(200);
    }
    for pcs in [foreign, long_tenant] {
        let outcome = audit.of_body(&pcs.body()).unwrap();
        assert_eq!((outcome.state, outcome.code.as_str()), ("refused", "bad_signature"));
    }
    assert_eq!(audit::served(&service, &audit), [""; 0]);
}

#[test]
fn a_body_that_nobody_should_produce_is_refused_and_stops_nothing() {
    let service = fleet(1, 1, 1).start();
    let stand = service.stand().unwrap();
    let producer = Producer::to(stand, Topic::Raw);
    let bodies = [
        Vec::new(),
        vec![0; 1024 * 1024],
        // Larger than HTTP lets in, and still a record of the topic.
        [Pcs::fresh().body(), vec![b' '; 1024 * 1024]].concat(),
        vec![b'['; 20_000],
        (0..=255).cycle().take(100_000).collect(),
    ];
    bodies.iter().for_each(|body| producer.send(body));
    producer.send_nothing();
    producer.flush();
    // In every partition of pcs.raw, behind them.
    for _ in 0..24 {
        let _ = service.submit(Pcs::fresh()).expect(200);
    }
    let audit = settled(stand);
    for body in &bodies {
        let outcome = audit.of_body(body).unwrap();
        assert_eq!((outcome.state, outcome.code.as_str()), ("refused", "malformed"), "{} bytes", body.len());
    }
    assert_eq!((audit.states()["refused"], audit.states()["settled"]), (bodies.len() + 1, 24));
    assert_eq!(audit::served(&service, &audit), [""; 0]);
}

#[test]
fn one_id_that_is_retried_a_hundred_thousand_times_takes_nothing_from_the_others() {
    let service = fleet(1, 1, 2).start();
    let stand = service.stand().unwrap();
    let hot = Pcs::fresh();
    let first = service.submit(&hot).expect(200);
    let producer = Producer::to(stand, Topic::Raw);
    for n in 0..RETRIES {
        producer.send(&hot.clone().with("attempt", n + 2).body());
        if n % 10_000 == 0 {
            producer.flush();
        }
    }
    producer.flush();
    // While they are worked off, others are told their verdicts, though later; and so is whoever asks for the hot one.
    for pcs in [Pcs::fresh(), Pcs::fresh(), hot.clone().retry()] {
        until("others go on", TAKEN_OVER, || {
            let sent = service.client().send(&Request::submit(&pcs));
            sent.is_ok_and(|answer| answer.status == 200 && answer.field("conflict") == false)
        });
    }
    let hits = || service.metrics().value("flk_dedup_hits");
    until_or("all retries are duplicates", TAKEN_OVER, || hits() >= RETRIES as f64, hits);
    let audit = audit::settled(stand, TAKEN_OVER);
    assert!(audit.states()["duplicate"] >= RETRIES as usize);
    assert_eq!((audit.results.len(), audit.states()["settled"]), (3, 3));
    assert_eq!(service.result(hot.id()).expect(200).field("origin"), first.field("origin"));
}
