//! Kafka for all roles, against a real broker.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod acls;
mod conformance;
mod faults;
mod log;
mod members;
mod moves;
mod poison;
mod security;
mod support;
mod tail;
mod topics;
