//! Who may read `/metrics`.

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Who may read `/metrics`. Keeps a digest of the credentials only.
#[derive(Clone, Default)]
pub struct MetricsAuth(Option<[u8; 32]>);

impl MetricsAuth {
    /// Everybody.
    pub fn open() -> Self {
        Self(None)
    }

    /// Whoever knows this user and password (`METRICS_USER`, `METRICS_PASS`), by HTTP Basic.
    pub fn basic(user: &str, password: &str) -> Self {
        let digest = Sha256::new().chain_update(user).chain_update(":").chain_update(password);
        Self(Some(digest.finalize().into()))
    }

    /// Whether a request may. Takes the same time for every password: digests are compared, of
    /// what was sent and of what is right.
    pub(crate) fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.0 else { return true };
        let sent = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, credentials)| STANDARD.decode(credentials.trim()).ok());
        sent.is_some_and(|sent| Sha256::digest(sent).as_slice().ct_eq(expected).into())
    }
}

impl core::fmt::Debug for MetricsAuth {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.0.is_some() { "MetricsAuth(basic)" } else { "MetricsAuth(open)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(auth: &MetricsAuth, sent: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            headers.insert(header::AUTHORIZATION, sent.parse().unwrap());
        }
        auth.allows(&headers)
    }

    #[test]
    fn only_the_right_credentials_pass() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let auth = MetricsAuth::basic("prom", "p:ss");
        assert!(allows(&auth, Some(&basic("prom:p:ss"))));
        assert!(allows(&auth, Some(&basic("prom:p:ss").replace("Basic", "bASIC"))));
        for wrong in ["", "prom", "prom:", "prom:p:s", "prom:p:sss", "Prom:p:ss", ":p:ss"] {
            assert!(!allows(&auth, Some(&basic(wrong))), "{wrong}");
        }
        for wrong in ["", "Basic", "Basic !", "Bearer cHJvbTpwOnNz", "cHJvbTpwOnNz"] {
            assert!(!allows(&auth, Some(wrong)), "{wrong}");
        }
        assert!(!allows(&auth, None));
        assert!(allows(&MetricsAuth::open(), None));
        assert_eq!(format!("{auth:?}"), "MetricsAuth(basic)");
    }
}
