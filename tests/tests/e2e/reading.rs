//! The two GETs, and the log beside the running service.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_tests::{Pcs, Request, Setup, log, record::USUAL};
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
    let offset_of = |body: Vec<u8>| service.submit(body).field("wal")["offset"].as_i64().unwrap();
    let result = service.result(good.id()).expect(200).json();
    let null = Value::Null;
    for (offset, state, code, expected) in [
        (told.field("wal")["offset"].as_i64().unwrap(), "settled", "ok", &result),
        (offset_of(good.clone().retry().body()), "duplicate", "ok", &result),
        (offset_of(good.clone().otherwise().signed(USUAL).body()), "conflict", "conflict", &result),
        (offset_of(b"{".to_vec()), "refused", "malformed", &null),
        (offset_of(good.clone().with("sig", "AAAA").body()), "refused", "bad_signature", &null),
    ] {
        let record = service.record(offset).expect(200).json();
        assert_eq!((&record["state"], &record["code"]), (&state.into(), &code.into()), "{record}");
        assert_eq!(&record["result"], expected, "{state}");
        assert_eq!(record["wal"]["offset"], offset);
    }
    // A judged refusal is read as it was told.
    let told = service.submit(Pcs::unique().with("schema", "other").signed(USUAL)).expect(202).json();
    let record = service.record(told["wal"]["offset"].as_i64().unwrap()).expect(200).json();
    assert_eq!((&record["state"], &record["code"]), (&"refused".into(), &"schema_mismatch".into()));
    for (name, value) in record["result"].as_object().unwrap() {
        assert_eq!(value, &told[name], "{name}");
    }
}

#[test]
fn beyond_the_log_there_is_no_record() {
    let service = Setup::hmac().start();
    let _ = service.submit(Pcs::fresh()).expect(200);
    for place in ["0/0", "0/2", "0/9223372036854775807", "0/-1", "1/1", "-1/1", "0/99999999999999999999", "0/x", "x/1"]
    {
        assert_eq!(service.get(&format!("/v1/records/{place}")).expect(404).code(), "no_such_record", "{place}");
    }
    let _ = service.get("/v1/records/0/1").expect(200);
    for alias in ["0/01", "00/1", "0/+1", "+0/1", "0/%2B1"] {
        assert_eq!(service.get(&format!("/v1/records/{alias}")).expect(404).code(), "no_such_record", "{alias}");
    }
}

#[test]
fn the_log_has_the_bytes_as_they_came_of_a_good_body_and_of_broken_json() {
    let service = Setup::hmac().start();
    let spaced = format!("\r\n\t {} \n", String::from_utf8(Pcs::fresh().body()).unwrap()).into_bytes();
    let bodies = [spaced, b"{not json".to_vec(), Vec::new(), (0..=255).collect(), vec![0; 100_000]];
    for (n, body) in bodies.iter().enumerate() {
        let expected = if n == 0 { 200 } else { 400 };
        let answer = service.submit(body.clone()).expect(expected);
        assert_eq!(answer.field("wal")["offset"], n as i64 + 1);
        // Beside the running service, at once: it was told, so it is there.
        let stored = log::record(service.data(), n as i64 + 1);
        assert_eq!(stored.record.body, body, "{}", STANDARD.encode(body));
        assert_eq!(answer.field("wal"), serde_json::to_value(&stored.origin).unwrap());
        assert_eq!(service.record(n as i64 + 1).expect(200).field("state"), if n == 0 { "settled" } else { "refused" });
    }
    let offsets: Vec<i64> = log::records(service.data()).iter().map(|record| record.origin.position.offset).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5]);
}

#[test]
fn what_was_told_is_the_same_after_an_orderly_restart_and_after_sigkill() {
    let mut service = Setup::hmac().start();
    let (one, two) = (Pcs::fresh(), Pcs::unique().with("budget", 0.5).signed(USUAL));
    let told = [service.submit(&one).expect(200).json(), service.submit(&two).expect(202).json()];
    let async_told = service.call(&Request::submit(Pcs::fresh()).prefer("respond-async")).expect(202);
    let results = [service.result(one.id()), service.result(two.id())];
    let records: Vec<_> = (1..=3).map(|offset| service.record(offset).expect(200).json()).collect();
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
        let again: Vec<_> = (1..=3).map(|offset| service.record(offset).expect(200).json()).collect();
        assert_eq!(again, records, "{restart}");
        assert_eq!(service.get(async_told.header("location").unwrap()).expect(200).field("state"), "settled");
        let retried = service.submit(one.clone().retry()).expect(200).json();
        assert_eq!((&retried["duplicate"], &retried["origin"]), (&true.into(), &told[0]["origin"]));
    }
}
