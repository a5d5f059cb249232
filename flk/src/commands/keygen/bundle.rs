//! The files that deploy a key: raw, for Kubernetes, Helm, compose, and as a keys file.
//!
//! Each side gets a file of its own, so that nobody is handed more than is theirs: the service's
//! files hold no private key. Values are base64 or names of a small alphabet, so that they need no
//! quoting in an environment file; in YAML they are quoted all the same.

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Generated, Material};
use crate::files::{Access, NewFile};

const AGENT_SECRET: &str = "pcs-ed25519-agent-secret";
const PUBLIC_CONFIG: &str = "pcs-ed25519-config";
const HMAC_SECRET: &str = "pcs-hmac-secret";

const PRIVATE: &str = "ed25519-private.b64";
const PUBLIC: &str = "ed25519-public.b64";
const SHARED: &str = "hmac.key";
const AGENT_ENV: &str = "agent.env";
const SERVICE_ENV: &str = "service.env";
const KEYS: &str = "keys.json";
const HELM: &str = "helm-values.yaml";
const K8S_SECRET: &str = "k8s-secret.yaml";
const K8S_CONFIG: &str = "k8s-configmap.yaml";

/// What a file is for.
pub(super) fn purpose(name: &str) -> &'static str {
    match name {
        PRIVATE => "the agent's private key: PCS_ED25519_PRIV_B64_FILE, flk pcs sign --key-file",
        PUBLIC => "the service's public key: PCS_ED25519_PUB_B64_FILE",
        SHARED => "the secret: PCS_HMAC_KEY_FILE on both sides, flk pcs sign --key-file",
        AGENT_ENV => "the agent's environment: env_file in compose",
        SERVICE_ENV => "the service's environment: env_file in compose",
        KEYS => "an entry for PCS_KEYS_FILE (several tenants, windows)",
        HELM => "values that name the objects below",
        K8S_SECRET => "kubectl apply -f, where the agent runs (hmac: and the service)",
        K8S_CONFIG => "kubectl apply -f, where the service runs",
        _ => "",
    }
}

/// All files of a key.
pub(super) fn files(key: &Generated) -> Vec<NewFile> {
    let secret = |name, text| NewFile { name, access: Access::Secret, text: Zeroizing::new(text) };
    let public = |name, text| NewFile { name, access: Access::Public, text: Zeroizing::new(text) };
    match &key.material {
        Material::Ed25519 { private, public: public_key } => vec![
            secret(PRIVATE, format!("{}\n", private.as_str())),
            public(PUBLIC, format!("{public_key}\n")),
            secret(AGENT_ENV, format!("PCS_SIGN_ALG=ed25519\nPCS_ED25519_PRIV_B64={}\n", private.as_str())),
            public(SERVICE_ENV, format!("PCS_SIGN_ALG=ed25519\nPCS_ED25519_PUB_B64={public_key}\n")),
            public(KEYS, keys_file(key, None, Some(public_key))),
            public(HELM, HELM_ED25519.to_owned()),
            secret(K8S_SECRET, object(key, "Secret", AGENT_SECRET, "PCS_ED25519_PRIV_B64", private)),
            public(K8S_CONFIG, object(key, "ConfigMap", PUBLIC_CONFIG, "PCS_ED25519_PUB_B64", public_key)),
        ],
        Material::Hmac { secret: shared } => {
            let shared = shared.as_str();
            vec![
                secret(SHARED, format!("{shared}\n")),
                secret(AGENT_ENV, format!("PCS_SIGN_ALG=hmac\nPCS_HMAC_KEY={shared}\n")),
                secret(SERVICE_ENV, format!("PCS_SIGN_ALG=hmac\nPCS_HMAC_KEY={shared}\n")),
                secret(KEYS, keys_file(key, Some(shared), None)),
                public(HELM, HELM_HMAC.to_owned()),
                secret(K8S_SECRET, object(key, "Secret", HMAC_SECRET, "PCS_HMAC_KEY", shared)),
            ]
        }
    }
}

#[derive(Serialize)]
struct KeysFile<'a> {
    keys: [Entry<'a>; 1],
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    tenant: &'a str,
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
    not_before: Option<&'a str>,
    not_after: Option<&'a str>,
}

fn keys_file(key: &Generated, secret: Option<&str>, public_key: Option<&str>) -> String {
    let entry = Entry {
        id: &key.id,
        tenant: key.tenant.as_str(),
        alg: key.alg().as_str(),
        key: secret,
        public_key,
        not_before: None,
        not_after: None,
    };
    pretty(&KeysFile { keys: [entry] })
}

/// A Kubernetes object with one value. `stringData`, so that a value is written as it is: the
/// base64 of a key is the value itself, not an encoding of Kubernetes.
fn object(key: &Generated, kind: &str, name: &str, entry: &str, value: &str) -> String {
    let data = if kind == "Secret" { "type: Opaque\nstringData" } else { "data" };
    let id = quoted(&key.id);
    format!(
        "apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n  annotations:\n    flk/key-id: {id}\n\
         {data}:\n  {entry}: {}\n",
        quoted(value)
    )
}

const HELM_ED25519: &str = "\
# Nothing secret is in here: the objects are named, k8s-secret.yaml and k8s-configmap.yaml make them.
signing:
  alg: ed25519
  ed25519:
    existingConfigMap: pcs-ed25519-config
    existingConfigMapKey: PCS_ED25519_PUB_B64
agent:
  signing:
    alg: ed25519
    existingSecret: pcs-ed25519-agent-secret
    existingSecretKey: PCS_ED25519_PRIV_B64
";

const HELM_HMAC: &str = "\
# Nothing secret is in here: the object is named, k8s-secret.yaml makes it.
signing:
  alg: hmac
  hmac:
    existingSecret: pcs-hmac-secret
    existingSecretKey: PCS_HMAC_KEY
agent:
  signing:
    alg: hmac
    existingSecret: pcs-hmac-secret
    existingSecretKey: PCS_HMAC_KEY
";

/// A string of JSON is one of YAML too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn pretty(value: &impl Serialize) -> String {
    // Strings and options of them always serialize.
    serde_json::to_string_pretty(value).map(|text| text + "\n").unwrap_or_default()
}
