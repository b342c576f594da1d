use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use nodedata_core::Result;

/// Bytes of records that are kept, beside the chunk used last.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// The chunks used last: records that are compressed together are read one by one, each by whoever comes for it.
#[derive(Default)]
pub(crate) struct Chunks {
    /// Most recently used last. Locked to look up, never to read.
    kept: Mutex<VecDeque<Kept>>,
}

struct Kept {
    path: PathBuf,
    start: u64,
    n_bytes: u64,
    records: Arc<Slot>,
}

/// Locked while it is read, by whoever came first. Empty until then, and again after a failure.
type Slot = Mutex<Option<Arc<[Bytes]>>>;

impl Chunks {
    /// The records of the chunk of a file that begins at `start`, read once for all who ask for them in turn.
    ///
    /// # Errors
    /// What `read` returns.
    pub(crate) fn get(
        &self,
        path: &Path,
        start: u64,
        n_bytes: u64,
        read: impl FnOnce() -> Result<Vec<Bytes>>,
    ) -> Result<Arc<[Bytes]>> {
        let slot = self.slot(path, start, n_bytes);
        let mut records = lock(&slot);
        if let Some(records) = &*records {
            return Ok(Arc::clone(records));
        }
        Ok(Arc::clone(records.insert(read()?.into())))
    }

    /// The place of a chunk, now the one used last.
    fn slot(&self, path: &Path, start: u64, n_bytes: u64) -> Arc<Slot> {
        let mut kept = lock(&self.kept);
        let known = kept.iter().position(|it| it.start == start && it.path == path);
        let this = known.and_then(|at| kept.remove(at)).unwrap_or_else(|| Kept {
            path: path.to_owned(),
            start,
            n_bytes,
            records: Arc::default(),
        });
        let records = Arc::clone(&this.records);
        kept.push_back(this);
        let mut n_kept: u64 = kept.iter().map(|it| it.n_bytes).fold(0, u64::saturating_add);
        while n_kept > KEPT_BYTES_MAX && kept.len() > 1 {
            n_kept -= kept.pop_front().map_or(0, |it| it.n_bytes);
        }
        records
    }
}

/// Nothing is half done when a reader panics: a chunk is there or it is not.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use nodedata_core::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_chunk_is_read_once_for_the_records_that_are_asked_for_in_turn() {
        let chunks = Chunks::default();
        let get = |start: u64, n_bytes: u64, n_reads: &mut u32| {
            let read = || {
                *n_reads += 1;
                Ok(vec![Bytes::from(start.to_string())])
            };
            chunks.get(Path::new("a"), start, n_bytes, read).unwrap()[0].clone()
        };
        let mut n_reads = 0;
        for _ in 0..3 {
            assert_eq!(get(64, 10, &mut n_reads), "64");
        }
        assert_eq!(n_reads, 1);
        // One that is too large is kept alone, until the next one comes.
        assert_eq!(get(128, KEPT_BYTES_MAX + 1, &mut n_reads), "128");
        assert_eq!(get(128, KEPT_BYTES_MAX + 1, &mut n_reads), "128");
        assert_eq!((n_reads, lock(&chunks.kept).len()), (2, 1));
        get(64, 10, &mut n_reads);
        assert_eq!(n_reads, 3);
    }

    #[test]
    fn a_failure_is_told_and_not_kept() {
        let chunks = Chunks::default();
        let failed = chunks.get(Path::new("a"), 0, 1, || Err(Error::new(ErrorKind::Io, "away")));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Io);
        assert!(chunks.get(Path::new("a"), 0, 1, || Ok(Vec::new())).unwrap().is_empty());
    }
}
