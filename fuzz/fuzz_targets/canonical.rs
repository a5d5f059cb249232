//! Canonical bytes of any record: ASCII, without spaces outside of strings, keys sorted, and the
//! same again when they are read as a record themselves.

#![no_main]

use flk_contract::{Digest, Record, canonical, signature::Signed};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|body: &[u8]| {
    let Ok(record) = Record::parse(body) else { return };
    let (payload, content) = (canonical::payload(&record), canonical::content(&record));
    let signed = Signed::of(&record);
    assert_eq!(signed.payload, payload);
    assert_eq!(signed.payload_sha256, Digest::of(payload.as_bytes()));
    assert_eq!(signed.content_sha256, Digest::of(content.as_bytes()));

    let (said, all) = (object(&payload), object(&content));
    assert_eq!((said.len(), all.len()), (8, 14));
    assert!(said.iter().all(|(key, value)| all.get(key) == Some(value)), "the content says all that the payload says");

    let again = as_record(&content, &all);
    assert_eq!(canonical::content(&Record::parse(again.as_bytes()).expect("content is a record")), content);
    let rest = r#""schema":"s","version":"v","regime":"","scales":[1],"N_j":{}}"#;
    let again = format!("{},{rest}", payload.trim_end_matches('}'));
    assert_eq!(canonical::payload(&Record::parse(again.as_bytes()).expect("payload and the rest")), payload);
});

/// Reads canonical bytes, and checks that they are.
fn object(canonical: &str) -> Map<String, Value> {
    assert!(canonical.bytes().all(|b| (b' '..=b'~').contains(&b)), "ASCII only");
    let object: Map<String, Value> = serde_json::from_str(canonical).expect("canonical bytes are JSON");
    let mut from = 0;
    // A map of serde_json is sorted by its keys: each stands after the one before.
    for key in object.keys() {
        let key = format!("\"{key}\":");
        from += canonical[from..].find(&key).expect("keys are sorted") + key.len();
    }
    object
}

/// The content with `degraded` where a body has it.
fn as_record(content: &str, all: &Map<String, Value>) -> String {
    let degraded = format!(",\"degraded\":{},\"epoch\":", all["degraded"]);
    let ft = format!(",\"ft\":{{\"degraded\":{}}},\"epoch\":", all["degraded"]);
    content.replacen(&degraded, &ft, 1)
}
