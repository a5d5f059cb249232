//! The compatibility rule: what was once written stays readable, and keeps its fields and their meaning.
//!
//! `schemas/topics/samples` holds values as some version wrote them. A sample is written once, and never
//! changed; `UPDATE_SCHEMAS=1` adds those that are not there yet. Where a value gains a field, a sample of
//! another name with that field is added, and the old one stays.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Once};

use flk_log::topic::{self, Refused, Reply, ReplyId, ResultEntry, Topic, TopicNames, Verified};
use serde_json::Value;

use crate::{real, schemas, values::said, walk};

/// Every sample: the topic, its file, and how the record that it was made of is written today.
fn samples() -> Vec<(Topic, &'static str, Vec<u8>)> {
    let id = ReplyId([0x0c, 0x6a, 0x1f, 0xe2, 0xb3, 0x4d, 0x4e, 0x6f, 0x8a, 0x90, 0xb1, 0xc2, 0xd3, 0xe4, 0xf5, 0x06]);
    let refused = |decided, offset, body: Option<&'static str>| {
        let body = body.map(real::body);
        Refused::of(&decided, &real::origin(offset), body.as_deref()).unwrap().encode().unwrap()
    };
    let reply = |decided, offset| Reply::encode(&decided, &real::origin(offset), id).unwrap();
    let result = |settled| ResultEntry::encode(&settled, real::VERIFIED_AT).unwrap();
    vec![
        (Topic::Raw, "pcs.raw.v1.json", real::body("mixed accepted").into()),
        (Topic::Verified, "pcs.verified.v1.json", Verified::encode(&real::settled()).unwrap()),
        (Topic::Verified, "pcs.verified.v1.escalated.json", Verified::encode(&real::escalated()).unwrap()),
        (Topic::Results, "pcs.results.v1.json", result(real::settled())),
        (Topic::Results, "pcs.results.v1.escalated.json", result(real::escalated())),
        (
            Topic::Refused,
            "pcs.refused.v1.json",
            refused(real::refused_by_d_hat(), 42, Some("claim outside the tolerance")),
        ),
        (Topic::Refused, "pcs.refused.v1.unsigned.json", refused(real::refused_by_signature(), 43, Some("unsigned"))),
        (Topic::Refused, "pcs.refused.v1.conflict.json", refused(real::conflict(), 44, None)),
        (Topic::Replies, "pcs.replies.v1.json", reply(real::decided_as_settled(), 41)),
        (Topic::Replies, "pcs.replies.v1.refused.json", reply(real::refused_by_d_hat(), 42)),
        (Topic::Replies, "pcs.replies.v1.unsigned.json", reply(real::refused_by_signature(), 43)),
        (Topic::Replies, "pcs.replies.v1.conflict.json", reply(real::conflict(), 44)),
    ]
}

/// JSON for people: a field a line, in its order.
fn pretty(value: &[u8]) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    for c in core::str::from_utf8(value).unwrap().chars() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '{' => {
                depth += 1;
                out.push(c);
                line(&mut out, depth);
            }
            '}' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(c);
            }
            ',' if out.rfind(['[', ']']).is_some_and(|at| out[at..].starts_with('[')) => out.push_str(", "),
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_whitespace() => {}
            c => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out.push('\n');
    out
}

fn directory() -> PathBuf {
    schemas::directory().join("topics/samples")
}

fn sample(file: &str) -> Vec<u8> {
    static ADD: Once = Once::new();
    ADD.call_once(|| {
        if schemas::may_write() {
            fs::create_dir_all(directory()).unwrap();
            for (_, file, today) in samples() {
                if !directory().join(file).exists() {
                    fs::write(directory().join(file), pretty(&today)).unwrap();
                }
            }
        }
    });
    fs::read(directory().join(file))
        .unwrap_or_else(|error| panic!("schemas/topics/samples/{file}: {error}; UPDATE_SCHEMAS=1 adds it"))
}

/// What a value has lost or changed of what an older one says. Reasons are words for people.
fn lost(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, old) in old.iter().filter(|(name, _)| *name != "reason") {
                match new.get(name) {
                    Some(new) => lost(&format!("{path}.{name}"), old, new, found),
                    None => found.push(format!("{path}.{name} is gone")),
                }
            }
        }
        (old, new) if old == new => {}
        (old, new) => found.push(format!("{path} was {old} and is {new}")),
    }
}

#[test]
fn what_was_once_written_keeps_its_fields_and_their_meaning() {
    for (topic, file, today) in samples() {
        let old: Value = serde_json::from_slice(&sample(file)).unwrap();
        let mut found = walk::wrong(&schemas::of(topic), &old);
        lost("$", &old, &serde_json::from_slice(&today).unwrap(), &mut found);
        assert!(found.is_empty(), "{file}: {found:?}: within one version of a schema fields are only added");
    }
}

#[test]
fn what_was_once_written_is_read_and_loses_nothing() {
    for (topic, file, _) in samples() {
        let (old, schema) = (sample(file), said(topic));
        let again = match topic {
            Topic::Raw => continue,
            Topic::Verified => Verified::encode(&Verified::decode(schema, &old).unwrap().settled),
            Topic::Results => {
                let entry = ResultEntry::decode(schema, &old).unwrap();
                ResultEntry::encode(&entry.settled, entry.verified)
            }
            Topic::Refused => Refused::decode(schema, &old).unwrap().encode(),
            Topic::Replies => {
                let reply = Reply::decode(schema, &old).unwrap();
                Reply::encode(&reply.decided, &reply.wal, reply.reply_id)
            }
        };
        let mut found = Vec::new();
        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        lost("$", &value(&old), &value(&again.unwrap()), &mut found);
        assert!(found.is_empty(), "{file}: {found:?}");
    }
}

#[test]
fn every_sample_is_one_of_these() {
    let known: BTreeSet<String> = samples().into_iter().map(|(_, file, _)| file.to_owned()).collect();
    known.iter().for_each(|file| drop(sample(file)));
    let there = fs::read_dir(directory()).unwrap();
    let there: BTreeSet<String> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, known);
}

/// `docs/topics.md` shows one sample of each topic as it is, and names every topic, schema and header.
#[test]
fn the_page_about_topics_shows_real_values() {
    let page = fs::read_to_string(schemas::directory().join("../docs/topics.md")).unwrap();
    let blocks: Vec<&str> = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    for topic in Topic::ALL {
        let sample = String::from_utf8(sample(&topic::schema::file(topic))).unwrap();
        assert!(blocks.contains(&sample.as_str()), "docs/topics.md does not show the sample of {topic}");
        assert!(page.contains(&format!("`{}`", topic.schema())), "docs/topics.md does not name {}", topic.schema());
        for header in topic::headers::carried(topic) {
            assert!(page.contains(&format!("`{header}`")), "docs/topics.md does not name the header {header}");
        }
    }
    assert_eq!(blocks.len(), Topic::ALL.len());
    let key = topic::key(&real::settled().facts);
    assert!(page.contains(&key), "docs/topics.md shows a key: {key}");
    let partitions = core::num::NonZeroU32::new(48).unwrap();
    let facts = real::settled().facts;
    let partition = flk_contract::partition(&facts.tenant, &facts.pcs_id, partitions);
    assert!(page.contains(&format!("partition {partition} of 48")), "docs/topics.md says the partition: {partition}");
    assert_eq!(**TopicNames::default().of(Topic::Raw), *real::origin(1).position.topic);
}
