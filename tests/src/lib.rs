//! What the suites under `tests/` share: the real binary as a child process, a small HTTP client
//! that shows every byte, records of every kind, and the faults that are injected.
//!
//! Nothing in here knows how the service works inside: it starts the binary that `FLK_BIN` names,
//! speaks HTTP, reads the log beside it as any tool could, and kills it. There are no sleeps: what
//! takes time is waited for with a deadline ([`until`]).
//!
//! A prerequisite that is missing (the binary, a C compiler, the right to mount) fails the test
//! that needs it with one sentence. Nothing is skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can not go on has failed")]

pub mod answers;
pub mod audit;
pub mod http;
pub mod kafka;
pub mod log;
pub mod metrics;
pub mod mount;
pub mod process;
pub mod record;
pub mod rng;
pub mod service;
pub mod setup;
pub mod shape;
pub mod shim;
pub mod stand;
pub mod stored;
pub mod traffic;
mod wait;

pub use http::{Client, Cut, Request, Response};
pub use process::Process;
pub use record::{KEY, Pcs, Sign};
pub use rng::Rng;
pub use service::Service;
pub use setup::{Refused, Setup, flk};
pub use shape::{Role, Shape};
pub use stand::Stand;
pub use traffic::Traffic;
pub use wait::{DEADLINE, until, until_or, until_some};

/// The root of the repository.
pub fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file of `tests/vectors`, as JSON text.
pub fn vectors(name: &str) -> String {
    let path = root().join("tests/vectors").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
