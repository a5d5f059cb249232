//! The write-ahead log: its port, the embedded log, the in-memory one, and the conformance suite
//! that every log passes.
//!
//! This room knows bytes, positions and transactions. What a record means, and who wins an id, is
//! decided by whoever is handed in as [`Decide`]: nothing here reads a body.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod ledger;
pub mod memory;
mod port;
pub mod topic;
pub mod watch;

pub use port::{
    Append, AppendError, Appended, Clock, Decide, Decided, Decision, Judged, Log, NewRecord, ReadError, Resolver,
    StoredRecord, SystemClock, Ticket,
};
pub use watch::Watch;
