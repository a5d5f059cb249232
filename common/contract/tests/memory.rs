//! Judging takes memory in proportion to the body, whatever the body is. The only test of its
//! binary: what it counts is the whole process's memory.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use flk_contract::{Code, Form, Key, Keyring, LogTime, Signing, Tenant, judge, keys::Window, limits::BODY_BYTES_MAX};
use peak_alloc::PeakAlloc;
use proptest::{
    collection::vec,
    prelude::any,
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a record of the usual size takes, and what any byte of a body may take at the most. A
/// short key is noted by its place, four times its size, in a list that has grown by doubling.
const FIXED: usize = 16 * 1024;
const A_BYTE: usize = 12;

fn taken(body: &[u8], signing: Signing, keys: &Keyring) -> (usize, Code) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let code = judge(body, LogTime::default(), None, signing, keys).code;
    (MEMORY.peak_usage() - before, code)
}

const RECORD: &str = r#"{"pcs_id":"i","schema":"s","version":"v","shard_id":"s","epoch":1,"scales":[2,4],
    "N_j":{"2":5,"4":11},"coh_star":0.42,"D_hat":1.125530882,"r":0.5,"budget":0.334,"regime":"mixed","merkle_root":"m""#;

/// A body of about so many bytes, `unit` again and again in a record's field.
fn filled(size: usize, before: &str, unit: impl Fn(usize) -> String, after: &str) -> String {
    let mut body = format!("{RECORD},{before}");
    let mut n = 0;
    while body.len() + after.len() + 64 < size {
        body += &unit(n);
        n += 1;
    }
    body + after + "}"
}

/// Bodies that cost as much as they can, and whether they are records all the same.
fn bodies(size: usize) -> Vec<(&'static str, String, bool)> {
    let repeat = |unit: &'static str| move |_: usize| unit.to_owned();
    let comma = |n: usize| if n == 0 { "" } else { "," };
    vec![
        ("brackets", "[".repeat(size), false),
        ("braces", "{\"a\":".repeat(size / 5), false),
        ("brackets in a field", filled(size, "\"x\":", repeat("["), ""), false),
        ("brackets for a number", filled(size, "\"x\":1,\"epoch\":", repeat("["), ""), false),
        ("many keys", filled(size, "\"x\":0", |n| format!(",\"{n:x}k\":1"), ""), true),
        ("many keys inside", filled(size, "\"x\":{", |n| format!("{}\"{n:x}\":1", comma(n)), "}"), true),
        ("many keys in ft", filled(size, "\"ft\":{", |n| format!("{}\"{n:x}\":1", comma(n)), "}"), true),
        ("the same key", filled(size, "\"x\":{", |n| format!("{}\"\":1", comma(n)), "}"), false),
        ("many escaped keys", filled(size, "\"x\":{", |n| format!("{}\"\\n{n:x}\":1", comma(n)), "}"), true),
        ("many N_j", filled(size, "\"N_j\":{", |n| format!("{}\"{n:x}\":1", comma(n)), "}"), false),
        ("many scales", filled(size, "\"scales\":[", |n| format!("{}1", comma(n)), "]"), false),
        ("many objects", filled(size, "\"x\":[", |n| format!("{}{{\"a\":1}}", comma(n)), "]"), true),
        ("a long string", filled(size, "\"x\":\"", repeat("a"), "\""), true),
        ("a long key", filled(size, "\"", repeat("a"), "\":1"), true),
        ("many escapes", filled(size, "\"x\":\"", repeat("\\u00e9"), "\""), true),
        ("many escapes in a key", filled(size, "\"", repeat("\\n"), "\":1"), true),
        ("many escapes in sig", filled(size, "\"sig\":\"", repeat("\\n"), "\""), true),
        ("an escaped pcs_id", filled(size, "\"pcs_id\":\"", repeat("\\n"), "\""), false),
        ("a long number", filled(size, "\"x\":1.", repeat("1"), ""), true),
        ("a long claim", filled(size, "\"x\":1,\"D_hat\":1.", repeat("1"), ""), false),
        ("white space", filled(size, "\"x\":", repeat(" "), "1"), true),
    ]
}

#[test]
fn memory_is_proportional_to_the_body() {
    let key = Key::hmac(None, Tenant::default_tenant(), b"s", Window::default()).unwrap();
    let keys = Keyring::new(vec![key]).unwrap();
    let required = Signing::Required { hmac: true, ed25519: true, scope: Form::Payload };
    let mut worst = 0.0_f64;
    let mut check = |name: &str, body: &[u8], signing| {
        let (taken, code) = taken(body, signing, &keys);
        assert!(taken <= FIXED + A_BYTE * body.len(), "{name}: {taken} bytes for a body of {}", body.len());
        worst = worst.max(taken.saturating_sub(FIXED) as f64 / body.len().max(1) as f64);
        code
    };
    for size in [16 * 1024, 200 * 1024, BODY_BYTES_MAX] {
        for (name, body, well_formed) in bodies(size) {
            assert!(body.len() <= BODY_BYTES_MAX, "{name}: {}", body.len());
            let code = check(name, body.as_bytes(), Signing::Off);
            assert_eq!(code != Code::Malformed, well_formed, "{name}, {size} bytes: {code}");
            check(name, body.as_bytes(), required);
        }
    }
    // What is too large is not even looked at.
    assert!(taken(&vec![b'['; 64 * BODY_BYTES_MAX], required, &keys).0 <= FIXED);
    let mut runner = TestRunner::deterministic();
    let bytes = vec(any::<u8>(), 0..4096);
    for _ in 0..256 {
        let bytes = bytes.new_tree(&mut runner).unwrap().current();
        check("any bytes", &bytes, required);
        check("any bytes in a field", &[RECORD.as_bytes(), b",\"x\":\"", &bytes, b"\"}"].concat(), required);
    }
    println!("at the worst {worst:.1} bytes a byte");
}
