//! `flk replay`.

use std::path::Path;

use flk_contract::{Code, Digest, Nano, wire::State};
use serde_json::{Value, json};

use crate::{
    made::{DAY, Making, Pcs, now},
    run::{Ran, flk, run},
};

/// A day ago and now: all that can become of a record, and an id that was settled twice.
fn fill(making: Making, dir: &Path) {
    let log = making.open(dir);
    log.at(now() - 15 * DAY).add(Pcs::new("twice", 1).body());
    log.at(now() - DAY).add(Pcs::new("s1", 1).body()).add(Pcs::new("s1", 1).body());
    log.add(Pcs::new("s1", 1).with("regime", "sticky").body()).add(Pcs::new("s1", 2).with("D_hat", 2.9).body());
    log.at(now()).add(Pcs::new("twice", 1).body()).add(Pcs::new("twice", 1).body());
    log.add(Pcs::new("s1", 3).signed_with("later").body()).add(b"[1, 2]".to_vec());
    log.add(Pcs::new("s1", 4).with("pcs_id", "0".repeat(64)).body()).add(Pcs::new("s1", 5).with("budget", 0.9).body());
}

fn verify(dir: &Path, args: &[&str]) -> Ran {
    run(dir, &[&["replay", "--verify", "--json"], args].concat())
}

fn summary(ran: &Ran) -> Value {
    ran.json().pop().unwrap()["summary"].clone()
}

/// Each difference as `offset kind field: stored > now`.
fn differences(ran: &Ran) -> Vec<String> {
    let mut lines = ran.json();
    lines.pop();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let words = |line: Value| {
        let d = &line["difference"];
        format!(
            "{} {} {}: {} > {}",
            d["offset"],
            text(&d["kind"]),
            text(&d["field"]),
            text(&d["stored"]),
            text(&d["now"])
        )
    };
    lines.into_iter().map(words).collect()
}

#[test]
fn an_honest_log_comes_to_the_same() {
    let dir = tempfile::tempdir().unwrap();
    fill(Making::signed(), dir.path());
    let ran = verify(dir.path(), &[]).exits(0);
    let expected = json!({
        "result": "same", "records": 11, "settled": 4, "differences": 0, "unknown_keys": [],
        "signing_was_off": 0, "winner_not_kept": 0, "authentic_now": 0, "not_kept": 0,
    });
    assert_eq!(summary(&ran), expected);
    assert_eq!(ran.err, "");
    let words = run(dir.path(), &["replay", "--verify"]).exits(0).out;
    assert!(words.contains("11 records, from 0/1 to 0/11") && words.contains("the same: the log says"), "{words}");
}

#[test]
fn every_difference_is_listed_field_by_field() {
    let dir = tempfile::tempdir().unwrap();
    let lie = |offset: i64, decided: &mut flk_log::Decided| match (offset, &mut decided.verdict.facts) {
        (1, Some(facts)) => facts.recomputed_d_hat = Some(Nano::from_units(1_200_000_000)),
        (2, Some(facts)) => {
            facts.key_id = facts.key_id.as_ref().map(|_| "0123456789abcdef".into());
            facts.recomputed_budget = None;
        }
        (5, _) => decided.verdict.code = Code::CoherenceOutOfBounds,
        (6, _) => decided.state = State::Duplicate,
        (9, _) => decided.verdict.code = Code::BadSignature,
        (11, Some(facts)) => facts.content_sha256 = Digest::of(b"other"),
        _ => {}
    };
    fill(Making::signed().lying(lie), dir.path());
    let ran = verify(dir.path(), &[]).exits(1);
    let found = differences(&ran);
    let content = Digest::of(b"other");
    let expected = [
        "1 verdict recomputed_D_hat: 1.2 > 1.0",
        // Its key is unknown here; what does not depend on it is compared.
        "2 verdict recomputed_budget: none > 0.35",
        "5 verdict code: coherence_out_of_bounds > d_hat_out_of_tolerance",
        "5 settlement code: d_hat_out_of_tolerance > coherence_out_of_bounds",
        "6 settlement state: duplicate > settled",
        "9 verdict code: bad_signature > malformed",
        "9 settlement code: malformed > bad_signature",
    ];
    assert_eq!(found[..7], expected, "{found:#?}");
    assert!(
        found.len() == 8 && found[7].starts_with(&format!("11 verdict content_sha256: {content} > ")),
        "{found:#?}"
    );
    let sum = summary(&ran);
    assert_eq!((&sum["result"], &sum["differences"]), (&json!("differs"), &json!(8)));
    assert_eq!(
        sum["unknown_keys"],
        json!([{"tenant": "default", "key_id": "0123456789abcdef", "records": 1, "first": 2, "last": 2}])
    );
    let words = run(dir.path(), &["replay", "--verify"]).exits(1).out;
    assert!(
        words.contains("0/1  verdict  recomputed_D_hat: stored 1.2, now 1.0") && words.ends_with("not the same\n"),
        "{words}"
    );
    // Only what lies in the bounds is judged; who won before them is known all the same.
    let found = differences(&verify(dir.path(), &["--from-time", "1h"]).exits(1));
    assert!(found.len() == 4 && found.iter().all(|line| !line.starts_with('5')), "{found:?}");
    assert_eq!(differences(&verify(dir.path(), &["--to-time", "2d"]).exits(1)), expected[..1]);
}

#[test]
fn a_result_that_took_an_id_from_its_winner_is_found() {
    let dir = tempfile::tempdir().unwrap();
    // The second record of the id says that it settled it, the third that it is the second's.
    let lie = |offset: i64, decided: &mut flk_log::Decided| {
        let Some(standing) = decided.standing.as_mut().filter(|_| offset == 3 || offset == 4) else { return };
        let mut usurper = flk_contract::Settled::clone(standing);
        usurper.origin.position.offset = 3;
        *standing = std::sync::Arc::new(usurper);
        if offset == 3 {
            decided.state = State::Settled;
        }
    };
    fill(Making::signed().lying(lie), dir.path());
    let found = differences(&verify(dir.path(), &[]).exits(1));
    let expected = [
        "3 settlement state: settled > duplicate",
        "3 settlement settled_by: 0/3 > 0/2",
        "4 settlement settled_by: 0/3 > 0/2",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_key_that_is_gone_is_no_difference_but_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    fill(Making::signed(), dir.path());
    let with = |key: &str, old: &str| {
        let mut command = flk(dir.path());
        command.env("PCS_HMAC_KEY", key).env("PCS_HMAC_KEY_OLD", old).args(["replay", "--verify", "--json"]);
        Ran::of(command.output().unwrap())
    };
    let ran = with("another", "").exits(3);
    assert_eq!(differences(&ran), [""; 0]);
    let sum = summary(&ran);
    assert_eq!(sum["result"], json!("key_unknown"));
    let unknown = &sum["unknown_keys"][0];
    assert_eq!((&unknown["records"], &unknown["first"], &unknown["last"]), (&json!(9), &json!(1), &json!(11)));
    assert_eq!(unknown["key_id"].as_str().unwrap().len(), 16);
    // With the key there again, as the old one of a rotation, everything is judged. A key that came
    // later makes a record authentic that was refused: no difference, and said.
    assert_eq!(summary(&with("later", "testsecret").exits(0))["authentic_now"], json!(1));
    let words = Ran::of(flk(dir.path()).env("PCS_HMAC_KEY", "x").args(["replay", "--verify"]).output().unwrap());
    assert!(words.exits(3).out.contains("key unknown"), "told to people");
}

#[test]
fn records_of_when_signing_was_off_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let log = Making::unsigned().open(dir.path());
    log.at(now()).add_named(Pcs::new("a", 1).body(), Some("acme")).add_named(Pcs::new("a", 1).body(), Some("no/name"));
    drop(log);
    let sum = summary(&verify(dir.path(), &[]).exits(3));
    assert_eq!((&sum["signing_was_off"], &sum["differences"]), (&json!(1), &json!(0)));
    let off = Ran::of(flk(dir.path()).args(["replay", "--verify", "--json", "--sign-alg", "none"]).output().unwrap());
    assert_eq!(summary(&off.exits(0))["settled"], json!(1));
    // And the other way round: what a key held is checked with it, whatever is taken today.
    let dir = tempfile::tempdir().unwrap();
    fill(Making::signed(), dir.path());
    let off =
        Ran::of(flk(dir.path()).env("PCS_SIGN_ALG", "none").args(["replay", "--verify", "--json"]).output().unwrap());
    assert!([0, 3].contains(&off.code), "{off:?}");
    assert_eq!(summary(&off)["differences"], json!(0));
}

#[test]
fn a_head_that_retention_took_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    fill(Making::signed(), dir.path());
    // The winner of s1/1 goes with the head; its duplicate and conflict stay.
    rusqlite::Connection::open(dir.path().join("log.db"))
        .unwrap()
        .execute("DELETE FROM record WHERE offset < 3", [])
        .unwrap();
    let sum = summary(&verify(dir.path(), &[]).exits(0));
    assert_eq!((&sum["records"], &sum["winner_not_kept"]), (&json!(9), &json!(2)));
}

#[test]
fn damage_is_a_difference_and_does_not_end_the_verification() {
    let dir = tempfile::tempdir().unwrap();
    fill(Making::signed(), dir.path());
    let conn = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    conn.execute("UPDATE record SET d_hat = '1.5' WHERE offset = 2", []).unwrap();
    let ran = verify(dir.path(), &[]).exits(1);
    assert_eq!(differences(&ran), ["2 damage record: this record > its checksum does not hold"]);
    assert_eq!((&summary(&ran)["records"], &summary(&ran)["winner_not_kept"]), (&json!(10), &json!(2)));
}

#[test]
fn a_dry_run_counts_and_says_what_would_now_be_accepted() {
    let dir = tempfile::tempdir().unwrap();
    fill(Making::signed(), dir.path());
    let dry =
        |args: &[&str]| run(dir.path(), &[&["replay", "--dry-run", "--json"], args].concat()).exits(0).json().remove(0);
    let all = dry(&[]);
    assert_eq!((&all["records"], &all["accepted_now"]), (&json!(11), &json!(null)));
    assert_eq!((&all["first"]["offset"], &all["last"]["offset"]), (&json!(1), &json!(11)));
    assert_eq!(dry(&["--from-time", "2d", "--to-time", "1h"])["records"], json!(4));
    let refused = dry(&["--refused"]);
    assert_eq!((&refused["records"], &refused["accepted_now"]), (&json!(4), &json!(0)));
    assert_eq!(dry(&["--code", "conflict"])["records"], json!(1));
    // The missing key is there by now.
    let mut command = flk(dir.path());
    command.env("PCS_HMAC_KEY_NEW", "later").args(["replay", "--dry-run", "--refused", "--code", "bad_signature"]);
    let words = Ran::of(command.output().unwrap()).exits(0).out;
    assert!(words.contains("1 of them would now be accepted") && words.contains("nothing was changed"), "{words}");
    assert!(words.lines().any(|line| line.contains("bad_signature") && line.contains("ok")), "{words}");
    assert!(run(dir.path(), &["replay", "--dry-run", "--code", "degraded"]).exits(0).out.contains("no such records"));
}

#[test]
fn a_dry_run_that_judges_nothing_asks_for_no_key() {
    let dir = tempfile::tempdir().unwrap();
    fill(Making::signed(), dir.path());
    let without_key = |args: &[&str]| {
        let mut command = flk(dir.path());
        command.env_remove("PCS_HMAC_KEY").args(["replay", "--dry-run"]).args(args);
        Ran::of(command.output().unwrap())
    };
    assert!(without_key(&[]).exits(0).out.starts_with("11 records"));
    assert_eq!(without_key(&["--code", "bad_signature", "--json"]).exits(0).json()[0]["records"], json!(1));
    // A key is named where one is needed.
    without_key(&["--refused"]).refuses(2, &["PCS_HMAC_KEY"]);
}

#[test]
fn what_is_not_done_here_is_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    fill(Making::signed(), dir.path());
    run(dir.path(), &["replay"]).refuses(2, &["--verify", "--dry-run", "flk pcs submit", "flk wal dump --body"]);
    run(dir.path(), &["replay", "--refused"]).refuses(2, &["flk pcs submit"]);
    for both in [&["--verify", "--dry-run"], &["--verify", "--refused"]] {
        assert_eq!(run(dir.path(), &[&["replay"], &both[..]].concat()).code, 2);
    }
    // Without any key there is nothing to judge with: the setting is named.
    let mut command = flk(dir.path());
    command.env_remove("PCS_HMAC_KEY").args(["replay", "--verify"]);
    Ran::of(command.output().unwrap()).refuses(2, &["PCS_HMAC_KEY"]);
}
