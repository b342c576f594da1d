use nodedata_core::{Error, ErrorKind};
use nodedata_message::{JsonInference, Place, whole_beyond_64_bits};

use crate::lines::Line;

const BOM: &[u8] = b"\xef\xbb\xbf";

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
