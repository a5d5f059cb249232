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

/// Waits until `holds`, at most `within`; where it does not, says what there is `instead`.
///
/// # Panics
/// With the claim and what there is instead, where it does not hold in time.
pub fn until_or<T: std::fmt::Debug>(
    claim: &str,
    within: Duration,
    mut holds: impl FnMut() -> bool,
    instead: impl Fn() -> T,
) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "{claim}: not within {within:?}, but {:?}", instead());
        std::thread::park_timeout(PAUSE);
    }
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
