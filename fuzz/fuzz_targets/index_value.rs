//! Any bytes in the index of ids: an entry with one form, or no entry. A disk may give back anything.

#![no_main]

use std::num::NonZeroU32;

use flk_contract::{LogId, Tenant};
use flk_results::{
    Place,
    codec::{IdKey, decode_entry, encode_entry, entry_offset},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stored: &[u8]| {
    let place = Place {
        log: LogId::new("the log"),
        topic: "pcs.verified".into(),
        partition: 0,
        partitions: NonZeroU32::MIN,
        origins: "pcs.raw".into(),
    };
    match decode_entry(&place, Tenant::default_tenant(), "0".repeat(64).into(), stored) {
        Err(why) => assert!(!why.to_string().is_empty()),
        Ok(entry) => {
            let mut again = Vec::new();
            encode_entry(&entry, &mut again).expect("what was read settles");
            assert_eq!(again, stored, "one entry has one form");
            assert_eq!(entry_offset(stored), Ok(entry.offset));
        }
    }
    if let Ok((tenant, pcs_id)) = IdKey::parse(stored) {
        let key = IdKey::new(&tenant, &pcs_id).expect("what is in a key has one");
        assert_eq!(key.as_bytes(), stored);
    }
});
