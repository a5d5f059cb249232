//! `flk pcs build`, `sign` and `verify` through the real binary, against the contract's vectors.

use crate::run::{Directory, Ran, flk, vectors};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

const LIST: [&str; 6] = ["scales", "seed", "directions", "bins", "chunk_bytes", "epoch"];

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn build(case: &Value, input: &str, stdin: &str) -> Ran {
    let mut args = vec!["pcs".to_owned(), "build".into(), "--in".into(), input.into()];
    for name in LIST.into_iter().chain(["shard_id"]) {
        args.extend([format!("--{}", name.replace('_', "-")), text(&case[name])]);
    }
    args.extend(["--sent-at".into(), "2026-01-01T00:00:00Z".into()]);
    flk(args).stdin(stdin).ran()
}

/// A record that is good but for its signature.
fn unsigned() -> String {
    build(&vectors("agent.json")["cases"][0], "-", vectors("agent.json")["cases"][0]["csv"].as_str().unwrap()).ok()
}

#[test]
fn every_case_of_the_agent_is_built_to_the_last_digit() {
    let directory = Directory::new();
    for (n, case) in vectors("agent.json")["cases"].as_array().unwrap().iter().enumerate() {
        let csv = case["csv"].as_str().unwrap();
        let file = directory.file(&format!("{n}.csv"), csv);
        let from_file = build(case, file.to_str().unwrap(), "").ok();
        assert_eq!(from_file, build(case, "-", csv).ok());
        assert_eq!(from_file.lines().count(), 1);
        let pcs: Value = serde_json::from_str(&from_file).unwrap();
        for (name, expected) in case["expect"].as_object().unwrap() {
            assert_eq!(pcs[name], *expected, "{}: {name}", case["name"]);
        }
        for name in LIST.into_iter().take(2).chain(["epoch", "shard_id"]) {
            assert_eq!(pcs[name], case[name], "{}: {name}", case["name"]);
        }
        assert_eq!(pcs["sent_at"], "2026-01-01T00:00:00Z");
        let ran = flk(["pcs", "verify", "-"]).env("PCS_SIGN_ALG", "none").stdin(from_file).ran();
        // A slope of one distinct point, or of rows that repeat, is 0 and accepted too.
        assert_eq!(ran.code, 0, "{}: {}", case["name"], ran.stdout);
    }
}

#[test]
fn what_can_not_be_built_is_one_sentence() {
    let build = |options: &[&str], csv: &str| {
        let args =
            ["pcs", "build", "--in", "-", "--shard-id", "s", "--epoch", "0"].into_iter().chain(options.to_owned());
        flk(args).stdin(csv).ran()
    };
    let good = "x,y,z\n1,2,3\n";
    let sentence = build(&["--scales", "2,2"], good).sentence(2);
    assert!(sentence.starts_with("--scales: expected each scale once"), "{sentence}");
    let sentence = build(&["--chunk-bytes", "0"], good).sentence(2);
    assert!(sentence.starts_with("--chunk-bytes:"), "{sentence}");
    let sentence = build(&[], "x,y\n1,2\n").sentence(1);
    assert!(sentence.starts_with("standard input: the header has no column \"z\""), "{sentence}");
    let sentence = build(&[], "x,y,z\n1,2,\u{1b}[31m\n").sentence(1);
    assert!(sentence.contains("row 1") && !sentence.contains('\u{1b}'), "{sentence}");
    let sentence = flk(["pcs", "build", "--in", "/nowhere.csv", "--shard-id", "s", "--epoch", "0"]).ran().sentence(2);
    assert!(sentence.starts_with("/nowhere.csv can not be read"), "{sentence}");
    let sentence = build(&["--sign", "hmac"], good).sentence(2);
    assert!(sentence.contains("PCS_HMAC_KEY"), "{sentence}");
}

#[test]
fn what_is_signed_in_any_form_is_verified_and_only_what_it_covers_can_not_be_changed() {
    let directory = Directory::new();
    let made: Value = flk(["keygen", "--alg", "ed25519", "--json"]).ran().json();
    let key = |name: &str| made[name].as_str().unwrap().to_owned();
    let key_file = directory.file("private.b64", format!("{}\n", key("private_key")));
    let record = unsigned();
    for (alg, form, covers) in [
        ("hmac", "content", "content"),
        ("hmac", "payload", "payload"),
        ("hmac", "payload-direct", "payload"),
        ("ed25519", "content", "content"),
        ("ed25519", "payload", "payload"),
    ] {
        let sign = || {
            let run = flk(["pcs", "sign", "--form", form, "-"]).stdin(record.clone());
            match alg {
                "hmac" => run.env("PCS_HMAC_KEY", "testsecret"),
                _ => run.env("PCS_ED25519_PRIV_B64_FILE", &key_file),
            }
        };
        let signed = sign().ran().ok();
        let verify = |record: &str, scope: &str| {
            flk(["pcs", "verify", "--json", "-"])
                .env("PCS_SIGN_ALG", alg)
                .env("PCS_SIGN_SCOPE", scope)
                .env(
                    if alg == "hmac" { "PCS_HMAC_KEY" } else { "PCS_ED25519_PUB_B64" },
                    match alg {
                        "hmac" => "testsecret".to_owned(),
                        _ => key("public_key"),
                    },
                )
                .stdin(record)
                .ran()
        };
        let ran = verify(&signed, "payload");
        let report: Value = ran.json();
        assert_eq!((ran.code, &report["signature"]["form"]), (0, &covers.into()), "{alg} {form}");
        if alg == "ed25519" {
            assert_eq!(report["signature"]["key_id"], made["id"]);
        }
        // The scope and a changed field tell the forms apart.
        assert_eq!(verify(&signed, "content").code, i32::from(covers == "payload"), "{alg} {form}");
        let changed = signed.replace("\"degraded\":false", "\"degraded\":true");
        let report: Value = verify(&changed, "payload").json();
        let code = if covers == "content" { "bad_signature" } else { "degraded" };
        assert_eq!(report["verdict"]["code"], code, "{alg} {form}");
        // Only sig differs, and a key file says the same as the environment.
        let sig = serde_json::from_str::<Value>(&signed).unwrap()["sig"].as_str().unwrap().to_owned();
        assert_eq!(signed.replace(&sig, ""), record);
        if alg == "ed25519" {
            let args = ["pcs", "sign", "--alg", alg, "--form", form, "--key-file", key_file.to_str().unwrap(), "-"];
            assert_eq!(flk(args).stdin(record.clone()).ran().ok(), signed);
        }
    }
}

#[test]
fn building_and_signing_in_one_step_is_the_same_as_in_two() {
    let case = &vectors("agent.json")["cases"][0];
    let directory = Directory::new();
    let (csv, out) = (directory.file("a.csv", case["csv"].as_str().unwrap()), directory.path("pcs.json"));
    let mut args = vec!["pcs".to_owned(), "build".into(), "--in".into(), csv.to_str().unwrap().into()];
    for name in LIST.into_iter().chain(["shard_id"]) {
        args.extend([format!("--{}", name.replace('_', "-")), text(&case[name])]);
    }
    args.extend(["--sent-at", "2026-01-01T00:00:00Z", "--sign", "hmac", "--out"].map(String::from));
    args.push(out.to_str().unwrap().into());
    assert_eq!(flk(args).env("PCS_HMAC_KEY", "testsecret").ran().ok(), "");
    let two = flk(["pcs", "sign", "--alg", "hmac", "-"]).env("PCS_HMAC_KEY", "testsecret").stdin(unsigned()).ran().ok();
    assert_eq!(std::fs::read_to_string(out).unwrap(), two);
}

#[test]
fn a_key_that_is_missing_or_none_is_one_sentence_and_never_shown() {
    let sign = |args: &[&str]| flk(["pcs", "sign"].into_iter().chain(args.to_owned()).chain(["-"])).stdin(unsigned());
    let sentence = sign(&[]).ran().sentence(2);
    assert!(sentence.contains("PCS_HMAC_KEY") && sentence.contains("PCS_ED25519_PRIV_B64"), "{sentence}");
    let sentence = sign(&["--alg", "ed25519"]).env("PCS_ED25519_PRIV_B64", "hunter2").ran().sentence(2);
    assert!(sentence.starts_with("PCS_ED25519_PRIV_B64 is no") && !sentence.contains("hunter2"), "{sentence}");
    let sentence =
        sign(&["--form", "payload-direct"]).env("PCS_ED25519_PRIV_B64", STANDARD.encode([7; 32])).ran().sentence(2);
    assert!(sentence.contains("payload-direct"), "{sentence}");
    let both = sign(&["--alg", "hmac"]).env("PCS_HMAC_KEY", "a").env("PCS_HMAC_KEY_FILE", "/b");
    assert!(both.ran().sentence(2).contains("both set"));
    let sentence = sign(&["--alg", "hmac"]).env("PCS_HMAC_KEY_FILE", "/nowhere").ran().sentence(2);
    assert!(sentence.contains("/nowhere") && sentence.contains("can not be read"), "{sentence}");
    let args = ["--alg", "hmac", "--key-file", "/nowhere"];
    assert!(sign(&args).ran().sentence(2).contains("/nowhere can not be read"));
    let sentence = flk(["pcs", "verify", "-"]).stdin(unsigned()).ran().sentence(2);
    assert!(sentence.starts_with("PCS_SIGN_ALG=hmac (the default) needs a key"), "{sentence}");
    let sentence = flk(["pcs", "sign", "-"]).env("PCS_HMAC_KEY", "k").stdin("{}").ran().sentence(1);
    assert!(sentence.contains("pcs_id is missing"), "{sentence}");
}

fn verify(body: &[u8]) -> Ran {
    flk(["pcs", "verify", "--json", "-"])
        .env("PCS_SIGN_ALG", "hmac")
        .env("PCS_HMAC_KEY", "testsecret")
        .stdin(body)
        .ran()
}

#[test]
fn every_case_of_the_verdicts_gets_its_code_offline_too() {
    let cases = vectors("verdicts.json");
    // The text as it stands in the file: a parsed number would lose its spelling.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/verdicts.json");
    #[derive(serde::Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    #[derive(serde::Deserialize)]
    struct Case {
        pcs: Box<serde_json::value::RawValue>,
    }
    let raw: File = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for (case, raw) in cases["cases"].as_array().unwrap().iter().zip(&raw.cases) {
        let ran = verify(raw.pcs.get().as_bytes());
        let report: Value = ran.json();
        let verdict = &report["verdict"];
        assert_eq!((&verdict["code"], &verdict["status"]), (&case["code"], &case["status"]), "{}", case["name"]);
        assert_eq!(verdict["accepted"], case["accepted"], "{}", case["name"]);
        assert_eq!(ran.code == 0, case["accepted"] == true, "{}", case["name"]);
        if let Some(digest) = case.get("content_sha256").filter(|digest| !digest.is_null()) {
            assert_eq!(report["content_sha256"], *digest, "{}", case["name"]);
        }
        // The first check that fails is the one that decides.
        let checks = report["checks"].as_array().unwrap();
        assert_eq!(checks.len(), 10, "{}", case["name"]);
        let first = checks.iter().find(|check| check["ok"] == false);
        assert_eq!(first.is_none(), case["code"] == "ok", "{}", case["name"]);
        let order = [
            "malformed",
            "bad_signature",
            "pcs_id_mismatch",
            "schema_mismatch",
            "d_hat_unavailable",
            "d_hat_out_of_tolerance",
            "coherence_out_of_bounds",
            "regime_mismatch",
            "budget_deviation",
            "degraded",
        ];
        if let Some(first) = first {
            let number = usize::try_from(first["number"].as_u64().unwrap()).unwrap();
            assert_eq!(order[number - 1], case["code"], "{}", case["name"]);
        }
    }
}

#[test]
fn every_malformed_body_says_why() {
    for case in vectors("malformed.json").as_array().unwrap() {
        let body = STANDARD.decode(case["body_base64"].as_str().unwrap()).unwrap();
        let ran = verify(&body);
        let report: Value = ran.json();
        assert_eq!(report["verdict"]["status"], case["status"], "{}", case["name"]);
        if case["status"] == 400 {
            assert_eq!(report["checks"][0]["ok"], false, "{}", case["name"]);
            assert!(!report["verdict"]["reason"].as_str().unwrap().is_empty(), "{}", case["name"]);
            assert_eq!(report["checks"][1]["ok"], Value::Null, "{}", case["name"]);
        }
    }
}

#[test]
fn a_person_reads_every_check_and_the_verdict_and_no_record_writes_to_the_terminal() {
    let signed =
        flk(["pcs", "sign", "--alg", "hmac", "-"]).env("PCS_HMAC_KEY", "testsecret").stdin(unsigned()).ran().ok();
    let verify = |record: String| {
        flk(["pcs", "verify", "-"]).env("PCS_SIGN_ALG", "hmac").env("PCS_HMAC_KEY", "testsecret").stdin(record).ran()
    };
    let good = verify(signed.clone()).ok();
    for (number, line) in (1..=10).zip(good.lines().skip(1)) {
        assert!(line.trim_start().starts_with(&format!("{number}  ")) && line.contains(" ok "), "{good}");
    }
    assert!(good.contains("verdict  ok: 200, accepted\n"), "{good}");
    let bad = verify(signed.replace("\"regime\":\"mixed\"", "\"regime\":\"\\u001b[2Jx\""));
    assert_eq!(bad.code, 1);
    assert!(bad.stdout.contains("\\u{1b}[2Jx") && !bad.stdout.contains('\u{1b}'), "{}", bad.stdout);
    assert!(bad.stdout.contains("FAIL") && bad.stdout.contains("bad_signature: 401, not judged"), "{}", bad.stdout);
}
