//! A PCS as the agent makes it: every field of the contract's section 1, in its usual order.
//!
//! This is the writing side. What a service reads out of a body is `flk_contract::Record`, and
//! what is signed is decided there too.

use flk_contract::Nano;
use flk_contract::signals::Regime;
use serde::Serialize;

use crate::cells::Counts;

/// A Proof-of-Computation Summary. Serialized in the order of its fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pcs {
    /// Derived from the root, the epoch and the shard.
    pub pcs_id: String,
    /// The contract's schema.
    pub schema: String,
    /// The contract's version.
    pub version: String,
    /// Which stream of data this is about.
    pub shard_id: String,
    /// Which part of the stream.
    pub epoch: i64,
    /// Which attempt to send it, from 1. Not signed.
    pub attempt: u64,
    /// When it was sent, RFC 3339. Not signed.
    pub sent_at: String,
    /// What the directions of the coherence were made of.
    pub seed: u32,
    /// The scales, in the order of computation.
    pub scales: Vec<u64>,
    /// Distinct cells by scale.
    #[serde(rename = "N_j")]
    pub n_j: Counts,
    /// Directional coherence.
    pub coh_star: Nano,
    /// The direction that has it.
    pub v_star: [f64; 3],
    /// Fractal slope.
    #[serde(rename = "D_hat")]
    pub d_hat: Nano,
    /// Compressibility.
    pub r: Nano,
    /// Derived from the slope and the coherence.
    pub regime: Regime,
    /// Derived from slope, coherence and compressibility.
    pub budget: Nano,
    /// Merkle root of the raw data.
    pub merkle_root: String,
    /// Empty until it is signed.
    pub sig: String,
    /// On the way that it takes.
    pub ft: Ft,
}

/// What the agent says about the way that a PCS takes. Only `degraded` is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ft {
    /// Its number in the agent's outbox.
    pub outbox_seq: u64,
    /// Whether something on the way fell back to less than it should do.
    pub degraded: bool,
    /// What fell back.
    pub fallbacks: Vec<String>,
    /// How far the agent's clock is known to be off.
    pub clock_skew_ms: i64,
}
