//! The line of one partition: records whose effects are under way, in the order of their offsets. They
//! are acknowledged in any order, and told in order. Pure.

use std::{collections::VecDeque, sync::Arc};

use flk_log::topic::Headers;
use flk_results::Entry;

use super::effects::Out;

/// One record on its way.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) offset: i64,
    pub(super) headers: Headers,
    /// What is not acknowledged yet.
    pub(super) out: Option<Arc<Out>>,
    pub(super) entry: Option<Entry>,
    pub(super) reply: Option<(i32, Vec<u8>)>,
}

/// The line.
#[derive(Debug)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
    /// Everything before it is acknowledged, in the partition.
    acknowledged: i64,
    /// How many of the first ones are acknowledged.
    ready: usize,
    /// The first offset that nobody has taken up.
    next: i64,
    /// Everything before it is told.
    told: i64,
}

impl Line {
    /// A line that begins at an offset.
    pub(super) fn new(from: i64) -> Self {
        Self { waiting: VecDeque::new(), acknowledged: from, ready: 0, next: from, told: from }
    }

    /// Everything before it is told.
    pub(super) fn told(&self) -> i64 {
        self.told
    }

    /// Everything before it is acknowledged.
    pub(super) fn acknowledged(&self) -> i64 {
        self.acknowledged
    }

    /// Takes a record up, further on than all before it.
    pub(super) fn push(&mut self, record: Waiting) {
        self.next = record.offset + 1;
        self.waiting.push_back(record);
        self.advance();
    }

    /// What is produced for a record, as long as it is not acknowledged.
    pub(super) fn out(&self, offset: i64) -> Option<(&Headers, &Arc<Out>)> {
        let waiting = self.waiting.get(self.find(offset)?)?;
        Some((&waiting.headers, waiting.out.as_ref()?))
    }

    /// What was made of a record is acknowledged; whether everything below some further place now is.
    pub(super) fn acknowledge(&mut self, offset: i64) -> bool {
        let before = self.acknowledged;
        if let Some(at) = self.find(offset)
            && let Some(waiting) = self.waiting.get_mut(at)
        {
            waiting.out = None;
        }
        self.advance();
        self.acknowledged > before
    }

    fn find(&self, offset: i64) -> Option<usize> {
        let at = self.waiting.partition_point(|waiting| waiting.offset < offset);
        (self.waiting.get(at)?.offset == offset).then_some(at)
    }

    fn advance(&mut self) {
        while let Some(waiting) = self.waiting.get(self.ready)
            && waiting.out.is_none()
        {
            self.acknowledged = waiting.offset + 1;
            self.ready += 1;
        }
    }

    /// The entries of what is acknowledged and not told, at most so many, and the offset behind them.
    pub(super) fn entries(&self, limit: usize) -> (Vec<Entry>, i64) {
        let mut entries = Vec::new();
        for waiting in self.waiting.iter().take(self.ready) {
            if let Some(entry) = &waiting.entry {
                if entries.len() == limit {
                    return (entries, waiting.offset);
                }
                entries.push(entry.clone());
            }
        }
        (entries, self.acknowledged)
    }

    /// Takes what is acknowledged and lies before an offset: it is told now.
    pub(super) fn tell(&mut self, before: i64) -> Vec<Waiting> {
        let count = self.waiting.iter().take(self.ready).take_while(|waiting| waiting.offset < before).count();
        self.ready -= count;
        self.told = self.told.max(before.min(self.acknowledged));
        self.waiting.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use flk_log::topic::Topic;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn record(offset: i64, produces: bool) -> Waiting {
        let out = produces.then(|| Arc::new(Out { topic: Topic::Results, key: None, value: Vec::new() }));
        Waiting { offset, headers: Headers::default(), out, entry: None, reply: None }
    }

    fn told(line: &mut Line, before: i64) -> Vec<i64> {
        line.tell(before).iter().map(|waiting| waiting.offset).collect()
    }

    #[test]
    fn nothing_is_told_before_all_below_it_is_acknowledged() {
        let mut line = Line::new(3);
        line.push(record(3, true));
        line.push(record(4, false));
        line.push(record(7, true));
        assert!(!line.acknowledge(7));
        assert_eq!(told(&mut line, 100), [0_i64; 0]);
        assert!(line.acknowledge(3));
        assert_eq!(line.acknowledged(), 8);
        assert_eq!(told(&mut line, 5), [3, 4]);
        assert_eq!((line.told(), line.waiting.len()), (5, 1));
        assert_eq!(told(&mut line, 8), [7]);
        assert_eq!((line.told(), line.waiting.len()), (8, 0));
        assert!(!line.acknowledge(7), "once");
    }

    #[test]
    fn what_produces_nothing_is_acknowledged_at_once() {
        let mut line = Line::new(0);
        line.push(record(0, false));
        assert_eq!(line.acknowledged(), 1);
        assert!(line.out(0).is_none());
    }

    proptest! {
        /// Whatever the order of acknowledgements, records are told in order, each once, and only when all
        /// below are acknowledged.
        #[test]
        fn told_in_order(produces in vec(any::<bool>(), 1..40), order in vec(any::<prop::sample::Index>(), 0..80)) {
            let mut line = Line::new(0);
            let mut open: Vec<i64> = Vec::new();
            for (offset, produces) in (0..).zip(&produces) {
                line.push(record(offset, *produces));
                if *produces { open.push(offset); }
            }
            let mut next = 0;
            for index in order {
                if !open.is_empty() {
                    let offset = open.swap_remove(index.index(open.len()));
                    line.acknowledge(offset);
                }
                for offset in told(&mut line, i64::MAX) {
                    prop_assert_eq!(offset, next);
                    next += 1;
                }
                prop_assert!(open.iter().all(|offset| *offset >= next));
            }
            for offset in open { line.acknowledge(offset); }
            let rest = told(&mut line, i64::MAX);
            prop_assert_eq!(next + rest.len() as i64, produces.len() as i64);
        }
    }
}
