//! The names of keys, and the marker's text.
//!
//! `PREFIX:{TAG}` is a partition's marker, `PREFIX:{TAG}:` with tenant, a zero byte and the 32 bytes
//! of the id a value, `PREFIX:{TAG}#` with eight bytes of its digest a key id that is kept apart.

use crate::{
    codec::IdKey,
    read_side::{BadSetting, Subject, marker::Marker, slots, value::KeyIdName},
};

/// Longest prefix, in bytes: it is in every key.
const PREFIX_BYTES_MAX: usize = 32;

/// The names of all keys of one read side.
#[derive(Debug)]
pub(super) struct Keys {
    markers: Vec<Vec<u8>>,
}

impl Keys {
    pub(super) fn new(prefix: &str, subject: &Subject) -> Result<Self, BadSetting> {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
        if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(word) {
            return Err(BadSetting(format!(
                "the prefix of Redis keys is 1 to {PREFIX_BYTES_MAX} of A-Z a-z 0-9 . _ - : and {prefix:?} is not"
            )));
        }
        let markers = slots::tags(subject.partitions).into_iter().map(|tag| format!("{prefix}:{{{tag}}}").into_bytes());
        Ok(Self { markers: markers.collect() })
    }

    /// Nothing for a partition that there is not, which no checked batch names.
    pub(super) fn marker(&self, partition: u32) -> &[u8] {
        self.markers.get(partition as usize).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn value(&self, partition: u32, id: &IdKey) -> Vec<u8> {
        [self.marker(partition), b":", id.as_bytes()].concat()
    }

    pub(super) fn key_id(&self, partition: u32, name: &KeyIdName) -> Vec<u8> {
        [self.marker(partition), b"#", name].concat()
    }
}

/// Reads a marker as the scripts write it: `NEXT GOAL SOURCE`. One of another source is none.
pub(super) fn marker(text: &[u8], source: &str) -> Option<Marker> {
    let mut parts = core::str::from_utf8(text).ok()?.splitn(3, ' ');
    let (next, goal) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next()? == source).then_some(Marker { next, goal })
}
