//! The agent's vectors, to the last digit.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::Path;

use flk_agent::gaussian::Gaussian;
use flk_agent::merkle::Merkle;
use flk_agent::{BuildOptions, Csv, Source as _, Typed, TypedRow, build};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
    gaussian: Vec<GaussianCase>,
    typed: TypedCase,
    merkle: Vec<MerkleCase>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    csv: String,
    scales: Vec<u64>,
    seed: u32,
    directions: u32,
    bins: u32,
    chunk_bytes: usize,
    shard_id: String,
    epoch: i64,
    expect: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct GaussianCase {
    seed: u32,
    count: usize,
    sha256_of_little_endian_f64: String,
}

#[derive(Deserialize)]
struct TypedCase {
    rows: Vec<[f64; 3]>,
    raw: String,
    sha256: String,
}

#[derive(Deserialize)]
struct MerkleCase {
    hex: String,
    chunk_bytes: usize,
    root: String,
}

fn vectors() -> Vectors {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/agent.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_case_is_built_to_the_last_digit() {
    let cases = vectors().cases;
    assert!(!cases.is_empty());
    for case in cases {
        let options = BuildOptions {
            scales: case.scales,
            seed: case.seed,
            directions: case.directions,
            bins: case.bins,
            chunk_bytes: case.chunk_bytes,
            ..BuildOptions::new(case.shard_id, case.epoch, "2026-01-01T00:00:00Z")
        };
        let pcs = build(Csv::new(case.csv.as_bytes()).unwrap(), &options).unwrap();
        let built = serde_json::to_value(&pcs).unwrap();
        assert!(!case.expect.is_empty());
        for (field, expected) in &case.expect {
            // As text: a float is then compared by its shortest digits, which name one double.
            assert_eq!(built[field].to_string(), expected.to_string(), "{}: {field}", case.name);
        }
    }
}

#[test]
fn the_random_numbers_are_those_of_numpy() {
    for case in vectors().gaussian {
        let mut gaussian = Gaussian::new(case.seed);
        let mut hash = Sha256::new();
        for _ in 0..case.count {
            hash.update(gaussian.draw().to_le_bytes());
        }
        assert_eq!(hex::encode(hash.finalize()), case.sha256_of_little_endian_f64, "seed {}", case.seed);
    }
}

#[test]
fn typed_rows_are_written_as_python_writes_them() {
    let typed = vectors().typed;
    let mut source = Typed::new(typed.rows.iter().map(|&point| TypedRow::from(point)));
    let mut raw = String::new();
    let mut row = String::new();
    while source.next_row(&mut row).unwrap().is_some() {
        if !raw.is_empty() {
            raw.push('\n');
        }
        raw.push_str(&row);
        row.clear();
    }
    assert_eq!(raw, typed.raw);
    assert_eq!(hex::encode(Sha256::digest(raw)), typed.sha256);
}

#[test]
fn merkle_roots() {
    for case in vectors().merkle {
        let mut merkle = Merkle::new(case.chunk_bytes);
        merkle.update(&hex::decode(&case.hex).unwrap());
        assert_eq!(merkle.finish(), case.root, "{}", case.hex);
    }
}
