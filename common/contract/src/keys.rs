//! Keys with their tenants and windows (contract section 2).
//!
//! A key is judged at the record's log time, so that judging a record again months later says the
//! same. Secrets are turned into keyed hash states at once; nothing here can print one.

use core::fmt;
use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::{LogTime, Tenant, limits::KEYS_MAX};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC-SHA256, a shared secret.
    Hmac,
    /// Ed25519, a public key.
    Ed25519,
}

impl Algorithm {
    /// The word in settings and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// When a key is valid: from `not_before` on, and before `not_after`; either may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// First log time at which the key holds.
    pub not_before: Option<LogTime>,
    /// First log time at which it no longer does.
    pub not_after: Option<LogTime>,
}

impl Window {
    fn contains(&self, at: LogTime) -> bool {
        self.not_before.is_none_or(|from| from <= at) && self.not_after.is_none_or(|to| at < to)
    }
}

/// Why a key, or a set of keys, is refused at start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An HMAC secret without a byte.
    #[error("an HMAC key is empty; give it a secret")]
    Empty,
    /// Not the base64 of 32 bytes.
    #[error("an Ed25519 public key is standard base64 of 32 bytes (44 characters); this one is not")]
    NotAPublicKey,
    /// A point that is not one, or another spelling of one.
    #[error("the Ed25519 public key is not the canonical encoding of a point; generate a new pair")]
    NotCanonical,
    /// A small-order point: signatures under it prove nothing.
    #[error("the Ed25519 public key is weak (small order): anybody could sign for it; generate a new pair")]
    Weak,
    /// Two tenants share a key, so that a record would not say whose it is.
    #[error("the same key is given to the tenants {0} and {1}; every tenant needs keys of its own")]
    SharedByTenants(Tenant, Tenant),
    /// One name for two keys.
    #[error("the key id {id} stands for two keys of the tenant {tenant}; give each its own id")]
    IdTwice {
        /// Whose keys.
        tenant: Tenant,
        /// The id.
        id: Arc<str>,
    },
    /// An id that could not be echoed.
    #[error("a key id is 1 to 64 printable ASCII characters without spaces")]
    BadId,
    /// A window that is never open.
    #[error("the key {0} is never valid: its not_after is not later than its not_before")]
    NeverValid(Arc<str>),
    /// More keys than are tried.
    #[error("at most {KEYS_MAX} keys in all, {0} are given; retire some")]
    TooMany(usize),
}

#[derive(Clone)]
pub(crate) enum Material {
    Hmac(Hmac<Sha256>),
    Ed25519(Box<VerifyingKey>),
}

/// One key. Prints its id, tenant, algorithm and window, never the key.
#[derive(Clone)]
pub struct Key {
    id: Arc<str>,
    tenant: Tenant,
    window: Window,
    /// Tells equal keys apart from others; says nothing of the secret.
    fingerprint: [u8; 32],
    pub(crate) material: Material,
}

impl Key {
    /// An HMAC key: the bytes as they are, never decoded. Without an id it gets the one that a
    /// rotation keeps: hex of the first eight bytes of HMAC-SHA256(key, "flk key id").
    ///
    /// # Errors
    /// [`KeyError`], where the secret is empty or the id or window can not serve.
    pub fn hmac(id: Option<&str>, tenant: Tenant, secret: &[u8], window: Window) -> Result<Self, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::Empty);
        }
        let keyed = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| KeyError::Empty)?;
        let fingerprint = keyed.clone().chain_update(b"flk key id").finalize().into_bytes().into();
        Self::new(id, tenant, window, fingerprint, Material::Hmac(keyed))
    }

    /// An Ed25519 public key in base64. Without an id: hex of the first eight bytes of its SHA-256.
    ///
    /// # Errors
    /// [`KeyError`], where it is not a key, not canonical, weak, or the id or window can not serve.
    pub fn ed25519(id: Option<&str>, tenant: Tenant, public_b64: &str, window: Window) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(public_b64.trim()).map_err(|_| KeyError::NotAPublicKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::NotAPublicKey)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotCanonical)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        if key.to_edwards().compress().to_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        Self::new(id, tenant, window, Sha256::digest(bytes).into(), Material::Ed25519(Box::new(key)))
    }

    fn new(
        id: Option<&str>,
        tenant: Tenant,
        window: Window,
        fingerprint: [u8; 32],
        material: Material,
    ) -> Result<Self, KeyError> {
        let id: Arc<str> = match id {
            Some(id) if !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_graphic()) => id.into(),
            Some(_) => return Err(KeyError::BadId),
            None => hex::encode(fingerprint.first_chunk::<8>().unwrap_or(&[0; 8])).into(),
        };
        if let (Some(from), Some(to)) = (window.not_before, window.not_after)
            && to <= from
        {
            return Err(KeyError::NeverValid(id));
        }
        Ok(Self { id, tenant, window, fingerprint, material })
    }

    /// The name that results carry.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Whose key it is.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// What it is for.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Hmac(_) => Algorithm::Hmac,
            Material::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// When it is valid.
    pub fn window(&self) -> Window {
        self.window
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("tenant", &self.tenant)
            .field("algorithm", &self.algorithm())
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// All keys of a service: at most 64, none shared by two tenants.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

impl Keyring {
    /// Checks the keys against each other. The same key given twice to one tenant counts once.
    ///
    /// # Errors
    /// [`KeyError::SharedByTenants`], [`KeyError::IdTwice`] or [`KeyError::TooMany`].
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        let mut kept: Vec<Key> = Vec::with_capacity(keys.len().min(KEYS_MAX));
        for key in keys {
            let mut again = false;
            for other in &kept {
                let same = other.fingerprint == key.fingerprint;
                if same && other.tenant != key.tenant {
                    return Err(KeyError::SharedByTenants(other.tenant.clone(), key.tenant));
                }
                if !same && other.tenant == key.tenant && other.id == key.id {
                    return Err(KeyError::IdTwice { tenant: key.tenant, id: key.id });
                }
                again |= same && other.window == key.window;
            }
            if !again {
                kept.push(key);
            }
        }
        if kept.len() > KEYS_MAX {
            return Err(KeyError::TooMany(kept.len()));
        }
        Ok(Self { keys: kept })
    }

    /// The keys that may be tried at `at`, of the named tenant if one is named.
    pub fn valid<'a>(&'a self, at: LogTime, tenant: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.keys
            .iter()
            .filter(move |key| key.window.contains(at) && tenant.is_none_or(|name| name == key.tenant.as_str()))
    }

    /// All keys, valid or not.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// Whether a key of that tenant has that id: a replay that lacks it says so.
    pub fn knows(&self, tenant: &Tenant, id: &str) -> bool {
        self.keys.iter().any(|key| key.tenant == *tenant && *key.id == *id)
    }

    /// Whether some key's window opens or closes between two times, so that a verdict given at one
    /// may differ at the other.
    pub fn changes_between(&self, a: LogTime, b: LogTime) -> bool {
        let (from, to) = (a.min(b), a.max(b));
        let inside = |edge: Option<LogTime>| edge.is_some_and(|edge| from < edge && edge <= to);
        self.keys.iter().any(|key| inside(key.window.not_before) || inside(key.window.not_after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hmac(id: Option<&str>, tenant: &str, secret: &str) -> Key {
        Key::hmac(id, Tenant::new(tenant).unwrap(), secret.as_bytes(), Window::default()).unwrap()
    }

    #[test]
    fn no_key_is_shared_by_two_tenants() {
        let error = Keyring::new(vec![hmac(None, "a", "s"), hmac(None, "b", "s")]).unwrap_err();
        assert!(matches!(error, KeyError::SharedByTenants(..)), "{error}");
        // HMAC pads with zeros, so that these are one key too.
        let error = Keyring::new(vec![hmac(None, "a", "s"), hmac(None, "b", "s\0")]).unwrap_err();
        assert!(matches!(error, KeyError::SharedByTenants(..)), "{error}");
    }

    #[test]
    fn the_same_key_twice_counts_once_and_an_id_names_one_key() {
        assert_eq!(Keyring::new(vec![hmac(None, "a", "s"), hmac(None, "a", "s")]).unwrap().iter().count(), 1);
        let error = Keyring::new(vec![hmac(Some("k"), "a", "s"), hmac(Some("k"), "a", "t")]).unwrap_err();
        assert!(matches!(error, KeyError::IdTwice { .. }), "{error}");
        assert!(Keyring::new(vec![hmac(Some("k"), "a", "s"), hmac(Some("k"), "b", "t")]).is_ok());
    }

    #[test]
    fn at_most_sixty_four_keys() {
        let keys = |n: usize| (0..n).map(|n| hmac(None, "a", &format!("s{n}"))).collect();
        assert!(Keyring::new(keys(64)).is_ok());
        assert_eq!(Keyring::new(keys(65)).unwrap_err(), KeyError::TooMany(65));
    }

    #[test]
    fn a_window_is_closed_below_and_open_above_and_its_edges_are_noticed() {
        let at = LogTime::from_millis;
        let window = Window { not_before: Some(at(10)), not_after: Some(at(20)) };
        let key = Key::hmac(None, Tenant::default_tenant(), b"s", window).unwrap();
        let ring = Keyring::new(vec![key]).unwrap();
        let valid = |t| ring.valid(at(t), None).count() == 1;
        assert_eq!([9, 10, 19, 20].map(valid), [false, true, true, false]);
        for (from, to, changes) in
            [(0, 9, false), (9, 10, true), (10, 19, false), (19, 20, true), (25, 15, true), (20, 99, false)]
        {
            assert_eq!(ring.changes_between(at(from), at(to)), changes, "{from} to {to}");
            for t in from.min(to)..from.max(to) {
                assert!(changes || valid(t) == valid(t + 1));
            }
        }
    }

    #[test]
    fn a_key_prints_no_secret() {
        let text = format!("{:?}", hmac(None, "a", "hunter2"));
        assert!(!text.contains("hunter2") && text.contains("Hmac"), "{text}");
    }
}
