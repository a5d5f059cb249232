//! Whether a record is authentic (check 2, contract section 2), and how to sign one.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    Digest, LogTime, Record, Tenant, canonical,
    keys::{Algorithm, Key, Keyring, Material},
};

/// What a signature covers, as results name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The eight fields of the payload.
    Payload,
    /// All that is judged.
    Content,
}

impl Form {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Content => "content",
        }
    }
}

impl core::fmt::Display for Form {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which signatures are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// None is asked for, and none is looked at (`PCS_SIGN_ALG=none`).
    Off,
    /// One that holds under a valid key.
    Required {
        /// HMAC keys are tried.
        hmac: bool,
        /// Ed25519 keys are tried.
        ed25519: bool,
        /// The least that a signature has to cover (`PCS_SIGN_SCOPE`): with `Content` only the
        /// content forms are taken, with `Payload` all.
        scope: Form,
    },
}

impl Signing {
    fn takes(self, algorithm: Algorithm) -> bool {
        match (self, algorithm) {
            (Self::Off, _) => false,
            (Self::Required { hmac, .. }, Algorithm::Hmac) => hmac,
            (Self::Required { ed25519, .. }, Algorithm::Ed25519) => ed25519,
        }
    }
}

/// Canonical bytes of a record and their digests, made once.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The payload's bytes: one form of HMAC is over these.
    pub payload: String,
    /// SHA-256 of the payload.
    pub payload_sha256: Digest,
    /// SHA-256 of the content.
    pub content_sha256: Digest,
}

impl Signed {
    /// Writes and hashes what can be signed of a record.
    pub fn of(record: &Record<'_>) -> Self {
        let (payload, content) = canonical::payload_and_content(record);
        Self { payload_sha256: Digest::of(payload.as_bytes()), content_sha256: Digest::of(content.as_bytes()), payload }
    }
}

/// The key and form that held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose key it was.
    pub tenant: Tenant,
    /// Which key; `None` with signing off.
    pub key_id: Option<Arc<str>>,
    /// What the signature covers; `None` with signing off.
    pub form: Option<Form>,
}

/// Everything that it can be where a signature is one and holds under no key.
const NO_KEY_HOLDS: &str = "sig does not hold under any key that is valid at the record's time: the record was changed \
                            after signing, or signed with another key or form, or the key's window has not begun or \
                            has ended, or the tenant named beside the record is not the key's";

/// Why a record is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthentic {
    /// No `sig`, or an empty one.
    #[error("the record is not signed: sig is missing or empty; sign it with a key of this service")]
    Unsigned,
    /// Not canonical standard base64.
    #[error("sig is not standard padded base64 without spare bits; encode the raw signature so")]
    NotBase64,
    /// No accepted algorithm makes signatures of that length.
    #[error(
        "sig has {0} bytes; an HMAC-SHA256 has 32, an Ed25519 signature 64, and the algorithm must be one this service takes"
    )]
    Length(usize),
    /// No key could be tried.
    #[error("no key for this signature is valid at the record's time, for the tenant named if one is named")]
    NoKey,
    /// Keys were tried, none held.
    #[error(
        "sig does not hold under any valid key: the record was changed after signing, or signed with another key or form"
    )]
    NoneHolds,
}

impl Unauthentic {
    /// What whoever sent the record is told. Where a signature is one and holds under no key, the
    /// words are the same whatever the reason: whoever has no key must not learn which tenants
    /// there are and when they have keys.
    pub fn told(self) -> String {
        match self {
            Self::NoKey | Self::NoneHolds => NO_KEY_HOLDS.to_owned(),
            Self::Unsigned | Self::NotBase64 | Self::Length(_) => self.to_string(),
        }
    }
}

/// Finds the key and form under which a record's signature holds. Every valid key is tried (of the
/// named tenant, if one is named); comparisons take constant time.
///
/// # Errors
/// [`Unauthentic`], and why.
pub fn verify(
    sig: Option<&str>,
    signed: &Signed,
    at: LogTime,
    tenant: Option<&str>,
    signing: Signing,
    keys: &Keyring,
) -> Result<Held, Unauthentic> {
    let Signing::Required { scope, .. } = signing else {
        let tenant = tenant.map_or_else(|| Ok(Tenant::default_tenant()), Tenant::new);
        return Ok(Held { tenant: tenant.map_err(|_| Unauthentic::NoKey)?, key_id: None, form: None });
    };
    let sig = sig.filter(|sig| !sig.is_empty()).ok_or(Unauthentic::Unsigned)?;
    // Longer ones do not fit and are none.
    let mut raw = [0; 96];
    let raw = match STANDARD.decode_slice(sig, &mut raw) {
        Ok(len) => raw.get(..len).unwrap_or_default(),
        Err(_) => return Err(Unauthentic::NotBase64),
    };
    let wanted = match raw.len() {
        32 if signing.takes(Algorithm::Hmac) => Algorithm::Hmac,
        64 if signing.takes(Algorithm::Ed25519) => Algorithm::Ed25519,
        other => return Err(Unauthentic::Length(other)),
    };
    let mut tried = false;
    for key in keys.valid(at, tenant).filter(|key| key.algorithm() == wanted) {
        tried = true;
        if let Some(form) = holds(key, raw, signed, scope) {
            return Ok(Held { tenant: key.tenant().clone(), key_id: Some(key.id().clone()), form: Some(form) });
        }
    }
    Err(if tried { Unauthentic::NoneHolds } else { Unauthentic::NoKey })
}

/// The form in which a signature holds under one key. The content form, which our own agent
/// signs, comes first: it is the only one that costs an Ed25519 key a single verification.
fn holds(key: &Key, raw: &[u8], signed: &Signed, scope: Form) -> Option<Form> {
    let payload_too = scope == Form::Payload;
    match &key.material {
        Material::Hmac(keyed) => {
            let covers = |bytes: &[u8]| keyed.clone().chain_update(bytes).verify_slice(raw).is_ok();
            if covers(signed.content_sha256.as_bytes()) {
                return Some(Form::Content);
            }
            let payload =
                payload_too && (covers(signed.payload_sha256.as_bytes()) || covers(signed.payload.as_bytes()));
            payload.then_some(Form::Payload)
        }
        Material::Ed25519(public) => {
            let signature = Signature::from_slice(raw).ok()?;
            if public.verify_strict(signed.content_sha256.as_bytes(), &signature).is_ok() {
                return Some(Form::Content);
            }
            let payload = payload_too && public.verify_strict(signed.payload_sha256.as_bytes(), &signature).is_ok();
            payload.then_some(Form::Payload)
        }
    }
}

/// The forms of an HMAC signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HmacForm {
    /// HMAC-SHA256(key, payload_sha256): the usual form.
    PayloadDigest,
    /// HMAC-SHA256(key, payload): how other agents of the field sign.
    Payload,
    /// HMAC-SHA256(key, content_sha256): covers everything that is judged.
    ContentDigest,
}

/// Signs with a shared secret; the value of `sig`.
pub fn sign_hmac(secret: &[u8], signed: &Signed, form: HmacForm) -> String {
    let bytes = match form {
        HmacForm::PayloadDigest => signed.payload_sha256.as_bytes().as_slice(),
        HmacForm::Payload => signed.payload.as_bytes(),
        HmacForm::ContentDigest => signed.content_sha256.as_bytes().as_slice(),
    };
    // HMAC takes keys of any length; this never fails.
    Hmac::<Sha256>::new_from_slice(secret)
        .map(|keyed| STANDARD.encode(keyed.chain_update(bytes).finalize().into_bytes()))
        .unwrap_or_default()
}

/// Signs with an Ed25519 private key (its 32-byte seed); the value of `sig`.
pub fn sign_ed25519(seed: &[u8; 32], signed: &Signed, form: Form) -> String {
    let digest = match form {
        Form::Payload => &signed.payload_sha256,
        Form::Content => &signed.content_sha256,
    };
    STANDARD.encode(SigningKey::from_bytes(seed).sign(digest.as_bytes()).to_bytes())
}

/// The public key of an Ed25519 private key, in base64, as `PCS_ED25519_PUB_B64` takes it.
pub fn ed25519_public(seed: &[u8; 32]) -> String {
    STANDARD.encode(SigningKey::from_bytes(seed).verifying_key().as_bytes())
}
