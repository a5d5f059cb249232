//! What of a partition may be committed: offsets are admitted in the order of delivery, done in any
//! order, and only the prefix in which all is done is ever committed.
//!
//! Pure: no client, no clock, no lock. One ledger belongs to one assignment of one partition; whoever
//! finishes a record of an earlier assignment is told so, and nothing moves.

use std::collections::VecDeque;

/// Which assignment of a partition something belongs to. Later ones are greater, over all partitions
/// of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// The offset that reading goes on from: one more than that of the last record that is done. What is
/// committed is this, never the offset of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextOffset(pub i64);

/// What records that are admitted and not done take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Records, with those that are done and wait for an earlier one.
    pub records: usize,
    /// Bytes of those that are not done.
    pub bytes: usize,
}

/// Why an offset was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("offset {offset} was delivered after offset {last}; offsets of a partition grow")]
pub struct Repeated {
    /// The one that came.
    pub offset: i64,
    /// The greatest before.
    pub last: i64,
}

/// What became of a word that a record is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is noted.
    Noted,
    /// It is of another assignment, and was ignored: whoever has the partition now does it again.
    Stale,
    /// No such record is waiting: it was done before, or never admitted. Nothing moved.
    Unknown,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    bytes: usize,
    done: bool,
}

/// The ledger of one assignment of one partition.
#[derive(Debug)]
pub struct Ledger {
    generation: Generation,
    // What is committed, or was given out to be.
    committed: Option<NextOffset>,
    // Everything below is done.
    complete: Option<NextOffset>,
    last: Option<i64>,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Ledger {
    /// The ledger of an assignment. Nothing at or below `committed` is given out to be committed: going
    /// back would make somebody read again what is done, or hide that a log was cut.
    pub fn new(generation: Generation, committed: Option<NextOffset>) -> Self {
        Self { generation, committed, complete: None, last: None, entries: VecDeque::new(), bytes: 0 }
    }

    /// Which assignment it belongs to.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Takes in a record as it is delivered.
    ///
    /// # Errors
    /// An offset that is not greater than the last one; nothing was taken in.
    pub fn admit(&mut self, offset: i64, bytes: usize) -> Result<(), Repeated> {
        if let Some(last) = self.last.filter(|last| offset <= *last) {
            return Err(Repeated { offset, last });
        }
        self.last = Some(offset);
        self.bytes += bytes;
        self.entries.push_back(Entry { offset, bytes, done: false });
        Ok(())
    }

    /// A record is done, and everything that had to outlast it is safe.
    pub fn done(&mut self, generation: Generation, offset: i64) -> Done {
        if generation != self.generation {
            return Done::Stale;
        }
        let at = self.entries.partition_point(|entry| entry.offset < offset);
        let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.offset == offset && !entry.done) else {
            return Done::Unknown;
        };
        entry.done = true;
        self.bytes -= entry.bytes;
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.done) {
            self.complete = Some(NextOffset(entry.offset.saturating_add(1)));
        }
        Done::Noted
    }

    /// What can be committed now and was not given out before. Whoever takes it commits it.
    pub fn take_committable(&mut self) -> Option<NextOffset> {
        let complete = self.complete.filter(|complete| self.committed.is_none_or(|committed| *complete > committed))?;
        self.committed = Some(complete);
        Some(complete)
    }

    /// The offset after the last that was admitted.
    pub fn next(&self) -> Option<NextOffset> {
        self.last.map(|last| NextOffset(last.saturating_add(1)))
    }

    /// What it holds.
    pub fn held(&self) -> Held {
        Held { records: self.entries.len(), bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    const NOW: Generation = Generation(2);

    #[test]
    fn a_hole_holds_the_commit_back() {
        let mut ledger = Ledger::new(NOW, None);
        ledger.admit(5, 1).unwrap();
        ledger.admit(7, 1).unwrap();
        assert_eq!(ledger.done(NOW, 7), Done::Noted);
        assert_eq!(ledger.take_committable(), None);
        assert_eq!(ledger.done(NOW, 5), Done::Noted);
        assert_eq!(ledger.take_committable(), Some(NextOffset(8)));
        assert_eq!(ledger.take_committable(), None, "given out once");
    }

    #[test]
    fn another_assignment_and_what_is_not_there_move_nothing() {
        let mut ledger = Ledger::new(NOW, None);
        ledger.admit(5, 1).unwrap();
        assert_eq!(ledger.done(Generation(1), 5), Done::Stale);
        assert_eq!(ledger.done(NOW, 4), Done::Unknown);
        assert_eq!(ledger.done(NOW, 6), Done::Unknown);
        assert_eq!(ledger.take_committable(), None);
        assert_eq!(ledger.done(NOW, 5), Done::Noted);
        assert_eq!(ledger.done(NOW, 5), Done::Unknown);
        assert_eq!(ledger.admit(5, 1), Err(Repeated { offset: 5, last: 5 }));
    }

    #[test]
    fn what_is_read_again_below_the_committed_offset_is_never_committed() {
        let mut ledger = Ledger::new(NOW, Some(NextOffset(10)));
        for offset in 7..11 {
            ledger.admit(offset, 1).unwrap();
        }
        for offset in 7..10 {
            assert_eq!(ledger.done(NOW, offset), Done::Noted);
            assert_eq!(ledger.take_committable(), None);
        }
        assert_eq!(ledger.done(NOW, 10), Done::Noted);
        assert_eq!(ledger.take_committable(), Some(NextOffset(11)));
    }

    #[derive(Debug, Clone)]
    enum Op {
        Admit { skip: i64, bytes: usize },
        Done(Index),
        Stale(Index),
        Take,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..3_i64, 0..9_usize).prop_map(|(skip, bytes)| Op::Admit { skip, bytes }),
            any::<Index>().prop_map(Op::Done),
            any::<Index>().prop_map(Op::Stale),
            Just(Op::Take),
        ]
    }

    proptest! {
        /// After any schedule: what was given out grows, lies above what was committed before, and no
        /// record below it is open; what is held is what is open or waits; when all is done nothing is.
        #[test]
        fn only_a_finished_prefix_is_ever_committed(
            ops in vec(op(), 0..200),
            committed in proptest::option::of(0..20_i64),
        ) {
            let mut ledger = Ledger::new(NOW, committed.map(NextOffset));
            let (mut next, mut given) = (3_i64, committed);
            let mut open: Vec<(i64, usize)> = Vec::new();
            let mut all = BTreeSet::new();
            let take = |ledger: &mut Ledger, open: &[(i64, usize)], given: &mut Option<i64>, all: &BTreeSet<i64>| {
                if let Some(NextOffset(at)) = ledger.take_committable() {
                    prop_assert!(given.is_none_or(|given| at > given));
                    prop_assert!(open.iter().all(|(offset, _)| *offset >= at), "{at} with {open:?} open");
                    prop_assert!(all.contains(&(at - 1)), "it ends with a record");
                    *given = Some(at);
                }
                Ok(())
            };
            for op in ops {
                match op {
                    Op::Admit { skip, bytes } => {
                        next += skip;
                        ledger.admit(next, bytes).unwrap();
                        open.push((next, bytes));
                        all.insert(next);
                        next += 1;
                    }
                    Op::Done(index) if !open.is_empty() => {
                        let (offset, _) = open.swap_remove(index.index(open.len()));
                        prop_assert_eq!(ledger.done(NOW, offset), Done::Noted);
                    }
                    Op::Stale(index) if !open.is_empty() => {
                        let (offset, _) = open[index.index(open.len())];
                        prop_assert_eq!(ledger.done(Generation(1), offset), Done::Stale);
                    }
                    Op::Done(_) | Op::Stale(_) => {}
                    Op::Take => take(&mut ledger, &open, &mut given, &all)?,
                }
                prop_assert_eq!(ledger.held().bytes, open.iter().map(|(_, bytes)| bytes).sum::<usize>());
                prop_assert!(ledger.held().records >= open.len());
            }
            for (offset, _) in core::mem::take(&mut open) {
                ledger.done(NOW, offset);
            }
            take(&mut ledger, &open, &mut given, &all)?;
            prop_assert_eq!(ledger.held(), Held::default());
            if let Some(last) = all.last() {
                prop_assert_eq!(given, Some((last + 1).max(committed.unwrap_or(i64::MIN))));
            }
        }
    }
}
