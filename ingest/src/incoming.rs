//! What a request says beside its body: its id, its trace, the tenant. Everything is bounded here,
//! because it goes into the log.

use core::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use flk_contract::Tenant;
use flk_log::topic::headers::{claim, is_request_id, is_traceparent};

use crate::refusal::{Kind, Refusal};

/// Names a request in log lines, in the log and in the answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The tenant, as the client says.
pub(crate) const TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");
/// W3C trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// RFC 7240.
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
/// RFC 7240.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The client's request id if it is one, else a new one: 128 random bits, hex.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let fits = |id: &&HeaderValue| id.to_str().is_ok_and(is_request_id);
    if let Some(id) = single(headers, &REQUEST_ID).filter(fits) {
        return id.clone();
    }
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0_u8; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(random()) {
        if let [high, low] = pair {
            *high = HEX[usize::from(byte >> 4)];
            *low = HEX[usize::from(byte & 15)];
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
}

fn random() -> [u8; 16] {
    static WITHOUT_RANDOMNESS: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // An id is for telling requests apart, and within this process that does.
        let n = WITHOUT_RANDOMNESS.fetch_add(1, Ordering::Relaxed);
        bytes[8..].copy_from_slice(&n.to_be_bytes());
    }
    bytes
}

/// The text of a header value that is known to be ASCII.
pub(crate) fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// `traceparent`, if it is one and there is only one.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let value = single(headers, &TRACEPARENT)?.to_str().ok()?;
    is_traceparent(value).then(|| value.to_owned())
}

/// Said to whoever gives `X-Tenant-Id` twice, also where both are the same: which of them a proxy
/// or a log on the way has believed can not be known.
const TENANT_REPEATED: &str = "X-Tenant-Id was given more than once; give it once, or leave it out";

/// `X-Tenant-Id` of a submission, as it came: which tenants there are is not decided here.
/// Several are joined, so that they match none, and what is too long to be a tenant is cut to
/// something that still is.
///
/// What can not be a tenant goes into the log too, with the record: every record that is let in is
/// kept as evidence, and judged by the same rules however it came. So a submission that names none
/// is refused by its verdict (`bad_signature` with keys, `malformed` without signing), and only a
/// GET, which leaves nothing behind, by [`Kind::BadTenant`].
pub(crate) fn tenant_claimed(headers: &HeaderMap) -> Option<String> {
    let mut claimed = None;
    for value in headers.get_all(TENANT_ID) {
        claim(&mut claimed, value.as_bytes());
    }
    claimed
}

/// What a submission was refused for, and its tenant with it if that was given twice.
pub(crate) fn with_tenant_repeated(refusal: Refusal, headers: &HeaderMap) -> Refusal {
    let may_be_why = matches!(refusal.kind, Kind::Malformed | Kind::BadSignature);
    if may_be_why && is_tenant_repeated(headers) { refusal.also(TENANT_REPEATED) } else { refusal }
}

/// The tenant that a GET is about.
///
/// # Errors
/// [`Kind::BadTenant`] for what can not be a tenant.
pub(crate) fn tenant_named(headers: &HeaderMap) -> Result<Tenant, Refusal> {
    let Some(name) = tenant_claimed(headers) else { return Ok(Tenant::default_tenant()) };
    Tenant::new(&name).map_err(|_| {
        let refusal = Refusal::new(Kind::BadTenant);
        if is_tenant_repeated(headers) { refusal.detail(TENANT_REPEATED) } else { refusal }
    })
}

fn is_tenant_repeated(headers: &HeaderMap) -> bool {
    headers.get_all(TENANT_ID).iter().nth(1).is_some()
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(HeaderName, &[u8])]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value).unwrap())).collect()
    }

    #[test]
    fn a_request_id_is_taken_if_it_is_a_short_word_and_made_otherwise() {
        for id in ["a", "Job-7_x.1", &"x".repeat(64)] {
            assert_eq!(request_id(&headers(&[(REQUEST_ID, id.as_bytes())])), id);
        }
        for id in ["", "a b", "a/b", "<script>", &"x".repeat(65), "\u{e9}"] {
            let made = request_id(&headers(&[(REQUEST_ID, id.as_bytes())]));
            assert_eq!(made.len(), 32, "{id}");
            assert!(text(&made).bytes().all(|b| b.is_ascii_hexdigit()), "{made:?}");
        }
        let twice = headers(&[(REQUEST_ID, b"a"), (REQUEST_ID, b"b")]);
        assert_ne!(request_id(&twice), "a");
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }

    #[test]
    fn only_a_trace_context_is_kept() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(&headers(&[(TRACEPARENT, good.as_bytes())])).as_deref(), Some(good));
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            assert_eq!(traceparent(&headers(&[(TRACEPARENT, bad.as_bytes())])), None, "{bad}");
        }
        let twice = headers(&[(TRACEPARENT, good.as_bytes()), (TRACEPARENT, good.as_bytes())]);
        assert_eq!(traceparent(&twice), None);
    }

    #[test]
    fn a_claimed_tenant_is_kept_as_it_came_and_never_becomes_another() {
        let claimed = |values: &[&[u8]]| {
            let of: Vec<_> = values.iter().map(|value| (TENANT_ID, *value)).collect();
            tenant_claimed(&headers(&of))
        };
        assert_eq!(claimed(&[]), None);
        assert_eq!(claimed(&[b"team-a"]).as_deref(), Some("team-a"));
        assert_eq!(claimed(&[b""]).as_deref(), Some(""));
        let name = [b'a'; 64];
        assert!(Tenant::new(&claimed(&[&name]).unwrap()).is_ok());
        let longer = [name.as_slice(), b"a"].concat();
        let with_a_letter = [name.as_slice(), "\u{e9}".as_bytes()].concat();
        let endless = [b'a'; 4000];
        for none in [&[b"a".as_slice(), b"b"][..], &[b"a", b""], &[&longer], &[&with_a_letter], &[&endless], &[b"\xff"]]
        {
            let claimed = claimed(none).unwrap();
            assert!(Tenant::new(&claimed).is_err() && claimed.len() <= 68, "{claimed}");
        }
    }
}
