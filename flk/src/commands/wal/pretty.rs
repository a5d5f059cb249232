//! A body for people: JSON with its tokens as they came, one a line; anything else as text or
//! base64. Nothing in it reaches the terminal raw.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::IgnoredAny;

use crate::output;

/// Writes a body, and says what is printed where it is not the body's JSON.
pub(super) fn write(out: &mut dyn io::Write, body: &[u8]) -> io::Result<()> {
    writeln!(out)?;
    match core::str::from_utf8(body) {
        Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            json(text).lines().try_for_each(|line| line_to(out, line))
        }
        Ok(text) => {
            writeln!(out, "(malformed JSON)")?;
            text.lines().try_for_each(|line| line_to(out, line))
        }
        Err(_) => writeln!(out, "(not UTF-8, in base64)\n{}", STANDARD.encode(body)),
    }
}

fn line_to(out: &mut dyn io::Write, line: &str) -> io::Result<()> {
    writeln!(out, "{}", output::printable(line))
}

/// Breaks well-formed JSON into lines. Works on its characters, so that numbers, escapes and
/// duplicate keys are shown as they are: a parser would show its own idea of them.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let (mut in_string, mut escaped, mut opened) = (false, false, false);
    for c in text.chars() {
        if in_string {
            out.push(c);
            (in_string, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closing = matches!(c, '}' | ']');
        if closing {
            depth = depth.saturating_sub(1);
        }
        // What was opened and has something in it goes on in a line of its own.
        if opened != closing {
            new_line(&mut out, depth);
        }
        opened = matches!(c, '{' | '[');
        match c {
            '{' | '[' => {
                depth += 1;
                out.push(c);
            }
            ':' => out.push_str(": "),
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

/// As deep as bodies may nest; deeper ones, which are malformed, are not indented any further.
const INDENT_MAX: usize = 64;

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(core::iter::repeat_n("  ", depth.min(INDENT_MAX)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_its_tokens_stay() {
        let text = r#" {"a" :1.50,"b":[ ],"c":{},"d":[1, -0,{"e":"x\"},{\\"}],"a":1e400}"#;
        let expected = "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    1,\n    -0,\n    {\n      \"e\": \"x\\\"},{\\\\\"\n    }\n  ],\n  \"a\": 1e400\n}";
        assert_eq!(json(text), expected);
        assert_eq!(json("[]"), "[]");
        assert_eq!(json("7"), "7");
    }

    #[test]
    fn what_is_not_json_is_said_so_and_never_raw() {
        let written = |body: &[u8]| {
            let mut out = Vec::new();
            write(&mut out, body).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(b"{\x1b[31m\nx"), "\n(malformed JSON)\n{\\u{1b}[31m\nx\n");
        assert_eq!(written(b"\xff\xfe"), "\n(not UTF-8, in base64)\n//4=\n");
        assert_eq!(written("{\"a\":\"\u{202e}\"}".as_bytes()), "\n{\n  \"a\": \"\\u{202e}\"\n}\n");
    }
}
