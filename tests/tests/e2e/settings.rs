//! Contract section 7: the names that operators use, each also from a file; and what is wrong is
//! said in one sentence, with exit code 2.

use flk_contract::{Form, signature::HmacForm};
use flk_tests::{
    KEY, Pcs, Request, Service, Setup, Sign,
    record::{SEED, USUAL, public},
};
use serde_json::json;

fn taken(service: &Service, key: &str) {
    let _ = service.submit(Pcs::unique().signed(Sign::Hmac(key, HmacForm::ContentDigest))).expect(200);
}

/// A setting's value in a file, with a line end as editors leave it.
fn from_file(setup: Setup, name: &str, value: &str) -> Setup {
    let file = setup.file(name, format!("{value}\n"));
    setup.without(name).env(&format!("{name}_FILE"), file)
}

#[test]
fn every_setting_of_the_contract_may_come_from_a_file() {
    let keys = json!({"keys": [{"tenant": "acme", "alg": "hmac", "key": "of acme"}]}).to_string();
    let mut setup = Setup::bare();
    let keys = setup.file("keys.json", keys);
    let values = [
        ("PCS_SIGN_ALG", "hmac,ed25519"),
        ("PCS_SIGN_SCOPE", "content"),
        ("PCS_HMAC_KEY", "one"),
        ("PCS_HMAC_KEY_OLD", "two"),
        ("PCS_HMAC_KEY_NEW", "three"),
        ("PCS_HMAC_KEYS", "four,five"),
        ("PCS_ED25519_PUB_B64", &public()),
        ("PCS_KEYS_FILE", keys.to_str().unwrap()),
        ("TOKEN_RATE", "0"),
        ("DEDUP_BACKEND", setup.shape().backend()),
        ("METRICS_USER", "prom"),
        ("METRICS_PASS", "pass word"),
    ];
    for (name, value) in values {
        setup = from_file(setup, name, value);
    }
    let service = setup.start();
    for key in ["one", "two", "three", "four", "five", "of acme"] {
        taken(&service, key);
    }
    let _ = service.submit(Pcs::unique().signed(Sign::Ed25519(&SEED, Form::Content))).expect(200);
    let _ = service.submit(Pcs::unique().signed(Sign::Ed25519(&SEED, Form::Payload))).expect(401);
    let _ = service.get("/metrics").expect(401);
    let _ = service.call(&Request::get("/metrics").basic("prom", "pass word")).expect(200);
}

#[test]
fn where_it_listens_may_come_from_the_environment_and_from_a_file() {
    // Port 0 takes a free one.
    let plain = Setup::hmac().env("FLK_LISTEN", "127.0.0.1").env("PORT", "0");
    let filed = from_file(plain.clone(), "PORT", "0");
    for setup in [plain, filed] {
        let mut service = setup.without_listen_flag().start();
        taken(&service, KEY);
        assert!(service.addr().ip().is_loopback());
        assert!(service.terminate().success());
    }
}

#[test]
fn one_final_line_end_of_a_file_is_dropped_and_nothing_else() {
    for (content, key) in
        [("secret", "secret"), ("secret\n", "secret"), ("secret\r\n", "secret"), (" secret \n\n", " secret \n")]
    {
        let setup = Setup::bare().env("PCS_SIGN_ALG", "hmac");
        let file = setup.file("key", content);
        taken(&setup.env("PCS_HMAC_KEY_FILE", file).start(), key);
    }
}

#[test]
fn a_key_is_its_bytes_and_is_never_decoded() {
    for key in ["c2VjcmV0", "00ff", "schlüssel", "with spaces "] {
        taken(&Setup::bare().env("PCS_SIGN_ALG", "hmac").env("PCS_HMAC_KEY", key).start(), key);
    }
}

#[test]
fn a_setting_that_can_not_be_is_named_in_one_sentence() {
    let both = Setup::hmac();
    let file = both.file("key", KEY);
    let missing = both.data().join("missing");
    let weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let shared = json!({"keys": [
        {"tenant": "a", "alg": "hmac", "key": "same"},
        {"tenant": "b", "alg": "hmac", "key": "same"},
    ]});
    let shared = both.file("shared.json", shared.to_string());
    let broken = both.file("broken.json", "{");
    for (setup, words) in [
        (Setup::bare(), &["PCS_HMAC_KEY"][..]),
        (Setup::bare().env("PCS_SIGN_ALG", "hmac"), &["PCS_HMAC_KEY"]),
        (Setup::bare().env("PCS_SIGN_ALG", "ed25519"), &["PCS_ED25519_PUB_B64"]),
        (Setup::hmac().env("PCS_SIGN_ALG", "rsa"), &["PCS_SIGN_ALG", "rsa"]),
        (Setup::hmac().env("PCS_SIGN_ALG", "none,hmac"), &["PCS_SIGN_ALG"]),
        (Setup::hmac().env("PCS_SIGN_SCOPE", "all"), &["PCS_SIGN_SCOPE", "all"]),
        (Setup::ed25519("no key"), &["PCS_ED25519_PUB_B64"]),
        (Setup::ed25519(weak), &["PCS_ED25519_PUB_B64"]),
        (both.clone().env("PCS_HMAC_KEY_FILE", &file), &["PCS_HMAC_KEY", "PCS_HMAC_KEY_FILE"]),
        (Setup::bare().env("PCS_HMAC_KEY_FILE", &missing), &["PCS_HMAC_KEY_FILE"]),
        (Setup::hmac().env("PCS_KEYS_FILE", &shared), &["tenant"]),
        (Setup::hmac().env("PCS_KEYS_FILE", &broken), &["PCS_KEYS_FILE"]),
        (Setup::hmac().env("PCS_KEYS_FILE", &missing), &["PCS_KEYS_FILE"]),
        (Setup::hmac().env("TOKEN_RATE", "many"), &["TOKEN_RATE", "many"]),
        (Setup::hmac().env("TOKEN_RATE", "-1"), &["TOKEN_RATE"]),
        (Setup::hmac().env("DEDUP_BACKEND", "oracle"), &["DEDUP_BACKEND", "oracle"]),
        (Setup::hmac().env("METRICS_USER", "u"), &["METRICS_PASS"]),
        (Setup::hmac().env("LOG_LEVEL", "loud"), &["LOG_LEVEL", "loud"]),
    ] {
        setup.refused().with(words);
    }
}

#[test]
fn a_secret_that_is_refused_is_not_shown() {
    let setup = Setup::bare();
    let keys = json!({"keys": [{"tenant": "a b", "alg": "hmac", "key": "hunter-two"}]});
    let file = setup.file("keys.json", keys.to_string());
    let refused = setup.env("PCS_KEYS_FILE", file).refused();
    refused.with(&["PCS_KEYS_FILE"]);
    assert!(!refused.said.contains("hunter"), "{}", refused.said);
}

#[test]
fn what_is_in_force_is_printed_and_secrets_are_masked() {
    let env = [
        ("PCS_SIGN_ALG", "hmac"),
        ("PCS_HMAC_KEY", "hunter-two"),
        ("METRICS_USER", "prom"),
        ("METRICS_PASS", "hunter-three"),
        ("TOKEN_RATE", "77"),
    ];
    for args in [&["config"][..], &["config", "--json"]] {
        let told = flk_tests::setup::run(args, &env);
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        for shown in ["TOKEN_RATE", "77", "PCS_HMAC_KEY", "METRICS_PASS", "prom", "PCS_SIGN_SCOPE", "payload"] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn the_same_key_twice_counts_once() {
    let service = Setup::hmac().env("PCS_HMAC_KEY_OLD", KEY).env("PCS_HMAC_KEYS", format!("{KEY},{KEY}")).start();
    assert_eq!(service.submit(Pcs::unique().signed(USUAL)).expect(200).code(), "ok");
}
