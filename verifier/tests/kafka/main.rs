//! The role over a real Kafka: every record of pcs.raw has its outcome, whatever happens meanwhile.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod away;
mod ends;
mod members;
mod topics;
mod vectors;
mod verdicts;
mod waits;
mod world;
