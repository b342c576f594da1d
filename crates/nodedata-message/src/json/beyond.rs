/// Digits of the shortest whole number that may be beyond 64 bits.
const DIGITS_MIN: usize = 19;

/// The first whole number that neither int64 nor uint64 holds, with its place: the parser would round it to a float
/// without a word. A number with a fraction or an exponent is a float as its writer wrote it.
pub fn whole_beyond_64_bits(record: &[u8]) -> Option<(usize, &str)> {
    if !has_run_of_digits(record) {
        return None;
    }
    let mut at = 0;
    let mut in_text = false;
    while at < record.len() {
        let byte = record[at];
        match byte {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'-' | b'0'..=b'9' if !in_text => {
                let is_number = |it: &&u8| it.is_ascii_digit() || b"+-.eE".contains(it);
                let n = record[at..].iter().take_while(is_number).count();
                let number = str::from_utf8(&record[at..at + n]).unwrap_or_default();
                let is_whole = number.len() >= DIGITS_MIN && !number.contains(['.', 'e', 'E']);
                if is_whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return Some((at, number));
                }
                at += n - 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Whether so many digits stand side by side anywhere, other than behind a point, as they do in nearly no record. Of such a run one
/// is at every so many bytes, so that a look there, and at the digits around, is enough.
fn has_run_of_digits(record: &[u8]) -> bool {
    let is_digit = |it: &&u8| it.is_ascii_digit();
    let mut at = DIGITS_MIN - 1;
    while at < record.len() {
        let n_after = record[at..].iter().take_while(is_digit).count();
        if n_after > 0 {
            let before = &record[..at];
            let n_before = before.iter().rev().take_while(is_digit).count();
            let is_fraction = before[..before.len() - n_before].last() == Some(&b'.');
            if !is_fraction && DIGITS_MIN <= n_before + n_after {
                return true;
            }
        }
        at += n_after.next_multiple_of(DIGITS_MIN).max(DIGITS_MIN);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_beyond_64_bits_are_found_wherever_they_stand() {
        for (text, found) in [
            (r#"{"a": 18446744073709551615, "b": -9223372036854775808}"#, None),
            (r#"{"a": 18446744073709551616}"#, Some("18446744073709551616")),
            (r#"{"a": [-9223372036854775809]}"#, Some("-9223372036854775809")),
            (r#"{"a": 123456789012345678901234567890.0, "b": 1e300}"#, None),
            (r#"{"a": "\"123456789012345678901234567890"}"#, None),
            (r#"{"a": "\\", "b": 123456789012345678901234567890}"#, Some("123456789012345678901234567890")),
        ] {
            for lead in 0..DIGITS_MIN {
                let text = format!("{}{text}", " ".repeat(lead));
                assert_eq!(whole_beyond_64_bits(text.as_bytes()).map(|it| it.1), found, "{text}");
            }
        }
    }

    #[test]
    fn only_records_with_long_runs_of_digits_are_looked_through() {
        let numbers = "[0.12345678901234567,-123456789012345678,1e300]".repeat(20);
        for lead in 0..DIGITS_MIN {
            let record = " ".repeat(lead);
            assert!(!has_run_of_digits(format!("{record}{numbers}").as_bytes()), "{lead}");
            assert!(has_run_of_digits(format!("{record}1234567890123456789").as_bytes()), "{lead}");
            assert!(!has_run_of_digits(format!("{record}123456789012345678").as_bytes()), "{lead}");
            assert!(!has_run_of_digits(format!("{record}[0.1234567890123456789]").as_bytes()), "{lead}");
            assert!(has_run_of_digits(format!("{record}1234567890123456789.0").as_bytes()), "{lead}");
        }
    }
}
