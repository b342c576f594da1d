use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{ReadAt, Result};

/// Bytes fetched at once while walking; a mapped file only hands out a view of itself.
const BLOCK_BYTES: u64 = 1 << 20;
/// Bytes fetched at once behind a leap: whoever leaps over chunks wants their heads, and a store sends what is asked for.
const PROBE_BYTES: u64 = 64 << 10;

/// A file read front to back in blocks, with looks back and ahead.
pub struct FileView {
    file: Arc<dyn ReadAt>,
    n_bytes: u64,
    block: Bytes,
    block_start: u64,
}

impl FileView {
    /// Nothing is fetched yet.
    pub fn new(file: Arc<dyn ReadAt>) -> Self {
        let n_bytes = file.n_bytes();
        Self { file, n_bytes, block: Bytes::new(), block_start: 0 }
    }

    /// Length of the file.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// The bytes of `range`, which must lie inside the file.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when `range` ends past the file.
    pub fn bytes(&mut self, range: Range<u64>) -> Result<Bytes> {
        let block_end = self.block_start + self.block.len() as u64;
        if range.start < self.block_start || block_end < range.end {
            let has_leapt = !self.block.is_empty() && range.start >= block_end.saturating_add(PROBE_BYTES);
            let ahead = if has_leapt { PROBE_BYTES } else { BLOCK_BYTES };
            let end = range.end.max(range.start.saturating_add(ahead).min(self.n_bytes));
            self.block = self.file.read_at(range.start..end)?;
            self.block_start = range.start;
        }
        // Inside the block, whose length is a usize.
        let start = (range.start - self.block_start) as usize;
        let end = (range.end - self.block_start) as usize;
        Ok(self.block.slice(start..end))
    }

    /// Up to `n_bytes` from `offset` on: fewer at the end of the file.
    ///
    /// # Errors
    /// `Io`.
    pub fn up_to(&mut self, offset: u64, n_bytes: u64) -> Result<Bytes> {
        let start = offset.min(self.n_bytes);
        self.bytes(start..offset.saturating_add(n_bytes).min(self.n_bytes).max(start))
    }
}

impl std::fmt::Debug for FileView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileView").field("n_bytes", &self.n_bytes).finish_non_exhaustive()
    }
}
