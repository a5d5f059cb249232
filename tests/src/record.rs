//! Records of every kind: good ones with ids of their own, signed in any form, and what can be
//! wrong with them.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicI64, Ordering},
};

use flk_contract::{
    Digest, Form, Record, Tenant, partition, pcs_id,
    signature::{self, HmacForm, Signed},
};
use serde_json::{Map, Value, json};

/// The key that tests sign with, published as such.
pub const KEY: &str = "testsecret";

/// An Ed25519 private key for tests.
pub const SEED: [u8; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31,
];

/// Its public key, as `PCS_ED25519_PUB_B64` takes it.
pub fn public() -> String {
    signature::ed25519_public(&SEED)
}

/// How a record is signed.
#[derive(Debug, Clone, Copy)]
pub enum Sign<'a> {
    /// With a shared secret, in this form.
    Hmac(&'a str, HmacForm),
    /// With an Ed25519 private key, in this form.
    Ed25519(&'a [u8; 32], Form),
}

/// With [`KEY`], over the content: what our agent does.
pub const USUAL: Sign<'static> = Sign::Hmac(KEY, HmacForm::ContentDigest);

/// A record. Good until something is changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Pcs(Map<String, Value>);

impl Pcs {
    /// A good record of that part of that stream; not signed.
    ///
    /// # Panics
    /// Never.
    pub fn new(shard: &str, epoch: i64) -> Self {
        let root = Digest::of(format!("{shard}/{epoch}").as_bytes()).to_string();
        let record = json!({
            "pcs_id": pcs_id(&root, epoch, shard),
            "schema": "fractal-lba-kakeya",
            "version": "0.1",
            "shard_id": shard,
            "epoch": epoch,
            "attempt": 1,
            "sent_at": "2026-01-01T00:00:00Z",
            "seed": 7,
            "scales": [2, 4, 8, 16],
            "N_j": {"2": 5, "4": 11, "8": 24, "16": 50},
            "coh_star": 0.42,
            "v_star": [0.6, -0.0, 0.8],
            "D_hat": 1.125530882,
            "r": 0.5,
            "regime": "mixed",
            "budget": 0.334,
            "merkle_root": root,
            "ft": {"outbox_seq": 1, "degraded": false, "fallbacks": [], "clock_skew_ms": 0},
        });
        match record {
            Value::Object(fields) => Self(fields),
            _ => unreachable!(),
        }
    }

    /// A good record with an id of its own; not signed.
    pub fn unique() -> Self {
        static EPOCH: AtomicI64 = AtomicI64::new(0);
        Self::new("tests", EPOCH.fetch_add(1, Ordering::Relaxed))
    }

    /// A good record whose id is its own and falls into that partition of so many, signed in the usual way.
    ///
    /// # Panics
    /// Where there are no partitions.
    pub fn in_partition(wanted: u32, partitions: u32) -> Self {
        let (tenant, partitions) = (Tenant::default_tenant(), NonZeroU32::new(partitions).unwrap());
        loop {
            let pcs = Self::unique();
            if partition(&tenant, pcs.id(), partitions) == wanted {
                return pcs.signed(USUAL);
            }
        }
    }

    /// A good record with an id of its own, signed in the usual way.
    pub fn fresh() -> Self {
        Self::unique().signed(USUAL)
    }

    /// Its id.
    ///
    /// # Panics
    /// Where it was taken away.
    pub fn id(&self) -> &str {
        self.0["pcs_id"].as_str().unwrap()
    }

    /// Its signature.
    ///
    /// # Panics
    /// Where there is none.
    pub fn sig(&self) -> &str {
        self.0["sig"].as_str().unwrap()
    }

    /// With another value of a field; the signature stays as it is.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0.insert(field.into(), value.into());
        self
    }

    /// Without a field.
    #[must_use]
    pub fn without(mut self, field: &str) -> Self {
        self.0.remove(field);
        self
    }

    /// The same record sent once more, as an honest agent does: unsigned fields differ.
    #[must_use]
    pub fn retry(self) -> Self {
        let attempt = self.0.get("attempt").and_then(Value::as_i64).unwrap_or(0) + 1;
        self.with("attempt", attempt).with("sent_at", format!("2026-01-01T00:00:{:02}Z", attempt % 60))
    }

    /// The same id with other content; not signed anew.
    #[must_use]
    pub fn otherwise(self) -> Self {
        self.with("D_hat", 1.125530883)
    }

    /// Signed.
    ///
    /// # Panics
    /// Where it is no record.
    #[must_use]
    pub fn signed(self, how: Sign<'_>) -> Self {
        let body = self.clone().without("sig").body();
        let signed = Signed::of(&Record::parse(&body).unwrap_or_else(|error| panic!("{error}")));
        let sig = match how {
            Sign::Hmac(key, form) => signature::sign_hmac(key.as_bytes(), &signed, form),
            Sign::Ed25519(seed, form) => signature::sign_ed25519(seed, &signed, form),
        };
        self.with("sig", sig)
    }

    /// The bytes that are sent.
    ///
    /// # Panics
    /// Never.
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap()
    }
}

impl From<Pcs> for Vec<u8> {
    fn from(pcs: Pcs) -> Self {
        pcs.body()
    }
}

impl From<&Pcs> for Vec<u8> {
    fn from(pcs: &Pcs) -> Self {
        pcs.body()
    }
}
