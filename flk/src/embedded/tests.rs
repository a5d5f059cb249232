//! Claims about the embedded service as HTTP drives it.

use core::time::Duration;
use std::time::Instant;

use flk_contract::{Keyring, Signing};
use flk_log::SystemClock;

use super::*;

const LONG: Duration = Duration::from_secs(30);

async fn open(dir: &Path, metrics: Arc<Metrics>) -> Embedded {
    let keys = Arc::new(Keyring::new(Vec::new()).unwrap());
    let verifier = Verifier::new(Signing::Off, keys);
    let clock = Arc::new(SystemClock);
    let embedded =
        Embedded::open(dir, &Options::default(), verifier, clock, metrics, Lifecycle::new()).expect("it opens");
    let deadline = Instant::now() + LONG;
    while embedded.log.health().is_err() {
        assert!(Instant::now() < deadline, "the log is not open: {:?}", embedded.log.health());
        tokio::task::yield_now().await;
    }
    embedded
}

fn record() -> NewRecord {
    let id = flk_contract::pcs_id("ab", 1, "s");
    let body = format!(
        r#"{{"pcs_id":"{id}","schema":"fractal-lba-kakeya","version":"0.1","shard_id":"s","epoch":1,"scales":[1,2],
        "N_j":{{"1":1,"2":2}},"coh_star":0.5,"D_hat":1.0,"r":0.5,"budget":0.35,"regime":"mixed","merkle_root":"ab"}}"#
    );
    NewRecord { body: body.into(), ..NewRecord::default() }
}

/// How many operations of this kind have been timed.
fn timed(metrics: &Metrics, op: &str) -> u64 {
    let text = metrics.render();
    let series = format!("dedup_operation_duration_seconds_count{{op=\"{op}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_lookup_is_timed_whoever_asks() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let embedded = open(dir.path(), metrics.clone()).await;
    assert_eq!(timed(&metrics, "lookup"), 0);
    for expected in ["settled", "duplicate"] {
        let told = embedded.submit(record()).await.unwrap().ticket.durable().await.unwrap();
        assert_eq!(told.decided.unwrap().state.as_str(), expected);
    }
    assert_eq!((timed(&metrics, "lookup"), timed(&metrics, "settle")), (2, 2), "settling asks for the id");
    let id = flk_contract::pcs_id("ab", 1, "s");
    for (id, found) in [(id.as_str(), true), (&"0".repeat(64), false)] {
        assert_eq!(embedded.result(&Tenant::default_tenant(), id).await.unwrap().is_some(), found);
    }
    assert_eq!(timed(&metrics, "lookup"), 4, "so does whoever reads");
}
