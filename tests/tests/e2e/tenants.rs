//! Tenants: who a record belongs to is said by its key, and by nothing else.

use flk_contract::{Form, signature::HmacForm};
use flk_tests::{
    DEADLINE, Pcs, Request, Response, Service, Setup, Sign,
    record::{SEED, public},
    until_or,
};
use serde_json::{Value, json};

const ACME: Sign<'static> = Sign::Hmac("secret of acme", HmacForm::ContentDigest);
const GLOBEX: Sign<'static> = Sign::Ed25519(&SEED, Form::Content);

/// Two tenants, one with HMAC and one with Ed25519.
fn two_tenants() -> Setup {
    let setup = Setup::bare().env("PCS_SIGN_ALG", "hmac,ed25519").env("TOKEN_RATE", "0");
    setup.file("acme.key", "secret of acme\n");
    let keys = json!({"keys": [
        {"id": "acme-1", "tenant": "acme", "alg": "hmac", "key_file": "acme.key"},
        {"id": "globex-1", "tenant": "globex", "alg": "ed25519", "public_key": public()},
    ]});
    let file = setup.file("keys.json", keys.to_string());
    setup.env("PCS_KEYS_FILE", file)
}

fn submit_as(service: &Service, tenant: &str, pcs: &Pcs) -> Response {
    service.call(&Request::submit(pcs).header("X-Tenant-Id", tenant))
}

fn result_of(service: &Service, tenant: &str, pcs: &Pcs) -> Response {
    service.call(&Request::get(&format!("/v1/pcs/{}", pcs.id())).header("X-Tenant-Id", tenant))
}

#[test]
fn a_record_belongs_to_the_tenant_of_the_key_that_signed_it() {
    let service = two_tenants().start();
    for (sign, tenant, key) in [(ACME, "acme", "acme-1"), (GLOBEX, "globex", "globex-1")] {
        let pcs = Pcs::unique().signed(sign);
        let answer = service.submit(&pcs).expect(200);
        assert_eq!((answer.field("tenant"), answer.field("key_id")), (tenant.into(), key.into()), "{answer}");
        assert_eq!(result_of(&service, tenant, &pcs).expect(200).field("tenant"), tenant);
        let other = if tenant == "acme" { "globex" } else { "acme" };
        assert_eq!(result_of(&service, other, &pcs).expect(404).code(), "not_settled");
        // Without a name it is the tenant `default` that is asked about.
        assert_eq!(service.result(pcs.id()).expect(404).code(), "not_settled");
    }
}

#[test]
fn a_tenant_that_is_named_has_to_be_that_of_the_key() {
    let service = two_tenants().start();
    let pcs = Pcs::unique().signed(ACME);
    for wrong in ["globex", "default", "ACME", "nobody", "", "a b", &"x".repeat(300)] {
        let answer = submit_as(&service, wrong, &pcs).expect(401);
        assert_eq!(answer.code(), "bad_signature", "{wrong}: {answer}");
        assert!(answer.header("www-authenticate").is_some());
    }
    let twice = Request::submit(&pcs).header("X-Tenant-Id", "acme").header("X-Tenant-Id", "globex");
    let _ = service.call(&twice).expect(401);
    let equal = Request::submit(&pcs).header("X-Tenant-Id", "acme").header("X-Tenant-Id", "acme");
    let answer = service.call(&equal).expect(401);
    let detail = answer.field("detail");
    assert!(detail.as_str().unwrap().contains("X-Tenant-Id was given more than once"), "{answer}");
    let answer = submit_as(&service, "acme", &pcs).expect(200);
    assert_eq!(answer.field("duplicate"), false, "nothing had been taken");
    // Replayed under the same log: the claim is kept beside the record.
    assert_eq!(service.stored(&answer.field("wal")).record.tenant.as_deref(), Some("acme"));
}

#[test]
fn two_tenants_settle_the_same_id_each_for_itself() {
    let service = two_tenants().start();
    let pcs = Pcs::unique();
    let acme = service.submit(pcs.clone().signed(ACME)).expect(200);
    let globex = service.submit(pcs.clone().otherwise().signed(GLOBEX)).expect(200);
    for answer in [&acme, &globex] {
        assert_eq!((answer.field("duplicate"), answer.field("conflict")), (false.into(), false.into()), "{answer}");
    }
    assert_eq!(result_of(&service, "acme", &pcs).expect(200).field("origin"), acme.field("origin"));
    assert_eq!(result_of(&service, "globex", &pcs).expect(200).field("origin"), globex.field("origin"));
    assert_eq!(service.submit(pcs.otherwise().signed(ACME)).expect(200).field("conflict"), true);
    let of = |tenant: &str| service.metrics().value(&format!("flk_tenant_records_total{{tenant=\"{tenant}\"}}"));
    until_or("they are counted", DEADLINE, || (of("acme"), of("globex")) == (2.0, 1.0), || (of("acme"), of("globex")));
}

#[test]
fn a_name_that_no_tenant_can_have_is_a_problem_of_the_one_who_asks() {
    let service = two_tenants().start();
    for name in ["", "a b", "ü", &"x".repeat(65)] {
        let answer = result_of(&service, name, &Pcs::unique()).expect(400);
        assert_eq!(answer.code(), "bad_tenant", "{name}: {answer}");
    }
}

#[test]
fn a_key_holds_in_its_window_and_not_outside() {
    let setup = Setup::bare().env("TOKEN_RATE", "0");
    let keys = json!({"keys": [
        {"tenant": "t", "alg": "hmac", "key": "retired", "not_after": "2020-01-01T00:00:00Z"},
        {"tenant": "t", "alg": "hmac", "key": "current", "not_before": "2020-01-01T00:00:00Z", "not_after": "2999-01-01T00:00:00Z"},
        {"tenant": "t", "alg": "hmac", "key": "future", "not_before": "2999-01-01T00:00:00Z"},
    ]});
    let file = setup.file("keys.json", keys.to_string());
    let service = setup.env("PCS_KEYS_FILE", file).start();
    for (key, status) in [("retired", 401), ("current", 200), ("future", 401)] {
        let _ = service.submit(Pcs::unique().signed(Sign::Hmac(key, HmacForm::PayloadDigest))).expect(status);
    }
}

#[test]
fn a_signature_that_does_not_hold_is_told_in_the_same_words_whatever_the_reason() {
    let setup = Setup::bare().env("TOKEN_RATE", "0");
    let keys = json!({"keys": [
        {"tenant": "old", "alg": "hmac", "key": "retired", "not_after": "2020-01-01T00:00:00Z"},
        {"tenant": "t", "alg": "hmac", "key": "current"},
        {"tenant": "t", "alg": "hmac", "key": "future", "not_before": "2999-01-01T00:00:00Z"},
    ]});
    let file = setup.file("keys.json", keys.to_string());
    let service = setup.env("PCS_KEYS_FILE", file).start();
    let signed = |key| Pcs::unique().signed(Sign::Hmac(key, HmacForm::PayloadDigest));
    let refused = |tenant: &str, pcs: Pcs| {
        let request = match tenant {
            "" => Request::submit(&pcs),
            tenant => Request::submit(&pcs).header("X-Tenant-Id", tenant),
        };
        let answer = service.call(&request).expect(401);
        assert_eq!(answer.code(), "bad_signature", "{answer}");
        answer.field("detail").as_str().unwrap().to_owned()
    };
    // Nobody learns from it which keys and tenants there are, and when they hold; an honest client
    // learns what it may have been.
    let words = refused("", signed("nobody's"));
    for cause in ["changed after signing", "another key", "window", "tenant"] {
        assert!(words.contains(cause), "{cause}: {words}");
    }
    for (tenant, pcs) in [
        ("", signed("retired")),
        ("", signed("future")),
        ("", signed("current").with("D_hat", 1.9)),
        ("old", signed("retired")),
        ("old", signed("current")),
        ("nowhere", signed("current")),
        ("not a name", signed("current")),
        ("t", signed("nobody's")),
    ] {
        assert_eq!(refused(tenant, pcs), words, "{tenant}");
    }
}

#[test]
fn keys_of_the_environment_and_of_the_file_hold_side_by_side() {
    let service = two_tenants().env("PCS_HMAC_KEY", "of the environment").start();
    let answer = service.submit(Pcs::unique().signed(Sign::Hmac("of the environment", HmacForm::Payload))).expect(200);
    assert_eq!(answer.field("tenant"), "default");
    assert_eq!(service.submit(Pcs::unique().signed(ACME)).expect(200).field("tenant"), "acme");
}

#[test]
fn with_signing_off_the_header_names_the_tenant() {
    let service = Setup::unsigned().start();
    let pcs = Pcs::unique();
    let answer = service.submit(&pcs).expect(200);
    assert_eq!((answer.field("tenant"), answer.field("key_id")), ("default".into(), Value::Null));
    let answer = submit_as(&service, "acme", &pcs).expect(200);
    assert_eq!((answer.field("tenant"), answer.field("duplicate")), ("acme".into(), false.into()));
    assert_eq!(result_of(&service, "acme", &pcs).expect(200).field("tenant"), "acme");
    assert_eq!(service.result(pcs.id()).expect(200).field("tenant"), "default");
    // Kept with the record, and so judged with it; a GET leaves nothing behind.
    let refused = submit_as(&service, "not a name", &pcs).expect(400);
    assert_eq!((refused.code().as_str(), refused.field("wal").is_object()), ("malformed", true), "{refused}");
    assert_eq!(result_of(&service, "not a name", &pcs).expect(400).code(), "bad_tenant");
}
