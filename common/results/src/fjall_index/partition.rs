//! The index of one partition: a keyspace, and how far it is complete.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry as Slot},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode, Readable as _, Slice};
use flk_contract::{LogId, Tenant};

use super::{
    Store,
    error::{OpenError, in_use},
    keys::{ABOUT, PROGRESS, Progress, about, about_partition, id_key, offset_key, parse_name, parse_offset},
    keyspace,
};
use crate::{
    Entry, Index, Load, Place, ResultsError,
    codec::{self, IdKey, Undecodable},
};

/// The index of one partition, on disk. Clones are the same index.
#[derive(Clone)]
pub struct PartitionIndex(Arc<Shared>);

// Dropped in this order: the keyspace before the database that it is in.
pub(super) struct Shared {
    keyspace: Keyspace,
    store: Arc<Store>,
    place: Place,
    next: AtomicI64,
    low: AtomicI64,
    /// Its partition was removed, and may have been made anew without it.
    removed: AtomicBool,
    /// Held by whoever writes.
    progress: Mutex<Progress>,
}

/// Looks whether a keyspace can be used as what its name says.
pub(super) fn inspect(database: &Database, name: &str, log: &LogId) -> Result<(), OpenError> {
    let unknown = || OpenError::Damaged(format!("it has a keyspace that is no partition: {}", name.escape_debug()));
    let (topic, partition) = parse_name(name).ok_or_else(unknown)?;
    let Some((said, _)) = load(database, &keyspace(database, name)?, name)? else { return Ok(()) };
    if said.starts_with(about_partition(log, topic, partition).as_bytes()) {
        Ok(())
    } else {
        Err(OpenError::Damaged(format!("{name} says that it is about another partition")))
    }
}

/// What a keyspace says that it is about, and how far it is complete; `None` if nothing was ever
/// written to it.
fn load(database: &Database, keyspace: &Keyspace, name: &str) -> Result<Option<(Slice, Progress)>, OpenError> {
    let of_store = |error: fjall::Error| OpenError::of_store(keyspace.path(), &error);
    let damaged = |what: String| OpenError::Damaged(format!("{name}: {what}"));
    let (Some(said), Some(progress)) =
        (keyspace.get(ABOUT).map_err(of_store)?, keyspace.get(PROGRESS).map_err(of_store)?)
    else {
        // Both come with the first batch, before anything else.
        let empty = keyspace.is_empty().map_err(of_store)?;
        return if empty { Ok(None) } else { Err(damaged("it does not say what it is about".into())) };
    };
    // The store counts what it does, and a snapshot sees what was done before it. The store learns
    // the count again from its journals: without these, snapshots would see nothing at all.
    if database.snapshot().get(keyspace, PROGRESS).map_err(of_store)? != Some(progress.clone()) {
        return Err(damaged("a journal is missing".into()));
    }
    let progress = Progress::decode(&progress).map_err(|why| damaged(format!("how far it is complete: {why}")))?;
    if let Some(last) = keyspace.range(offset_key(i64::MIN)..=offset_key(i64::MAX)).next_back() {
        let last = parse_offset(&last.key().map_err(of_store)?).map_err(|why| damaged(why.to_string()))?;
        if last > progress.high {
            return Err(damaged(format!("its last entry is at {}, and it has one at {last}", progress.high)));
        }
    }
    Ok(Some((said, progress)))
}

fn damaged(why: Undecodable) -> ResultsError {
    ResultsError::Damaged(why.to_string())
}

fn refused<T>(why: impl core::fmt::Display) -> Result<T, ResultsError> {
    Err(ResultsError::Refused(why.to_string()))
}

/// A batch that has reached the operating system when it is committed, but not the disk.
fn batch(database: &Database, items: usize) -> OwnedWriteBatch {
    OwnedWriteBatch::with_capacity(database.clone(), items).durability(Some(PersistMode::Buffer))
}

impl Shared {
    pub(super) fn open(store: Arc<Store>, keyspace: Keyspace, place: &Place) -> Result<Arc<Self>, OpenError> {
        let progress = match load(&store.database, &keyspace, keyspace.name())? {
            Some((said, _)) if *said != *about(place).as_bytes() => {
                let found = String::from_utf8_lossy(&said).lines().skip(2).collect::<Vec<_>>().join(" ");
                return Err(OpenError::OtherPlace { found, expected: place.to_string() });
            }
            Some((_, progress)) if progress.loading => return Err(OpenError::Unfinished(place.to_string())),
            Some((_, progress)) => progress,
            None => {
                let mut batch = batch(&store.database, 2);
                batch.insert(&keyspace, ABOUT, about(place));
                batch.insert(&keyspace, PROGRESS, Progress::NONE.encode());
                batch.commit().map_err(|error| OpenError::of_store(&store.directory.database(), &error))?;
                Progress::NONE
            }
        };
        Ok(Arc::new(Self {
            keyspace,
            store,
            place: place.clone(),
            next: AtomicI64::new(progress.next),
            low: AtomicI64::new(progress.low),
            removed: AtomicBool::new(false),
            progress: Mutex::new(progress),
        }))
    }

    /// From now on it takes and says nothing. Waits for whoever is writing.
    pub(super) fn remove(&self) {
        let _progress = self.writing();
        self.removed.store(true, Ordering::Release);
    }

    /// Waits for one's turn to write. What is in there is changed last of all, so a panic of
    /// another writer left it as it was.
    fn writing(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_be_used(&self) -> Result<(), ResultsError> {
        if self.removed.load(Ordering::Acquire) {
            return Err(ResultsError::Unavailable(format!(
                "the index of {} was removed, to be built anew",
                self.place
            )));
        }
        Ok(())
    }

    /// Commits a batch together with how far it brings the index.
    fn commit(
        &self,
        mut batch: OwnedWriteBatch,
        mut before: MutexGuard<'_, Progress>,
        after: Progress,
    ) -> Result<(), ResultsError> {
        self.store.trees.make_room(&self.store.database, &self.keyspace)?;
        batch.insert(&self.keyspace, PROGRESS, after.encode());
        batch.commit().map_err(|error| in_use(&error))?;
        *before = after;
        self.low.store(after.low, Ordering::Release);
        self.next.store(after.next, Ordering::Release);
        Ok(())
    }
}

impl PartitionIndex {
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// One that is in use, for whoever asks for that place.
    pub(super) fn again(shared: Arc<Shared>, place: &Place) -> Result<Self, OpenError> {
        if shared.place == *place {
            return Ok(Self(shared));
        }
        Err(OpenError::OtherPlace { found: shared.place.to_string(), expected: place.to_string() })
    }

    /// The partition that it is about.
    pub fn place(&self) -> &Place {
        &self.0.place
    }
}

impl Index for PartitionIndex {
    fn get(&self, tenant: &Tenant, pcs_id: &str) -> Result<Option<Entry>, ResultsError> {
        let Shared { keyspace, store, place, .. } = &*self.0;
        self.0.may_be_used()?;
        let Some(key) = IdKey::new(tenant, pcs_id) else { return Ok(None) };
        // A snapshot sees a batch whole or not at all; the keyspace by itself shows parts of it.
        let value = store.database.snapshot().get(keyspace, id_key(key.as_bytes())).map_err(|error| in_use(&error))?;
        let decode = |value: Slice| codec::decode_entry(place, tenant.clone(), pcs_id.into(), &value);
        value.map(decode).transpose().map_err(damaged)
    }

    fn next(&self) -> i64 {
        self.0.next.load(Ordering::Acquire)
    }

    fn apply(&self, entries: &[Entry], next: i64) -> Result<(), ResultsError> {
        let Shared { keyspace, store, place, .. } = &*self.0;
        let before = self.0.writing();
        self.0.may_be_used()?;
        if before.loading {
            return refused("it is being loaded");
        }
        let keys = place.admit(entries, next, before.next)?;
        let mut after = Progress { next, ..*before };
        if entries.is_empty() && after == *before {
            return Ok(());
        }
        let mut batch = batch(&store.database, 2 * entries.len() + 1);
        let (mut value, mut taken) = (Vec::new(), HashSet::with_capacity(entries.len()));
        // Backwards, so that the last of one id is met first: a key stands in a batch only once.
        for (key, entry) in keys.iter().zip(entries).rev() {
            if taken.insert(key) {
                after = after.with(entry.offset);
                insert(&mut batch, keyspace, key, entry, &mut value)?;
            }
        }
        self.0.commit(batch, before, after)
    }

    fn entries(&self, from: i64, limit: usize) -> Result<Vec<Entry>, ResultsError> {
        let Shared { keyspace, store, place, low, .. } = &*self.0;
        self.0.may_be_used()?;
        let first = from.max(low.load(Ordering::Acquire));
        let (snapshot, mut entries) = (store.database.snapshot(), Vec::new());
        for place_of_id in snapshot.range(keyspace, offset_key(first)..=offset_key(i64::MAX)) {
            if entries.len() == limit {
                break;
            }
            let (at, id) = place_of_id.into_inner().map_err(|error| in_use(&error))?;
            let Some(value) = snapshot.get(keyspace, id_key(&id)).map_err(|error| in_use(&error))? else { continue };
            if codec::entry_offset(&value).map_err(damaged)? == parse_offset(&at).map_err(damaged)? {
                let (tenant, pcs_id) = IdKey::parse(&id).map_err(damaged)?;
                entries.push(codec::decode_entry(place, tenant, pcs_id, &value).map_err(damaged)?);
            }
        }
        Ok(entries)
    }

    fn forget_before(&self, offset: i64, limit: usize) -> Result<usize, ResultsError> {
        let Shared { keyspace, store, .. } = &*self.0;
        // Held throughout: a successor that came between looking and removing would be removed.
        let before = self.0.writing();
        self.0.may_be_used()?;
        if before.loading {
            return refused("it is being loaded");
        }
        if before.low >= offset || limit == 0 {
            return Ok(0);
        }
        let mut batch = batch(&store.database, 64);
        let (mut looked, mut after) = (0, Progress { low: offset, ..*before });
        for entry in keyspace.range(offset_key(before.low)..offset_key(offset)).take(limit) {
            let (at, id) = entry.into_inner().map_err(|error| in_use(&error))?;
            let key = id_key(&id);
            if let Some(value) = keyspace.get(&key).map_err(|error| in_use(&error))?
                && codec::entry_offset(&value).map_err(damaged)? == parse_offset(&at).map_err(damaged)?
            {
                batch.remove(keyspace, key);
            }
            looked += 1;
            if looked == limit {
                after.low = parse_offset(&at).map_err(damaged)?.saturating_add(1);
            }
            batch.remove(keyspace, at);
        }
        self.0.commit(batch, before, after)?;
        Ok(looked)
    }
}

impl Load for PartitionIndex {
    fn load(&self, entries: &[Entry]) -> Result<(), ResultsError> {
        let Shared { keyspace, store, place, .. } = &*self.0;
        let before = self.0.writing();
        self.0.may_be_used()?;
        may_load(*before)?;
        let keys = place.keys(entries)?;
        // A key stands in a batch only once.
        let mut greatest = HashMap::<&IdKey, &Entry>::with_capacity(entries.len());
        for (key, entry) in keys.iter().zip(entries) {
            match greatest.entry(key) {
                Slot::Vacant(slot) => drop(slot.insert(entry)),
                Slot::Occupied(mut slot) if slot.get().offset < entry.offset => drop(slot.insert(entry)),
                Slot::Occupied(_) => {}
            }
        }
        let mut batch = batch(&store.database, 2 * greatest.len() + 1);
        let (mut value, mut after) = (Vec::new(), Progress { loading: true, ..*before });
        for (key, entry) in greatest {
            let stored = keyspace.get(id_key(key.as_bytes())).map_err(|error| in_use(&error))?;
            let stored = stored.map(|value| codec::entry_offset(&value)).transpose().map_err(damaged)?;
            if stored.is_none_or(|stored| stored < entry.offset) {
                after = after.with(entry.offset);
                insert(&mut batch, keyspace, key, entry, &mut value)?;
            }
        }
        self.0.commit(batch, before, after)
    }

    fn loaded(&self, next: i64) -> Result<(), ResultsError> {
        let before = self.0.writing();
        self.0.may_be_used()?;
        may_load(*before)?;
        if next < 0 {
            return refused(format!("an end is never negative, and {next} came"));
        }
        let after = Progress { next, loading: false, ..*before };
        self.0.commit(batch(&self.0.store.database, 1), before, after)
    }
}

fn may_load(progress: Progress) -> Result<(), ResultsError> {
    if progress.loading || progress == Progress::NONE { Ok(()) } else { refused("only an index that is new is loaded") }
}

/// Adds an entry to a batch, by id and by offset.
fn insert(
    batch: &mut OwnedWriteBatch,
    keyspace: &Keyspace,
    key: &IdKey,
    entry: &Entry,
    value: &mut Vec<u8>,
) -> Result<(), ResultsError> {
    value.clear();
    codec::encode_entry(entry, value).or_else(refused)?;
    batch.insert(keyspace, id_key(key.as_bytes()), value.as_slice());
    batch.insert(keyspace, offset_key(entry.offset), key.as_bytes());
    Ok(())
}

impl core::fmt::Debug for PartitionIndex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PartitionIndex").field("place", &self.0.place).field("next", &self.next()).finish()
    }
}
