//! JSON numbers exactly as written.
//!
//! A JSON number is a decimal of any precision. PostgreSQL's `numeric`, which JSONB uses, stores every number within
//! its limits, and `f64` does not. So numbers stay text and are compared, measured and canonicalised as decimals. The
//! limits are 131,072 digits before the decimal point and 16,383 after it
//! (<https://www.postgresql.org/docs/current/datatype-numeric.html>).

use std::fmt::Write;

const MAX_INTEGER_DIGITS: i64 = 131_072;
const MAX_FRACTION_DIGITS: i64 = 16_383;
/// The exponent from which PostgreSQL rejects a number regardless of its digits (`numeric_in`, `INT_MAX / 2`).
const MAX_EXPONENT: i64 = (i32::MAX / 2) as i64;

/// A decimal: ± 0.`digits` × 10^`point`. The digits have no zeros at either end. Zero has no digits and no sign.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
    /// The number of digits after the decimal point as written, including trailing zeros. `None` if it exceeds
    /// `numeric`.
    scale: Option<i64>,
}

impl Decimal {
    /// Parses a JSON number. The caller has checked its grammar (RFC 8259, section 6).
    pub(crate) fn new(text: &str) -> Self {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)),
            None => (text, 0),
        };
        let unsigned = mantissa.trim_start_matches('-');
        let (integer, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = [integer, fraction].concat();
        let significant = all.trim_start_matches('0');
        let leading_zeros = (all.len() - significant.len()) as i64;
        let digits = significant.trim_end_matches('0').to_owned();
        let scale = (fraction.len() as i64 - exponent).max(0);
        let fits = exponent.abs() < MAX_EXPONENT && scale <= MAX_FRACTION_DIGITS;
        Self {
            negative: !digits.is_empty() && unsigned.len() < mantissa.len(),
            point: if digits.is_empty() { 0 } else { integer.len() as i64 - leading_zeros + exponent },
            digits,
            scale: fits.then_some(scale),
        }
    }

    /// Whether PostgreSQL's `numeric` can store it.
    pub(crate) fn fits_numeric(&self) -> bool {
        self.scale.is_some() && self.point <= MAX_INTEGER_DIGITS
    }

    /// Returns the length of the text that PostgreSQL prints for it: plain digits without an exponent.
    pub(crate) fn plain_len(&self) -> usize {
        let scale = self.scale.unwrap_or(0);
        let fraction = if scale > 0 { scale + 1 } else { 0 };
        usize::from(self.negative) + (self.point.max(1) + fraction) as usize
    }

    /// Prints the canonical text: `1.10`, `11e-1` and `1.1` all become `1.1`. The format is the one of ECMAScript and
    /// RFC 8785, but with every digit: plain up to 21 integer digits or six zeros after the point.
    pub(crate) fn write_canonical(&self, out: &mut String) {
        let count = self.digits.len() as i64;
        if self.negative {
            out.push('-');
        }
        match self.point {
            _ if count == 0 => out.push('0'),
            point if count <= point && point <= 21 => {
                out.push_str(&self.digits);
                out.extend(std::iter::repeat_n('0', (point - count) as usize));
            }
            point if 0 < point && point <= 21 => {
                let (integer, fraction) = self.digits.split_at(point as usize);
                let _ = write!(out, "{integer}.{fraction}");
            }
            point if -6 < point && point <= 0 => {
                out.push_str("0.");
                out.extend(std::iter::repeat_n('0', -point as usize));
                out.push_str(&self.digits);
            }
            point => {
                let (first, rest) = self.digits.split_at(1);
                let dot = if rest.is_empty() { "" } else { "." };
                let _ = write!(out, "{first}{dot}{rest}e{:+}", point - 1);
            }
        }
    }

    /// Whether both numbers have the same value.
    pub(crate) fn same_value(&self, other: &Self) -> bool {
        self.negative == other.negative && self.point == other.point && self.digits == other.digits
    }
}

/// Returns the canonical text of a short number without an exponent, if it is a part of the text as written.
pub(crate) fn canonical_part(text: &str) -> Option<&str> {
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    // A leading zero may belong to a negative zero or to zeros after the point.
    if unsigned.len() > 21 || unsigned.first() == Some(&b'0') {
        return (text == "0" || text == "0.0").then_some("0");
    }
    let mut has_point = false;
    for byte in unsigned {
        match byte {
            b'0'..=b'9' => {}
            b'.' => has_point = true,
            _ => return None,
        }
    }
    Some(if has_point { text.trim_end_matches('0').trim_end_matches('.') } else { text })
}

/// Parses an exponent. One that does not fit `i64` is out of range like the largest one.
fn parse_exponent(text: &str) -> i64 {
    let limit = MAX_EXPONENT * 2;
    text.parse().map_or_else(|_| if text.starts_with('-') { -limit } else { limit }, |n: i64| n.clamp(-limit, limit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Decimal, canonical_part};

    fn canonical(text: &str) -> String {
        let mut out = String::new();
        Decimal::new(text).write_canonical(&mut out);
        out
    }

    #[test]
    fn one_value_has_one_canonical_text() {
        for (text, expected) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("0e7", "0"),
            ("1.10", "1.1"),
            ("11e-1", "1.1"),
            ("-100.0", "-100"),
            ("1E2", "100"),
            ("0.00015", "0.00015"),
            ("18446744073709551617", "18446744073709551617"),
            ("9007199254740993", "9007199254740993"),
            ("1e21", "1e+21"),
            ("1e20", "100000000000000000000"),
            ("1.5e39", "1.5e+39"),
            ("0.0000001", "1e-7"),
            ("123.456e2", "12345.6"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_canonical_at_a_glance_is_canonical(text in "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,6}0{0,2})?([eE][+-]?[0-9]{1,3})?") {
            if let Some(part) = canonical_part(&text) {
                prop_assert_eq!(part, canonical(&text));
            }
        }
    }

    #[test]
    fn length_is_that_of_plain_digits() {
        for (text, plain) in
            [("0", "0"), ("-0.0", "0.0"), ("1e3", "1000"), ("1.50", "1.50"), ("-15e-4", "-0.0015"), ("0.0e1", "0")]
        {
            assert_eq!(Decimal::new(text).plain_len(), plain.len(), "{text}");
        }
    }

    #[test]
    fn limits_are_those_of_numeric() {
        for fits in ["1e131071", "1e-16383", "0e200000", "0e-16383"] {
            assert!(Decimal::new(fits).fits_numeric(), "{fits}");
        }
        let huge = "1".repeat(131_073);
        for refused in ["1e131072", "1e-16384", "0e-20000", "0e1073741823", "1e99999999999999999999", huge.as_str()] {
            assert!(!Decimal::new(refused).fits_numeric(), "{}", &refused[..20.min(refused.len())]);
        }
    }
}
