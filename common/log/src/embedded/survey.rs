//! Reading a log to find what is wrong with it: nothing that is damaged ends the reading.

use flk_contract::LogTime;
use rusqlite::{OptionalExtension as _, ffi::ErrorCode};

use super::{
    reader::{LogReader, Order, Page, Scan},
    row, schema,
};
use crate::{ReadError, StoredRecord};

/// What a survey finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surveyed {
    /// A record that reads as it was written.
    Record(Box<StoredRecord>),
    /// Records that do not, or are not there, or are out of order.
    Damage(Damage),
}

/// A place in the log that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// First offset.
    pub from: i64,
    /// Last offset.
    pub to: i64,
    /// How that was seen.
    pub what: String,
}

impl LogReader {
    /// Hands every record from `from` on and before `to` to `each`, in order, until it says stop
    /// (`false`), and says what is damaged or missing between them: rows whose checksum does not
    /// hold, offsets that are left out, log time that goes backwards, parts of the file that can
    /// not be read.
    ///
    /// # Errors
    /// [`ReadError`] where the log can not be read at all, now.
    pub fn survey<E: From<ReadError>>(
        &self,
        from: i64,
        to: i64,
        mut each: impl FnMut(Surveyed) -> Result<bool, E>,
    ) -> Result<(), E> {
        let to = self.end_of_survey()?.min(to);
        let mut seen = Seen { next: None, time: LogTime::from_millis(i64::MIN) };
        let mut scan = Scan { from, to, ..Scan::ALL };
        loop {
            let Page { rows, broken } = match self.page(Order::OldestFirst, &scan) {
                Ok(page) => page,
                Err(error) if is_damage(&error) => Page { rows: Vec::new(), broken: Some(error) },
                Err(error) => return Err(row::unavailable(&error).into()),
            };
            let none = rows.is_empty();
            for (offset, record) in rows {
                scan.from = offset + 1;
                if let Some(gap) = self.gap(&seen, offset)?
                    && !each(Surveyed::Damage(gap))?
                {
                    return Ok(());
                }
                for found in seen.take(offset, record) {
                    if !each(found)? {
                        return Ok(());
                    }
                }
            }
            match broken {
                None if none => {
                    // What is missing at the end is missing too.
                    if let Some(gap) = self.gap(&seen, to)? {
                        each(Surveyed::Damage(gap))?;
                    }
                    return Ok(());
                }
                None => {}
                Some(error) if is_damage(&error) => {
                    let next = self.next_readable(scan.from, to);
                    let what = format!("the file can not be read there ({error})");
                    let from = scan.from.max(1);
                    if from < next && !each(Surveyed::Damage(Damage { from, to: next - 1, what }))? {
                        return Ok(());
                    }
                    (scan.from, seen.next) = (next, Some(next));
                    if next >= to {
                        return Ok(());
                    }
                }
                Some(error) => return Err(row::unavailable(&error).into()),
            }
        }
    }

    /// The end of the log, also where its last page is damaged: AUTOINCREMENT remembers it too.
    fn end_of_survey(&self) -> Result<i64, ReadError> {
        let end = match schema::end(&self.conn) {
            Err(error) if is_damage(&error) => self
                .conn
                .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'record'", [], |row| row.get::<_, i64>(0))
                .map(|last| last + 1),
            end => end.map(|end| end.next),
        };
        end.map_err(|error| row::unavailable(&error))
    }

    /// The offsets between what was seen and `offset`, if there should be some: offsets are given
    /// without holes, and only retention takes them away, from the head.
    fn gap(&self, seen: &Seen, offset: i64) -> Result<Option<Damage>, ReadError> {
        let Some(expected) = seen.next.filter(|expected| *expected < offset) else { return Ok(None) };
        match self.head() {
            // Retention went by while we were reading.
            Ok(first) if first.is_none_or(|first| first >= offset) => Ok(None),
            Err(error) if !is_damage(&error) => Err(row::unavailable(&error)),
            _ => Ok(Some(Damage { from: expected, to: offset - 1, what: "no records are there".into() })),
        }
    }

    /// The first offset after `broken` from which on the file can be read again; `to` if none.
    fn next_readable(&self, broken: i64, to: i64) -> i64 {
        let readable = |from: i64| {
            let mut find = self
                .conn
                .prepare_cached("SELECT offset, checksum FROM record WHERE offset >= ?1 ORDER BY offset LIMIT 1")?;
            find.query_row([from], |row| row.get::<_, i64>(0)).optional()
        };
        // A broken page holds neighbours: go on in ever longer steps, then halve back.
        let (mut bad, mut good, mut step) = (broken, to, 1_i64);
        while bad.saturating_add(step) < to {
            if readable(bad + step).is_ok() {
                good = bad + step;
                break;
            }
            bad += step;
            step = step.saturating_mul(2);
        }
        while bad + 1 < good {
            let middle = bad + (good - bad) / 2;
            if readable(middle).is_ok() { good = middle } else { bad = middle }
        }
        good
    }
}

/// How far a survey has come.
struct Seen {
    /// The offset that has to come next; unknown at the head.
    next: Option<i64>,
    time: LogTime,
}

impl Seen {
    fn take(&mut self, offset: i64, record: Result<StoredRecord, ReadError>) -> impl Iterator<Item = Surveyed> {
        self.next = Some(offset + 1);
        let damage = |what: String| Surveyed::Damage(Damage { from: offset, to: offset, what });
        match record {
            Err(ReadError::Damaged { what, .. }) => [Some(damage(what.into())), None],
            Err(other) => [Some(damage(other.to_string())), None],
            Ok(record) => {
                let back = record.origin.appended_at < self.time;
                self.time = self.time.max(record.origin.appended_at);
                [
                    back.then(|| damage("its log time is before that of the record before it".into())),
                    Some(Surveyed::Record(Box::new(record))),
                ]
            }
        }
        .into_iter()
        .flatten()
    }
}

/// Whether it is the file's fault, so that trying again would say the same.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure)
    )
}
