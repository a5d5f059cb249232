//! Contract sections 4 and 5: first write wins, and only an accepted record with a derived id.

use std::{collections::HashSet, sync::Barrier};

use flk_tests::{DEADLINE, Pcs, Request, Response, Setup, record::USUAL, root, until, until_or};
use serde_json::{Map, Value};

/// The part of an answer that is the same for everybody while it stands.
fn result(answer: &Response) -> Map<String, Value> {
    let Value::Object(mut fields) = answer.json() else { panic!("{answer}") };
    for own in ["duplicate", "conflict", "wal"] {
        fields.remove(own);
    }
    fields
}

#[test]
fn a_settled_answer_has_every_field_of_the_contract() {
    let service = Setup::hmac().start();
    let pcs = Pcs::fresh();
    let answer = service.submit(&pcs).expect(200).json();
    let mut names: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut expected = [
        "pcs_id",
        "tenant",
        "status",
        "accepted",
        "escalated",
        "code",
        "reason",
        "D_hat",
        "recomputed_D_hat",
        "recomputed_budget",
        "regime",
        "payload_sha256",
        "content_sha256",
        "key_id",
        "signed",
        "contract",
        "origin",
        "duplicate",
        "conflict",
        "wal",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(answer["pcs_id"], pcs.id());
    assert_eq!(
        (&answer["status"], &answer["accepted"], &answer["escalated"]),
        (&200.into(), &true.into(), &false.into())
    );
    assert_eq!((&answer["reason"], &answer["contract"]), (&"".into(), &"0.1".into()));
    assert_eq!((&answer["D_hat"], &answer["recomputed_D_hat"]), (&1.125530882.into(), &1.125530882.into()));
    assert_eq!((&answer["regime"], &answer["recomputed_budget"]), (&"mixed".into(), &0.334.into()));
    assert_eq!(answer["origin"], answer["wal"], "the first record settles, so that its own place is the origin");
    let origin = &answer["origin"];
    // Over Kafka a topic's name may have a prefix.
    assert!(origin["topic"].as_str().unwrap().ends_with("pcs.raw"), "{origin}");
    assert!(origin["log"].as_str().is_some_and(|log| !log.is_empty()), "{origin}");
    assert!(origin["partition"].as_u64().is_some() && origin["offset"].as_u64().is_some(), "{origin}");
    let time = origin["appended_at"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
    assert_eq!(origin.as_object().unwrap().len(), 5, "{origin}");
}

#[test]
fn a_retry_is_a_duplicate_with_the_stored_result_and_its_own_place() {
    let service = Setup::hmac().start();
    let pcs = Pcs::fresh();
    let first = service.submit(&pcs).expect(200);
    assert_eq!((first.field("duplicate"), first.field("conflict")), (false.into(), false.into()));
    let again = service.submit(pcs.clone().retry()).expect(200);
    assert_eq!((again.field("duplicate"), again.field("conflict")), (true.into(), false.into()));
    assert_eq!(result(&again), result(&first));
    assert_ne!(again.field("wal"), first.field("wal"));
    assert_eq!(again.field("origin"), first.field("origin"));
    // The very same bytes too, and a retry of an escalated record keeps its 202.
    assert_eq!(service.submit(&pcs).expect(200).field("duplicate"), true);
    let escalated = Pcs::unique().with("regime", "sticky").signed(USUAL);
    let first = service.submit(&escalated).expect(202);
    let again = service.submit(escalated.retry()).expect(202);
    assert_eq!((result(&again), again.field("duplicate")), (result(&first), true.into()));
    assert_eq!(
        (first.code().as_str(), first.field("accepted"), first.field("escalated")),
        ("regime_mismatch", true.into(), true.into())
    );
}

#[test]
fn records_of_distinct_ids_each_settle_their_own() {
    let service = Setup::hmac().start();
    let records: Vec<Pcs> = (0..20).map(|_| Pcs::fresh()).collect();
    let mut client = service.client();
    let mut places = HashSet::new();
    for pcs in &records {
        let answer = client.call(&Request::submit(pcs)).expect(200);
        assert_eq!((answer.field("pcs_id"), answer.field("duplicate")), (pcs.id().into(), false.into()));
        assert!(places.insert(answer.field("wal").to_string()), "a place is one record's: {answer}");
    }
    for pcs in &records {
        assert_eq!(service.result(pcs.id()).expect(200).field("pcs_id"), pcs.id());
    }
}

#[test]
fn a_conflict_is_told_the_stored_result_and_both_records_are_the_evidence() {
    let service = Setup::hmac().start();
    let pcs = Pcs::fresh();
    let first = service.submit(&pcs).expect(200);
    let other = service.submit(pcs.clone().otherwise().signed(USUAL)).expect(200);
    assert_eq!((other.field("duplicate"), other.field("conflict")), (true.into(), true.into()));
    assert_eq!(result(&other), result(&first));

    let settled = service.record(&first.field("wal")).expect(200).json();
    assert_eq!((&settled["state"], &settled["code"]), (&"settled".into(), &"ok".into()), "{settled}");
    let conflict = service.record(&other.field("wal")).expect(200).json();
    assert_eq!((&conflict["state"], &conflict["code"]), (&"conflict".into(), &"conflict".into()), "{conflict}");
    assert_eq!(conflict["result"], Value::Object(result(&first)));
    // Both contents and both places are kept.
    let evidence = service.evidence(&other.field("wal"));
    assert_ne!(first.field("content_sha256"), evidence.content_sha256);
    let origin = first.field("origin");
    assert_eq!(
        (origin["partition"].clone(), origin["offset"].clone()),
        (evidence.standing.partition.into(), evidence.standing.offset.into())
    );
    until("it is counted", DEADLINE, || service.metrics().value("flk_conflicts_total") == 1.0);
    assert_eq!(Value::Object(result(&service.result(pcs.id()).expect(200))), Value::Object(result(&first)));
}

#[test]
fn a_hundred_concurrent_first_submissions_of_one_id_have_one_winner() {
    const CLIENTS: usize = 100;
    let service = Setup::hmac().start();
    let one = Pcs::fresh();
    let other = one.clone().otherwise().signed(USUAL);
    let ready = Barrier::new(CLIENTS);
    let answers: Vec<(bool, Response)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (service, ready) = (&service, &ready);
                let pcs = if n % 2 == 0 { &one } else { &other };
                scope.spawn(move || {
                    let mut client = flk_tests::Client::connected(service.addr());
                    ready.wait();
                    (n % 2 == 0, client.call(&Request::submit(pcs)).expect(200))
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let winners: Vec<_> = answers.iter().filter(|(_, answer)| answer.field("duplicate") == false).collect();
    assert_eq!(winners.len(), 1, "one winner");
    let (winner_is_one, winner) = winners[0];
    assert_eq!(winner.field("origin"), winner.field("wal"));
    for (is_one, answer) in &answers {
        assert_eq!(result(answer), result(winner), "everybody is told the same");
        assert_eq!(answer.field("conflict"), is_one != winner_is_one, "{answer}");
    }
    let count = |series: &str| service.metrics().value(series);
    let counted = || ["flk_accepted", "flk_dedup_hits", "flk_conflicts_total"].map(count);
    let expected = [1.0, CLIENTS as f64 - 1.0, CLIENTS as f64 / 2.0];
    until_or("all are counted", DEADLINE, || counted() == expected, counted);
}

#[test]
fn a_mismatched_id_takes_nothing_from_the_right_record() {
    let service = Setup::hmac().start();
    let right = Pcs::fresh();
    let thief = Pcs::unique().with("pcs_id", right.id()).signed(USUAL);
    let answer = service.submit(&thief).expect(202);
    assert_eq!(
        (answer.code().as_str(), answer.field("accepted"), answer.field("escalated")),
        ("pcs_id_mismatch", false.into(), true.into())
    );
    assert_eq!((answer.field("origin"), answer.field("recomputed_D_hat")), (Value::Null, Value::Null));
    assert!(!answer.field("reason").as_str().unwrap().is_empty());
    let _ = service.result(right.id()).expect(404);
    let settled = service.submit(&right).expect(200);
    assert_eq!((settled.code().as_str(), settled.field("duplicate")), ("ok", false.into()));
    // Nor afterwards.
    let again = service.submit(&thief).expect(202);
    assert_eq!((again.code().as_str(), again.field("duplicate")), ("pcs_id_mismatch", false.into()));
    assert_eq!(service.result(right.id()).expect(200).field("origin"), settled.field("origin"));
}

#[test]
fn whoever_made_a_mistake_can_send_the_id_again() {
    let service = Setup::hmac().start();
    let pcs = Pcs::unique();
    let refused = service.submit(pcs.clone().with("D_hat", 1.9).signed(USUAL)).expect(202);
    assert_eq!((refused.code().as_str(), refused.field("accepted")), ("d_hat_out_of_tolerance", false.into()));
    assert_eq!(refused.field("D_hat"), 1.9);
    assert_eq!(service.submit(pcs.signed(USUAL)).expect(200).field("duplicate"), false);
}

#[test]
fn the_golden_records_are_accepted() {
    let service = Setup::hmac().start();
    for name in ["line", "plane", "cube"] {
        let path = root().join("tests/golden").join(format!("{name}.json"));
        let body = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let answer = service.submit(body).expect(200);
        assert_eq!((answer.code().as_str(), answer.field("signed")), ("ok", "content".into()), "{name}: {answer}");
    }
}
