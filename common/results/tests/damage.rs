//! An index that can not be used: what is said, and what is done about it.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use flk_contract::{LogId, Tenant};
use flk_results::{
    Index as _, IndexDb, OpenError, Opened, PartitionIndex, Place, ResultsError,
    conformance::{entry, id_text, place},
};

/// Enough for tables to be written out, with a rest in the journal.
const ENTRIES: i64 = 60_000;
const BATCH: i64 = 500;

fn partition(db: &IndexDb) -> PartitionIndex {
    db.partition(&place()).unwrap()
}

fn fill(directory: &Path, entries: i64) {
    let db = IndexDb::open(directory, &place().log).unwrap();
    let index = partition(&db);
    for first in (0..entries).step_by(BATCH as usize) {
        let settled: Vec<_> = (first..first + BATCH).map(|at| entry(&place(), "default", at as u64, at)).collect();
        index.apply(&settled, first + BATCH).unwrap();
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

/// Opens an index that something was done to. Whatever it says then is right or an error: a
/// result that was applied is there, if it lies below the end, or it says that it is damaged.
/// Gives what was noticed.
fn never_wrong(directory: &Path, what: &str) -> &'static str {
    let (db, opened) = IndexDb::open_or_reset(directory, &place().log).unwrap();
    let index = partition(&db);
    let next = index.next();
    assert!(next <= ENTRIES, "{what}: it ends at {next}");
    if let Opened::Reset(why) = &opened {
        assert!(why.calls_for_reset(), "{what}: {why}");
        assert_eq!(next, 0, "{what}");
    }
    let mut noticed = match (next, opened) {
        (ENTRIES, Opened::Kept) => "nothing",
        (_, Opened::Kept) => "shorter",
        (_, Opened::Reset(_)) => "reset",
        (_, Opened::Fresh) => "fresh",
    };
    // Not every one: a block holds dozens of them.
    for at in (0..ENTRIES).step_by(7) {
        match index.get(&Tenant::default_tenant(), &id_text(at as u64)) {
            Ok(Some(found)) => assert_eq!(found, entry(&place(), "default", at as u64, at), "{what}"),
            Ok(None) => assert!(at >= next, "{what}: {at} is missing, and the index ends at {next}"),
            Err(ResultsError::Damaged(_)) => noticed = "told",
            Err(why) => panic!("{what}: {why}"),
        }
    }
    if noticed == "told" {
        drop((index, db));
        let anew = IndexDb::open_anew(directory, &place().log).unwrap();
        assert_eq!(partition(&anew).next(), 0, "{what}");
    }
    noticed
}

#[test]
fn what_is_new_kept_or_reset_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let open = || IndexDb::open_or_reset(directory.path(), &place().log).unwrap();
    assert!(matches!(open().1, Opened::Fresh));
    fill(directory.path(), BATCH);
    let (db, opened) = open();
    assert!(matches!(opened, Opened::Kept));
    assert_eq!(partition(&db).next(), BATCH);
}

#[test]
fn a_reset_touches_only_the_index_and_only_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path, BATCH);
    let others = [path.join("log.db"), path.join("index.db.backup"), path.join("notes/index.db")];
    fs::create_dir(path.join("notes")).unwrap();
    for other in &others {
        fs::write(other, "not ours").unwrap();
    }

    let other = LogId::new("another log");
    let told = IndexDb::open(path, &other).unwrap_err();
    assert!(
        matches!(&told, OpenError::OtherLog { found, expected } if found == "the log" && expected == "another log")
    );
    assert_eq!(partition(&IndexDb::open(path, &place().log).unwrap()).next(), BATCH, "`open` changes nothing");

    let (db, opened) = IndexDb::open_or_reset(path, &other).unwrap();
    assert!(matches!(opened, Opened::Reset(OpenError::OtherLog { .. })), "{opened:?}");
    let ours = Place { log: other, ..place() };
    assert_eq!(db.partition(&ours).unwrap().next(), 0);
    for other in &others {
        assert_eq!(fs::read_to_string(other).unwrap(), "not ours");
    }
}

#[test]
fn another_format_is_named_and_calls_for_a_reset() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), BATCH);
    let marker = directory.path().join("index.format");
    let text = fs::read_to_string(&marker).unwrap();
    for (from, to, expected) in [
        ("format 2", "format 1", "format 1,"),
        ("format 2", "format 99", "format 99"),
        ("format 2", "", "can not be read"),
    ] {
        fs::write(&marker, text.replace(from, to)).unwrap();
        let told = IndexDb::open(directory.path(), &place().log).unwrap_err();
        assert!(told.calls_for_reset() && told.to_string().contains(expected), "{told}");
    }
    fs::remove_file(&marker).unwrap();
    let told = IndexDb::open(directory.path(), &place().log).unwrap_err();
    assert!(matches!(told, OpenError::Damaged(_)), "{told}");
    let (db, opened) = IndexDb::open_or_reset(directory.path(), &place().log).unwrap();
    assert!(matches!(opened, Opened::Reset(OpenError::Damaged(_))), "{opened:?}");
    assert_eq!(partition(&db).next(), 0);
}

#[test]
fn an_index_that_was_only_begun_is_finished() {
    // Each state that a crash between two steps of making one leaves behind.
    for made in [&["index.lock"][..], &["index.lock", "index.format.new"], &["index.lock", "index.format"]] {
        let (whole, begun) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(IndexDb::open(whole.path(), &place().log).unwrap());
        for name in made {
            let from = whole.path().join(name.trim_end_matches(".new"));
            fs::copy(from, begun.path().join(name)).unwrap();
        }
        assert_eq!(partition(&IndexDb::open(begun.path(), &place().log).unwrap()).next(), 0, "{made:?}");
    }
    // The database itself, at any point: its files come one after the other.
    let whole = tempfile::tempdir().unwrap();
    drop(IndexDb::open(whole.path(), &place().log).unwrap());
    for file in files(&whole.path().join("index.db")) {
        let begun = tempfile::tempdir().unwrap();
        copy(whole.path(), begun.path());
        fs::remove_file(begun.path().join(file.strip_prefix(whole.path()).unwrap())).unwrap();
        let (db, opened) = IndexDb::open_or_reset(begun.path(), &place().log).unwrap();
        assert_eq!(partition(&db).next(), 0, "{} and {opened:?}", file.display());
    }
}

#[test]
fn a_second_owner_is_turned_away_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let db = IndexDb::open(directory.path(), &place().log).unwrap();
    let index = partition(&db);
    let other = LogId::new("another log");
    for log in [&place().log, &other] {
        for told in [
            IndexDb::open(directory.path(), log).err(),
            IndexDb::open_or_reset(directory.path(), log).err(),
            IndexDb::open_anew(directory.path(), log).err(),
        ] {
            assert!(matches!(told, Some(OpenError::InUse(_))), "{told:?}");
        }
    }
    drop(db);
    let told = IndexDb::open(directory.path(), &place().log);
    assert!(matches!(told, Err(OpenError::InUse(_))), "a partition keeps the directory");
    index.apply(&[entry(&place(), "default", 1, 1)], 2).unwrap();
    drop(index);
    assert_eq!(partition(&IndexDb::open(directory.path(), &place().log).unwrap()).next(), 2);
}

#[test]
fn what_no_reset_mends_is_not_reset() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a file");
    fs::write(&file, "not a directory").unwrap();
    let told = IndexDb::open_or_reset(&file, &place().log).unwrap_err();
    assert!(matches!(told, OpenError::Unavailable { .. }), "{told}");
    assert_eq!(fs::read_to_string(file).unwrap(), "not a directory");

    let db = IndexDb::open(&directory.path().join("index"), &place().log).unwrap();
    let told = db.partition(&Place { topic: "t".repeat(300).into(), ..place() }).unwrap_err();
    assert!(matches!(told, OpenError::BadName(_)), "{told}");
}

#[test]
fn damage_is_told_or_undone_and_never_answered_with() {
    let whole = tempfile::tempdir().unwrap();
    fill(whole.path(), ENTRIES);
    // Opened once more, so that the journal has no room to spare at its end.
    drop(IndexDb::open(whole.path(), &place().log).unwrap());
    let database = whole.path().join("index.db");
    let tables =
        files(&database).iter().filter(|file| file.parent().is_some_and(|dir| dir.ends_with("tables"))).count();
    assert!(tables > 0, "nothing was written out: {:?}", files(&database));

    let mut noticed = std::collections::BTreeMap::<&str, u32>::new();
    for file in files(&database) {
        let name = file.strip_prefix(whole.path()).unwrap();
        let size = fs::metadata(&file).unwrap().len() as usize;
        let mut places = vec![0, size / 2, size - size.min(40)];
        places.retain(|at| *at < size);
        places.dedup();
        let flips = places.into_iter().map(Some);
        for flip in flips.chain([None]) {
            let damaged = tempfile::tempdir().unwrap();
            copy(whole.path(), damaged.path());
            let path = damaged.path().join(name);
            let what = match flip {
                Some(at) => {
                    let mut bytes = fs::read(&path).unwrap();
                    bytes[at] ^= 0x55;
                    fs::write(&path, bytes).unwrap();
                    format!("{} with byte {at} of {size} changed", name.display())
                }
                None => {
                    fs::remove_file(&path).unwrap();
                    format!("{} removed", name.display())
                }
            };
            let so = never_wrong(damaged.path(), &what);
            println!("{what}: {so}");
            *noticed.entry(so).or_default() += 1;
        }
    }
    assert!(noticed.get("reset") > Some(&0), "{noticed:?}");
    assert!(noticed.get("told") > Some(&0), "{noticed:?}");
}
