//! The stores that are compared, each doing what the index does.

use std::{path::Path, sync::Arc};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable as _, compaction::Leveled};
use flk_contract::LogId;
use flk_results::{
    Entry, Index as _, IndexDb, PartitionIndex, Place,
    codec::{self, IdKey},
};
use redb::{Durability, ReadableDatabase as _, TableDefinition};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Memory for pages or blocks; what the index has for cache and memtables.
const CACHE_BYTES: usize = 40 * 1024 * 1024;

/// The embedded log's own.
pub(crate) fn place() -> Place {
    Place::of_log(LogId::new("the log"), "pcs.raw")
}

/// What the log's writer asks of an index.
pub(crate) trait Store {
    /// The offset of what is stored for the id of a result.
    fn get(&self, of: &Entry) -> Option<i64>;
    /// Adds a batch, by id and by offset, and the end, in one step.
    fn apply(&mut self, batch: &[Entry], next: i64);
}

type Open = fn(&Path) -> Box<dyn Store>;

/// Each store by its name; the one that is used comes first.
pub(crate) const OPEN: [(&str, Open); 4] = [
    ("fjall", |directory| Box::new(Used::open(directory))),
    ("fjall, three trees", |directory| Box::new(ThreeTrees::open(directory))),
    ("redb", |directory| Box::new(Redb::open(directory))),
    ("SQLite", |directory| Box::new(Sqlite::open(directory))),
];

fn key(of: &Entry) -> IdKey {
    IdKey::new(&of.settled.facts.tenant, &of.settled.facts.pcs_id).unwrap()
}

fn value(of: &Entry) -> Vec<u8> {
    let mut value = Vec::new();
    codec::encode_entry(of, &mut value).unwrap();
    value
}

/// The index itself.
struct Used {
    index: PartitionIndex,
}

impl Used {
    fn open(directory: &Path) -> Self {
        let db = IndexDb::open(directory, &place().log).unwrap();
        Self { index: db.partition(&place()).unwrap() }
    }
}

impl Store for Used {
    fn get(&self, of: &Entry) -> Option<i64> {
        let found = self.index.get(&of.settled.facts.tenant, &of.settled.facts.pcs_id).unwrap();
        found.map(|found| found.offset)
    }

    fn apply(&mut self, batch: &[Entry], next: i64) {
        self.index.apply(batch, next).unwrap();
    }
}

/// fjall with a tree each for ids, offsets and the end.
struct ThreeTrees {
    ids: Keyspace,
    offsets: Keyspace,
    end: Keyspace,
    database: Database,
}

impl ThreeTrees {
    fn open(directory: &Path) -> Self {
        let database = Database::builder(directory).cache_size(24 * 1024 * 1024).worker_threads(2).open().unwrap();
        let tree = |name: &str| {
            let merging = Leveled::default().with_table_target_size(16 * 1024 * 1024);
            let settings = || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(16 * 1024 * 1024)
                    .compaction_strategy(Arc::new(merging.clone()))
            };
            database.keyspace(name, settings).unwrap()
        };
        Self { ids: tree("ids"), offsets: tree("offsets"), end: tree("end"), database }
    }
}

impl Store for ThreeTrees {
    fn get(&self, of: &Entry) -> Option<i64> {
        let found = self.database.snapshot().get(&self.ids, key(of).as_bytes()).unwrap();
        found.map(|found| codec::entry_offset(&found).unwrap())
    }

    fn apply(&mut self, batch: &[Entry], next: i64) {
        let mut write = self.database.batch();
        for entry in batch {
            let key = key(entry);
            write.insert(&self.ids, key.as_bytes(), value(entry));
            write.insert(&self.offsets, entry.offset.to_be_bytes(), key.as_bytes());
        }
        write.insert(&self.end, "end", next.to_be_bytes());
        write.commit().unwrap();
    }
}

const IDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("ids");
const OFFSETS: TableDefinition<'_, i64, &[u8]> = TableDefinition::new("offsets");
const END: TableDefinition<'_, (), i64> = TableDefinition::new("end");

/// A copy-on-write B-tree.
struct Redb {
    database: redb::Database,
    batches: u64,
}

impl Redb {
    /// What is not durable is in this process's memory only, and its pages can not be used again:
    /// now and then it has to be, about as often as fjall writes a memtable out.
    const DURABLE_EVERY: u64 = 400;

    fn open(directory: &Path) -> Self {
        let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create(directory.join("index.redb")).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(IDS).unwrap();
        write.commit().unwrap();
        Self { database, batches: 0 }
    }
}

impl Store for Redb {
    fn get(&self, of: &Entry) -> Option<i64> {
        let read = self.database.begin_read().unwrap();
        let found = read.open_table(IDS).unwrap().get(key(of).as_bytes()).unwrap();
        found.map(|found| codec::entry_offset(found.value()).unwrap())
    }

    fn apply(&mut self, batch: &[Entry], next: i64) {
        let mut write = self.database.begin_write().unwrap();
        self.batches += 1;
        if !self.batches.is_multiple_of(Self::DURABLE_EVERY) {
            write.set_durability(Durability::None).unwrap();
        }
        {
            let mut ids = write.open_table(IDS).unwrap();
            let mut offsets = write.open_table(OFFSETS).unwrap();
            for entry in batch {
                let key = key(entry);
                ids.insert(key.as_bytes(), value(entry).as_slice()).unwrap();
                offsets.insert(entry.offset, key.as_bytes()).unwrap();
            }
            write.open_table(END).unwrap().insert((), next).unwrap();
        }
        write.commit().unwrap();
    }
}

/// A B-tree in a file of its own, beside the log's.
struct Sqlite {
    database: Connection,
}

impl Sqlite {
    fn open(directory: &Path) -> Self {
        let database = Connection::open(directory.join("index.sqlite")).unwrap();
        let settings = format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -{};
             CREATE TABLE ids (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
             CREATE TABLE offsets (at INTEGER PRIMARY KEY, key BLOB NOT NULL);
             CREATE TABLE ends (one INTEGER PRIMARY KEY, at INTEGER NOT NULL);",
            CACHE_BYTES / 1024
        );
        database.execute_batch(&settings).unwrap();
        Self { database }
    }
}

impl Store for Sqlite {
    fn get(&self, of: &Entry) -> Option<i64> {
        let mut find = self.database.prepare_cached("SELECT value FROM ids WHERE key = ?").unwrap();
        let found =
            find.query_row([key(of).as_bytes()], |row| Ok(codec::entry_offset(row.get_ref(0)?.as_blob()?).unwrap()));
        found.optional().unwrap()
    }

    fn apply(&mut self, batch: &[Entry], next: i64) {
        let write = self.database.transaction().unwrap();
        {
            let mut ids = write.prepare_cached("INSERT OR REPLACE INTO ids VALUES (?, ?)").unwrap();
            let mut offsets = write.prepare_cached("INSERT OR REPLACE INTO offsets VALUES (?, ?)").unwrap();
            for entry in batch {
                let key = key(entry);
                ids.execute(params![key.as_bytes(), value(entry)]).unwrap();
                offsets.execute(params![entry.offset, key.as_bytes()]).unwrap();
            }
            write.execute("INSERT OR REPLACE INTO ends VALUES (1, ?)", [next]).unwrap();
        }
        write.commit().unwrap();
    }
}
