//! Waiting for a condition: the only way that time passes in these tests.

use std::time::{Duration, Instant};

/// Longer than anything takes on a slow and busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until `holds`, at most `within`.
///
/// # Panics
/// With the claim, where it does not hold in time.
pub fn until(claim: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    until_some(claim, within, || holds().then_some(()));
}

/// Waits until `found` finds something, at most `within`.
///
/// # Panics
/// With the claim, where it does not in time.
pub fn until_some<T>(claim: &str, within: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "{claim}: not within {within:?}");
        std::thread::park_timeout(PAUSE);
    }
}
