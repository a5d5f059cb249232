//! The derived index on disk: fjall, a log-structured merge tree.
//!
//! One database a process, one keyspace a partition. A keyspace holds the results by id, the ids
//! by offset, and how far it is complete: all in *one* tree, on purpose. A tree writes its
//! memtable out as a whole, so that whatever a crash or a power loss leaves of a keyspace is a
//! prefix of the batches applied, in order: ids, offsets and the end always fit together. Trees
//! of their own would be written out each at its own time.
//!
//! What a crash may lose: nothing is synced, but every batch has been handed to the operating
//! system when `apply` returns. `kill -9` of the process loses nothing that `apply` returned for,
//! and at the most the batch it was in; a power loss takes the last seconds. A batch that was
//! torn is discarded as a whole when the index is opened next. One for which `apply` failed (the
//! disk was full) may be found whole then, if it reached the disk later: never a part of it. After
//! such a failure nothing more is taken until all handles are dropped and the index is opened anew;
//! reading goes on.
//!
//! This room must never know what the log is made of: whoever owns both brings the index up to
//! its log's end.

mod directory;
mod error;
mod partition;

use std::{
    collections::HashMap,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use fjall::{
    Database, KeyspaceCreateOptions,
    compaction::Leveled,
    config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry},
};
use flk_contract::LogId;

use self::directory::{Directory, Held};
pub use self::{error::OpenError, partition::PartitionIndex};
use crate::{Place, ResultsError};

/// Blocks and filters that are kept in memory, over all partitions.
const CACHE_BYTES: u64 = 24 * 1024 * 1024;
/// Entries of a partition that wait in memory to be written out, about 50,000 results. With half
/// of it, merging writes half as much again.
const MEMTABLE_BYTES: u64 = 16 * 1024 * 1024;
/// Small tables are merged in small steps.
const TABLE_BYTES: u64 = 16 * 1024 * 1024;
/// What may wait in journals; a partition that holds an old one back is written out early.
const JOURNAL_BYTES: u64 = 128 * 1024 * 1024;
/// One flushes while the other compacts.
const WORKERS: usize = 2;

/// A keyspace with nothing in it, made when the database is. Where it is missing, the store has
/// taken what it found for less than it was.
const WHOLE: &str = "whole";

/// How an index was found.
#[derive(Debug, Clone)]
pub enum Opened {
    /// There was none: it is new and empty.
    Fresh,
    /// It was there and goes on from where it was.
    Kept,
    /// What was there could not be used, for this reason: it was removed, and is new and empty.
    Reset(OpenError),
}

/// The index database of a process. The directory stays owned until this, its clones and all its
/// partitions are dropped; then what was applied is durable.
#[derive(Clone)]
pub struct IndexDb {
    partitions: Arc<Mutex<HashMap<Place, PartitionIndex>>>,
    store: Arc<Store>,
}

/// The open database; whoever uses it keeps it open. Dropped in this order: the directory is free
/// only when the database is closed.
struct Store {
    database: Database,
    directory: Directory,
    log: LogId,
}

impl IndexDb {
    /// Opens the index in `directory` about the log `log`; makes one if there is none.
    ///
    /// # Errors
    /// [`OpenError`]; where it [calls for a reset](OpenError::calls_for_reset), see
    /// [`IndexDb::open_or_reset`].
    pub fn open(directory: &Path, log: &LogId) -> Result<Self, OpenError> {
        let directory = Directory::own(directory)?;
        let (database, _) = open_in(&directory, log)?;
        Ok(Self::new(directory, database, log))
    }

    /// As [`IndexDb::open`], but an index that is damaged, of another format or of another log is
    /// removed and made anew: nothing else would mend it, and all that it holds is in its log.
    /// Only the index's own files are removed.
    ///
    /// # Errors
    /// [`OpenError`] where a reset is no remedy.
    pub fn open_or_reset(directory: &Path, log: &LogId) -> Result<(Self, Opened), OpenError> {
        let directory = Directory::own(directory)?;
        let (database, opened) = match open_in(&directory, log) {
            Err(why) if why.calls_for_reset() => {
                directory.clear()?;
                let (database, _) = open_in(&directory, log)?;
                (database, Opened::Reset(why))
            }
            opened => opened?,
        };
        Ok((Self::new(directory, database, log), opened))
    }

    /// Removes what index there is and makes one that is new and empty: for when damage shows only
    /// while the index is used. Drop the damaged one and all its partitions first.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_anew(directory: &Path, log: &LogId) -> Result<Self, OpenError> {
        let directory = Directory::own(directory)?;
        directory.clear()?;
        let (database, _) = open_in(&directory, log)?;
        Ok(Self::new(directory, database, log))
    }

    fn new(directory: Directory, database: Database, log: &LogId) -> Self {
        let store = Store { database, directory, log: log.clone() };
        Self { partitions: Arc::default(), store: Arc::new(store) }
    }

    /// The index of one partition; made if there is none. Asked again, it gives the same one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn partition(&self, topic: &str, partition: i32) -> Result<PartitionIndex, OpenError> {
        let place = Place { log: self.store.log.clone(), topic: topic.into(), partition };
        // Nothing is half done in there after a panic: an index is added whole.
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = partitions.get(&place) {
            return Ok(index.clone());
        }
        let index = PartitionIndex::open(self.store.clone(), place.clone())?;
        partitions.insert(place, index.clone());
        Ok(index)
    }

    /// Bytes on disk, over all partitions.
    ///
    /// # Errors
    /// [`ResultsError::Unavailable`].
    pub fn disk_bytes(&self) -> Result<u64, ResultsError> {
        self.store.database.disk_space().map_err(|error| error::in_use(&error))
    }
}

impl core::fmt::Debug for IndexDb {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IndexDb").field("directory", &self.store.directory).finish_non_exhaustive()
    }
}

/// Opens the database of a directory that this process owns, and looks whether it can be used.
fn open_in(directory: &Directory, log: &LogId) -> Result<(Database, Opened), OpenError> {
    let opened = match directory.held(log)? {
        Held::Ours => Opened::Kept,
        Held::Nothing => {
            directory.mark(log)?;
            Opened::Fresh
        }
    };
    let path = directory.database();
    let begun = path.try_exists().map_err(|why| OpenError::unavailable(&path, &why))?;
    let open = || -> fjall::Result<Database> {
        Database::builder(&path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(WORKERS)
            .open()
    };
    // The store asserts some of what it reads. Damage is damage, however it is put.
    let database = panic::catch_unwind(AssertUnwindSafe(open))
        .map_err(|_| OpenError::Damaged("the store panicked while it opened it".into()))?
        .map_err(|error| OpenError::of_store(&path, &error))?;
    let names = database.list_keyspace_names();
    if begun && !names.iter().any(|name| **name == *WHOLE) {
        return Err(OpenError::Damaged("it was never finished, or the list of its keyspaces is lost".into()));
    }
    database.keyspace(WHOLE, settings).map_err(|error| OpenError::of_store(&path, &error))?;
    for name in names.iter().filter(|name| ***name != *WHOLE) {
        partition::inspect(&database, name, log)?;
    }
    Ok((database, opened))
}

/// Settings of a partition's tree: most lookups are for ids that are not there, so every table
/// has a filter, on every level.
fn settings() -> KeyspaceCreateOptions {
    let filters = FilterPolicy::new([
        FilterPolicyEntry::Bloom(BloomConstructionPolicy::FalsePositiveRate(0.0001)),
        FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0)),
    ]);
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES)))
        .expect_point_read_hits(false)
        .filter_policy(filters)
}
