//! `flk wal`, `flk results` and `flk replay` as a person or a script uses them: the real binary on
//! logs that are made here, record by record, at times of our choosing.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is a failed claim")]

mod made;
mod replay;
mod results;
mod run;
mod wal;
