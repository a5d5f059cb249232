//! Data and options that make no PCS, and what is said about them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use flk_agent::{BuildError, BuildOptions, Csv, Typed, TypedRow, build};

fn options() -> BuildOptions {
    BuildOptions { directions: 3, ..BuildOptions::new("shard-001", 1, "2026-01-01T00:00:00Z") }
}

fn built(csv: &[u8], options: &BuildOptions) -> Result<String, BuildError> {
    Csv::new(csv).map_err(BuildError::from).and_then(|source| build(source, options)).map(|pcs| pcs.merkle_root)
}

#[test]
fn bad_data_are_refused_with_their_place() {
    for (csv, said) in [
        ("", "the data are empty; expected a first line"),
        ("\n\n", "the data are empty"),
        ("timestamp,x,y,z\n", "the data have no rows"),
        ("timestamp,x,y\n0,1,2\n", r#"the header has no column "z", it has "timestamp,x,y""#),
        ("1.0,2.0,3.0\n", r#"the header has no column "x""#),
        ("x;y;z\n1;2;3\n", r#"it has "x;y;z""#),
        ("x,y,z,x\n1,2,3,4\n", r#"the header has the column "x" twice"#),
        ("x,y,z\n1,2,3\n1,2\n", "row 2 (without header and empty lines) has 2 cells where the header has 3"),
        ("x,y,z\n1,5,2,3\n", "row 1 (without header and empty lines) has 4 cells where the header has 3"),
        (
            "x,y,z\n1,2,3\n\n1,two,3\n",
            r#"row 2 (without header and empty lines), column y: expected a finite decimal number, found "two""#,
        ),
        ("x,y,z\n1,nan,3\n", r#"column y: expected a finite decimal number, found "nan""#),
        ("x,y,z\n1,2,-inf\n", r#"column z: expected a finite decimal number, found "-inf""#),
        ("x,y,z\n1e400,2,3\n", r#"column x: expected a finite decimal number, found "1e400""#),
        ("x,y,z\n,2,3\n", r#"column x: expected a finite decimal number, found """#),
        ("x,y,z\n1_000,2,3\n", "column x"),
        (
            "timestamp,x,y,z\n2026-01-01,1,2,3\n",
            r#"column timestamp: expected a finite decimal number, found "2026-01-01""#,
        ),
        (
            "x,y,z\n1,2,3\n1,2,1e18\n",
            "row 2 (without header and empty lines): z = 1e18 times scale 16 is not below 2^63",
        ),
        ("x,y,z\n\"1\n\u{7}\",2,3\n", r#"found "1\n\u{7}""#),
    ] {
        let error = built(csv.as_bytes(), &options()).unwrap_err().to_string();
        assert!(error.contains(said), "{csv:?}: {error}");
    }
}

#[test]
fn a_message_quotes_little_of_the_data() {
    let csv = format!("x,y,z\n1,2,{}\n", "a".repeat(100_000));
    let error = built(csv.as_bytes(), &options()).unwrap_err().to_string();
    assert!(error.len() < 300, "{error}");
    let error = built("a".repeat(100_000).as_bytes(), &options()).unwrap_err().to_string();
    assert!(error.len() < 300, "{error}");
    let error = built(b"x,y,z\n1,2,\xff\n", &options()).unwrap_err().to_string();
    assert!(error.contains("column z"), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_refused_in_typed_rows_too() {
    let row = TypedRow { timestamp: Some(0.0), point: [0.0, f64::NAN, 0.0] };
    let error = build(Typed::new([row]), &options()).unwrap_err().to_string();
    assert!(
        error.contains(
            r#"row 1 (without header and empty lines), column y: expected a finite decimal number, found "NaN""#
        ),
        "{error}"
    );
    let row = TypedRow { timestamp: Some(f64::INFINITY), point: [0.0; 3] };
    let error = build(Typed::new([row]), &options()).unwrap_err().to_string();
    assert!(error.contains("column timestamp"), "{error}");
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let good = options();
    for (bad, said) in [
        (BuildOptions { shard_id: String::new(), ..good.clone() }, "shard_id: expected 1 to 256 bytes, found 0 bytes"),
        (BuildOptions { shard_id: "s".repeat(257), ..good.clone() }, "shard_id: expected 1 to 256 bytes"),
        (BuildOptions { epoch: -1, ..good.clone() }, "epoch: expected an integer from 0"),
        (BuildOptions { scales: vec![], ..good.clone() }, "scales: expected 1 to 64 scales, found 0"),
        (BuildOptions { scales: (1..=65).collect(), ..good.clone() }, "found 65 scales"),
        (BuildOptions { scales: vec![2, 0], ..good.clone() }, "scales: expected integers from 1 to 2^53, found 0"),
        (BuildOptions { scales: vec![2, u64::MAX], ..good.clone() }, "found 18446744073709551615"),
        (BuildOptions { scales: vec![2, 4, 2], ..good.clone() }, "scales: expected each scale once, found 2 twice"),
        (BuildOptions { directions: 0, ..good.clone() }, "directions: expected 1 to 1000000"),
        (BuildOptions { bins: 0, ..good.clone() }, "bins: expected 1 to 1000000"),
        (BuildOptions { chunk_bytes: 0, ..good.clone() }, "chunk_bytes: expected at least 1"),
        (BuildOptions { scales: vec![2], ..good.clone() }, "D_hat can not be computed: at least two scales"),
        (BuildOptions { scales: vec![1 << 40, (1 << 40) + 1], ..good.clone() }, "D_hat can not be computed"),
    ] {
        let error = built(b"x,y,z\n1,2,3\n", &bad).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_is_allowed_around_the_numbers_is_allowed() {
    let plain = built(b"timestamp,x,y,z\n0,1,2,3\n1,4,5,6\n", &options()).unwrap();
    for same in [
        "x,y,z\n1,2,3\n4,5,6\n",
        "\u{feff}timestamp,x,y,z\n0,1,2,3\n1,4,5,6\n",
        "timestamp,x,y,z\r\n0,1,2,3\r\n\r\n1,4,5,6",
        "z, y ,extra,x,timestamp\n3,2,\"a\nb\",1,0\n\"6\",5,\u{e9},4,1e0\n",
    ] {
        assert_eq!(built(same.as_bytes(), &options()).unwrap(), plain, "{same:?}");
    }
    // The text of a coordinate counts, not its value.
    assert_ne!(built(b"timestamp,x,y,z\n0,1.0,2,3\n1,4,5,6\n", &options()).unwrap(), plain);
    assert_ne!(built(b"timestamp,x,y,z\n0, 1,2,3\n1,4,5,6\n", &options()).unwrap(), plain);
}

#[test]
fn a_failing_reader_is_an_error_and_not_the_end_of_the_data() {
    struct Broken(bool);
    impl std::io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(std::io::Error::other("the disk went away"));
            }
            let text = b"x,y,z\n1,2,3\n";
            buffer[..text.len()].copy_from_slice(text);
            Ok(text.len())
        }
    }
    let error = build(Csv::new(Broken(false)).unwrap(), &options()).unwrap_err().to_string();
    assert!(error.contains("the disk went away"), "{error}");
}
