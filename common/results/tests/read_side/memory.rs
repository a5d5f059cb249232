//! In memory: the suite, and that it fails when it is told to.

use async_trait::async_trait;
use flk_contract::{LogTime, Tenant};
use flk_results::{
    read_side::{
        Batch, Lookup, MemoryReadSide, MemoryStore, ReadSide, ReadSideError, Reason, Subject,
        conformance::{Fixture, subject},
    },
    read_side_conformance,
};

struct Memory(MemoryStore);

impl Memory {
    fn new() -> Self {
        let store = MemoryStore::default();
        store.set_now(LogTime::parse("2026-01-01T00:00:00Z").unwrap());
        Self(store)
    }
}

#[async_trait]
impl Fixture for Memory {
    type Side = MemoryReadSide;

    async fn open(&self, subject: &Subject) -> MemoryReadSide {
        MemoryReadSide::new(subject.clone(), self.0.clone())
    }

    async fn lose(&self) {
        self.0.lose();
    }

    async fn now(&self) -> LogTime {
        self.0.now()
    }

    async fn reach(&self, time: LogTime) {
        self.0.set_now(time);
    }
}

read_side_conformance!(suite, Memory::new());

#[tokio::test]
async fn it_fails_as_often_as_it_is_told_to() {
    let store = MemoryStore::default();
    let side = MemoryReadSide::new(subject(), store.clone());
    let away = ReadSideError::Away { reason: Reason::Unreachable, detail: "told to".into() };
    store.fail_next(2, away.clone());
    let batch = Batch { partition: 0, from: 0, to: 1, end: 1, entries: &[] };
    assert_eq!(side.publish(&batch).await, Err(away.clone()));
    assert_eq!(side.health().await, Err(away));
    let id = "0".repeat(64);
    assert_eq!(side.read(&Tenant::default_tenant(), &id).await, Ok(Lookup::Miss { ready: false }));
}
