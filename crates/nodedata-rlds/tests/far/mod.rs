//! Files that are nowhere in memory, as those of a bucket are, and that count what is read of them.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use nodedata_core::{Files, ReadAt, Result};
use nodedata_io::MemoryFiles;

/// Bytes read, by file.
type Counts = Arc<Mutex<BTreeMap<PathBuf, u64>>>;

pub(crate) struct Far {
    files: MemoryFiles,
    n_read: Counts,
}

struct FarFile {
    file: Arc<dyn ReadAt>,
    path: PathBuf,
    n_read: Counts,
}

impl Far {
    pub(crate) fn new(files: Vec<(PathBuf, Bytes)>) -> Arc<Self> {
        let memory = MemoryFiles::default();
        let files = files.into_iter().fold(memory, |all, (path, bytes)| all.with(path, bytes));
        Arc::new(Self { files, n_read: Counts::default() })
    }

    /// Bytes read so far of files of records.
    pub(crate) fn n_read(&self) -> u64 {
        let counts = self.n_read.lock().expect("nobody panics with it");
        counts.iter().filter(|it| it.0.to_string_lossy().contains("tfrecord")).map(|it| it.1).sum()
    }
}

impl Files for Far {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.files.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        let file = self.files.open(path)?;
        Ok(Arc::new(FarFile { file, path: path.to_owned(), n_read: Arc::clone(&self.n_read) }))
    }
}

impl ReadAt for FarFile {
    fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let mut counts = self.n_read.lock().expect("nobody panics with it");
        *counts.entry(self.path.clone()).or_default() += range.end - range.start;
        self.file.read_at(range)
    }
}
