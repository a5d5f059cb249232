//! The paths that there are, and what each can be answered with. The router, the series of
//! `http_requests_total` and OpenAPI are all made from this table.

use axum::http::Method;
use tracing::Level;

use crate::refusal::Kind;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// Submit a record.
    Submit,
    /// Read a settled result.
    Result,
    /// Read what became of a record.
    Record,
    /// The process is up.
    Health,
    /// The process is up.
    Livez,
    /// Everything needed is there.
    Readyz,
    /// Prometheus text.
    Metrics,
    /// This interface, described.
    OpenApi,
    /// Every other path.
    Other,
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 9] = [
        Self::Submit,
        Self::Result,
        Self::Record,
        Self::Health,
        Self::Livez,
        Self::Readyz,
        Self::Metrics,
        Self::OpenApi,
        Self::Other,
    ];

    /// The path, as routers and OpenAPI write it; `None` for every other path.
    pub const fn path(self) -> Option<&'static str> {
        match self {
            Self::Submit => Some("/v1/pcs/submit"),
            Self::Result => Some("/v1/pcs/{pcs_id}"),
            Self::Record => Some("/v1/records/{partition}/{offset}"),
            Self::Health => Some("/health"),
            Self::Livez => Some("/livez"),
            Self::Readyz => Some("/readyz"),
            Self::Metrics => Some("/metrics"),
            Self::OpenApi => Some("/openapi.json"),
            Self::Other => None,
        }
    }

    /// The label `route` of metrics and log lines.
    pub const fn as_label(self) -> &'static str {
        match self.path() {
            Some(path) => path,
            None => "other",
        }
    }

    /// `Allow`: the methods that it takes.
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Self::Submit => "POST",
            _ => "GET, HEAD",
        }
    }

    /// Whether it takes a method. Unknown paths take any: they are refused for being unknown.
    pub(crate) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Submit => method == Method::POST,
            Self::Other => true,
            _ => method == Method::GET || method == Method::HEAD,
        }
    }

    /// Level of the log line of an answer that is no refusal: what is asked every few seconds by
    /// machines is not for people to read.
    pub(crate) const fn level(self) -> Level {
        match self {
            Self::Submit | Self::Result | Self::Record => Level::INFO,
            Self::Health | Self::Livez | Self::Readyz | Self::Metrics | Self::OpenApi | Self::Other => Level::DEBUG,
        }
    }

    /// Statuses of answers that are no refusals.
    pub(crate) const fn answers(self) -> &'static [u16] {
        match self {
            Self::Submit => &[200, 202],
            Self::Readyz => &[200, 503],
            Self::Result | Self::Record | Self::Health | Self::Livez | Self::Metrics | Self::OpenApi => &[200],
            Self::Other => &[],
        }
    }

    /// What it may be refused with.
    pub(crate) const fn refusals(self) -> &'static [Kind] {
        match self {
            Self::Submit => &[
                Kind::Malformed,
                Kind::BodyBroken,
                Kind::BadSignature,
                Kind::MethodNotAllowed,
                Kind::BodyTimeout,
                Kind::BodyTooLarge,
                Kind::RateLimited,
                Kind::Internal,
                Kind::TooManyConnections,
                Kind::TooManyRequests,
                Kind::TooManyBytes,
                Kind::TooManyUnjudged,
                Kind::QueueFull,
                Kind::LogUnavailable,
                Kind::LogUnknown,
                Kind::LogClosed,
                Kind::DurabilityLate,
                Kind::VerdictLate,
            ],
            Self::Result => {
                &[Kind::BadTenant, Kind::NotSettled, Kind::MethodNotAllowed, Kind::Internal, Kind::ResultsAway]
            }
            Self::Record => &[Kind::NoSuchRecord, Kind::MethodNotAllowed, Kind::Internal, Kind::ResultsAway],
            Self::Metrics => &[Kind::Unauthorized, Kind::MethodNotAllowed],
            Self::Readyz => &[Kind::MethodNotAllowed, Kind::Internal],
            Self::Health | Self::Livez | Self::OpenApi => &[Kind::MethodNotAllowed],
            Self::Other => &[Kind::NotFound],
        }
    }

    /// Every status that it can be answered with, once each; [`CLIENT_GONE`] is none of them.
    pub(crate) fn statuses(self) -> Vec<u16> {
        let refusals = self.refusals().iter().map(|kind| kind.row().status);
        let mut statuses: Vec<u16> = self.answers().iter().copied().chain(refusals).collect();
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }
}

/// What metrics and log lines say of a request whose client went away before the answer; nobody
/// is ever sent it. The number is the one that operators know for this from other servers.
pub(crate) const CLIENT_GONE: u16 = 499;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_refusal_is_some_routes() {
        let possible: HashSet<Kind> = Route::ALL.iter().flat_map(|route| route.refusals()).copied().collect();
        for kind in Kind::ALL {
            assert!(possible.contains(kind), "{kind:?}");
        }
        for route in Route::ALL {
            let unique: HashSet<_> = route.refusals().iter().collect();
            assert_eq!(unique.len(), route.refusals().len(), "{route:?}");
        }
    }

    #[test]
    fn labels_are_unique() {
        let labels: HashSet<_> = Route::ALL.map(Route::as_label).into_iter().collect();
        assert_eq!(labels.len(), Route::ALL.len());
    }
}
