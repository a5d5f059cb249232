//! How far the read side is with one partition, and what it is sent next. Pure: the clock is an argument.
//!
//! Each script that is answered lets everything be told that was acknowledged when it was sent: it has
//! raised the goal of the marker that far, so that a read side which is behind says that it does not know,
//! instead of that there is nothing.

use core::time::Duration;
use std::time::Instant;

use flk_results::read_side::Published;

/// How often a partition in which nothing happens is asked about, so that a loss is noticed.
const IDLE: Duration = Duration::from_secs(3);
/// First and longest pause after a failure.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing now.
    Nothing,
    /// Nothing, and nobody waits for it: it is away.
    Tell,
    /// What was acknowledged since, as it is at hand.
    Direct,
    /// What lies from there on, out of the index.
    Heal(i64),
}

/// The read side of one partition.
#[derive(Debug)]
pub(super) struct Feed {
    /// How far the store said that it is.
    store: Option<i64>,
    in_flight: bool,
    /// After a failure.
    not_before: Option<Instant>,
    failures: u32,
    asked: Instant,
}

impl Feed {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            store: None,
            in_flight: false,
            not_before: None,
            failures: 0,
            asked: now.checked_sub(IDLE).unwrap_or(now),
        }
    }

    /// What is to be sent: everything before `told` was, everything before `acknowledged` may be.
    pub(super) fn next(&self, told: i64, acknowledged: i64, now: Instant) -> Next {
        if self.in_flight {
            Next::Nothing
        } else if self.not_before.is_some_and(|at| now < at) {
            if told < acknowledged { Next::Tell } else { Next::Nothing }
        } else if let Some(store) = self.store.filter(|store| *store < told) {
            Next::Heal(store)
        } else if told < acknowledged || self.not_before.is_some() || now.duration_since(self.asked) >= IDLE {
            Next::Direct
        } else {
            Next::Nothing
        }
    }

    /// A script is under way.
    pub(super) fn sent(&mut self, now: Instant) {
        self.in_flight = true;
        self.asked = now;
    }

    /// It was answered.
    pub(super) fn answered(&mut self, published: Published) {
        self.in_flight = false;
        self.store = Some(published.next);
        (self.not_before, self.failures) = (None, 0);
    }

    /// It was not; whether this is the first failure after an answer.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.in_flight = false;
        self.failures = self.failures.saturating_add(1);
        let pause = AGAIN.0.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(AGAIN.1);
        self.not_before = Some(now + pause);
        self.failures == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(next: i64, ready: bool) -> Published {
        Published { next, ready }
    }

    #[test]
    fn one_that_is_new_is_asked_at_once_and_then_when_there_is_something() {
        let now = Instant::now();
        let mut feed = Feed::new(now);
        assert_eq!(feed.next(5, 5, now), Next::Direct);
        feed.sent(now);
        assert_eq!(feed.next(5, 9, now), Next::Nothing, "one at a time");
        feed.answered(published(5, true));
        assert_eq!(feed.next(5, 5, now), Next::Nothing);
        assert_eq!(feed.next(5, 9, now), Next::Direct);
        assert_eq!(feed.next(5, 5, now + IDLE), Next::Direct);
    }

    #[test]
    fn one_that_is_behind_is_healed_up_to_what_was_told() {
        let now = Instant::now();
        let mut feed = Feed::new(now);
        feed.sent(now);
        feed.answered(published(0, false));
        assert_eq!(feed.next(5, 9, now), Next::Heal(0));
        feed.sent(now);
        feed.answered(published(9, true));
        assert_eq!(feed.next(9, 9, now), Next::Nothing);
    }

    #[test]
    fn while_it_is_away_nobody_waits_and_it_is_asked_ever_more_slowly() {
        let now = Instant::now();
        let mut feed = Feed::new(now);
        feed.sent(now);
        assert!(feed.failed(now));
        assert_eq!(feed.next(0, 3, now), Next::Tell);
        assert_eq!(feed.next(3, 3, now), Next::Nothing);
        assert_eq!(feed.next(3, 3, now + AGAIN.0), Next::Direct, "also where nothing happens");
        feed.sent(now);
        assert!(!feed.failed(now));
        assert_eq!(feed.next(3, 3, now + AGAIN.0), Next::Nothing);
        assert_eq!(feed.next(3, 3, now + AGAIN.1), Next::Direct);
    }
}
