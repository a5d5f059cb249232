//! Waiting for a condition with a deadline: the only way that time passes in here.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// Longer than any server takes to start on a slow and busy machine.
pub(crate) const START: Duration = Duration::from_secs(90);

/// Longer than any server takes to do a small thing.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// What a look found.
pub(crate) enum Look<T> {
    /// What was waited for.
    Found(T),
    /// Not yet: this instead.
    Not(String),
}

impl<T, E: Display> From<std::result::Result<T, E>> for Look<T> {
    fn from(result: std::result::Result<T, E>) -> Self {
        match result {
            Ok(found) => Self::Found(found),
            Err(error) => Self::Not(error.to_string()),
        }
    }
}

/// Looks until something is found, at most `within`; an error of `look` ends it at once.
pub(crate) fn until<T>(claim: &str, within: Duration, mut look: impl FnMut() -> Result<Look<T>>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match look()? {
            Look::Found(found) => return Ok(found),
            Look::Not(seen) if Instant::now() >= deadline => {
                return Err(Error::Late { claim: claim.into(), within, seen });
            }
            Look::Not(_) => std::thread::park_timeout(PAUSE),
        }
    }
}
