//! The derived index on disk: fjall, a log-structured merge tree.
//!
//! One database a process, one keyspace a partition; partitions come and go as they are assigned. A keyspace holds the results by id, the ids
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
mod keys;
mod partition;
mod room;

use std::{
    collections::HashMap,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions,
    compaction::Leveled,
    config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry},
};
use flk_contract::LogId;

use self::{
    directory::{Directory, Held},
    partition::Shared,
    room::Trees,
};
pub use self::{error::OpenError, partition::PartitionIndex};
use crate::{Index as _, Place, ResultsError};

/// Blocks and filters that are kept in memory, over all partitions.
const CACHE_BYTES: u64 = 24 * 1024 * 1024;
/// Entries of a partition that wait in memory to be written out, about 50,000 results; fewer where
/// there are many partitions (see [`room`]). With half of it, merging writes half as much again.
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
    store: Arc<Store>,
}

/// The open database; whoever uses it keeps it open. Dropped in this order: trees before the
/// database that they are in, and the directory is free only when that is closed.
struct Store {
    /// The partitions in use, by the names of their keyspaces.
    partitions: Mutex<HashMap<String, Weak<Shared>>>,
    trees: Trees,
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
        Self::new(directory, database, log)
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
        Ok((Self::new(directory, database, log)?, opened))
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
        Self::new(directory, database, log)
    }

    fn new(directory: Directory, database: Database, log: &LogId) -> Result<Self, OpenError> {
        let trees = Trees::default();
        for name in database.list_keyspace_names().iter().filter(|name| ***name != *WHOLE) {
            trees.add(name, keyspace(&database, name)?);
        }
        let partitions = Mutex::default();
        Ok(Self { store: Arc::new(Store { partitions, trees, database, directory, log: log.clone() }) })
    }

    /// The index of one partition; made if there is none. Asked again while it is in use, it gives
    /// the same one. It is closed when it is dropped with all its clones.
    ///
    /// # Errors
    /// [`OpenError`]; where [this partition](OpenError::is_of_one_partition) alone can not be used,
    /// see [`IndexDb::partition_or_reset`].
    pub fn partition(&self, place: &Place) -> Result<PartitionIndex, OpenError> {
        self.open_partition(&mut self.partitions(), place).map(|(index, _)| index)
    }

    /// As [`IndexDb::partition`], but one that was not loaded to its end, or that is about other
    /// records or another number of partitions, is removed and made anew.
    ///
    /// # Errors
    /// [`OpenError`] where that is no remedy: damage is of the whole database.
    pub fn partition_or_reset(&self, place: &Place) -> Result<(PartitionIndex, Opened), OpenError> {
        let mut partitions = self.partitions();
        match self.open_partition(&mut partitions, place) {
            Err(why) if why.is_of_one_partition() => {
                self.remove_partition(&mut partitions, place)?;
                let (index, _) = self.open_partition(&mut partitions, place)?;
                Ok((index, Opened::Reset(why)))
            }
            opened => opened,
        }
    }

    /// Removes what there is of one partition and makes it anew, empty. Whoever still has the old
    /// one hears that it was removed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn reset_partition(&self, place: &Place) -> Result<PartitionIndex, OpenError> {
        let mut partitions = self.partitions();
        self.remove_partition(&mut partitions, place)?;
        self.open_partition(&mut partitions, place).map(|(index, _)| index)
    }

    /// Removes one partition: it will not be needed here any more.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn drop_partition(&self, place: &Place) -> Result<(), OpenError> {
        self.remove_partition(&mut self.partitions(), place)
    }

    /// Where the index of a partition ends; `None` if there is none. Makes nothing.
    ///
    /// # Errors
    /// [`OpenError`], as [`IndexDb::partition`].
    pub fn end(&self, place: &Place) -> Result<Option<i64>, OpenError> {
        let mut partitions = self.partitions();
        if self.store.trees.get(&keys::name(place)).is_none() {
            return Ok(None);
        }
        self.open_partition(&mut partitions, place).map(|(index, _)| Some(index.next()))
    }

    /// Bytes on disk, over all partitions.
    ///
    /// # Errors
    /// [`ResultsError::Unavailable`].
    pub fn disk_bytes(&self) -> Result<u64, ResultsError> {
        self.store.database.disk_space().map_err(|error| error::in_use(&error))
    }

    /// Bytes of entries that are in memory only as far as tables go, over all partitions, by the
    /// store's estimate; not those that are being written out.
    pub fn buffered_bytes(&self) -> u64 {
        self.store.trees.active_bytes()
    }

    /// Held while partitions are opened or removed. Nothing is half done in there after a panic: an
    /// index is added whole.
    fn partitions(&self) -> MutexGuard<'_, HashMap<String, Weak<Shared>>> {
        self.store.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_partition(
        &self,
        partitions: &mut HashMap<String, Weak<Shared>>,
        place: &Place,
    ) -> Result<(PartitionIndex, Opened), OpenError> {
        let Store { trees, database, log, .. } = &*self.store;
        let shown = |log: &LogId| log.as_str().escape_default().to_string();
        if place.log != *log {
            return Err(OpenError::OtherLog { found: shown(log), expected: shown(&place.log) });
        }
        let name = keys::name(place);
        if let Some(shared) = partitions.get(&name).and_then(Weak::upgrade) {
            return PartitionIndex::again(shared, place).map(|index| (index, Opened::Kept));
        }
        if name.len() > keys::NAME_BYTES_MAX {
            return Err(OpenError::BadName(name));
        }
        let (keyspace, opened) = match trees.get(&name) {
            Some(keyspace) => (keyspace, Opened::Kept),
            None => {
                let keyspace = keyspace(database, &name)?;
                trees.add(&name, keyspace.clone());
                (keyspace, Opened::Fresh)
            }
        };
        let shared = Shared::open(self.store.clone(), keyspace, place)?;
        partitions.insert(name, Arc::downgrade(&shared));
        Ok((PartitionIndex::of(shared), opened))
    }

    fn remove_partition(&self, partitions: &mut HashMap<String, Weak<Shared>>, place: &Place) -> Result<(), OpenError> {
        let Store { trees, database, directory, .. } = &*self.store;
        let name = keys::name(place);
        if let Some(shared) = partitions.remove(&name).and_then(|shared| shared.upgrade()) {
            shared.remove();
        }
        let Some(keyspace) = trees.get(&name) else { return Ok(()) };
        // Durable when it returns, unlike what is in the journal: after a power loss the old one is
        // there or not, never a part of it.
        database.delete_keyspace(keyspace).map_err(|error| OpenError::of_store(&directory.database(), &error))?;
        trees.remove(&name);
        Ok(())
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
    keyspace(&database, WHOLE)?;
    for name in names.iter().filter(|name| ***name != *WHOLE) {
        partition::inspect(&database, name, log)?;
    }
    Ok((database, opened))
}

/// A keyspace by its name; made if there is none.
fn keyspace(database: &Database, name: &str) -> Result<Keyspace, OpenError> {
    database.keyspace(name, settings).map_err(|error| OpenError::of_store(Path::new(name), &error))
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
