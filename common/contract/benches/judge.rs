//! What judging costs, piece by piece, and as a ratio to what it can not do without: hashing and
//! one verification. The ratios are the judge rows of the design's targets: each is the median of
//! many short rounds that take the two in turns, so that a busy machine slows both.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark stops where it can not go on")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use flk_contract::{
    Code, Form, Key, Keyring, LogTime, Record, Signing, Tenant, canonical, judge,
    keys::Window,
    signals,
    signature::{HmacForm, Signed, ed25519_public, sign_ed25519, sign_hmac},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

const SECRET: &[u8] = b"a shared secret of usual length";
const SEED: [u8; 32] = [7; 32];

/// A record as our agent writes it with its usual four scales, sealed and then signed by `sign`.
fn body(sign: impl FnOnce(&Signed) -> String) -> Vec<u8> {
    const MERKLE_ROOT: &str = "773232abe9343f0e102f8248423fc6ceec7d0ac3f4f0144ab3bd88a0611be529";
    const SHARD_ID: &str = "plant-7/press-12/vibration";
    let pcs_id = flk_contract::pcs_id(MERKLE_ROOT, 29_461_200, SHARD_ID);
    let with = |d_hat: &str, budget: &str, sig: &str| {
        format!(
            r#"{{"pcs_id":"{pcs_id}","schema":"fractal-lba-kakeya","version":"0.1","shard_id":"{SHARD_ID}","epoch":29461200,"attempt":1,"sent_at":"2026-01-06T08:00:03.218Z","seed":7,"scales":[2,4,8,16],"N_j":{{"2":38,"4":152,"8":571,"16":1904}},"coh_star":0.418233333,"v_star":[0.6128473950372517,-0.07352941176470588,0.7867653210194833],"D_hat":{d_hat},"r":0.482170913,"regime":"mixed","budget":{budget},"merkle_root":"{MERKLE_ROOT}","sig":"{sig}","ft":{{"outbox_seq":4711,"degraded":false,"fallbacks":[],"clock_skew_ms":-12}}}}"#
        )
    };
    let draft = with("0", "0", "");
    let record = Record::parse(draft.as_bytes()).unwrap();
    let d_hat = signals::d_hat(&record).unwrap();
    let budget = signals::budget(d_hat, record.coh_star, record.r);
    let sealed = with(&d_hat.to_string(), &budget.to_string(), "");
    let sig = sign(&Signed::of(&Record::parse(sealed.as_bytes()).unwrap()));
    with(&d_hat.to_string(), &budget.to_string(), &sig).into_bytes()
}

const SIGNING: Signing = Signing::Required { hmac: true, ed25519: true, scope: Form::Payload };

fn keys() -> Keyring {
    let tenant = Tenant::default_tenant;
    Keyring::new(vec![
        Key::hmac(None, tenant(), SECRET, Window::default()).unwrap(),
        Key::ed25519(None, tenant(), &ed25519_public(&SEED), Window::default()).unwrap(),
    ])
    .unwrap()
}

fn accepted(body: &[u8], keys: &Keyring) {
    let verdict = judge(black_box(body), LogTime::from_millis(0), None, SIGNING, keys);
    assert_eq!(verdict.code, Code::Ok, "{}", verdict.reason);
    black_box(verdict);
}

/// SHA-256 and HMAC-SHA256 of the body: what any service that verifies it does at the least.
fn hashes(body: &[u8], keyed: &Hmac<Sha256>) {
    black_box(Sha256::digest(black_box(body)));
    black_box(keyed.clone().chain_update(black_box(body)).finalize());
}

fn criterion(c: &mut Criterion) {
    let keys = keys();
    let hmac = body(|signed| sign_hmac(SECRET, signed, HmacForm::ContentDigest));
    let ed25519 = body(|signed| sign_ed25519(&SEED, signed, Form::Content));
    let record = Record::parse(&hmac).unwrap();
    c.bench_function("parse", |b| b.iter(|| black_box(Record::parse(black_box(&hmac)))));
    let mut group = c.benchmark_group("canonical");
    group.bench_function("payload", |b| b.iter(|| black_box(canonical::payload(black_box(&record)))));
    group.bench_function("content", |b| b.iter(|| black_box(canonical::content(black_box(&record)))));
    group.bench_function("both_and_digests", |b| b.iter(|| black_box(Signed::of(black_box(&record)))));
    group.finish();
    let keyed = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    let mut group = c.benchmark_group("hmac");
    group.throughput(Throughput::Bytes(hmac.len() as u64));
    group.bench_function("body", |b| b.iter(|| black_box(keyed.clone().chain_update(black_box(&hmac)).finalize())));
    group.bench_function("sha256_and_hmac_of_body", |b| b.iter(|| hashes(&hmac, &keyed)));
    group.finish();
    let signer = SigningKey::from_bytes(&SEED);
    let (public, message) = (signer.verifying_key(), [1_u8; 32]);
    let signature = signer.sign(&message);
    c.bench_function("ed25519/verify_strict", |b| {
        b.iter(|| public.verify_strict(black_box(&message), black_box(&signature)).unwrap());
    });
    let mut group = c.benchmark_group("theil_sen");
    for scales in [4, 10, 64] {
        let points: Vec<_> = (0..scales).map(|n| (f64::from(n), f64::from(n * n % 31) + 0.5)).collect();
        group.bench_with_input(BenchmarkId::from_parameter(scales), &points, |b, points| {
            b.iter(|| black_box(signals::theil_sen(black_box(points))));
        });
    }
    group.finish();
    c.bench_function("judge_hmac", |b| b.iter(|| accepted(&hmac, &keys)));
    c.bench_function("judge_ed25519", |b| b.iter(|| accepted(&ed25519, &keys)));
}

/// Median times of two things done in turns, and the median of their ratio.
struct Compared {
    ceiling: Duration,
    judge: Duration,
    ratio: f64,
}

/// Runs some frames further down the stack. Where a stack happens to lie moved a verification's time
/// by up to a fifth from one run to the next; this way every position has its share in both times.
#[inline(never)]
fn deeper(frames: u32, work: &mut dyn FnMut() -> Duration) -> Duration {
    let frame = black_box([0_u8; 64]);
    let time = if frames == 0 { work() } else { deeper(frames - 1, work) };
    black_box(frame);
    time
}

fn compare(repeat: u32, mut ceiling: impl FnMut(), mut judge: impl FnMut()) -> Compared {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..repeat).for_each(|_| work());
        start.elapsed() / repeat
    };
    // The first rounds warm caches and clocks.
    let round = |n: u32| (deeper(n % 64, &mut || time(&mut ceiling)), deeper(n * 29 % 64, &mut || time(&mut judge)));
    let rounds: Vec<_> = (0..1240).map(round).skip(40).collect();
    let mut ratios: Vec<_> = rounds.iter().map(|(c, j)| j.as_nanos() as f64 / c.as_nanos() as f64).collect();
    ratios.sort_by(f64::total_cmp);
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    Compared {
        ceiling: median(rounds.iter().map(|round| round.0).collect()),
        judge: median(rounds.iter().map(|round| round.1).collect()),
        ratio: ratios[ratios.len() / 2],
    }
}

fn ratios() {
    let keys = keys();
    let keyed = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    let hmac = |form| {
        let body = body(|signed| sign_hmac(SECRET, signed, form));
        compare(200, || hashes(&body, &keyed), || accepted(&body, &keys))
    };
    let signer = SigningKey::from_bytes(&SEED);
    let (public, message) = (signer.verifying_key(), [1_u8; 32]);
    let signature = Signature::from_bytes(&signer.sign(&message).to_bytes());
    let ed25519 = |form| {
        let body = body(|signed| sign_ed25519(&SEED, signed, form));
        let verify = || public.verify_strict(black_box(&message), black_box(&signature)).unwrap();
        compare(10, verify, || accepted(&body, &keys))
    };
    let size = body(|signed| sign_hmac(SECRET, signed, HmacForm::ContentDigest)).len();
    println!(
        "\nOne core, a record of {size} bytes; the ceiling is SHA-256 + HMAC of the same bytes, or one strict verify."
    );
    println!("{:<50} | {:>7} | {:>6} | {:<3} | ceiling, judge", "name", "ratio", "target", "met");
    let mut rows = String::new();
    let (hashing, verifying) = ("SHA-256 + HMAC alone of the same bytes", "the library's single strict verify");
    for (name, target, against, compared) in [
        ("judge, HMAC (content)", Some(4.0), hashing, hmac(HmacForm::ContentDigest)),
        ("judge, HMAC (payload digest)", Some(4.0), hashing, hmac(HmacForm::PayloadDigest)),
        ("judge, HMAC (payload)", Some(4.0), hashing, hmac(HmacForm::Payload)),
        ("judge, Ed25519 (content)", Some(1.1), verifying, ed25519(Form::Content)),
        // Tried second, so it costs two verifications: shown, and not what the target is about.
        ("judge, Ed25519 (payload: the second verification)", None, verifying, ed25519(Form::Payload)),
    ] {
        let (at_most, met) = match target {
            Some(target) => (format!("≤ {target}"), if compared.ratio <= target { "yes" } else { "no" }),
            None => ("–".to_owned(), "–"),
        };
        let Compared { ceiling, judge, ratio } = compared;
        println!("{name:<50} | {ratio:>6.2}× | {at_most:>6} | {met:<3} | {ceiling:?}, {judge:?}");
        if let Some(target) = target {
            rows.push_str(&format!("{name}, one core\t{ratio}\t{target}\t{against} ({ceiling:?})\n"));
        }
    }
    // For the table of all targets (`make bench`).
    if let Some(path) = std::env::var_os("FLK_BENCH_ROWS") {
        std::fs::write(path, rows).unwrap();
    }
}

fn main() {
    let mut settings = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    criterion(&mut settings);
    settings.final_summary();
    ratios();
}
