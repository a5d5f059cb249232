//! With the rules on, nothing is found.
//!
//! `FLK_MODEL_WIDE=1` looks at more: one fault, one record and both more in each world, as far as memory goes, and
//! fifty times as many walks.

#![allow(clippy::print_stdout, reason = "how many states were seen is what a run has to say")]

use flk_model::{
    invariants::Invariant,
    rules::{Rule, Rules},
    scenarios::{BEYOND, CUT, END, END_AGAIN, EVERYTHING, LATE_KEPT, READ, READ_END, READ_TWO, THREE_SINKS, WITHIN},
    search::{Found, Search},
    state::{OFFSETS, RECORDS},
    walk::Walks,
    world::Scenario,
};

/// The most that a test of all states may have: some 200 MiB.
const STATES: usize = 4_000_000;
/// As far as the wide ones go: less than two gigabytes.
const STATES_WIDE: usize = 14_000_000;

/// As design.md is written: what is close to its end is not produced, for which records have to be in time.
fn as_written() -> Rules {
    Rules::all().without(Rule::Aside)
}

/// What is close to its end is produced under a key of its own, and records may be late.
fn however_late() -> Rules {
    Rules::all().without(Rule::InTime)
}

fn wide() -> bool {
    std::env::var_os("FLK_MODEL_WIDE").is_some_and(|value| value == "1")
}

fn search(scenario: Scenario, rules: Rules, states: usize) -> Found {
    let name = scenario.name;
    let found = Search { scenario, rules, ask: Invariant::ALL, finish_one_in: 8, states }.run();
    println!("{name}: {found}");
    found
}

/// Looks at every state.
fn holds(scenario: &Scenario, rules: Rules) {
    let found = search(scenario.clone(), rules, STATES);
    assert!(matches!(found, Found::Nothing(_)), "{}: {found}", scenario.name);
    if wide() {
        let faults = Scenario { faults: scenario.faults + 1, ..scenario.clone() };
        let records = Scenario {
            records: (scenario.records + 1).min(RECORDS),
            offsets: (scenario.offsets + 1).min(OFFSETS),
            ..scenario.clone()
        };
        let both = Scenario { faults: faults.faults, ..records.clone() };
        for wider in [faults, records, both] {
            let found = search(wider, rules, STATES_WIDE);
            assert!(!matches!(found, Found::Violation { .. }), "{}, wide: {found}", scenario.name);
        }
    }
}

#[test]
fn two_sinks_within_a_window() {
    holds(&WITHIN, as_written());
}

#[test]
fn three_sinks_within_a_window() {
    holds(&THREE_SINKS, as_written());
}

#[test]
fn around_the_end_of_a_window() {
    holds(&END, as_written());
}

#[test]
fn around_the_end_of_a_window_with_a_successor_that_is_retried() {
    holds(&END_AGAIN, as_written());
}

#[test]
fn with_a_head_that_retention_has_cut_off() {
    holds(&CUT, as_written());
}

#[test]
fn beyond_the_retention_of_results() {
    holds(&BEYOND, as_written());
}

#[test]
fn the_read_side_whatever_becomes_of_it() {
    holds(&READ, as_written());
}

#[test]
fn the_read_side_with_two_ids() {
    holds(&READ_TWO, as_written());
}

#[test]
fn the_read_side_around_the_end_of_a_window() {
    holds(&READ_END, as_written());
}

#[test]
fn with_a_key_of_its_own_and_46_days_records_may_be_late() {
    holds(&LATE_KEPT, however_late());
}

#[test]
fn with_a_key_of_its_own_a_result_may_be_settled_in_its_last_hour() {
    holds(&Scenario { ahead: 1, flights: 1, ..END }, however_late());
}

#[test]
fn on_long_walks_through_everything() {
    let walks = if wide() { 300_000 } else { 6_000 };
    for rules in [Rules::all(), however_late(), as_written()] {
        let walks = Walks { scenario: EVERYTHING, rules, seed: 1, walks, steps: 120 };
        match walks.run() {
            Ok(steps) => println!("everything: nothing found in {} walks, {steps} steps", walks.walks),
            Err(story) => panic!("{story}"),
        }
    }
}
