//! The one place of this crate that reads the clock.

use std::time::UNIX_EPOCH;

use flk_contract::LogTime;

/// Now, by this machine.
#[allow(clippy::disallowed_methods, reason = "commands that people type happen now; nothing is judged in here")]
pub(crate) fn now() -> LogTime {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LogTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
