//! `flk results`.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Stdio},
    sync::mpsc,
    time::Duration,
};

use flk_contract::wire::ResultBody;
use serde_json::{Value, json};

use crate::{
    made::{DAY, Making, Pcs, now},
    run::{flk, run},
};

/// Offsets 1 and 2 two hours ago, 3 (a duplicate), 4 (escalated) and 5 (refused) now.
fn some(dir: &Path) {
    let log = Making::signed().keys(&[("default", "testsecret"), ("acme", "other")]).open(dir);
    log.at(now() - 2 * 3_600_000).add(Pcs::new("s1", 1).body()).add(Pcs::new("s2", 1).signed_with("other").body());
    log.at(now()).add(Pcs::new("s1", 1).body()).add(Pcs::new("s1", 2).with("budget", 0.9).body());
    log.add(Pcs::new("s1", 3).with("D_hat", 2.9).body());
}

fn offsets(dir: &Path, args: &[&str]) -> Vec<i64> {
    let ran = run(dir, &[&["results"], args, &["--json"]].concat()).exits(0);
    let read = |line: Value| serde_json::from_value::<ResultBody>(line).unwrap().origin.unwrap().position.offset;
    ran.json().into_iter().map(read).collect()
}

#[test]
fn get_tells_what_stands_what_expired_and_what_never_was() {
    let dir = tempfile::tempdir().unwrap();
    let (lapsed, twice, fresh) = (Pcs::new("lapsed", 1), Pcs::new("twice", 1), Pcs::new("fresh", 1));
    let log = Making::signed().keys(&[("default", "testsecret"), ("acme", "other")]).open(dir.path());
    log.at(now() - 15 * DAY).add(lapsed.body()).add(twice.body());
    log.at(now()).add(twice.body()).add(fresh.clone().signed_with("other").body());
    let get = |args: &[&str]| run(dir.path(), &[&["results", "get"], args].concat());

    let ran = get(&[&lapsed.id(), "--json"]).exits(1).json().remove(0);
    assert_eq!((&ran["state"], &ran["result"]["origin"]["offset"]), (&json!("expired"), &json!(1)));
    assert!(get(&[&lapsed.id()]).exits(1).out.contains("expired at "));
    let ran = get(&[&twice.id(), "--json"]).exits(0).json().remove(0);
    assert_eq!((&ran["state"], &ran["result"]["origin"]["offset"]), (&json!("settled"), &json!(3)));
    assert_eq!(ran["result"]["code"], json!("ok"));
    let words = get(&[&twice.id()]).exits(0).out;
    assert!(words.contains("settled; stands until ") && words.contains("1.0 claimed, 1.0 recomputed"), "{words}");

    let ran = get(&[&fresh.id(), "--json"]).exits(1).json().remove(0);
    assert_eq!(ran, json!({"state": "none", "stands_until": null, "result": null}));
    assert!(get(&[&fresh.id()]).exits(1).out.contains("nothing is settled for this id in the tenant default"));
    let ran = get(&[&fresh.id(), "--tenant", "acme", "--json"]).exits(0).json().remove(0);
    assert_eq!(ran["result"]["tenant"], json!("acme"));
    assert_eq!(get(&["abc"]).code, 2);
    assert_eq!(get(&[&fresh.id(), "--tenant", "a/b"]).code, 2);
}

#[test]
fn list_gives_the_newest_that_are_asked_for_newest_last() {
    let dir = tempfile::tempdir().unwrap();
    some(dir.path());
    assert_eq!(offsets(dir.path(), &["list"]), [1, 2, 4]);
    assert_eq!(offsets(dir.path(), &["list", "--limit", "2"]), [2, 4]);
    assert_eq!(offsets(dir.path(), &["list", "--shard", "s1"]), [1, 4]);
    assert_eq!(offsets(dir.path(), &["list", "--shard", "s"]), [0_i64; 0]);
    assert_eq!(offsets(dir.path(), &["list", "--since", "1h"]), [4]);
    assert_eq!(offsets(dir.path(), &["list", "--since", "2026-01-01T00:00:00Z", "--code", "ok"]).len(), 2);
    assert_eq!(offsets(dir.path(), &["list", "--code", "budget_deviation"]), [4]);
    assert_eq!(offsets(dir.path(), &["list", "--tenant", "acme"]), [2]);
    let words = run(dir.path(), &["results", "list"]).exits(0).out;
    let lines: Vec<&str> = words.lines().collect();
    assert!(lines.len() == 4 && lines[0].trim_start().starts_with("offset"), "{words}");
    assert!(lines[3].contains("budget_deviation") && lines[3].contains(&Pcs::new("s1", 2).id()), "{words}");
    assert_eq!(run(dir.path(), &["results", "list", "--tenant", "b"]).exits(0).out, "no such results\n");
    // A code that settles nothing is a mistake, not an empty answer.
    let ran = run(dir.path(), &["results", "list", "--code", "bad_signature"]);
    assert!(ran.code == 2 && ran.err.contains("flk wal dump --code bad_signature"), "{ran:?}");
}

#[test]
fn a_shard_can_not_write_to_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    Making::signed().open(dir.path()).at(now()).add(Pcs::new("a\u{1b}[31m\u{202e}", 1).body());
    for command in ["list", "tail"] {
        let words = run(dir.path(), &["results", command]).exits(0).out;
        assert!(words.contains(r"a\u{1b}[31m\u{202e}") && !words.contains('\u{1b}'), "{words}");
    }
}

/// A run that goes on, and is ended with the test.
struct Following {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Following {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = flk(dir)
            .args(["results", "tail", "--follow"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (tell, lines) = mpsc::channel();
        let out: ChildStdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).all(|line| tell.send(line).is_ok())
        });
        Self { child, lines }
    }

    fn line(&self) -> Value {
        serde_json::from_str(&self.lines.recv_timeout(Duration::from_secs(30)).unwrap()).unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_begins_with_the_last_and_follows_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    some(dir.path());
    assert_eq!(offsets(dir.path(), &["tail"]), [1, 2, 4]);
    assert_eq!(offsets(dir.path(), &["tail", "--lines", "1"]), [4]);
    assert_eq!(offsets(dir.path(), &["tail", "--lines", "0"]), [0_i64; 0]);
    let log = Making::signed().open(dir.path());
    let following = Following::start(dir.path(), &["--lines", "1", "--json"]);
    assert_eq!(following.line()["origin"]["offset"], json!(4));
    log.at(now()).add(b"not a record".to_vec()).add(Pcs::new("s1", 9).body());
    let line = following.line();
    assert_eq!((&line["pcs_id"], &line["origin"]["offset"]), (&json!(Pcs::new("s1", 9).id()), &json!(7)));
    // Also over a restart of the service.
    drop(log);
    let log = Making::signed().open(dir.path());
    log.at(now()).add(Pcs::new("s1", 9).body()).add(Pcs::new("s1", 10).body());
    assert_eq!(following.line()["origin"]["offset"], json!(9));
    let filtered = Following::start(dir.path(), &["--lines", "0", "--json", "--shard", "s3"]);
    log.add(Pcs::new("s4", 1).body()).add(Pcs::new("s3", 1).body());
    assert_eq!(following.line()["origin"]["offset"], json!(10));
    // It may have begun only after that: then there is another.
    loop {
        log.add(Pcs::new("s3", now().unsigned_abs()).body());
        if let Ok(line) = filtered.lines.recv_timeout(Duration::from_millis(300)) {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert!(line["origin"]["offset"].as_i64().unwrap() >= 11, "{line}");
            break;
        }
    }
}

#[test]
fn tail_notices_that_its_file_was_replaced() {
    let dir = tempfile::tempdir().unwrap();
    some(dir.path());
    let mut following = Following::start(dir.path(), &["--lines", "1", "--json"]);
    following.line();
    std::fs::rename(dir.path().join("log.db"), dir.path().join("kept")).unwrap();
    drop(Making::signed().open(dir.path()));
    assert_eq!(following.child.wait().unwrap().code(), Some(1));
}

#[test]
fn export_gives_all_as_ndjson_and_csv_with_every_field() {
    let dir = tempfile::tempdir().unwrap();
    some(dir.path());
    let results = run(dir.path(), &["results", "export"]).exits(0).json();
    assert_eq!(results.len(), 3);
    let csv = run(dir.path(), &["results", "export", "--format", "csv"]).exits(0).out;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headings: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    // Every field of a result is there, the origin's one by one, and says the same.
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    for (result, row) in results.iter().zip(&rows) {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in result.as_object().unwrap() {
            match value {
                Value::Object(origin) => {
                    fields.extend(origin.iter().map(|(part, value)| (format!("{name}_{part}"), plain(value))))
                }
                value => fields.push((name.clone(), plain(value))),
            }
        }
        let mut cells: Vec<(String, String)> = headings.iter().cloned().zip(row.iter().map(str::to_owned)).collect();
        fields.sort();
        cells.sort();
        assert_eq!(cells, fields);
    }
    let since = run(dir.path(), &["results", "export", "--since", "1h", "--format", "csv"]).exits(0).out;
    assert_eq!(since.lines().count(), 2, "{since}");
    // The headings are there also where there is nothing below them.
    let none = run(dir.path(), &["results", "export", "--since", "2999-01-01", "--format", "csv"]).exits(0).out;
    assert_eq!(none.lines().collect::<Vec<_>>(), [csv.lines().next().unwrap()]);
}

#[test]
fn export_writes_a_file_whole_or_not_at_all_and_overwrites_none() {
    let dir = tempfile::tempdir().unwrap();
    some(dir.path());
    let out = dir.path().join("results.ndjson");
    let path = out.to_str().unwrap();
    let ran = run(dir.path(), &["results", "export", "--out", path]).exits(0);
    assert!(ran.out.is_empty() && ran.err.contains("3 results in "), "{ran:?}");
    let written = std::fs::read_to_string(&out).unwrap();
    assert_eq!(written, run(dir.path(), &["results", "export"]).exits(0).out);
    run(dir.path(), &["results", "export", "--out", path]).refuses(2, &["is there already"]);
    run(dir.path(), &["results", "export", "--out", "/nowhere/x"]).refuses(2, &["/nowhere/x can not be written"]);
    // Damage on the way leaves no half of it behind.
    rusqlite::Connection::open(dir.path().join("log.db"))
        .unwrap()
        .execute("UPDATE record SET reason = 'x' WHERE offset = 4", [])
        .unwrap();
    let half = dir.path().join("half");
    run(dir.path(), &["results", "export", "--out", half.to_str().unwrap()]).refuses(1, &["offset 4 is damaged"]);
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!files.iter().any(|name| name.to_string_lossy().starts_with("half")), "{files:?}");
}
