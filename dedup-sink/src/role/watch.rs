//! What the role lets others see of its work, and where tests end it.

use core::time::Duration;

use flk_contract::Code;
use flk_log::topic::Topic;
use flk_results::read_side::ReadSideError;

/// What has just been done, for one partition. After each of them a crash must change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Records were taken up.
    Polled,
    /// What they settled is in the index.
    Indexed,
    /// Their results are on their way.
    Produced,
    /// They are acknowledged, and everything below them.
    Acknowledged,
    /// The read side has them, or could not be reached.
    Published,
    /// Whoever waited is answered.
    Replied,
    /// They may be committed.
    Done,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Polled, Self::Indexed, Self::Produced, Self::Acknowledged, Self::Published, Self::Replied, Self::Done];
}

/// What a record came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settling {
    /// It settled its id.
    Settled,
    /// Its own result was met again.
    Replay,
    /// A result with its content stands.
    Duplicate,
    /// A result with another content stands.
    Conflict,
    /// It came too late to settle anything.
    TooOld,
    /// It could not be read.
    Poisoned,
}

/// Watches the role at work.
pub trait Watch: Send + Sync + 'static {
    /// Whether the role goes on after that step. Where it does not, it ends as by a crash.
    fn goes_on(&self, _partition: i32, _step: Step) -> bool {
        true
    }
    /// A record was folded, with effects, that long after its append to pcs.raw.
    fn on_settled(&self, _settling: Settling, _code: Code, _took: Duration) {}
    /// What a record comes to was found out, its id looked up.
    fn on_folded(&self, _took: Duration) {}
    /// A batch was written into the index.
    fn on_indexed(&self, _took: Duration) {}
    /// A record was acknowledged.
    fn on_produced(&self, _topic: Topic) {}
    /// One was not, and is produced again.
    fn on_retry(&self, _topic: Topic) {}
    /// How old the newest record that was taken up of a partition is; zero when all has been.
    fn on_lag(&self, _partition: i32, _lag: Duration) {}
    /// Records of a partition were removed before they were read.
    fn on_gap(&self, _partition: i32, _expected: i64, _found: i64) {}
    /// An index is loaded from pcs.results: how far that is.
    fn on_loading(&self, _partition: i32, _next: i64, _end: i64) {}
    /// The index of a partition is being brought up to its end, or is there: the partition settles.
    fn on_restored(&self, _partition: i32) {}
    /// A partition has gone to another member.
    fn on_revoked(&self, _partition: i32) {}
    /// The read side answered: whether a miss there is a miss, and how many offsets it is behind.
    fn on_published(&self, _partition: i32, _ready: bool, _behind: i64) {}
    /// The read side did not take a batch.
    fn on_read_side_error(&self, _error: &ReadSideError) {}
    /// The index could not be written, and is tried again.
    fn on_index_error(&self) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}
