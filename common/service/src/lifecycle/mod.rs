//! How a process of this project lives and stops.
//!
//! Stopping goes through named phases, each with a deadline: not ready (load balancers look away)
//! → draining (no new requests, those in flight are answered) → committing (what is accepted is
//! flushed and committed) → done. [`Lifecycle`] is what everybody holds to see the phase;
//! [`Supervisor`] owns the tasks and moves the phases on.
//!
//! What a task does, and which tasks there are, is not known here.

mod signals;
mod supervisor;

use core::time::Duration;
use std::{process::ExitCode, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::health::Check;

pub use signals::{OsSignals, StopSignals};
pub use supervisor::{Supervisor, Until};

/// Where in its life the process is. Phases only ever follow each other in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Requests are taken.
    Serving,
    /// Requests are still taken, but readiness says no, so that nobody sends new ones here.
    NotReady,
    /// No new requests; those in flight are answered.
    Draining,
    /// Nobody waits for an answer any longer; what was accepted is flushed and committed.
    Committing,
    /// Everything has ended.
    Done,
}

impl Phase {
    /// The word in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::NotReady => "not ready",
            Self::Draining => "draining",
            Self::Committing => "committing",
            Self::Done => "done",
        }
    }
}

/// How long stopping may take, phase by phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// How long readiness says no before requests are refused (`FLK_DRAIN_DELAY`).
    pub drain_delay: Duration,
    /// How long requests in flight may take (`FLK_DRAIN_DEADLINE`).
    pub drain: Duration,
    /// How long flushing and committing may take.
    pub commit: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(15),
            // Less than what orchestrators leave of 30 seconds after a full drain.
            commit: Duration::from_secs(10),
        }
    }
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Asked to, and everything ended in time.
    Success,
    /// A task ended early or badly, or a deadline passed.
    Failure,
    /// A second signal came. The caller must leave without waiting for anything: also not for
    /// blocking work of the runtime (`Runtime::shutdown_background`).
    AtOnce,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure | Exit::AtOnce => Self::FAILURE,
        }
    }
}

/// The phase, to look at and to wait for. Cheap to clone.
///
/// The tokens form a tree, a later phase above an earlier one: whoever waits for an earlier phase
/// is woken by a later one too.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: watch::Sender<Phase>,
    asked: CancellationToken,
    committing: CancellationToken,
    forced: CancellationToken,
    draining: CancellationToken,
    not_ready: CancellationToken,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// A process that serves.
    pub fn new() -> Self {
        let committing = CancellationToken::new();
        let forced = committing.child_token();
        let draining = forced.child_token();
        let not_ready = draining.child_token();
        let inner = Inner {
            phase: watch::Sender::new(Phase::Serving),
            asked: CancellationToken::new(),
            committing,
            forced,
            draining,
            not_ready,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.inner.phase.borrow()
    }

    /// Tells of every change of phase.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.inner.phase.subscribe()
    }

    /// Asks the process to stop, as a signal does. Returns at once; asking again changes nothing.
    pub fn stop(&self) {
        self.inner.asked.cancel();
    }

    /// Cancelled when readiness goes off: background work that takes long ends now.
    pub fn not_ready(&self) -> &CancellationToken {
        &self.inner.not_ready
    }

    /// Cancelled when no new requests are taken any longer.
    pub fn draining(&self) -> &CancellationToken {
        &self.inner.draining
    }

    /// Cancelled when the deadline of draining has passed: give up what is still in flight.
    pub fn forced(&self) -> &CancellationToken {
        &self.inner.forced
    }

    /// Cancelled when everybody has been answered: flush, commit, end.
    pub fn committing(&self) -> &CancellationToken {
        &self.inner.committing
    }

    /// Readiness: failing as soon as the process is stopping.
    pub fn check(&self) -> Check {
        match self.phase() {
            Phase::Serving => Check::ok("lifecycle"),
            phase => Check::failing("lifecycle", format_args!("stopping: {}", phase.as_str())),
        }
    }

    async fn asked(&self) {
        self.inner.asked.cancelled().await;
    }

    fn force(&self) {
        self.inner.forced.cancel();
    }

    /// The phase first, the token after it: whoever is woken sees at least that phase.
    fn enter(&self, phase: Phase) {
        let entered = self.inner.phase.send_if_modified(|now| {
            let later = phase > *now;
            if later {
                *now = phase;
            }
            later
        });
        if entered {
            tracing::info!(phase = phase.as_str(), "lifecycle");
        }
        match phase {
            Phase::Serving => {}
            Phase::NotReady => self.inner.not_ready.cancel(),
            Phase::Draining => self.inner.draining.cancel(),
            Phase::Committing | Phase::Done => self.inner.committing.cancel(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_never_go_back_and_a_later_one_wakes_who_waits_for_an_earlier() {
        let lifecycle = Lifecycle::new();
        assert!(lifecycle.check().ok);
        lifecycle.enter(Phase::Committing);
        for token in [lifecycle.not_ready(), lifecycle.draining(), lifecycle.forced(), lifecycle.committing()] {
            assert!(token.is_cancelled());
        }
        lifecycle.enter(Phase::NotReady);
        assert_eq!(lifecycle.phase(), Phase::Committing);
        assert!(!lifecycle.check().ok);
    }

    #[test]
    fn an_earlier_phase_wakes_nobody_who_waits_for_a_later() {
        let lifecycle = Lifecycle::new();
        lifecycle.enter(Phase::NotReady);
        assert!(lifecycle.not_ready().is_cancelled() && !lifecycle.draining().is_cancelled());
        lifecycle.enter(Phase::Draining);
        assert!(lifecycle.draining().is_cancelled() && !lifecycle.forced().is_cancelled());
        lifecycle.force();
        assert!(lifecycle.forced().is_cancelled() && !lifecycle.committing().is_cancelled());
    }

    #[test]
    fn only_an_orderly_end_is_a_success() {
        let code = |exit| format!("{:?}", ExitCode::from(exit));
        assert_eq!(code(Exit::Success), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(Exit::Failure), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(code(Exit::AtOnce), format!("{:?}", ExitCode::FAILURE));
    }
}
