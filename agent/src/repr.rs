//! Two texts of a double that the contract takes from Python: `repr(x)`, and `round(x, 9)`.
//!
//! Not here: the contract's own rounding, which is half away from zero on the shortest decimal
//! text (`flk_contract::number`). `round(x, 9)` is half to even on the exact binary value, and is
//! applied to shares and ratios before they become claims.

use core::fmt::Write as _;

/// Appends `x` as Python's `repr` writes it: `0.1`, `1e-07`, `1e+16`, `-0.0`.
pub fn write(x: f64, out: &mut String) {
    let start = out.len();
    // Rust's Debug form has as many digits (the fewest that read back as the same double) and
    // goes over to exponents at the same magnitudes; the exponent itself is written differently.
    // Writing to a string cannot fail.
    let _ = write!(out, "{x:?}");
    if let Some(even) = even_of_two(x, &out[start..]) {
        out.replace_range(start.., &even);
    }
    let Some(e) = out[start..].find('e') else { return };
    let exponent = out.split_off(start + e + 1);
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent.as_str()),
    };
    let _ = write!(out, "{sign}{digits:0>2}");
}

/// The text whose last digit is even, where `x` may lie half-way between two that are as short:
/// Python writes that one, Rust's Debug form the greater (964782238084213.25 becomes ...3.3, not
/// ...3.2). Only with 16 digits or more can both read back as the same double.
fn even_of_two(x: f64, debug: &str) -> Option<String> {
    let (digits, exponent) = debug.split_once('e').map_or((debug, false), |(digits, _)| (digits, true));
    let (_, fraction) = digits.split_once('.').filter(|_| digits.len() > 16)?;
    let places = fraction.len();
    // With its places given, Rust rounds the exact value, ties to even.
    let even = if exponent { format!("{x:.places$e}") } else { format!("{x:.places$}") };
    (even.parse() == Ok(x)).then_some(even)
}

/// Python's `round(x, 9)`: the double nearest to the exact value rounded to nine decimals.
pub fn round9(x: f64) -> f64 {
    // Formatting with a precision rounds the exact binary value, ties to even, as Python does; the
    // text of a finite double always reads back, so that the fallback is never taken.
    format!("{x:.9}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_is_written_as_python_writes_it() {
        for (x, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (5e-324, "5e-324"),
            (1e15, "1000000000000000.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (-1e22, "-1e+22"),
            (1.234_567_890_123_456_7e100, "1.2345678901234567e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            // Half-way between two texts that are as short.
            (964_782_238_084_213.2, "964782238084213.2"),
            (875_165_204_757_474.8, "875165204757474.8"),
            (-151_263_647_665_585.62, "-151263647665585.62"),
            (93_878_630_601_179.38, "93878630601179.38"),
            (1_125_899_906_842_625.8, "1125899906842625.8"),
            (2_f64.powi(-25), "2.9802322387695312e-08"),
        ] {
            let mut out = String::from("e,");
            write(x, &mut out);
            assert_eq!(out, format!("e,{text}"));
        }
    }

    #[test]
    fn rounding_is_half_to_even_on_the_exact_value() {
        for (x, rounded) in [
            // These are ties: 10 decimals are exact in ten binary places.
            (0.000_976_562_5, 0.000_976_562),
            (0.002_929_687_5, 0.002_929_688),
            // These are not: the double lies to one side of the decimal.
            (0.123_456_788_5, 0.123_456_788),
            (2.0 / 3.0, 0.666_666_667),
            (1.0, 1.0),
            (4e-10, 0.0),
        ] {
            assert_eq!(round9(x).to_bits(), f64::to_bits(rounded), "{x}");
        }
    }
}
