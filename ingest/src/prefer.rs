//! The `Prefer` header field (RFC 7240), as far as submissions honour it: `respond-async` and
//! `wait`. Pure: bytes in, preferences out.
//!
//! Preferences are wishes, so nothing here is an error. What can not be read is skipped up to the
//! next comma, what is not known is ignored, and of a preference said twice the first counts, also
//! where the first has a value that makes no sense.

use core::time::Duration;

/// Nobody waits longer (contract section 6).
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// What a client prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// `respond-async`: do not wait for the verdict.
    pub respond_async: bool,
    /// `wait=N`: how long to wait for it, at most [`WAIT_MAX`].
    pub wait: Option<Duration>,
}

impl Prefer {
    /// Reads all `Prefer` fields of a request, in order.
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut respond_async = None;
        let mut wait = None;
        for field in fields {
            let mut list = Scan(field);
            while let Some(preference) = list.preference() {
                if preference.name.eq_ignore_ascii_case(b"respond-async") {
                    // It takes no value; an empty one is none (RFC 7240, section 2).
                    respond_async.get_or_insert(preference.value.is_none_or(<[u8]>::is_empty));
                } else if preference.name.eq_ignore_ascii_case(b"wait") {
                    wait.get_or_insert(preference.value.and_then(seconds));
                }
            }
        }
        Self { respond_async: respond_async.unwrap_or(false), wait: wait.flatten() }
    }

    /// What `Preference-Applied` says when everything preferred was honoured; `None` if nothing was.
    pub fn applied(self) -> Option<String> {
        match (self.respond_async, self.wait) {
            (false, None) => None,
            (true, None) => Some("respond-async".to_owned()),
            (false, Some(wait)) => Some(format!("wait={}", wait.as_secs())),
            (true, Some(wait)) => Some(format!("respond-async, wait={}", wait.as_secs())),
        }
    }
}

/// `delta-seconds`, cut at [`WAIT_MAX`]. In a quoted string a backslash quotes what follows it.
fn seconds(word: &[u8]) -> Option<Duration> {
    let mut digits = word.iter().filter(|byte| **byte != b'\\').peekable();
    digits.peek()?;
    let total = digits.try_fold(0_u64, |total, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(total.saturating_mul(10).saturating_add(digit))
    })?;
    Some(Duration::from_secs(total).min(WAIT_MAX))
}

struct Preference<'a> {
    name: &'a [u8],
    /// The inside of a quoted string, its escapes as they are.
    value: Option<&'a [u8]>,
}

/// What is left of one header field.
struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    /// The next preference that can be read; `None` at the end.
    fn preference(&mut self) -> Option<Preference<'a>> {
        loop {
            self.skip(|byte| is_space(byte) || byte == b',');
            if self.0.is_empty() {
                return None;
            }
            if let Some(preference) = self.element() {
                return Some(preference);
            }
            self.skip_element();
        }
    }

    /// `token [= word] *(; [parameter])` up to a comma or the end.
    fn element(&mut self) -> Option<Preference<'a>> {
        let (name, value) = self.pair()?;
        loop {
            self.skip(is_space);
            match self.0.first() {
                None | Some(b',') => return Some(Preference { name, value }),
                Some(b';') => {
                    self.0 = self.0.get(1..)?;
                    self.skip(is_space);
                    if !matches!(self.0.first(), None | Some(b',' | b';')) {
                        self.pair()?;
                    }
                }
                Some(_) => return None,
            }
        }
    }

    /// `token [BWS = BWS word]`
    fn pair(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let name = self.token()?;
        self.skip(is_space);
        if self.0.first() != Some(&b'=') {
            return Some((name, None));
        }
        self.0 = self.0.get(1..)?;
        self.skip(is_space);
        let value = if self.0.first() == Some(&b'"') { self.quoted()? } else { self.token()? };
        Some((name, Some(value)))
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        let token = self.skip(is_token);
        (!token.is_empty()).then_some(token)
    }

    /// A quoted string, without its quotes; `None` if it does not end.
    fn quoted(&mut self) -> Option<&'a [u8]> {
        let inside = self.0.get(1..)?;
        let mut escaped = false;
        let end = inside.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        self.0 = inside.get(end + 1..)?;
        inside.get(..end)
    }

    /// Passes over what can not be read; a comma inside quotes separates nothing.
    fn skip_element(&mut self) {
        while let Some(byte) = self.0.first() {
            match byte {
                b',' => return,
                b'"' if self.quoted().is_some() => {}
                _ => self.0 = self.0.get(1..).unwrap_or_default(),
            }
        }
    }

    /// Passes over and returns what satisfies `belongs`.
    fn skip(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !belongs(*byte)).unwrap_or(self.0.len());
        let (passed, rest) = self.0.split_at(end);
        self.0 = rest;
        passed
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefer(fields: &[&str]) -> Prefer {
        Prefer::of(fields.iter().map(|field| field.as_bytes()))
    }

    fn expect(respond_async: bool, wait: impl Into<Option<u64>>) -> Prefer {
        Prefer { respond_async, wait: wait.into().map(Duration::from_secs) }
    }

    #[test]
    fn what_rfc_7240_allows_is_read() {
        for (fields, expected) in [
            (&["respond-async"][..], expect(true, None)),
            (&["wait=5"], expect(false, 5)),
            (&["respond-async, wait=5"], expect(true, 5)),
            (&["respond-async,wait=5"], expect(true, 5)),
            (&["wait=5", "respond-async"], expect(true, 5)),
            (&["Respond-ASYNC; , WAIT = \"5\""], expect(true, 5)),
            (&["wait=\"\\5\""], expect(false, 5)),
            (&["respond-async=\"\""], expect(true, None)),
            (&["respond-async; strict=\"a, wait=7\"; x, wait=3;y"], expect(true, 3)),
            (&["foo=\"wait=9, respond-async\", wait=2"], expect(false, 2)),
            (&["handling=lenient, return=minimal, respond-async"], expect(true, None)),
            (&[" \t,, respond-async ,,"], expect(true, None)),
            (&["wait=0"], expect(false, 0)),
            (&[], expect(false, None)),
            (&[""], expect(false, None)),
        ] {
            assert_eq!(prefer(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_thirty_seconds() {
        for field in ["wait=30", "wait=31", "wait=86400", "wait=99999999999999999999999999"] {
            assert_eq!(prefer(&[field]), expect(false, 30), "{field}");
        }
    }

    #[test]
    fn the_first_of_a_preference_counts() {
        assert_eq!(prefer(&["wait=1, wait=2", "wait=3"]), expect(false, 1));
        assert_eq!(prefer(&["wait=soon, wait=2"]), expect(false, None));
        assert_eq!(prefer(&["respond-async=no, respond-async"]), expect(false, None));
    }

    #[test]
    fn what_can_not_be_read_is_skipped_to_the_next_comma() {
        for (field, expected) in [
            ("wait=-1", expect(false, None)),
            ("wait=1.5", expect(false, None)),
            ("wait=", expect(false, None)),
            ("wait", expect(false, None)),
            ("wait=\"\"", expect(false, None)),
            ("=5, wait=4", expect(false, 4)),
            ("a b, wait=4", expect(false, 4)),
            ("@\"x, wait=1\" , wait=4", expect(false, 4)),
            ("foo=\"never ends, wait=4", expect(false, 4)),
            ("\u{e9}, respond-async", expect(true, None)),
            ("respond-async /", expect(false, None)),
        ] {
            assert_eq!(prefer(&[field]), expected, "{field}");
        }
    }

    #[test]
    fn what_was_honoured_is_said() {
        assert_eq!(expect(false, None).applied(), None);
        assert_eq!(expect(true, None).applied().as_deref(), Some("respond-async"));
        assert_eq!(expect(false, 30).applied().as_deref(), Some("wait=30"));
        assert_eq!(expect(true, 5).applied().as_deref(), Some("respond-async, wait=5"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..4)) {
            let read = Prefer::of(fields.iter().map(Vec::as_slice));
            prop_assert!(read.wait.is_none_or(|wait| wait <= WAIT_MAX));
        }

        #[test]
        fn what_is_said_to_be_applied_reads_back(respond_async: bool, wait in prop::option::of(0_u64..=30)) {
            let said = expect(respond_async, wait);
            let applied = said.applied();
            prop_assert_eq!(Prefer::of(applied.as_deref().map(str::as_bytes)), said);
        }

        #[test]
        fn junk_before_a_comma_hides_nothing(junk in "[a-z=; /@]{0,20}") {
            prop_assume!(!junk.contains("wait"));
            prop_assert_eq!(prefer(&[&format!("{junk}, wait=7")]), expect(false, 7));
        }
    }
}
