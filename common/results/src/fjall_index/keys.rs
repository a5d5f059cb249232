//! What a keyspace is called and what lies in it: by id the values, by offset the ids, what it is
//! about, and how far it is complete.

use flk_contract::LogId;

use super::directory::FORMAT;
use crate::{
    Place,
    codec::{Undecodable, read_i64, write_number},
};

/// Topic and partition in a keyspace's name; no topic has one.
const SEPARATOR: char = '#';
/// The longest name of a keyspace.
pub(super) const NAME_BYTES_MAX: usize = 255;

// What the keys of a keyspace begin with.
pub(super) const ABOUT: [u8; 2] = [0, b'a'];
pub(super) const PROGRESS: [u8; 2] = [0, b'p'];
const BY_OFFSET: u8 = 1;
const BY_ID: u8 = 2;

/// The name of a place's keyspace.
pub(super) fn name(place: &Place) -> String {
    format!("{}{SEPARATOR}{}", place.topic, place.partition)
}

/// Topic and partition of a keyspace, by its name.
pub(super) fn parse_name(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once(SEPARATOR)?;
    Some((topic, partition.parse().ok()?))
}

/// What a keyspace says of the partition that its name means.
pub(super) fn about_partition(log: &LogId, topic: &str, partition: i32) -> String {
    format!("{FORMAT}\n{log}\n{topic}\n{partition}\n")
}

/// What a keyspace says that it is about.
pub(super) fn about(place: &Place) -> String {
    let Place { log, topic, partition, partitions, origins } = place;
    format!("{}{partitions}\n{origins}", about_partition(log, topic, *partition))
}

/// Keys by offset sort as their offsets do.
pub(super) fn offset_key(offset: i64) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = (offset as u64 ^ 1 << 63).to_be_bytes();
    [BY_OFFSET, a, b, c, d, e, f, g, h]
}

pub(super) fn parse_offset(key: &[u8]) -> Result<i64, Undecodable> {
    match key {
        [BY_OFFSET, offset @ ..] => {
            let offset: [u8; 8] = offset.try_into().map_err(|_| Undecodable::Key)?;
            Ok((u64::from_be_bytes(offset) ^ 1 << 63) as i64)
        }
        _ => Err(Undecodable::Key),
    }
}

pub(super) fn id_key(id: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + id.len());
    key.push(BY_ID);
    key.extend_from_slice(id);
    key
}

/// How far a partition's index is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The first offset that it knows nothing of.
    pub(super) next: i64,
    /// No entry by offset lies before this: where reading and forgetting begin, so that they never
    /// walk over what was removed before.
    pub(super) low: i64,
    /// No entry by offset lies beyond this.
    pub(super) high: i64,
    /// It is being loaded: what is there is not all.
    pub(super) loading: bool,
}

impl Progress {
    /// That of an index which is new.
    pub(super) const NONE: Self = Self { next: 0, low: i64::MAX, high: i64::MIN, loading: false };

    /// With an entry at that offset.
    pub(super) fn with(self, offset: i64) -> Self {
        Self { low: self.low.min(offset), high: self.high.max(offset), ..self }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(31);
        for number in [self.next, self.low, self.high, self.loading.into()] {
            write_number(number.into(), &mut out);
        }
        out
    }

    pub(super) fn decode(mut value: &[u8]) -> Result<Self, Undecodable> {
        let mut number = || read_i64(&mut value);
        let (next, low, high) = (number()?, number()?, number()?);
        let loading = match number()? {
            0 => false,
            1 => true,
            _ => return Err(Undecodable::Number),
        };
        if value.is_empty() { Ok(Self { next, low, high, loading }) } else { Err(Undecodable::Long) }
    }
}
