//! What agents send: the value of pcs.raw (contract section 1).

use flk_contract::limits::{N_J_MAX, NAME_BYTES_MAX, PCS_ID_BYTES_MAX, SCALES_MAX, WORD_BYTES_MAX};

use super::{
    Values,
    kinds::{boolean, integer, number, text},
};
use crate::topic::json::{Field, Node};

pub(super) fn values() -> Values {
    Values {
        title: "A Proof-of-Computation Summary",
        about: "What a well-formed record is, version 0.1. More fields may be there, are kept, and may not be null. \
                The topic holds whatever was sent: what is not such a record is refused when it is judged. Not said \
                here: bytes, not characters, are counted; 1.0 is no integer; duplicate keys and nesting deeper than \
                64 are refused.",
        fields: vec![
            text("pcs_id", "Lower-case hex SHA-256 of `merkle_root|epoch|shard_id`.", Some(PCS_ID_BYTES_MAX)),
            name("schema", "`fractal-lba-kakeya`", WORD_BYTES_MAX),
            name("version", "`0.1`", WORD_BYTES_MAX),
            name("shard_id", "The shard.", NAME_BYTES_MAX),
            integer("epoch", "The epoch.", Some(0), Some(i64::MAX)),
            scales(),
            n_j(),
            claim("coh_star", "Directional coherence."),
            claim("D_hat", "Fractal dimension, by Theil-Sen over log2 of scales and N_j."),
            claim("r", "Compressibility."),
            claim("budget", "The budget that follows from D_hat, coh_star and r."),
            text("regime", "`sticky`, `mixed` or `non_sticky`.", Some(WORD_BYTES_MAX)),
            name("merkle_root", "Root over the data, hex by convention.", NAME_BYTES_MAX),
        ],
        optional: vec![
            text("sig", "Standard padded base64 of an HMAC-SHA256 or Ed25519 signature.", None),
            ("ft".into(), degraded()),
        ],
        shared: &[],
    }
}

fn name(name: &'static str, about: &'static str, at_most: usize) -> Field {
    let (name, node) = text(name, about, Some(at_most));
    (name, node.with("minLength", 1_usize))
}

fn claim(name: &'static str, about: &'static str) -> Field {
    // `flk_contract::limits::FLOAT_MAGNITUDE`, as an integer.
    const LIMIT: i64 = 1_000_000_000_000_000;
    let (name, node) = number(name, about);
    (name, node.with("exclusiveMinimum", -LIMIT).with("exclusiveMaximum", LIMIT))
}

fn scales() -> Field {
    let scales = Node::object([
        ("description", "Above 0, which is judged.".into()),
        ("type", "array".into()),
        ("items", Node::object([("type", "integer".into())])),
        ("minItems", 1_usize.into()),
        ("maxItems", SCALES_MAX.into()),
    ]);
    ("scales".into(), scales)
}

fn n_j() -> Field {
    let n_j = Node::object([
        ("description", "Scale, as a string, to its count: above 0 and below 2^53, which is judged.".into()),
        ("type", "object".into()),
        ("additionalProperties", Node::object([("type", "integer".into())])),
        ("maxProperties", N_J_MAX.into()),
    ]);
    ("N_j".into(), n_j)
}

fn degraded() -> Node {
    let degraded = boolean("degraded", "The agent worked degraded.");
    Node::object([
        ("description", "How the agent fared.".into()),
        ("type", "object".into()),
        ("properties", Node::Object(vec![degraded])),
    ])
}
