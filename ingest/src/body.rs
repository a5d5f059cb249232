//! Reading a body: bounded in bytes and in time, into memory that is the body's alone.
//!
//! What arrives is a piece of the connection's buffer, which also held the header and may hold the
//! next request. A record can wait for a log that stalls: it must not keep 64 KiB for the sake of a
//! few bytes that nobody counted. So the body is copied out, which is little beside judging it.

use core::time::Duration;

use axum::body::Body;
use flk_contract::limits::BODY_BYTES_MAX;
use http_body_util::BodyExt as _;

use crate::refusal::{Kind, Refusal};

/// Reads the whole body. `declared` is its length where the client said so: what is longer than
/// allowed is refused by that before a byte is read, and the rest while reading.
///
/// # Errors
/// [`Kind::BodyTooLarge`], [`Kind::BodyTimeout`] or [`Kind::BodyBroken`].
pub(crate) async fn read(body: Body, declared: Option<u64>, within: Duration) -> Result<Vec<u8>, Refusal> {
    match tokio::time::timeout(within, collect(body, declared)).await {
        Ok(read) => read,
        Err(_) => Err(Refusal::new(Kind::BodyTimeout)),
    }
}

async fn collect(mut body: Body, declared: Option<u64>) -> Result<Vec<u8>, Refusal> {
    let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::new(Kind::BodyBroken).cause(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > BODY_BYTES_MAX {
            return Err(Refusal::new(Kind::BodyTooLarge));
        }
        if whole.is_empty() {
            whole.reserve_exact(expected.clamp(data.len(), BODY_BYTES_MAX));
        }
        whole.extend_from_slice(&data);
    }
    // One whose length was not said has grown by doubling.
    whole.shrink_to_fit();
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn a_body_is_its_bytes_however_it_comes() {
        let whole = Bytes::from_static(b"{\"a\": 1}");
        assert_eq!(collect(Body::from(whole.clone()), Some(8)).await.unwrap(), whole);
        assert_eq!(collect(Body::empty(), Some(0)).await.unwrap(), b"");
        let most = Bytes::from(vec![b' '; BODY_BYTES_MAX]);
        assert_eq!(collect(Body::from(most.clone()), None).await.unwrap().len(), BODY_BYTES_MAX);
        let more = Bytes::from(vec![b' '; BODY_BYTES_MAX + 1]);
        assert_eq!(collect(Body::from(more), None).await.unwrap_err().kind, Kind::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_body_takes_the_memory_that_is_counted_and_none_of_its_connections() {
        let buffer = Bytes::from(vec![b' '; 64 * 1024]);
        for declared in [Some(3), None] {
            let body = collect(Body::from(buffer.slice(9..12)), declared).await.unwrap();
            assert_eq!((body.len(), body.capacity()), (3, 3), "{declared:?}");
            assert!(buffer.is_unique(), "{declared:?}");
        }
    }
}
