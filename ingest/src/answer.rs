//! Answers: JSON written once, into the buffer that is sent.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;

use crate::refusal::{Kind, Refusal};

/// The media type of everything that is not a problem.
pub(crate) const JSON: &str = "application/json";

/// A result is some 900 bytes: one allocation.
const ANSWER_BYTES: usize = 1024;

/// Writes a value.
pub(crate) fn to_json(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES);
    serde_json::to_writer(&mut bytes, value)?;
    Ok(bytes)
}

/// An answer of bytes that are there already.
pub(crate) fn response(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// An answer in JSON.
///
/// # Errors
/// [`Kind::Internal`] where the value can not be written: none of ours is such.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, Refusal> {
    let bytes = to_json(value).map_err(|error| Refusal::new(Kind::Internal).cause(error.to_string()))?;
    Ok(response(status, JSON, bytes))
}
