//! Clocks that step: the log's time never goes back, and what stands does so by the log's time.

use flk_tests::{DEADLINE, Pcs, Service, Setup, log, record::USUAL, shim::Shim, until};

const BASE: i64 = 1_767_225_600_000;
const SECOND: i64 = 1000;
const DAY: i64 = 24 * 3600 * SECOND;

/// A service whose clock shows what it is told.
fn with_a_clock(at: i64) -> (Service, Shim) {
    let clock = Shim::compile("clock");
    clock.say(&format!("={at}"));
    let service = Setup::hmac().preload(clock.library()).env("FLK_SHIM", clock.control()).start();
    (service, clock)
}

fn times(service: &Service) -> Vec<i64> {
    log::records(service.data()).iter().map(|record| record.origin.appended_at.millis()).collect()
}

#[test]
fn a_clock_that_steps_back_and_forth_never_turns_the_log_back() {
    let (mut service, clock) = with_a_clock(BASE);
    let mut records = Vec::new();
    let mut step = |service: &Service, seconds: i64| {
        clock.say(&format!("={}", BASE + seconds * SECOND));
        let pcs = Pcs::fresh();
        let told = service.submit(&pcs).expect(200);
        assert_eq!(told.field("duplicate"), false);
        records.push((pcs, told.field("origin")));
    };
    for seconds in [0, 3600, -7200, 10, 7200, 7199, -86_400 * 300, 7201] {
        step(&service, seconds);
    }
    let expected: Vec<i64> =
        [0, 3600, 3600, 3600, 7200, 7200, 7200, 7201].iter().map(|seconds| BASE + seconds * SECOND).collect();
    assert_eq!(times(&service), expected);
    // Also over a restart while the clock is behind.
    clock.say(&format!("={}", BASE - 40 * DAY));
    service.kill9_and_restart();
    step(&service, -86_400 * 40);
    assert_eq!(times(&service).last(), Some(&(BASE + 7201 * SECOND)));
    for (pcs, origin) in &records {
        assert_eq!(service.result(pcs.id()).expect(200).field("origin"), *origin);
        let again = service.submit(pcs.clone().retry()).expect(200);
        assert_eq!((again.field("duplicate"), again.field("origin")), (true.into(), origin.clone()));
    }
}

#[test]
fn a_result_stands_for_fourteen_days_and_not_a_millisecond_longer() {
    let (service, clock) = with_a_clock(BASE);
    let pcs = Pcs::fresh();
    let first = service.submit(&pcs).expect(200);
    clock.say(&format!("={}", BASE + 14 * DAY - 1));
    assert_eq!(service.result(pcs.id()).expect(200).field("origin"), first.field("origin"));
    let again = service.submit(pcs.clone().retry()).expect(200);
    assert_eq!((again.field("duplicate"), again.field("origin")), (true.into(), first.field("origin")));
    clock.say(&format!("={}", BASE + 14 * DAY));
    assert_eq!(service.result(pcs.id()).expect(404).code(), "not_settled");
    // Another content is no conflict now: it settles.
    let other = service.submit(pcs.clone().otherwise().signed(USUAL)).expect(200);
    assert_eq!((other.field("duplicate"), other.field("conflict")), (false.into(), false.into()), "{other}");
    assert_eq!(service.result(pcs.id()).expect(200).field("origin"), other.field("origin"));
    let late = service.submit(pcs.retry()).expect(200);
    assert_eq!(late.field("conflict"), true, "{late}");
}

#[test]
fn what_is_older_than_the_retention_goes_and_its_offsets_never_come_again() {
    let (mut service, clock) = with_a_clock(BASE);
    let old: Vec<Pcs> = (0..5).map(|_| Pcs::fresh()).collect();
    for pcs in &old {
        let _ = service.submit(pcs).expect(200);
    }
    // A clock that is ahead removes nothing by itself: the log's own time has to come there.
    clock.say(&format!("={}", BASE + 17 * DAY));
    service.kill9_and_restart();
    let _ = service.record_at(0, 1).expect(200);
    let kept = Pcs::fresh();
    assert_eq!(service.submit(&kept).expect(200).field("wal")["offset"], 6);
    service.kill9_and_restart();
    until("the old records are gone", DEADLINE, || service.record_at(0, 5).status == 404);
    assert_eq!(service.record_at(0, 1).expect(404).code(), "no_such_record");
    let _ = service.record_at(0, 6).expect(200);
    let again = service.submit(old[0].clone().retry()).expect(200);
    assert_eq!((&again.field("wal")["offset"], again.field("duplicate")), (&7.into(), false.into()), "{again}");
    // Also where nothing is left of the index, which remembered more.
    service.kill9();
    std::fs::remove_dir_all(service.data().join("index")).unwrap();
    service.start();
    assert_eq!(service.submit(Pcs::fresh()).expect(200).field("wal")["offset"], 8);
    assert_eq!(service.submit(kept.retry()).expect(200).field("duplicate"), true);
    let _ = service.result(old[1].id()).expect(404);
}

#[test]
fn a_key_is_judged_at_the_time_of_the_log_whatever_the_clock_says_later() {
    let clock = Shim::compile("clock");
    clock.say(&format!("={BASE}"));
    let setup = Setup::bare().preload(clock.library()).env("FLK_SHIM", clock.control()).env("TOKEN_RATE", "0");
    let keys = serde_json::json!({"keys": [
        {"id": "old", "tenant": "default", "alg": "hmac", "key": flk_tests::KEY, "not_after": "2026-01-01T01:00:00Z"},
    ]});
    let file = setup.file("keys.json", keys.to_string());
    let service = setup.env("PCS_KEYS_FILE", file).start();
    let pcs = Pcs::fresh();
    assert_eq!(service.submit(&pcs).expect(200).field("key_id"), "old");
    clock.say(&format!("={}", BASE + 3600 * SECOND));
    let _ = service.submit(pcs.clone().retry()).expect(401);
    // The clock goes back; log time does not, and the window stays closed.
    clock.say(&format!("={BASE}"));
    let _ = service.submit(pcs.retry()).expect(401);
}
