//! Canonical bytes and their digests (contract section 2).
//!
//! Written exactly as Python's `json.dumps(…, sort_keys=True, separators=(",", ":"))` writes them:
//! keys sorted bytewise, no spaces, ASCII only. The keys are sorted here, by hand, once.

use core::fmt::{self, Write as _};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::Record;

/// A SHA-256 digest; written as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time.
    pub fn same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 64];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| serde::de::Error::custom("expected 64 hex digits, a SHA-256 digest"))?;
        Ok(Self(bytes))
    }
}

/// The payload of a record: the eight fields that every signature form covers.
pub fn payload(record: &Record<'_>) -> String {
    write_payload(record).0
}

/// The content of a record: all that is judged.
pub fn content(record: &Record<'_>) -> String {
    payload_and_content(record).1
}

/// Both, for little more than the price of the content: it is the payload with more in between.
pub fn payload_and_content(record: &Record<'_>) -> (String, String) {
    let (payload, cuts) = write_payload(record);
    let [to_budget, to_epoch, to_shard_id] = cuts;
    let piece = |from: usize, to: usize| payload.get(from..to).unwrap_or_default();
    let mut out = String::with_capacity(payload.len() + 384);
    out.push_str(piece(0, to_budget));
    out.push_str(",\"N_j\":{");
    // N_j is kept sorted by its UTF-8 bytes, which is the order of code points, as Python sorts.
    for (n, (scale, count)) in record.n_j.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        write_string(scale, &mut out);
        write_integer(":", *count, &mut out);
    }
    out.push('}');
    out.push_str(piece(to_budget, to_epoch));
    out.push_str(if record.degraded { ",\"degraded\":true" } else { ",\"degraded\":false" });
    out.push_str(piece(to_epoch, to_shard_id));
    out.push_str(",\"regime\":");
    write_string(&record.regime, &mut out);
    out.push_str(",\"scales\":[");
    for (n, scale) in record.scales.iter().enumerate() {
        write_integer(if n > 0 { "," } else { "" }, *scale, &mut out);
    }
    out.push_str("],\"schema\":");
    write_string(&record.schema, &mut out);
    out.push_str(piece(to_shard_id, payload.len() - 1));
    out.push_str(",\"version\":");
    write_string(&record.version, &mut out);
    out.push('}');
    (payload, out)
}

/// The payload, and where its budget, epoch and shard_id begin: there the content says more.
fn write_payload(record: &Record<'_>) -> (String, [usize; 3]) {
    let mut out = String::with_capacity(384);
    out.push_str("{\"D_hat\":");
    record.d_hat.write_repr(&mut out);
    let to_budget = out.len();
    out.push_str(",\"budget\":");
    record.budget.write_repr(&mut out);
    out.push_str(",\"coh_star\":");
    record.coh_star.write_repr(&mut out);
    let to_epoch = out.len();
    write_integer(",\"epoch\":", i128::from(record.epoch), &mut out);
    out.push_str(",\"merkle_root\":");
    write_string(&record.merkle_root, &mut out);
    out.push_str(",\"pcs_id\":");
    write_string(&record.pcs_id, &mut out);
    out.push_str(",\"r\":");
    record.r.write_repr(&mut out);
    let to_shard_id = out.len();
    out.push_str(",\"shard_id\":");
    write_string(&record.shard_id, &mut out);
    out.push('}');
    (out, [to_budget, to_epoch, to_shard_id])
}

fn write_integer(before: &str, value: i128, out: &mut String) {
    out.push_str(before);
    // Nearly all fit 64 bits, which are cheaper to write.
    let mut buffer = itoa::Buffer::new();
    out.push_str(match i64::try_from(value) {
        Ok(value) => buffer.format(value),
        Err(_) => buffer.format(value),
    });
}

/// A JSON string in ASCII: escapes as Python's `ensure_ascii` chooses them.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    // Looked at to the end whatever comes, which takes many bytes at a time.
    let plain = |b: u8| (b' '..=b'~').contains(&b) & (b != b'"') & (b != b'\\');
    if text.bytes().fold(true, |all, b| all & plain(b)) {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                ' '..='~' => out.push(c),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
            }
        }
    }
    out.push('"');
}
