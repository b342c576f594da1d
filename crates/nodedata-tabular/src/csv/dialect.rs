use std::fmt;

use nodedata_core::{Error, ErrorKind, OpenOptions, OptionKey, OptionKind, OptionValue, Result};
use serde::{Deserialize, Serialize};

use super::{fields::Fields, records::Ends};

/// Bytes that tell the dialect of a file.
pub(crate) const SNIFFED_BYTES: u64 = 1 << 20;
/// Records that tell it.
const SNIFFED_RECORDS: usize = 200;

pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// What separates fields, by name.
const DELIMITERS: [(&str, u8); 5] =
    [("comma", b','), ("tab", b'\t'), ("semicolon", b';'), ("pipe", b'|'), ("space", b' ')];
/// Those that are tried, in the order in which they are preferred.
const TRIED: [u8; 4] = [b',', b'\t', b';', b'|'];

/// What separates fields.
pub(crate) const DELIMITER: OptionKey = OptionKey {
    name: "delimiter",
    kind: OptionKind::Choice(&["auto", "comma", "tab", "semicolon", "pipe", "space"]),
    default: "auto",
    doc: "what separates the fields of a row; `auto` goes by the first 1 MiB of each file",
};

/// What keeps separators from separating.
pub(crate) const QUOTE: OptionKey = OptionKey {
    name: "quote",
    kind: OptionKind::Choice(&["double", "single", "none"]),
    default: "double",
    doc: "the quotes around fields that hold separators or line ends",
};

/// Where names of columns come from.
pub(crate) const HEADER: OptionKey = OptionKey {
    name: "header",
    kind: OptionKind::Choice(&["first", "none"]),
    default: "first",
    doc: "whether the first row names the columns, or they are called `column_0` and so on",
};

/// How a file writes its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    pub(crate) quote: Option<u8>,
    /// What ends a line; a carriage return in front of it belongs to it.
    pub(crate) terminator: u8,
    pub(crate) has_header: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', quote: Some(b'"'), terminator: b'\n', has_header: true }
    }
}

/// The dialect as people say it.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delimiter = DELIMITERS.iter().find(|it| it.1 == self.delimiter).map_or("other", |it| it.0);
        let quote = match self.quote {
            Some(b'"') => "double quotes",
            Some(_) => "single quotes",
            None => "no quotes",
        };
        let end = if self.terminator == b'\r' { "lines end in CR" } else { "lines end in LF or CRLF" };
        let header = if self.has_header { "the first row names columns" } else { "no row names columns" };
        write!(f, "separated by {delimiter}, {quote}, {end}, {header}")
    }
}

impl Dialect {
    /// What the options say, and for what they leave open, what the beginning of a file looks like.
    ///
    /// # Errors
    /// `Unsupported` for text of 16-bit letters.
    pub(crate) fn of(head: &[u8], prefers_tab: bool, options: &OpenOptions) -> Result<Self> {
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            let message = "the file is UTF-16 text, which this build does not read";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("write it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE`"));
        }
        let head = head.strip_prefix(BOM).unwrap_or(head);
        let word = |key: &OptionKey| match options.option(key) {
            OptionValue::Text(word) => word,
            OptionValue::Bool(_) | OptionValue::Integer(_) => String::new(),
        };
        let quote = match word(&QUOTE).as_str() {
            "single" => Some(b'\''),
            "none" => None,
            _ => Some(b'"'),
        };
        let terminator = if head.contains(&b'\r') && !head.contains(&b'\n') { b'\r' } else { b'\n' };
        let dialect = Self { delimiter: b',', quote, terminator, has_header: word(&HEADER) == "first" };
        let named = DELIMITERS.iter().find(|it| it.0 == word(&DELIMITER)).map(|it| it.1);
        Ok(Self { delimiter: named.unwrap_or_else(|| dialect.sniffed(head, prefers_tab)), ..dialect })
    }

    /// The separator that gives most rows the same number of fields, more than one.
    fn sniffed(self, head: &[u8], prefers_tab: bool) -> u8 {
        let mut best = (if prefers_tab { b'\t' } else { b',' }, (0, 0));
        for delimiter in TRIED {
            let counts = Self { delimiter, ..self }.counts(head);
            let Some(first) = counts.first().copied().filter(|it| 1 < *it) else { continue };
            let n_alike = counts.iter().filter(|it| **it == first).count();
            // In thousandths, so that one odd row among many does not decide.
            let score = (n_alike * 1000 / counts.len(), first);
            let is_named = prefers_tab && delimiter == b'\t' && best.1.0 == score.0;
            if best.1 < score || is_named {
                best = (delimiter, score);
            }
        }
        best.0
    }

    /// How many fields each of the first records has.
    fn counts(self, head: &[u8]) -> Vec<usize> {
        let mut ends = Ends::new(self);
        let mut fields = Fields::new(self);
        let (mut at, mut counts) = (0, Vec::new());
        while at < head.len() && counts.len() < SNIFFED_RECORDS {
            let end = match ends.feed(&head[at..]) {
                Some(n) => at + n,
                // A record that goes on behind what is looked at tells nothing, unless there is no other.
                None if counts.is_empty() => head.len(),
                None => break,
            };
            let record = head[at..end].strip_suffix(&[self.terminator]).unwrap_or(&head[at..end]);
            let record = record.strip_suffix(b"\r").unwrap_or(record);
            if !record.is_empty()
                && let Ok(row) = fields.parse(record)
            {
                counts.push(row.len());
            }
            at = end;
        }
        counts
    }

    /// Whether a file that begins so looks like a table: several rows of as many fields, more than one.
    pub(crate) fn fits(self, head: &[u8]) -> bool {
        let counts = self.counts(head.strip_prefix(BOM).unwrap_or(head));
        let first = counts.first().copied().unwrap_or(0);
        1 < first && 2 <= counts.len() && counts.iter().all(|it| *it == first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Dialect {
        Dialect::of(text.as_bytes(), false, &OpenOptions::default()).unwrap()
    }

    #[test]
    fn the_beginning_tells_the_separator() {
        for (text, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2\n3,5;4\n", b';'),
            ("a\tb, c\n1\t2\n", b'\t'),
            ("a|b\n", b'|'),
            ("\"a,b\";c\n\"d,e\";f\n", b';'),
            ("alone\n1\n", b','),
            ("", b','),
        ] {
            assert_eq!(of(text).delimiter, delimiter, "{text:?}");
        }
        let tab = Dialect::of(b"a\tb,c\n1\t2,3\n", true, &OpenOptions::default()).unwrap();
        assert_eq!(tab.delimiter, b'\t');
    }

    #[test]
    fn old_line_ends_and_wide_letters_are_told() {
        assert_eq!(of("a,b\r1,2\r").terminator, b'\r');
        assert_eq!(of("a,b\r\n1,2\r\n").terminator, b'\n');
        let err = Dialect::of(b"\xff\xfea\0", false, &OpenOptions::default()).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Unsupported);
    }
}
