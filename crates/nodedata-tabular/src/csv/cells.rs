//! What the text of a field is: a whole number, a number, or text. What a number would not give back is text: `007`, `+1`, 1e400.

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

/// Reads a field.
pub(crate) fn cell(bytes: &[u8]) -> Cell {
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
    float(bytes, &digits[n_whole..], n_whole)
}

/// `rest` begins behind the digits in front of the point.
fn float(bytes: &[u8], rest: &[u8], n_whole: usize) -> Cell {
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
pub(crate) fn is_exact(value: i64) -> bool {
    value.unsigned_abs() <= EXACT_MAX
}

#[cfg(test)]
mod tests {
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
}
