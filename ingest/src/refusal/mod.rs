//! Everything that can be answered other than a result, in one table.
//!
//! A [`Refusal`] is what a handler returns; what follows from its kind (status, code, level of the
//! log line, when to come back, what to say about durability) stands in [`Kind::row`] and nowhere
//! else. OpenAPI, the series of `http_requests_total` and the tests are made from the same table.

mod table;

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use flk_contract::Origin;
use flk_log::AppendError;
use serde::{Serialize, Serializer};

pub use self::table::{Connection, Durable, Kind, Retry, Row, SETTLING_AWAY};
use crate::{answer, pipeline::Away};

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// What `type` starts with; the code follows. A name, not an address: nothing has to be served.
pub(crate) const TYPE_PREFIX: &str = "urn:flk:problem:";

/// A request that is not answered with a result.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Why.
    pub kind: Kind,
    /// What to change, where more is known than the kind.
    detail: Option<Cow<'static, str>>,
    /// Where the record is, if it is known to be in the log.
    wal: Option<Origin>,
    /// What went wrong inside: for the log line, never for the client.
    pub(crate) cause: Option<Arc<str>>,
}

impl Refusal {
    /// A refusal that says what its kind says.
    pub fn new(kind: Kind) -> Self {
        Self { kind, detail: None, wal: None, cause: None }
    }

    /// Says more exactly what to change. Quotes nothing of a body.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says something else to change too.
    #[must_use]
    pub fn also(self, more: &str) -> Self {
        let detail = self.detail.as_deref().unwrap_or(self.kind.row().detail);
        let detail = format!("{detail}; {more}");
        self.detail(detail)
    }

    /// Says where the record is.
    #[must_use]
    pub fn at(mut self, wal: Origin) -> Self {
        self.wal = Some(wal);
        self
    }

    /// Says what went wrong inside, to the service's own log.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Arc<str>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    fn problem(&self, row: &Row) -> Vec<u8> {
        answer::to_json(&Problem {
            kind: Urn(row.code),
            title: row.title,
            status: row.status,
            code: row.code,
            detail: self.detail.as_deref().unwrap_or(row.detail),
            durable: row.durable,
            wal: self.wal.as_ref(),
        })
        // A problem holds nothing that JSON can not say.
        .unwrap_or_default()
    }

    /// The answer. `can_settle` says whether everything that settling depends on is there; it is
    /// asked only where `Retry-After` depends on it.
    pub(crate) fn response(&self, can_settle: impl FnOnce() -> bool) -> Response<Body> {
        let row = self.kind.row();
        debug_assert!(row.durable != Durable::Yes || self.wal.is_some(), "durable: true comes with its position");
        let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = answer::response(status, PROBLEM_JSON, self.problem(&row));
        let headers = response.headers_mut();
        if let Some(seconds) = row.retry.seconds(can_settle) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = row.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if row.connection == Connection::Closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The answer as bytes, for a connection that never gets to HTTP.
    pub(crate) fn raw_response(&self) -> Vec<u8> {
        let row = self.kind.row();
        let problem = self.problem(&row);
        let reason = StatusCode::from_u16(row.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
        let mut head = format!("HTTP/1.1 {} {reason}\r\ncontent-type: {PROBLEM_JSON}\r\n", row.status);
        if let Some(seconds) = row.retry.seconds(|| true) {
            head += &format!("retry-after: {seconds}\r\n");
        }
        head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", problem.len());
        let mut bytes = head.into_bytes();
        bytes.extend(problem);
        bytes
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let kind = match &error {
            AppendError::Full => Kind::QueueFull,
            AppendError::NotDurable(_) => Kind::LogUnavailable,
            AppendError::Unknown(_) => Kind::LogUnknown,
            AppendError::Closed(_) => Kind::LogClosed,
        };
        Self::new(kind).cause(error.to_string())
    }
}

impl From<Away> for Refusal {
    fn from(away: Away) -> Self {
        Self::new(Kind::ResultsAway).cause(away.to_string())
    }
}

/// RFC 9457, with this service's own members.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: Urn,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Durable::is_unsaid")]
    durable: Durable,
    #[serde(skip_serializing_if = "Option::is_none")]
    wal: Option<&'a Origin>,
}

struct Urn(&'static str);

impl Serialize for Urn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{TYPE_PREFIX}{}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_not_told_to_clients() {
        let refusal = Refusal::from(AppendError::NotDurable("/var/secret/log.db: disk full".into()));
        let text = String::from_utf8(refusal.problem(&refusal.kind.row())).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains(r#""type":"urn:flk:problem:log_unavailable""#), "{text}");
        assert!(text.contains(r#""durable":false"#) && !text.contains("wal"), "{text}");
    }
}
