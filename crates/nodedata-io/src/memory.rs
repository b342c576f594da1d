use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};

/// Files held in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles(BTreeMap<PathBuf, Bytes>);

impl MemoryFiles {
    /// Adds or replaces a file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, bytes: impl Into<Bytes>) -> Self {
        self.0.insert(path.into(), bytes.into());
        self
    }
}

impl Files for MemoryFiles {
    fn list(&self) -> Result<Vec<PathBuf>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        match self.0.get(path) {
            Some(bytes) => Ok(Arc::new(WholeFile(bytes.clone()))),
            None => Err(Error::new(ErrorKind::Io, "no such file in memory").at(Locus::path(path))),
        }
    }
}

/// A file whose bytes are all addressable: in memory or mapped.
#[derive(Debug)]
pub(crate) struct WholeFile(pub(crate) Bytes);

impl ReadAt for WholeFile {
    fn n_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let within = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        match within {
            Some((start, end)) if start <= end && end <= self.0.len() => Ok(self.0.slice(start..end)),
            _ => Err(past_the_end(&range, self.n_bytes())),
        }
    }

    fn in_memory(&self) -> Option<Bytes> {
        Some(self.0.clone())
    }
}

/// The error of a range that is not inside the file.
pub(crate) fn past_the_end(range: &Range<u64>, n_bytes: u64) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("bytes {}..{} were asked of a file of {n_bytes} bytes", range.start, range.end),
    )
    .at(Locus::byte(range.start))
}
