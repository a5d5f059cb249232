//! settle.json at its own log times: a library in front of the system's clock makes them. Over Kafka the log's time is
//! the brokers', which no test can set back; there `settle` is replayed with these vectors by the contract's own tests,
//! and the sink's fold by those of its room.

use flk_tests::{Setup, log, shim::Shim, vectors};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
struct Settlement {
    name: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    pcs: Box<RawValue>,
    offset: i64,
    appended_at: i64,
    settled_at: i64,
    outcome: String,
}

/// What one process can not show, because there a record reaches settlement as it is appended, and
/// once. The contract's own tests (`common/contract/tests/vectors.rs::settlement`) replay these.
const LATE: [&str; 3] = [
    "late, but inside fourteen days",
    "fourteen days late settles nothing",
    "too late, but the id stands: still a duplicate",
];
const MET_AGAIN: [&str; 3] = [
    "first, then the same record, then a retry",
    "other content is a conflict",
    "a replay of an origin that a successor has replaced is a duplicate of it",
];

#[test]
fn every_sequence_of_settle_json_has_its_outcomes_at_its_times() {
    const BASE: i64 = 1_767_225_600_000;
    let cases: Vec<Settlement> = serde_json::from_str(&vectors("settle.json")).unwrap();
    let (mut late, mut met_again, mut sent) = (Vec::new(), Vec::new(), 0);
    for case in &cases {
        if case
            .steps
            .iter()
            .any(|step| step.settled_at != step.appended_at && step.offset == 0 && step.outcome != "duplicate")
            || case.steps.iter().any(|step| step.settled_at != step.appended_at && step.appended_at == 1)
        {
            late.push(case.name.as_str());
            continue;
        }
        let clock = Shim::compile("clock");
        clock.say(&format!("={BASE}"));
        let service = Setup::hmac().preload(clock.library()).env("FLK_SHIM", clock.control()).start();
        let mut last = -1;
        for (n, step) in case.steps.iter().enumerate() {
            if step.offset <= last {
                // The same record again: a log hands each of its own records over once.
                if met_again.last() != Some(&case.name.as_str()) {
                    met_again.push(case.name.as_str());
                }
                continue;
            }
            last = step.offset;
            sent += 1;
            let at = BASE + step.appended_at * 1000;
            clock.say(&format!("={at}"));
            let answer = service.submit(step.pcs.get());
            let body = answer.json();
            let outcome = match (&body["accepted"], &body["duplicate"], &body["conflict"]) {
                (_, Value::Bool(true), Value::Bool(true)) => "conflict",
                (_, Value::Bool(true), _) => "duplicate",
                (Value::Bool(true), Value::Bool(false), _) => "settled",
                _ => "refused",
            };
            assert_eq!(outcome, step.outcome, "{}, step {n}: {answer}", case.name);
            let appended_at = log::record(service.data(), sent_offset(&body)).origin.appended_at.millis();
            assert_eq!(appended_at, at, "{}, step {n}: log time", case.name);
        }
    }
    assert_eq!(late, LATE, "what can not be replayed is known by name");
    assert_eq!(met_again, MET_AGAIN);
    assert_eq!(sent, 15);
}

fn sent_offset(body: &Value) -> i64 {
    body["wal"]["offset"].as_i64().unwrap()
}
