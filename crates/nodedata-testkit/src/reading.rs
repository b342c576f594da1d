//! What tests read of a source, and how many bytes that takes.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::RecordBatch;
use bytes::Bytes;
use nodedata_core::{Error, Files, ReadAt, ReadOptions, Result, Source};

/// All rows, and all damage, in order.
///
/// # Panics
/// When a partition cannot be read at all, an error says nothing of a loss, or a record that was read is neither a row nor lost.
pub fn read(source: &dyn Source) -> (Vec<RecordBatch>, Vec<Error>) {
    let (mut rows, mut damage) = (Vec::new(), Vec::new());
    for partition in 0..source.plan().partitions.len() {
        let mut stream =
            source.read(partition, &ReadOptions::default()).unwrap_or_else(|err| panic!("{err}"));
        let mut n_accounted = 0;
        loop {
            match stream.next_batch() {
                Ok(None) => break,
                Ok(Some(batch)) => {
                    n_accounted += batch.rows.num_rows() as u64;
                    rows.push(batch.rows);
                }
                Err(err) => {
                    let Some(loss) = err.loss() else { panic!("{err}") };
                    n_accounted += loss.records.iter().map(|it| it.1).sum::<u64>();
                    damage.push(err);
                }
            }
        }
        assert_eq!(stream.records_read().iter().map(|it| it.1).sum::<u64>(), n_accounted);
    }
    (rows, damage)
}

/// Files that count the bytes that are read of them.
pub struct CountedFiles {
    files: Arc<dyn Files>,
    n_read: Arc<AtomicU64>,
}

struct CountedFile(Arc<dyn ReadAt>, Arc<AtomicU64>);

impl CountedFiles {
    /// Adds what is read of `files` to `n_read`.
    pub fn new(files: Arc<dyn Files>, n_read: &Arc<AtomicU64>) -> Self {
        Self { files, n_read: Arc::clone(n_read) }
    }
}

impl Files for CountedFiles {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.files.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(CountedFile(self.files.open(path)?, Arc::clone(&self.n_read))))
    }
}

impl ReadAt for CountedFile {
    fn n_bytes(&self) -> u64 {
        self.0.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.1.fetch_add(range.end - range.start, Ordering::Relaxed);
        self.0.read_at(range)
    }
}
