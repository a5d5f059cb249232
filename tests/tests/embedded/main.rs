//! What is about the embedded log itself: its directory, its disk, its clock, its metrics. Everything else that a client
//! or an operator is promised is in `tests/e2e`, which runs against every shape.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can not go on has failed")]

mod directory;
mod observing;
mod places;
mod settling;
mod stalled_disk;
