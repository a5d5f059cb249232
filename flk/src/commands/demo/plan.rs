//! The records of the demonstration, and what the contract says must become of each.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_agent::{
    BuildOptions, Pcs, Typed, TypedRow, build,
    sign::{SignForm, Signer, sign},
};
use flk_contract::{Nano, pcs_id, signature::ed25519_public};
use serde_json::json;

use crate::Failure;

/// Epochs of each stream.
const EPOCHS: i64 = 16;
/// Points of each epoch.
const POINTS: usize = 400;

/// What a record must be told. A record whose first submission was cut off may have settled: its
/// retry is then a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) status: u16,
    pub(super) code: &'static str,
    /// `None`: either, since an earlier attempt may have come through.
    pub(super) duplicate: Option<bool>,
    pub(super) conflict: bool,
}

/// One record to be submitted.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The row of the table that it counts in.
    pub(super) label: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) expected: Expected,
}

/// Keys of the demonstration, as the service's environment takes them.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) hmac: String,
    pub(super) ed25519_public: String,
    seed: [u8; 32],
}

/// Everything that is submitted.
pub(super) struct Plan {
    pub(super) keys: Keys,
    /// Around the crash.
    pub(super) first: Vec<Record>,
    /// After it, in this order.
    pub(super) later: Vec<(&'static str, Vec<Record>)>,
}

const fn expected(status: u16, code: &'static str) -> Expected {
    Expected { status, code, duplicate: None, conflict: false }
}

impl Plan {
    pub(super) fn make() -> Result<Self, Failure> {
        let keys = Keys::make()?;
        let hmac = |form| Signer::hmac(keys.hmac.as_bytes(), form).map_err(Failure::failed);
        let (content, payload) = (hmac(SignForm::Content)?, hmac(SignForm::PayloadDigest)?);
        let ed25519 = Signer::ed25519(&keys.seed, SignForm::Content).map_err(Failure::failed)?;

        let mut first = Vec::new();
        let mut good = Vec::new();
        for (stream, shard) in ["line", "plane", "cube"].into_iter().enumerate() {
            for epoch in 0..EPOCHS {
                let pcs = points(stream, shard, epoch)?;
                // A third each: our agent's form, the usual form, and Ed25519.
                let (label, signer) = match epoch % 3 {
                    0 => ("good, HMAC over content", &content),
                    1 => ("good, HMAC over payload", &payload),
                    _ => ("good, Ed25519", &ed25519),
                };
                let mut pcs = pcs;
                sign(&mut pcs, signer).map_err(Failure::failed)?;
                first.push(Record { label, body: bytes(&pcs)?, expected: expected(200, "ok") });
                good.push(pcs);
            }
        }
        let later = later(&good, &content, &payload)?;
        Ok(Self { keys, first, later })
    }
}

/// What comes after the crash: all of it about records that have been settled by then, or new.
fn later(good: &[Pcs], content: &Signer, payload: &Signer) -> Result<Vec<(&'static str, Vec<Record>)>, Failure> {
    let signed = |mut pcs: Pcs, signer: &Signer| -> Result<Pcs, Failure> {
        sign(&mut pcs, signer).map_err(Failure::failed)?;
        Ok(pcs)
    };
    let fresh = |n: i64| points(0, "later", n);
    let mut retries = Vec::new();
    let mut conflicts = Vec::new();
    for pcs in good.iter().take(8) {
        let retry = Pcs { attempt: 2, sent_at: "2026-01-02T00:00:00Z".into(), ..pcs.clone() };
        let duplicate = Expected { duplicate: Some(true), ..expected(200, "ok") };
        retries.push(Record { label: "retried", body: bytes(&retry)?, expected: duplicate });
        let other = Pcs { r: Nano::from_units(pcs.r.units() - 1_000_000), ..pcs.clone() };
        let conflict = Expected { duplicate: Some(true), conflict: true, ..expected(200, "ok") };
        conflicts.push(Record { label: "conflicting", body: bytes(&signed(other, content)?)?, expected: conflict });
    }
    let mut escalated = Vec::new();
    let mut refused = Vec::new();
    let mut bad = Vec::new();
    for n in 0..4 {
        let mut degraded = fresh(n)?;
        degraded.ft.degraded = true;
        escalated.push(Record {
            label: "escalated: degraded",
            body: bytes(&signed(degraded, content)?)?,
            expected: expected(202, "degraded"),
        });
        let base = fresh(100 + n)?;
        let budget = Nano::from_units((base.budget.units() + 500_000_000) % 1_000_000_000);
        escalated.push(Record {
            label: "escalated: budget off",
            body: bytes(&signed(Pcs { budget, ..base }, content)?)?,
            expected: expected(202, "budget_deviation"),
        });
        let base = fresh(200 + n)?;
        let d_hat = Nano::from_units(base.d_hat.units() + 400_000_000);
        refused.push(Record {
            label: "refused: claimed D_hat is off",
            body: bytes(&signed(Pcs { d_hat, ..base }, content)?)?,
            expected: expected(202, "d_hat_out_of_tolerance"),
        });
        // The payload form does not cover scales: whoever sees it in flight can do this.
        let tampered = Pcs { scales: vec![2], ..signed(fresh(300 + n)?, payload)? };
        refused.push(Record {
            label: "tampered: unsigned field",
            body: bytes(&tampered)?,
            expected: expected(202, "d_hat_unavailable"),
        });
        let base = signed(fresh(400 + n)?, content)?;
        let tampered = Pcs { merkle_root: pcs_id("other", n, "root"), ..base.clone() };
        bad.push(Record {
            label: "tampered: signed field",
            body: bytes(&tampered)?,
            expected: expected(401, "bad_signature"),
        });
        let mut body = bytes(&base)?;
        body.truncate(body.len() / 2);
        bad.push(Record { label: "malformed", body, expected: expected(400, "malformed") });
    }
    Ok(vec![
        ("retries and conflicting records", [retries, conflicts].concat()),
        ("escalated and refused records", [escalated, refused].concat()),
        ("tampered and malformed records", bad),
    ])
}

fn bytes(pcs: &Pcs) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(&json!(pcs)).map_err(Failure::failed)
}

/// A line, a plane or a cube of points; each epoch its own.
fn points(stream: usize, shard: &str, epoch: i64) -> Result<Pcs, Failure> {
    // A small generator of its own, so that every run makes the same data.
    let mut state = (stream as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ epoch.unsigned_abs();
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let rows: Vec<TypedRow> = (0..POINTS)
        .map(|_| {
            let (a, b, c) = (uniform(), uniform(), uniform());
            TypedRow::from(match stream {
                0 => [a, 0.5 * a, 0.25 * a],
                1 => [a, b, 0.25],
                _ => [a, b, c],
            })
        })
        .collect();
    let options = BuildOptions::new(shard, epoch, "2026-01-01T00:00:00Z");
    build(Typed::new(rows), &options).map_err(Failure::failed)
}

impl Keys {
    fn make() -> Result<Self, Failure> {
        let no_random = |error: getrandom::Error| Failure::failed(format!("no random bytes: {error}"));
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(no_random)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(no_random)?;
        Ok(Self { hmac: STANDARD.encode(secret), ed25519_public: ed25519_public(&seed), seed })
    }
}
