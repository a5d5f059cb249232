//! The index of one partition: a keyspace, and how far it is complete.

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode, Readable as _};
use flk_contract::{LogId, Settled, Tenant};

use super::{
    Store,
    directory::FORMAT,
    error::{OpenError, in_use},
    settings,
};
use crate::{
    Index, Place, ResultsError,
    codec::{self, IdKey, Undecodable, read_i64, write_number},
};

/// Topic and partition in a keyspace's name; no topic has one.
const SEPARATOR: char = '#';
const NAME_BYTES_MAX: usize = 255;

// What the keys of a keyspace begin with.
const ABOUT: [u8; 2] = [0, b'a'];
const PROGRESS: [u8; 2] = [0, b'p'];
const BY_OFFSET: u8 = 1;
const BY_ID: u8 = 2;

/// Memtables that may wait to be written out, and tables of the first level to be merged, before
/// writes wait for them: it bounds memory and what a lookup has to go through. Below the store's
/// own bounds (4 and 30): there it would wait for its workers for ever, even if these have ended
/// because the disk is full.
const FLUSHES_MAX: usize = 2;
const TABLES_MAX: usize = 20;
const WAIT: Duration = Duration::from_millis(2);

/// The index of one partition, on disk. Clones are the same index.
#[derive(Clone)]
pub struct PartitionIndex(Arc<Shared>);

// Dropped in this order: the keyspace before the database that it is in.
struct Shared {
    keyspace: Keyspace,
    store: Arc<Store>,
    place: Place,
    next: AtomicI64,
    /// Held by whoever writes.
    progress: Mutex<Progress>,
}

/// How far a partition's index is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// The first offset that it knows nothing of.
    next: i64,
    /// No entry by offset lies before this: where forgetting goes on, so that it never walks over
    /// what it removed before.
    low: i64,
}

impl Progress {
    const NONE: Self = Self { next: 0, low: i64::MAX };

    fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20);
        write_number(self.next.into(), &mut out);
        write_number(self.low.into(), &mut out);
        out
    }

    fn decode(mut value: &[u8]) -> Result<Self, Undecodable> {
        let progress = Self { next: read_i64(&mut value)?, low: read_i64(&mut value)? };
        if value.is_empty() { Ok(progress) } else { Err(Undecodable::Long) }
    }
}

/// Looks whether a keyspace can be used as what its name says.
pub(super) fn inspect(database: &Database, name: &str, log: &LogId) -> Result<(), OpenError> {
    let unknown = || OpenError::Damaged(format!("it has a keyspace that is no partition: {}", name.escape_debug()));
    let (topic, partition) = name.rsplit_once(SEPARATOR).ok_or_else(unknown)?;
    let partition = partition.parse().map_err(|_| unknown())?;
    let of_store = |error: fjall::Error| OpenError::of_store(Path::new(name), &error);
    let keyspace = database.keyspace(name, settings).map_err(of_store)?;
    load(database, &keyspace, &Place { log: log.clone(), topic: topic.into(), partition }).map(drop)
}

/// How far a keyspace is complete; `None` if nothing was ever written to it.
fn load(database: &Database, keyspace: &Keyspace, place: &Place) -> Result<Option<Progress>, OpenError> {
    let of_store = |error: fjall::Error| OpenError::of_store(keyspace.path(), &error);
    let damaged = |what: String| OpenError::Damaged(format!("{place}: {what}"));
    let (Some(said), Some(progress)) =
        (keyspace.get(ABOUT).map_err(of_store)?, keyspace.get(PROGRESS).map_err(of_store)?)
    else {
        // Both come with the first batch, before anything else.
        let empty = keyspace.is_empty().map_err(of_store)?;
        return if empty { Ok(None) } else { Err(damaged("it does not say what it is about".into())) };
    };
    if *said != *about(place) {
        return Err(damaged("it says that it is about another partition".into()));
    }
    // The store counts what it does, and a snapshot sees what was done before it. The store learns
    // the count again from its journals: without these, snapshots would see nothing at all.
    if database.snapshot().get(keyspace, PROGRESS).map_err(of_store)? != Some(progress.clone()) {
        return Err(damaged("a journal is missing".into()));
    }
    let progress = Progress::decode(&progress).map_err(|why| damaged(format!("how far it is complete: {why}")))?;
    if let Some(last) = keyspace.range(offset_key(i64::MIN)..=offset_key(i64::MAX)).next_back() {
        let last = parse_offset(&last.key().map_err(of_store)?).map_err(|why| damaged(why.to_string()))?;
        if last >= progress.next {
            return Err(damaged(format!("it ends at {}, and has an entry of {last}", progress.next)));
        }
    }
    Ok(Some(progress))
}

fn about(place: &Place) -> Vec<u8> {
    format!("{FORMAT}\n{}\n{}\n{}", place.log, place.topic, place.partition).into_bytes()
}

/// Keys by offset sort as their offsets do.
fn offset_key(offset: i64) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = (offset as u64 ^ 1 << 63).to_be_bytes();
    [BY_OFFSET, a, b, c, d, e, f, g, h]
}

fn parse_offset(key: &[u8]) -> Result<i64, Undecodable> {
    match key {
        [BY_OFFSET, offset @ ..] => {
            let offset: [u8; 8] = offset.try_into().map_err(|_| Undecodable::Key)?;
            Ok((u64::from_be_bytes(offset) ^ 1 << 63) as i64)
        }
        _ => Err(Undecodable::Key),
    }
}

fn id_key(id: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + id.len());
    key.push(BY_ID);
    key.extend_from_slice(id);
    key
}

fn damaged(why: Undecodable) -> ResultsError {
    ResultsError::Damaged(why.to_string())
}

impl PartitionIndex {
    pub(super) fn open(store: Arc<Store>, place: Place) -> Result<Self, OpenError> {
        let name = format!("{}{SEPARATOR}{}", place.topic, place.partition);
        if name.len() > NAME_BYTES_MAX {
            return Err(OpenError::BadName(name));
        }
        let of_store = |error: fjall::Error| OpenError::of_store(&store.directory.database(), &error);
        let keyspace = store.database.keyspace(&name, settings).map_err(of_store)?;
        let progress = match load(&store.database, &keyspace, &place)? {
            Some(progress) => progress,
            None => {
                let mut batch = batch(&store.database, 2);
                batch.insert(&keyspace, ABOUT, about(&place));
                batch.insert(&keyspace, PROGRESS, Progress::NONE.encode());
                batch.commit().map_err(of_store)?;
                Progress::NONE
            }
        };
        let next = AtomicI64::new(progress.next);
        Ok(Self(Arc::new(Shared { keyspace, store, place, next, progress: Mutex::new(progress) })))
    }

    /// The partition that it is about.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Waits for one's turn to write. What is in there is changed last of all, so a panic of
    /// another writer left it as it was.
    fn writing(&self) -> MutexGuard<'_, Progress> {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits a batch together with how far it brings the index.
    fn commit(&self, mut batch: OwnedWriteBatch, progress: Progress) -> Result<(), ResultsError> {
        let Shared { keyspace, store, .. } = &*self.0;
        while keyspace.sealed_memtable_count() >= FLUSHES_MAX || keyspace.l0_table_count() >= TABLES_MAX {
            // Says so if a worker ended: nobody would ever catch up then.
            store.database.persist(PersistMode::Buffer).map_err(|error| in_use(&error))?;
            thread::sleep(WAIT);
        }
        batch.insert(keyspace, PROGRESS, progress.encode());
        batch.commit().map_err(|error| in_use(&error))
    }
}

/// A batch that has reached the operating system when it is committed, but not the disk.
fn batch(database: &Database, items: usize) -> OwnedWriteBatch {
    OwnedWriteBatch::with_capacity(database.clone(), items).durability(Some(PersistMode::Buffer))
}

impl Index for PartitionIndex {
    fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Settled>, ResultsError> {
        let Shared { keyspace, store, place, .. } = &*self.0;
        let Some(key) = IdKey::new(tenant, pcs_id) else { return Ok(None) };
        // A snapshot sees a batch whole or not at all; the keyspace by itself shows parts of it.
        let value = store.database.snapshot().get(keyspace, id_key(key.as_bytes())).map_err(|error| in_use(&error))?;
        value.map(|value| codec::decode(place, tenant.clone(), pcs_id.into(), &value).map_err(damaged)).transpose()
    }

    fn next(&self) -> i64 {
        self.0.next.load(Ordering::Acquire)
    }

    fn apply(&self, settled: &[Settled], next: i64) -> Result<(), ResultsError> {
        let Shared { keyspace, store, place, .. } = &*self.0;
        let mut progress = self.writing();
        let keys = place.admit(settled, next, progress.next)?;
        let mut after = Progress { next, ..*progress };
        if settled.is_empty() && after == *progress {
            return Ok(());
        }
        let mut batch = batch(&store.database, 2 * settled.len() + 1);
        let (mut value, mut taken) = (Vec::new(), HashSet::with_capacity(settled.len()));
        // Backwards, so that the last of one id is met first: a key stands in a batch only once.
        for (key, result) in keys.iter().zip(settled).rev() {
            if !taken.insert(key) {
                continue;
            }
            value.clear();
            codec::encode(result, &mut value).map_err(|why| ResultsError::Refused(why.to_string()))?;
            let offset = result.origin.position.offset;
            batch.insert(keyspace, id_key(key.as_bytes()), value.as_slice());
            batch.insert(keyspace, offset_key(offset), key.as_bytes());
            after.low = after.low.min(offset);
        }
        self.commit(batch, after)?;
        *progress = after;
        self.0.next.store(next, Ordering::Release);
        Ok(())
    }

    fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError> {
        let Shared { keyspace, store, .. } = &*self.0;
        // Held throughout: a successor that came between looking and removing would be removed.
        let mut progress = self.writing();
        if progress.low >= offset || limit == 0 {
            return Ok(0);
        }
        let mut batch = batch(&store.database, 64);
        let (mut looked, mut after) = (0, Progress { low: offset, ..*progress });
        for entry in keyspace.range(offset_key(progress.low)..offset_key(offset)).take(limit) {
            let (at, id) = entry.into_inner().map_err(|error| in_use(&error))?;
            let key = id_key(&id);
            if let Some(value) = keyspace.get(&key).map_err(|error| in_use(&error))?
                && codec::offset(&value).map_err(damaged)? == parse_offset(&at).map_err(damaged)?
            {
                batch.remove(keyspace, key);
            }
            looked += 1;
            if looked == limit {
                after.low = parse_offset(&at).map_err(damaged)?.saturating_add(1);
            }
            batch.remove(keyspace, at);
        }
        self.commit(batch, after)?;
        *progress = after;
        Ok(looked)
    }
}

impl core::fmt::Debug for PartitionIndex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PartitionIndex").field("place", &self.0.place).field("next", &self.next()).finish()
    }
}
