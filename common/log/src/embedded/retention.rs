//! Retention: old records go in small steps, and their space goes back to the file system.

use core::time::Duration;
use std::path::Path;

use flk_contract::{LogTime, limits::WINDOW};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::{FILE, OpenError, checkpoint::ROW_BYTES, schema};

/// The shortest retention: as long as a result may stand, its record is kept.
pub const RETENTION_MIN: Duration = WINDOW;

/// Rows removed in one transaction.
const ROWS: i64 = 500;
/// Free pages given back after one.
const PAGES: i64 = 2_000;
/// What a page takes in the write-ahead file.
const PAGE_BYTES: usize = 4_096;

/// What one step did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Rows removed.
    pub(super) removed: usize,
    /// The first offset still kept.
    pub(super) first: Option<i64>,
    /// Whether another step would find something to do.
    pub(super) more: bool,
    /// Bytes that it added to the write-ahead file, roughly and at the most.
    pub(super) written: usize,
}

/// Removes a few of the records whose log time is before `cutoff`. The last record always stays:
/// it holds the log's time.
pub(super) fn step(conn: &mut Connection, cutoff: LogTime) -> rusqlite::Result<Step> {
    let Some(until) = first_to_keep(conn, cutoff, Some(ROWS))? else {
        let first = conn.query_row("SELECT min(offset) FROM record", [], |row| row.get(0))?;
        let gave_back = give_back(conn)?;
        return Ok(Step { removed: 0, first, more: gave_back, written: written(0, gave_back) });
    };
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let removed = tx.execute("DELETE FROM record WHERE offset < ?1", [until])?;
    tx.commit()?;
    let gave_back = give_back(conn)?;
    let written = written(removed, gave_back);
    Ok(Step { removed, first: Some(until), more: gave_back || removed as i64 >= ROWS, written })
}

/// A removed row writes its own pages once more at the most; a page that is given back writes the one
/// that takes its place.
fn written(removed: usize, gave_back: bool) -> usize {
    removed * ROW_BYTES + if gave_back { PAGES as usize * PAGE_BYTES } else { 0 }
}

/// The offset below which rows go, looking at `limit` rows at most; `None` if none go.
fn first_to_keep(conn: &Connection, cutoff: LogTime, limit: Option<i64>) -> rusqlite::Result<Option<i64>> {
    // Log time never goes backwards, so the old records are the first ones.
    let sql = "SELECT max(offset) + 1 FROM (SELECT offset, appended_at FROM record
               WHERE offset < (SELECT max(offset) FROM record) ORDER BY offset LIMIT ?1) WHERE appended_at < ?2";
    let until: Option<Option<i64>> =
        conn.query_row(sql, (limit.unwrap_or(-1), cutoff.millis()), |row| row.get(0)).optional()?;
    Ok(until.flatten())
}

/// Gives a few free pages back to the file system; whether there were enough to do so.
fn give_back(conn: &Connection) -> rusqlite::Result<bool> {
    let free: i64 = conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    // A few are kept for the next records, so that a log in balance does not shrink and grow.
    if free <= PAGES {
        return Ok(false);
    }
    let mut vacuum = conn.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(true)
}

/// What compacting a log by hand removed, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Records.
    pub records: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
    /// The first offset kept.
    pub first_kept: Option<i64>,
    /// Size of the file before, in bytes.
    pub file_before: u64,
    /// Size of the file after; the same as before for a dry run.
    pub file_after: u64,
}

/// Whether compacting changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only says what would go.
    DryRun,
    /// Removes.
    Remove,
}

/// Removes records older than `retention` beside a running service or without one, in steps short
/// enough that its writer hardly waits. Never touches what must stay: `retention` below
/// [`RETENTION_MIN`] counts as that, age is measured against the log's own last time where the
/// clock is ahead of it, and the last record stays.
///
/// # Errors
/// [`OpenError`], in words.
pub fn compact(dir: &Path, retention: Duration, now: LogTime, mode: Mode) -> Result<Compacted, OpenError> {
    let path = dir.join(FILE);
    let fail = |error: rusqlite::Error| schema::explain(&path, &error);
    let size = || std::fs::metadata(&path).map_or(0, |meta| meta.len());
    let mut conn = schema::open_to_read(&path)?;
    let time = schema::end(&conn).map_err(fail)?.time;
    let cutoff = now.min(time).before(retention.max(RETENTION_MIN));
    let mut done = Compacted { file_before: size(), ..Compacted::default() };
    let first: Option<i64> = conn.query_row("SELECT min(offset) FROM record", [], |row| row.get(0)).map_err(fail)?;
    let until = first_to_keep(&conn, cutoff, None).map_err(fail)?;
    done.first_kept = until.or(first);
    if let Some(until) = until {
        let sql = "SELECT count(*), coalesce(sum(length(body)), 0) FROM record WHERE offset < ?1";
        let (records, bytes): (i64, i64) =
            conn.query_row(sql, [until], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fail)?;
        done.records = records.unsigned_abs();
        done.body_bytes = bytes.unsigned_abs();
    }
    if mode == Mode::Remove {
        conn = schema::open_or_create(&path)?;
        while step(&mut conn, cutoff).map_err(fail)?.more {}
        let moved = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
        moved.map_err(fail)?;
    }
    done.file_after = size();
    Ok(done)
}
