//! The read side: where whoever asks by HTTP reads settled results back.
//!
//! Results live in pcs.results and in the sinks' indexes; a read side is a copy for readers, in
//! Redis or in Postgres. It may be empty, behind or away: that costs answers to GET, never a
//! verdict. What it must never do is to say that there is no result where somebody was told one, so
//! every write says what it builds on ([`ReadSide`]).
//!
//! This room decides nothing about results, knows nothing of Kafka, and starts no work by itself.

pub mod conformance;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod link;
mod marker;
mod memory;
mod port;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
pub mod slots;
mod subject;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod tls;
pub mod value;

pub use memory::{MemoryReadSide, MemoryStore};
pub use port::{BadSetting, Batch, ENTRIES_MAX, Lookup, Published, ReadSide, ReadSideError, Reason, Warning};
#[cfg(feature = "postgres")]
pub use postgres::{Access, PostgresReadSide, PostgresSettings};
#[cfg(feature = "redis")]
pub use redis::{RedisReadSide, RedisSettings};
pub use subject::Subject;
