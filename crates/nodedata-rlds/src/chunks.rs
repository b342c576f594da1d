use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use nodedata_core::Result;

/// Bytes of records that are kept in memory, beside the chunks in use.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// The same of those that were unpacked into files.
const SPOOLED_BYTES_MAX: u64 = 2 << 30;
/// Chunks that are kept: all of them are looked through for one.
const KEPT_MAX: usize = 256;

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
    is_spooled: bool,
    records: Arc<Slot>,
}

/// Locked while it is read, by whoever came first. Empty until then, and again after a failure.
type Slot = Mutex<Option<Arc<[Bytes]>>>;

/// Has a chunk kept for as long as this is, once it is read.
pub(crate) struct Held {
    _records: Arc<Slot>,
}

impl Chunks {
    /// The records of the chunk of a file that begins at `start`, read once for all who ask for them in turn. `is_spooled` says that they are
    /// in a file, not in memory.
    ///
    /// # Errors
    /// What `read` returns.
    pub(crate) fn get(
        &self,
        path: &Path,
        start: u64,
        n_bytes: u64,
        is_spooled: bool,
        read: impl FnOnce() -> Result<Vec<Bytes>>,
    ) -> Result<Arc<[Bytes]>> {
        let slot = self.slot(path, start, n_bytes, is_spooled);
        let mut records = lock(&slot);
        if let Some(records) = &*records {
            return Ok(Arc::clone(records));
        }
        Ok(Arc::clone(records.insert(read()?.into())))
    }

    /// Holds a chunk for whoever reads its records one after the other, while others read other chunks; told of as in [`Self::get`].
    pub(crate) fn hold(&self, path: &Path, start: u64, n_bytes: u64, is_spooled: bool) -> Held {
        Held { _records: self.slot(path, start, n_bytes, is_spooled) }
    }

    /// The place of a chunk, now the one used last.
    fn slot(&self, path: &Path, start: u64, n_bytes: u64, is_spooled: bool) -> Arc<Slot> {
        let mut kept = lock(&self.kept);
        let known = kept.iter().position(|it| it.start == start && it.path == path);
        let this = known.and_then(|at| kept.remove(at)).unwrap_or_else(|| Kept {
            path: path.to_owned(),
            start,
            n_bytes,
            is_spooled,
            records: Arc::default(),
        });
        let records = Arc::clone(&this.records);
        kept.push_back(this);
        for (is_spooled, max) in [(false, KEPT_BYTES_MAX), (true, SPOOLED_BYTES_MAX)] {
            let of_kind = |kept: &VecDeque<Kept>| {
                kept.iter()
                    .filter(|it| it.is_spooled == is_spooled)
                    .fold(0, |sum: u64, it| sum.saturating_add(it.n_bytes))
            };
            // One that somebody holds, or reads right now, takes its room anyway, as this one does.
            let is_idle = |it: &Kept| it.is_spooled == is_spooled && Arc::strong_count(&it.records) == 1;
            while of_kind(&kept) > max
                && let Some(at) = kept.iter().position(is_idle)
            {
                drop(kept.remove(at));
            }
        }
        if KEPT_MAX < kept.len() {
            kept.pop_front();
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
            chunks.get(Path::new("a"), start, n_bytes, false, read).unwrap()[0].clone()
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

    /// What lies in files takes nothing of what may be kept in memory, and the other way round.
    #[test]
    fn chunks_in_memory_and_in_files_are_kept_beside_each_other() {
        let chunks = Chunks::default();
        let get = |start: u64, n_bytes: u64, is_spooled: bool| {
            chunks.get(Path::new("a"), start, n_bytes, is_spooled, || Ok(Vec::new())).unwrap();
            lock(&chunks.kept).iter().map(|it| it.start).collect::<Vec<u64>>()
        };
        get(0, KEPT_BYTES_MAX, false);
        get(1, SPOOLED_BYTES_MAX - 1, true);
        assert_eq!(get(2, 1, true), [0, 1, 2]);
        assert_eq!(get(3, 1, true), [0, 2, 3]);
        assert_eq!(get(4, 1, false), [2, 3, 4]);
        let last = (5..5 + KEPT_MAX as u64).fold(Vec::new(), |_, it| get(it, 0, false));
        assert_eq!((last.len(), last[0]), (KEPT_MAX, 5));
    }

    /// As threads do that look through the chunks of several files at once.
    #[test]
    fn a_chunk_that_is_held_is_read_once_whatever_is_read_beside_it() {
        for is_spooled in [false, true] {
            let chunks = Chunks::default();
            let get = |start: u64, n_reads: &mut u32| {
                let read = || {
                    *n_reads += 1;
                    Ok(Vec::new())
                };
                chunks.get(Path::new("a"), start, SPOOLED_BYTES_MAX, is_spooled, read).unwrap();
            };
            let held = [0, 1, 2].map(|it| chunks.hold(Path::new("a"), it, SPOOLED_BYTES_MAX, is_spooled));
            let mut n_reads = 0;
            for _ in 0..3 {
                (0..3).for_each(|it| get(it, &mut n_reads));
            }
            assert_eq!(n_reads, 3);
            drop(held);
            get(3, &mut n_reads);
            assert_eq!(lock(&chunks.kept).iter().map(|it| it.start).collect::<Vec<u64>>(), [3]);
        }
    }

    #[test]
    fn a_failure_is_told_and_not_kept() {
        let chunks = Chunks::default();
        let failed = chunks.get(Path::new("a"), 0, 1, false, || Err(Error::new(ErrorKind::Io, "away")));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Io);
        assert!(chunks.get(Path::new("a"), 0, 1, false, || Ok(Vec::new())).unwrap().is_empty());
    }
}
