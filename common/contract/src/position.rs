//! Where a record is in a log, and when it came there.

use core::time::Duration;
use std::{sync::Arc, time::UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time of the log, in milliseconds since 1970-01-01T00:00:00Z. Not a reading of anybody's
/// clock: the log gave it to a record, and it never goes backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogTime(i64);

impl LogTime {
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This time and `span` more; stays at the last time there is.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time less `span`; stays at the first time there is.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Reads RFC 3339 (`2026-01-01T00:00:00Z`, fractions allowed, UTC).
    ///
    /// # Errors
    /// What is not such a time.
    pub fn parse(text: &str) -> Result<Self, humantime::TimestampError> {
        let time = humantime::parse_rfc3339_weak(text)?;
        let millis = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Ok(Self(i64::try_from(millis).unwrap_or(i64::MAX)))
    }
}

impl core::fmt::Display for LogTime {
    /// RFC 3339, UTC, milliseconds. Years beyond 9999 cannot be written so and stay at the last.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        const LAST: u64 = 253_402_300_799_999;
        let millis = u64::try_from(self.0).unwrap_or(0).min(LAST);
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).fmt(f)
    }
}

impl Serialize for LogTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Which log: a Kafka cluster's id, or the id of an embedded log's data directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogId(Arc<str>);

impl LogId {
    /// From the id's text.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for LogId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record's place: positions of different logs never compare equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The log that the rest is about.
    pub log: LogId,
    /// The topic in it.
    pub topic: Arc<str>,
    /// The partition of the topic.
    pub partition: i32,
    /// The record's offset in the partition.
    pub offset: i64,
}

/// A place and the log time at which the record came there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Where.
    #[serde(flatten)]
    pub position: Position,
    /// When, by the log.
    pub appended_at: LogTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        let time = LogTime::from_millis(1_767_225_600_007);
        assert_eq!(time.to_string(), "2026-01-01T00:00:00.007Z");
        assert_eq!(LogTime::parse("2026-01-01T00:00:00.007Z"), Ok(time));
        assert_eq!(LogTime::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(LogTime::from_millis(-1).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn positions_of_another_log_never_compare_equal() {
        let at = |log| Position { log: LogId::new(log), topic: "pcs.raw".into(), partition: 0, offset: 1 };
        assert_ne!(at("a"), at("b"));
    }
}
