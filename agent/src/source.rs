//! Where rows come from: their points, and their raw text, which is what is compressed and hashed.
//!
//! A source hands out one row at a time and keeps none. The raw text of a row is
//! `{timestamp:.9f},{x},{y},{z}`: x, y, z as in the file where the source is text ([`Csv`]), else
//! as Python's `repr` of the number ([`Typed`]); where there is no timestamp, the number of the
//! row, from 0. (Messages count rows from 1.)
//!
//! A row that is not understood is an error and never skipped: all the numbers of a PCS depend on
//! every row.

use core::fmt::{self, Write as _};
use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use crate::repr;

/// x, y, z.
pub type Point = [f64; 3];

/// The most that a message quotes of the data, in characters.
const QUOTE_CHARS: usize = 40;

/// One of the three coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// The first.
    X,
    /// The second.
    Y,
    /// The third.
    Z,
}

/// The coordinates in the order of a [`Point`].
pub const AXES: [Axis; 3] = [Axis::X, Axis::Y, Axis::Z];

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X => "x",
            Self::Y => "y",
            Self::Z => "z",
        })
    }
}

/// Rows, one after the other.
pub trait Source {
    /// Reads the next row: appends its raw text, without a line end, to `raw` and returns its
    /// point, whose numbers are finite; `None` after the last. After an error the source is at an
    /// unknown place, and is to be given up.
    fn next_row(&mut self, raw: &mut String) -> Result<Option<Point>, SourceError>;
}

/// The data could not be read as rows.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The reader failed.
    #[error("the data could not be read to their end: {0}")]
    Read(csv::Error),
    /// There is not even a header.
    #[error(
        "the data are empty; expected a first line that names the columns x, y and z (and timestamp, if there is one)"
    )]
    Empty,
    /// A column that is needed is not in the header.
    #[error(
        "the header has no column {column:?}, it has {found}; the first line must name x, y and z (and timestamp, if there is one), in any order, separated by commas"
    )]
    NoColumn {
        /// The missing column.
        column: &'static str,
        /// The columns that there are.
        found: String,
    },
    /// A column that is needed stands in the header twice.
    #[error("the header has the column {column:?} twice, so that it is not clear which is meant; rename one of them")]
    TwoColumns {
        /// The column.
        column: &'static str,
    },
    /// A row has not as many cells as the header.
    #[error(
        "row {row} (without header and empty lines) has {found} cells where the header has {expected}; correct it (a decimal comma needs quotes and is no number here) or leave it out"
    )]
    Cells {
        /// The row, from 1, without the header and empty lines.
        row: u64,
        /// Cells of the header.
        expected: usize,
        /// Cells of the row.
        found: usize,
    },
    /// A cell is not a finite number.
    #[error(
        "row {row} (without header and empty lines), column {column}: expected a finite decimal number, found {found}; correct it or leave the row out"
    )]
    Number {
        /// The row, from 1, without the header and empty lines.
        row: u64,
        /// The column.
        column: &'static str,
        /// What stands there, quoted and cut.
        found: String,
    },
}

/// Which cell of a line a column is, and its name in messages.
#[derive(Clone, Copy)]
struct Column {
    at: usize,
    name: &'static str,
}

/// Rows of a CSV text with a header: columns `x`, `y`, `z` and, if there is one, `timestamp`, in
/// any order; others are ignored, and so are empty lines and a BOM. Spaces around a number or a
/// name are allowed; around a number they are part of the raw text, as all of the cell is.
pub struct Csv<R> {
    reader: csv::Reader<R>,
    cells: ByteRecord,
    timestamp: Option<Column>,
    axes: [Column; 3],
    width: usize,
    rows: u64,
}

impl<R: Read> Csv<R> {
    /// Reads the header.
    pub fn new(reader: R) -> Result<Self, SourceError> {
        // Flexible: a row of another length is then an error of ours, with its place.
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(reader);
        let header = reader.byte_headers().map_err(SourceError::Read)?;
        if header.is_empty() {
            return Err(SourceError::Empty);
        }
        let need = |name| find(header, name)?.ok_or_else(|| no_column(header, name));
        let axes = [need("x")?, need("y")?, need("z")?];
        let timestamp = find(header, "timestamp")?;
        let width = header.len();
        Ok(Self { reader, cells: ByteRecord::new(), timestamp, axes, width, rows: 0 })
    }

    fn number(&self, column: Column) -> Result<(&str, f64), SourceError> {
        let cell = self.cells.get(column.at).unwrap_or_default();
        let read = core::str::from_utf8(cell).ok().and_then(|text| Some((text, finite(text)?)));
        read.ok_or_else(|| SourceError::Number {
            row: self.rows,
            column: column.name,
            found: quote(&String::from_utf8_lossy(cell)),
        })
    }
}

impl<R: Read> Source for Csv<R> {
    fn next_row(&mut self, raw: &mut String) -> Result<Option<Point>, SourceError> {
        if !self.reader.read_byte_record(&mut self.cells).map_err(SourceError::Read)? {
            return Ok(None);
        }
        self.rows += 1;
        if self.cells.len() != self.width {
            return Err(SourceError::Cells { row: self.rows, expected: self.width, found: self.cells.len() });
        }
        let time = match self.timestamp {
            Some(column) => self.number(column)?.1,
            None => (self.rows - 1) as f64,
        };
        write_time(time, raw);
        let mut point = [0.0; 3];
        for (slot, column) in point.iter_mut().zip(self.axes) {
            let (text, value) = self.number(column)?;
            raw.push(',');
            raw.push_str(text);
            *slot = value;
        }
        Ok(Some(point))
    }
}

/// A row that is numbers already, from a program or a typed file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TypedRow {
    /// Where there is none, the number of the row stands for it.
    pub timestamp: Option<f64>,
    /// x, y, z.
    pub point: Point,
}

impl From<Point> for TypedRow {
    fn from(point: Point) -> Self {
        Self { timestamp: None, point }
    }
}

/// Rows out of an iterator of numbers.
pub struct Typed<I> {
    rows: I,
    read: u64,
}

impl<I: Iterator<Item = TypedRow>> Typed<I> {
    /// These rows.
    pub fn new(rows: impl IntoIterator<IntoIter = I>) -> Self {
        Self { rows: rows.into_iter(), read: 0 }
    }
}

impl<I: Iterator<Item = TypedRow>> Source for Typed<I> {
    fn next_row(&mut self, raw: &mut String) -> Result<Option<Point>, SourceError> {
        let Some(TypedRow { timestamp, point }) = self.rows.next() else { return Ok(None) };
        self.read += 1;
        let row = self.read;
        let check = |value: f64, column| {
            let refuse = || SourceError::Number { row, column, found: quote(&value.to_string()) };
            value.is_finite().then_some(value).ok_or_else(refuse)
        };
        write_time(check(timestamp.unwrap_or((row - 1) as f64), "timestamp")?, raw);
        for (value, column) in point.into_iter().zip(["x", "y", "z"]) {
            raw.push(',');
            repr::write(check(value, column)?, raw);
        }
        Ok(Some(point))
    }
}

/// Python's `f"{time:.9f}"`: both round the exact value, ties to even.
fn write_time(time: f64, raw: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(raw, "{time:.9}");
}

/// A number as Python's `float` reads it, with spaces around it, but without underscores in it.
fn finite(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|x: &f64| x.is_finite())
}

fn find(header: &ByteRecord, name: &'static str) -> Result<Option<Column>, SourceError> {
    let mut found = header.iter().enumerate().filter(|(_, cell)| cell.trim_ascii() == name.as_bytes());
    let first = found.next().map(|(at, _)| Column { at, name });
    match found.next() {
        Some(_) => Err(SourceError::TwoColumns { column: name }),
        None => Ok(first),
    }
}

fn no_column(header: &ByteRecord, column: &'static str) -> SourceError {
    let names: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
    SourceError::NoColumn { column, found: quote(&names.join(",")) }
}

/// Outside text for a message: escaped and short.
fn quote(text: &str) -> String {
    let cut: String = text.chars().take(QUOTE_CHARS).collect();
    let more = if cut.len() < text.len() { " (and more)" } else { "" };
    format!("{cut:?}{more}")
}
