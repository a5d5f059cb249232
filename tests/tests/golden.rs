//! The golden records are what `flk pcs build` makes of the data beside them, to the last byte.
//! `UPDATE_GOLDEN=1 make e2e ARGS="--test golden"` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{fs, path::PathBuf};

use flk_tests::{KEY, root, setup::run};
use serde_json::Value;

/// Each is a shard of its own, epoch 0.
const NAMES: [&str; 3] = ["line", "plane", "cube"];

fn golden(name: &str) -> PathBuf {
    root().join("tests/golden").join(name)
}

fn build(name: &str) -> Vec<u8> {
    let csv = golden(&format!("{name}.csv"));
    let args = [
        "pcs",
        "build",
        "--in",
        csv.to_str().unwrap(),
        "--shard-id",
        name,
        "--epoch",
        "0",
        "--sent-at",
        "2026-01-01T00:00:00Z",
        "--sign",
        "hmac",
    ];
    let built = run(&args, &[("PCS_HMAC_KEY", KEY)]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    built.stdout
}

#[test]
fn golden_records_are_what_is_built_from_their_data() {
    for name in NAMES {
        let built = build(name);
        let path = golden(&format!("{name}.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &built).unwrap();
        }
        let kept =
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 makes it", path.display()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&built), text(&kept), "{name}");
    }
}

#[test]
fn golden_data_are_the_shapes_that_they_are_called_after() {
    for (name, slope) in [("line", 1.0), ("plane", 2.0), ("cube", 3.0)] {
        let record: Value = serde_json::from_slice(&build(name)).unwrap();
        let claimed = record["D_hat"].as_f64().unwrap();
        assert!((claimed - slope).abs() < 0.1, "{name}: {claimed}");
        assert_eq!((&record["shard_id"], &record["epoch"]), (&name.into(), &0.into()));
    }
}

#[test]
fn golden_records_hold_offline_under_the_published_test_key() {
    for name in NAMES {
        let path = golden(&format!("{name}.json"));
        let env = [("PCS_SIGN_ALG", "hmac"), ("PCS_HMAC_KEY", KEY)];
        let verified = run(&["pcs", "verify", path.to_str().unwrap()], &env);
        assert!(verified.status.success(), "{name}: {}", String::from_utf8_lossy(&verified.stdout));
    }
}
