//! What holds of the contract for all records, not just for those of the vectors.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod draft;
mod judging;
mod numbers;
mod oracle;
mod parsing;
mod settlement;
mod wire;

use proptest::prelude::ProptestConfig;

/// So many times the usual number of cases, which `PROPTEST_CASES` sets: for what is cheap.
fn cases(times: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.saturating_mul(times), ..usual }
}
