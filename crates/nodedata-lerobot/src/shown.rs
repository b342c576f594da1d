//! Numbers as messages show them.

/// A number of a file for a message: short, whatever the file says. Fourteen digits tell apart what 64 bits of
/// seconds do, and a plain `{}` writes 300 of them for some.
pub(crate) fn shown(value: f64) -> String {
    let rounded = format!("{value:.13e}").parse().unwrap_or(value);
    if rounded == 0.0 || (1e-3..1e14).contains(&rounded.abs()) {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_takes_more_than_seventeen_digits() {
        for (value, expected) in [
            (0.4, "0.4"),
            (0.0, "0"),
            (30.0, "30"),
            (f64::from(0.3f32), "0.30000001192093"),
            (0.1 + 0.2, "0.3"),
            (1.7e9 + 0.033, "1700000000.033"),
            (1e300, "1e300"),
            (-f64::from(f32::MAX), "-3.4028234663853e38"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(shown(value), expected);
        }
        for value in [1.0 / 3.0, 1.0 / 300.0, 1e14 - 1.0 / 3.0, 1e14 / 3.0, 2.0f64.powi(-1000), f64::MAX] {
            let text = shown(value);
            assert!(text.bytes().filter(u8::is_ascii_digit).count() <= 17, "{text}");
        }
    }
}
