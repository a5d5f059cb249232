//! What the role lets others see of its work.

use core::time::Duration;

use flk_contract::Code;
use flk_log::topic::Topic;

/// Watches the role at work.
pub trait Watch: Send + Sync + 'static {
    /// A record was judged, that long after it was appended. One that was delivered again is judged again.
    fn on_judged(&self, _code: Code, _took: Duration) {}
    /// A record of pcs.verified or pcs.refused was acknowledged.
    fn on_produced(&self, _topic: Topic) {}
    /// One was not, and is produced again.
    fn on_retry(&self, _topic: Topic) {}
    /// How old the newest record that was taken up of a partition of pcs.raw is; zero when all has been.
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
