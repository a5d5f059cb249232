//! Which signatures are taken, and under which keys.

use std::path::Path;

use flk_contract::{
    Key, Keyring, Signing, Tenant,
    keys::{Algorithm, KeyError, Window},
};

use super::{
    SettingsError,
    definitions::{self, Definition},
    keys_file,
    reader::Reader,
    source::{Found, Source, shown},
    values,
};

/// What signatures are judged by.
pub(super) struct Judging {
    pub(super) signing: Signing,
    pub(super) keys: Keyring,
    /// What is allowed, but perhaps not meant.
    pub(super) warnings: Vec<String>,
}

pub(super) fn load(reader: &mut Reader<'_>) -> Result<Judging, SettingsError> {
    let algorithms = reader.found(&definitions::SIGN_ALG)?;
    let chosen = algorithms.parse(values::algorithms)?;
    let scope = reader.get(&definitions::SIGN_SCOPE, values::scope)?;
    let keys = keyring(reader)?;
    let count = |algorithm| keys.iter().filter(|key| key.algorithm() == algorithm).count();
    let (hmac, ed25519) = (count(Algorithm::Hmac), count(Algorithm::Ed25519));
    let mut warnings = Vec::new();
    let Some(chosen) = chosen else {
        warnings.push(
            "PCS_SIGN_ALG=none: records are taken unsigned, from anybody who can reach this address; set \
             PCS_SIGN_ALG to hmac or ed25519 to ask for signatures"
                .to_owned(),
        );
        if hmac + ed25519 > 0 {
            warnings.push("PCS_SIGN_ALG=none: the keys that are set are not used".to_owned());
        }
        return Ok(Judging { signing: Signing::Off, keys, warnings });
    };

    for (wanted, algorithm, present, other) in [
        (chosen.hmac, Algorithm::Hmac, hmac, (Algorithm::Ed25519, ed25519)),
        (chosen.ed25519, Algorithm::Ed25519, ed25519, (Algorithm::Hmac, hmac)),
    ] {
        if wanted && present == 0 {
            return Err(needs_a_key(&algorithms, algorithm, (other.1 > 0).then_some(other.0)));
        }
        if !wanted && present > 0 {
            warnings.push(format!(
                "PCS_SIGN_ALG={}: the {} keys that are set are not used; add {} to it, or take them away",
                *algorithms.value,
                algorithm.as_str(),
                algorithm.as_str()
            ));
        }
    }
    Ok(Judging { signing: Signing::Required { hmac: chosen.hmac, ed25519: chosen.ed25519, scope }, keys, warnings })
}

fn needs_a_key(algorithms: &Found, missing: Algorithm, there: Option<Algorithm>) -> SettingsError {
    let setting = match missing {
        Algorithm::Hmac => &definitions::HMAC_KEY,
        Algorithm::Ed25519 => &definitions::ED25519_PUB,
    };
    let default = if algorithms.source == Source::Default { " (the default)" } else { "" };
    let instead = there
        .map_or_else(String::new, |there| format!(", or PCS_SIGN_ALG={}, for which there is a key", there.as_str()));
    SettingsError::new(
        definitions::SIGN_ALG.name,
        format!(
            "PCS_SIGN_ALG={}{default} needs a key: set {name} (or {name}_FILE), or a key of alg {} in {}{instead}, or \
             PCS_SIGN_ALG=none to take unsigned records",
            *algorithms.value,
            missing.as_str(),
            definitions::KEYS_FILE.name,
            name = setting.name,
        ),
    )
}

fn keyring(reader: &mut Reader<'_>) -> Result<Keyring, SettingsError> {
    let mut keys = Vec::new();
    for setting in [&definitions::HMAC_KEY, &definitions::HMAC_KEY_OLD, &definitions::HMAC_KEY_NEW] {
        if let Some(found) = reader.optional(setting)? {
            keys.push(hmac(&found.value).map_err(|error| sentence(&found, format!("is refused: {error}")))?);
        }
    }
    if let Some(found) = reader.optional(&definitions::HMAC_KEYS)? {
        for (number, element) in elements(&found) {
            let element = element?;
            if element != element.trim() {
                let why = format!(
                    "has white space around element {number}; remove it, or give that key through {} or {}",
                    definitions::HMAC_KEY.name,
                    definitions::KEYS_FILE.name
                );
                return Err(sentence(&found, why));
            }
            keys.push(hmac(element).map_err(|error| sentence(&found, format!("has element {number}: {error}")))?);
        }
    }
    if let Some(found) = reader.optional(&definitions::ED25519_PUB)? {
        for (number, element) in elements(&found) {
            let key = Key::ed25519(None, Tenant::default_tenant(), element?.trim(), Window::default());
            keys.push(
                key.map_err(|error| sentence(&found, format!("has an element {number} that is refused: {error}")))?,
            );
        }
    }
    if let Some(found) = reader.optional(&definitions::KEYS_FILE)? {
        let path = Path::new(found.value.as_str());
        let from_file = keys_file::load(path)
            .map_err(|why| sentence(&found, format!("names the file {}, {why}", shown(path.as_os_str()))))?;
        keys.extend(from_file);
    }
    Keyring::new(keys).map_err(|error| {
        // Keys of the environment are all of one tenant and have ids of their own, so that only a
        // keys file brings keys of two tenants, or one id for two keys.
        let setting: &Definition = match error {
            KeyError::TooMany(_) => &definitions::HMAC_KEYS,
            _ => &definitions::KEYS_FILE,
        };
        SettingsError::new(
            setting.name,
            format!("the keys of {} and the other settings do not go together: {error}", setting.name),
        )
    })
}

fn hmac(secret: &str) -> Result<Key, KeyError> {
    Key::hmac(None, Tenant::default_tenant(), secret.as_bytes(), Window::default())
}

/// The elements of a comma list, counted from 1; an empty one is refused.
fn elements(found: &Found) -> impl Iterator<Item = (usize, Result<&str, SettingsError>)> {
    found.value.split(',').enumerate().map(move |(index, element)| {
        let number = index + 1;
        let empty = element.trim().is_empty();
        let empty = empty.then(|| sentence(found, format!("has an empty element {number}; remove the spare comma")));
        (number, empty.map_or(Ok(element), Err))
    })
}

/// A sentence that quotes no value.
fn sentence(found: &Found, rest: impl core::fmt::Display) -> SettingsError {
    SettingsError::new(found.setting.name, format!("{} {rest}", found.given_as()))
}
