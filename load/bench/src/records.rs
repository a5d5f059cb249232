//! Signed records with ids of their own, as many as a run needs.

use flk_contract::{
    Nano, Record, pcs_id, signals,
    signature::{HmacForm, Signed, sign_hmac},
};

/// The key that the benches sign and verify with.
pub(crate) const KEY: &str = "bench-secret";

/// One record, as our agent would send it: about 700 bytes, signed over its content.
pub(crate) fn record(shard: &str, epoch: i64) -> String {
    let root = flk_contract::Digest::of(format!("{shard}/{epoch}").as_bytes()).to_string();
    let id = pcs_id(&root, epoch, shard);
    // The cells of a curve: D̂ is recomputed from these by whoever judges.
    let text = |sig: &str| {
        format!(
            r#"{{"pcs_id":"{id}","schema":"fractal-lba-kakeya","version":"0.1","shard_id":"{shard}","epoch":{epoch},"attempt":1,"sent_at":"2026-01-01T00:00:00Z","seed":7,"scales":[2,4,8,16],"N_j":{{"2":5,"4":11,"8":24,"16":50}},"coh_star":0.42,"v_star":[0.6,0.0,0.8],"D_hat":1.125530882,"r":0.5,"regime":"mixed","budget":0.334,"merkle_root":"{root}","sig":"{sig}","ft":{{"outbox_seq":1,"degraded":false,"fallbacks":[],"clock_skew_ms":0}}}}"#
        )
    };
    let unsigned = text("");
    match Record::parse(unsigned.as_bytes()) {
        Ok(record) => {
            debug_assert_eq!(signals::d_hat(&record).ok(), Nano::from_f64(1.125_530_882));
            text(&sign_hmac(KEY.as_bytes(), &Signed::of(&record), HmacForm::ContentDigest))
        }
        Err(error) => unreachable!("the bench's own record does not parse: {error}"),
    }
}
