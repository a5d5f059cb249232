//! Records to submit.

use std::{collections::BTreeMap, path::Path};

use flk_contract::{
    Record, pcs_id,
    signature::{HmacForm, Signed, sign_hmac},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A record of `shard`, with `changed` put over it, its id derived, signed with `secret`.
pub(crate) fn signed_with(secret: &str, shard: &str, changed: Value) -> String {
    let mut record = json!({
        "schema": "fractal-lba-kakeya", "version": "0.1", "shard_id": shard, "epoch": 1,
        "scales": [2, 4, 8, 16], "N_j": {"2": 5, "4": 11, "8": 24, "16": 50},
        "coh_star": 0.42, "D_hat": 1.125530882, "r": 0.5, "regime": "mixed", "budget": 0.334,
        "merkle_root": "773232abe9343f0e102f8248423fc6ceec7d0ac3f4f0144ab3bd88a0611be529",
    });
    let id = pcs_id(record["merkle_root"].as_str().unwrap(), 1, shard);
    let fields = record.as_object_mut().unwrap();
    fields.insert("pcs_id".into(), id.into());
    fields.extend(serde_json::from_value::<BTreeMap<String, Value>>(changed).unwrap());
    let text = record.to_string();
    let signed = Signed::of(&Record::parse(text.as_bytes()).unwrap());
    record["sig"] = sign_hmac(secret.as_bytes(), &signed, HmacForm::ContentDigest).into();
    record.to_string()
}

/// The same with the key of the tenant `default`.
pub(crate) fn signed(shard: &str, changed: Value) -> String {
    signed_with("testsecret", shard, changed)
}

/// A good record.
pub(crate) fn good(shard: &str) -> String {
    signed(shard, json!({}))
}

/// Its id.
pub(crate) fn id(record: &str) -> String {
    let record: Value = serde_json::from_str(record).unwrap();
    record["pcs_id"].as_str().unwrap().to_owned()
}

/// One of the contract's vectors.
pub(crate) fn vectors<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
