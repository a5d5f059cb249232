//! Faults of the machine: disks that are full, fail or hang, clocks that step, files that are
//! damaged, clients that hold connections, operators in a hurry. Whatever happens, nothing is told
//! that is not so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can not go on has failed")]

mod clock;
mod connections;
mod directory;
mod disk;
mod stopping;
