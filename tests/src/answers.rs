//! What answers of a kind have in common.

use serde_json::Value;

use crate::Response;

/// A 503 that says whether the record is durable, and where only if it is.
///
/// # Panics
/// Where it is another answer.
#[track_caller]
pub fn is_away(answer: &Response, code: &str, durable: impl Into<Value>) {
    assert_eq!(answer.verdict(), (503, code.to_owned()), "{answer}");
    assert_eq!(answer.field("durable"), durable.into(), "{answer}");
    assert_eq!(answer.field("wal") != Value::Null, answer.field("durable") == true, "{answer}");
    let seconds: u64 = answer.header("retry-after").unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
    assert!((1..=10).contains(&seconds) || seconds == 60, "{answer}");
}
