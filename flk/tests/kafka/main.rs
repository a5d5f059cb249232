//! The commands that know Kafka, through the real binary, on a real Kafka.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod roles;
mod run;
mod topics;
