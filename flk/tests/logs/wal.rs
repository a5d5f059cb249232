//! `flk wal`.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::Stdio,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{
    made::{DAY, Making, Pcs, now},
    run::{Ran, flk, run},
};

/// Settled, duplicate, conflict, refused, and not a record at all: offsets 1 to 5.
fn one_of_each(dir: &Path) -> String {
    let log = Making::signed().open(dir);
    let good = Pcs::new("s1", 7);
    log.at(now() - 3_600_000).add(good.body()).add(good.clone().with("attempt", 2).body());
    log.at(now() - 60_000).add(good.with("regime", "sticky").body()).add(Pcs::new("s1", 8).signed_with("other").body());
    log.add(b"{\"a\": \x1b".to_vec());
    log.id()
}

#[test]
fn stat_says_how_many_of_what_and_how_old() {
    let dir = tempfile::tempdir().unwrap();
    let id = one_of_each(dir.path());
    let stat = run(dir.path(), &["wal", "stat", "--json", "--check"]).exits(0).json().remove(0);
    assert_eq!(stat["log"], json!(id));
    assert_eq!((&stat["records"], &stat["first"], &stat["next"]), (&json!(5), &json!(1), &json!(6)));
    assert_eq!(stat["check"], json!({"sound_records": 5, "damage": []}));
    let mut codes: Vec<String> = stat["by_code"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| format!("{} {} {}", group["state"], group["code"], group["records"]))
        .collect();
    codes.sort();
    let expected = [
        r#""conflict" "conflict" 1"#,
        r#""duplicate" "ok" 1"#,
        r#""refused" "bad_signature" 1"#,
        r#""refused" "malformed" 1"#,
        r#""settled" "ok" 1"#,
    ];
    assert_eq!(codes, expected);

    let words = run(dir.path(), &["wal", "stat", "--check"]).exits(0).out;
    for part in [
        "5, offsets 1 to 5; the next is 6",
        "1 h ago",
        "1 min ago",
        "KiB",
        "20.0 %",
        "bad_signature",
        "sound: 5 records read",
    ] {
        assert!(words.contains(part), "{part} in\n{words}");
    }
    assert!(!words.contains('\u{1b}'), "colours only on a terminal");
}

#[test]
fn an_empty_log_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    drop(Making::signed().open(dir.path()));
    let words = run(dir.path(), &["wal", "stat", "--check"]).exits(0).out;
    assert!(words.contains("the next is 1") && words.contains("sound: 0 records"), "{words}");
    assert_eq!(run(dir.path(), &["wal", "dump"]).exits(0).out, "");
    run(dir.path(), &["wal", "show", "1"]).refuses(1, &["offset 1", "it is empty"]);
    assert!(run(dir.path(), &["wal", "compact"]).exits(0).out.contains("no record is older than 16 d"));
}

#[test]
fn a_check_lists_all_damage_and_exits_with_1() {
    let dir = tempfile::tempdir().unwrap();
    one_of_each(dir.path());
    let conn = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    conn.execute("UPDATE record SET code = 'degraded' WHERE offset = 1", []).unwrap();
    conn.execute("DELETE FROM record WHERE offset = 3", []).unwrap();
    let ran = run(dir.path(), &["wal", "stat", "--check", "--json"]).exits(1);
    let check = ran.json()[0]["check"].clone();
    assert_eq!(check["sound_records"], json!(3));
    assert_eq!((&check["damage"][0]["from"], &check["damage"][1]["to"]), (&json!(1), &json!(3)), "{check}");
    let words = run(dir.path(), &["wal", "stat", "--check"]).exits(1).out;
    assert!(words.contains("damaged: 3 records sound") && words.contains("its checksum does not hold"), "{words}");
    // Whoever meets the damage on the way says where, and what to do.
    run(dir.path(), &["wal", "show", "1"]).refuses(1, &["offset 1", "checksum", "flk wal stat --check"]);
    assert_eq!(run(dir.path(), &["wal", "dump", "--from", "2"]).exits(0).json().len(), 3);
}

#[test]
fn a_check_goes_on_where_the_file_can_not_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = Making::signed().open(dir.path());
    for epoch in 0..200 {
        log.at(now()).add(Pcs::new("a", epoch).with("padding", "x".repeat(1_000)).body());
    }
    drop(log);
    let path = dir.path().join("log.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20 * 8192..20 * 8192 + 64].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    run(dir.path(), &["wal", "stat"]).refuses(1, &["malformed", "flk wal stat --check"]);
    let found = run(dir.path(), &["wal", "stat", "--check", "--json"]).exits(1).json().remove(0);
    // The numbers can not be had; what is wrong can.
    assert_eq!(found.get("records"), None);
    let damage = found["check"]["damage"].as_array().unwrap();
    let lost = damage[0]["to"].as_i64().unwrap() - damage[0]["from"].as_i64().unwrap() + 1;
    assert_eq!((damage.len(), found["check"]["sound_records"].as_i64().unwrap() + lost), (1, 200), "{found}");
    let ran = run(dir.path(), &["replay", "--verify", "--json"]).exits(1);
    assert_eq!(ran.json().pop().unwrap()["summary"]["differences"], json!(1), "{ran:?}");
}

#[test]
fn show_says_what_became_of_a_record_and_withholds_its_body() {
    let dir = tempfile::tempdir().unwrap();
    let id = one_of_each(dir.path());
    let full = format!("{id}/pcs.raw/0/3");
    let words = run(dir.path(), &["wal", "show", &full]).exits(0).out;
    for part in [
        "conflict",
        "settled by",
        "0/1",
        &full,
        "1.0 claimed, 1.0 recomputed",
        "regime_mismatch",
        "SHA-256",
        "content, with",
    ] {
        assert!(words.contains(part), "{part} in\n{words}");
    }
    assert!(!words.contains("fractal-lba-kakeya") && !words.contains("merkle_root"), "{words}");
    let with_body = run(dir.path(), &["wal", "show", "0/3", "--body"]).exits(0).out;
    assert!(with_body.contains("\n  \"schema\": \"fractal-lba-kakeya\""), "{with_body}");
    // A body that is none never reaches the terminal raw.
    let broken = run(dir.path(), &["wal", "show", "5", "--body"]).exits(0).out;
    assert!(
        broken.contains("malformed") && broken.contains(r#"{"a": \u{1b}"#) && !broken.contains('\u{1b}'),
        "{broken}"
    );

    let json = run(dir.path(), &["wal", "show", "2", "--json"]).exits(0).json().remove(0);
    assert_eq!(
        (&json["state"], &json["settled_by"], &json["wal"]["offset"]),
        (&json!("duplicate"), &json!(1), &json!(2))
    );
    assert_eq!((&json["verdict"]["recomputed_D_hat"], &json["request_id"]), (&json!(1.0), &json!("r-1")));
    assert_eq!(json.get("body_base64"), None);
    let json = run(dir.path(), &["wal", "show", "5", "--json", "--body"]).exits(0).json().remove(0);
    assert_eq!(json["body_base64"], json!(STANDARD.encode(b"{\"a\": \x1b")));
    assert_eq!(json["verdict"]["pcs_id"], json!(null));
}

#[test]
fn a_position_that_is_none_here_is_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let id = one_of_each(dir.path());
    run(dir.path(), &["wal", "show", "abc/pcs.raw/0/1"]).refuses(2, &["the log abc", &id]);
    run(dir.path(), &["wal", "show", "3/1"]).refuses(2, &["partition 3"]);
    run(dir.path(), &["wal", "show", "one"]).refuses(2, &["no position", "0/12"]);
    run(dir.path(), &["wal", "show", "9"]).refuses(1, &["no record at offset 9", "it keeps 1 to 5"]);
}

#[test]
fn dump_gives_what_is_asked_for_and_bodies_only_then() {
    let dir = tempfile::tempdir().unwrap();
    one_of_each(dir.path());
    let offsets = |args: &[&str]| -> Vec<i64> {
        let ran = run(dir.path(), &[&["wal", "dump"], args].concat()).exits(0);
        ran.json().iter().map(|entry| entry["wal"]["offset"].as_i64().unwrap()).collect()
    };
    assert_eq!(offsets(&[]), [1, 2, 3, 4, 5]);
    assert_eq!(offsets(&["--from", "2", "--to", "4"]), [2, 3]);
    assert_eq!(offsets(&["--from", "10min"]), [3, 4, 5]);
    assert_eq!(offsets(&["--to", "10min"]), [1, 2]);
    assert_eq!(offsets(&["--state", "refused"]), [4, 5]);
    assert_eq!(offsets(&["--code", "bad_signature"]), [4]);
    assert_eq!(offsets(&["--state", "settled", "--code", "conflict"]), [0_i64; 0]);
    assert!(!run(dir.path(), &["wal", "dump"]).out.contains("body_base64"));
    let entry = run(dir.path(), &["wal", "dump", "--from", "1", "--to", "2", "--body"]).exits(0).json().remove(0);
    let body = STANDARD.decode(entry["body_base64"].as_str().unwrap()).unwrap();
    assert_eq!(body, Pcs::new("s1", 7).body());
    assert_eq!(entry["body_bytes"], json!(body.len()));
    for wrong in [&["--state", "pending"], &["--code", "wrong"], &["--from", "soon"]] {
        let ran = run(dir.path(), &[&["wal", "dump"], &wrong[..]].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
    }
}

#[test]
fn compact_says_what_goes_and_then_does_it_beside_an_open_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = Making::signed().open(dir.path());
    for epoch in 0..30 {
        log.at(now() - 20 * DAY).add(Pcs::new("old", epoch).with("padding", "x".repeat(200_000)).body());
    }
    log.at(now() - 15 * DAY).add(Pcs::new("middle", 0).body()).at(now()).add(Pcs::new("new", 0).body());
    let dry = run(dir.path(), &["wal", "compact", "--dry-run"]).exits(0).out;
    for part in
        ["would go: 30 records, older than 16 d", "5.7 MiB of bodies", "first kept would be 31", "nothing was changed"]
    {
        assert!(dry.contains(part), "{part} in\n{dry}");
    }
    assert_eq!(run(dir.path(), &["wal", "dump"]).exits(0).json().len(), 32);
    let done = run(dir.path(), &["wal", "compact", "--json"]).exits(0).json().remove(0);
    assert_eq!((&done["records"], &done["first_kept"], &done["dry_run"]), (&json!(30), &json!(31), &json!(false)));
    let left = |args: &[&str]| run(dir.path(), &[&["wal", "dump"], args].concat()).exits(0).json().len();
    assert_eq!(left(&[]), 2);
    // The writer goes on beside it, and what is left is whole.
    log.add(Pcs::new("new", 1).body());
    run(dir.path(), &["wal", "stat", "--check"]).exits(0);
    let done = run(dir.path(), &["wal", "compact", "--retention", "14d"]).exits(0).out;
    assert!(done.contains("gone: 1 record, older than 14 d"), "{done}");
    assert_eq!(left(&["--from", "32"]), 2);
}

#[test]
fn compact_never_touches_what_must_stay() {
    let dir = tempfile::tempdir().unwrap();
    Making::signed().open(dir.path()).at(now() - 15 * DAY).add(Pcs::new("a", 0).body());
    run(dir.path(), &["wal", "compact", "--retention", "13d"])
        .refuses(2, &["--retention", "14d", "settled result stands"]);
    assert_eq!(run(dir.path(), &["wal", "compact", "--retention", "soon"]).code, 2);
    // What the service is set to keep is kept, however it is set.
    let file = dir.path().join("retention");
    std::fs::write(&file, "20d\n").unwrap();
    let done = flk(dir.path()).args(["wal", "compact"]).env("FLK_RETENTION_FILE", &file).output().unwrap();
    assert!(String::from_utf8_lossy(&done.stdout).contains("older than 20 d, so none goes"), "{done:?}");
    assert_eq!(run(dir.path(), &["wal", "dump"]).exits(0).json().len(), 1);
}

#[test]
fn a_directory_without_a_log_is_said_so_by_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let id = "0".repeat(64);
    let absent = dir.path().join("absent");
    for args in [
        &["wal", "stat"][..],
        &["wal", "show", "1"],
        &["wal", "dump"],
        &["wal", "compact"],
        &["wal", "compact", "--dry-run"],
        &["results", "get", &id],
        &["results", "list"],
        &["results", "tail", "--follow"],
        &["results", "export"],
        &["replay", "--verify"],
        &["replay", "--dry-run"],
    ] {
        for dir in [dir.path(), &absent] {
            run(dir, args).refuses(2, &["has no log", dir.to_str().unwrap()]);
        }
    }
    assert!(!absent.exists(), "asking makes nothing");
    std::fs::write(dir.path().join("log.db"), "something else entirely".repeat(100)).unwrap();
    run(dir.path(), &["wal", "stat"]).refuses(2, &["is not a log"]);
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let log = Making::signed().open(dir.path());
    for epoch in 0..20 {
        log.add(Pcs::new("a", epoch).with("padding", "x".repeat(50_000)).body());
    }
    drop(log);
    let mut dump = flk(dir.path());
    let mut dump = dump.args(["wal", "dump", "--body"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(dump.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
    let ran = Ran::of(dump.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (141, ""));
}

#[test]
fn all_of_it_works_beside_a_log_that_is_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let log = Making::signed().open(dir.path());
    for epoch in 0..50 {
        log.at(now()).add(Pcs::new("a", epoch).body());
        if epoch % 10 == 9 {
            let stat = run(dir.path(), &["wal", "stat", "--check", "--json"]).exits(0).json().remove(0);
            assert_eq!(stat["records"], json!(epoch + 1));
            run(dir.path(), &["wal", "show", &(epoch + 1).to_string()]).exits(0);
            run(dir.path(), &["wal", "compact"]).exits(0);
            run(dir.path(), &["replay", "--verify"]).exits(0);
            assert_eq!(run(dir.path(), &["results", "list", "--json"]).exits(0).json().len() as u64, epoch + 1);
        }
    }
}
