//! Reading a body: bounded in bytes and in time.

use core::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flk_contract::limits::BODY_BYTES_MAX;
use http_body_util::BodyExt as _;

use crate::refusal::{Kind, Refusal};

/// Reads the whole body. `declared` is its length where the client said so: what is longer than
/// allowed is refused by that before a byte is read, and the rest while reading.
///
/// # Errors
/// [`Kind::BodyTooLarge`], [`Kind::BodyTimeout`] or [`Kind::BodyBroken`].
pub(crate) async fn read(body: Body, declared: Option<u64>, within: Duration) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(within, collect(body, declared)).await {
        Ok(read) => read,
        Err(_) => Err(Refusal::new(Kind::BodyTimeout)),
    }
}

async fn collect(mut body: Body, declared: Option<u64>) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::new(Kind::BodyBroken).cause(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > BODY_BYTES_MAX {
            return Err(Refusal::new(Kind::BodyTooLarge));
        }
        if first.is_empty() && rest.is_empty() {
            // Nearly every body comes in one piece, and is used as it is.
            first = data;
            continue;
        }
        if rest.is_empty() {
            let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
            rest.reserve(expected.clamp(first.len() + data.len(), BODY_BYTES_MAX));
            rest.extend_from_slice(&core::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_its_bytes_however_it_comes() {
        let whole = Bytes::from_static(b"{\"a\": 1}");
        let read = collect(Body::from(whole.clone()), Some(8)).await.unwrap();
        assert_eq!(read, whole);
        assert_eq!(read.as_ptr(), whole.as_ptr(), "one piece is not copied");
        assert_eq!(collect(Body::empty(), Some(0)).await.unwrap(), Bytes::new());
        let most = Bytes::from(vec![b' '; BODY_BYTES_MAX]);
        assert_eq!(collect(Body::from(most.clone()), None).await.unwrap().len(), BODY_BYTES_MAX);
        let more = Bytes::from(vec![b' '; BODY_BYTES_MAX + 1]);
        assert_eq!(collect(Body::from(more), None).await.unwrap_err().kind, Kind::BodyTooLarge);
    }
}
