//! `flk keygen` through the real binary: what is printed, what is written, and who may read it.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::run::{Directory, flk, vectors};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_contract::{Key, Tenant, keys::Window, signature::ed25519_public};
use serde_json::Value;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn env_file(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The public key of the private one.
fn public(private: &str) -> String {
    ed25519_public(&STANDARD.decode(private).unwrap().try_into().unwrap())
}

fn id_of(alg: &str, key: &str) -> String {
    let tenant = Tenant::default_tenant();
    let key = match alg {
        "hmac" => Key::hmac(None, tenant, key.as_bytes(), Window::default()),
        _ => Key::ed25519(None, tenant, key, Window::default()),
    };
    key.unwrap().id().to_string()
}

#[test]
fn a_printed_pair_belongs_together_and_advice_goes_to_standard_error() {
    let ran = flk(["keygen", "--alg", "ed25519"]).ran();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let env = env_file(&ran.stdout);
    assert_eq!(public(&env["PCS_ED25519_PRIV_B64"]), env["PCS_ED25519_PUB_B64"]);
    assert!(ran.stdout.contains(&id_of("ed25519", &env["PCS_ED25519_PUB_B64"])), "{}", ran.stdout);
    assert!(ran.stderr.contains("do ") && ran.stderr.contains("don't"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(&env["PCS_ED25519_PRIV_B64"]));
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'));
}

#[test]
fn a_printed_secret_is_32_random_bytes_as_text() {
    let key = || env_file(&flk(["keygen", "--alg", "hmac"]).ran().ok())["PCS_HMAC_KEY"].clone();
    let (one, other) = (key(), key());
    assert_ne!(one, other);
    assert_eq!(one.len(), 43);
    assert!(one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{one}");
}

#[test]
fn json_is_for_programs_and_comes_without_advice() {
    let ran = flk(["keygen", "--alg", "hmac", "--json", "--kid", "k-1", "--tenant", "a"]).ran();
    let key: Value = ran.json();
    assert_eq!((&key["alg"], &key["id"], &key["tenant"]), (&"hmac".into(), &"k-1".into(), &"a".into()));
    assert_eq!(key["key"].as_str().unwrap().len(), 43);
    assert_eq!(ran.stderr, "");
    let key: Value = flk(["keygen", "--alg", "ed25519", "--json"]).ran().json();
    assert_eq!(key["public_key"], public(key["private_key"].as_str().unwrap()));
    assert_eq!(key["id"], id_of("ed25519", key["public_key"].as_str().unwrap()));
}

#[test]
fn files_of_a_pair_are_what_operators_need_and_secrets_are_the_owners_alone() {
    let directory = Directory::new();
    let out = directory.path("deep/er");
    let ran = flk(["keygen", "--alg", "ed25519", "--out", out.to_str().unwrap()]).ran();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!((mode(&out), mode(&directory.path("deep"))), (0o700, 0o700));
    let text = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let private = text("ed25519-private.b64").trim_end().to_owned();
    let public_key = public(&private);
    assert_eq!(text("ed25519-public.b64"), format!("{public_key}\n"));
    assert_eq!(env_file(&text("agent.env"))["PCS_ED25519_PRIV_B64"], private);
    assert_eq!(env_file(&text("service.env"))["PCS_ED25519_PUB_B64"], public_key);
    let secret = text("k8s-secret.yaml");
    assert!(secret.contains("kind: Secret\n") && secret.contains("name: pcs-ed25519-agent-secret\n"), "{secret}");
    assert!(secret.contains(&format!("stringData:\n  PCS_ED25519_PRIV_B64: \"{private}\"\n")), "{secret}");
    let config = text("k8s-configmap.yaml");
    assert!(config.contains("kind: ConfigMap\n") && config.contains("name: pcs-ed25519-config\n"), "{config}");
    assert!(config.contains(&format!("data:\n  PCS_ED25519_PUB_B64: \"{public_key}\"\n")), "{config}");
    let keys: Value = serde_json::from_str(&text("keys.json")).unwrap();
    let entry = &keys["keys"][0];
    assert_eq!(entry["public_key"], public_key.as_str());
    assert_eq!(entry["id"], id_of("ed25519", &public_key));
    assert_eq!((&entry["alg"], &entry["tenant"]), (&"ed25519".into(), &"default".into()));
    let helm = text("helm-values.yaml");
    assert!(helm.contains("pcs-ed25519-agent-secret") && helm.contains("pcs-ed25519-config"), "{helm}");
    for entry in fs::read_dir(&out).unwrap().map(Result::unwrap) {
        let holds_it = fs::read_to_string(entry.path()).unwrap().contains(&private);
        assert_eq!(mode(&entry.path()) & 0o077 == 0, holds_it, "{:?}", entry.path());
    }
    assert!(!ran.stdout.contains(&private) && !ran.stderr.contains(&private));
}

#[test]
fn every_file_that_holds_a_shared_secret_is_the_owners_alone() {
    let directory = Directory::new();
    let out = directory.path("keys");
    let ran = flk(["keygen", "--alg", "hmac", "--out", out.to_str().unwrap(), "--json"]).ran();
    let written: Value = ran.json();
    let secret = fs::read_to_string(out.join("hmac.key")).unwrap().trim_end().to_owned();
    assert!(!ran.stdout.contains(&secret));
    assert_eq!(written["id"], id_of("hmac", &secret));
    let files = written["files"].as_array().unwrap();
    assert_eq!(files.len(), fs::read_dir(&out).unwrap().count());
    for file in files {
        let path = Path::new(file["path"].as_str().unwrap());
        let holds_it = fs::read_to_string(path).unwrap().contains(&secret);
        assert_eq!((file["secret"] == true, mode(path) == 0o600), (holds_it, holds_it), "{path:?}");
    }
    let object = fs::read_to_string(out.join("k8s-secret.yaml")).unwrap();
    assert!(object.contains("name: pcs-hmac-secret\n") && object.contains(&format!("PCS_HMAC_KEY: \"{secret}\"")));
    let keys: Value = serde_json::from_str(&fs::read_to_string(out.join("keys.json")).unwrap()).unwrap();
    assert_eq!((&keys["keys"][0]["alg"], &keys["keys"][0]["key"]), (&"hmac".into(), &secret.into()));
}

#[test]
fn nothing_is_ever_overwritten() {
    let directory = Directory::new();
    let out = directory.path("");
    directory.file("keys.json", "mine");
    let ran = flk(["keygen", "--alg", "ed25519", "--out", out.to_str().unwrap()]).ran();
    let sentence = ran.sentence(2);
    assert!(sentence.contains("keys.json is there already"), "{sentence}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(out.join("keys.json")).unwrap(), "mine");
}

#[test]
fn an_id_or_a_directory_that_can_not_be_is_one_sentence() {
    let sentence = flk(["keygen", "--alg", "hmac", "--kid", "a b"]).ran().sentence(2);
    assert!(sentence.contains("key id"), "{sentence}");
    let directory = Directory::new();
    let file = directory.file("file", "");
    let sentence = flk(["keygen", "--alg", "hmac", "--out", file.join("x").to_str().unwrap()]).ran().sentence(2);
    assert!(sentence.contains("can not be made"), "{sentence}");
}

#[test]
fn a_service_takes_every_form_of_a_key_that_an_agent_signs_with() {
    let case = &vectors("agent.json")["cases"][0];
    let record = flk(["pcs", "build", "--in", "-", "--shard-id", "s", "--epoch", "0"])
        .stdin(case["csv"].as_str().unwrap())
        .ran()
        .ok();
    for (alg, raw) in [("ed25519", "ed25519-private.b64"), ("hmac", "hmac.key")] {
        let directory = Directory::new();
        let out = directory.path("keys");
        flk(["keygen", "--alg", alg, "--kid", "k/1", "--tenant", "t", "--out", out.to_str().unwrap()]).ran().ok();
        let env = |name: &str| env_file(&fs::read_to_string(out.join(name)).unwrap());
        let mut agent = flk(["pcs", "sign", "-"]).stdin(record.clone());
        for (name, value) in env("agent.env") {
            agent = agent.env(&name, value);
        }
        let signed = agent.ran().ok();
        let key_file = out.join(raw);
        let args = ["pcs", "sign", "--alg", alg, "--key-file", key_file.to_str().unwrap(), "-"];
        assert_eq!(flk(args).stdin(record.clone()).ran().ok(), signed);
        let mut service = flk(["pcs", "verify", "--json", "-"]).stdin(signed.clone());
        for (name, value) in env("service.env") {
            service = service.env(&name, value);
        }
        assert_eq!(service.ran().json::<Value>()["verdict"]["code"], "ok", "{alg}");
        let service = flk(["pcs", "verify", "--json", "-"])
            .env("PCS_SIGN_ALG", alg)
            .env("PCS_KEYS_FILE", out.join("keys.json"))
            .stdin(signed);
        let report: Value = service.ran().json();
        assert_eq!(report["signature"]["key_id"], "k/1", "{alg}: {report}");
        assert_eq!(report["signature"]["tenant"], "t", "{alg}");
    }
}
