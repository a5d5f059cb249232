//! The read side: one suite for all of them, and what each does when its server fails.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod support;
mod value;
