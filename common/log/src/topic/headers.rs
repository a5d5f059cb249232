//! What travels beside a value: which schema it has, whose request it was, and where the answer goes.
//!
//! Anybody who may produce to pcs.raw can write any header there. So none of them is trusted: each is
//! bounded when it is read, and one that can not be what it says is left out, which is never an error: a
//! record is judged by its body. The tenant alone is kept even if it can be none, because to leave it out
//! would let in a record that names a tenant it does not belong to.

use std::borrow::Cow;

use bytes::Bytes;
use flk_contract::limits::TENANT_BYTES_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Topic;
use crate::NewRecord;

/// Which schema the value has: [`Topic::schema`].
pub const SCHEMA: &str = "schema";
/// Names the request in log lines.
pub const REQUEST_ID: &str = "request-id";
/// The partition of pcs.replies that the answer goes to, in decimal.
pub const REPLY_TO: &str = "reply-to";
/// What the answer is recognised by, 32 hex digits.
pub const REPLY_ID: &str = "reply-id";
/// The tenant named beside the body (`X-Tenant-Id`), as it came.
pub const TENANT: &str = "tenant";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// Longest request id, in bytes: what HTTP lets in.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The headers that the records of a topic carry, apart from others that whoever produced them added.
pub const fn carried(topic: Topic) -> &'static [&'static str] {
    match topic {
        Topic::Raw => &[SCHEMA, REQUEST_ID, REPLY_TO, REPLY_ID, TENANT, TRACEPARENT],
        // Whose record it is has been judged, and is in the value.
        Topic::Verified => &[SCHEMA, REQUEST_ID, REPLY_TO, REPLY_ID, TRACEPARENT],
        Topic::Refused => &[SCHEMA, REQUEST_ID, TRACEPARENT],
        // A result is the same however often it is produced, and for whomever.
        Topic::Results | Topic::Replies => &[SCHEMA],
    }
}

/// 128 random bits by which whoever asked recognises the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyId(pub [u8; 16]);

impl ReplyId {
    /// Reads 32 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(Self(bytes))
    }
}

impl core::fmt::Display for ReplyId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Serialize for ReplyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ReplyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected 32 lower-case hex digits, a reply id"))
    }
}

/// Where the answer for a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyTo {
    /// The partition of pcs.replies. Not negative; whether the topic has it is for the producer to see.
    pub partition: i32,
    /// What the answer is recognised by.
    pub id: ReplyId,
}

/// What is said beside a record of pcs.raw or pcs.verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers {
    /// Names the request in log lines: 1 to 64 of `A-Za-z0-9._-`.
    pub request_id: Option<String>,
    /// Where the answer goes; `None` where nobody waits.
    pub reply: Option<ReplyTo>,
    /// The tenant named beside the body. Not checked: what can be no tenant matches none.
    pub tenant: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

impl Headers {
    /// The headers of a record on its way into pcs.raw.
    pub fn of(record: &NewRecord, reply: Option<ReplyTo>) -> Self {
        Self {
            request_id: record.request_id.clone(),
            reply,
            tenant: record.tenant.clone(),
            traceparent: record.traceparent.clone(),
        }
    }

    /// The record of pcs.raw that has these headers and that value.
    pub fn into_record(self, body: Bytes) -> NewRecord {
        NewRecord { body, tenant: self.tenant, request_id: self.request_id, traceparent: self.traceparent }
    }

    /// The headers of a topic's record, as far as the topic carries them ([`carried`]); the schema is first.
    pub fn encode(&self, topic: Topic) -> Vec<(&'static str, Cow<'_, [u8]>)> {
        fn text(text: &Option<String>) -> Option<Cow<'_, [u8]>> {
            text.as_deref().map(|text| Cow::Borrowed(text.as_bytes()))
        }
        let value = |name: &str| match name {
            SCHEMA => Some(Cow::Borrowed(topic.schema().as_bytes())),
            REQUEST_ID => text(&self.request_id),
            REPLY_TO => self.reply.map(|to| Cow::Owned(to.partition.to_string().into_bytes())),
            REPLY_ID => self.reply.map(|to| Cow::Owned(to.id.to_string().into_bytes())),
            TENANT => text(&self.tenant),
            _ => text(&self.traceparent),
        };
        carried(topic).iter().filter_map(|name| Some((*name, value(name)?))).collect()
    }

    /// Reads the headers of a record, whoever wrote it. Never fails: what can not be what it says, or is
    /// said twice, is left out; a tenant that is too long is cut to something that still is, and several
    /// are joined, so that neither matches any. A header without a value is one with an empty one.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let (mut request_id, mut reply_to, mut reply_id, mut traceparent) = <(Once, Once, Once, Once)>::default();
        let mut tenant: Option<String> = None;
        for (name, value) in pairs {
            match name {
                REQUEST_ID => request_id.say(value),
                REPLY_TO => reply_to.say(value),
                REPLY_ID => reply_id.say(value),
                TRACEPARENT => traceparent.say(value),
                TENANT => claim(&mut tenant, value),
                _ => {}
            }
        }
        let reply = || {
            let (partition, id) = (reply_to.text()?, reply_id.text()?);
            Some(ReplyTo { partition: partition_number(partition)?, id: ReplyId::parse(id)? })
        };
        Self {
            reply: reply(),
            request_id: request_id.text().filter(|id| is_request_id(id)).map(str::to_owned),
            tenant,
            traceparent: traceparent.text().filter(|value| is_traceparent(value)).map(str::to_owned),
        }
    }
}

/// What a record says of its schema; of several the last, as Kafka's own clients read headers.
pub fn schema_of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Option<&'a [u8]> {
    pairs.into_iter().filter(|(name, _)| *name == SCHEMA).map(|(_, value)| value).last()
}

/// A header that counts only if it is there once: which of two was meant can not be known.
#[derive(Default)]
enum Once<'a> {
    #[default]
    Never,
    Said(&'a [u8]),
    Repeated,
}

impl<'a> Once<'a> {
    fn say(&mut self, value: &'a [u8]) {
        *self = if matches!(self, Self::Never) { Self::Said(value) } else { Self::Repeated };
    }

    fn text(&self) -> Option<&'a str> {
        match self {
            Self::Said(value) => core::str::from_utf8(value).ok(),
            Self::Never | Self::Repeated => None,
        }
    }
}

/// Adds one claimed tenant to those that were claimed before, bounded: several are joined, and what is too
/// long is cut. One byte more than a tenant has is enough to match none.
pub fn claim(claimed: &mut Option<String>, value: &[u8]) {
    match claimed {
        Some(claimed) => claimed.push(','),
        None => *claimed = Some(String::new()),
    }
    if let Some(claimed) = claimed {
        let head = value.get(..TENANT_BYTES_MAX + 4).unwrap_or(value);
        claimed.push_str(&String::from_utf8_lossy(head));
        claimed.truncate(claimed.ceil_char_boundary(TENANT_BYTES_MAX + 1));
    }
}

/// A number as it is written here: digits, no sign, no leading zero.
fn partition_number(text: &str) -> Option<i32> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

/// Whether it names a request: 1 to 64 of `A-Za-z0-9._-`.
pub fn is_request_id(id: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(word)
}

/// Whether it is a W3C trace context: version, trace id, parent id, flags, in lower-case hex; ids not all
/// zero, version not `ff`.
pub fn is_traceparent(value: &str) -> bool {
    let mut parts = value.split('-');
    let mut part = |length: usize| {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        parts.next().filter(|part| part.len() == length && part.bytes().all(hex))
    };
    let (version, trace, parent, flags) = (part(2), part(32), part(16), part(2));
    let nonzero = |id: Option<&str>| id.is_some_and(|id| id.bytes().any(|b| b != b'0'));
    value.len() == 55
        && version.is_some_and(|version| version != "ff")
        && nonzero(trace)
        && nonzero(parent)
        && flags.is_some()
}
