//! What the role lets others see of its work.

use core::time::Duration;

use flk_contract::{Code, Tenant};
use flk_log::topic::Topic;

/// Watches the role at work.
pub trait Watch: Send + Sync + 'static {
    /// A record was judged, that long after it was appended. One that was delivered again is judged again.
    /// Whose it is is known where it is authentic.
    fn on_judged(&self, _code: Code, _tenant: Option<&Tenant>, _took: Duration) {}
    /// A record of pcs.verified or pcs.refused was acknowledged.
    fn on_produced(&self, _topic: Topic) {}
    /// One was not, and is produced again.
    fn on_retry(&self, _topic: Topic) {}
    /// An answer was acknowledged, or it was lost: that is made up for by asking again.
    fn on_reply(&self, _acknowledged: bool) {}
    /// Nothing could be said of a record, not even that it was refused: a fault of ours.
    fn on_passed_over(&self, _partition: i32, _offset: i64) {}
    /// A partition of pcs.raw is read from there.
    fn on_assigned(&self, _partition: i32, _offset: i64) {}
    /// How old the oldest record of a partition of pcs.raw is that was taken up and is not done; zero where
    /// all is. Said every second; not said where that is not known, because Kafka is away.
    fn on_lag(&self, _partition: i32, _lag: Duration) {}
    /// A partition has gone to another member.
    fn on_revoked(&self, _partition: i32) {}
    /// Records of a partition were removed before they were read.
    fn on_gap(&self, _partition: i32, _expected: i64, _found: i64) {}
    /// A record waits for its topic to be put right, because it has no log time.
    fn on_timeless(&self, _partition: i32) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}
