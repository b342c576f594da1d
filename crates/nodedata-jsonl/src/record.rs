use nodedata_core::{Error, ErrorKind};
use nodedata_message::{JsonInference, Place};

use crate::lines::Line;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Digits of the shortest whole number that may be beyond 64 bits.
const DIGITS_MIN: usize = 19;

/// What is wrong with a line, and where in it, counted in bytes from 1.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) kind: ErrorKind,
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl Flaw {
    fn corrupt(column: usize, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Corrupt, column, message: message.into() }
    }
}

/// The text of a line without the blanks around it and the mark that some editors put in front of a file; empty for a
/// blank line.
pub(crate) fn record_of(line: &Line) -> &[u8] {
    let bytes = &line.bytes[..];
    let bytes = if line.byte_range.start == 0 { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes };
    bytes.trim_ascii()
}

/// What is wrong with a record, as far as its bytes tell without being parsed.
pub(crate) fn check(line: &Line, record: &[u8], line_bytes_max: u64) -> Result<(), Flaw> {
    if !line.is_whole {
        let n_bytes = line.byte_range.end - line.byte_range.start;
        let message =
            format!("the line has {n_bytes} bytes, more than the {line_bytes_max} that a record may have");
        return Err(Flaw { kind: ErrorKind::Limit, column: 1, message });
    }
    let lead = lead_of(line, record);
    if let Err(err) = str::from_utf8(record) {
        return Err(Flaw::corrupt(lead + err.valid_up_to() + 1, "the line is not UTF-8"));
    }
    if !record.starts_with(b"{") {
        return Err(Flaw::corrupt(lead + 1, "the line is not a JSON object"));
    }
    match whole_beyond_64_bits(record) {
        Some((at, digits)) => {
            let message = format!("the whole number {digits} is beyond 64 bits");
            Err(Flaw::corrupt(lead + at + 1, message))
        }
        None => Ok(()),
    }
}

/// What is wrong with a record that passed [`check`] and could not be decoded.
pub(crate) fn diagnosed(line: &Line, record: &[u8], err: &Error) -> Flaw {
    let lead = lead_of(line, record);
    match JsonInference::rows().observe(record, Place { input: 0, at: 0 }) {
        Err(cause) => {
            let at = cause.locus().byte_offset.map_or(0, |it| it as usize);
            Flaw::corrupt(lead + at + 1, format!("the line cannot be read: {cause}"))
        }
        Ok(()) => Flaw { kind: err.kind(), ..Flaw::corrupt(lead + 1, err.chain()) },
    }
}

/// Bytes of the line in front of its record.
fn lead_of(line: &Line, record: &[u8]) -> usize {
    let bytes = &line.bytes[..];
    let behind = bytes.len() - bytes.trim_ascii_end().len();
    bytes.len().saturating_sub(behind + record.len())
}

/// The first whole number that neither int64 nor uint64 holds, with its place: the parser would round it to a float
/// without a word. A number with a fraction or an exponent is a float as its writer wrote it.
fn whole_beyond_64_bits(record: &[u8]) -> Option<(usize, &str)> {
    // A run of so many digits has one at every so many bytes: nearly all records are done after a few looks.
    let looks = record.iter().skip(DIGITS_MIN - 1).step_by(DIGITS_MIN);
    if !looks.into_iter().any(u8::is_ascii_digit) {
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
}
