//! Which store does best as the derived index: `cargo bench -p flk-results`.
//!
//! Each store gets what the log's writer asks for: batches of 64 random ids, each looked up first
//! (it is not there), then all of them added in one transaction, by id and by offset, with the end;
//! nothing is synced on purpose. Stores run one after the other in directories beside each other,
//! and what counts is the ratio to the index that is used (the first line).
//!
//! `IDS=n` grows to another size than 1,000,000; `STORES=fjall,redb` runs only these.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal: a panic is its report"
)]

mod stores;

use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, Instant},
};

use flk_results::{Entry, conformance::entry};

use self::stores::{OPEN, Store, place};

const BATCH: u64 = 64;
const LOOKUPS: u64 = 20_000;

/// What one store came to.
struct Measured {
    name: &'static str,
    /// Ids a second while it grew up to each size, with the lookups.
    rates: Vec<f64>,
    miss: Duration,
    hit: Duration,
    cpu_us: f64,
    written: f64,
    disk: f64,
}

fn main() {
    let ids: u64 = env::var("IDS").ok().and_then(|ids| ids.parse().ok()).unwrap_or(1_000_000);
    let only = env::var("STORES").unwrap_or_default();
    let sizes = [ids / 20, ids / 4, ids / 2, ids];
    let chosen = OPEN.iter().filter(|(name, _)| only.is_empty() || only.split(',').any(|only| only == *name));
    let measured: Vec<_> = chosen.map(|(name, open)| measure(name, *open, &sizes)).collect();
    let Some(first) = measured.first() else { return };

    println!("\n{BATCH} ids a batch; ids/s of the last stretch up to a size, and as a ratio to {}", first.name);
    print!("| store |");
    for size in sizes {
        print!(" {size} ids |");
    }
    println!(" miss | hit | CPU an id | written an id | on disk an id |");
    println!("|---|{}", "---|".repeat(sizes.len() + 5));
    for it in &measured {
        print!("| {} |", it.name);
        for (rate, base) in it.rates.iter().zip(&first.rates) {
            print!(" {:.0}k ({:.2}) |", rate / 1000.0, rate / base);
        }
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        println!(
            " {:.1} µs | {:.1} µs | {:.1} µs | {:.0} B | {:.0} B |",
            us(it.miss),
            us(it.hit),
            it.cpu_us,
            it.written,
            it.disk
        );
    }
}

fn measure(name: &'static str, open: fn(&Path) -> Box<dyn Store>, sizes: &[u64]) -> Measured {
    // Beside the build, not in /tmp: that may be memory.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut store = open(directory.path());
    let (cpu, written) = (cpu_us(), written_bytes());
    let (mut at, mut rates) = (0, vec![]);
    for size in sizes {
        // Making results is not what is measured.
        let (from, mut busy) = (at, Duration::ZERO);
        while at < *size {
            let batch: Vec<Entry> = (at..at + BATCH).map(|id| entry(&place(), "default", id, id as i64)).collect();
            let start = Instant::now();
            for entry in &batch {
                assert!(store.get(entry).is_none());
            }
            at += BATCH;
            store.apply(&batch, at as i64);
            busy += start.elapsed();
        }
        rates.push((at - from) as f64 / busy.as_secs_f64());
        eprintln!("{name}: {size}");
    }
    let generating = generating_us(at);
    let lookup = |first: u64, step: u64| {
        let wanted: Vec<_> = (0..LOOKUPS).map(|n| entry(&place(), "default", first + n * step, 0)).collect();
        let start = Instant::now();
        let found = wanted.iter().filter(|wanted| store.get(wanted).is_some()).count() as u64;
        (start.elapsed() / LOOKUPS as u32, found)
    };
    let (miss, none) = lookup(at, 1);
    let (hit, all) = lookup(0, (at / LOOKUPS).max(1));
    assert_eq!((none, all), (0, LOOKUPS.min(at)));
    drop(store);
    let per_id = |total: f64| total / at as f64;
    Measured {
        name,
        rates,
        miss,
        hit,
        cpu_us: per_id(cpu_us() - cpu) - generating,
        written: per_id(written_bytes() - written),
        disk: per_id(disk_bytes(directory.path()) as f64),
    }
}

/// What making the results costs, which is no store's doing.
fn generating_us(ids: u64) -> f64 {
    let (start, sample) = (cpu_us(), ids.min(50_000));
    for id in 0..sample {
        std::hint::black_box(entry(&place(), "default", id, id as i64));
    }
    (cpu_us() - start) / sample as f64
}

fn disk_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(it) if it.is_dir() => disk_bytes(&entry.path()),
            Ok(it) => it.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// CPU time of this process with all its threads; 0 where the system does not say.
fn cpu_us() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15, in hundredths of a second; the name before them may hold spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() * 10_000.0
}

/// Bytes that this process made the system write; 0 where the system does not say.
fn written_bytes() -> f64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or_default()
}
