//! What the embedded log promises beyond the port: who may open it, what it says when something is
//! wrong, retention, and reading beside it.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is a failed claim")]

use core::time::Duration;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use flk_contract::{Code, LogTime, Origin, Settled, Tenant, wire::State};
use flk_log::{
    Append, Decide, Decided, Log, ReadError, StoredRecord,
    conformance::{HandClock, Refuser, record},
    embedded::{Damage, EmbeddedLog, FILE, LogReader, Mode, OpenError, Options, Scan, Surveyed, compact},
    watch::Unwatched,
};

const DAY: i64 = 24 * 60 * 60 * 1000;

fn try_open(dir: &Path, clock: Arc<HandClock>) -> Result<EmbeddedLog, OpenError> {
    EmbeddedLog::open(dir, &Options::default(), clock, Arc::new(Unwatched), |_, _| Ok(Refuser::default()))
}

fn open(dir: &Path, clock: Arc<HandClock>) -> EmbeddedLog {
    let log = try_open(dir, clock).unwrap();
    until("the log is open", || log.health().is_ok());
    log
}

fn until(claim: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{claim}: not within 30 s");
        std::thread::yield_now();
    }
}

async fn fill(log: &EmbeddedLog, records: usize, size: usize) {
    let mut tickets = Vec::new();
    for n in 0..records {
        tickets.push(log.append(record(vec![n as u8; size])).await.unwrap());
    }
    for ticket in tickets {
        ticket.durable().await.unwrap();
    }
}

fn offsets(dir: &Path) -> Vec<i64> {
    let mut offsets = Vec::new();
    let each = |record: StoredRecord| {
        offsets.push(record.origin.position.offset);
        Ok::<_, ReadError>(true)
    };
    LogReader::open(dir).unwrap().scan(&Scan::ALL, each).unwrap();
    offsets
}

#[tokio::test]
async fn a_second_process_on_the_directory_gets_a_plain_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), HandClock::at(0));
    let error = try_open(dir.path(), HandClock::at(0)).err().unwrap().to_string();
    assert!(error.contains("in use by another process") && error.contains(&std::process::id().to_string()), "{error}");
    drop(first);
    open(dir.path(), HandClock::at(0));
}

#[tokio::test]
async fn a_file_that_is_not_a_log_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    std::fs::write(&path, b"something else entirely, and long enough to be looked at".repeat(9)).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(try_open(dir.path(), HandClock::at(0)), Err(OpenError::NotALog(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let other = tempfile::tempdir().unwrap();
    let conn = rusqlite::Connection::open(other.path().join(FILE)).unwrap();
    conn.execute_batch("CREATE TABLE mine (x); ").unwrap();
    drop(conn);
    assert!(matches!(try_open(other.path(), HandClock::at(0)), Err(OpenError::NotALog(_))));
}

#[tokio::test]
async fn a_file_of_another_format_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), HandClock::at(0)));
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.pragma_update(None, "user_version", 7).unwrap();
    drop(conn);
    let error = try_open(dir.path(), HandClock::at(0)).err().unwrap();
    assert!(matches!(error, OpenError::OtherFormat { found: 7, expected: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_row_is_found_at_start_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), HandClock::at(0));
    fill(&log, 20, 2_000).await;
    drop(log);
    // One bit of one body, deep in the file.
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(500).position(|part| part.iter().all(|byte| *byte == 7)).unwrap();
    bytes[at + 250] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = try_open(dir.path(), HandClock::at(0)).err().unwrap();
    assert!(matches!(&error, OpenError::Damaged { what, .. } if what.contains("offset 8")), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "a damaged file is not touched");
}

#[tokio::test]
async fn a_file_cut_short_is_found_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), HandClock::at(0));
    fill(&log, 100, 2_000).await;
    drop(log);
    let path = dir.path().join(FILE);
    let size = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(size / 2).unwrap();
    let error = try_open(dir.path(), HandClock::at(0)).err().unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn retention_removes_what_is_old_by_log_time_and_gives_the_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::at(0);
    let log = open(dir.path(), clock.clone());
    fill(&log, 3_000, 10_000).await;
    // The clock alone, without a record, removes nothing.
    clock.set(100 * DAY);
    drop(log);
    let full = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
    let log = open(dir.path(), clock.clone());
    clock.set(10 * DAY);
    fill(&log, 1, 10).await;
    clock.set(17 * DAY);
    fill(&log, 1, 10).await;
    assert_eq!(offsets(dir.path()).len(), 3_002);
    drop(log);
    let log = open(dir.path(), clock.clone());
    until("the old records are gone", || offsets(dir.path()) == [3_001, 3_002]);
    let path = dir.path().join(FILE);
    until("the file has shrunk", || {
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        std::fs::metadata(&path).unwrap().len() * 4 < full * 3
    });
    fill(&log, 1, 10).await;
    assert_eq!(offsets(dir.path()), [3_001, 3_002, 3_003]);
}

#[tokio::test]
async fn the_write_ahead_file_stays_short_however_much_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), HandClock::at(0));
    let wal = || std::fs::metadata(dir.path().join("log.db-wal")).unwrap().len();
    let (mut written, mut longest) = (0_u64, 0);
    while written < 200 << 20 {
        fill(&log, 16, 1 << 18).await;
        written += 16 << 18;
        longest = longest.max(wal());
    }
    assert!(longest < 96 << 20, "{written} bytes made a file of {longest}");
    drop(log);
    assert!(!dir.path().join("log.db-wal").exists(), "whoever closes the log last moves what is left");
    assert_eq!(offsets(dir.path()).len(), 800);
}

#[tokio::test]
async fn retention_keeps_the_write_ahead_file_short_where_nobody_appends() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::at(0);
    let log = open(dir.path(), clock.clone());
    for day in [0, 10, 17] {
        clock.set(day * DAY);
        for _ in 0..if day == 17 { 1 } else { 40 } {
            fill(&log, 16, 1 << 18).await;
        }
    }
    drop(log);
    let log = open(dir.path(), clock);
    let size = |file: &str| std::fs::metadata(dir.path().join(file)).map_or(0, |meta| meta.len());
    let longest = AtomicU64::new(0);
    // Nobody reads the log meanwhile: what is read can not begin anew.
    until("half of it has gone, and its space has been given back", || {
        longest.fetch_max(size("log.db-wal"), Ordering::Relaxed);
        size(FILE) < 200 << 20
    });
    drop(log);
    assert_eq!(LogReader::open(dir.path()).unwrap().first().unwrap(), Some(641));
    let longest = longest.into_inner();
    assert!(longest < 96 << 20, "160 MiB that went made a file of {longest}");
}

/// Decides nothing, and has to be mended and restored.
#[derive(Default)]
struct Mended {
    next: i64,
    /// Takes nothing that is restored before it is mended.
    failing: bool,
    /// Times that it is mended until it has lost all that it knew.
    forgets: Option<u64>,
    restored: Arc<AtomicU64>,
}

impl Decide for Mended {
    fn next(&self) -> i64 {
        self.next
    }

    fn mend(&mut self, _: i64) -> Result<(), Arc<str>> {
        self.failing = false;
        if self.forgets == Some(1) {
            self.next = 0;
        }
        self.forgets = self.forgets.and_then(|left| left.checked_sub(1));
        Ok(())
    }

    fn restore(&mut self, _: &[Settled], next: i64) -> Result<(), Arc<str>> {
        if self.failing {
            return Err("the disk was full".into());
        }
        self.next = next;
        self.restored.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn decide(&mut self, append: &Append, origin: &Origin) -> Result<Arc<Decided>, Arc<str>> {
        Refuser::default().decide(append, origin)
    }

    fn committed(&mut self, next: i64) -> Result<(), Arc<str>> {
        self.next = next;
        Ok(())
    }

    fn abandoned(&mut self) {}

    fn forget_before(&mut self, _: i64) -> Result<bool, Arc<str>> {
        Ok(false)
    }
}

fn open_with(dir: &Path, decide: impl FnOnce(i64) -> Mended) -> EmbeddedLog {
    let options = Options::default();
    EmbeddedLog::open(dir, &options, HandClock::at(0), Arc::new(Unwatched), |_, next| Ok(decide(next))).unwrap()
}

#[tokio::test]
async fn a_decider_that_fails_while_it_is_restored_at_the_start_is_mended() {
    let dir = made(10, 10).await;
    let log = open_with(dir.path(), |_| Mended { failing: true, ..Mended::default() });
    until("the log is open", || log.health().is_ok());
    fill(&log, 1, 10).await;
}

#[tokio::test]
async fn a_log_whose_decider_was_restored_while_nobody_appended_is_open_at_once() {
    let dir = made(2_100, 10).await;
    let restored = Arc::new(AtomicU64::new(0));
    // It is mended at the start, and then when retention comes by for the first time. More than a few
    // rows are lacking then, so that the log is closed meanwhile; retention comes by again only after
    // longer than is waited here.
    let log = open_with(dir.path(), |next| Mended {
        next,
        forgets: Some(2),
        restored: restored.clone(),
        ..Mended::default()
    });
    until("it was restored, and the log is open", || restored.load(Ordering::Relaxed) > 0 && log.health().is_ok());
    fill(&log, 1, 10).await;
}

#[tokio::test]
async fn what_a_crash_left_in_the_write_ahead_file_is_in_the_log_before_records_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), HandClock::at(0));
    fill(&log, 20, 2_000).await;
    // What a process that is killed leaves.
    let (crashed, alone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in [FILE, "log.db-wal"] {
        std::fs::copy(dir.path().join(name), crashed.path().join(name)).unwrap();
    }
    let _again = try_open(crashed.path(), HandClock::at(0)).unwrap();
    std::fs::copy(crashed.path().join(FILE), alone.path().join(FILE)).unwrap();
    assert_eq!(offsets(alone.path()), (1..21).collect::<Vec<_>>());
}

#[test]
fn sqlite_is_one_whose_checkpoints_stand_a_commit_beside_them() {
    // Before 3.51.3 a checkpoint that began while a commit began the write-ahead file anew could lose
    // what was committed: <https://www.sqlite.org/wal.html#walresetbug>.
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

#[tokio::test]
async fn compacting_says_what_would_go_and_never_touches_what_must_stay() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::at(0);
    let log = open(dir.path(), clock.clone());
    fill(&log, 10, 1_000).await;
    clock.set(15 * DAY);
    fill(&log, 5, 1_000).await;
    let now = LogTime::from_millis(15 * DAY);
    let hour = Duration::from_secs(3600);
    let dry = compact(dir.path(), hour, now, Mode::DryRun).unwrap();
    assert_eq!((dry.records, dry.body_bytes, dry.first_kept), (10, 10_000, Some(11)));
    assert_eq!(offsets(dir.path()).len(), 15);
    // Beside the running log.
    let done = compact(dir.path(), hour, now, Mode::Remove).unwrap();
    assert_eq!(done.records, 10);
    assert_eq!(offsets(dir.path()), [11, 12, 13, 14, 15]);
    fill(&log, 1, 10).await;
    // A clock far ahead of the log empties nothing.
    let ahead = compact(dir.path(), hour, LogTime::from_millis(999 * DAY), Mode::Remove).unwrap();
    assert_eq!(ahead.records, 0);
    assert_eq!(offsets(dir.path()).last(), Some(&16));
}

#[tokio::test]
async fn records_are_found_by_time_and_by_state() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::at(0);
    let log = open(dir.path(), clock.clone());
    for time in [10, 20, 20, 30] {
        clock.set(time);
        fill(&log, 1, 10).await;
    }
    let reader = LogReader::open(dir.path()).unwrap();
    for (time, offset) in [(0, 1), (10, 1), (11, 2), (20, 2), (21, 4), (30, 4), (31, 5)] {
        assert_eq!(reader.offset_at(LogTime::from_millis(time)).unwrap(), offset, "at {time}");
    }
    let mut count = 0;
    let refused = Scan { state: Some(State::Refused), ..Scan::ALL };
    reader
        .scan(&refused, |_| {
            count += 1;
            Ok::<_, ReadError>(true)
        })
        .unwrap();
    assert_eq!(count, 4);
    let settled = Scan { state: Some(State::Settled), ..Scan::ALL };
    reader.scan(&settled, |_| -> Result<bool, ReadError> { panic!("nothing settled") }).unwrap();
    let stat = reader.stat().unwrap();
    assert_eq!((stat.records, stat.first, stat.next, stat.body_bytes), (4, Some(1), 5, 40));
    assert_eq!(stat.by_code, [("refused".to_owned(), "malformed".to_owned(), 4)]);
}

#[tokio::test]
async fn a_log_that_is_not_there_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(LogReader::open(dir.path()), Err(OpenError::Absent(_))));
}

fn survey(dir: &Path) -> (Vec<i64>, Vec<Damage>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let each = |found| {
        match found {
            Surveyed::Record(record) => records.push(record.origin.position.offset),
            Surveyed::Damage(found) => damage.push(found),
        }
        Ok::<_, ReadError>(true)
    };
    LogReader::open(dir).unwrap().survey(0, i64::MAX, each).unwrap();
    (records, damage)
}

async fn made(records: usize, size: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fill(&open(dir.path(), HandClock::at(0)), records, size).await;
    dir
}

#[tokio::test]
async fn a_survey_of_a_sound_log_finds_all_records_and_nothing_else() {
    let dir = made(1_200, 100).await;
    assert_eq!(survey(dir.path()), ((1..=1_200).collect(), Vec::new()));
    // Retention takes from the head: that is no damage.
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute("DELETE FROM record WHERE offset < 700", []).unwrap();
    assert_eq!(survey(dir.path()), ((700..=1_200).collect(), Vec::new()));
    conn.execute("DELETE FROM record", []).unwrap();
    assert_eq!(survey(dir.path()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_survey_goes_on_after_damage_and_names_all_of_it() {
    let dir = made(1_000, 100).await;
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute("UPDATE record SET code = 'ok' WHERE offset = 5", []).unwrap();
    conn.execute("UPDATE record SET appended_at = 9 WHERE offset = 6", []).unwrap();
    conn.execute("DELETE FROM record WHERE offset BETWEEN 600 AND 602", []).unwrap();
    conn.execute("DELETE FROM record WHERE offset > 998", []).unwrap();
    let (records, damage) = survey(dir.path());
    let expected: Vec<i64> = (1..=998).filter(|n| ![5, 6, 600, 601, 602].contains(n)).collect();
    assert_eq!(records, expected);
    let places: Vec<_> = damage.iter().map(|damage| (damage.from, damage.to)).collect();
    assert_eq!(places, [(5, 5), (6, 6), (600, 602), (999, 1_000)], "{damage:?}");
    assert!(damage[0].what.contains("checksum"), "{damage:?}");
}

#[tokio::test]
async fn a_survey_steps_over_pages_that_can_not_be_read() {
    let dir = made(2_000, 500).await;
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    // The size of a page stands at byte 16 of the file.
    let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let pages = bytes.len() / size;
    assert!(pages > 100, "{pages}");
    // Two leaves that are neighbours, and one further on, lose their heads.
    for page in [40, 41, 90] {
        bytes[page * size..page * size + 64].fill(0xff);
    }
    std::fs::write(&path, &bytes).unwrap();
    let (records, damage) = survey(dir.path());
    assert_eq!(damage.len(), 2, "{damage:?}");
    assert!(damage.iter().all(|damage| damage.what.contains("can not be read")), "{damage:?}");
    let lost: Vec<i64> = damage.iter().flat_map(|damage| damage.from..=damage.to).collect();
    assert!(lost.len() > 10 && lost.len() < 100, "{damage:?}");
    let expected: Vec<i64> = (1..=2_000).filter(|n| !lost.contains(n)).collect();
    assert_eq!(records, expected);
}

#[tokio::test]
async fn a_file_cut_short_is_not_read_at_all() {
    let dir = made(1_000, 500).await;
    let path = dir.path().join(FILE);
    let size = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(size / 8192 / 2 * 8192).unwrap();
    assert!(matches!(LogReader::open(dir.path()), Err(OpenError::Damaged { .. })));
}

#[tokio::test]
async fn records_are_read_from_the_newest_back_and_by_code() {
    let dir = made(1_200, 10).await;
    let reader = LogReader::open(dir.path()).unwrap();
    let mut seen = Vec::new();
    let scan = Scan { from: 100, to: 1_101, code: Some(Code::Malformed), ..Scan::ALL };
    let each = |record: StoredRecord| {
        seen.push(record.origin.position.offset);
        Ok::<_, ReadError>(seen.len() < 700)
    };
    reader.scan_newest_first(&scan, each).unwrap();
    assert_eq!(seen, (401..=1_100).rev().collect::<Vec<_>>());
    let none = Scan { code: Some(Code::Ok), ..Scan::ALL };
    reader.scan_newest_first(&none, |_| -> Result<bool, ReadError> { panic!("nothing was ok") }).unwrap();
    assert_eq!((reader.first().unwrap(), reader.next().unwrap()), (Some(1), 1_201));
    assert_eq!(reader.last_settled(&Tenant::default_tenant(), "none").unwrap(), None);
}

#[tokio::test]
async fn large_bodies_are_read_a_few_at_a_time_and_all_of_them() {
    let dir = made(20, 1024 * 1024).await;
    assert_eq!(offsets(dir.path()), (1..=20).collect::<Vec<_>>());
    assert_eq!(survey(dir.path()).0.len(), 20);
}
