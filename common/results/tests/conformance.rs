//! Every index passes the one suite.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::sync::{Mutex, PoisonError};

use flk_results::{
    IndexDb, MemoryIndex, PartitionIndex, Place,
    conformance::{Fixture, Kept},
    index_conformance,
};
use tempfile::TempDir;

struct Memory;

impl Fixture for Memory {
    type Index = MemoryIndex;

    fn open(&self, place: &Place) -> Result<MemoryIndex, String> {
        Ok(MemoryIndex::new(place.clone()))
    }

    fn close(&self) -> Kept {
        Kept::No
    }
}

struct OnDisk {
    directory: TempDir,
    open: Mutex<Option<IndexDb>>,
}

impl OnDisk {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), open: Mutex::default() }
    }
}

impl Fixture for OnDisk {
    type Index = PartitionIndex;

    fn open(&self, place: &Place) -> Result<PartitionIndex, String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let db = match open.take() {
            Some(db) => db,
            None => IndexDb::open(self.directory.path(), &place.log).map_err(|why| why.to_string())?,
        };
        let index = db.partition(place).map_err(|why| why.to_string());
        *open = Some(db);
        index
    }

    fn close(&self) -> Kept {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Kept::Yes
    }
}

index_conformance!(memory, Memory);
index_conformance!(on_disk, OnDisk::new());
