use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use memchr::memchr;
use nodedata_core::{ReadAt, Result};

/// What is read at a time, at least and at most, while lines are shorter.
const WINDOW_BYTES_MIN: u64 = 64 << 10;
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// One line, without what ends it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) byte_range: Range<u64>,
    /// All of it, or its beginning where it is longer than a line may be.
    pub(crate) bytes: Bytes,
    pub(crate) is_whole: bool,
}

/// The lines of a file that begin in a range.
pub(crate) struct Lines {
    file: Arc<dyn ReadAt>,
    /// Where the next line begins.
    at: u64,
    /// No line that begins here or later is handed out.
    end: u64,
    line_bytes_max: u64,
    window: Bytes,
    window_start: u64,
}

impl Lines {
    /// A line begins at the start of `range`.
    pub(crate) fn within(file: Arc<dyn ReadAt>, range: Range<u64>, line_bytes_max: u64) -> Self {
        let Range { start, end } = range;
        Self { file, at: start, end, line_bytes_max, window: Bytes::new(), window_start: start }
    }

    /// Where the line after the last one begins.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next line; `None` when there is no other that begins in the range.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>> {
        let n_bytes = self.file.n_bytes();
        let start = self.at;
        if self.end.min(n_bytes) <= start {
            return Ok(None);
        }
        // Bytes of the line that are known to hold no newline.
        let mut n_searched = 0;
        loop {
            let known = self.window.slice(self.position(start)..);
            if let Some(n) = memchr(b'\n', &known[n_searched..]) {
                let n_line = n_searched + n;
                self.at = start + n_line as u64 + 1;
                return Ok(Some(self.line(start, &known, n_line as u64)));
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
            let window = (self.end - start).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
            let n_wanted = window.max(n_searched as u64 * 2);
            self.window = self.file.read_at(start..n_bytes.min(start.saturating_add(n_wanted)))?;
            self.window_start = start;
        }
    }

    /// Where a place of the file lies in the window; its end when it lies behind.
    fn position(&self, at: u64) -> usize {
        let position = usize::try_from(at - self.window_start).unwrap_or(usize::MAX);
        position.min(self.window.len())
    }

    fn line(&self, start: u64, known: &Bytes, n_line: u64) -> Line {
        let is_whole = n_line <= self.line_bytes_max;
        let n_kept = n_line.min(if is_whole { u64::MAX } else { WINDOW_BYTES_MIN });
        let n_kept = usize::try_from(n_kept).unwrap_or(usize::MAX).min(known.len());
        Line { byte_range: start..start + n_line, bytes: known.slice(..n_kept), is_whole }
    }

    /// Goes behind the newline at `from` or later; returns where that is, or the end of the file.
    fn skip(&mut self, from: u64) -> Result<u64> {
        let end = find_newline(&*self.file, from..self.file.n_bytes())?;
        let end = end.unwrap_or(self.file.n_bytes());
        self.at = self.file.n_bytes().min(end + 1);
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
                    let mut lines = Lines::within(file(text), first..part.end, 100);
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
            let mut lines = Lines::within(file(&text), 0..text.len() as u64, 1000);
            assert!(lines.next_line().unwrap().unwrap().is_whole);
            let line = lines.next_line().unwrap().unwrap();
            assert_eq!((line.is_whole, line.byte_range), (false, 6..300_006));
            assert!(line.bytes.len() as u64 <= WINDOW_BYTES_MIN);
            let last = lines.next_line().unwrap();
            assert_eq!(last.map(|it| it.bytes), (end.len() > 1).then(|| Bytes::from("last")));
        }
    }
}
