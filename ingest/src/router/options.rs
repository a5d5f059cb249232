//! How the router is set, and what it lets others see.

use core::time::Duration;

use flk_contract::limits::WINDOW;

pub use super::waiters::Answered;

/// How the router is set.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which partition of pcs.replies is this instance's; any one where it is not said. Several instances
    /// may share one: each then reads the others' answers too.
    pub partition: Option<i32>,
    /// Most records that wait for their place or their verdict. Best more than submissions in flight
    /// ([`crate::Limits::requests`]): one more is told that the log's queue is full.
    pub waiters: usize,
    /// How long a client waits for its verdict ([`crate::Limits::answer`]).
    pub patience: Duration,
    /// How long an answer is waited for before the result is looked for where everybody can read it.
    pub read_back: Duration,
    /// The longest pause until it is looked for again: each is twice the one before.
    pub read_back_pause: Duration,
    /// Most that look for their result at a time; others skip their turn.
    pub read_backs: usize,
    /// How long the read side keeps a result, from its origin's log time on: what is not found after
    /// that may have been there.
    pub keep: Duration,
    /// How long the read side may take to say how it is.
    pub health: Duration,
    /// How long what was taken in may take to become durable when the role ends.
    pub flush: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partition: None,
            waiters: 16_384,
            patience: crate::Limits::default().answer,
            read_back: Duration::from_secs(1),
            read_back_pause: Duration::from_secs(4),
            read_backs: 64,
            keep: WINDOW,
            health: Duration::from_secs(2),
            flush: Duration::from_secs(8),
        }
    }
}

/// How a client's verdict came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// By its answer in pcs.replies.
    Reply,
    /// The answer was lost or late, and the result was read back.
    ReadBack,
}

/// Watches the router at work.
pub trait Watch: Send + Sync + 'static {
    /// An answer came by. Those of other instances, and of clients that have gone, are
    /// [`Answered::Nobody`]'s.
    fn on_reply(&self, _answered: Answered) {}
    /// What came by is no answer: another version's, or nothing of ours.
    fn on_undecodable(&self) {}
    /// Answers were not read: from one offset to another.
    fn on_gap(&self, _expected: i64, _found: i64) {}
    /// A client has its verdict, that long after its record was durable.
    fn on_verdict(&self, _source: Source, _took: Duration) {}
    /// An answer did not come in time, and the result is looked for where everybody can read it.
    fn on_look(&self) {}
    /// Somebody began to wait or ended: so many do now.
    fn on_waiters(&self, _waiting: usize) {}
    /// The read side could not be read, for a GET or for a lost answer.
    fn on_read_error(&self) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}
