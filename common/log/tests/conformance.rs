//! The logs of this crate, against the one list of claims.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is a failed claim")]

use std::sync::Arc;

use flk_log::{
    Log,
    conformance::{HandClock, Refuser, Subject},
    embedded::{EmbeddedLog, Options},
    log_conformance,
    memory::MemoryLog,
    watch::Unwatched,
};

struct Memory;

impl Subject for Memory {
    fn open(&self, clock: Arc<HandClock>) -> Arc<dyn Log> {
        Arc::new(MemoryLog::new("memory", clock, Refuser::default()))
    }

    fn persists(&self) -> bool {
        false
    }
}

struct Embedded(tempfile::TempDir);

impl Subject for Embedded {
    fn open(&self, clock: Arc<HandClock>) -> Arc<dyn Log> {
        let open = EmbeddedLog::open(self.0.path(), &Options::default(), clock, Arc::new(Unwatched), |_, _| {
            Ok(Refuser::default())
        });
        Arc::new(open.unwrap())
    }

    fn persists(&self) -> bool {
        true
    }
}

log_conformance!(memory, Memory);
log_conformance!(embedded, Embedded(tempfile::tempdir().unwrap()));
