//! The dedup-sink: settling as a fold over one partition, with the derived index as its memory.
//!
//! Who wins an id is a function of the order of records alone ([`flk_contract::settle()`]). This
//! room remembers: what was settled before is in the index, what is being settled in the batch at
//! hand is beside it, until the batch is certain. It reads no clock and no body, and does not know
//! whether the partition is the log itself or one of a topic of verified records: it is told where a
//! record came into the log (its origin), where it came to be settled (its offset), and when.

mod fold;
#[cfg(feature = "kafka")]
pub mod role;
mod settlement;

pub use fold::Fold;
pub use settlement::{Arrival, Settlement, Standing};
