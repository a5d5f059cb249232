//! The laws of the signals.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use flk_agent::cells::Cells;
use flk_agent::coherence::coherence;
use flk_agent::compress::Compressibility;
use flk_agent::merkle::{EMPTY, Merkle};
use flk_agent::source::Point;
use flk_agent::{BuildOptions, Csv, Typed, TypedRow, build, repr};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

fn point() -> impl Strategy<Value = Point> {
    // A coarse grid beside the continuum, so that points share cells and meet edges.
    prop_oneof![prop::array::uniform3(-4.0..4.0), prop::array::uniform3((-8_i32..8).prop_map(|n| f64::from(n) / 4.0))]
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    prop::collection::vec(point(), 1..60)
}

fn counts(points: &[Point], scales: &[u64]) -> Vec<(u64, u64)> {
    let mut cells = Cells::new(scales);
    for point in points {
        cells.add(point).unwrap();
    }
    cells.counts().pairs().to_vec()
}

/// The rule as it is written, on the whole of the data.
fn plain_root(data: &[u8], chunk_bytes: usize) -> String {
    let mut level: Vec<String> = data.chunks(chunk_bytes).map(|chunk| hex::encode(Sha256::digest(chunk))).collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| hex::encode(Sha256::digest([pair[0].as_str(), pair[pair.len() - 1].as_str()].concat())))
            .collect();
    }
    level.pop().unwrap_or_else(|| EMPTY.into())
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_change_the_cells(points in points(), seed in any::<u64>()) {
        let mut shuffled = points.clone();
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, (seed.rotate_left(at as u32) % (at as u64 + 1)) as usize);
        }
        prop_assert_eq!(counts(&points, &[1, 2, 16]), counts(&shuffled, &[1, 2, 16]));
    }

    #[test]
    fn twice_the_scale_has_no_fewer_cells_and_none_has_more_than_points(points in points()) {
        let counts = counts(&points, &[1, 2, 4, 8]);
        prop_assert!(counts.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        prop_assert!(counts.iter().all(|&(_, n)| n >= 1 && n <= points.len() as u64));
    }

    #[test]
    fn coherence_is_above_zero_and_at_most_one_and_a_fair_share_at_least(
        points in points(), seed in any::<u32>(), directions in 1_u32..20, bins in 1_u32..40,
    ) {
        let found = coherence(&points, seed, directions, bins);
        prop_assert!(found.coh_star > 0.0 && found.coh_star <= 1.0);
        // Of so many bins the fullest has at least its share; rounding takes half a billionth.
        prop_assert!(found.coh_star >= 1.0 / f64::from(bins) - 1e-9);
        let length: f64 = found.v_star.iter().map(|x| x * x).sum();
        prop_assert!((length - 1.0).abs() < 1e-12);
    }

    #[test]
    fn more_directions_never_find_less(points in points(), seed in any::<u32>(), few in 1_u32..10, more in 0_u32..10) {
        let (a, b) = (coherence(&points, seed, few, 20), coherence(&points, seed, few + more, 20));
        prop_assert!(a.coh_star <= b.coh_star);
    }

    #[test]
    fn the_root_does_not_depend_on_portions(
        data in prop::collection::vec(any::<u8>(), 0..400), chunk in 1_usize..40, portion in 1_usize..50,
    ) {
        let mut merkle = Merkle::new(chunk);
        data.chunks(portion).for_each(|part| merkle.update(part));
        prop_assert_eq!(merkle.finish(), plain_root(&data, chunk));
    }

    #[test]
    fn the_root_of_one_chunk_is_its_hash(data in prop::collection::vec(any::<u8>(), 1..100)) {
        let mut merkle = Merkle::new(data.len());
        merkle.update(&data);
        prop_assert_eq!(merkle.finish(), hex::encode(Sha256::digest(&data)));
    }

    #[test]
    fn a_written_double_reads_back_as_itself(bits in any::<u64>()) {
        let x = f64::from_bits(bits);
        prop_assume!(x.is_finite());
        let mut text = String::new();
        repr::write(x, &mut text);
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
        prop_assert!(text.contains(['.', 'e']));
    }

    #[test]
    fn rounding_to_nine_moves_by_half_a_billionth_at_most_and_only_once(x in -1e3..1e3) {
        let once = repr::round9(x);
        prop_assert!((once - x).abs() <= 5.000_1e-10);
        prop_assert_eq!(repr::round9(once).to_bits(), once.to_bits());
    }

    #[test]
    fn text_and_numbers_give_the_same_pcs_when_the_text_is_the_number(points in points()) {
        let mut text = String::from("z,x,note,y\n");
        for [x, y, z] in &points {
            let mut row = String::new();
            for (cell, end) in [(z, ",") , (x, ",\"a, b\","), (y, "\n")] {
                repr::write(*cell, &mut row);
                row.push_str(end);
            }
            text.push_str(&row);
        }
        let options = BuildOptions { directions: 5, ..BuildOptions::new("s", 0, "") };
        let read = build(Csv::new(text.as_bytes()).unwrap(), &options).unwrap();
        let typed = build(Typed::new(points.into_iter().map(TypedRow::from)), &options).unwrap();
        prop_assert_eq!(read, typed);
    }

    #[test]
    fn any_bytes_are_read_as_csv_without_a_panic(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "(x,y,z|timestamp,x,y,z)\n([-0-9.eE,\"\n ]{0,20}\n){0,5}".prop_map(String::into_bytes),
        ],
    ) {
        let options = BuildOptions { directions: 2, ..BuildOptions::new("s", 0, "") };
        let _ = Csv::new(body.as_slice()).map(|source| build(source, &options).map(drop));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn compressibility_does_not_depend_on_portions(seed in any::<u32>(), rows in 0_usize..9000, portion in 1_usize..100_000) {
        let mut data = Vec::new();
        let mut x = seed;
        for row in 0..rows {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            data.extend_from_slice(format!("{row}.000000000,{}.{:06}\n", x >> 30, (x >> 12) % 1000).as_bytes());
        }
        let r = |portion: usize| {
            let mut size = Compressibility::new();
            data.chunks(portion).for_each(|part| size.update(part).unwrap());
            size.finish().unwrap()
        };
        // The crate's own one-shot call, all input in one piece.
        let mut packed = Vec::with_capacity(data.len() + 1024);
        let mut zlib = flate2::Compress::new(flate2::Compression::new(6), true);
        zlib.compress_vec(&data, &mut packed, flate2::FlushCompress::Finish).unwrap();
        let expected = if data.is_empty() { 1.0 } else { repr::round9((packed.len() as f64 / data.len() as f64).min(1.0)) };
        prop_assert_eq!(r(portion), expected);
    }
}
