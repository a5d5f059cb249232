//! The pipeline over a real Kafka and a real Redis. What verifiers and sinks do is done by the tests,
//! which can so do it wrongly, late, or not at all.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod faults;
mod http;
mod reading;
#[path = "../http/records.rs"]
#[allow(dead_code, reason = "some of it is for the tests of HTTP")]
mod records;
mod replies;
mod world;
