//! The committed documents are those of the code, and the code's values are as they say.

use std::{fs, path::PathBuf};

use flk_contract::Code;
use flk_log::topic::{Headers, Refused, Reply, ReplyId, ReplyTo, ResultEntry, Topic, Verified, asyncapi, schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{any, real, walk};

pub(crate) fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas"))
}

pub(crate) fn may_write() -> bool {
    std::env::var_os("UPDATE_SCHEMAS").is_some()
}

fn committed(name: &str, expected: &str) {
    let path = directory().join(name);
    if may_write() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == expected, "schemas/{name} is out of date: run the tests with UPDATE_SCHEMAS=1");
}

pub(crate) fn of(topic: Topic) -> Value {
    serde_json::from_str(&schema::json(topic)).unwrap()
}

fn wrong(topic: Topic, value: &[u8]) -> Vec<String> {
    walk::wrong(&of(topic), &serde_json::from_slice(value).unwrap())
}

#[test]
fn the_committed_documents_are_these() {
    for topic in Topic::ALL {
        committed(&format!("topics/{}", schema::file(topic)), &schema::json(topic));
    }
    committed("asyncapi.json", &asyncapi::json());
}

proptest! {
    #[test]
    fn whatever_is_encoded_is_as_its_schema_says(
        settled in any::settled(), decided in any::decided(), verified in any::verified_at(), wal in any::origin(), id: [u8; 16],
    ) {
        prop_assert_eq!(wrong(Topic::Verified, &Verified::encode(&settled).unwrap()), [""; 0]);
        prop_assert_eq!(wrong(Topic::Results, &ResultEntry::encode(&settled, verified).unwrap()), [""; 0]);
        prop_assert_eq!(wrong(Topic::Replies, &Reply::encode(&decided, &wal, ReplyId(id)).unwrap()), [""; 0]);
        for body in [None, Some(b"body".as_slice())] {
            if let Some(refused) = Refused::of(&decided, &wal, body) {
                prop_assert_eq!(wrong(Topic::Refused, &refused.encode().unwrap()), [""; 0]);
            }
        }
    }
}

/// Every record that judging takes for well-formed, and none that it does not because of a field that is
/// lacking, of another type or out of its bounds.
#[test]
fn the_schema_of_a_record_says_what_is_well_formed() {
    for case in real::cases() {
        let found = wrong(Topic::Raw, &case.body());
        assert_eq!(!found.is_empty(), case.code == Code::Malformed, "{}: {found:?}", case.name);
    }
}

/// The fields of an object that a schema describes, each with what it requires.
fn fields(schema: &Value) -> (Vec<&str>, Vec<&str>) {
    let names = |of: &Value| -> Vec<_> { serde_json::from_value::<Vec<String>>(of.clone()).unwrap() };
    let properties = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let required = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names(&schema["required"]).len(), schema["required"].as_array().unwrap().len());
    (properties, required)
}

/// No field is written that no schema names, and what a schema requires is written always.
#[test]
fn values_and_schemas_have_the_same_fields() {
    let decided = real::conflict();
    let refused = Refused::of(&decided, &real::origin(44), None).unwrap();
    let reply = Reply::encode(&decided, &real::origin(44), ReplyId([1; 16])).unwrap();
    let result = ResultEntry::encode(&real::settled(), real::VERIFIED_AT).unwrap();
    let written = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let same = |schema: &Value, value: &Value| {
        let (mut properties, mut required) = fields(schema);
        let mut there: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        for names in [&mut properties, &mut required, &mut there] {
            names.sort_unstable();
        }
        assert_eq!(properties, there);
        assert_eq!(required, there);
    };
    let (verified, refused, reply, result) = (
        written(&Verified::encode(&real::settled()).unwrap()),
        written(&refused.encode().unwrap()),
        written(&reply),
        written(&result),
    );
    same(&of(Topic::Verified), &verified);
    same(&of(Topic::Refused), &refused);
    same(&of(Topic::Replies), &reply);
    same(&of(Topic::Results), &result);
    same(&of(Topic::Results)["properties"]["verified"], &result["verified"]);
    let shared = &of(Topic::Replies)["$defs"];
    same(&shared["Result"], &reply["result"]);
    same(&shared["Result"], &reply["judged"]);
    same(&shared["Origin"], &reply["wal"]);
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let documents = Topic::ALL.map(of).into_iter().chain([serde_json::from_str(&asyncapi::json()).unwrap()]);
    for document in documents {
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
        }
    }
}

/// In the AsyncAPI document a topic's schema is the committed one, and its headers are those that are written.
#[test]
fn the_asyncapi_document_describes_every_topic() {
    let document: Value = serde_json::from_str(&asyncapi::json()).unwrap();
    let everything = Headers {
        request_id: Some("0c6a1fe2b34d4e6f8a90b1c2d3e4f506".to_owned()),
        reply: Some(ReplyTo { partition: 3, id: ReplyId([0xab; 16]) }),
        tenant: Some("default".to_owned()),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
    };
    let channels = document["channels"].as_object().unwrap();
    assert_eq!(channels.len(), Topic::ALL.len());
    for topic in Topic::ALL {
        let name = topic.name().strip_prefix("pcs.").unwrap();
        assert_eq!(channels[name]["address"], topic.name());
        let message = &document["components"]["messages"][name];
        assert_eq!(message["name"], topic.schema());

        let payload =
            document.pointer(message["payload"]["$ref"].as_str().unwrap().strip_prefix('#').unwrap()).unwrap();
        let mut here = payload.to_string().replace("#/components/schemas/", "#/$defs/");
        let there = of(topic);
        for keyword in ["title", "description", "type", "required", "properties"] {
            assert_eq!(serde_json::from_str::<Value>(&here).unwrap()[keyword], there[keyword], "{topic} {keyword}");
        }
        here.clear();
        for (name, definition) in there["$defs"].as_object().into_iter().flatten() {
            let same = document["components"]["schemas"][name].to_string().replace("#/components/schemas/", "#/$defs/");
            assert_eq!(same, definition.to_string());
        }

        let written = everything.encode(topic);
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let headers: serde_json::Map<String, Value> =
            written.iter().map(|(name, value)| ((*name).to_owned(), json!(text(value)))).collect();
        let (properties, _) = fields(&message["headers"]);
        assert_eq!(properties.len(), headers.len(), "{topic}");
        assert!(properties.iter().all(|name| headers.contains_key(*name)), "{topic}");
        assert_eq!(walk::wrong(&message["headers"], &Value::Object(headers)), [""; 0], "{topic}");
    }
}
