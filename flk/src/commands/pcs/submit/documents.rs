//! Splits an input into documents, and changes no byte of them.
//!
//! An input that as a whole is one JSON value is one document, however many lines it has. Any
//! other is one document a line: what is no JSON is sent too, and the service says so. Memory
//! stays at a few times the largest record, however long the input is, and lines go out as they
//! come.

use std::{
    fmt,
    io::{self, BufRead, Read},
    sync::Arc,
};

use flk_contract::limits::BODY_BYTES_MAX;
use serde::de::IgnoredAny;

/// Where a document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file's name.
    pub(super) source: Arc<str>,
    /// The line, from 1; `None` where the document is the whole input.
    pub(super) line: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// One document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) place: Place,
    pub(super) body: Body,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// As it stands in the input.
    Bytes(Vec<u8>),
    /// More than a record may have, and so not kept: how many.
    TooLarge(u64),
}

/// Hands each document of an input to `each`, until that has had enough.
pub(super) fn split(
    source: &Arc<str>,
    mut input: impl BufRead,
    each: &mut impl FnMut(Document) -> Wanted,
) -> io::Result<Wanted> {
    let mut head = Vec::new();
    // Blank lines may stand before a document as a whole: they are kept with it.
    let goes_on = loop {
        let from = head.len();
        let read = input.by_ref().take(HEAD_MAX - from as u64).read_until(b'\n', &mut head)?;
        let line = head.get(from..).unwrap_or_default();
        if read == 0 || !blank(line) {
            break starts(line);
        }
    };
    if goes_on {
        input.by_ref().take(HEAD_MAX - head.len() as u64).read_to_end(&mut head)?;
        match whole(&head) {
            // As much of the input as a record may not have, and no second document in it yet.
            Whole::GoesOn | Whole::One if head.len() > BODY_BYTES_MAX => {
                let rest = io::copy(&mut input, &mut io::sink())?;
                let body = Body::TooLarge(head.len() as u64 + rest);
                return Ok(each(Document { place: Place { source: source.clone(), line: None }, body }));
            }
            Whole::One => {
                return Ok(each(Document {
                    place: Place { source: source.clone(), line: None },
                    body: Body::Bytes(head),
                }));
            }
            Whole::GoesOn | Whole::No => {}
        }
    }
    lines(source, io::Cursor::new(head).chain(input), each)
}

/// Whether more documents are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    More,
    Enough,
}

/// How much of an input is looked at to see what it is: a byte more than a record may have.
const HEAD_MAX: u64 = BODY_BYTES_MAX as u64 + 1;

enum Whole {
    /// One JSON value and nothing else.
    One,
    /// The beginning of one.
    GoesOn,
    /// Something else.
    No,
}

fn whole(text: &[u8]) -> Whole {
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) => Whole::One,
        Err(error) if error.is_eof() => Whole::GoesOn,
        Err(_) => Whole::No,
    }
}

/// Whether a line is over, and a JSON value that it begins is not.
fn starts(line: &[u8]) -> bool {
    line.ends_with(b"\n") && !blank(line) && matches!(whole(line), Whole::GoesOn)
}

fn blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

fn lines(source: &Arc<str>, mut input: impl BufRead, each: &mut impl FnMut(Document) -> Wanted) -> io::Result<Wanted> {
    for number in 1.. {
        let mut line = Vec::new();
        let read = input.by_ref().take(HEAD_MAX + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        let ended = line.last() == Some(&b'\n');
        if ended {
            line.pop();
        }
        let body = if line.len() <= BODY_BYTES_MAX {
            Body::Bytes(line)
        } else {
            let rest = if ended { 0 } else { skip_line(&mut input)? };
            Body::TooLarge(line.len() as u64 + rest)
        };
        if matches!(&body, Body::Bytes(line) if blank(line)) {
            continue;
        }
        let place = Place { source: source.clone(), line: Some(number) };
        if each(Document { place, body }) == Wanted::Enough {
            return Ok(Wanted::Enough);
        }
    }
    Ok(Wanted::More)
}

/// Goes on behind the end of this line; how many bytes of it there were.
fn skip_line(input: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    let mut part = Vec::new();
    loop {
        part.clear();
        let read = input.by_ref().take(64 * 1024).read_until(b'\n', &mut part)?;
        let end = u64::from(part.last() == Some(&b'\n'));
        skipped += read as u64 - end;
        if read == 0 || end == 1 {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(input: &[u8]) -> Vec<(Option<u64>, Result<String, u64>)> {
        let mut found = Vec::new();
        let mut each = |document: Document| {
            let body = match document.body {
                Body::Bytes(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Body::TooLarge(bytes) => Err(bytes),
            };
            found.push((document.place.line, body));
            Wanted::More
        };
        // A small buffer, so that lines do not come whole.
        split(&"f".into(), io::BufReader::with_capacity(7, input), &mut each).unwrap();
        found
    }

    fn text(line: impl Into<Option<u64>>, text: &str) -> (Option<u64>, Result<String, u64>) {
        (line.into(), Ok(text.to_owned()))
    }

    #[test]
    fn one_object_over_many_lines_is_one_document_byte_for_byte() {
        for whole in ["{\n \"a\": 1\r\n}\n", "\n \n{\"a\":\n1}", "[\n1]\n\n"] {
            assert_eq!(documents(whole.as_bytes()), [text(None, whole)], "{whole:?}");
        }
    }

    #[test]
    fn anything_else_is_a_document_a_line_and_blank_lines_are_none() {
        assert_eq!(
            documents(b"{\"a\":1}\n\n \r\n{\"b\": 2 }\r\nnot json\n{\"c\":3}"),
            [text(1, "{\"a\":1}"), text(4, "{\"b\": 2 }\r"), text(5, "not json"), text(6, "{\"c\":3}")]
        );
        assert_eq!(documents(b"{\"cut\":\n{\"b\":2}\n"), [text(1, "{\"cut\":"), text(2, "{\"b\":2}")]);
        assert_eq!(documents(b"{\"a\":1}\n"), [text(1, "{\"a\":1}")]);
        assert_eq!(documents(b""), []);
        assert_eq!(documents(b"\n \n"), []);
    }

    #[test]
    fn what_is_larger_than_a_record_may_be_is_counted_and_not_kept() {
        let most = BODY_BYTES_MAX;
        let line = |n: usize| "x".repeat(n);
        for over in [1, 2, 3, 70_000] {
            let input = format!("{}\n{}\n{}", line(most), line(most + over), line(1));
            let found = documents(input.as_bytes());
            assert_eq!(found[1], (Some(2), Err((most + over) as u64)));
            assert_eq!((found.len(), &found[2]), (3, &text(3, "x")));
            assert_eq!(found[0].1.as_ref().unwrap().len(), most);
        }
        let whole = format!("{{\n\"a\": \"{}\"\n}}\n", line(most));
        assert_eq!(documents(whole.as_bytes()), [(None, Err(whole.len() as u64))]);
        let exact = format!("{{\n\"a\":\"{}\"}}", line(most - 9));
        assert_eq!(exact.len(), most);
        assert_eq!(documents(exact.as_bytes()), [text(None, &exact)]);
        let newline_too_many = format!("{exact}\n");
        assert_eq!(documents(newline_too_many.as_bytes()), [(None, Err(most as u64 + 1))]);
        // The first line alone is too large: the others are documents still.
        let lines = format!("{{\"a\":\"{}\"}}\n{{}}\n", line(most));
        assert_eq!(documents(lines.as_bytes()), [(Some(1), Err(most as u64 + 8)), text(2, "{}")]);
        // A large file of lines whose first is cut off.
        let lines = format!("{{\"cut\":\n{}\n{}", line(9), line(most + 1));
        assert_eq!(documents(lines.as_bytes())[2], (Some(3), Err((most + 1) as u64)));
    }

    #[test]
    fn no_more_is_read_than_is_wanted() {
        let mut seen = 0;
        let mut each = |_: Document| {
            seen += 1;
            Wanted::Enough
        };
        assert_eq!(split(&"f".into(), b"1\n2\n".as_slice(), &mut each).unwrap(), Wanted::Enough);
        assert_eq!(seen, 1);
    }
}
