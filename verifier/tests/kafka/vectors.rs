//! The contract's vectors, and bodies made from them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_contract::Code;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
pub(crate) struct Verdicts {
    pub(crate) hmac_keys: Vec<String>,
    pub(crate) cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) pcs: Box<RawValue>,
    pub(crate) code: Code,
    pub(crate) stored: bool,
}

#[derive(Deserialize)]
struct Malformed {
    name: String,
    status: u16,
    body_base64: String,
}

/// A body, and what it comes to.
pub(crate) struct Body {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) code: Code,
    /// It may settle its id.
    pub(crate) settles: bool,
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn verdicts() -> Verdicts {
    read("verdicts.json")
}

/// All bodies of verdicts.json and malformed.json.
pub(crate) fn all() -> Vec<Body> {
    let verdicts = verdicts().cases.into_iter().map(|Case { name, pcs, code, stored }| {
        let bytes = pcs.get().as_bytes().to_vec();
        Body { name, bytes, code, settles: stored }
    });
    let malformed =
        read::<Vec<Malformed>>("malformed.json").into_iter().map(|Malformed { name, status, body_base64 }| {
            let (code, settles) = if status == 400 { (Code::Malformed, false) } else { (Code::Ok, true) };
            Body { name, bytes: STANDARD.decode(body_base64).unwrap(), code, settles }
        });
    verdicts.chain(malformed).collect()
}

/// The n-th of as many bodies as are wanted, each with an id of its own where signatures are not asked for;
/// every seventh is malformed.
pub(crate) fn nth(n: i64) -> Vec<u8> {
    if n % 7 == 6 {
        return format!("{{{n}").into_bytes();
    }
    let mut pcs: Value = serde_json::from_str(verdicts().cases[0].pcs.get()).unwrap();
    let (root, shard) = (pcs["merkle_root"].as_str().unwrap(), pcs["shard_id"].as_str().unwrap());
    let id = flk_contract::pcs_id(root, n, shard);
    pcs["epoch"] = n.into();
    pcs["pcs_id"] = id.into();
    pcs.to_string().into_bytes()
}
