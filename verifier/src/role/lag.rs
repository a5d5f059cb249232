//! How far behind the role is: when the oldest record of a partition was appended that is taken up and not
//! done. Pure: no clock. What is stuck so grows older, whatever goes on beside it.

use std::collections::{BTreeMap, VecDeque};

use flk_contract::LogTime;
use flk_log::ledger::Generation;

use super::judging::Delivered;

/// Most records that are counted as one.
const CHUNK: usize = 64;

/// What is taken up and not done, of all partitions.
#[derive(Debug, Default)]
pub(super) struct Lag(BTreeMap<i32, Partition>);

#[derive(Debug)]
struct Partition {
    generation: Generation,
    chunks: VecDeque<Chunk>,
}

/// Records that came one after the other.
#[derive(Debug)]
struct Chunk {
    last: i64,
    /// When the first of them was appended: log times do not go back.
    since: LogTime,
    records: usize,
    done: usize,
}

impl Lag {
    /// A record is taken up, in the order of delivery.
    pub(super) fn taken(&mut self, from: Delivered, since: LogTime) {
        let Delivered { partition, generation, offset } = from;
        let new = || Partition { generation, chunks: VecDeque::new() };
        let partition = self.0.entry(partition).or_insert_with(new);
        if partition.generation != generation {
            *partition = new();
        }
        match partition.chunks.back_mut().filter(|chunk| chunk.records < CHUNK) {
            Some(chunk) => (chunk.last, chunk.records) = (offset, chunk.records + 1),
            None => partition.chunks.push_back(Chunk { last: offset, since, records: 1, done: 0 }),
        }
    }

    /// One that was taken up is done. Said once of each.
    pub(super) fn done(&mut self, from: Delivered) {
        let partition = self.0.get_mut(&from.partition).filter(|partition| partition.generation == from.generation);
        let Some(Partition { chunks, .. }) = partition else { return };
        let at = chunks.partition_point(|chunk| chunk.last < from.offset);
        if let Some(chunk) = chunks.get_mut(at) {
            chunk.done += 1;
        }
        while chunks.pop_front_if(|chunk| chunk.done >= chunk.records).is_some() {}
    }

    /// A partition is another member's.
    pub(super) fn revoked(&mut self, partition: i32) {
        self.0.remove(&partition);
    }

    /// When the oldest was appended that is not done; up to some records that came just after it are
    /// counted as if they came with it.
    pub(super) fn oldest(&self, partition: i32) -> Option<LogTime> {
        self.0.get(&partition)?.chunks.front().map(|chunk| chunk.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Delivered {
        Delivered { partition: 3, generation: Generation(1), offset }
    }

    fn time(millis: i64) -> LogTime {
        LogTime::from_millis(millis)
    }

    #[test]
    fn the_oldest_that_is_not_done_counts_whatever_is_done_after_it() {
        let mut lag = Lag::default();
        assert_eq!(lag.oldest(3), None);
        for offset in 0..1000 {
            lag.taken(at(offset), time(offset));
        }
        for offset in 1..1000 {
            lag.done(at(offset));
        }
        assert_eq!(lag.oldest(3), Some(time(0)));
        lag.taken(at(1000), time(1000));
        lag.done(at(0));
        let oldest = lag.oldest(3).unwrap();
        let chunk = i64::try_from(CHUNK).unwrap();
        assert!((time(1000 - chunk)..=time(1000)).contains(&oldest), "{oldest:?}");
        lag.done(at(1000));
        assert_eq!(lag.oldest(3), None);
        lag.taken(at(1007), time(2000));
        assert_eq!(lag.oldest(3), Some(time(2000)));
    }

    #[test]
    fn an_assignment_that_is_over_leaves_nothing_behind_and_moves_nothing() {
        let mut lag = Lag::default();
        lag.taken(at(0), time(0));
        let later = |offset| Delivered { generation: Generation(2), ..at(offset) };
        lag.taken(later(0), time(5));
        lag.done(at(0));
        assert_eq!(lag.oldest(3), Some(time(5)));
        lag.done(Delivered { partition: 4, ..later(0) });
        lag.done(later(9));
        assert_eq!(lag.oldest(3), Some(time(5)), "none such was taken up");
        lag.revoked(3);
        lag.done(later(0));
        assert_eq!(lag.oldest(3), None);
    }
}
