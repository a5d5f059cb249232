//! The HTTP client of the commands: blocking, pooled, every call with a deadline.

use std::time::Duration;

use ureq::{Agent, Proxy};

/// Whether the proxy of the environment is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// Straight to the host: a probe asks about the host itself.
    Direct,
    /// As `HTTPS_PROXY`, `NO_PROXY` and their kin say.
    Environment,
}

/// A client with room for as many connections as calls are in flight. Any status is an answer,
/// and redirects are not followed: a record goes where it was meant to go.
pub(crate) fn agent(deadline: Duration, connections: usize, via: Via) -> Agent {
    Agent::config_builder()
        .timeout_global(Some(deadline))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        .user_agent(concat!("flk/", env!("CARGO_PKG_VERSION")))
        .proxy(match via {
            Via::Direct => None,
            Via::Environment => Proxy::try_from_env(),
        })
        .build()
        .into()
}

/// A URL of `http` or `https` with a host; with `path` where it has none of its own.
pub(crate) fn url(text: &str, path: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is not a URL like http://127.0.0.1:8080{path}");
    let uri: ureq::http::Uri = text.parse().map_err(|_| wrong())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    let bare = uri.path() == "/" && uri.query().is_none();
    Ok(if bare { format!("{}{path}", text.trim_end_matches('/')) } else { text.to_owned() })
}

/// The reason of a status, for people.
pub(crate) fn reason(status: u16) -> String {
    let known = ureq::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_gets_the_usual_one() {
        let to = |text| url(text, "/health");
        assert_eq!(to("http://h:1").unwrap(), "http://h:1/health");
        assert_eq!(to("http://h:1/").unwrap(), "http://h:1/health");
        assert_eq!(to("https://h/readyz?scope=local").unwrap(), "https://h/readyz?scope=local");
        for wrong in ["", "h:1", "ftp://h/", "http://", "/health", "http://a b/"] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
    }
}
