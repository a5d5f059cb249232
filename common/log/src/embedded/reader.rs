//! Reading a log beside its writer, or without one: for GET, the command line and replay.

use std::path::{Path, PathBuf};

use flk_contract::{Code, LogId, LogTime, Settled, Tenant, wire::State};
use rusqlite::{Connection, OptionalExtension as _};

use super::{FILE, OpenError, row, schema};
use crate::{ReadError, StoredRecord};

/// Records read at a time.
const PAGE_RECORDS: usize = 500;
/// Bytes of bodies at which a page takes no more records: bodies may be 1 MiB each.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A read-only view of a log. Each call sees what was committed when it began.
pub struct LogReader {
    pub(super) conn: Connection,
    id: LogId,
    path: PathBuf,
}

/// Which records of a log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// First offset.
    pub from: i64,
    /// First offset no longer wanted; `i64::MAX` for all.
    pub to: i64,
    /// Only records of this state.
    pub state: Option<State>,
    /// Only records of this code: the verdict's, or `conflict`, or `too_old`.
    pub code: Option<Code>,
}

impl Scan {
    /// Every record.
    pub const ALL: Self = Self { from: 0, to: i64::MAX, state: None, code: None };
}

/// In which order a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

/// Some records in a row, each read or found damaged, and why there are no more of them if that is
/// the file's fault.
pub(super) struct Page {
    pub(super) rows: Vec<(i64, Result<StoredRecord, ReadError>)>,
    pub(super) broken: Option<rusqlite::Error>,
}

/// A log in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The log's id.
    pub log: LogId,
    /// Records kept.
    pub records: u64,
    /// First offset kept.
    pub first: Option<i64>,
    /// The next offset to be given.
    pub next: i64,
    /// Log times of the first and last record kept.
    pub times: Option<(LogTime, LogTime)>,
    /// Bytes of the bodies kept.
    pub body_bytes: u64,
    /// Size of the log's file, in bytes.
    pub file_bytes: u64,
    /// Size of its write-ahead file.
    pub wal_file_bytes: u64,
    /// Bytes of the file that are free.
    pub free_bytes: u64,
    /// Records by state and code.
    pub by_code: Vec<(String, String, u64)>,
}

/// A page of settled results.
pub(super) struct SettledPage {
    pub(super) settled: Vec<Settled>,
    /// The first offset not looked at.
    pub(super) next: i64,
}

impl LogReader {
    /// Opens the log in a data directory.
    ///
    /// # Errors
    /// [`OpenError`], a sentence for whoever asked.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_file(&dir.join(FILE))
    }

    pub(super) fn open_file(path: &Path) -> Result<Self, OpenError> {
        let conn = schema::open_to_read(path)?;
        let id = schema::log_id(&conn, path)?;
        Ok(Self { conn, id, path: path.to_owned() })
    }

    /// The log's id.
    pub fn id(&self) -> &LogId {
        &self.id
    }

    /// Reads one record; `None` beyond the end and for what retention has removed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, offset: i64) -> Result<Option<StoredRecord>, ReadError> {
        let sql = format!("SELECT {} FROM record WHERE offset = ?1", row::COLUMNS);
        let mut find = self.conn.prepare_cached(&sql).map_err(|error| row::unavailable(&error))?;
        let found = find.query_row([offset], |found| Ok(row::read(found, &self.id))).optional();
        found.map_err(|error| row::unavailable(&error))?.transpose()
    }

    /// The first offset that is kept; `None` for an empty log.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn first(&self) -> Result<Option<i64>, ReadError> {
        self.head().map_err(|error| row::unavailable(&error))
    }

    pub(super) fn head(&self) -> rusqlite::Result<Option<i64>> {
        self.conn.query_row("SELECT min(offset) FROM record", [], |row| row.get(0))
    }

    /// The offset that the next record will get.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn next(&self) -> Result<i64, ReadError> {
        schema::end(&self.conn).map(|end| end.next).map_err(|error| row::unavailable(&error))
    }

    /// The result last settled for an id, standing or expired, by a record that is kept; `None` if
    /// there is none. There is no index of ids here: records are looked at from the newest on.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn last_settled(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, ReadError> {
        let sql = format!(
            "SELECT {} FROM record WHERE pcs_id = ?1 AND tenant = ?2 AND state = ?3 ORDER BY offset DESC LIMIT 1",
            row::COLUMNS
        );
        let mut find = self.conn.prepare_cached(&sql).map_err(|error| row::unavailable(&error))?;
        let wanted = (pcs_id, tenant.as_str(), State::Settled.as_str());
        let found = find.query_row(wanted, |found| Ok(row::read(found, &self.id))).optional();
        let record = found.map_err(|error| row::unavailable(&error))?.transpose()?;
        record.map(|record| settled_of(&record)).transpose()
    }

    /// Hands records to `each` in order until it says stop (`false`). Does not hold a transaction
    /// between pages, so that a long scan does not keep the writer from reusing its file.
    ///
    /// # Errors
    /// [`ReadError`] of the log; a damaged record ends the scan ([`LogReader::survey`] goes on).
    pub fn scan<E: From<ReadError>>(
        &self,
        scan: &Scan,
        each: impl FnMut(StoredRecord) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.scan_in(Order::OldestFirst, scan, each)
    }

    /// As [`LogReader::scan`], from the newest record back.
    ///
    /// # Errors
    /// As [`LogReader::scan`].
    pub fn scan_newest_first<E: From<ReadError>>(
        &self,
        scan: &Scan,
        each: impl FnMut(StoredRecord) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.scan_in(Order::NewestFirst, scan, each)
    }

    fn scan_in<E: From<ReadError>>(
        &self,
        order: Order,
        scan: &Scan,
        mut each: impl FnMut(StoredRecord) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut left = *scan;
        loop {
            let Page { rows, broken } = self.page(order, &left).map_err(|error| row::unavailable(&error))?;
            let last = rows.last().map(|(offset, _)| *offset);
            for (_, record) in rows {
                if !each(record?)? {
                    return Ok(());
                }
            }
            if let Some(error) = broken {
                return Err(row::unavailable(&error).into());
            }
            match (last, order) {
                (None, _) => return Ok(()),
                (Some(last), Order::OldestFirst) => left.from = last + 1,
                (Some(last), Order::NewestFirst) => left.to = last,
            }
        }
    }

    /// The first records of a scan, or its last ones: at least one if there is one.
    pub(super) fn page(&self, order: Order, scan: &Scan) -> rusqlite::Result<Page> {
        let sql = format!(
            "SELECT {} FROM record WHERE offset >= ?1 AND offset < ?2 AND (?3 IS NULL OR state = ?3)
             AND (?4 IS NULL OR code = ?4) ORDER BY offset {}",
            row::COLUMNS,
            match order {
                Order::OldestFirst => "ASC",
                Order::NewestFirst => "DESC",
            }
        );
        let mut find = self.conn.prepare_cached(&sql)?;
        let (state, code) = (scan.state.map(State::as_str), scan.code.map(Code::as_str));
        let mut found = find.query((scan.from, scan.to, state, code))?;
        let mut page = Page { rows: Vec::new(), broken: None };
        let mut bytes = 0;
        while page.rows.len() < PAGE_RECORDS && bytes < PAGE_BYTES {
            let row = match found.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    page.broken = Some(error);
                    break;
                }
            };
            let record = row::read(row, &self.id);
            bytes += record.as_ref().map_or(0, |record| record.record.body.len());
            page.rows.push((row.get(0)?, record));
        }
        Ok(page)
    }

    /// The offset of the first record at or after a log time; the next offset if there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn offset_at(&self, time: LogTime) -> Result<i64, ReadError> {
        // Log time never goes backwards with the offset, so half of what is left goes each time.
        let fail = |error: rusqlite::Error| row::unavailable(&error);
        let end = schema::end(&self.conn).map_err(fail)?.next;
        let first = self.head().map_err(fail)?;
        let sql = "SELECT offset, appended_at FROM record WHERE offset >= ?1 ORDER BY offset LIMIT 1";
        let mut find = self.conn.prepare_cached(sql).map_err(fail)?;
        let (mut low, mut high) = (first.unwrap_or(end), end);
        while low < high {
            let middle = low + (high - low) / 2;
            let found: Option<(i64, i64)> =
                find.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional().map_err(fail)?;
            match found {
                Some((offset, at)) if offset < high && at < time.millis() => low = offset + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The log in numbers. Reads the whole of it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn stat(&self) -> Result<Stat, ReadError> {
        let fail = |error: rusqlite::Error| row::unavailable(&error);
        let end = schema::end(&self.conn).map_err(fail)?;
        let sql = "SELECT state, code, count(*), sum(length(body)) FROM record GROUP BY state, code ORDER BY 3 DESC";
        let mut groups = self.conn.prepare(sql).map_err(fail)?;
        let rows = groups
            .query_map([], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
            })
            .map_err(fail)?;
        let (mut by_code, mut records, mut body_bytes) = (Vec::new(), 0, 0);
        for group in rows {
            let (state, code, count, bytes): (String, String, i64, i64) = group.map_err(fail)?;
            records += count.unsigned_abs();
            body_bytes += bytes.unsigned_abs();
            by_code.push((state, code, count.unsigned_abs()));
        }
        let bounds = "SELECT min(offset), min(appended_at), max(appended_at) FROM record";
        let (first, oldest, newest): (Option<i64>, Option<i64>, Option<i64>) =
            self.conn.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(fail)?;
        let pragma = |name| self.conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(fail);
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        Ok(Stat {
            log: self.id.clone(),
            records,
            first,
            next: end.next,
            times: oldest.zip(newest).map(|(a, b)| (LogTime::from_millis(a), LogTime::from_millis(b))),
            body_bytes,
            file_bytes: size(&self.path),
            wal_file_bytes: size(Path::new(&wal)),
            free_bytes: (pragma("freelist_count")? * pragma("page_size")?).unsigned_abs(),
            by_code,
        })
    }

    /// Settled results of records from `from` on and before `to`.
    pub(super) fn settled(&self, from: i64, to: i64, limit: usize) -> Result<SettledPage, ReadError> {
        let mut page = SettledPage { settled: Vec::new(), next: to };
        let scan = Scan { from, to, state: Some(State::Settled), code: None };
        self.scan(&scan, |record| {
            page.settled.push(settled_of(&record)?);
            if page.settled.len() < limit {
                return Ok::<_, ReadError>(true);
            }
            page.next = record.origin.position.offset + 1;
            Ok(false)
        })?;
        Ok(page)
    }
}

fn settled_of(record: &StoredRecord) -> Result<Settled, ReadError> {
    let offset = record.origin.position.offset;
    record.settled().ok_or(ReadError::Damaged { offset, what: "it settled, and says not what" })
}
