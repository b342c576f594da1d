use std::ops::Range;

use memchr::memchr;
use nodedata_core::ErrorKind;

use super::dialect::Dialect;

/// What is wrong with a record, and where in it, counted in bytes from 0.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) kind: ErrorKind,
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Flaw {
    pub(crate) fn corrupt(at: usize, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Corrupt, at, message: message.into() }
    }
}

/// Takes records apart.
pub(crate) struct Fields {
    dialect: Dialect,
    /// What fields say in which two quotes stand for one.
    text: Vec<u8>,
    found: Vec<Found>,
}

/// The fields of a record, without their quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    record: &'a [u8],
    is_plain: bool,
    text: &'a [u8],
    found: &'a [Found],
}

#[derive(Debug, Clone)]
struct Found {
    /// In the record, or in `text`.
    range: Range<usize>,
    is_in_text: bool,
    /// Where it begins in the record.
    at: usize,
    is_quoted: bool,
}

/// A field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) bytes: &'a [u8],
    /// Where it begins in the record.
    pub(crate) at: usize,
    pub(crate) is_quoted: bool,
}

impl Field<'_> {
    /// Whether nothing is there: quotes around nothing are empty text.
    pub(crate) fn is_absent(&self) -> bool {
        self.bytes.is_empty() && !self.is_quoted
    }
}

impl Fields {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, text: Vec::new(), found: Vec::new() }
    }

    /// Takes a record apart, which is without its line end.
    pub(crate) fn parse<'a>(&'a mut self, record: &'a [u8]) -> Result<Row<'a>, Flaw> {
        self.found.clear();
        self.text.clear();
        let is_plain = is_plain(record);
        if !is_plain && let Some(at) = memchr(0, record) {
            return Err(Flaw::corrupt(at, "the row has a NUL byte"));
        }
        let Dialect { delimiter, quote, .. } = self.dialect;
        let mut at = 0;
        loop {
            let rest = &record[at..];
            let n = match quote {
                Some(quote) if rest.first() == Some(&quote) => self.quoted(record, at, quote)?,
                _ => {
                    let n = memchr(delimiter, rest).unwrap_or(rest.len());
                    self.found.push(Found { range: at..at + n, is_in_text: false, at, is_quoted: false });
                    n
                }
            };
            match rest.get(n) {
                None => break,
                Some(next) if *next == delimiter => at += n + 1,
                Some(_) => {
                    return Err(Flaw::corrupt(at + n, "text follows the quote that ends the field"));
                }
            }
        }
        Ok(Row { record, is_plain, text: &self.text, found: &self.found })
    }

    /// Takes a field with quotes around it; tells how many bytes it has with them.
    fn quoted(&mut self, record: &[u8], at: usize, quote: u8) -> Result<usize, Flaw> {
        let (begins_text, mut begins) = (self.text.len(), at + 1);
        loop {
            let rest = record.get(begins..).unwrap_or_default();
            let n = memchr(quote, rest).ok_or_else(|| Flaw::corrupt(at, OPEN_QUOTE))?;
            let end = begins + n;
            // Two of them stand for one.
            if rest.get(n + 1) == Some(&quote) {
                self.text.extend_from_slice(&record[begins..=end]);
                begins = end + 2;
                continue;
            }
            let is_in_text = self.text.len() != begins_text;
            let range = if is_in_text {
                self.text.extend_from_slice(&record[begins..end]);
                begins_text..self.text.len()
            } else {
                begins..end
            };
            self.found.push(Found { range, is_in_text, at, is_quoted: true });
            return Ok(end + 1 - at);
        }
    }
}

impl<'a> Row<'a> {
    /// How many fields there are.
    pub(crate) fn len(self) -> usize {
        self.found.len()
    }

    /// Whether all of it is UTF-8.
    pub(crate) fn check_text(self) -> Result<(), Flaw> {
        if self.is_plain {
            return Ok(());
        }
        match str::from_utf8(self.record) {
            Ok(_) => Ok(()),
            Err(err) => Err(Flaw::corrupt(err.valid_up_to(), "the row is not UTF-8")),
        }
    }

    /// The fields, in order.
    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = Field<'a>> {
        self.found.iter().map(move |it| self.field(it))
    }

    fn field(self, found: &Found) -> Field<'a> {
        let source = if found.is_in_text { self.text } else { self.record };
        Field { bytes: &source[found.range.clone()], at: found.at, is_quoted: found.is_quoted }
    }

    /// A field by its position.
    pub(crate) fn get(self, idx: usize) -> Option<Field<'a>> {
        self.found.get(idx).map(|it| self.field(it))
    }
}

pub(crate) const OPEN_QUOTE: &str = "the quote that opens here is never closed";
/// What can be done where a quote is not meant as one.
pub(crate) const QUOTE_HINT: &str = "`--set source.quote=none` takes quotes for letters";

/// Whether all of it is ASCII, without a NUL byte.
fn is_plain(bytes: &[u8]) -> bool {
    // One less than NUL has the highest bit as well. Without a branch many bytes are looked at together.
    bytes.iter().fold(0, |bits, it| bits | it | it.wrapping_sub(1)) < 0x80
}

#[cfg(test)]
mod tests;
