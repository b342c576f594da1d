use std::ops::Range;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder, Terminator};
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

/// The fields of a record, without their quotes.
pub(crate) struct Fields {
    dialect: Dialect,
    reader: Reader,
    text: Vec<u8>,
    found: Vec<Found>,
}

#[derive(Debug, Clone)]
struct Found {
    /// In `text`.
    range: Range<usize>,
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
        let mut builder = ReaderBuilder::new();
        builder.delimiter(dialect.delimiter).terminator(Terminator::Any(dialect.terminator));
        match dialect.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        let mut fields = Self { dialect, reader: builder.build(), text: Vec::new(), found: Vec::new() };
        fields.begin();
        fields
    }

    /// What has read something leaves the mark of UTF-8 files alone: a field may begin with it.
    fn begin(&mut self) {
        self.reader.reset();
        let (mut input, mut out): (&[u8], _) = (&[b'x', self.dialect.terminator], [0; 8]);
        while let (ReadFieldResult::InputEmpty, n, _) = self.reader.read_field(input, &mut out) {
            input = &input[n..];
            if input.is_empty() {
                break;
            }
        }
    }

    /// Takes a record apart, which is without its line end.
    pub(crate) fn parse(&mut self, record: &[u8]) -> Result<(), Flaw> {
        self.found.clear();
        // No field becomes longer than it is written.
        if self.text.len() <= record.len() {
            self.text.resize(record.len() + 1, 0);
        }
        if let Some(at) = memchr(0, record) {
            return Err(Flaw::corrupt(at, "the row has a NUL byte"));
        }
        let (mut at, mut n_text) = (0, 0);
        loop {
            let start = (at, n_text);
            let is_quoted = self.dialect.quote.is_some_and(|it| record.get(at) == Some(&it));
            let is_last = loop {
                let input = record.get(at..).filter(|it| !it.is_empty());
                let input = input.unwrap_or(std::slice::from_ref(&self.dialect.terminator));
                let (result, n_in, n_out) = self.reader.read_field(input, &mut self.text[n_text..]);
                let is_end = at == record.len();
                at = record.len().min(at + n_in);
                n_text += n_out;
                match result {
                    ReadFieldResult::InputEmpty if !is_end => {}
                    ReadFieldResult::Field { record_end } => break record_end,
                    _ => {
                        self.begin();
                        return Err(Flaw::corrupt(start.0, OPEN_QUOTE));
                    }
                }
            };
            let raw = &record[start.0..at];
            let raw = if is_last { raw } else { raw.strip_suffix(&[self.dialect.delimiter]).unwrap_or(raw) };
            if let Some(quote) = self.dialect.quote.filter(|_| is_quoted)
                && let Some(place) = behind_quotes(raw, quote)
            {
                if !is_last {
                    self.begin();
                }
                return Err(Flaw::corrupt(start.0 + place, "text follows the quote that ends the field"));
            }
            self.found.push(Found { range: start.1..n_text, at: start.0, is_quoted });
            if is_last {
                return Ok(());
            }
        }
    }

    /// How many fields the record has.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// The fields, in order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Field<'_>> {
        self.found.iter().map(|it| self.field(it))
    }

    fn field(&self, found: &Found) -> Field<'_> {
        Field { bytes: &self.text[found.range.clone()], at: found.at, is_quoted: found.is_quoted }
    }

    /// A field by its position.
    pub(crate) fn get(&self, idx: usize) -> Option<Field<'_>> {
        self.found.get(idx).map(|it| self.field(it))
    }
}

pub(crate) const OPEN_QUOTE: &str = "the quote that opens here is never closed";
/// What can be done where a quote is not meant as one.
pub(crate) const QUOTE_HINT: &str = "`--set source.quote=none` takes quotes for letters";

/// Where text begins behind the quote that ends a field, which opens with one.
fn behind_quotes(raw: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while let Some(n) = memchr(quote, raw.get(at..)?) {
        let behind = at + n + 1;
        match raw.get(behind) {
            None => return None,
            // Two of them stand for one.
            Some(next) if *next == quote => at = behind + 1,
            Some(_) => return Some(behind),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(record: &str) -> Result<Vec<String>, Flaw> {
        let mut fields = Fields::new(Dialect::default());
        fields.parse(record.as_bytes())?;
        let told = fields.iter().map(|it| {
            let text = String::from_utf8_lossy(it.bytes).into_owned();
            if it.is_quoted { format!("<{text}>") } else { text }
        });
        let told = told.collect();
        // The next record is not affected.
        fields.parse(b"x,\"y\"").unwrap();
        assert_eq!(fields.len(), 2);
        Ok(told)
    }

    #[test]
    fn quotes_are_taken_off_and_remembered() {
        assert_eq!(parsed("a,,\"b\",\"\"").unwrap(), ["a", "", "<b>", "<>"]);
        assert_eq!(parsed("\"a\"\"b\",\"c\nd\",e\"f").unwrap(), ["<a\"b>", "<c\nd>", "e\"f"]);
        assert_eq!(parsed(",").unwrap(), ["", ""]);
        assert_eq!(parsed("a\r").unwrap(), ["a\r"]);
        assert_eq!(parsed("\u{feff}a,b").unwrap(), ["\u{feff}a", "b"]);
        assert_eq!(parsed("ä,\u{1f600}").unwrap(), ["ä", "\u{1f600}"]);
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let wrong = |record: &str| {
            let flaw = parsed(record).unwrap_err();
            (flaw.at, flaw.message)
        };
        assert_eq!(wrong("a,\"b\"c"), (5, "text follows the quote that ends the field".to_owned()));
        assert_eq!(wrong("\"b\"c,d"), (3, "text follows the quote that ends the field".to_owned()));
        assert_eq!(wrong("a,\"b,c"), (2, OPEN_QUOTE.to_owned()));
        assert_eq!(wrong("a,b\0"), (3, "the row has a NUL byte".to_owned()));
        let mut fields = Fields::new(Dialect::default());
        for record in ["a,\"b\"c", "\"b\"c,d", "a,\"b,c"] {
            fields.parse(record.as_bytes()).unwrap_err();
            fields.parse(b"1,2,3").unwrap();
            assert_eq!(fields.len(), 3, "{record}");
        }
    }
}
