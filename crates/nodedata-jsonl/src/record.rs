use nodedata_core::{Error, ErrorKind};
use nodedata_message::{JsonInference, Place, whole_beyond_64_bits};

use crate::window::Record;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What is wrong with a record, and at which byte of it as it lies in the file.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) kind: ErrorKind,
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Flaw {
    pub(crate) fn corrupt(at: usize, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Corrupt, at, message: message.into(), hint: None }
    }
}

/// The text of a record without the blanks around it and the mark that some editors put in front of a file; empty for a
/// blank line.
pub(crate) fn record_of(record: &Record) -> &[u8] {
    let bytes = &record.bytes[..];
    let bytes = if record.byte_range.start == 0 { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes };
    bytes.trim_ascii()
}

/// What a record is called in words: `line`, or `element` of a list.
pub(crate) type What = &'static str;

/// What is wrong with a record whatever its values are, as far as its bytes tell without being parsed.
pub(crate) fn check(record: &Record, text: &[u8], bytes_max: u64, what: What) -> Result<(), Flaw> {
    if !record.is_whole {
        let n_bytes = record.byte_range.end - record.byte_range.start;
        let message =
            format!("the {what} has {n_bytes} bytes, more than the {bytes_max} that a record may have");
        return Err(Flaw { kind: ErrorKind::Limit, ..Flaw::corrupt(0, message) });
    }
    let lead = lead_of(record, text);
    if let Err(err) = simdutf8::compat::from_utf8(text) {
        return Err(Flaw::corrupt(lead + err.valid_up_to(), format!("the {what} is not UTF-8")));
    }
    if !text.starts_with(b"{") {
        return Err(Flaw::corrupt(lead, format!("the {what} is not a JSON object")));
    }
    Ok(())
}

/// What no column would hold as it is written, though every reader takes it.
pub(crate) fn check_numbers(record: &Record, text: &[u8]) -> Result<(), Flaw> {
    match whole_beyond_64_bits(text) {
        Some((at, digits)) => {
            let message = format!("the whole number {digits} is beyond 64 bits");
            Err(Flaw::corrupt(lead_of(record, text) + at, message))
        }
        None => Ok(()),
    }
}

/// What is wrong with a record that passed [`check`], whatever its columns are: what the pass over all records refuses.
pub(crate) fn check_values(record: &Record, text: &[u8], what: What) -> Result<(), Flaw> {
    check_numbers(record, text)?;
    check_readable(record, text, what)
}

/// What is wrong with a record that passed [`check`] and could not be decoded.
pub(crate) fn diagnosed(record: &Record, text: &[u8], err: &Error, what: What) -> Flaw {
    match check_values(record, text, what) {
        Err(flaw) => flaw,
        Ok(()) => Flaw { kind: err.kind(), ..Flaw::corrupt(lead_of(record, text), err.chain()) },
    }
}

fn check_readable(record: &Record, text: &[u8], what: What) -> Result<(), Flaw> {
    JsonInference::rows().observe(text, Place { input: 0, at: 0 }).map_err(|cause| {
        let at = cause.locus().byte_offset.map_or(0, |it| it as usize);
        Flaw::corrupt(lead_of(record, text) + at, format!("the {what} cannot be read: {cause}"))
    })
}

/// Bytes of the record in front of its text.
fn lead_of(record: &Record, text: &[u8]) -> usize {
    let bytes = &record.bytes[..];
    let behind = bytes.len() - bytes.trim_ascii_end().len();
    bytes.len().saturating_sub(behind + text.len())
}
