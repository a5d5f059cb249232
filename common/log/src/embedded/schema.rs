//! The log's file: what it looks like, how it is made, opened and checked.

use std::path::Path;

use flk_contract::{LogId, LogTime};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior, ffi::ErrorCode};

use super::{OpenError, row};

/// "flk1": tells our file from any other SQLite file.
const APPLICATION_ID: i64 = 0x666c_6b31;
/// Format of the tables.
pub(super) const FORMAT: i64 = 1;
/// How many of the last rows are checked at every start. Older ones are checked when they are read.
const CHECKED_ROWS: i64 = 2_000;

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('log_id', lower(hex(randomblob(16))));
CREATE TABLE record (
    offset            INTEGER PRIMARY KEY AUTOINCREMENT,
    appended_at       INTEGER NOT NULL,  -- log time, milliseconds since 1970
    state             TEXT NOT NULL,     -- settled, duplicate, conflict, refused
    code              TEXT NOT NULL,     -- the verdict's, or conflict, or too_old
    verdict           TEXT NOT NULL,     -- the verdict's code
    reason            TEXT,
    settled_by        INTEGER,           -- offset of the record that settled the id
    tenant            TEXT,
    pcs_id            TEXT,
    d_hat             TEXT,              -- numbers as they are signed, so that -0.0 survives
    recomputed_d_hat  TEXT,
    recomputed_budget TEXT,
    regime            TEXT,
    payload_sha256    BLOB,
    content_sha256    BLOB,
    key_id            TEXT,
    signed            TEXT,
    claimed_tenant    TEXT,              -- beside the body, as it came
    request_id        TEXT,
    traceparent       TEXT,
    body              BLOB NOT NULL,     -- the bytes as they came
    checksum          INTEGER NOT NULL   -- CRC-32 of all of the above
) STRICT;
";

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The next offset.
    pub(super) next: i64,
    /// The last record's log time.
    pub(super) time: LogTime,
}

/// Opens the file for writing, or makes it.
pub(super) fn open_or_create(path: &Path) -> Result<Connection, OpenError> {
    let fail = |error: rusqlite::Error| explain(path, &error);
    let fresh = !path.exists();
    let mut conn = Connection::open(path).map_err(fail)?;
    conn.busy_timeout(core::time::Duration::from_secs(5)).map_err(fail)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fail)?;
    if tables == 0 && pragma(&conn, "application_id").map_err(fail)? == 0 {
        // Both have to be chosen before the first page is written. Small pages: a commit of a few
        // records writes every page that it touches.
        conn.pragma_update(None, "page_size", 4096).map_err(fail)?;
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(fail)?;
    } else {
        check_format(&conn, path)?;
    }
    // FULL: an fsync at every commit, which is what a 200 stands on.
    conn.pragma_update(None, "journal_mode", "WAL").map_err(fail)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
    conn.pragma_update(None, "wal_autocheckpoint", 2000).map_err(fail)?;
    conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024).map_err(fail)?;
    if tables == 0 {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        tx.execute_batch(TABLES).map_err(fail)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        tx.pragma_update(None, "user_version", FORMAT).map_err(fail)?;
        tx.commit().map_err(fail)?;
    }
    if fresh && let Some(dir) = path.parent() {
        // The file's name has to survive a power loss too.
        let synced = std::fs::File::open(dir).and_then(|dir| dir.sync_all());
        synced.map_err(|error| OpenError::Unwritable { path: dir.to_owned(), error: error.to_string() })?;
    }
    Ok(conn)
}

/// Opens the file for writing, or makes it, without SQLite's own checkpoints inside commits.
pub(super) fn open_to_append(path: &Path) -> Result<Connection, OpenError> {
    let conn = open_or_create(path)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0).map_err(|error| explain(path, &error))?;
    Ok(conn)
}

/// Opens the file for reading, beside a writer or without one.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Absent(path.parent().unwrap_or(path).to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|error| explain(path, &error))?;
    conn.busy_timeout(core::time::Duration::from_secs(5)).map_err(|error| explain(path, &error))?;
    check_format(&conn, path)?;
    Ok(conn)
}

fn check_format(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let fail = |error: rusqlite::Error| explain(path, &error);
    if pragma(conn, "application_id").map_err(fail)? != APPLICATION_ID {
        return Err(OpenError::NotALog(path.to_owned()));
    }
    match pragma(conn, "user_version").map_err(fail)? {
        FORMAT => Ok(()),
        found => Err(OpenError::OtherFormat { path: path.to_owned(), found, expected: FORMAT }),
    }
}

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

/// The id that the log was born with.
pub(super) fn log_id(conn: &Connection, path: &Path) -> Result<LogId, OpenError> {
    let id: String = conn
        .query_row("SELECT value FROM meta WHERE key = 'log_id'", [], |row| row.get(0))
        .map_err(|error| explain(path, &error))?;
    Ok(LogId::new(&id))
}

/// Where the log ends. AUTOINCREMENT's own memory counts too: an offset never repeats, also when
/// retention has taken the rows.
pub(super) fn end(conn: &Connection) -> rusqlite::Result<End> {
    let given: Option<i64> =
        conn.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'record'", [], |row| row.get(0)).optional()?;
    let last: Option<(i64, i64)> = conn
        .query_row("SELECT offset, appended_at FROM record ORDER BY offset DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (offset, time) = last.unwrap_or((0, 0));
    Ok(End { next: offset.max(given.unwrap_or(0)) + 1, time: LogTime::from_millis(time) })
}

/// Checks the rows that a crash could have hurt, and says where the log ends.
pub(super) fn check_tail(conn: &Connection, path: &Path) -> Result<End, OpenError> {
    let fail = |error: rusqlite::Error| explain(path, &error);
    let damaged = |what: String| OpenError::Damaged { path: path.to_owned(), what };
    let end = end(conn).map_err(fail)?;
    let sql = format!("SELECT {} FROM record WHERE offset >= ?1 ORDER BY offset", row::COLUMNS);
    let mut rows = conn.prepare(&sql).map_err(fail)?;
    let mut rows = rows.query([end.next - CHECKED_ROWS]).map_err(fail)?;
    let mut before = LogTime::from_millis(i64::MIN);
    let id = LogId::new("");
    while let Some(found) = rows.next().map_err(fail)? {
        let record = row::read(found, &id).map_err(|error| damaged(error.to_string()))?;
        if record.origin.appended_at < before {
            return Err(damaged(format!("log time goes backwards at offset {}", record.origin.position.offset)));
        }
        before = record.origin.appended_at;
    }
    Ok(end)
}

/// SQLite's refusals in an operator's words.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotALog(path.to_owned()),
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path: path.to_owned(), what: error.to_string() },
        _ => OpenError::Unwritable { path: path.to_owned(), error: error.to_string() },
    }
}
