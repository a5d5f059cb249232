//! Whether verdicts come, and whether they come in time: told by the records that were appended here and
//! by the answers that come by. Pure; time is handed in.
//!
//! Two things that look alike to a client are told apart. Where no answer comes at all, verifiers or
//! sinks are away or restore an index: records go on into the log, and whoever waits is told to come back
//! in a minute. Where answers come, but so late that nobody waits for them any longer, there is too much
//! work: then those who would wait are turned away before the log, until answers come in time again.

use core::time::Duration;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use flk_contract::LogTime;

/// How long nothing may be answered until it is said that no verdicts come.
const UNANSWERED: Duration = Duration::from_secs(5);
/// How long after the last record was appended that is worth to be said. Later nobody knows: nobody asked.
const ASKED: Duration = Duration::from_secs(120);
/// How long without any answer it is not said any more that they are late.
const HEARD: Duration = Duration::from_secs(5);
/// Answers that are later than this are not late for load: somebody has been away, or replays.
const LATE_MAX: Duration = Duration::from_secs(120);
/// What one answer counts in the share of late ones, which goes by about the last thirty.
const WEIGHT: f64 = 1.0 / 32.0;
/// Shares of late answers at which it begins to be said, and at which it ends.
const BEGINS: f64 = 0.5;
const ENDS: f64 = 0.35;

/// What is known of verdicts.
#[derive(Debug)]
pub(super) struct Verdicts {
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Appends that nothing was answered after: the first and the last.
    unanswered: Option<(Instant, Instant)>,
    /// The log's clock: what it said last of a record that was appended here, and when.
    clock: Option<(Instant, LogTime)>,
    heard: Option<Instant>,
    share: f64,
    late: bool,
}

impl Verdicts {
    /// Whoever waits does so for `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record was appended here.
    pub(super) fn appended(&self, now: Instant, at: LogTime) {
        let mut state = self.state();
        state.unanswered = match state.unanswered {
            Some((first, last)) if now.saturating_duration_since(last) <= ASKED => Some((first, now)),
            _ => Some((now, now)),
        };
        // Clocks of brokers differ: the one that is ahead counts, and what another says meanwhile is less.
        let read = state.clock.map(|clock| reading(clock, now));
        if read.is_none_or(|read| at >= read) || state.clock.is_some_and(|(when, _)| now - when > HEARD) {
            state.clock = Some((now, at));
        }
    }

    /// An answer came by, for a record of that log time; anybody's.
    pub(super) fn answered(&self, now: Instant, of: LogTime) {
        let mut state = self.state();
        state.unanswered = None;
        state.forget_what_is_old(now);
        let Some(clock) = state.clock else { return };
        let took = u64::try_from(reading(clock, now).millis().saturating_sub(of.millis())).unwrap_or(0);
        let took = Duration::from_millis(took);
        if took > LATE_MAX {
            return;
        }
        state.heard = Some(now);
        let one = if took > self.patience { 1.0 } else { 0.0 };
        state.share += WEIGHT * (one - state.share);
        let late = if state.late { state.share > ENDS } else { state.share >= BEGINS };
        if late != state.late {
            state.late = late;
            if late {
                tracing::warn!(?took, "verdicts come too late for clients that wait: they are turned away");
            } else {
                tracing::info!("verdicts come in time again");
            }
        }
    }

    /// A result was found that was settled since: verdicts come, if not their answers.
    pub(super) fn found(&self) {
        self.state().unanswered = None;
    }

    /// For how long nothing has been answered, where that is too long.
    pub(super) fn are_away(&self, now: Instant) -> Option<Duration> {
        let (first, last) = self.state().unanswered?;
        let silent = now.saturating_duration_since(first);
        (silent >= UNANSWERED && now.saturating_duration_since(last) <= ASKED).then_some(silent)
    }

    /// Whether answers come too late for those who wait.
    pub(super) fn are_late(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.forget_what_is_old(now);
        state.late
    }
}

impl State {
    fn forget_what_is_old(&mut self, now: Instant) {
        if self.heard.is_some_and(|heard| now.saturating_duration_since(heard) > HEARD) {
            (self.heard, self.share, self.late) = (None, 0.0, false);
        }
    }
}

/// What the log's clock says now.
fn reading((when, said): (Instant, LogTime), now: Instant) -> LogTime {
    said.after(now.saturating_duration_since(when))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Story {
        verdicts: Verdicts,
        begun: Instant,
    }

    impl Story {
        fn new() -> Self {
            Self { verdicts: Verdicts::new(10 * SECOND), begun: Instant::now() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.begun + Duration::from_millis(millis)
        }

        // The broker's clock is an hour off.
        fn log(&self, millis: u64) -> LogTime {
            LogTime::from_millis(3_600_000 + i64::try_from(millis).unwrap())
        }

        fn appended(&self, millis: u64) {
            self.verdicts.appended(self.at(millis), self.log(millis));
        }

        fn answered(&self, millis: u64, took: u64) {
            self.verdicts.answered(self.at(millis), self.log(millis - took));
        }

        fn away(&self, millis: u64) -> bool {
            self.verdicts.are_away(self.at(millis)).is_some()
        }

        fn late(&self, millis: u64) -> bool {
            self.verdicts.are_late(self.at(millis))
        }
    }

    #[test]
    fn they_are_away_while_records_are_appended_and_nothing_is_answered() {
        let story = Story::new();
        assert!(!story.away(1_000_000), "nobody asked");
        story.appended(0);
        story.answered(100, 100);
        assert!(!story.away(60_000), "all is answered");
        story.appended(60_000);
        assert!(!story.away(64_999));
        assert!(story.away(65_000));
        story.appended(120_000);
        assert!(story.away(120_000) && story.away(240_000));
        assert!(!story.away(240_001), "nobody has asked for two minutes");
        story.appended(300_000);
        assert!(!story.away(300_001), "it is asked anew");
        assert!(story.away(305_000));
        story.answered(305_001, 5_001);
        assert!(!story.away(305_001));
    }

    #[test]
    fn a_result_that_is_found_says_that_they_come() {
        let story = Story::new();
        story.appended(0);
        assert!(story.away(5_000));
        story.verdicts.found();
        assert!(!story.away(5_000));
    }

    #[test]
    fn they_are_late_while_most_answers_come_after_whoever_waited_has_gone() {
        let story = Story::new();
        for at in 0..100 {
            story.appended(20_000 + at);
            story.answered(20_000 + at, 9_000);
        }
        assert!(!story.late(20_100));
        for at in 0..21 {
            story.answered(20_100 + at, 10_500);
            assert!(!story.late(20_100 + at), "a few are no load");
        }
        for at in 21..40 {
            story.answered(20_100 + at, 10_500);
        }
        assert!(story.late(20_140) && !story.away(20_140));
        for at in 0..15 {
            story.answered(20_200 + at, 2_000);
        }
        assert!(story.late(20_215), "it does not flutter");
        for at in 15..60 {
            story.answered(20_200 + at, 2_000);
        }
        assert!(!story.late(20_260));
    }

    #[test]
    fn one_partition_that_is_slow_does_not_make_them_late() {
        let story = Story::new();
        story.appended(40_000);
        for at in 0..1_000 {
            story.answered(40_000 + at, if at % 4 == 0 { 30_000 } else { 50 });
            assert!(!story.late(40_000 + at));
        }
    }

    #[test]
    fn who_is_silent_is_not_late_and_who_was_away_for_long_is_no_load() {
        let story = Story::new();
        story.appended(400_000);
        for at in 0..100 {
            story.answered(400_000 + at, 20_000);
        }
        assert!(story.late(400_100) && story.late(405_099));
        assert!(!story.late(405_101), "let some in again, and see");
        for at in 0..100 {
            story.answered(406_000 + at, 300_000);
        }
        assert!(!story.late(406_100));
    }

    #[test]
    fn the_logs_clock_goes_on_while_nothing_is_appended() {
        let story = Story::new();
        story.appended(0);
        for at in 0..100 {
            story.answered(20_000 + at, 20_000 + at);
        }
        assert!(story.late(20_100), "they were appended together, and answered twenty seconds later");
    }
}
