//! The port of the read side: what writers and readers may rely on, whatever stands behind it.

use async_trait::async_trait;
use flk_contract::{Settled, Tenant};

use crate::Entry;

/// The most entries of one [`Batch`]: a store works on one batch at a time, and others wait meanwhile.
pub const ENTRIES_MAX: usize = 1024;

/// What the records of one partition of pcs.verified at the offsets [`from`, `to`) settled.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The partition.
    pub partition: u32,
    /// The first offset that it is about.
    pub from: i64,
    /// The first offset behind it; `from` for a batch that only asks how far the store is.
    pub to: i64,
    /// The first offset whose results are not acknowledged in pcs.results, as far as the writer
    /// knows: at `to` or beyond. The store is ready when it has come as far as any writer was.
    pub end: i64,
    /// What was settled, in the order of offsets, at most [`ENTRIES_MAX`]. Offsets without an entry
    /// settled nothing, or what they settled has had a successor since.
    pub entries: &'a [Entry],
}

/// How far the store is, after a [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The first offset that the store does not know of. Less than the batch's `from`: nothing was
    /// set, and the writer goes on from here, out of its index.
    pub next: i64,
    /// Whether a miss is a miss: the store has all that any writer said there is.
    pub ready: bool,
}

/// What a reader finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The settled result.
    Hit(Box<Settled>),
    /// None.
    Miss {
        /// Whether there is none: else the store is incomplete, and nobody knows.
        ready: bool,
    },
}

/// Something that an operator should change, though all works now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The store drops what has not expired when its memory is used up.
    #[error(
        "maxmemory-policy is {0}: where maxmemory is set, Redis may drop settled results before their time, and \
         GET says 503 instead of 404; set it to noeviction"
    )]
    Evicts(String),
    /// The store has dropped some of them.
    #[error(
        "Redis has dropped {0} keys since it started, so nobody knows whether a miss is one, and GET says 503 \
         instead of 404: give it more memory or choose a shorter window, then FLUSHALL and CONFIG RESETSTAT; the \
         sinks bring everything back"
    )]
    Evicted(u64),
    /// The store has little room left.
    #[error("{used} of {limit} bytes are used: give Redis more memory or choose a shorter window for results")]
    NearlyFull {
        /// Bytes used.
        used: u64,
        /// Bytes that may be used.
        limit: u64,
    },
}

/// Why the store can not be used now. All that differs for the caller is what it tells operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time. What was asked for may still be done, which harms nothing.
    Deadline,
    /// Whoever answers is a replica: it may lag, and takes nothing.
    Replica,
    /// It has no room for more.
    Full,
    /// It does not let this user in, or not do this.
    Denied,
    /// It can not be used as it is set up: another version of the schema or of a stored form.
    Setup,
    /// It answered with an error, or with what is no answer.
    Fault,
}

impl Reason {
    /// Every reason: counters start at 0 for each.
    pub const ALL: [Self; 7] =
        [Self::Unreachable, Self::Deadline, Self::Replica, Self::Full, Self::Denied, Self::Setup, Self::Fault];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Deadline => "deadline",
            Self::Replica => "replica",
            Self::Full => "full",
            Self::Denied => "denied",
            Self::Setup => "setup",
            Self::Fault => "fault",
        }
    }
}

/// Why a call to a read side came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadSideError {
    /// It can not be used now; asking again later is safe, for writers too.
    #[error("the read side is away: {detail}")]
    Away {
        /// What kind of trouble.
        reason: Reason,
        /// In words, without secrets.
        detail: String,
    },
    /// It was asked to take what can not be. Nothing was set; asking again says the same.
    #[error("the read side does not take this: {0}")]
    Refused(String),
}

impl ReadSideError {
    #[cfg_attr(not(any(feature = "redis", feature = "postgres")), allow(dead_code, reason = "only servers are away"))]
    pub(crate) fn away(reason: Reason, detail: impl core::fmt::Display) -> Self {
        Self::Away { reason, detail: detail.to_string() }
    }
}

/// Where settled results are read back: derived, like an index, but shared by all readers.
///
/// - One partition has a marker: how far the store knows pcs.verified (`next`), how far any writer
///   was (`goal`), and of which log. Values and marker move in one atomic step.
/// - `publish` sets the values of entries at or above the marker and moves it, if the marker is at
///   `from` or beyond; else it only raises the goal and says where the marker is. So what is below
///   the marker is complete, whoever wrote it in whatever order: a batch that comes late, twice, or
///   from a writer that no longer owns its partition changes nothing that is told.
/// - A marker that is missing, or of another log, is at 0. A store that lost all or its newest part
///   says so to the next batch, and is not ready until somebody has brought it back.
/// - Of two entries for an id the one at the greater offset stands. One that has expired by the
///   store's clock is neither set nor found; the store expires at the origin's log time and 14 days,
///   or after a shorter window. Whether a result still stands is the reader's to ask.
/// - `read` sees value and marker of one moment, of the primary. What was published, by an answer
///   that said ready, before `read` was called is a hit, or has expired.
/// - No call takes longer than the store's deadline, no call waits in a queue beyond it, and an
///   error says nothing about whether a batch was taken: publishing it again is harmless.
#[async_trait]
pub trait ReadSide: Send + Sync + 'static {
    /// Sets what a batch says, if the store has come as far as the batch begins.
    ///
    /// # Errors
    /// [`ReadSideError::Away`]; [`ReadSideError::Refused`] for a batch that is none: offsets out of
    /// order, too many entries, ids of another partition, origins of another log.
    async fn publish(&self, batch: &Batch<'_>) -> Result<Published, ReadSideError>;

    /// The result settled for an id.
    ///
    /// # Errors
    /// [`ReadSideError::Away`]; never a miss where it is not known.
    async fn read(&self, tenant: &Tenant, pcs_id: &str) -> Result<Lookup, ReadSideError>;

    /// Removes at most `limit` results that have expired, where the store does not by itself;
    /// returns how many, so 0 is the end. Whoever publishes calls it now and then.
    ///
    /// # Errors
    /// [`ReadSideError::Away`]; what was removed until then stays removed.
    async fn expire(&self, limit: u32) -> Result<u64, ReadSideError>;

    /// Whether it can be used now, by writers and readers, and what should be changed about it.
    ///
    /// # Errors
    /// [`ReadSideError::Away`].
    async fn health(&self) -> Result<Vec<Warning>, ReadSideError>;
}

/// A setting with which there can be no read side, in a sentence that says what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSetting(pub(crate) String);
