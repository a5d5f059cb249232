//! Settled results: the derived index of ids, and the conformance suite that every index passes.
//!
//! An index answers one question, what was settled for an id, and says how far it is complete. It
//! is derived: whatever it holds can be had from its log again, so it is never synced, and dropped
//! rather than mended. Who wins an id is decided by [`flk_contract::settle()`]; nothing here decides.

pub mod codec;
pub mod conformance;
mod entry;
mod fjall_index;
mod memory;
mod place;
mod port;
pub mod read_side;

pub use entry::Entry;
pub use fjall_index::{IndexDb, OpenError, Opened, PartitionIndex};
pub use memory::MemoryIndex;
pub use place::Place;
pub use port::{Index, Load, ResultsError};
