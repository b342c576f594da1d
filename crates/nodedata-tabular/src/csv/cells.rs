//! What the text of a field is: a whole number, a number, or text. What a number would not give back is text: `007`, `+1`, 1e400.

use super::decimals::Decimal;

/// Whole numbers of so many digits are all float64s.
const EXACT_DIGITS_MAX: usize = 15;
/// Numbers of so many digits are finite, and none but those of zeros are 0.
const FINITE_DIGITS_MAX: usize = 300;

/// The largest whole number up to which float64 has them all.
const EXACT_MAX: u64 = 1 << 53;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Int(i64),
    Float(f64),
    /// A word for what is no number and yet a float: only numbers beside it tell.
    NotFinite(f64),
    Text,
}

/// What a field holds, whatever its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int {
        /// Whether a float64 is that number.
        is_exact: bool,
    },
    Float,
    NotFinite,
    Text,
}

/// What a field holds. Only where its digits do not tell it is read.
pub(crate) fn kind(bytes: &[u8]) -> Kind {
    if bytes.first().is_some_and(|it| matches!(it, b'0'..=b'9' | b'-'))
        && let Some(decimal) = Decimal::of(bytes)
    {
        if decimal.n_whole_digits().is_some_and(|it| it <= EXACT_DIGITS_MAX) {
            return Kind::Int { is_exact: true };
        }
        if decimal.n_float_digits().is_some_and(|it| it <= FINITE_DIGITS_MAX) {
            return Kind::Float;
        }
    }
    match cell(bytes) {
        Cell::Int(value) => Kind::Int { is_exact: is_exact(value) },
        Cell::Float(_) => Kind::Float,
        Cell::NotFinite(_) => Kind::NotFinite,
        Cell::Text => Kind::Text,
    }
}

/// Reads a field, which is a whole number as far as is known.
pub(crate) fn int(bytes: &[u8]) -> Cell {
    Decimal::of(bytes).and_then(Decimal::int).map_or_else(|| cell(bytes), Cell::Int)
}

/// Reads a field, which is a number as far as is known; `None` where it is text.
pub(crate) fn float(bytes: &[u8]) -> Option<f64> {
    Decimal::of(bytes).and_then(Decimal::float).or_else(|| match cell(bytes) {
        Cell::Int(value) => Some(value as f64),
        Cell::Float(value) | Cell::NotFinite(value) => Some(value),
        Cell::Text => None,
    })
}

/// Reads a field.
fn cell(bytes: &[u8]) -> Cell {
    match bytes.first() {
        Some(b'0'..=b'9' | b'-' | b'.') => {}
        Some(b'n' | b'N' | b'i' | b'I') => return not_finite(bytes),
        _ => return Cell::Text,
    }
    let (negative, digits) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let n_whole = digits.iter().take_while(|it| it.is_ascii_digit()).count();
    // Numbers are not written with zeros in front: keys and codes are.
    if 1 < n_whole && digits[0] == b'0' {
        return Cell::Text;
    }
    if n_whole == digits.len() && n_whole != 0 {
        return match (negative, digits) {
            (true, b"0") => Cell::Float(-0.0),
            _ => str::from_utf8(bytes).ok().and_then(|it| it.parse().ok()).map_or(Cell::Text, Cell::Int),
        };
    }
    if negative && matches!(digits.first(), Some(b'i' | b'I')) {
        return not_finite(bytes);
    }
    with_fraction(bytes, &digits[n_whole..], n_whole)
}

/// `rest` begins behind the digits in front of the point.
fn with_fraction(bytes: &[u8], rest: &[u8], n_whole: usize) -> Cell {
    let (n_fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let n = rest.iter().take_while(|it| it.is_ascii_digit()).count();
            (n, &rest[n..])
        }
        None => (0, rest),
    };
    let is_exponent = |rest: &[u8]| {
        let digits = rest.strip_prefix(b"-").or(rest.strip_prefix(b"+")).unwrap_or(rest);
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    };
    let is_number = 0 < n_whole + n_fraction
        && match rest {
            [] => true,
            [b'e' | b'E', exponent @ ..] => is_exponent(exponent),
            _ => false,
        };
    let value = str::from_utf8(bytes).ok().filter(|_| is_number).and_then(|it| it.parse::<f64>().ok());
    let Some(value) = value.filter(|it| it.is_finite()) else { return Cell::Text };
    let mantissa = bytes.iter().take_while(|it| !matches!(it, b'e' | b'E'));
    if value == 0.0 && mantissa.into_iter().any(|it| (b'1'..=b'9').contains(it)) {
        return Cell::Text;
    }
    Cell::Float(value)
}

fn not_finite(bytes: &[u8]) -> Cell {
    match bytes {
        b"nan" | b"NaN" | b"NAN" => Cell::NotFinite(f64::NAN),
        b"inf" | b"Inf" | b"INF" | b"Infinity" => Cell::NotFinite(f64::INFINITY),
        b"-inf" | b"-Inf" | b"-INF" | b"-Infinity" => Cell::NotFinite(f64::NEG_INFINITY),
        _ => Cell::Text,
    }
}

/// Whether a float64 is that whole number.
fn is_exact(value: i64) -> bool {
    value.unsigned_abs() <= EXACT_MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_comes_back_is_a_number() {
        for (text, expected) in [
            ("0", Cell::Int(0)),
            ("-7", Cell::Int(-7)),
            ("9223372036854775807", Cell::Int(i64::MAX)),
            ("-9223372036854775808", Cell::Int(i64::MIN)),
            ("0.5", Cell::Float(0.5)),
            (".5", Cell::Float(0.5)),
            ("-1.", Cell::Float(-1.0)),
            ("1e3", Cell::Float(1000.0)),
            ("1E-3", Cell::Float(0.001)),
            ("0e0", Cell::Float(0.0)),
        ] {
            assert_eq!(cell(text.as_bytes()), expected, "{text}");
        }
        assert!(matches!(cell(b"-0"), Cell::Float(it) if it == 0.0 && it.is_sign_negative()));
        assert!(matches!(cell(b"NaN"), Cell::NotFinite(it) if it.is_nan()));
        assert_eq!(cell(b"-inf"), Cell::NotFinite(f64::NEG_INFINITY));
        for text in [
            "007",
            "+1",
            "-",
            ".",
            "1e",
            "1e400",
            "1e-400",
            "9223372036854775808",
            "1_000",
            " 1",
            "1 ",
            "0x1",
            "00.5",
            "-007",
            "1.2.3",
            "nano",
            "-nan",
            "true",
            "e5",
            ".e5",
            "1,5",
        ] {
            assert_eq!(cell(text.as_bytes()), Cell::Text, "{text}");
        }
        assert!(is_exact(1 << 53) && !is_exact((1 << 53) + 1) && !is_exact(i64::MIN));
    }

    /// As `cell` tells it.
    fn kind_of(cell: Cell) -> Kind {
        match cell {
            Cell::Int(value) => Kind::Int { is_exact: is_exact(value) },
            Cell::Float(_) => Kind::Float,
            Cell::NotFinite(_) => Kind::NotFinite,
            Cell::Text => Kind::Text,
        }
    }

    /// What compares as its bits do: -0 is not 0, and no number is itself.
    fn bits(cell: Cell) -> (Kind, u64) {
        let value = match cell {
            Cell::Int(value) => value as u64,
            Cell::Float(value) | Cell::NotFinite(value) => value.to_bits(),
            Cell::Text => 0,
        };
        (kind_of(cell), value)
    }

    #[track_caller]
    fn check_short_ways(text: &str) {
        let bytes = text.as_bytes();
        let expected = cell(bytes);
        assert_eq!(kind(bytes), kind_of(expected), "{text:?}");
        assert_eq!(bits(int(bytes)), bits(expected), "{text:?}");
        let expected = match expected {
            Cell::Int(value) => Some(value as f64),
            Cell::Float(value) | Cell::NotFinite(value) => Some(value),
            Cell::Text => None,
        };
        assert_eq!(float(bytes).map(f64::to_bits), expected.map(f64::to_bits), "{text:?}");
    }

    #[test]
    fn short_ways_end_where_long_ones_do() {
        let nines = "9".repeat(299);
        for text in [
            "",
            "-",
            "0",
            "-0",
            "00",
            "-0.0",
            "0.",
            ".0",
            "1.",
            "-.5",
            "e",
            "1e5",
            "9007199254740992",
            "9007199254740993",
            "-9007199254740993",
            "999999999999999",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "12345678901234567890",
            "nan",
            "-inf",
            "infinity",
            "١",
            "1٫5",
        ] {
            check_short_ways(text);
        }
        for text in ["9", "99", "9999999999", "999999999999"].map(|it| format!("{nines}{it}.5")) {
            check_short_ways(&text);
        }
        for n_zeros in [10, 290, 310, 330] {
            check_short_ways(&format!("0.{}", "0".repeat(n_zeros)));
            check_short_ways(&format!("-0.{}1", "0".repeat(n_zeros)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_field_is_the_same_by_short_and_long_ways(
            text in prop_oneof![
                "[-+.e0-9]{0,30}",
                "-?[0-9]{1,25}",
                "-?[0-9]{0,20}\\.?[0-9]{0,20}(e[-+]?[0-9]{1,3})?",
                "-?(nan|NaN|inf|Infinity|x)[0-9]?",
                any::<f64>().prop_map(|it| it.to_string()),
                any::<i64>().prop_map(|it| it.to_string()),
            ],
        ) {
            check_short_ways(&text);
        }
    }
}
