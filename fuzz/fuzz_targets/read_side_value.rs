//! Any bytes where the read side keeps a result: a result with one form, or no result. Whoever may write to
//! Redis or Postgres may write anything there.

#![no_main]

use std::num::NonZeroU32;

use flk_contract::{LogId, Tenant, limits::WINDOW};
use flk_results::read_side::{
    Subject,
    value::{Decoded, VALUE_BYTES_MAX, decode, encode, name},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stored: &[u8]| {
    let subject =
        Subject { log: LogId::new("the log"), topic: "pcs.raw".into(), partitions: NonZeroU32::MIN, keep: WINDOW };
    let read = |bytes: &[u8]| decode(&subject, Tenant::default_tenant(), "0".repeat(64).into(), bytes);
    match read(stored) {
        Err(why) => assert!(!why.to_string().is_empty()),
        Ok(Decoded::OfAnother) => {}
        Ok(Decoded::Settled(settled)) => {
            let again = encode(&settled).expect("what was read settles");
            assert_eq!((&*again.value, again.key_id), (stored, None), "one result has one form");
        }
        Ok(Decoded::Apart(_, mut settled)) => {
            // The longest there is: it fits nowhere, unless the rest is short.
            let key_id = "k".repeat(VALUE_BYTES_MAX);
            settled.facts.key_id = Some(key_id.as_str().into());
            let again = encode(&settled).expect("what was read settles");
            match read(&again.value).expect("what was written is read") {
                Decoded::Apart(named, _) => assert_eq!(named, name(&key_id)),
                other => panic!("{other:?}"),
            }
        }
    }
});
