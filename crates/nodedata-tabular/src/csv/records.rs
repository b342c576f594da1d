use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use memchr::{memchr, memchr2};
use nodedata_core::{ReadAt, Result};

use super::dialect::Dialect;

/// What is read at a time, at least and at most, while records are shorter.
const WINDOW_BYTES_MIN: u64 = 64 << 10;
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// Finds where records end: at a line's end that is not inside of quotes. It is fed a file's bytes in pieces of any size.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    dialect: Dialect,
    state: State,
    /// The byte in front of the next one; `None` at the start of a record.
    before: Option<u8>,
    /// Bytes of the record so far.
    n_bytes: u64,
    /// Line ends inside of quotes.
    n_inside: u64,
    /// Where in the record the quote is that is open.
    open_quote: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Quoted,
    /// Behind a quote inside of quotes: the end of them, or half of one that is meant.
    Closing,
}

impl Ends {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, state: State::Plain, before: None, n_bytes: 0, n_inside: 0, open_quote: 0 }
    }

    /// How many bytes of the next ones belong to the record, with the line's end; `None` when it goes on behind them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let terminator = self.dialect.terminator;
        let mut at = 0;
        while at < bytes.len() {
            match (self.state, self.dialect.quote) {
                (State::Plain, None) => match memchr(terminator, &bytes[at..]) {
                    Some(n) => return Some(self.end(at + n + 1)),
                    None => at = bytes.len(),
                },
                (State::Plain, Some(quote)) => match memchr2(quote, terminator, &bytes[at..]) {
                    Some(n) if bytes[at + n] == terminator => return Some(self.end(at + n + 1)),
                    Some(n) => {
                        let place = at + n;
                        let before = place.checked_sub(1).map_or(self.before, |it| Some(bytes[it]));
                        // Anywhere else a quote is a letter like any other.
                        if before.is_none_or(|it| it == self.dialect.delimiter) {
                            self.state = State::Quoted;
                            self.open_quote = self.n_bytes + place as u64;
                        }
                        at = place + 1;
                    }
                    None => at = bytes.len(),
                },
                (_, None) => self.state = State::Plain,
                (State::Quoted, Some(quote)) => match memchr2(quote, terminator, &bytes[at..]) {
                    Some(n) if bytes[at + n] == terminator => {
                        self.n_inside += 1;
                        at += n + 1;
                    }
                    Some(n) => {
                        self.state = State::Closing;
                        at += n + 1;
                    }
                    None => at = bytes.len(),
                },
                (State::Closing, Some(quote)) => {
                    self.state = if bytes[at] == quote { State::Quoted } else { State::Plain };
                    at += usize::from(self.state == State::Quoted);
                }
            }
        }
        self.before = bytes.last().copied().or(self.before);
        self.n_bytes += bytes.len() as u64;
        None
    }

    fn end(&mut self, n: usize) -> usize {
        self.before = None;
        self.n_bytes = 0;
        n
    }

    /// Takes the lines that a record ran over, its last one not counted.
    pub(crate) fn take_inside(&mut self) -> u64 {
        std::mem::take(&mut self.n_inside)
    }

    /// At the end of a file: where in the last record the quote is that nothing closes.
    pub(crate) fn open_quote(&self) -> Option<u64> {
        (self.state == State::Quoted).then_some(self.open_quote)
    }
}

/// A record, without what ends it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) byte_range: Range<u64>,
    /// All of it, or its beginning where it is longer than a record may be.
    pub(crate) bytes: Bytes,
    pub(crate) is_whole: bool,
    /// Lines that it takes.
    pub(crate) n_lines: u64,
    /// Where in it the quote is that nothing closes.
    pub(crate) open_quote: Option<u64>,
}

impl Record {
    /// Whether there is nothing on its line.
    pub(crate) fn is_blank(&self) -> bool {
        self.byte_range.is_empty()
    }
}

/// The records of a file that begin in a range.
pub(crate) struct Records {
    file: Arc<dyn ReadAt>,
    dialect: Dialect,
    at: u64,
    end: u64,
    bytes_max: u64,
    window: Bytes,
    window_start: u64,
}

impl Records {
    /// A record begins at the start of `range`.
    pub(crate) fn within(file: Arc<dyn ReadAt>, dialect: Dialect, range: Range<u64>, bytes_max: u64) -> Self {
        let Range { start, end } = range;
        Self { file, dialect, at: start, end, bytes_max, window: Bytes::new(), window_start: start }
    }

    /// Where the record after the last one begins.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next record; `None` when there is no other that begins in the range.
    pub(crate) fn next_record(&mut self) -> Result<Option<Record>> {
        let n_bytes = self.file.n_bytes();
        let start = self.at;
        if self.end.min(n_bytes) <= start {
            return Ok(None);
        }
        let mut ends = Ends::new(self.dialect);
        let position = self.position(start);
        let (n_record, mut bytes) = match ends.feed(&self.window[position..]) {
            Some(n) => (n as u64, self.window.slice(position..position + n)),
            None => self.read_on(&mut ends)?,
        };
        self.at = start + n_record;
        let mut n_content = n_record;
        let is_whole = n_record <= bytes.len() as u64 && n_record <= self.bytes_max.saturating_add(2);
        let open_quote = if self.at == n_bytes { ends.open_quote() } else { None };
        if is_whole && open_quote.is_none() {
            for ending in [self.dialect.terminator, b'\r'] {
                if bytes.last() == Some(&ending) {
                    bytes.truncate(bytes.len() - 1);
                }
            }
            n_content = bytes.len() as u64;
        }
        Ok(Some(Record {
            byte_range: start..start + n_content,
            bytes,
            is_whole,
            n_lines: 1 + ends.take_inside(),
            open_quote,
        }))
    }

    /// How long a record is that goes on behind the window, and its bytes, or its beginning where it is longer than a record may be.
    fn read_on(&mut self, ends: &mut Ends) -> Result<(u64, Bytes)> {
        let n_bytes = self.file.n_bytes();
        let start = self.at;
        let mut kept = self.window.slice(self.position(start)..);
        let mut n_fed = kept.len() as u64;
        let n_record = loop {
            if start + n_fed == n_bytes {
                break n_fed;
            }
            let window = (self.end - start).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
            if n_fed <= self.bytes_max {
                // Read again from its start, twice as far: it is wanted in one piece.
                let n_wanted = window.max(n_fed * 2);
                self.window = self.file.read_at(start..n_bytes.min(start.saturating_add(n_wanted)))?;
                self.window_start = start;
                kept = self.window.clone();
            } else {
                let from = start + n_fed;
                self.window = self.file.read_at(from..n_bytes.min(from + window))?;
                self.window_start = from;
            }
            let known = &self.window[self.position(start + n_fed)..];
            if let Some(n) = ends.feed(known) {
                break n_fed + n as u64;
            }
            n_fed += known.len() as u64;
        };
        kept.truncate(usize::try_from(n_record).unwrap_or(usize::MAX));
        Ok((n_record, kept))
    }

    fn position(&self, at: u64) -> usize {
        (at.saturating_sub(self.window_start) as usize).min(self.window.len())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nodedata_core::Files as _;
    use nodedata_io::MemoryFiles;

    use super::*;

    fn found(text: &str, bytes_max: u64) -> Vec<(String, bool, u64, Option<u64>)> {
        let file = MemoryFiles::default().with("a", text.to_owned()).open(Path::new("a")).unwrap();
        let range = 0..text.len() as u64;
        let mut records = Records::within(file, Dialect::default(), range, bytes_max);
        let mut all = Vec::new();
        while let Some(it) = records.next_record().unwrap() {
            all.push((
                String::from_utf8_lossy(&it.bytes).into_owned(),
                it.is_whole,
                it.n_lines,
                it.open_quote,
            ));
        }
        assert_eq!(records.at(), text.len() as u64);
        all
    }

    fn texts(text: &str) -> Vec<String> {
        found(text, 1 << 20).into_iter().map(|it| it.0).collect()
    }

    #[test]
    fn records_end_where_lines_do_outside_of_quotes() {
        assert_eq!(texts("a,b\r\nc\n\nd"), ["a,b", "c", "", "d"]);
        assert_eq!(texts("\"a\nb\",c\n\"x\"\"\n\"\n"), ["\"a\nb\",c", "\"x\"\"\n\""]);
        // A quote inside of a field is a letter.
        assert_eq!(texts("5\" pipe,6\"\nx\n"), ["5\" pipe,6\"", "x"]);
        assert_eq!(texts("\"a\"b\"c\nd\n"), ["\"a\"b\"c", "d"]);
        assert_eq!(texts(""), [""; 0]);
        let lines: Vec<u64> = found("\"1\n2\n3\",x\ny\n", 100).iter().map(|it| it.2).collect();
        assert_eq!(lines, [3, 1]);
    }

    #[test]
    fn an_open_quote_is_found_at_the_end() {
        let found = found("a,b\nc,\"d\ne,f\n", 100);
        assert_eq!((found[1].0.as_str(), found[1].3), ("c,\"d\ne,f\n", Some(2)));
        assert_eq!(found[0].3, None);
    }

    #[test]
    fn a_record_that_is_too_long_is_passed_over() {
        let long = format!("first\n\"{}\n\",b\nlast", "x".repeat(300_000));
        let found = found(&long, 1000);
        assert_eq!(found.iter().map(|it| it.1).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!((found[2].0.as_str(), found[1].2), ("last", 2));
    }

    /// However its bytes come, records end at the same places.
    #[test]
    fn ends_do_not_depend_on_pieces() {
        let text = b"a,\"b\"\"\n\",c\r\n\"\",\"x\"y\n5\"\n\"open\n";
        let whole = |n_piece: usize| {
            let mut ends = Ends::new(Dialect::default());
            let (mut at, mut found) = (0, Vec::new());
            while at < text.len() {
                let piece = &text[at..text.len().min(at + n_piece)];
                match ends.feed(piece) {
                    Some(n) => {
                        at += n;
                        found.push(at);
                    }
                    None => at += piece.len(),
                }
            }
            (found, ends.take_inside(), ends.open_quote())
        };
        let expected = whole(text.len());
        assert_eq!(expected.0, [12, 20, 23]);
        for n_piece in 1..text.len() {
            assert_eq!(whole(n_piece), expected, "{n_piece}");
        }
    }
}
