//! Fills in the signature of a PCS, and leaves everything else as it is.
//!
//! What is signed, and how, are the contract's functions: the canonical bytes of the record as a
//! service will read it. In here are only the choice of a form, and the place in the text where
//! the signature goes. A body that was made elsewhere keeps every other byte: its spaces, the
//! order of its keys, its spelling of numbers, and fields that nobody here knows.

use core::fmt;
use core::ops::Range;
use core::str::FromStr;
use std::borrow::Cow;

use flk_contract::signature::{HmacForm, Signed, sign_ed25519, sign_hmac};
use flk_contract::{Form, Malformed, Record};
use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::pcs::Pcs;

/// What a signature is made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignForm {
    /// The digest of all that is judged. The default: nobody on the way can change a field that
    /// the verdict depends on.
    #[default]
    Content,
    /// The digest of the eight fields of the payload: for services that do not know the other.
    PayloadDigest,
    /// The payload itself, HMAC only: how other agents in the field sign.
    PayloadDirect,
}

impl SignForm {
    /// Every form, the default first.
    pub const ALL: [Self; 3] = [Self::Content, Self::PayloadDigest, Self::PayloadDirect];

    /// Its word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::PayloadDigest => "payload-digest",
            Self::PayloadDirect => "payload-direct",
        }
    }
}

impl fmt::Display for SignForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SignForm {
    type Err = SignError;

    fn from_str(word: &str) -> Result<Self, SignError> {
        Self::ALL.into_iter().find(|form| form.as_str() == word).ok_or_else(|| SignError::Word(word.to_owned()))
    }
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Not the name of a form.
    #[error("expected content, payload-digest or payload-direct as the form of a signature, found {0:?}")]
    Word(String),
    /// Ed25519 signs digests only.
    #[error(
        "Ed25519 has no form payload-direct: services verify it over a digest only; use content or payload-digest, or an HMAC key"
    )]
    NotForEd25519,
    /// An HMAC key of no bytes.
    #[error("the HMAC key is empty; expected the same secret that the service has")]
    EmptyKey,
    /// The body is no record, so that there is nothing to sign: a service would refuse it.
    #[error("this is not a PCS that can be signed: {0}")]
    Malformed(#[from] Malformed),
    /// What the agent holds can not be written as JSON.
    #[error("the PCS can not be written as JSON: {0}; please report this")]
    Write(String),
}

/// A key and the form that it signs. Its key is wiped from memory when it is dropped, and never
/// printed.
pub struct Signer(Secret);

enum Secret {
    Hmac { key: Zeroizing<Vec<u8>>, form: HmacForm },
    Ed25519 { seed: Zeroizing<[u8; 32]>, form: Form },
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Secret::Hmac { form, .. } => write!(f, "Signer(hmac, {form:?}, ***)"),
            Secret::Ed25519 { form, .. } => write!(f, "Signer(ed25519, {form:?}, ***)"),
        }
    }
}

impl Signer {
    /// Signs with a shared secret: its bytes as they are, never decoded.
    ///
    /// # Errors
    /// [`SignError::EmptyKey`].
    pub fn hmac(key: &[u8], form: SignForm) -> Result<Self, SignError> {
        if key.is_empty() {
            return Err(SignError::EmptyKey);
        }
        let form = match form {
            SignForm::Content => HmacForm::ContentDigest,
            SignForm::PayloadDigest => HmacForm::PayloadDigest,
            SignForm::PayloadDirect => HmacForm::Payload,
        };
        Ok(Self(Secret::Hmac { key: Zeroizing::new(key.to_vec()), form }))
    }

    /// Signs with an Ed25519 private key, given as its seed.
    ///
    /// # Errors
    /// [`SignError::NotForEd25519`].
    pub fn ed25519(seed: &[u8; 32], form: SignForm) -> Result<Self, SignError> {
        let form = match form {
            SignForm::Content => Form::Content,
            SignForm::PayloadDigest => Form::Payload,
            SignForm::PayloadDirect => return Err(SignError::NotForEd25519),
        };
        Ok(Self(Secret::Ed25519 { seed: Zeroizing::new(*seed), form }))
    }

    fn sig(&self, record: &Record<'_>) -> String {
        let signed = Signed::of(record);
        match &self.0 {
            Secret::Hmac { key, form } => sign_hmac(key, &signed, *form),
            Secret::Ed25519 { seed, form } => sign_ed25519(seed, &signed, *form),
        }
    }
}

/// Signs a PCS: sets its `sig`.
///
/// # Errors
/// [`SignError::Malformed`] if a field was set to something that no service takes.
pub fn sign(pcs: &mut Pcs, signer: &Signer) -> Result<(), SignError> {
    let body = serde_json::to_vec(pcs).map_err(|e| SignError::Write(e.to_string()))?;
    pcs.sig = signer.sig(&Record::parse(&body)?);
    Ok(())
}

/// Signs the text of a PCS: the same bytes with another value of `sig`, or, where there was none,
/// with a `sig` behind the last field.
///
/// # Errors
/// [`SignError::Malformed`] if it is no well-formed record, or would be too large once signed.
pub fn sign_bytes(body: &[u8], signer: &Signer) -> Result<Vec<u8>, SignError> {
    let sig = signer.sig(&Record::parse(body)?);
    let (at, before) = place(body).map_err(|e| SignError::Write(e.to_string()))?;
    let mut signed = Vec::with_capacity(body.len() + sig.len() + 16);
    signed.extend_from_slice(&body[..at.start]);
    signed.extend_from_slice(before.as_bytes());
    // Base64 has nothing that JSON escapes.
    signed.extend([b"\"", sig.as_bytes(), b"\""].concat());
    signed.extend_from_slice(&body[at.end..]);
    // It may be too large now.
    Record::parse(&signed)?;
    Ok(signed)
}

/// Which bytes of a body the value of `sig` takes the place of, and what goes before it. Expects a
/// well-formed record: each key once.
fn place(body: &[u8]) -> Result<(Range<usize>, &'static str), serde_json::Error> {
    let text = core::str::from_utf8(body).map_err(serde_json::Error::custom)?;
    serde_json::Deserializer::from_str(text).deserialize_map(SigPlace { text })
}

struct SigPlace<'a> {
    text: &'a str,
}

impl<'a> Visitor<'a> for SigPlace<'a> {
    type Value = (Range<usize>, &'static str);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a PCS object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut sig, mut end) = (None, None);
        while let Some((key, value)) = fields.next_entry::<Key<'a>, &'a RawValue>()? {
            // The value is a part of the text: where it begins there is where it begins here.
            let start = value.get().as_ptr() as usize - self.text.as_ptr() as usize;
            let range = start..start + value.get().len();
            end = Some(range.end);
            if key.0 == "sig" {
                sig = Some(range);
            }
        }
        match (sig, end) {
            (Some(range), _) => Ok((range, "")),
            (None, Some(end)) => Ok((end..end, ",\"sig\":")),
            (None, None) => Err(A::Error::custom("an object without fields")),
        }
    }
}

/// A key, after unescaping.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
