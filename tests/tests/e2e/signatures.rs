//! Contract section 2: what is authentic, and what an unauthentic record can do (nothing).

use flk_contract::{Form, signature::HmacForm};
use flk_tests::{
    KEY, Pcs, Service, Setup, Sign,
    record::{SEED, USUAL, public},
    vectors,
};
use serde_json::{Value, value::RawValue};

const FORMS: [(HmacForm, &str); 3] =
    [(HmacForm::PayloadDigest, "payload"), (HmacForm::Payload, "payload"), (HmacForm::ContentDigest, "content")];

/// The record is not authentic, is in the log, and has settled nothing.
#[track_caller]
fn takes_nothing(service: &Service, pcs: &Pcs) {
    let answer = service.submit(pcs).expect(401);
    assert_eq!(answer.code(), "bad_signature");
    assert!(answer.header("www-authenticate").is_some(), "{answer}");
    let record = service.record(&answer.field("wal")).expect(200).json();
    assert_eq!((&record["state"], &record["code"]), (&"refused".into(), &"bad_signature".into()), "{record}");
    assert_eq!(record["result"], Value::Null);
    let _ = service.result(pcs.id()).expect(404);
}

#[test]
fn a_valid_hmac_is_taken_in_each_form_and_the_result_names_what_it_covers() {
    let service = Setup::hmac().start();
    for (form, covers) in FORMS {
        let answer = service.submit(Pcs::unique().signed(Sign::Hmac(KEY, form))).expect(200).json();
        assert_eq!(answer["code"], "ok", "{answer}");
        assert_eq!(answer["signed"], covers, "{form:?}: {answer}");
        assert_eq!(answer["key_id"].as_str().map(str::len), Some(16), "{answer}");
        assert_eq!(answer["tenant"], "default", "{answer}");
    }
}

#[test]
fn a_valid_ed25519_signature_is_taken_in_both_forms_and_another_keys_is_not() {
    let service = Setup::ed25519(&public()).start();
    for (form, covers) in [(Form::Payload, "payload"), (Form::Content, "content")] {
        let answer = service.submit(Pcs::unique().signed(Sign::Ed25519(&SEED, form))).expect(200).json();
        assert_eq!((&answer["code"], &answer["signed"]), (&"ok".into(), &covers.into()), "{answer}");
    }
    takes_nothing(&service, &Pcs::unique().signed(Sign::Ed25519(&[7; 32], Form::Content)));
    // A valid HMAC is nothing to a service that takes Ed25519.
    takes_nothing(&service, &Pcs::fresh());
}

#[test]
fn both_algorithms_may_be_in_force_and_several_keys_of_each() {
    let mut setup = Setup::hmac().without("PCS_HMAC_KEY").env("PCS_SIGN_ALG", "hmac,ed25519");
    let names = ["PCS_HMAC_KEY", "PCS_HMAC_KEY_OLD", "PCS_HMAC_KEY_NEW"];
    for name in names {
        setup = setup.env(name, format!("secret of {name}"));
    }
    let other = flk_contract::signature::ed25519_public(&[7; 32]);
    let service = setup
        .env("PCS_HMAC_KEYS", "listed-1,listed-2")
        .env("PCS_ED25519_PUB_B64", format!("{},{other}", public()))
        .start();
    for secret in
        names.map(|name| format!("secret of {name}")).iter().map(String::as_str).chain(["listed-1", "listed-2"])
    {
        let _ = service.submit(Pcs::unique().signed(Sign::Hmac(secret, HmacForm::ContentDigest))).expect(200);
    }
    for seed in [SEED, [7; 32]] {
        let _ = service.submit(Pcs::unique().signed(Sign::Ed25519(&seed, Form::Content))).expect(200);
    }
    takes_nothing(&service, &Pcs::fresh());
}

#[test]
fn a_rotated_key_keeps_its_id_and_its_results() {
    let mut service = Setup::hmac().start();
    let pcs = Pcs::fresh();
    let before = service.submit(&pcs).expect(200).json();
    assert!(service.terminate().success());
    let rotated =
        service.setup().clone().without("PCS_HMAC_KEY").env("PCS_HMAC_KEY_OLD", KEY).env("PCS_HMAC_KEY_NEW", "newer");
    *service.setup() = rotated;
    service.start();
    let after = service.submit(pcs.retry()).expect(200).json();
    assert_eq!((&after["duplicate"], &after["key_id"]), (&true.into(), &before["key_id"]), "{after}");
    let newer = service.submit(Pcs::unique().signed(Sign::Hmac("newer", HmacForm::ContentDigest))).expect(200);
    assert_ne!(newer.field("key_id"), before["key_id"]);
}

#[test]
fn a_missing_signature_is_401_and_takes_nothing() {
    let service = Setup::hmac().start();
    takes_nothing(&service, &Pcs::unique());
    takes_nothing(&service, &Pcs::unique().with("sig", ""));
}

#[test]
fn a_signature_that_is_no_canonical_base64_is_401_and_takes_nothing() {
    let service = Setup::hmac().start();
    let good = Pcs::fresh();
    let sig = good.sig().to_owned();
    let spare_bits = format!("{}{}=", &sig[..42], if sig.as_bytes()[42] == b'B' { 'C' } else { 'B' });
    for bad in
        ["!", "not base64 at all", sig.trim_end_matches('='), &sig.replace('=', "=="), &format!(" {sig}"), &spare_bits]
    {
        takes_nothing(&service, &good.clone().with("sig", bad));
    }
    assert_eq!(service.submit(good).expect(200).field("duplicate"), false);
}

#[test]
fn whoever_changes_a_signed_field_is_noticed_in_every_form() {
    let service = Setup::hmac().start();
    for (form, _) in FORMS {
        let good = Pcs::unique().signed(Sign::Hmac(KEY, form));
        takes_nothing(&service, &good.clone().with("D_hat", 1.2));
        takes_nothing(&service, &good.clone().with("merkle_root", "ab".repeat(32)));
        takes_nothing(&service, &good.clone().with("coh_star", 0.5));
        takes_nothing(&service, &good.clone().with("budget", 0.3));
        // What was refused has taken nothing: the good record settles, as the first.
        let answer = service.submit(&good).expect(200);
        assert_eq!((answer.code().as_str(), answer.field("duplicate")), ("ok", false.into()), "{answer}");
    }
}

#[test]
fn a_field_that_the_payload_does_not_cover_is_covered_by_the_content() {
    let service = Setup::hmac().start();
    let changed = |pcs: Pcs| pcs.with("N_j", serde_json::json!({"2": 5, "4": 11, "8": 24, "16": 900}));
    let payload = Pcs::unique().signed(Sign::Hmac(KEY, HmacForm::PayloadDigest));
    // The signature holds; the numbers do not agree any more, and nothing is taken away.
    let answer = service.submit(changed(payload.clone())).expect(202);
    assert_eq!((answer.code().as_str(), answer.field("accepted")), ("d_hat_out_of_tolerance", false.into()));
    assert_eq!(service.submit(payload).expect(200).field("duplicate"), false);
    takes_nothing(&service, &changed(Pcs::fresh()));
}

#[test]
fn with_the_scope_content_only_content_signatures_are_taken() {
    let service = Setup::hmac().env("PCS_SIGN_SCOPE", "content").start();
    let pcs = Pcs::unique();
    takes_nothing(&service, &pcs.clone().signed(Sign::Hmac(KEY, HmacForm::PayloadDigest)));
    takes_nothing(&service, &pcs.clone().signed(Sign::Hmac(KEY, HmacForm::Payload)));
    let answer = service.submit(pcs.signed(USUAL)).expect(200);
    assert_eq!((answer.field("signed"), answer.field("duplicate")), ("content".into(), false.into()));

    let service = Setup::ed25519(&public()).env("PCS_SIGN_SCOPE", "content").start();
    let pcs = Pcs::unique();
    takes_nothing(&service, &pcs.clone().signed(Sign::Ed25519(&SEED, Form::Payload)));
    let _ = service.submit(pcs.signed(Sign::Ed25519(&SEED, Form::Content))).expect(200);
}

#[test]
fn with_signing_off_nothing_is_asked_for_and_every_start_says_so() {
    let mut service = Setup::unsigned().start();
    for _ in 0..2 {
        let warned =
            service.lines().into_iter().any(|line| line["level"] == "WARN" && line.to_string().contains("none"));
        assert!(warned, "{}", service.said());
        let answer = service.submit(Pcs::unique()).expect(200).json();
        assert_eq!((&answer["key_id"], &answer["signed"]), (&Value::Null, &Value::Null), "{answer}");
        let _ = service.submit(Pcs::unique().with("sig", "whatever")).expect(200);
        assert!(service.terminate().success());
        service.start();
    }
}

#[test]
fn every_signature_of_the_vectors_is_judged_over_http_as_it_says() {
    #[derive(serde::Deserialize)]
    struct All {
        hmac_keys: Vec<String>,
        ed25519_public_keys: Vec<String>,
        cases: Vec<Case>,
    }
    #[derive(serde::Deserialize)]
    struct Case {
        alg: String,
        valid: bool,
        pcs: Box<RawValue>,
    }
    let all: All = serde_json::from_str(&vectors("signatures.json")).unwrap();
    let hmac = Setup::bare().env("PCS_SIGN_ALG", "hmac").env("PCS_HMAC_KEYS", all.hmac_keys.join(",")).start();
    let ed25519 = Setup::ed25519(&all.ed25519_public_keys.join(",")).start();
    for (n, case) in all.cases.iter().enumerate() {
        let service = if case.alg == "hmac" { &hmac } else { &ed25519 };
        let answer = service.submit(case.pcs.get());
        assert_eq!(answer.code() != "bad_signature", case.valid, "case {n}: {answer}");
        assert_eq!(answer.status == 401, !case.valid, "case {n}: {answer}");
    }
}
