//! Verifiers or sinks are all away: records go on into the log, and are settled when they are back.

use flk_tests::{DEADLINE, Pcs, Request, Role, answers::is_away, audit, until};

use super::{fleet, submit_all};

fn records_wait_in_the_log_for(role: Role) {
    let mut service = fleet(1, 1, 1).start();
    let before = Pcs::fresh();
    let _ = service.submit(&before).expect(200);
    assert!(service.process(role, 0).terminate().success());

    let records: Vec<Pcs> = (0..8).map(|_| Pcs::fresh()).collect();
    let answers = submit_all(&service, &records);
    for answer in &answers {
        is_away(answer, "verdict_late", true);
        assert_eq!(answer.header("retry-after"), Some("60"), "{answer}");
        assert_eq!(service.record(&answer.field("wal")).expect(200).field("state"), "pending");
        assert_eq!(service.stored(&answer.field("wal")).origin.position.offset, answer.field("wal")["offset"]);
    }
    let pending = service.call(&Request::submit(Pcs::fresh()).prefer("respond-async")).expect(202);
    assert_eq!(pending.field("state"), "pending");
    // What was settled before is served all the same, and whoever watches the process is told.
    let _ = service.result(before.id()).expect(200);
    let ready = service.get("/readyz").expect(503);
    assert_eq!(ready.json()["checks"]["verdicts"]["ok"], false, "{ready}");
    let _ = service.get("/readyz?scope=local").expect(200);

    service.start_one(role, 0);
    for (pcs, answer) in records.iter().zip(&answers) {
        let wal = answer.field("wal");
        until("it is settled", DEADLINE, || service.record(&wal).field("state") == "settled");
        let again = service.submit(pcs.clone().retry()).expect(200);
        assert_eq!((again.field("duplicate"), again.field("origin")), (true.into(), wal.clone()), "{again}");
        assert_eq!(service.result(pcs.id()).expect(200).field("origin"), wal);
    }
    until("it is ready again", DEADLINE, || service.get("/readyz").status == 200);
    let audit = audit::settled(service.stand().unwrap(), DEADLINE);
    assert_eq!(audit::served(&service, &audit), [""; 0]);
}

#[test]
fn while_sinks_are_away_records_are_durable_and_are_settled_when_they_are_back() {
    records_wait_in_the_log_for(Role::Sink);
}

#[test]
fn while_verifiers_are_away_records_are_durable_and_are_settled_when_they_are_back() {
    records_wait_in_the_log_for(Role::Verifier);
}
