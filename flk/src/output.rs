//! What people and scripts see: tables, colours only on a terminal, JSON lines.
//!
//! Everything printed goes through [`print()`] or [`note`]: both strip colours where the stream is no
//! terminal (or `NO_COLOR` is set). Text that came from outside goes through [`printable`] first, so
//! that no record can write escape sequences to an operator's terminal; tables do that by
//! themselves.

use std::{
    borrow::Cow,
    io::{self, BufWriter, Write},
};

use anstyle::Style;
use serde::Serialize;

use crate::Failure;

/// The colours, and what they mean.
pub mod style {
    use anstyle::{AnsiColor, Style};

    /// Nothing special.
    pub const PLAIN: Style = Style::new();
    /// It holds.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// It does not.
    pub const BAD: Style = AnsiColor::Red.on_default().bold();
    /// A person should look.
    pub const WARN: Style = AnsiColor::Yellow.on_default();
    /// Beside the point.
    pub const DIM: Style = Style::new().dimmed();
    /// Headings.
    pub const BOLD: Style = Style::new().bold();
}

/// Writes to standard output, and sees that all of it went out.
///
/// # Errors
/// [`Failure::ReaderGone`] where nobody reads it any longer, [`Failure::Failed`] for all else.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    write(&mut out).and_then(|()| out.flush()).map_err(Failure::output)
}

/// Writes to standard error. Where that fails there is nobody left to tell.
pub fn note(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let mut err = BufWriter::new(anstream::stderr().lock());
    let _ = write(&mut err).and_then(|()| err.flush());
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// What the writer says.
pub fn json_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Text from outside, made harmless: control characters and those that change the direction or
/// can not be seen are written as escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmful(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A number with spaces between thousands, as tables show it.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a colour of [`style`].
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        let text = text.into();
        match printable(&text) {
            Cow::Borrowed(_) => Self { text, style },
            Cow::Owned(text) => Self { text, style },
        }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, style::PLAIN)
    }
}

/// On which side of its column a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings, as wide as their widest cells.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(Cell, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows. Headings may be empty.
    pub fn new<const N: usize>(columns: [(&str, Align); N]) -> Self {
        let heading = |(text, align): (&str, Align)| (Cell::new(text, style::BOLD), align);
        Self { columns: columns.into_iter().map(heading).collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells beyond the columns are left out, missing ones are empty.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes it: two spaces between columns, none at the end of a line. The headings are left out
    /// if all are empty.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let widest = |at: usize, heading: &Cell| {
            self.rows.iter().filter_map(|row| row.get(at)).map(Cell::width).chain([heading.width()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(at, (heading, _))| widest(at, heading)).collect();
        if self.columns.iter().any(|(heading, _)| heading.width() > 0) {
            let headings: Vec<Cell> = self.columns.iter().map(|(heading, _)| heading.clone()).collect();
            self.line(out, &widths, &headings)?;
        }
        self.rows.iter().try_for_each(|row| self.line(out, &widths, row))
    }

    fn line(&self, out: &mut dyn Write, widths: &[usize], cells: &[Cell]) -> io::Result<()> {
        let mut owed = 0;
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            let space = width - cell.width();
            let (before, after) = match align {
                Align::Left => (0, space),
                Align::Right => (space, 0),
            };
            if cell.width() > 0 {
                let Cell { text, style } = cell;
                write!(out, "{:1$}{style}{text}{style:#}", "", owed + before)?;
                owed = 0;
            } else {
                owed += before;
            }
            owed += after + 2;
        }
        out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_reaches_the_terminal_raw() {
        assert_eq!(printable("plain D̂ ≤ 1.5"), "plain D̂ ≤ 1.5");
        assert_eq!(printable("a\u{1b}[31m\n\u{202e}b"), "a\\u{1b}[31m\\n\\u{202e}b");
        assert_eq!(Cell::from("\u{7}").text, "\\u{7}");
    }

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        let mut table = Table::new([("what", Align::Left), ("count", Align::Right), ("", Align::Left)]);
        table.row(["a".into(), "7".into(), "x".into()]);
        table.row(["longer".into(), "1234567".into()]);
        table.row(["".into(), "".into(), "y".into()]);
        let mut out = anstream::StripStream::new(Vec::new());
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        assert_eq!(text, "what      count\na             7  x\nlonger  1234567\n                 y\n");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    }
}
