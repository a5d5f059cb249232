//! `N_j`: how many cells of a grid the points fall into, for each scale.
//!
//! A cell is `floor(point * scale)` in each of the three axes, as a 64-bit integer. The order of
//! the points does not matter. Memory is proportional to the number of distinct cells, which is at
//! most the number of points for each scale.

use std::collections::HashSet;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::source::{AXES, Axis, Point};

/// The cells end here: the magnitude from which on a floor is no 64-bit integer (2^63).
const CELL_MAX: f64 = 9_223_372_036_854_775_808.0;

/// A point that lies in no cell.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "{axis} = {value:?} times scale {scale} is not below 2^63 in magnitude, and so lies in no cell; use another unit for the data"
)]
pub struct CellError {
    /// The coordinate that is too large.
    pub axis: Axis,
    /// Its value.
    pub value: f64,
    /// The scale at which it is too large.
    pub scale: u64,
}

/// Counts distinct cells, point by point.
pub struct Cells {
    scales: Vec<(u64, HashSet<[i64; 3]>)>,
}

impl Cells {
    /// Empty grids of these scales.
    pub fn new(scales: &[u64]) -> Self {
        Self { scales: scales.iter().map(|&scale| (scale, HashSet::new())).collect() }
    }

    /// Marks the cell of a point in every grid. After an error the grids that came first hold it
    /// and the others do not: the whole is then to be given up.
    pub fn add(&mut self, point: &Point) -> Result<(), CellError> {
        for (scale, cells) in &mut self.scales {
            let mut cell = [0; 3];
            for ((slot, &value), axis) in cell.iter_mut().zip(point).zip(AXES) {
                let floor = (value * *scale as f64).floor();
                if !(-CELL_MAX..CELL_MAX).contains(&floor) {
                    return Err(CellError { axis, value, scale: *scale });
                }
                *slot = floor as i64;
            }
            cells.insert(cell);
        }
        Ok(())
    }

    /// The number of distinct cells of each scale.
    pub fn counts(&self) -> Counts {
        Counts(self.scales.iter().map(|(scale, cells)| (*scale, cells.len() as u64)).collect())
    }
}

/// Scale and number of cells, in the order of the scales. Serialized as the object `N_j`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts(Vec<(u64, u64)>);

impl Counts {
    /// Scale and number of cells, in the order of the scales.
    pub fn pairs(&self) -> &[(u64, u64)] {
        &self.0
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (scale, count) in &self.0 {
            map.serialize_entry(&scale.to_string(), count)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_below_zero_are_floored_and_minus_zero_is_zero() {
        let mut cells = Cells::new(&[2]);
        for point in [[-0.1, 0.0, 0.0], [0.1, 0.0, 0.0], [-0.0, 0.0, -0.0], [-0.5, 0.0, 0.0]] {
            cells.add(&point).unwrap();
        }
        assert_eq!(cells.counts().pairs(), [(2, 2)]);
    }

    #[test]
    fn a_cell_that_is_no_64_bit_integer_is_refused_and_the_last_one_is_taken() {
        let mut cells = Cells::new(&[1, 2]);
        let edge = CELL_MAX / 2.0;
        cells.add(&[0.0, -edge, 0.0]).unwrap();
        let error = cells.add(&[0.0, 0.0, edge]).unwrap_err();
        assert_eq!(error, CellError { axis: Axis::Z, value: edge, scale: 2 });
        assert!(cells.add(&[f64::NAN, 0.0, 0.0]).is_err());
        assert!(cells.add(&[f64::INFINITY, 0.0, 0.0]).is_err());
    }

    #[test]
    fn counts_are_an_object_in_the_order_of_the_scales() {
        let mut cells = Cells::new(&[16, 2]);
        cells.add(&[0.0, 0.0, 0.0]).unwrap();
        cells.add(&[0.1, 0.0, 0.0]).unwrap();
        assert_eq!(serde_json::to_string(&cells.counts()).unwrap(), r#"{"16":2,"2":1}"#);
    }
}
