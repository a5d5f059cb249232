//! The index of a partition that was just assigned: as it was, or loaded from pcs.results where it can not
//! be gone on from (design, "First write wins by order").

use core::time::Duration;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use flk_log::{
    kafka::{AskError, Assigned, Connection, Scan},
    ledger::NextOffset,
    topic::{ResultEntry, Undecodable},
};
use flk_results::{Entry, Index as _, IndexDb, Load as _, OpenError, Opened, PartitionIndex, Place, ResultsError};

use super::watch::Watch;

/// Entries that are loaded at a time.
const BATCH: usize = 2_000;
/// How long pcs.results may give nothing.
const DEADLINE: Duration = Duration::from_secs(20);
/// First and longest pause between two attempts.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A partition that can be settled.
pub(super) struct Restored {
    pub(super) index: PartitionIndex,
    /// Where reading goes on: before `live` where the index is behind.
    pub(super) from: i64,
    /// From where on what is folded takes effect.
    pub(super) live: i64,
}

/// What a restore goes by.
pub(super) struct Restore {
    pub(super) connection: Connection,
    pub(super) results: Arc<str>,
    pub(super) db: IndexDb,
    pub(super) place: Place,
    pub(super) assigned: Assigned,
    pub(super) watch: Arc<dyn Watch>,
    /// Somebody else has the partition by now.
    pub(super) given_up: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Kafka(#[from] AskError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Index(#[from] ResultsError),
}

impl Restore {
    /// Tries, ever more slowly, until it is done or given up; `None` then. An error is for ever.
    pub(super) fn run(&self) -> Result<Option<Restored>, String> {
        let mut pause = AGAIN.0;
        while !self.is_given_up() {
            match self.restore() {
                Ok(restored) => return Ok(restored),
                // Damage is of the whole database: who owns all partitions has to drop it.
                Err(Failed::Open(error)) if error.calls_for_reset() => return Err(error.to_string()),
                Err(Failed::Index(error @ ResultsError::Damaged(_))) => return Err(error.to_string()),
                Err(error) => {
                    let partition = self.assigned.partition;
                    tracing::error!(partition, %error, "the index of a partition can not be restored; trying again");
                    self.watch.on_index_error();
                    std::thread::park_timeout(pause);
                    pause = (pause * 2).min(AGAIN.1);
                }
            }
        }
        Ok(None)
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    fn restore(&self) -> Result<Option<Restored>, Failed> {
        let Assigned { partition, committed, low, high, .. } = self.assigned;
        // A committed offset that lies beyond the end is of a topic that is no more.
        let made_anew = committed.is_some_and(|NextOffset(offset)| offset > high);
        if made_anew {
            tracing::error!(
                partition,
                ?committed,
                high,
                "pcs.verified ends before what was committed: it was made anew"
            );
        }
        let committed = committed.map(|NextOffset(offset)| offset).filter(|offset| *offset <= high);
        let live = committed.unwrap_or(low).max(low);
        let (index, opened) = self.db.partition_or_reset(&self.place)?;
        let end = index.next();
        let missing = !matches!(opened, Opened::Kept);
        let why = match &opened {
            Opened::Fresh => "there is none".to_owned(),
            Opened::Reset(error) => error.to_string(),
            Opened::Kept if made_anew => "its topic was made anew".to_owned(),
            Opened::Kept if end < low => format!("it ends at {end}, and records are kept from {low} on"),
            Opened::Kept if end > high => format!("it ends at {end}, beyond the end of its topic, {high}"),
            Opened::Kept => {
                tracing::info!(partition, end, live, "the index of a partition goes on from where it was");
                return Ok(Some(Restored { index, from: end.min(live), live }));
            }
        };
        let index = if missing {
            index
        } else {
            drop(index);
            self.db.reset_partition(&self.place)?
        };
        tracing::info!(partition, why, "loading the index of a partition from pcs.results");
        Ok(self.load(&index, live)?.then_some(Restored { index, from: live, live }))
    }

    /// Loads all of pcs.results, up to the end that it has now, which is after the committed offset was
    /// known; whether it came to the end.
    fn load(&self, index: &PartitionIndex, live: i64) -> Result<bool, Failed> {
        let partition = self.assigned.partition;
        let mut scan = Scan::open(&self.connection, &self.results, partition, 0)?;
        let (mut loaded, mut unreadable) = (0_u64, 0_u64);
        loop {
            if self.is_given_up() {
                return Ok(false);
            }
            let records = scan.read(BATCH, DEADLINE)?;
            if records.is_empty() {
                break;
            }
            let mut entries = Vec::with_capacity(records.len());
            for record in records {
                let Some(value) = &record.value else { continue };
                match self.entry(record.schema.as_deref(), value) {
                    Ok(entry) => entries.push(entry),
                    Err(error) => {
                        unreadable += 1;
                        if unreadable == 1 {
                            tracing::error!(partition, offset = record.offset, %error, "a result can not be read");
                        }
                    }
                }
            }
            loaded += entries.len() as u64;
            index.load(&entries)?;
            self.watch.on_loading(partition, scan.next(), scan.end());
        }
        index.loaded(live)?;
        tracing::info!(partition, loaded, unreadable, "the index of a partition is restored from pcs.results");
        Ok(true)
    }

    fn entry(&self, schema: Option<&[u8]>, value: &[u8]) -> Result<Entry, Unreadable> {
        let ResultEntry { settled, verified } = ResultEntry::decode(schema, value)?;
        if verified.partition != self.place.partition || !self.place.holds(&settled) {
            return Err(Unreadable::Foreign);
        }
        Ok(Entry { offset: verified.offset, settled })
    }
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    #[error("it is of another log, topic or partition")]
    Foreign,
}
