//! Names of tenants (contract section 2).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::TENANT_BYTES_MAX;

/// The name of a tenant: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Tenant(Arc<str>);

/// A name that no tenant can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tenant's name is 1 to 64 of A-Z a-z 0-9 . _ -")]
pub struct NotATenant;

impl Tenant {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NotATenant`] unless it is 1 to 64 of `A-Za-z0-9._-`.
    pub fn new(name: &str) -> Result<Self, NotATenant> {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > TENANT_BYTES_MAX || !name.bytes().all(word) {
            return Err(NotATenant);
        }
        Ok(Self(name.into()))
    }

    /// The tenant that keys from the environment belong to, and requests that name none.
    pub fn default_tenant() -> Self {
        Self("default".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tenant {
    type Error = NotATenant;

    fn try_from(name: String) -> Result<Self, NotATenant> {
        Self::new(&name)
    }
}

impl core::fmt::Display for Tenant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_1_to_64_of_a_small_alphabet() {
        for good in ["a", "default", "Team_7.eu-west", &"x".repeat(64)] {
            assert!(Tenant::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "ü", "a,b", &"x".repeat(65)] {
            assert_eq!(Tenant::new(bad), Err(NotATenant), "{bad}");
        }
    }
}
