//! `coh_star` and `v_star`: along which of a number of random directions the points lie closest
//! together.
//!
//! For each direction the points are projected, the range from the smallest to the largest
//! projection is cut into equal bins, and the direction's share is that of the fullest bin. The
//! largest share is `coh_star`, the first direction that has it is `v_star`.
//!
//! The bins are `numpy.histogram`'s, operation by operation: the index is computed, then corrected
//! where the rounded edges say otherwise. A histogram that is merely right gives another count for
//! a point on an edge, and with it another digit.

use crate::gaussian::Gaussian;
use crate::repr::round9;
use crate::source::Point;

/// Ranges narrower than this are one point: all of them fall into one bin.
const WIDTH_MIN: f64 = 1e-9;

/// How close together the points lie, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coherence {
    /// The largest share, rounded to nine decimals.
    pub coh_star: f64,
    /// The unit vector that has it; zero where there are no points.
    pub v_star: [f64; 3],
}

/// The coherence of `points` over `directions` directions of `seed`, with `bins` bins (at least
/// one). Expects finite points. Takes eight bytes a point, and time in proportion to points times
/// directions.
pub fn coherence(points: &[Point], seed: u32, directions: u32, bins: u32) -> Coherence {
    if points.is_empty() {
        return Coherence { coh_star: 0.0, v_star: [0.0; 3] };
    }
    let mut random = Gaussian::new(seed);
    let mut histogram = Histogram::new(bins);
    let mut projections = Vec::with_capacity(points.len());
    let (mut best, mut v_star) = (0.0, [1.0, 0.0, 0.0]);
    for _ in 0..directions {
        let v = direction(&mut random);
        projections.clear();
        // From left to right, each product and sum rounded: Rust makes no fused multiply-adds.
        projections.extend(points.iter().map(|p| p[0] * v[0] + p[1] * v[1] + p[2] * v[2]));
        let share = histogram.largest_share(&projections);
        if share > best {
            (best, v_star) = (share, v);
        }
        if best >= 1.0 {
            break; // No share is larger, and the first best direction counts.
        }
    }
    Coherence { coh_star: round9(best), v_star }
}

fn direction(random: &mut Gaussian) -> [f64; 3] {
    let v = [random.draw(), random.draw(), random.draw()];
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    v.map(|x| x / length)
}

/// Edges and counts, kept from direction to direction.
struct Histogram {
    bins: usize,
    edges: Vec<f64>,
    counts: Vec<u64>,
}

impl Histogram {
    fn new(bins: u32) -> Self {
        let bins = bins.max(1) as usize;
        Self { bins, edges: vec![0.0; bins + 1], counts: vec![0; bins] }
    }

    /// The share of the values that fall into the fullest bin. Expects at least one value.
    fn largest_share(&mut self, values: &[f64]) -> f64 {
        let (low, high) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &p| (low.min(p), high.max(p)));
        let width = high - low;
        if width < WIDTH_MIN {
            return 1.0;
        }
        self.lay_edges(low, high);
        self.counts.fill(0);
        for &value in values {
            let bin = self.bin(value, low, width);
            self.counts[bin] += 1;
        }
        let fullest = self.counts.iter().copied().max().unwrap_or(0);
        fullest as f64 / values.len() as f64
    }

    /// `numpy.linspace(low, high, bins + 1)`.
    fn lay_edges(&mut self, low: f64, high: f64) {
        let step = (high - low) / self.bins as f64;
        for (at, edge) in self.edges.iter_mut().enumerate() {
            *edge = at as f64 * step + low;
        }
        self.edges[self.bins] = high;
    }

    fn bin(&self, value: f64, low: f64, width: f64) -> usize {
        let last = self.bins - 1;
        // Truncates; the largest value lies on the last edge and belongs to the last bin.
        let mut bin = (((value - low) / width * self.bins as f64) as usize).min(last);
        if value < self.edges[bin] {
            bin = bin.saturating_sub(1);
        }
        if bin != last && value >= self.edges[bin + 1] {
            bin += 1;
        }
        bin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_points_have_no_coherence() {
        assert_eq!(coherence(&[], 7, 100, 20), Coherence { coh_star: 0.0, v_star: [0.0; 3] });
    }

    #[test]
    fn a_value_on_an_edge_belongs_to_the_bin_on_its_right_and_the_last_value_to_the_last_bin() {
        let mut histogram = Histogram::new(10);
        histogram.lay_edges(0.0, 1.0);
        // 0.3 is the double below the edge 3 * 0.1, 0.6 the one below 6 * 0.1, 0.7 below 7 * 0.1.
        let bins: Vec<usize> =
            [0.0, 0.1, 0.3, 0.6, 0.7, 0.9, 1.0].iter().map(|&p| histogram.bin(p, 0.0, 1.0)).collect();
        assert_eq!(bins, [0, 1, 2, 5, 6, 9, 9]);
    }

    #[test]
    fn one_bin_holds_all() {
        let points = [[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]];
        assert_eq!(coherence(&points, 1, 3, 1).coh_star, 1.0);
    }
}
