//! End to end: the real binary over a real socket, one claim of the contract a test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can not go on has failed")]

mod http;
mod observing;
mod overload;
mod reading;
mod settings;
mod settlement;
mod signatures;
mod tenants;
