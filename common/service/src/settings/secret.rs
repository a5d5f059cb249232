//! Text that must not be seen.

use core::fmt;

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

/// What is printed instead of a secret.
pub(super) const MASK: &str = "***";

/// A secret: prints and serialises as `***`, and is wiped from memory when dropped. It does not
/// compare, so that nobody compares it in a time that tells how much was right.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps `text` secret from now on.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself. Whoever asks sees to it that it goes nowhere.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_seen_only_by_who_asks_for_it() {
        let secret = Secret::new("hunter2");
        let seen = [format!("{secret}"), format!("{secret:?}"), format!("{:#?}", Some(&secret))];
        assert!(seen.iter().all(|text| text.contains(MASK) && !text.contains("hunter2")), "{seen:?}");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }
}
