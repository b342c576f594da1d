use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use memchr::memchr;
use nodedata_core::{ReadAt, Result};

use crate::window::{Record, WINDOW_BYTES_MIN, Window};

/// The lines of a text that begin in a range.
pub(crate) struct Lines {
    window: Window,
    /// Where the next line begins.
    at: u64,
    /// No line that begins here or later is handed out.
    end: u64,
    line_bytes_max: u64,
    /// Number of the next line.
    number: u64,
}

impl Lines {
    /// A line begins at the start of `range`, and is numbered `first`.
    pub(crate) fn within(text: Arc<dyn ReadAt>, range: Range<u64>, line_bytes_max: u64, first: u64) -> Self {
        let Range { start, end } = range;
        Self { window: Window::new(text, start), at: start, end, line_bytes_max, number: first }
    }

    /// Where the line after the last one begins.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Number of the line after the last one.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, without what ends it; `None` when there is no other that begins in the range.
    pub(crate) fn next_line(&mut self) -> Result<Option<Record>> {
        let n_bytes = self.window.n_bytes();
        let start = self.at;
        if self.end.min(n_bytes) <= start {
            return Ok(None);
        }
        // Bytes of the line that are known to hold no newline.
        let mut n_searched = 0;
        loop {
            let known = self.window.known(start);
            if let Some(n) = memchr(b'\n', &known[n_searched..]) {
                let n_line = (n_searched + n) as u64;
                self.at = start + n_line + 1;
                return Ok(Some(self.line(start, &known, n_line)));
            }
            n_searched = known.len();
            if start + n_searched as u64 == n_bytes {
                self.at = n_bytes;
                return Ok(Some(self.line(start, &known, n_searched as u64)));
            }
            if self.line_bytes_max < n_searched as u64 {
                let n_line = self.skip(start + n_searched as u64)? - start;
                return Ok(Some(self.line(start, &known, n_line)));
            }
            self.window.extend(start, n_searched, self.end)?;
        }
    }

    fn line(&mut self, start: u64, known: &Bytes, n_line: u64) -> Record {
        self.number += 1;
        Record::new(start, known, n_line, self.line_bytes_max, (self.number - 1, 1))
    }

    /// Goes behind the newline at `from` or later; returns where that is, or the end of the file.
    fn skip(&mut self, from: u64) -> Result<u64> {
        let n_bytes = self.window.n_bytes();
        let end = find_newline(self.window.text(), from..n_bytes)?;
        let end = end.unwrap_or(n_bytes);
        self.at = n_bytes.min(end + 1);
        Ok(end)
    }
}

/// Where the first line begins that begins in a range.
pub(crate) fn first_line(file: &dyn ReadAt, range: &Range<u64>) -> Result<Option<u64>> {
    let Some(before) = range.start.checked_sub(1) else {
        return Ok((!range.is_empty()).then_some(0));
    };
    let newline = find_newline(file, before..range.end.saturating_sub(1))?;
    Ok(newline.map(|it| it + 1))
}

fn find_newline(file: &dyn ReadAt, range: Range<u64>) -> Result<Option<u64>> {
    let mut at = range.start;
    while at < range.end {
        let window = file.read_at(at..range.end.min(at + WINDOW_BYTES_MIN))?;
        if let Some(n) = memchr(b'\n', &window) {
            return Ok(Some(at + n as u64));
        }
        at += window.len() as u64;
    }
    Ok(None)
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

    /// However a file is cut, each line is met once, in the part in which it begins.
    #[test]
    fn every_line_belongs_to_the_part_it_begins_in() {
        for text in ["", "\n", "a", "a\n", "ab\n\ncde\r\n\nf", "\n\n\n", "long line\nx\n"] {
            let expected: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
            let expected = if text.is_empty() { Vec::new() } else { expected };
            for n_part in 1..12 {
                let mut found = Vec::new();
                for start in (0..text.len() as u64).step_by(n_part) {
                    let part = start..(start + n_part as u64).min(text.len() as u64);
                    let Some(first) = first_line(&*file(text), &part).unwrap() else { continue };
                    let mut lines = Lines::within(file(text), first..part.end, 100, 1);
                    while let Some(line) = lines.next_line().unwrap() {
                        assert!(part.contains(&line.byte_range.start));
                        found.push(String::from_utf8(line.bytes.to_vec()).unwrap());
                    }
                }
                assert_eq!(found, expected, "{text:?} in parts of {n_part}");
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = "x".repeat(300_000);
        for end in ["", "\n", "\nlast"] {
            let text = format!("first\n{long}{end}");
            let mut lines = Lines::within(file(&text), 0..text.len() as u64, 1000, 1);
            assert!(lines.next_line().unwrap().unwrap().is_whole);
            let line = lines.next_line().unwrap().unwrap();
            assert_eq!((line.is_whole, line.byte_range, line.line), (false, 6..300_006, 2));
            assert!(line.bytes.len() as u64 <= WINDOW_BYTES_MIN);
            let last = lines.next_line().unwrap();
            assert_eq!(last.map(|it| it.bytes), (end.len() > 1).then(|| Bytes::from("last")));
        }
    }
}
