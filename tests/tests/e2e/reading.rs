//! The two GETs, and the log beside the running service.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_tests::{DEADLINE, Pcs, Request, Setup, record::USUAL, until};
use serde_json::Value;

#[test]
fn a_settled_result_is_read_by_its_id_and_is_the_same_for_everybody() {
    let service = Setup::hmac().start();
    let pcs = Pcs::fresh();
    assert_eq!(service.result(pcs.id()).expect(404).code(), "not_settled");
    let told = service.submit(&pcs).expect(200).json();
    let _ = service.submit(pcs.clone().retry()).expect(200);
    let read = service.result(pcs.id()).expect(200).json();
    for (name, value) in read.as_object().unwrap() {
        assert_eq!(value, &told[name], "{name}");
    }
    for own in ["duplicate", "conflict", "wal"] {
        assert!(read.get(own).is_none(), "{own} is about one request");
    }
    assert_eq!(read.as_object().unwrap().len() + 3, told.as_object().unwrap().len());
    let escalated = Pcs::unique().with("regime", "sticky").signed(USUAL);
    let _ = service.submit(&escalated).expect(202);
    // The GET itself is a success; the result carries the verdict's status.
    assert_eq!(service.result(escalated.id()).expect(200).field("status"), 202);
}

#[test]
fn an_id_that_nobody_settled_is_404_however_it_looks() {
    let service = Setup::hmac().start();
    let refused = Pcs::unique().with("coh_star", 2.0).signed(USUAL);
    let _ = service.submit(&refused).expect(202);
    let long = "x".repeat(5000);
    for id in [refused.id(), "x", "%00", "%2e%2e%2f", "%ff", &long] {
        assert_eq!(service.result(id).expect(404).code(), "not_settled", "{id}");
    }
}

#[test]
fn a_record_is_read_by_its_place_whatever_became_of_it() {
    let service = Setup::hmac().start();
    let good = Pcs::fresh();
    let told = service.submit(&good).expect(200);
    let place_of = |body: Vec<u8>| service.submit(body).field("wal");
    let result = service.result(good.id()).expect(200).json();
    let null = Value::Null;
    for (wal, state, code, expected) in [
        (told.field("wal"), "settled", "ok", &result),
        (place_of(good.clone().retry().body()), "duplicate", "ok", &result),
        (place_of(good.clone().otherwise().signed(USUAL).body()), "conflict", "conflict", &result),
        (place_of(b"{".to_vec()), "refused", "malformed", &null),
        (place_of(good.clone().with("sig", "AAAA").body()), "refused", "bad_signature", &null),
    ] {
        let record = service.record(&wal).expect(200).json();
        assert_eq!((&record["state"], &record["code"]), (&state.into(), &code.into()), "{record}");
        assert_eq!(&record["result"], expected, "{state}");
        assert_eq!(record["wal"], wal);
    }
    // A judged refusal is read as it was told.
    let told = service.submit(Pcs::unique().with("schema", "other").signed(USUAL)).expect(202).json();
    let record = service.record(&told["wal"]).expect(200).json();
    assert_eq!((&record["state"], &record["code"]), (&"refused".into(), &"schema_mismatch".into()));
    for (name, value) in record["result"].as_object().unwrap() {
        assert_eq!(value, &told[name], "{name}");
    }
}

#[test]
fn beyond_the_log_there_is_no_record() {
    let service = Setup::hmac().start();
    let wal = service.submit(Pcs::fresh()).expect(200).field("wal");
    let (partition, offset) = (&wal["partition"], wal["offset"].as_i64().unwrap());
    let behind = format!("{partition}/{}", offset + 1);
    let numbers = [i64::MAX.to_string(), "-1".into(), "99999999999999999999".into(), "x".into()];
    let nowhere = numbers.iter().map(|number| format!("{partition}/{number}"));
    let partitions = ["-1/1", "2147483647/1", "99999999999/1", "x/1"].map(String::from);
    let aliases = ["0", "+", "%2B"].map(|sign| format!("{partition}/{sign}{offset}"));
    let more_aliases = ["0", "+"].map(|sign| format!("{sign}{partition}/{offset}"));
    for place in nowhere.chain([behind]).chain(partitions).chain(aliases).chain(more_aliases) {
        assert_eq!(service.get(&format!("/v1/records/{place}")).expect(404).code(), "no_such_record", "{place}");
    }
    let _ = service.record(&wal).expect(200);
}

#[test]
fn the_log_has_the_bytes_as_they_came_of_a_good_body_and_of_broken_json() {
    let service = Setup::hmac().start();
    let spaced = format!("\r\n\t {} \n", String::from_utf8(Pcs::fresh().body()).unwrap()).into_bytes();
    let bodies = [spaced, b"{not json".to_vec(), Vec::new(), (0..=255).collect(), vec![0; 100_000]];
    for (n, body) in bodies.iter().enumerate() {
        let answer = service.submit(body.clone()).expect(if n == 0 { 200 } else { 400 });
        let wal = answer.field("wal");
        // Beside the running service, at once: it was told, so it is there.
        let stored = service.stored(&wal);
        assert_eq!(stored.record.body, body, "{}", STANDARD.encode(body));
        assert_eq!(wal, serde_json::to_value(&stored.origin).unwrap());
        assert_eq!(service.record(&wal).expect(200).field("state"), if n == 0 { "settled" } else { "refused" });
    }
    assert_eq!(service.stored_all().len(), bodies.len());
}

#[test]
fn what_was_told_is_the_same_after_an_orderly_restart_and_after_sigkill() {
    let mut service = Setup::hmac().start();
    let (one, two) = (Pcs::fresh(), Pcs::unique().with("budget", 0.5).signed(USUAL));
    let told = [service.submit(&one).expect(200).json(), service.submit(&two).expect(202).json()];
    let async_told = service.call(&Request::submit(Pcs::fresh()).prefer("respond-async")).expect(202);
    let results = [service.result(one.id()), service.result(two.id())];
    let places = [told[0]["wal"].clone(), told[1]["wal"].clone(), async_told.field("wal")];
    until("all are decided", DEADLINE, || service.record(&places[2]).expect(200).field("state") != "pending");
    let records = places.each_ref().map(|wal| service.record(wal).expect(200).json());
    for restart in ["orderly", "sigkill"] {
        if restart == "orderly" {
            assert!(service.terminate().success());
            service.start();
        } else {
            service.kill9_and_restart();
        }
        assert_eq!(
            [service.result(one.id()).json(), service.result(two.id()).json()],
            [results[0].json(), results[1].json()]
        );
        let again = places.each_ref().map(|wal| service.record(wal).expect(200).json());
        assert_eq!(again, records, "{restart}");
        assert_eq!(service.get(async_told.header("location").unwrap()).expect(200).field("state"), "settled");
        let retried = service.submit(one.clone().retry()).expect(200).json();
        assert_eq!((&retried["duplicate"], &retried["origin"]), (&true.into(), &told[0]["origin"]));
    }
}
