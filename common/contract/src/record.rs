//! The record: a body's bytes become a [`Record`], or are [`Malformed`] (check 1, contract section 1).
//!
//! Only what is signed or judged is kept; the rest is read by the same strict rules and dropped.
//! Whether the numbers make sense is not asked here: that is checks 2 to 10.

use core::fmt;
use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::{
    json::{Field, Keys, Kind, NumberToken, Text, Trace, Walk, integer},
    limits::{BODY_BYTES_MAX, N_J_MAX, NAME_BYTES_MAX, PCS_ID_BYTES_MAX, SCALES_MAX, WORD_BYTES_MAX},
    number::Nano,
};

/// What of a PCS is signed or judged. Strings are borrowed from the body where they can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// As claimed; derived or not is check 3.
    pub pcs_id: Cow<'a, str>,
    /// Name of the schema (check 4).
    pub schema: Cow<'a, str>,
    /// Version of the schema (check 4).
    pub version: Cow<'a, str>,
    /// Which stream of events.
    pub shard_id: Cow<'a, str>,
    /// Which part of the stream; 0 to 2^63−1.
    pub epoch: i64,
    /// Cells per unit, in the order given; above 0 or not is check 5.
    pub scales: Vec<i128>,
    /// Distinct cells by scale, sorted by key; positive or not is check 5.
    pub n_j: Vec<(Cow<'a, str>, i128)>,
    /// Claimed directional coherence.
    pub coh_star: Nano,
    /// Claimed fractal slope.
    pub d_hat: Nano,
    /// Claimed compressibility.
    pub r: Nano,
    /// Claimed budget.
    pub budget: Nano,
    /// Claimed regime (check 8).
    pub regime: Cow<'a, str>,
    /// Root over the raw data; hex by convention.
    pub merkle_root: Cow<'a, str>,
    /// The signature as it came; `None` where the field is absent.
    pub sig: Option<Cow<'a, str>>,
    /// `ft.degraded`; false when absent.
    pub degraded: bool,
}

/// Why a body is not a well-formed record. Quotes nothing of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Malformed {
    detail: String,
}

impl Malformed {
    fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }
}

impl<'a> Record<'a> {
    /// Parses a body by every rule of contract section 1.
    ///
    /// # Errors
    /// [`Malformed`], with what was expected and where.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Malformed::new(format!(
                "a record is at most {BODY_BYTES_MAX} bytes, this one has {}",
                body.len()
            )));
        }
        let text = simdutf8::compat::from_utf8(body)
            .map_err(|e| Malformed::new(format!("the body is not UTF-8 from byte {} on", e.valid_up_to())))?;
        let first = text.trim_start_matches([' ', '\t', '\n', '\r']).as_bytes().first();
        if first != Some(&b'{') {
            return Err(Malformed::new("expected one JSON object, from its opening brace on, without a BOM"));
        }
        let trace = Trace::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = deserializer
            .deserialize_map(RecordVisitor { trace: &trace })
            .and_then(|fields| deserializer.end().map(|()| fields))
            .map_err(|error| explain(&trace, &error))?;
        fields.complete()
    }
}

/// Says where and what without a word of the body: serde_json's own words only where they are fixed.
fn explain(trace: &Trace, error: &serde_json::Error) -> Malformed {
    let place = format!("line {} column {}", error.line(), error.column());
    let field = trace.field.get();
    Malformed::new(match (trace.fault.get(), field) {
        (Some(fault), Some(field)) => format!("{}: {fault} (at {place})", field.name),
        (Some(fault), None) => format!("{fault} (at {place})"),
        (None, Some(field)) if error.is_data() => format!("{} must be {} (at {place})", field.name, field.expected),
        (None, None) if error.is_data() => format!("a value of another type was expected (at {place})"),
        (None, _) => format!("not JSON: {error}"),
    })
}

/// The fields as they come; each at most once.
#[derive(Default)]
struct Fields<'a> {
    pcs_id: Option<Cow<'a, str>>,
    schema: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    shard_id: Option<Cow<'a, str>>,
    epoch: Option<i64>,
    scales: Option<Vec<i128>>,
    n_j: Option<Vec<(Cow<'a, str>, i128)>>,
    coh_star: Option<Nano>,
    d_hat: Option<Nano>,
    r: Option<Nano>,
    budget: Option<Nano>,
    regime: Option<Cow<'a, str>>,
    merkle_root: Option<Cow<'a, str>>,
    sig: Option<Cow<'a, str>>,
    ft: Option<Ft>,
}

#[derive(Clone, Copy, Default)]
struct Ft {
    degraded: Option<bool>,
}

impl<'a> Fields<'a> {
    fn complete(self) -> Result<Record<'a>, Malformed> {
        let missing = |name: &str| Malformed::new(format!("{name} is missing: it is a required field"));
        Ok(Record {
            pcs_id: self.pcs_id.ok_or_else(|| missing("pcs_id"))?,
            schema: self.schema.ok_or_else(|| missing("schema"))?,
            version: self.version.ok_or_else(|| missing("version"))?,
            shard_id: self.shard_id.ok_or_else(|| missing("shard_id"))?,
            epoch: self.epoch.ok_or_else(|| missing("epoch"))?,
            scales: self.scales.ok_or_else(|| missing("scales"))?,
            n_j: self.n_j.ok_or_else(|| missing("N_j"))?,
            coh_star: self.coh_star.ok_or_else(|| missing("coh_star"))?,
            d_hat: self.d_hat.ok_or_else(|| missing("D_hat"))?,
            r: self.r.ok_or_else(|| missing("r"))?,
            budget: self.budget.ok_or_else(|| missing("budget"))?,
            regime: self.regime.ok_or_else(|| missing("regime"))?,
            merkle_root: self.merkle_root.ok_or_else(|| missing("merkle_root"))?,
            sig: self.sig,
            degraded: self.ft.and_then(|ft| ft.degraded).unwrap_or(false),
        })
    }
}

const FLOAT: &str = "a number below 1e15 in magnitude";

struct RecordVisitor<'t> {
    trace: &'t Trace,
}

impl<'de> Visitor<'de> for RecordVisitor<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a PCS object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        let mut other = Keys::default();
        while let Some(key) = map.next_key_seed(Text)? {
            let mut slot = Slot { map: &mut map, trace: self.trace };
            match key.as_ref() {
                "pcs_id" => {
                    slot.text(&mut fields.pcs_id, "pcs_id", "a string of at most 128 bytes", 0, PCS_ID_BYTES_MAX)?
                }
                "schema" => slot.text(&mut fields.schema, "schema", "a string of 1 to 32 bytes", 1, WORD_BYTES_MAX)?,
                "version" => {
                    slot.text(&mut fields.version, "version", "a string of 1 to 32 bytes", 1, WORD_BYTES_MAX)?
                }
                "shard_id" => {
                    slot.text(&mut fields.shard_id, "shard_id", "a string of 1 to 256 bytes", 1, NAME_BYTES_MAX)?
                }
                "regime" => {
                    slot.text(&mut fields.regime, "regime", "a string of at most 32 bytes", 0, WORD_BYTES_MAX)?
                }
                "merkle_root" => {
                    slot.text(&mut fields.merkle_root, "merkle_root", "a string of 1 to 256 bytes", 1, NAME_BYTES_MAX)?;
                }
                "sig" => slot.text(&mut fields.sig, "sig", "a string, or left out", 0, usize::MAX)?,
                "epoch" => {
                    let epoch = |token: &str| integer(token).and_then(|n| i64::try_from(n).ok()).filter(|n| *n >= 0);
                    slot.number(&mut fields.epoch, "epoch", "an integer from 0 to 2^63-1", epoch)?;
                }
                "coh_star" => slot.number(&mut fields.coh_star, "coh_star", FLOAT, Nano::from_token)?,
                "D_hat" => slot.number(&mut fields.d_hat, "D_hat", FLOAT, Nano::from_token)?,
                "r" => slot.number(&mut fields.r, "r", FLOAT, Nano::from_token)?,
                "budget" => slot.number(&mut fields.budget, "budget", FLOAT, Nano::from_token)?,
                "scales" => {
                    slot.seed(&mut fields.scales, "scales", "an array of 1 to 64 integers in -2^63..2^64-1", Scales)?
                }
                "N_j" => {
                    let seed = CellCounts { trace: self.trace };
                    slot.seed(&mut fields.n_j, "N_j", "an object of at most 256 integers in -2^63..2^64-1", seed)?;
                }
                "ft" => {
                    let seed = FtSeed { trace: self.trace };
                    slot.seed(&mut fields.ft, "ft", "an object whose degraded, when there, is true or false", seed)?;
                }
                _ => {
                    other.push(key);
                    map.next_value_seed(Walk { trace: self.trace, depth: 1 })?;
                }
            }
            self.trace.field.set(None);
        }
        other.all_differ(self.trace)?;
        Ok(fields)
    }
}

/// The value of a known key on its way into its field.
struct Slot<'m, 't, A> {
    map: &'m mut A,
    trace: &'t Trace,
}

impl<'de, A: MapAccess<'de>> Slot<'_, '_, A> {
    fn seed<T, S: DeserializeSeed<'de, Value = T>>(
        &mut self,
        field: &mut Option<T>,
        name: &'static str,
        expected: &'static str,
        seed: S,
    ) -> Result<(), A::Error> {
        self.trace.field.set(Some(Field { name, expected }));
        if field.is_some() {
            return Err(self.trace.refuse("the key stands twice"));
        }
        *field = Some(self.map.next_value_seed(seed)?);
        Ok(())
    }

    fn text(
        &mut self,
        field: &mut Option<Cow<'de, str>>,
        name: &'static str,
        expected: &'static str,
        min: usize,
        max: usize,
    ) -> Result<(), A::Error> {
        self.seed(field, name, expected, Text)?;
        match field {
            Some(text) if (min..=max).contains(&text.len()) => Ok(()),
            _ => Err(A::Error::custom(expected)),
        }
    }

    fn number<T>(
        &mut self,
        field: &mut Option<T>,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<(), A::Error> {
        let mut token = field.is_some().then_some("");
        self.seed(&mut token, name, expected, NumberToken)?;
        *field = token.and_then(read);
        if field.is_some() { Ok(()) } else { Err(A::Error::custom(expected)) }
    }
}

struct Scales;

impl<'de> DeserializeSeed<'de> for Scales {
    type Value = Vec<i128>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Scales {
    type Value = Vec<i128>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut scales = Vec::with_capacity(8);
        while let Some(token) = elements.next_element_seed(NumberToken)? {
            let scale = integer(token).ok_or_else(|| A::Error::custom("expected an integer"))?;
            if scales.len() == SCALES_MAX {
                return Err(A::Error::custom("too many scales"));
            }
            scales.push(scale);
        }
        if scales.is_empty() { Err(A::Error::custom("no scale")) } else { Ok(scales) }
    }
}

struct CellCounts<'t> {
    trace: &'t Trace,
}

impl<'de> DeserializeSeed<'de> for CellCounts<'_> {
    type Value = Vec<(Cow<'de, str>, i128)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for CellCounts<'_> {
    type Value = Vec<(Cow<'de, str>, i128)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut counts: Self::Value = Vec::with_capacity(8);
        while let Some(key) = entries.next_key_seed(Text)? {
            if counts.len() == N_J_MAX {
                return Err(A::Error::custom("too many entries"));
            }
            let token = entries.next_value_seed(NumberToken)?;
            counts.push((key, integer(token).ok_or_else(|| A::Error::custom("expected an integer"))?));
        }
        counts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if counts.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
            return Err(self.trace.refuse("a key stands twice"));
        }
        Ok(counts)
    }
}

struct FtSeed<'t> {
    trace: &'t Trace,
}

impl<'de> DeserializeSeed<'de> for FtSeed<'_> {
    type Value = Ft;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FtSeed<'_> {
    type Value = Ft;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut ft = Ft::default();
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key_seed(Text)? {
            let kind = entries.next_value_seed(Walk { trace: self.trace, depth: 2 })?;
            if key == "degraded" {
                ft.degraded = match kind {
                    Kind::Bool(value) => Some(value),
                    Kind::Other => return Err(A::Error::custom("degraded is not a boolean")),
                };
            }
            keys.push(key);
        }
        keys.all_differ(self.trace)?;
        Ok(ft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_the_field_and_quotes_nothing() {
        for (body, detail) in [
            (r#"{"epoch": "secret"}"#, "epoch must be an integer from 0 to 2^63-1"),
            (r#"{"ft": "secret"}"#, "ft must be an object whose degraded, when there, is true or false"),
            (r#"{"x": {"secret": 1, "secret": 2}}"#, "a key stands twice in one object"),
            (r#""secret""#, "expected one JSON object, from its opening brace on, without a BOM"),
            (r#"{"schema": 17}"#, "schema must be a string of 1 to 32 bytes"),
            ("{}", "pcs_id is missing: it is a required field"),
        ] {
            let told = Record::parse(body.as_bytes()).unwrap_err().to_string();
            assert_eq!(told.split(" (at line").next(), Some(detail), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
