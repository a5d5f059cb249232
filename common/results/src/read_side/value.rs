//! The compact value of a settled result on a read side: at most [`VALUE_BYTES_MAX`] bytes, whatever
//! was settled. The id is in its key; log and topic are the read side's.
//!
//! A version, a mark of log and topic, how the key id is written, then the form of the index
//! ([`codec`]) without it. The mark keeps results of a log that was there before, or of a topic with
//! another prefix, from being read as this one's. A key id of 16 hex digits, as keys have by default,
//! takes eight bytes; a long one is kept apart, once for all results, and named by its digest. One
//! result has one form: whatever [`decode`] takes, [`encode`] writes again with the same bytes.
//!
//! This room knows bytes only; where they are kept is not its business.

use std::sync::Arc;

use flk_contract::{Digest, LogId, Settled, Tenant};

use super::Subject;
use crate::codec::{self, NotSettled, Undecodable};

/// No value of a result that the judge lets settle is longer.
pub const VALUE_BYTES_MAX: usize = 128;

const VERSION: u8 = 1;
const MARK: usize = 4;

/// How the key id is written.
const NONE: u8 = 0;
const HEX: u8 = 1;
const TEXT: u8 = 2;
const APART: u8 = 3;

/// The first bytes of a long key id's digest.
pub type KeyIdName = [u8; 8];

/// What is stored for a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The value.
    pub value: Vec<u8>,
    /// The key id that is kept apart, if it is.
    pub key_id: Option<(KeyIdName, Arc<str>)>,
}

/// What stored bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The result.
    Settled(Box<Settled>),
    /// One whose key id has to be fetched.
    Apart(KeyIdName, Box<Settled>),
    /// A result of another log or topic.
    OfAnother,
}

/// The name of a key id that is kept apart.
pub fn name(key_id: &str) -> KeyIdName {
    let mut name = KeyIdName::default();
    name.iter_mut().zip(Digest::of(key_id.as_bytes()).as_bytes()).for_each(|(to, from)| *to = *from);
    name
}

/// What is stored for a result.
///
/// # Errors
/// [`NotSettled`].
pub fn encode(settled: &Settled) -> Result<Stored, NotSettled> {
    let position = &settled.origin.position;
    let mut value = vec![VERSION];
    value.extend(mark(&position.log, &position.topic));

    let mut without = settled.clone();
    let key_id = without.facts.key_id.take();
    let mut rest = Vec::new();
    codec::encode(&without, &mut rest)?;

    let mut apart = None;
    match key_id {
        None => value.push(NONE),
        Some(key_id) => {
            if let Some(raw) = short(&key_id) {
                value.push(HEX);
                value.extend(raw);
            } else if let Some(len) = fits(&key_id, rest.len()) {
                value.extend([TEXT, len]);
                value.extend(key_id.bytes());
            } else {
                value.push(APART);
                value.extend(name(&key_id));
                apart = Some((name(&key_id), key_id));
            }
        }
    }
    value.extend(rest);
    Ok(Stored { value, key_id: apart })
}

/// Reads what was stored for the result of `tenant` and `pcs_id`.
///
/// # Errors
/// [`Undecodable`] for what [`encode`] does not write.
pub fn decode(subject: &Subject, tenant: Tenant, pcs_id: Arc<str>, value: &[u8]) -> Result<Decoded, Undecodable> {
    let (&version, rest) = value.split_first().ok_or(Undecodable::Short)?;
    if version != VERSION {
        return Err(Undecodable::Version(version));
    }
    let (of, rest) = rest.split_first_chunk::<MARK>().ok_or(Undecodable::Short)?;
    if *of != mark(&subject.log, &subject.topic) {
        return Ok(Decoded::OfAnother);
    }
    let (&form, mut rest) = rest.split_first().ok_or(Undecodable::Short)?;
    let mut eight = || {
        let (bytes, after) = rest.split_first_chunk::<8>().ok_or(Undecodable::Short)?;
        rest = after;
        Ok(*bytes)
    };
    let (mut key_id, mut apart) = (None, None);
    match form {
        NONE => {}
        HEX => key_id = Some(hex::encode(eight()?).into()),
        APART => apart = Some(eight()?),
        TEXT => {
            let (&len, after) = rest.split_first().ok_or(Undecodable::Short)?;
            let (text, after) = after.split_at_checked(len.into()).ok_or(Undecodable::Short)?;
            key_id = Some(core::str::from_utf8(text).map_err(|_| Undecodable::KeyId)?.into());
            rest = after;
        }
        _ => return Err(Undecodable::Flags),
    }
    let mut settled = Box::new(codec::decode(&subject.log, &subject.topic, tenant, pcs_id, rest)?);
    let written_so = key_id.as_deref().is_none_or(|id: &str| match form {
        TEXT => short(id).is_none() && fits(id, rest.len()).is_some(),
        _ => true,
    });
    if settled.facts.key_id.is_some() || !written_so {
        return Err(Undecodable::Flags);
    }
    settled.facts.key_id = key_id;
    Ok(match apart {
        Some(name) => Decoded::Apart(name, settled),
        None => Decoded::Settled(settled),
    })
}

/// The bytes of a key id of 16 lower-case hex digits.
fn short(key_id: &str) -> Option<[u8; 8]> {
    let mut raw = [0; 8];
    let lower = !key_id.bytes().any(|byte| byte.is_ascii_uppercase());
    (lower && hex::decode_to_slice(key_id.as_bytes(), &mut raw).is_ok()).then_some(raw)
}

/// The length of a key id, if there is room for it beside the rest of the value.
fn fits(key_id: &str, rest: usize) -> Option<u8> {
    let len = u8::try_from(key_id.len()).ok()?;
    (1 + MARK + 2 + usize::from(len) + rest <= VALUE_BYTES_MAX).then_some(len)
}

fn mark(log: &LogId, topic: &str) -> [u8; MARK] {
    let text = [log.as_str(), topic].join("\0");
    let mut mark = [0; MARK];
    mark.iter_mut().zip(Digest::of(text.as_bytes()).as_bytes()).for_each(|(to, from)| *to = *from);
    mark
}
