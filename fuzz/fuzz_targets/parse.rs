//! Any bytes: a record is within its bounds, and JSON for serde_json too.

#![no_main]

use flk_contract::{
    Record,
    limits::{N_J_MAX, NAME_BYTES_MAX, PCS_ID_BYTES_MAX, SCALES_MAX, WORD_BYTES_MAX},
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let record = match Record::parse(body) {
        Ok(record) => record,
        Err(malformed) => return assert!(!malformed.to_string().is_empty()),
    };
    assert!(matches!(serde_json::from_slice(body), Ok(Value::Object(_))), "only JSON is a record");
    assert!(record.pcs_id.len() <= PCS_ID_BYTES_MAX);
    assert!([&record.schema, &record.version].iter().all(|word| (1..=WORD_BYTES_MAX).contains(&word.len())));
    assert!(record.regime.len() <= WORD_BYTES_MAX);
    assert!([&record.shard_id, &record.merkle_root].iter().all(|name| (1..=NAME_BYTES_MAX).contains(&name.len())));
    assert!(record.epoch >= 0);
    assert!((1..=SCALES_MAX).contains(&record.scales.len()) && record.n_j.len() <= N_J_MAX);
    assert!(record.n_j.windows(2).all(|pair| pair[0].0 < pair[1].0), "N_j is sorted, no key stands twice");
    let integers = record.scales.iter().chain(record.n_j.iter().map(|entry| &entry.1));
    assert!(integers.into_iter().all(|n| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(n)));
    for claim in [record.coh_star, record.d_hat, record.r, record.budget] {
        assert!(claim.units().abs() < 1_000_000_000_000_000_000_000_000, "claims stay below 1e15");
    }
});
