//! Reading the headers of a message, whoever wrote it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers as _},
};

use crate::topic::{Headers, headers};

/// Longest schema that is kept: longer than any of ours, so that a longer one still differs.
const SCHEMA_BYTES_MAX: usize = 64;

/// The headers of a message that mean something, and what it says its schema is.
pub(super) fn read(message: &BorrowedMessage<'_>) -> (Headers, Option<Box<[u8]>>) {
    let Some(all) = message.headers() else { return (Headers::default(), None) };
    // A name that is not UTF-8 makes the client library panic. Anybody may produce one: it is passed over,
    // and the record goes on without it.
    let pair = |at| catch_unwind(AssertUnwindSafe(|| all.try_get(at))).ok().flatten();
    let pairs = || (0..all.count()).filter_map(pair).map(|header| (header.key, header.value.unwrap_or_default()));
    let schema = headers::schema_of(pairs());
    let schema = schema.map(|said| said.get(..SCHEMA_BYTES_MAX).unwrap_or(said).into());
    (Headers::parse(pairs()), schema)
}
