//! One strict walk over JSON (contract section 1): duplicate keys at any depth, nesting, lone
//! surrogates and numbers beyond a double are refused, also in fields that nobody judges.
//!
//! serde_json does the grammar. What it would let through is refused here; and none of its
//! messages that quote the input are ever used, since nothing of a body is echoed.

use core::{cell::Cell, fmt};
use std::borrow::Cow;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::limits::DEPTH_MAX;

/// What the walk found wrong that serde_json has no word for, and in which field it was then.
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) field: Cell<Option<Field>>,
    pub(crate) fault: Cell<Option<&'static str>>,
}

/// A field of the record and what it has to be.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) expected: &'static str,
}

impl Trace {
    /// Notes a fault and gives the error that unwinds the walk.
    pub(crate) fn refuse<E: Error>(&self, fault: &'static str) -> E {
        self.fault.set(Some(fault));
        E::custom(fault)
    }
}

const DUPLICATE: &str = "a key stands twice in one object";

/// The keys of one object, to find one that stands twice. Compared after unescaping.
#[derive(Default)]
pub(crate) struct Keys<'de>(Vec<Cow<'de, str>>);

impl<'de> Keys<'de> {
    pub(crate) fn push(&mut self, key: Cow<'de, str>) {
        self.0.push(key);
    }

    /// Sorting keeps many keys from costing their square.
    pub(crate) fn all_differ<E: Error>(mut self, trace: &Trace) -> Result<(), E> {
        self.0.sort_unstable();
        let twice = self.0.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
        if twice { Err(trace.refuse(DUPLICATE)) } else { Ok(()) }
    }
}

/// A string, borrowed from the body where it has no escapes.
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.into()))
    }
}

/// The token of a number as it stands in the body: `-0` and `-0.0` differ, and only the text
/// tells. What is not a number is refused.
pub(crate) struct NumberToken;

impl<'de> DeserializeSeed<'de> for NumberToken {
    type Value = &'de str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let token = <&RawValue>::deserialize(deserializer)?.get();
        match token.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Ok(token),
            _ => Err(D::Error::custom("expected a number")),
        }
    }
}

/// Reads an integer token in −2^63…2^64−1; `-0` is 0, `1.0` is not an integer.
pub(crate) fn integer(token: &str) -> Option<i128> {
    let signed = token.parse::<i64>().map(i128::from);
    signed.or_else(|_| token.parse::<u64>().map(i128::from)).ok()
}

/// Any value, looked at and dropped. `depth` is the level of what holds it.
#[derive(Clone, Copy)]
pub(crate) struct Walk<'t> {
    pub(crate) trace: &'t Trace,
    pub(crate) depth: usize,
}

impl Walk<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(self.trace.refuse("nesting is deeper than 64 levels"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What a walked value was, as far as a rule asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool(bool),
    Other,
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Kind, A::Error> {
        let inner = self.deeper()?;
        while values.next_element_seed(inner)?.is_some() {}
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Kind, A::Error> {
        let inner = self.deeper()?;
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key_seed(Text)? {
            keys.push(key);
            entries.next_value_seed(inner)?;
        }
        keys.all_differ(self.trace)?;
        Ok(Kind::Other)
    }
}
