//! What `kill -9` leaves of an index on disk.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use flk_contract::Tenant;
use flk_results::{
    Index as _, IndexDb, PartitionIndex,
    conformance::{entry, id_text, place},
};

/// Where the child's index is; unset in the parent.
const DIRECTORY: &str = "FLK_TEST_CRASH_DIRECTORY";
const ROUNDS: u64 = 10;
const BATCH: i64 = 64;
/// The child forgets what lies further back than this.
const KEPT: i64 = 8_000;

fn open(directory: &Path) -> (IndexDb, PartitionIndex) {
    let db = IndexDb::open(directory, &place().log).unwrap();
    let index = db.partition(&place()).unwrap();
    (db, index)
}

/// The child: applies and forgets for ever, and says after each `apply` how far it came.
fn apply_until_killed(directory: &Path) -> ! {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nopening").unwrap();
    let (_db, index) = open(directory);
    loop {
        let next = index.next();
        let settled: Vec<_> = (next..next + BATCH).map(|at| entry(&place(), "default", at as u64, at)).collect();
        index.apply(&settled, next + BATCH).unwrap();
        writeln!(out, "next {}", next + BATCH).unwrap();
        if (next / BATCH) % 4 == 0 {
            index.forget_before(next - KEPT, 8 * BATCH as usize).unwrap();
        }
    }
}

#[test]
fn kill_9_leaves_a_whole_prefix_with_all_that_apply_returned_for() {
    let this = "kill_9_leaves_a_whole_prefix_with_all_that_apply_returned_for";
    if let Some(directory) = env::var_os(DIRECTORY) {
        apply_until_killed(directory.as_ref());
    }
    let directory = tempfile::tempdir().unwrap();
    let mut reached = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Some are killed while they open, the others somewhere after so many batches.
        let wait_for = if round % 4 == 3 {
            "opening".into()
        } else {
            format!("next {}", reached + BATCH * (1 + 71 * round as i64))
        };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.by_ref().any(|line| line.unwrap() == wait_for), "round {round}: the child ended by itself");
        child.kill().unwrap();
        // What it had said by then; the last line may be torn.
        let mut said = reached;
        for line in lines.map_while(Result::ok) {
            if let Some(next) = line.strip_prefix("next ").and_then(|next| next.parse().ok()) {
                said = said.max(next);
            }
        }
        assert!(!child.wait().unwrap().success());

        let (_db, index) = open(directory.path());
        reached = check(&index, said, round);
    }

    let (_db, index) = open(directory.path());
    let (mut left, mut forgotten) = (0..reached, 0);
    let first = left.find(|at| present(&index, *at)).unwrap();
    while let step @ 1.. = index.forget_before(reached, 1000).unwrap() {
        forgotten += step as i64;
    }
    assert_eq!(forgotten, reached - first, "every entry by id has one by offset, and the other way round");
    assert!((0..reached).all(|at| !present(&index, at)), "all are forgotten");
}

fn present(index: &PartitionIndex, at: i64) -> bool {
    let found = index.get(&Tenant::default_tenant(), &id_text(at as u64)).unwrap();
    let there = found.is_some();
    assert!(found.is_none_or(|found| found == entry(&place(), "default", at as u64, at)), "another result at {at}");
    there
}

/// All below the index's end that was not forgotten is there, and nothing else.
fn check(index: &PartitionIndex, said: i64, round: u64) -> i64 {
    let next = index.next();
    assert!(next >= said, "round {round}: the child came to {said}, the index to {next}");
    assert_eq!(next % BATCH, 0, "round {round}: a part of a batch");
    for at in next - KEPT..next {
        assert!(at < 0 || present(index, at), "round {round}: {at} is missing below {next}");
    }
    for at in next..next + 4 * BATCH {
        assert!(!present(index, at), "round {round}: {at} is there, beyond {next}");
    }
    let older: Vec<_> = (0..next).step_by(37).map(|at| present(index, at)).collect();
    assert!(older.is_sorted(), "round {round}: the oldest are forgotten first");
    next
}
