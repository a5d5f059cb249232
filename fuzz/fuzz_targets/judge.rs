//! Any bytes under any rule of signing: judged twice the same, and nothing settles that may not.
//! A well-formed record is then signed in every form, so that the checks beyond the signature have
//! their turn: what was signed holds, and is judged as without signatures.

#![no_main]

use std::sync::LazyLock;

use flk_contract::{
    Code, Form, Key, Keyring, LogTime, Record, Signing, Tenant, Verdict, explain, judge,
    keys::Window,
    pcs_id,
    signature::{HmacForm, Signed, ed25519_public, sign_ed25519, sign_hmac},
};
use libfuzzer_sys::fuzz_target;

/// That of the vectors, so that their records are authentic.
const SECRET: &[u8] = b"testsecret";
const SEED: [u8; 32] = [7; 32];

static KEYS: LazyLock<Keyring> = LazyLock::new(|| {
    let tenant = Tenant::default_tenant;
    Keyring::new(vec![
        Key::hmac(None, tenant(), SECRET, Window::default()).expect("a secret"),
        Key::ed25519(None, tenant(), &ed25519_public(&SEED), Window::default()).expect("a public key"),
    ])
    .expect("keys of one tenant")
});

fuzz_target!(|body: &[u8]| {
    let off = judged(body, Signing::Off);
    for scope in [Form::Payload, Form::Content] {
        let verdict = judged(body, Signing::Required { hmac: true, ed25519: true, scope });
        assert!(verdict.code == off.code || verdict.code == Code::BadSignature);
    }
    let Ok(record) = Record::parse(body) else { return assert_eq!(off.code, Code::Malformed) };
    assert_ne!(off.code, Code::Malformed);
    explained(&record, off.code);
    if record.sig.is_none() && body.len() < 64 * 1024 {
        signed(body, &record, off.code);
    }
});

fn judged(body: &[u8], signing: Signing) -> Verdict {
    let judged = || judge(body, LogTime::from_millis(1_767_225_600_000), None, signing, &KEYS);
    let verdict = judged();
    assert_eq!(verdict, judged(), "judging is deterministic");
    assert_eq!(verdict.reason.is_empty(), verdict.code == Code::Ok);
    if let Some(facts) = verdict.candidate() {
        let record = Record::parse(body).expect("what settles is a record");
        assert_eq!(*facts.pcs_id, pcs_id(&record.merkle_root, record.epoch, &record.shard_id));
        assert_eq!(verdict.code.meaning().accepted, Some(true));
        assert_eq!(facts.key_id.is_some(), signing != Signing::Off, "what settles is authentic");
    }
    verdict
}

/// The findings laid open for a person decide as the judge does.
fn explained(record: &Record<'_>, code: Code) {
    let failed = explain(record).into_iter().find(|finding| !finding.held);
    assert_eq!(failed.map_or(Code::Ok, |finding| finding.check.code()), code);
}

fn signed(body: &[u8], record: &Record<'_>, code: Code) {
    let signed = Signed::of(record);
    let open = body.trim_ascii_end().strip_suffix(b"}").expect("a record ends so");
    for (sig, form) in [
        (sign_hmac(SECRET, &signed, HmacForm::Payload), Form::Payload),
        (sign_hmac(SECRET, &signed, HmacForm::PayloadDigest), Form::Payload),
        (sign_hmac(SECRET, &signed, HmacForm::ContentDigest), Form::Content),
        (sign_ed25519(&SEED, &signed, Form::Payload), Form::Payload),
        (sign_ed25519(&SEED, &signed, Form::Content), Form::Content),
    ] {
        let body = [open, b",\"sig\":\"", sig.as_bytes(), b"\"}"].concat();
        let verdict = judged(&body, Signing::Required { hmac: true, ed25519: true, scope: Form::Payload });
        assert_eq!(verdict.code, code, "what was signed holds");
        assert_eq!(verdict.facts.and_then(|facts| facts.signed), Some(form));
    }
}
