//! The keys file (`PCS_KEYS_FILE`): keys of several tenants, and when each is valid.
//!
//! ```json
//! {"keys": [
//!   {"id": "a-2026", "tenant": "a", "alg": "hmac", "key": "a secret, its bytes as they are"},
//!   {"id": "a-2027", "tenant": "a", "alg": "hmac", "key_file": "a-2027.key",
//!    "not_before": "2026-12-01T00:00:00Z"},
//!   {"tenant": "b", "alg": "ed25519", "public_key": "base64 of 32 bytes",
//!    "not_before": "2026-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z"}
//! ]}
//! ```
//!
//! An HMAC key has `key` or `key_file` (a path, looked for beside the keys file; one final line end
//! is dropped), an Ed25519 key has `public_key`. `id`, `not_before` and `not_after` may be left out
//! or null. Anything else is refused, so that a misspelt `not_after` does not leave a key valid for
//! ever. What is wrong is told by line or by key, never with a value: it may be a secret.

use core::fmt::Display;
use std::path::Path;

use flk_contract::{Key, LogTime, Tenant, keys::Window};
use serde::{Deserialize, Deserializer};

use super::{
    secret::Secret,
    source::{read, shown},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Option<String>,
    tenant: Tenant,
    alg: String,
    #[serde(default, deserialize_with = "secret")]
    key: Option<Secret>,
    key_file: Option<String>,
    public_key: Option<String>,
    not_before: Option<LogTime>,
    not_after: Option<LogTime>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

/// The keys of a file; or what is wrong with it, as the end of a sentence that names it.
pub(super) fn load(path: &Path) -> Result<Vec<Key>, String> {
    let text = read(path)?;
    let file: KeysFile = serde_json::from_str(&text).map_err(|error| not_as_expected(&error))?;
    if file.keys.is_empty() {
        return Err("which has no keys in it; add one, or do not set it".to_owned());
    }
    let beside = path.parent().unwrap_or(Path::new(""));
    let entries = file.keys.into_iter().enumerate();
    entries.map(|(index, entry)| entry.into_key(index + 1, beside)).collect()
}

/// serde quotes values of the wrong kind; here they may be secrets.
fn not_as_expected(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if error.is_data() && text.starts_with("invalid ") {
        let (line, column) = (error.line(), error.column());
        return format!(
            "in which the value at line {line} column {column} is not of the expected kind (ids, tenants, keys and \
             times are strings, keys is an array)"
        );
    }
    format!("which is not a keys file: {text}")
}

impl Entry {
    fn into_key(self, number: usize, beside: &Path) -> Result<Key, String> {
        let id = self.id.as_deref();
        let refuse = |why: &dyn Display| match id {
            Some(id) => format!("in which key {number} ({}) is refused: {why}", shown(id.as_ref())),
            None => format!("in which key {number} is refused: {why}"),
        };
        let window = Window { not_before: self.not_before, not_after: self.not_after };
        let key = match (self.alg.as_str(), self.key, self.key_file, self.public_key) {
            ("hmac", Some(key), None, None) => Key::hmac(id, self.tenant, key.expose().as_bytes(), window),
            ("hmac", None, Some(file), None) => {
                let path = beside.join(file);
                let key = read(&path)
                    .map_err(|why| refuse(&format_args!("its key_file is {}, {why}", shown(path.as_os_str()))))?;
                Key::hmac(id, self.tenant, key.as_bytes(), window)
            }
            ("hmac", ..) => {
                return Err(refuse(&"with alg hmac it has either key or key_file, and no public_key"));
            }
            ("ed25519", None, None, Some(public)) => Key::ed25519(id, self.tenant, &public, window),
            ("ed25519", ..) => return Err(refuse(&"with alg ed25519 it has public_key, and neither key nor key_file")),
            _ => return Err(refuse(&"its alg must be hmac or ed25519")),
        };
        key.map_err(|error| refuse(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn loaded(json: &str) -> Result<Vec<Key>, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("beside.key"), "from a file\n").unwrap();
        let path = dir.path().join("keys.json");
        std::fs::write(&path, json).unwrap();
        load(&path)
    }

    #[test]
    fn keys_have_ids_tenants_algorithms_and_windows() {
        let keys = loaded(&format!(
            r#"{{"keys": [
                {{"id": "k1", "tenant": "a", "alg": "hmac", "key": "s"}},
                {{"id": null, "tenant": "b", "alg": "hmac", "key_file": "beside.key", "not_after": "2027-01-01T00:00:00Z"}},
                {{"tenant": "c", "alg": "ed25519", "public_key": "{PUBLIC}", "not_before": "2026-01-01T00:00:00Z"}}
            ]}}"#
        ))
        .unwrap();
        let said: Vec<_> = keys.iter().map(|key| (key.tenant().as_str(), key.algorithm().as_str())).collect();
        assert_eq!(said, [("a", "hmac"), ("b", "hmac"), ("c", "ed25519")]);
        assert_eq!(&**keys[0].id(), "k1");
        let same = Key::hmac(None, Tenant::new("b").unwrap(), b"from a file", Window::default()).unwrap();
        assert_eq!(keys[1].id(), same.id(), "one final line end is dropped");
        assert_eq!(keys[1].window().not_after, LogTime::parse("2027-01-01T00:00:00Z").ok());
        assert_eq!(keys[2].window().not_before, LogTime::parse("2026-01-01T00:00:00Z").ok());
    }

    #[test]
    fn what_is_wrong_is_told_by_key_or_line() {
        let entry = |fields: &str| format!(r#"{{"keys": [{{"id": "k1", "tenant": "a", {fields}}}]}}"#);
        let weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for (json, why) in [
            ("".to_owned(), "which is empty"),
            ("[".to_owned(), "line 1"),
            (r#"{"keys": []}"#.to_owned(), "no keys in it"),
            (r#"{"keys": {}}"#.to_owned(), "expected kind"),
            (r#"{"kees": []}"#.to_owned(), "unknown field `kees`"),
            (r#"{"keys": [{"id": "k1", "alg": "hmac", "key": "s"}]}"#.to_owned(), "missing field `tenant`"),
            (r#"{"keys": [{"tenant": "a b", "alg": "hmac", "key": "s"}]}"#.to_owned(), "a tenant's name is"),
            (entry(r#""alg": "hmac", "key": "s", "not_afer": null"#), "unknown field `not_afer`"),
            (entry(r#""alg": "hmac", "key": "s", "key": "s""#), "duplicate field `key`"),
            (entry(r#""alg": "hmac""#), "either key or key_file"),
            (entry(r#""alg": "hmac", "key": "s", "key_file": "x""#), "either key or key_file"),
            (entry(r#""alg": "hmac", "public_key": "s""#), "either key or key_file"),
            (entry(r#""alg": "hmac", "key": """#), "is empty"),
            (entry(r#""alg": "hmac", "key_file": "missing.key""#), "can not be read"),
            (entry(r#""alg": "ed25519", "key": "s""#), "it has public_key"),
            (entry(r#""alg": "ed25519", "public_key": "no""#), r#"key 1 ("k1") is refused: an Ed25519 public key"#),
            (entry(&format!(r#""alg": "ed25519", "public_key": "{weak}""#)), "weak"),
            (entry(r#""alg": "rsa", "key": "s""#), "its alg must be"),
            (entry(r#""alg": "hmac", "key": "s", "not_after": "tomorrow""#), "line 1"),
            (
                entry(
                    r#""alg": "hmac", "key": "s", "not_before": "2027-01-01T00:00:00Z", "not_after": "2026-01-01T00:00:00Z""#,
                ),
                "never valid",
            ),
        ] {
            let error = loaded(&json).unwrap_err();
            assert!(error.contains(why), "{why} in {error}\n{json}");
        }
    }

    #[test]
    fn no_value_is_told_where_one_is_of_the_wrong_kind() {
        for json in [
            r#"{"keys": ["hunter2"]}"#,
            r#"{"keys": "hunter2"}"#,
            r#"{"keys": [{"tenant": "hunter2/", "alg": "hmac", "key": "s"}]}"#,
            r#"{"keys": [{"tenant": "a", "alg": "hunter2", "key": "hunter2"}]}"#,
            r#"{"keys": [{"tenant": "a", "alg": "hmac", "key": {"hunter2": 1}}]}"#,
            r#"{"keys": [{"tenant": "a", "alg": "ed25519", "public_key": "hunter2"}]}"#,
            r#"{"keys": [{"tenant": "a", "alg": "hmac", "key": "s", "not_after": "hunter2"}]}"#,
        ] {
            let error = loaded(json).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
