//! The audit that other tests rely on: it finds each thing that must not be on the topics, and nothing where all is
//! well.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can not go on has failed")]

use std::num::NonZeroU32;

use flk_contract::{Tenant, partition};
use flk_tests::{audit::Audit, kafka::Consumed, stand::PARTITIONS};
use serde_json::{Value, json};

/// What is on the topics, in parts of it.
#[derive(Clone, Default)]
struct Topics {
    raw: Vec<Consumed>,
    verified: Vec<Consumed>,
    refused: Vec<Consumed>,
    results: Vec<Consumed>,
}

fn consumed(partition: i32, offset: usize, key: Option<&str>, value: &Value) -> Consumed {
    Consumed {
        partition,
        offset: offset as i64,
        timestamp: 0,
        key: key.map(|key| key.as_bytes().to_vec()),
        headers: Vec::new(),
        value: serde_json::to_vec(value).unwrap(),
    }
}

fn result(id: &str, content: &str, at: usize) -> Value {
    json!({"pcs_id": id, "tenant": "default", "code": "ok", "content_sha256": content,
        "origin": {"partition": 0, "offset": at}})
}

fn partition_of(id: &str) -> i32 {
    partition(&Tenant::default_tenant(), id, NonZeroU32::new(PARTITIONS).unwrap()) as i32
}

impl Topics {
    fn raw(&mut self) -> usize {
        let at = self.raw.len();
        self.raw.push(consumed(0, at, None, &json!({"n": at})));
        at
    }

    fn verified(&mut self, id: &str, content: &str, at: usize) {
        let (key, offset) = (format!("default/{id}"), self.verified.len());
        self.verified.push(consumed(partition_of(id), offset, Some(&key), &result(id, content, at)));
    }

    fn result(&mut self, id: &str, content: &str, at: usize) {
        let mut value = result(id, content, at);
        value["verified"] = json!({"partition": partition_of(id), "offset": 0});
        let (key, offset) = (format!("default/{id}"), self.results.len());
        self.results.push(consumed(partition_of(id), offset, Some(&key), &value));
    }

    fn refused(&mut self, state: &str, code: &str, at: usize) {
        let value = json!({"state": state, "code": code, "origin": {"partition": 0, "offset": at}});
        let offset = self.refused.len();
        self.refused.push(consumed(0, offset, None, &value));
    }

    fn audit(self) -> Audit {
        Audit::over(self.raw, self.verified, self.refused, self.results)
    }
}

/// One of each outcome: settled, duplicate, conflict, refused.
fn well() -> Topics {
    let mut topics = Topics::default();
    for content in ["one", "one", "other"] {
        let at = topics.raw();
        topics.verified("a", content, at);
    }
    topics.result("a", "one", 0);
    topics.refused("conflict", "conflict", 2);
    let at = topics.raw();
    topics.refused("refused", "malformed", at);
    topics
}

#[test]
fn one_of_each_outcome_is_well_also_where_everything_was_done_twice() {
    let once = well();
    let mut twice = once.clone();
    twice.verified.extend(once.verified.clone());
    twice.refused.extend(once.refused.clone());
    twice.results.extend(once.results.clone());
    for topics in [once, twice] {
        let audit = topics.audit();
        assert!(audit.faults.is_empty() && audit.is_complete(), "{audit}");
        let states: Vec<&str> = audit.outcomes.iter().map(|outcome| outcome.state).collect();
        assert_eq!(states, ["settled", "duplicate", "conflict", "refused"]);
        assert_eq!(audit.results.len(), 1);
    }
}

#[test]
fn what_is_not_done_yet_is_pending() {
    type Remove = fn(&mut Topics);
    let removed: [(Remove, usize); 4] = [
        (|topics| topics.verified.clear(), 3),
        (|topics| topics.results.clear(), 3),
        (|topics| drop(topics.refused.remove(0)), 1),
        (|topics| drop(topics.refused.remove(1)), 1),
    ];
    for (n, (remove, pending)) in removed.into_iter().enumerate() {
        let mut topics = well();
        remove(&mut topics);
        let audit = topics.audit();
        assert!(!audit.is_complete(), "{audit}");
        assert_eq!(audit.states()["pending"], pending, "{n}: {audit}");
    }
}

#[test]
fn each_thing_that_must_not_be_is_found() {
    type Break = fn(&mut Topics);
    let broken: [(&str, Break); 6] = [
        ("two results", |topics| topics.result("a", "one", 1)),
        ("came first", |topics| {
            topics.results.clear();
            topics.result("a", "one", 1);
        }),
        ("verified in two ways", |topics| topics.verified("a", "third", 0)),
        ("more than one outcome", |topics| topics.refused("refused", "bad_signature", 3)),
        ("also in pcs.refused", |topics| topics.refused("refused", "malformed", 0)),
        ("is in partition", |topics| topics.verified[1].partition = (partition_of("a") + 1) % PARTITIONS as i32),
    ];
    for (words, damage) in broken {
        let mut topics = well();
        damage(&mut topics);
        let audit = topics.audit();
        assert!(audit.faults.iter().any(|fault| fault.contains(words)), "{words}: {audit}");
    }
}
