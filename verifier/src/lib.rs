//! The verifier: one body in, one verdict out, whatever the body does to the code that judges it.
//!
//! What is judged is the contract's business. This room adds what a driver has to: the policy and
//! the keys in one place, and a panic caught, so that nobody can buy a crash loop with one POST.

#[cfg(feature = "kafka")]
pub mod role;

use std::{panic::AssertUnwindSafe, sync::Arc};

use flk_contract::{Keyring, LogTime, Signing, Verdict, judge};

/// Judges records under one policy and one set of keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier {
    signing: Signing,
    keys: Arc<Keyring>,
}

impl Verifier {
    /// A verifier of that policy.
    pub fn new(signing: Signing, keys: Arc<Keyring>) -> Self {
        Self { signing, keys }
    }

    /// The keys it knows.
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// Judges a body at its log time, under the tenant named beside it. Never unwinds.
    pub fn judge(&self, body: &[u8], at: LogTime, tenant: Option<&str>) -> Verdict {
        caught(|| judge(body, at, tenant, self.signing, &self.keys))
    }

    /// Whether a verdict given at one time may differ at another: a key's window opened or closed.
    pub fn changes_between(&self, a: LogTime, b: LogTime) -> bool {
        self.keys.changes_between(a, b)
    }
}

/// A panic becomes the verdict `internal`: the record is refused, and said so.
fn caught(judge: impl FnOnce() -> Verdict) -> Verdict {
    // The record is the only thing that was being worked on; nothing of it is kept.
    std::panic::catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|_| Verdict::internal())
}

#[cfg(test)]
mod tests {
    use flk_contract::Code;

    use super::*;

    #[test]
    fn a_panic_while_judging_refuses_the_record_and_goes_no_further() {
        let verdict = caught(|| panic!("a fault of ours"));
        assert_eq!(verdict.code, Code::Internal);
        assert_eq!(verdict.code.meaning().status, 500);
    }
}
