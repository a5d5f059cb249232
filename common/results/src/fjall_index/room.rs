//! How much of an index may be in memory: all partitions of a process share one allowance.
//!
//! Every tree has a memtable of its own, and the store bounds each of them, not their sum. With 48
//! partitions that would be 48 times as much. So before a batch is written somebody looks at all of
//! them: if together they hold too much, the largest is written out. One partition has the whole
//! allowance to itself, many have a part each that grows and shrinks with what they take in, and one
//! that is not written to any more is written out when it has become the largest.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use fjall::{AbstractTree as _, Database, Keyspace, PersistMode};

use super::error::in_use;
use crate::ResultsError;

/// What may wait in all memtables that are written to, by the store's own estimate; it takes about
/// 1.5 times as much of real memory.
const ACTIVE_BYTES: u64 = 24 * 1024 * 1024;
/// A memtable that is smaller is not written out: tables of a few entries each cost more than they
/// give. Hundreds of partitions take more memory than is allowed, a quarter MiB each.
const LEAST_BYTES: u64 = 256 * 1024;
/// Memtables that may wait to be written out, over all partitions, and tables of the first level
/// to be merged, in one, before writes wait for them: it bounds memory and what a lookup has to go
/// through. Below the store's own bounds for one tree (4 and 30): there it would wait for its workers
/// for ever, even if these have ended because the disk is full.
const FLUSHES_MAX: usize = 2;
const TABLES_MAX: usize = 20;
const WAIT: Duration = Duration::from_millis(2);

/// All trees of a database that hold entries.
#[derive(Default)]
pub(super) struct Trees(Mutex<HashMap<String, Keyspace>>);

impl Trees {
    /// Nothing is half done in there after a panic: a tree is there or is not.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Keyspace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, name: &str) -> Option<Keyspace> {
        self.lock().get(name).cloned()
    }

    pub(super) fn add(&self, name: &str, keyspace: Keyspace) {
        self.lock().insert(name.to_owned(), keyspace);
    }

    pub(super) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// What waits in all memtables that are written to.
    pub(super) fn active_bytes(&self) -> u64 {
        self.lock().values().map(active_bytes).sum()
    }

    /// Waits until a batch may be written to a tree.
    ///
    /// # Errors
    /// [`ResultsError`] where nobody writes anything out any more.
    pub(super) fn make_room(&self, database: &Database, tree: &Keyspace) -> Result<(), ResultsError> {
        loop {
            let trees = self.lock();
            let waiting: usize = trees.values().map(Keyspace::sealed_memtable_count).sum();
            if waiting < FLUSHES_MAX && tree.l0_table_count() < TABLES_MAX {
                return write_out(&trees);
            }
            drop(trees);
            // Says so if a worker ended: nobody would ever catch up then.
            database.persist(PersistMode::Buffer).map_err(|error| in_use(&error))?;
            thread::sleep(WAIT);
        }
    }
}

/// Has the largest memtable written out if all of them together hold too much.
fn write_out(trees: &HashMap<String, Keyspace>) -> Result<(), ResultsError> {
    let (mut all, mut largest, mut chosen) = (0, LEAST_BYTES, None);
    for tree in trees.values() {
        let bytes = active_bytes(tree);
        all += bytes;
        if bytes > largest {
            (largest, chosen) = (bytes, Some(tree));
        }
    }
    match chosen {
        Some(tree) if all > ACTIVE_BYTES => tree.rotate_memtable().map(drop).map_err(|error| in_use(&error)),
        _ => Ok(()),
    }
}

fn active_bytes(tree: &Keyspace) -> u64 {
    tree.tree.active_memtable().size()
}
