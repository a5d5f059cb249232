//! What is recomputed from a record (contract section 3), exactly.

use serde::{Deserialize, Serialize};

use crate::{Nano, Record};

/// Largest `N_j`, exclusive: 2^53, beyond which a double skips integers.
const N_J_LIMIT: u64 = 1 << 53;
/// Scales whose logarithms are closer than this make no slope.
const DX_MIN: f64 = 1e-9;

/// Why D̂ can not be recomputed (check 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDHat {
    /// A scale is zero or negative.
    #[error("every scale must be above 0; number {0} (from 1) is not")]
    Scale(usize),
    /// `N_j` has no entry for a scale, written as a plain decimal.
    #[error("N_j must have an entry for every scale; number {0} (from 1) has none")]
    Missing(usize),
    /// An entry of `N_j` is out of range.
    #[error("N_j must be above 0 and below 2^53 for every scale; that of number {0} (from 1) is not")]
    Count(usize),
    /// All scales are too close together.
    #[error("at least two scales must be 1e-9 apart in log2")]
    NoPair,
}

/// Recomputes D̂: Theil–Sen over (log2 scale, log2 N_j) in the order of `scales`; every pair
/// i < j at least 1e-9 apart gives a slope; the upper median of the slopes, rounded.
///
/// # Errors
/// [`NoDHat`] where check 5 does not hold.
pub fn d_hat(record: &Record<'_>) -> Result<Nano, NoDHat> {
    let mut points = Vec::with_capacity(record.scales.len());
    let mut key = itoa::Buffer::new();
    for (n, scale) in (1..).zip(&record.scales) {
        let scale = u64::try_from(*scale).ok().filter(|scale| *scale > 0).ok_or(NoDHat::Scale(n))?;
        let key = key.format(scale);
        let at = record.n_j.binary_search_by(|entry| entry.0.as_ref().cmp(key)).map_err(|_| NoDHat::Missing(n))?;
        let count = record.n_j.get(at).and_then(|entry| u64::try_from(entry.1).ok());
        let count = count.filter(|count| (1..N_J_LIMIT).contains(count)).ok_or(NoDHat::Count(n))?;
        // The nearest double of an integer of 64 bits; counts below 2^53 are exact.
        points.push((libm::log2(scale as f64), libm::log2(count as f64)));
    }
    theil_sen(&points).and_then(Nano::from_f64).ok_or(NoDHat::NoPair)
}

/// The upper median of all pairwise slopes; `None` if no pair is far enough apart.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (n, (x, y)) in points.iter().enumerate() {
        for (later_x, later_y) in points.get(n + 1..).unwrap_or_default() {
            let dx = later_x - x;
            if dx.abs() >= DX_MIN {
                slopes.push((later_y - y) / dx);
            }
        }
    }
    if slopes.is_empty() {
        return None;
    }
    let middle = slopes.len() / 2;
    let (_, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    // A slope of -0.0 is a slope of zero.
    Some(*median + 0.0)
}

/// The shape of a computation, as its signals say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// coh★ ≥ 0.70 and D̂ ≤ 1.5.
    Sticky,
    /// Neither of the others.
    Mixed,
    /// D̂ ≥ 2.6.
    NonSticky,
}

impl Regime {
    /// Every regime.
    pub const ALL: [Self; 3] = [Self::Sticky, Self::Mixed, Self::NonSticky];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sticky => "sticky",
            Self::Mixed => "mixed",
            Self::NonSticky => "non_sticky",
        }
    }
}

impl core::fmt::Display for Regime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The regime that the claimed D̂ and coh★ make.
pub fn regime(d_hat: Nano, coh_star: Nano) -> Regime {
    if coh_star.units() >= 700_000_000 && d_hat.units() <= 1_500_000_000 {
        Regime::Sticky
    } else if d_hat.units() >= 2_600_000_000 {
        Regime::NonSticky
    } else {
        Regime::Mixed
    }
}

/// The budget that the claimed D̂, coh★ and r make:
/// clamp(0.10 + 0.30·(1−r) + 0.50·max(0, D̂−2.2) + 0.20·coh★, 0, 1), in units of 1e-11, rounded once.
pub fn budget(d_hat: Nano, coh_star: Nano, r: Nano) -> Nano {
    const ONE: i128 = 1_000_000_000;
    let sum = 10 * ONE + 30 * (ONE - r.units()) + 50 * (d_hat.units() - 2_200_000_000).max(0) + 20 * coh_star.units();
    Nano::from_units((sum.clamp(0, 100 * ONE) + 50) / 100)
}
