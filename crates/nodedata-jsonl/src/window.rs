use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{ReadAt, Result};

/// What is read at a time, at least and at most, while records are shorter.
pub(crate) const WINDOW_BYTES_MIN: u64 = 64 << 10;
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// The stretch of a text that was read last.
pub(crate) struct Window {
    text: Arc<dyn ReadAt>,
    bytes: Bytes,
    start: u64,
}

impl Window {
    /// Nothing yet, of a text that is read from `at` on.
    pub(crate) fn new(text: Arc<dyn ReadAt>, at: u64) -> Self {
        Self { text, bytes: Bytes::new(), start: at }
    }

    /// Length of the text.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.text.n_bytes()
    }

    pub(crate) fn text(&self) -> &dyn ReadAt {
        &*self.text
    }

    /// What is known from a place on, which lies in what was read, or behind it.
    pub(crate) fn known(&self, at: u64) -> Bytes {
        let position = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        self.bytes.slice(position.min(self.bytes.len())..)
    }

    /// Reads from a place on of which `n_known` bytes are known: as much as goes on to `end`, and more than is known.
    pub(crate) fn extend(&mut self, at: u64, n_known: usize, end: u64) -> Result<()> {
        let wanted = end.saturating_sub(at).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        let wanted = wanted.max(n_known as u64 * 2);
        self.bytes = self.text.read_at(at..self.n_bytes().min(at.saturating_add(wanted)))?;
        self.start = at;
        Ok(())
    }
}

/// One record as it lies in its text.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) byte_range: Range<u64>,
    /// All of it, or its beginning where it is longer than a record may be.
    pub(crate) bytes: Bytes,
    pub(crate) is_whole: bool,
    /// Number of the line that it begins in, from 1.
    pub(crate) line: u64,
    /// Where in that line, in bytes from 1.
    pub(crate) column: u64,
}

impl Record {
    /// Of `n_bytes`, of which `known` are the first, or all and more.
    pub(crate) fn new(
        at: u64,
        known: &Bytes,
        n_bytes: u64,
        bytes_max: u64,
        (line, column): (u64, u64),
    ) -> Self {
        let is_whole = n_bytes <= bytes_max;
        let n_kept = n_bytes.min(if is_whole { u64::MAX } else { WINDOW_BYTES_MIN });
        let n_kept = usize::try_from(n_kept).unwrap_or(usize::MAX).min(known.len());
        Self { byte_range: at..at + n_bytes, bytes: known.slice(..n_kept), is_whole, line, column }
    }

    /// Line and column of a byte of it, each from 1.
    pub(crate) fn line_column(&self, at: usize) -> (u64, u64) {
        let before = &self.bytes[..at.min(self.bytes.len())];
        match memchr::memrchr(b'\n', before) {
            None => (self.line, self.column + at as u64),
            Some(last) => {
                let n_lines = memchr::memchr_iter(b'\n', before).count() as u64;
                (self.line + n_lines, (at - last) as u64)
            }
        }
    }
}
