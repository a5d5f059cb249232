//! Claimed and recomputed numbers as integers of 1e-9 (contract sections 2 and 3).
//!
//! A float is rounded to nine decimals, halves away from zero, *on its shortest decimal text*:
//! the digits that Python's `repr` shows. Multiplying by 1e9 would round another number. From
//! then on everything is an integer, so that no comparison depends on a platform.

use core::fmt::Write as _;

use serde::{Serialize, Serializer};

const SCALE: u32 = 9;
const ONE: i128 = 1_000_000_000;

/// A number in units of 1e-9. Magnitudes stay below 1e15 (1e24 units).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nano {
    units: i128,
    /// Only for zero: a float that rounds to zero keeps its sign, and shows it in what is signed.
    minus_zero: bool,
}

impl Nano {
    /// From units of 1e-9.
    pub const fn from_units(units: i128) -> Self {
        Self { units, minus_zero: false }
    }

    /// The number in units of 1e-9; comparisons are between these.
    pub const fn units(self) -> i128 {
        self.units
    }

    /// Rounds the shortest decimal text of `x` to nine decimals, halves away from zero.
    /// `None` for what is not finite, or not below 1e15 in magnitude.
    pub fn from_f64(x: f64) -> Option<Self> {
        if !x.is_finite() || x.abs() >= crate::limits::FLOAT_MAGNITUDE {
            return None;
        }
        let (digits, exponent) = shortest(x.abs())?;
        Some(Self::round(digits, exponent, x.is_sign_negative()))
    }

    /// From the number token of a JSON text: an integer token is that integer (`-0` is 0), any
    /// other is the nearest double. `None` as in [`Nano::from_f64`].
    pub fn from_token(token: &str) -> Option<Self> {
        let (minus, magnitude) = match token.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, token),
        };
        // Up to 15 significant digits a decimal is the shortest text of its own nearest double, so
        // the double need not be made. Beyond that it has to be: the text may not be the shortest.
        if let Some((digits, exponent)) = decimal(magnitude.as_bytes())
            && digits < 1_000_000_000_000_000
            && (-300..=14).contains(&exponent)
        {
            let size = digits.checked_ilog10().map_or(0, |n| i64::from(n) + 1) + exponent;
            if size > 15 {
                return None;
            }
            let integer = || !token.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
            return Some(Self::round(digits, exponent, minus && !(digits == 0 && integer())));
        }
        Self::from_f64(token.parse().ok()?)
    }

    /// `digits` times ten to the `exponent`, rounded to nine decimals.
    fn round(digits: u64, exponent: i64, minus: bool) -> Self {
        let shift = exponent + i64::from(SCALE);
        let units = match u32::try_from(shift) {
            Ok(up) => i128::from(digits) * 10_i128.pow(up),
            Err(_) => match u32::try_from(-shift) {
                Ok(down) if down <= 20 => {
                    let unit = 10_i128.pow(down);
                    (i128::from(digits) + unit / 2) / unit
                }
                _ => 0,
            },
        };
        Self { units: if minus { -units } else { units }, minus_zero: minus && units == 0 }
    }

    /// The double nearest to this number.
    pub fn to_f64(self) -> f64 {
        if self.minus_zero {
            return -0.0;
        }
        if let Some(exact) = i64::try_from(self.units).ok().filter(|n| n.unsigned_abs() < 1 << 53) {
            // Both are exact doubles, and a division is rounded once.
            return exact as f64 / ONE as f64;
        }
        let magnitude = self.units.unsigned_abs();
        let mut text = Text::new();
        let whole = magnitude / ONE as u128;
        let part = magnitude % ONE as u128;
        let sign = if self.units < 0 { "-" } else { "" };
        match write!(text, "{sign}{whole}.{part:09}") {
            Ok(()) => text.as_str().parse().unwrap_or(f64::NAN),
            Err(_) => f64::NAN,
        }
    }

    /// Appends the number as Python's `repr` writes its nearest double: `1.0`, `1e-09`, `-0.0`.
    pub fn write_repr(self, out: &mut String) {
        if self.units < 0 || self.minus_zero {
            out.push('-');
        }
        let magnitude = self.units.unsigned_abs();
        let (digits, exponent) = if magnitude < 1_000_000_000_000_000 {
            (magnitude as u64, -i64::from(SCALE))
        } else {
            shortest(self.to_f64().abs()).unwrap_or((0, 0))
        };
        write_python(digits, exponent, out);
    }
}

impl core::fmt::Display for Nano {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut text = String::new();
        self.write_repr(&mut text);
        f.write_str(&text)
    }
}

impl Serialize for Nano {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl<'de> serde::Deserialize<'de> for Nano {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let x = f64::deserialize(deserializer)?;
        Self::from_f64(x).ok_or_else(|| serde::de::Error::custom("expected a number below 1e15 in magnitude"))
    }
}

/// The shortest decimal that reads back as the same double, as Python's `repr` chooses it: of two
/// that are as short and as near, the one whose last digit is even. Rust's own formatting takes the
/// greater one (964782238084213.25 becomes ...3.3, not ...3.2), and every signature over such a
/// number would fail.
fn shortest(x: f64) -> Option<(u64, i64)> {
    decimal(zmij::Buffer::new().format_finite(x).as_bytes())
}

/// Reads an unsigned decimal (`12`, `0.5`, `8.70e-1`) as digits times a power of ten. `None` if it
/// is none, or has more digits than 64 bits hold.
fn decimal(text: &[u8]) -> Option<(u64, i64)> {
    let (mut digits, mut exponent, mut fraction) = (0_u64, 0_i64, false);
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'0'..=b'9' => {
                digits = digits.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                exponent -= i64::from(fraction);
            }
            b'.' if !fraction => fraction = true,
            b'e' | b'E' => {
                let power: i64 = core::str::from_utf8(bytes.as_slice()).ok()?.parse().ok()?;
                exponent = exponent.checked_add(power)?;
                break;
            }
            _ => return None,
        }
    }
    Some(if digits == 0 { (0, 0) } else { (digits, exponent) })
}

/// Python's `repr` of `digits` times ten to the `exponent`: digits in full from 1e-4 up to 1e16.
fn write_python(mut digits: u64, mut exponent: i64, out: &mut String) {
    if digits == 0 {
        out.push_str("0.0");
        return;
    }
    while digits.is_multiple_of(10) {
        digits /= 10;
        exponent += 1;
    }
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(digits);
    let zeros = |out: &mut String, count: u64| (0..count).for_each(|_| out.push('0'));
    let point = text.len() as i64 + exponent;
    if !(-3..=16).contains(&point) {
        let (first, rest) = text.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let power = point - 1;
        let _ = write!(out, "e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs());
    } else if point <= 0 {
        out.push_str("0.");
        zeros(out, point.unsigned_abs());
        out.push_str(text);
    } else if exponent >= 0 {
        out.push_str(text);
        zeros(out, exponent.unsigned_abs());
        out.push_str(".0");
    } else {
        let (whole, part) = text.split_at(point.unsigned_abs() as usize);
        out.push_str(whole);
        out.push('.');
        out.push_str(part);
    }
}

/// A short text without the heap: numbers are rounded four times a record.
struct Text {
    bytes: [u8; 40],
    len: usize,
}

impl Text {
    const fn new() -> Self {
        Self { bytes: [0; 40], len: 0 }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let end = self.len + s.len();
        self.bytes.get_mut(self.len..end).ok_or(core::fmt::Error)?.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repr(token: &str) -> String {
        Nano::from_token(token).map_or_else(|| "none".into(), |n| n.to_string())
    }

    #[test]
    fn tokens_are_rounded_on_their_decimal_text_and_written_as_python_does() {
        for (token, written) in [
            ("1", "1.0"),
            ("0", "0.0"),
            ("-0", "0.0"),
            ("-0.0", "-0.0"),
            ("-0e0", "-0.0"),
            ("-4e-10", "-0.0"),
            ("4.9e-10", "0.0"),
            ("5e-10", "1e-09"),
            ("5e-324", "0.0"),
            ("0.1234567885", "0.123456789"),
            ("-0.1234567885", "-0.123456789"),
            ("9.99e-5", "9.99e-05"),
            ("0.0001", "0.0001"),
            ("100000", "100000.0"),
            ("1e5", "100000.0"),
            ("999999999999999", "999999999999999.0"),
            ("999999999999999.9", "999999999999999.9"),
            ("1e15", "none"),
            ("1e14", "100000000000000.0"),
            ("10000000000000000e-2", "100000000000000.0"),
            ("0.30000000000000004", "0.3"),
            ("123456.123456789", "123456.123456789"),
            ("1e400", "none"),
            ("0e400", "0.0"),
            ("0.1000000000000000055511151231257827", "0.1"),
        ] {
            assert_eq!(repr(token), written, "{token}");
        }
    }

    /// Texts as Python 3 prints them, of doubles that lie half-way between two shortest decimals.
    #[test]
    fn of_two_shortest_decimals_the_even_one_is_written() {
        for (exact, written) in [
            ("964782238084213.25", "964782238084213.2"),
            ("875165204757474.75", "875165204757474.8"),
            ("-151263647665585.625", "-151263647665585.62"),
            ("-93878630601179.625", "-93878630601179.62"),
            ("93878630601179.375", "93878630601179.38"),
        ] {
            assert_eq!(repr(exact), written);
            assert_eq!(repr(written), written);
        }
    }

    #[test]
    fn the_short_way_and_the_way_over_the_double_agree() {
        for token in
            ["0.285", "2.6750000025", "1.0000000005", "99999.999999999", "12345678.123456785", "1e-9", "2.5e-9"]
        {
            let x: f64 = token.parse().unwrap();
            assert_eq!(Nano::from_token(token), Nano::from_f64(x), "{token}");
        }
    }
}
