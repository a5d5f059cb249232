//! The log as it is on the disk, read beside the service or without it.

use std::path::Path;

use flk_log::{
    ReadError, StoredRecord,
    embedded::{LogReader, Scan},
};

/// Every record, in order.
///
/// # Panics
/// Where the log can not be read, or a record is damaged.
pub fn records(dir: &Path) -> Vec<StoredRecord> {
    records_from(dir, 0)
}

/// The records from an offset on.
///
/// # Panics
/// As [`records`].
pub fn records_from(dir: &Path, offset: i64) -> Vec<StoredRecord> {
    let mut records = Vec::new();
    let reader = LogReader::open(dir).unwrap_or_else(|error| panic!("{error}"));
    let scan = Scan { from: offset, ..Scan::ALL };
    let read = reader.scan(&scan, |record| {
        records.push(record);
        Ok::<_, ReadError>(true)
    });
    read.unwrap_or_else(|error| panic!("{error}"));
    records
}

/// The record at an offset.
///
/// # Panics
/// Where there is none.
pub fn record(dir: &Path, offset: i64) -> StoredRecord {
    let reader = LogReader::open(dir).unwrap_or_else(|error| panic!("{error}"));
    reader.read(offset).unwrap().unwrap_or_else(|| panic!("no record at offset {offset}"))
}
