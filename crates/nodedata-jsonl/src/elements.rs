use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use memchr::memchr2;
use nodedata_core::{ReadAt, Result};

use crate::window::{Record, Window};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The elements of a text that is one list, as far as they begin in a range. What an element is, brackets and quotes alone tell: one that is
/// no JSON costs itself.
pub(crate) struct Elements {
    window: Window,
    /// Behind the last element and its comma, or behind the bracket in front of the first.
    at: u64,
    /// No element that begins here or later is handed out.
    end: u64,
    element_bytes_max: u64,
    place: LinePlace,
    is_behind_comma: bool,
    closed: Option<Closed>,
}

/// How a list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// With its bracket, behind which this is.
    Behind(u64),
    /// With the text.
    Cut,
}

/// The line that a place is in.
#[derive(Debug, Clone, Copy)]
struct LinePlace {
    number: u64,
    start: u64,
}

/// Where a scan for the end of an element stands.
#[derive(Debug, Default)]
struct Scan {
    n_open: u64,
    in_text: bool,
    is_escaped: bool,
}

impl Elements {
    /// All of them. The text begins as [`begins_list`] has it.
    pub(crate) fn all(text: Arc<dyn ReadAt>, element_bytes_max: u64) -> Result<Self> {
        let end = text.n_bytes();
        let head = text.read_at(0..end.min(BOM.len() as u64))?;
        let mut all = Self::within(text, 0..end, element_bytes_max, (1, 1));
        all.is_behind_comma = false;
        if &head[..] == BOM {
            all.at = BOM.len() as u64;
        }
        if all.skip_blanks()? == Some(b'[') {
            all.at += 1;
        }
        Ok(all)
    }

    /// Those of a range, at whose start one begins: on this line, in this column.
    pub(crate) fn within(
        text: Arc<dyn ReadAt>,
        range: Range<u64>,
        element_bytes_max: u64,
        (line, column): (u64, u64),
    ) -> Self {
        let Range { start, end } = range;
        let place = LinePlace { number: line, start: start.saturating_sub(column.saturating_sub(1)) };
        let window = Window::new(text, start);
        Self { window, at: start, end, element_bytes_max, place, is_behind_comma: true, closed: None }
    }

    /// Behind the last element and its comma.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// How the list ended, once it has.
    pub(crate) fn closed(&self) -> Option<Closed> {
        self.closed
    }

    /// The next element, without blanks around it; `None` when there is no other that begins in the range. Between two commas
    /// may be none: an empty one.
    pub(crate) fn next_element(&mut self) -> Result<Option<Record>> {
        if self.closed.is_some() {
            return Ok(None);
        }
        let Some(first) = self.skip_blanks()? else {
            self.closed = Some(Closed::Cut);
            return Ok(None);
        };
        let start = self.at;
        if self.end <= start {
            return Ok(None);
        }
        if first == b']' && !self.is_behind_comma {
            self.at += 1;
            self.closed = Some(Closed::Behind(self.at));
            return Ok(None);
        }
        let spot = (self.place.number, start - self.place.start + 1);
        let mut scan = Scan::default();
        // Bytes of the element that were looked at.
        let mut n_searched = 0;
        loop {
            let known = self.window.known(start);
            if let Some(n) = scan.end(&known, n_searched, start, &mut self.place) {
                self.ends_at(start + n as u64, known[n]);
                return Ok(Some(self.element(start, &known, n as u64, spot)));
            }
            n_searched = known.len();
            if start + n_searched as u64 == self.window.n_bytes() {
                self.at = self.window.n_bytes();
                self.closed = Some(Closed::Cut);
                return Ok(Some(self.element(start, &known, n_searched as u64, spot)));
            }
            if self.element_bytes_max < n_searched as u64 {
                let n_bytes = self.skip(&mut scan, start + n_searched as u64)? - start;
                return Ok(Some(self.element(start, &known, n_bytes, spot)));
            }
            self.window.extend(start, n_searched, self.end)?;
        }
    }

    fn element(&self, start: u64, known: &Bytes, n_bytes: u64, spot: (u64, u64)) -> Record {
        let n_known = usize::try_from(n_bytes).unwrap_or(usize::MAX).min(known.len());
        let n_blank =
            if n_known as u64 == n_bytes { n_known - known[..n_known].trim_ascii_end().len() } else { 0 };
        Record::new(start, known, n_bytes - n_blank as u64, self.element_bytes_max, spot)
    }

    /// Takes in what ends an element.
    fn ends_at(&mut self, at: u64, by: u8) {
        self.at = at + 1;
        self.is_behind_comma = by == b',';
        if by == b']' {
            self.closed = Some(Closed::Behind(self.at));
        }
    }

    /// Goes behind the end of an element that is too long to be kept; returns where it ends.
    fn skip(&mut self, scan: &mut Scan, mut from: u64) -> Result<u64> {
        let n_bytes = self.window.n_bytes();
        while from < n_bytes {
            self.window.extend(from, 0, n_bytes)?;
            let known = self.window.known(from);
            if let Some(n) = scan.end(&known, 0, from, &mut self.place) {
                self.ends_at(from + n as u64, known[n]);
                return Ok(from + n as u64);
            }
            from += known.len() as u64;
        }
        self.at = n_bytes;
        self.closed = Some(Closed::Cut);
        Ok(n_bytes)
    }

    /// Goes to the next byte that is not blank, and returns it; `None` at the end of the text.
    fn skip_blanks(&mut self) -> Result<Option<u8>> {
        loop {
            for byte in self.window.known(self.at) {
                match byte {
                    b'\n' => self.place = LinePlace { number: self.place.number + 1, start: self.at + 1 },
                    b' ' | b'\t' | b'\r' => {}
                    other => return Ok(Some(other)),
                }
                self.at += 1;
            }
            if self.window.n_bytes() <= self.at {
                return Ok(None);
            }
            self.window.extend(self.at, 0, self.end)?;
        }
    }
}

impl Scan {
    /// Where the element ends whose bytes these are, of which the first `from` were looked at: at a comma or a bracket that
    /// belongs to the list. The first of them lies at `base`.
    fn end(&mut self, bytes: &[u8], from: usize, base: u64, place: &mut LinePlace) -> Option<usize> {
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if self.is_escaped {
                self.is_escaped = false;
            } else if self.in_text {
                at += memchr2(b'"', b'\\', &bytes[at..])?;
                match bytes[at] {
                    b'"' => self.in_text = false,
                    _ => self.is_escaped = true,
                }
            } else {
                match byte {
                    b',' | b']' if self.n_open == 0 => return Some(at),
                    b'"' => self.in_text = true,
                    b'{' | b'[' => self.n_open += 1,
                    b'}' | b']' => self.n_open = self.n_open.saturating_sub(1),
                    b'\n' => *place = LinePlace { number: place.number + 1, start: base + at as u64 + 1 },
                    _ => {}
                }
            }
            at += 1;
        }
        None
    }
}

/// Whether a text begins as a list of objects does: the file is one list, and its elements are rows.
pub(crate) fn begins_list(head: &[u8]) -> bool {
    let head = head.strip_prefix(BOM).unwrap_or(head).trim_ascii_start();
    let inside = head.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    inside.is_some_and(|it| matches!(it.first(), Some(b'{' | b']')))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nodedata_core::Files as _;
    use nodedata_io::MemoryFiles;

    use super::*;

    fn file(text: &str) -> Arc<dyn ReadAt> {
        MemoryFiles::default().with("a", text.to_owned()).open(Path::new("a")).unwrap()
    }

    /// Elements with their places, and how the list ends.
    fn elements(text: &str) -> (Vec<(String, u64, u64)>, Option<Closed>) {
        let mut all = Elements::all(file(text), 1000).unwrap();
        let mut found = Vec::new();
        while let Some(it) = all.next_element().unwrap() {
            let start = usize::try_from(it.byte_range.start).unwrap();
            assert_eq!(&text.as_bytes()[start..][..it.bytes.len()], &it.bytes[..]);
            found.push((String::from_utf8(it.bytes.to_vec()).unwrap(), it.line, it.column));
        }
        (found, all.closed())
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, u64, u64)], closed: Closed) {
        let expected: Vec<_> = expected.iter().map(|it| (it.0.to_owned(), it.1, it.2)).collect();
        assert_eq!(elements(text), (expected, Some(closed)), "{text:?}");
    }

    #[test]
    fn elements_are_cut_at_commas_of_the_list() {
        check("[]", &[], Closed::Behind(2));
        check(" [ ]\n", &[], Closed::Behind(4));
        check(r#"[{"a":1},{"b":2}]"#, &[(r#"{"a":1}"#, 1, 2), (r#"{"b":2}"#, 1, 10)], Closed::Behind(17));
        let pretty = "[\r\n  {\r\n    \"a\": [1,\n2]\r\n  },\r\n  {\"b\": \"],\\\"\"}\r\n]\r\n";
        let first = "{\r\n    \"a\": [1,\n2]\r\n  }";
        check(pretty, &[(first, 2, 3), ("{\"b\": \"],\\\"\"}", 6, 3)], Closed::Behind(49));
        check("\u{feff}[{}]x", &[("{}", 1, 5)], Closed::Behind(7));
        check("[{},,1 ,]", &[("{}", 1, 2), ("", 1, 5), ("1", 1, 6), ("", 1, 9)], Closed::Behind(9));
    }

    #[test]
    fn a_list_that_is_cut_gives_what_is_there() {
        check(r#"[{"a":1},{"b"#, &[(r#"{"a":1}"#, 1, 2), (r#"{"b"#, 1, 10)], Closed::Cut);
        check(r#"[{"a":1},"#, &[(r#"{"a":1}"#, 1, 2)], Closed::Cut);
        check(r#"[{"a":1}"#, &[(r#"{"a":1}"#, 1, 2)], Closed::Cut);
        check(r#"[{"a":"],{}]"#, &[(r#"{"a":"],{}]"#, 1, 2)], Closed::Cut);
    }

    /// Read from where any element begins, the rest is the same.
    #[test]
    fn what_follows_an_element_is_read_alone() {
        let text = "[{\"a\": 1},\n\n {\"b\": [\n2]}, \n{\"c\": 3}\n]";
        let mut all = Elements::all(file(text), 1000).unwrap();
        let mut found = Vec::new();
        while let Some(it) = all.next_element().unwrap() {
            found.push((it.byte_range, it.line, it.column));
        }
        assert_eq!(found.len(), 3);
        for (first, (range, line, column)) in found.iter().enumerate() {
            let rest = range.start..text.len() as u64;
            let mut some = Elements::within(file(text), rest, 1000, (*line, *column));
            for expected in &found[first..] {
                let it = some.next_element().unwrap().unwrap();
                assert_eq!((it.byte_range, it.line, it.column), *expected);
            }
            assert!(some.next_element().unwrap().is_none());
            assert_eq!(some.closed(), Some(Closed::Behind(text.len() as u64)));
            // No further than to the next.
            if let Some((next, ..)) = found.get(first + 1) {
                let mut one = Elements::within(file(text), range.start..next.start, 1000, (*line, *column));
                assert!(one.next_element().unwrap().is_some() && one.next_element().unwrap().is_none());
                assert!(one.at() <= next.start);
            }
        }
    }

    #[test]
    fn an_element_that_is_too_long_is_passed_over() {
        for (end, is_last) in [("]", true), (",{}]", false), ("", true)] {
            let text = format!("[{{}},{{\"a\": \"{}\\\",]\"}}{end}", "x".repeat(300_000));
            let mut all = Elements::all(file(&text), 1000).unwrap();
            assert!(all.next_element().unwrap().unwrap().is_whole);
            let long = all.next_element().unwrap().unwrap();
            assert!(!long.is_whole && long.byte_range.end == (text.len() - end.len()) as u64);
            assert_eq!(all.next_element().unwrap().is_none(), is_last);
        }
    }

    #[test]
    fn lists_of_objects_are_told_by_how_they_begin() {
        for (text, expected) in [
            ("[{", true),
            ("\u{feff} [\n {\"a\"", true),
            ("[]", true),
            ("[1]", false),
            ("[\"a\"]", false),
            ("{\"a\": []}", false),
            ("[", false),
            ("", false),
        ] {
            assert_eq!(begins_list(text.as_bytes()), expected, "{text}");
        }
    }
}
