//! Each rule, turned off, is found out: what `holds.rs` shows is not for want of looking.

use flk_model::{
    invariants::Invariant::{self, Answers, Finishes, OneStory, Results, Told},
    rules::{Rule, Rules},
    scenarios::{CUT, DISORDER, END, EVERYTHING, LATE_KEPT, READ, READ_TWO, WITHIN},
    search::{Found, Search},
    walk::Walks,
    world::Scenario,
};

/// A rule, the world in which it is missed, and what breaks first without it.
struct Switch(Rule, Scenario, Invariant);

/// In the order of [`Rule::ALL`].
fn switches() -> Vec<Switch> {
    vec![
        Switch(Rule::OneWrite, WITHIN, Results),
        Switch(Rule::CatchUp, WITHIN, Results),
        Switch(Rule::CommittedFirst, WITHIN, Finishes),
        Switch(Rule::DropIfCut, CUT, Results),
        Switch(Rule::FromResults, CUT, Results),
        Switch(Rule::WatermarkAfter, WITHIN, Results),
        Switch(Rule::Greatest, DISORDER, OneStory),
        Switch(Rule::TooOld, END, Finishes),
        Switch(Rule::OwnOrigin, WITHIN, Told),
        Switch(Rule::Ending, END, Results),
        Switch(Rule::AckBeforeTold, WITHIN, Told),
        Switch(Rule::AckBeforeRead, READ, Told),
        Switch(Rule::AckBeforeCommit, WITHIN, Finishes),
        Switch(Rule::ReadBeforeTold, READ, Answers),
        Switch(Rule::BehindOnly, END, Told),
        Switch(Rule::ResultsOutlive, CUT, Results),
        Switch(Rule::LastStays, END, Told),
        Switch(Rule::CompactsLater, WITHIN, Results),
        Switch(Rule::Aside, END, Told),
        Switch(Rule::Conditional, READ, Answers),
        Switch(Rule::BehindIsNotReady, READ, Answers),
        Switch(Rule::FromMarker, READ, Finishes),
        Switch(Rule::WithinAcked, READ_TWO, Told),
        Switch(Rule::Idle, READ, Finishes),
        Switch(Rule::Goal, READ, Answers),
        Switch(Rule::Together, READ, Answers),
        Switch(Rule::Primary, READ, Answers),
        Switch(Rule::MissIfReady, READ, Answers),
        Switch(Rule::InTime, END, Told),
        Switch(Rule::Lands, END, Results),
        Switch(Rule::NothingEvicted, READ, Answers),
    ]
}

/// The rules around the one that is turned off, and what is asked.
fn around(rule: Rule) -> (Rules, &'static [Invariant]) {
    let rules = Rules::all();
    match rule {
        // The key of its own is for records that are late; without it, all have to be in time.
        Rule::Aside => (rules.without(Rule::InTime), Invariant::ALL),
        // What lands after its successor is last, whoever restores what: that is not the question here.
        Rule::Greatest => (rules.without(Rule::Aside).without(Rule::Lands), &[OneStory]),
        _ => (rules.without(Rule::Aside), Invariant::ALL),
    }
}

fn search(scenario: &Scenario, rules: Rules, ask: &'static [Invariant]) -> Found {
    Search { scenario: scenario.clone(), rules, ask, finish_one_in: 1, states: 1_000_000 }.run()
}

#[test]
fn each_rule_that_is_turned_off_is_missed() {
    let switches = switches();
    let named: Vec<Rule> = switches.iter().map(|switch| switch.0).collect();
    assert_eq!(named, Rule::ALL, "each rule has a row");
    let mut wrong = Vec::new();
    for Switch(rule, scenario, breaks) in switches {
        let (rules, ask) = around(rule);
        match search(&scenario, rules.without(rule), ask) {
            Found::Violation { violation, .. } if violation.of() == breaks => {}
            found => wrong.push(format!("{rule:?} ({}) should break {breaks:?}: {found}", rule.says())),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn of_results_out_of_order_the_one_with_the_greatest_offset_is_restored() {
    let (rules, ask) = around(Rule::Greatest);
    let found = search(&DISORDER, rules, ask);
    assert!(matches!(found, Found::Nothing(_)), "{found}");
}

/// Design.md keeps pcs.results for 14 + 16 days and a margin. That is enough for records that are verified at
/// once. One that is verified 13 days after it came is there for 16 days more: 14 + 14 + 16.
#[test]
fn thirty_two_days_are_too_few_for_records_that_are_verified_late() {
    let found = search(&Scenario { results_kept: 32, ..LATE_KEPT }, Rules::all().without(Rule::InTime), Invariant::ALL);
    assert!(matches!(found, Found::Violation { .. }), "{found}");
}

#[test]
fn walks_find_what_is_turned_off() {
    for rule in [Rule::CatchUp, Rule::WatermarkAfter, Rule::Goal, Rule::InTime] {
        let rules = Rules::all().without(Rule::Aside).without(rule);
        let walks = Walks { scenario: EVERYTHING, rules, seed: 1, walks: 6_000, steps: 120 };
        assert!(walks.run().is_err(), "{rule:?} is not missed");
    }
}

#[test]
fn a_story_names_every_step() {
    let rules = Rules::all().without(Rule::AckBeforeTold);
    let Found::Violation { trace, .. } = search(&WITHIN, rules, &[Told]) else { panic!("nothing found") };
    let told = "  1 a record of id 0, in pcs.raw since instant 0, is verified: a of day 0 at offset 0\n  \
                2 sink 0 hears of the committed offset: sink 0 is running\n  \
                3 sink 0 folds: offset 0: a (sent); index [a@0] up to 1; told a\n";
    assert_eq!(trace, told);
}
