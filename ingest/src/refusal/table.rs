//! The table: every kind of refusal, and everything that follows from it.

use serde::{Serialize, Serializer};
use tracing::Level;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident,)*) => {
        /// Why a request is not answered with a result.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])* $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];
        }
    };
}

kinds! {
    /// The record is not well-formed (check 1).
    Malformed,
    /// The record is not authentic (check 2).
    BadSignature,
    /// Something failed inside the service.
    Internal,
    /// No such path.
    NotFound,
    /// The path is there, the method is not.
    MethodNotAllowed,
    /// `X-Tenant-Id` of a GET can not be a tenant. With a submission such a name is not refused
    /// here: it is judged with the record, whose code is then one of the verdict's.
    BadTenant,
    /// The id is not settled, or its result no longer stands.
    NotSettled,
    /// No record at that place.
    NoSuchRecord,
    /// More than the largest body.
    BodyTooLarge,
    /// The body did not come in time.
    BodyTimeout,
    /// The body broke off, or its framing is wrong.
    BodyBroken,
    /// `/metrics` without the right credentials.
    Unauthorized,
    /// Over the rate of submissions.
    RateLimited,
    /// Too many submissions in flight.
    TooManyRequests,
    /// Too many bytes in flight.
    TooManyBytes,
    /// Verdicts come too late for whoever waits.
    TooManyUnjudged,
    /// Too many connections.
    TooManyConnections,
    /// The log's queue is full.
    QueueFull,
    /// The log could not be written; the record is not in it.
    LogUnavailable,
    /// The log could not say whether the record is in it.
    LogUnknown,
    /// The log does not take records: it is starting or stopping.
    LogClosed,
    /// The record was not durable in time.
    DurabilityLate,
    /// The record is durable, its verdict did not come in time.
    VerdictLate,
    /// Settled results can not be read.
    ResultsAway,
}

/// When a client may send the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request will be answered the same.
    Never,
    /// At once.
    Now,
    /// After so many seconds.
    After(u16),
    /// After so many seconds; after [`SETTLING_AWAY`] while results can not be settled.
    Settling(u16),
}

/// `Retry-After` while something that settling depends on is away (contract section 6).
pub const SETTLING_AWAY: u16 = 60;

impl Retry {
    /// The value of `Retry-After`. `can_settle` is asked only where it matters.
    pub(crate) fn seconds(self, can_settle: impl FnOnce() -> bool) -> Option<u16> {
        match self {
            Self::Never | Self::Now => None,
            Self::After(seconds) => Some(seconds),
            Self::Settling(seconds) => Some(if can_settle() { seconds } else { SETTLING_AWAY }),
        }
    }
}

/// What an answer says about the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Nothing: it is not about a record, or the verdict says it all.
    Unsaid,
    /// The record is not in the log.
    No,
    /// The record may be in the log.
    Unknown,
    /// The record is in the log, at the place that is said beside it.
    Yes,
}

impl Durable {
    pub(crate) fn is_unsaid(&self) -> bool {
        *self == Self::Unsaid
    }
}

impl Serialize for Durable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unsaid => serializer.serialize_none(),
            Self::No => serializer.serialize_bool(false),
            Self::Unknown => serializer.serialize_str("unknown"),
            Self::Yes => serializer.serialize_bool(true),
        }
    }
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It may carry the next request.
    Stays,
    /// What the client is still sending would be taken for the next request.
    Closes,
}

/// Everything that follows from a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// HTTP status.
    pub status: u16,
    /// The machine-readable reason; stable.
    pub code: &'static str,
    /// The same for people; stable.
    pub title: &'static str,
    /// What to change, where the refusal at hand has nothing more exact to say.
    pub detail: &'static str,
    /// Level of the request's log line. What clients or overload cause at will stays low.
    pub level: Level,
    /// When to come back.
    pub retry: Retry,
    /// What is said about durability.
    pub durable: Durable,
    /// What becomes of the connection.
    pub connection: Connection,
    /// `WWW-Authenticate`: RFC 9110 wants one with every 401.
    pub challenge: Option<&'static str>,
}

/// A request that can not be answered as it is; the rows below differ from this.
const fn fault(status: u16, code: &'static str, title: &'static str, detail: &'static str) -> Row {
    Row {
        status,
        code,
        title,
        detail,
        level: Level::INFO,
        retry: Retry::Never,
        durable: Durable::Unsaid,
        connection: Connection::Stays,
        challenge: None,
    }
}

/// Turned away before the log: counted by reason, and not logged one by one.
const fn shed(status: u16, code: &'static str, title: &'static str, detail: &'static str, seconds: u16) -> Row {
    let level = Level::DEBUG;
    Row { level, retry: Retry::After(seconds), durable: Durable::No, ..fault(status, code, title, detail) }
}

/// The log or a verdict in time can not be had.
const fn away(code: &'static str, title: &'static str, detail: &'static str, retry: Retry, durable: Durable) -> Row {
    Row { level: Level::WARN, retry, durable, ..fault(503, code, title, detail) }
}

impl Kind {
    /// The table.
    pub const fn row(self) -> Row {
        use {Connection::Closes, Durable as D, Retry as R};
        match self {
            Self::Malformed => fault(
                400,
                "malformed",
                "Not a well-formed record",
                "send one JSON object as section 1 of the contract says",
            ),
            Self::BadSignature => Row {
                challenge: Some("PCS-Signature realm=\"pcs\""),
                ..fault(
                    401,
                    "bad_signature",
                    "Not authentic",
                    "sign the record with a key of this service, inside the key's window, and name its tenant or none",
                )
            },
            Self::Internal => Row {
                level: Level::ERROR,
                ..fault(500, "internal", "Failed inside the service", "please report this with the request id")
            },
            Self::NotFound => {
                fault(404, "not_found", "No such path", "the paths of this service are listed at /openapi.json")
            }
            Self::MethodNotAllowed => {
                fault(405, "method_not_allowed", "Another method is needed", "use one of the methods named in Allow")
            }
            Self::BadTenant => {
                fault(400, "bad_tenant", "Not a tenant's name", "X-Tenant-Id must be one name, 1 to 64 of A-Za-z0-9._-")
            }
            Self::NotSettled => fault(
                404,
                "not_settled",
                "No settled result",
                "no result stands for this id and tenant: none was settled, or fourteen days have passed",
            ),
            Self::NoSuchRecord => fault(
                404,
                "no_such_record",
                "No such record",
                "there is no record at this place: it is beyond the log's end, or retention has removed it",
            ),
            Self::BodyTooLarge => Row {
                connection: Closes,
                ..fault(413, "body_too_large", "Body too large", "a record is at most 1 MiB (1048576 bytes)")
            },
            Self::BodyTimeout => Row {
                retry: R::Now,
                connection: Closes,
                ..fault(408, "body_timeout", "Body too slow", "the body did not come in time; send it faster")
            },
            Self::BodyBroken => Row {
                retry: R::Now,
                connection: Closes,
                ..fault(
                    400,
                    "body_incomplete",
                    "Body incomplete",
                    "the body broke off or is framed wrongly; send it again",
                )
            },
            Self::Unauthorized => Row {
                challenge: Some("Basic realm=\"metrics\", charset=\"UTF-8\""),
                ..fault(401, "unauthorized", "Credentials are needed", "give the metrics user and password (Basic)")
            },
            Self::RateLimited => shed(
                429,
                "rate_limited",
                "Too many submissions",
                "this instance takes no more records a second; send fewer, or come back later",
                10,
            ),
            Self::TooManyRequests => {
                shed(503, "overloaded_requests", "Overloaded", "too many submissions are in flight; come back later", 1)
            }
            Self::TooManyBytes => shed(
                503,
                "overloaded_bytes",
                "Overloaded",
                "too many bytes are in flight, or came in the last second; come back later",
                1,
            ),
            Self::TooManyUnjudged => shed(
                503,
                "overloaded_verdicts",
                "Overloaded",
                "verdicts come too late to be waited for; come back later, or send Prefer: respond-async",
                5,
            ),
            Self::TooManyConnections => Row {
                connection: Closes,
                ..shed(503, "overloaded_connections", "Overloaded", "too many connections are open; come back later", 1)
            },
            Self::QueueFull => {
                shed(503, "log_queue_full", "Overloaded", "the log's queue is full; the record is not in it, retry", 5)
            }
            Self::LogUnavailable => away(
                "log_unavailable",
                "Log unavailable",
                "the log can not be written; the record is not in it, retry",
                R::After(5),
                D::No,
            ),
            Self::LogUnknown => away(
                "log_unknown",
                "Log unavailable",
                "the log could not say whether the record is in it; retrying is safe",
                R::After(5),
                D::Unknown,
            ),
            Self::LogClosed => away(
                "log_closed",
                "Log unavailable",
                "the log takes no records now: it is starting or stopping; the record is not in it, retry",
                R::Settling(5),
                D::No,
            ),
            Self::DurabilityLate => away(
                "durability_late",
                "Too late",
                "the record was not durable in time and may become so; retrying is safe",
                R::Settling(5),
                D::Unknown,
            ),
            Self::VerdictLate => away(
                "verdict_late",
                "Too late",
                "the record is durable, its verdict did not come in time; retrying is safe",
                R::Settling(5),
                D::Yes,
            ),
            Self::ResultsAway => away(
                "results_away",
                "Results unavailable",
                "settled results can not be read now, or are not complete yet; ask again later",
                R::After(SETTLING_AWAY),
                D::Unsaid,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn codes_are_unique_words_and_statuses_are_real() {
        let mut codes = HashSet::new();
        for kind in Kind::ALL {
            let row = kind.row();
            assert!(codes.insert(row.code), "{kind:?}");
            assert!(row.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{kind:?}");
            assert!(StatusCode::from_u16(row.status).unwrap().canonical_reason().is_some(), "{kind:?}");
            assert!(!row.title.is_empty() && !row.detail.is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn the_rows_obey_the_contract() {
        for kind in Kind::ALL {
            let row = kind.row();
            let seconds = [true, false].map(|can_settle| row.retry.seconds(|| can_settle));
            match row.status {
                401 => assert!(row.challenge.is_some(), "{kind:?}"),
                429 => assert_eq!(seconds, [Some(10); 2], "{kind:?}"),
                503 => {
                    assert!(seconds[0].is_some_and(|s| (1..=10).contains(&s) || s == SETTLING_AWAY), "{kind:?}");
                    assert!(row.durable != Durable::Unsaid || *kind == Kind::ResultsAway, "{kind:?}");
                }
                _ => assert_eq!(seconds, [None; 2], "{kind:?}"),
            }
        }
    }

    #[test]
    fn verdicts_keep_their_words() {
        use flk_contract::Code;
        for (kind, code) in [
            (Kind::Malformed, Code::Malformed),
            (Kind::BadSignature, Code::BadSignature),
            (Kind::Internal, Code::Internal),
        ] {
            let row = kind.row();
            assert_eq!((row.code, row.status), (code.as_str(), code.meaning().status));
        }
    }
}
