//! The numbers of contract sections 2 to 4 once more, in decimal arithmetic of any size that shares
//! nothing with the contract's integers.

use std::{cmp::Ordering, collections::BTreeMap, str::FromStr as _};

use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive as _};
use flk_contract::{Code, SCHEMA};

use crate::draft::{Draft, derived};

/// A decimal that many places after the point, halves away from zero.
pub(crate) fn rounded(value: &BigDecimal) -> BigDecimal {
    value.with_scale_round(9, RoundingMode::HalfUp)
}

pub(crate) fn number(text: &str) -> BigDecimal {
    BigDecimal::from_str(text).unwrap()
}

/// The decimal of so many units of 1e-9.
pub(crate) fn decimal(units: i64) -> BigDecimal {
    BigDecimal::new(units.into(), 9)
}

/// The units of 1e-9 of a decimal that has no more than nine places.
pub(crate) fn units(value: &BigDecimal) -> i64 {
    let units = value * BigDecimal::from(1_000_000_000);
    assert!(units.is_integer(), "{value}");
    units.to_i64().unwrap()
}

/// The fewest digits that read back as `x`, of those the nearest to it, of two as near the even
/// ones: what Python's `repr` shows. With its number of digits given, Rust rounds ties to even;
/// left to choose the number itself, it rounds them up.
fn shortest(x: f64) -> String {
    (0..17).map(|digits| format!("{x:.digits$e}")).find(|text| text.parse::<f64>().unwrap() == x).unwrap()
}

/// What a claimed number is: its shortest decimal text, rounded. `None` where it is out of range.
pub(crate) fn claim(x: f64) -> Option<BigDecimal> {
    (x.is_finite() && x.abs() < 1e15).then(|| rounded(&number(&shortest(x))))
}

/// Python's `repr` of the nearest double, below 1e16 in magnitude.
pub(crate) fn repr(value: &BigDecimal) -> String {
    let x: f64 = value.to_plain_string().parse().unwrap();
    let text = shortest(x);
    let (digits, power) = text.split_once('e').unwrap();
    match power.parse::<i32>().unwrap() {
        power @ ..-4 => format!("{digits}e-{:02}", -power),
        _ => {
            let plain = number(&text).normalized().to_plain_string();
            if plain.contains('.') { plain } else { format!("{plain}.0") }
        }
    }
}

/// Theil–Sen by the book: all slopes, sorted, the upper of the middle ones.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::new();
    for i in 0..points.len() {
        for j in i + 1..points.len() {
            let (dx, dy) = (points[j].0 - points[i].0, points[j].1 - points[i].1);
            if !(dx < 1e-9 && dx > -1e-9) {
                slopes.push(dy / dx);
            }
        }
    }
    slopes.sort_by(|a, b| a.partial_cmp(b).unwrap());
    slopes.get(slopes.len() / 2).copied()
}

pub(crate) fn d_hat(scales: &[i128], n_j: &BTreeMap<i128, i128>) -> BigDecimal {
    let point = |scale: &i128| (libm::log2(*scale as f64), libm::log2(n_j[scale] as f64));
    let slope = slope(&scales.iter().map(point).collect::<Vec<_>>());
    // -0.0 is zero for a decimal.
    slope.and_then(claim).unwrap_or_default()
}

pub(crate) fn budget(d_hat: i64, coh_star: i64, r: i64) -> BigDecimal {
    let (zero, one) = (BigDecimal::from(0), BigDecimal::from(1));
    let over = (decimal(d_hat) - number("2.2")).max(zero.clone());
    let sum = number("0.10")
        + number("0.30") * (one.clone() - decimal(r))
        + number("0.50") * over
        + number("0.20") * decimal(coh_star);
    rounded(&sum.clamp(zero, one))
}

pub(crate) fn regime(d_hat: i64, coh_star: i64) -> &'static str {
    let at_least = |units, bound| decimal(units).cmp(&number(bound)) != Ordering::Less;
    match (at_least(coh_star, "0.70") && !at_least(d_hat, "1.500000001"), at_least(d_hat, "2.6")) {
        (true, _) => "sticky",
        (false, true) => "non_sticky",
        (false, false) => "mixed",
    }
}

/// Checks 3 to 10 of a draft.
pub(crate) fn code(draft: &Draft) -> Code {
    let apart = |a: i64, b: &BigDecimal| (decimal(a) - b).abs();
    if draft.pcs_id != derived(&draft.merkle_root, draft.epoch, &draft.shard_id) {
        return Code::PcsIdMismatch;
    }
    let version: Vec<_> = draft.version.split('.').collect();
    let numbers = version.iter().all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()));
    if draft.schema != SCHEMA || version.len() < 2 || version[0] != "0" || !numbers {
        return Code::SchemaMismatch;
    }
    let mut counts = BTreeMap::new();
    for scale in &draft.scales {
        match draft.n_j.get(&scale.to_string()) {
            Some(count) if *scale > 0 && *count > 0 && *count < 1 << 53 => counts.insert(*scale, *count),
            _ => return Code::DHatUnavailable,
        };
    }
    let point = |scale: &i128| (libm::log2(*scale as f64), libm::log2(counts[scale] as f64));
    if slope(&draft.scales.iter().map(point).collect::<Vec<_>>()).is_none() {
        return Code::DHatUnavailable;
    }
    if apart(draft.d_hat, &d_hat(&draft.scales, &counts)) > number("0.15") {
        return Code::DHatOutOfTolerance;
    }
    if decimal(draft.coh_star) < number("0") || decimal(draft.coh_star) > number("1.05") {
        return Code::CoherenceOutOfBounds;
    }
    if draft.regime != regime(draft.d_hat, draft.coh_star) {
        return Code::RegimeMismatch;
    }
    if apart(draft.budget, &budget(draft.d_hat, draft.coh_star, draft.r)) > number("0.01") {
        return Code::BudgetDeviation;
    }
    if draft.degraded == Some(true) { Code::Degraded } else { Code::Ok }
}
