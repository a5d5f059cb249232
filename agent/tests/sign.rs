//! Signing fills in `sig`, as the vectors have it, and leaves everything else as it is.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::Path;

use flk_agent::sign::{SignError, SignForm, Signer, sign, sign_bytes};
use flk_agent::{BuildOptions, Csv, Pcs, build};
use proptest::prelude::*;
use serde_json::Value;

const SEED: [u8; 32] = {
    let mut seed = [0; 32];
    let mut at = 0;
    while at < 32 {
        seed[at] = at as u8;
        at += 1;
    }
    seed
};

fn signers() -> Vec<(SignForm, Signer)> {
    let mut signers: Vec<_> = SignForm::ALL.map(|form| (form, Signer::hmac(b"testsecret", form).unwrap())).into();
    signers.extend(SignForm::ALL.into_iter().filter_map(|form| Some((form, Signer::ed25519(&SEED, form).ok()?))));
    signers
}

fn pcs() -> Pcs {
    let rows = "x,y,z\n0.1,0.2,0.3\n0.5,0.25,-1\n";
    build(Csv::new(rows.as_bytes()).unwrap(), &BuildOptions::new("shard-001", 3, "2026-01-01T00:00:00Z")).unwrap()
}

#[test]
fn every_valid_signature_of_the_vectors_is_made_again_by_one_of_the_forms() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/signatures.json"));
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut signers = signers();
    signers.extend(SignForm::ALL.map(|form| (form, Signer::hmac(b"old-testsecret", form).unwrap())));
    let mut made = 0;
    for case in vectors["cases"].as_array().unwrap().iter().filter(|case| case["valid"] == true) {
        let mut pcs = case["pcs"].clone();
        let expected = pcs["sig"].take();
        pcs["sig"] = "another".into();
        let body = serde_json::to_vec(&pcs).unwrap();
        let found = signers.iter().any(|(_, signer)| {
            let signed: Value = serde_json::from_slice(&sign_bytes(&body, signer).unwrap()).unwrap();
            signed["sig"] == expected
        });
        assert!(found, "{case}");
        made += 1;
    }
    assert!(made > 0);
}

#[test]
fn text_and_struct_get_the_same_signature() {
    for (form, signer) in signers() {
        let mut pcs = pcs();
        let body = serde_json::to_vec(&pcs).unwrap();
        sign(&mut pcs, &signer).unwrap();
        assert!(!pcs.sig.is_empty());
        assert_eq!(sign_bytes(&body, &signer).unwrap(), serde_json::to_vec(&pcs).unwrap(), "{form}");
    }
}

#[test]
fn signing_again_replaces_the_signature_and_gives_the_same() {
    for (form, signer) in signers() {
        let once = sign_bytes(&serde_json::to_vec(&pcs()).unwrap(), &signer).unwrap();
        assert_eq!(sign_bytes(&once, &signer).unwrap(), once, "{form}");
    }
}

#[test]
fn every_other_byte_of_a_body_stays() {
    let written = serde_json::to_string_pretty(&pcs()).unwrap();
    let signer = Signer::hmac(b"testsecret", SignForm::Content).unwrap();
    for (name, body) in [
        ("spaces and line ends", format!("\n {written} \r\n")),
        ("an unknown field that holds a sig", written.replacen('{', r#"{ "x": {"sig": "\u0041", "n": 1.50e+0}, "#, 1)),
        ("numbers as they were spelt", written.replace("\"attempt\": 1", "\"attempt\" : 10e-1")),
        ("text that is not ASCII", written.replace("shard-001", "sch\u{e4}rd \u{1f600} \\u00e4")),
    ] {
        let signed = String::from_utf8(sign_bytes(body.as_bytes(), &signer).unwrap()).unwrap();
        let sig = serde_json::from_str::<Value>(&signed).unwrap()["sig"].as_str().unwrap().to_owned();
        assert_eq!(sig.len(), 44, "{name}");
        assert_eq!(signed.replace(&sig, ""), body, "{name}");
    }
}

#[test]
fn an_escaped_key_is_the_key_and_an_absent_one_is_added() {
    let signer = Signer::ed25519(&SEED, SignForm::Content).unwrap();
    let written = serde_json::to_string(&pcs()).unwrap();
    let expected = serde_json::from_slice::<Value>(&sign_bytes(written.as_bytes(), &signer).unwrap()).unwrap();
    for body in [
        written.replace("\"sig\"", "\"s\\u0069g\""),
        written.replace(",\"sig\":\"\"", ""),
        written.replace(",\"sig\":\"\"", "").replace('}', " }").replace('{', "\n{\t"),
    ] {
        let signed = sign_bytes(body.as_bytes(), &signer).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&signed).unwrap(), expected, "{body}");
    }
}

#[test]
fn what_is_no_record_is_not_signed() {
    let signer = Signer::hmac(b"testsecret", SignForm::Content).unwrap();
    let written = serde_json::to_string(&pcs()).unwrap();
    for body in ["", "{}", "[]", &written[..100], &written.replace(":3,", ":3.0,"), &format!("{written}{written}")] {
        let error = sign_bytes(body.as_bytes(), &signer).unwrap_err();
        assert!(matches!(error, SignError::Malformed(_)), "{body}: {error}");
    }
    let full = written.replace(",\"sig\":\"\"", "");
    let padded = format!("{full}{}", " ".repeat(1024 * 1024 - full.len()));
    assert!(matches!(sign_bytes(padded.as_bytes(), &signer), Err(SignError::Malformed(_))));
    let mut wrong = pcs();
    wrong.shard_id.clear();
    assert!(matches!(sign(&mut wrong, &signer), Err(SignError::Malformed(_))));
    assert!(wrong.sig.is_empty());
}

#[test]
fn keys_and_forms_are_checked_and_keys_never_shown() {
    assert!(matches!(Signer::hmac(b"", SignForm::Content), Err(SignError::EmptyKey)));
    assert!(matches!(Signer::ed25519(&SEED, SignForm::PayloadDirect), Err(SignError::NotForEd25519)));
    for form in SignForm::ALL {
        assert_eq!(form.as_str().parse(), Ok(form));
    }
    let error = "payload".parse::<SignForm>().unwrap_err().to_string();
    assert_eq!(
        error,
        r#"expected content, payload-digest or payload-direct as the form of a signature, found "payload""#
    );
    let shown = format!("{:?}", Signer::hmac(b"testsecret", SignForm::Content).unwrap());
    assert_eq!(shown, "Signer(hmac, ContentDigest, ***)");
}

proptest! {
    #[test]
    fn any_text_around_the_fields_is_kept(extra in ".{0,40}", spaces in "[ \t\r\n]{0,9}") {
        let signer = Signer::hmac(b"k", SignForm::Content).unwrap();
        let field = serde_json::to_string(&extra).unwrap();
        let body = serde_json::to_string(&pcs()).unwrap().replace(",\"sig\"", &format!(",\"extra\":{spaces}{field}{spaces},\"sig\""));
        let signed = String::from_utf8(sign_bytes(body.as_bytes(), &signer).unwrap()).unwrap();
        let at = body.find("\"sig\":\"").unwrap() + 7;
        prop_assert_eq!(&signed[..at], &body[..at]);
        prop_assert_eq!(&signed[at + 44..], &body[at..]);
    }
}
