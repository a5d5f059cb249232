//! A whole run, at the most talkative level, is searched for what must never be said: bodies,
//! signatures, keys. Log lines, every answer, metrics, and what `flk config` prints.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_contract::{Form, signature::HmacForm};
use flk_tests::{
    Pcs, Request, Service, Setup, Sign,
    record::{SEED, public},
    setup::run,
};

const KEY: &str = "the-hmac-key-of-this-run";
const OLD: &str = "the-retired-hmac-key";
const FILED: &str = "the-key-of-acme-in-a-file";
const PASSWORD: &str = "the-metrics-password";
/// In fields that are read, in fields that nobody knows, and in what is no JSON at all.
const MARK: &str = "said-only-in-a-body";

fn needles_of_keys() -> Vec<String> {
    let mut needles: Vec<String> = [KEY, OLD, FILED, PASSWORD].map(String::from).into();
    for secret in [KEY, OLD, FILED, PASSWORD] {
        needles.push(STANDARD.encode(secret).trim_end_matches('=').to_owned());
        needles.push(hex::encode(secret));
    }
    needles.push(STANDARD.encode(format!("prom:{PASSWORD}")).trim_end_matches('=').to_owned());
    needles.push(STANDARD.encode(SEED));
    needles
}

/// A run, and everything that was said in it.
struct Run {
    service: Service,
    said: String,
    needles: Vec<String>,
}

impl Run {
    fn call(&mut self, request: &Request) -> u16 {
        let answer = self.service.call(request);
        self.said.push_str(&answer.to_string());
        answer.status
    }

    fn submit(&mut self, pcs: &Pcs, status: u16) {
        let body = String::from_utf8(pcs.body()).unwrap();
        for field in ["sig", "merkle_root", "shard_id"] {
            let value = serde_json::from_str::<serde_json::Value>(&body).unwrap()[field].clone();
            if let Some(text) = value.as_str().filter(|text| text.len() > 8) {
                self.needles.push(text.to_owned());
                let raw = STANDARD.decode(text).map(hex::encode);
                self.needles.extend(raw.ok().filter(|raw| raw.len() > 16));
            }
        }
        self.needles.push(body.clone());
        // As JSON inside JSON, too.
        self.needles.push(serde_json::to_string(&body).unwrap());
        assert_eq!(self.call(&Request::submit(body)), status);
    }
}

#[test]
fn no_body_no_signature_and_no_key_is_ever_said() {
    let setup = Setup::bare();
    setup.file("acme.key", FILED);
    let keys = r#"{"keys": [{"id": "a1", "tenant": "acme", "alg": "hmac", "key_file": "acme.key"}]}"#;
    let keys = setup.file("keys.json", keys);
    let service = setup
        .env("PCS_SIGN_ALG", "hmac,ed25519")
        .env("PCS_HMAC_KEY", KEY)
        .env("PCS_HMAC_KEY_OLD", OLD)
        .env("PCS_ED25519_PUB_B64", public())
        .env("PCS_KEYS_FILE", &keys)
        .env("METRICS_USER", "prom")
        .env("METRICS_PASS", PASSWORD)
        .env("LOG_LEVEL", "trace")
        .start();
    let mut run = Run { service, said: String::new(), needles: needles_of_keys() };
    run.needles.push(MARK.to_owned());

    let marked = |n: i64| Pcs::new(&format!("{MARK}-shard"), n).with("extra", MARK).with("sent_at", MARK);
    for (n, sign) in [
        Sign::Hmac(KEY, HmacForm::PayloadDigest),
        Sign::Hmac(OLD, HmacForm::Payload),
        Sign::Hmac(FILED, HmacForm::ContentDigest),
        Sign::Ed25519(&SEED, Form::Content),
    ]
    .into_iter()
    .enumerate()
    {
        let good = marked(n as i64).signed(sign);
        run.submit(&good, 200);
        run.submit(&good.clone().retry(), 200);
        run.submit(&good.clone().with("budget", 0.3339).signed(sign), 200);
        run.submit(&good.clone().with("D_hat", 1.2), 401);
        run.submit(&marked(100 + n as i64).with("D_hat", 1.9).signed(sign), 202);
        run.submit(&marked(200 + n as i64).with("regime", MARK).signed(sign), 202);
        run.submit(&marked(300 + n as i64).with("schema", "said-only").signed(sign), 202);
        run.submit(&good.clone().with("sig", MARK), 401);
        run.submit(&good.with("epoch", MARK), 400);
    }
    run.submit(&marked(400), 401);
    for broken in [format!("{{\"{MARK}\""), MARK.to_owned(), format!("{{\"{MARK}\": 1, \"{MARK}\": 2}}")] {
        assert_eq!(run.call(&Request::submit(broken)), 400);
    }
    let good = marked(500).signed(Sign::Hmac(KEY, HmacForm::ContentDigest));
    run.needles.push(good.sig().to_owned());
    assert_eq!(run.call(&Request::submit(&good).prefer("respond-async").header("Cookie", MARK)), 202);
    assert_eq!(run.call(&Request::get(&format!("/v1/pcs/{}", good.id()))), 200);
    for offset in 1..20 {
        assert_eq!(run.call(&Request::get(&format!("/v1/records/0/{offset}"))), 200);
    }
    for path in ["/health", "/readyz", "/openapi.json", "/nowhere"] {
        run.call(&Request::get(path));
    }
    assert_eq!(run.call(&Request::get("/metrics").basic("prom", PASSWORD)), 200);
    assert_eq!(run.call(&Request::get("/metrics").basic("prom", &format!("{PASSWORD}!"))), 401);
    // A body that is cut off, one that is too large, and one on a broken line.
    let mut client = run.service.client();
    client.write(format!("POST /v1/pcs/submit HTTP/1.1\r\nContent-Length: 99\r\n\r\n{MARK}").as_bytes()).unwrap();
    client.end_of_writing();
    let _ = client.answer();
    assert_eq!(run.call(&Request::submit(MARK.repeat(70_000))), 413);
    let mut client = run.service.client();
    client.write(format!("{MARK}\r\n\r\n").as_bytes()).unwrap();
    let _ = client.answer();

    // A start that finds everything again, and an orderly end.
    run.said.push_str(&run.service.said());
    run.service.kill9_and_restart();
    assert_eq!(run.service.terminate().code(), Some(0));
    run.said.push_str(&run.service.said());

    let env: Vec<(String, String)> = run
        .service
        .setup()
        .environment()
        .map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for args in [&["config"][..], &["config", "--json"]] {
        let told = run_ok(args, &env);
        assert!(told.contains("PCS_HMAC_KEY"), "{told}");
        run.said.push_str(&told);
    }

    assert!(run.said.len() > 50_000 && run.said.contains("\"DEBUG\""), "a run that says much");
    assert!(run.needles.len() > 100);
    for needle in &run.needles {
        if let Some(at) = run.said.find(needle.as_str()) {
            let line = run.said[..at].rfind('\n').map_or(0, |at| at + 1);
            let line = run.said[line..].lines().next().unwrap_or_default();
            panic!("{needle:?} was said: {line}");
        }
    }
}

fn run_ok(args: &[&str], env: &[(&str, &str)]) -> String {
    let output = run(args, env);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}
