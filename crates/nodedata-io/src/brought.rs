use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use nodedata_core::{ReadAt, Result};

use crate::{Scratch, memory::WholeFile};

/// What one request fetches.
const PIECE_BYTES: u64 = 8 << 20;
/// What files take on the disk, of all inputs together: a command may name thousands of them.
const BROUGHT_BYTES_MAX: u64 = 16 << 30;

/// What is left of that.
static LEFT: AtomicU64 = AtomicU64::new(BROUGHT_BYTES_MAX);

/// Files that are far away and were fetched as a whole, each until it is let go of, or with the input.
pub(crate) struct Brought {
    left: &'static AtomicU64,
    /// Whether the disk was full, or nearly so: what is left of it is for the output.
    is_full: AtomicBool,
    by_path: Mutex<BTreeMap<PathBuf, Arc<Slot>>>,
}

/// Locked while it is fetched, by whoever came first. Empty until then, and again after a failure.
type Slot = Mutex<Option<Arc<WholeFile>>>;

impl Default for Brought {
    fn default() -> Self {
        Self::within(&LEFT)
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        let all = std::mem::take(&mut *lock(&self.by_path));
        all.values().for_each(|it| self.give_back(it));
    }
}

impl Brought {
    fn within(left: &'static AtomicU64) -> Self {
        Self { left, is_full: AtomicBool::new(false), by_path: Mutex::default() }
    }

    fn give_back(&self, slot: &Slot) {
        if let Some(file) = lock(slot).take() {
            self.left.fetch_add(file.n_bytes(), Ordering::Relaxed);
        }
    }

    /// A file that was brought.
    pub(crate) fn get(&self, path: &Path) -> Option<Arc<dyn ReadAt>> {
        let slot = lock(&self.by_path).get(path).cloned()?;
        let file = lock(&slot).clone();
        file.map(|it| it as Arc<dyn ReadAt>)
    }

    /// See [`nodedata_core::Files::bring`]; `far` is the file.
    ///
    /// # Errors
    /// `Io` when it cannot be fetched. That it cannot be kept is none.
    pub(crate) fn bring(&self, path: &Path, far: &dyn ReadAt, folder: &Path) -> Result<bool> {
        let slot = Arc::clone(lock(&self.by_path).entry(path.to_owned()).or_default());
        let mut file = lock(&slot);
        if file.is_some() {
            return Ok(true);
        }
        let n_bytes = far.n_bytes();
        let less = |left: u64| left.checked_sub(n_bytes);
        if self.is_full.load(Ordering::Relaxed)
            || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
        {
            return Ok(false);
        }
        let fetched = fetch(far, folder);
        if !matches!(fetched, Ok(Some(_))) {
            self.is_full.fetch_or(fetched.is_ok(), Ordering::Relaxed);
            self.left.fetch_add(n_bytes, Ordering::Relaxed);
        }
        *file = fetched?.map(Arc::new);
        Ok(file.is_some())
    }

    /// See [`nodedata_core::Files::let_go`]. Whoever has the file open goes on reading it.
    pub(crate) fn let_go(&self, path: &Path) {
        let slot = lock(&self.by_path).remove(path);
        if let Some(slot) = slot {
            self.give_back(&slot);
        }
    }
}

/// All of a file; `None` where the folder does not take it.
fn fetch(far: &dyn ReadAt, folder: &Path) -> Result<Option<WholeFile>> {
    let Ok(mut scratch) = Scratch::within(folder) else { return Ok(None) };
    let n_bytes = far.n_bytes();
    let mut at = 0;
    while at < n_bytes {
        let end = n_bytes.min(at + PIECE_BYTES);
        if scratch.push(&far.read_at(at..end)?).is_err() {
            return Ok(None);
        }
        at = end;
    }
    Ok(scratch.into_bytes().ok().map(WholeFile))
}

/// A file is there or it is not, also when a thread panicked that had begun it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use bytes::Bytes;
    use nodedata_core::{Error, ErrorKind};

    use super::*;

    /// A file of zeros, and how often it is read.
    struct Far {
        n_bytes: u64,
        n_reads: AtomicU64,
        fails: bool,
    }

    fn far(n_bytes: u64) -> Far {
        Far { n_bytes, n_reads: AtomicU64::new(0), fails: false }
    }

    impl ReadAt for Far {
        fn n_bytes(&self) -> u64 {
            self.n_bytes
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            self.n_reads.fetch_add(1, Ordering::Relaxed);
            if self.fails {
                return Err(Error::new(ErrorKind::Io, "the line is cut"));
            }
            Ok(vec![0; (range.end - range.start) as usize].into())
        }
    }

    /// With room of its own.
    fn brought() -> Brought {
        Brought::within(Box::leak(Box::new(AtomicU64::new(BROUGHT_BYTES_MAX))))
    }

    #[test]
    fn inputs_share_their_room_and_give_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let (one, path) = (brought(), Path::new("a"));
        let other = Brought::within(one.left);
        assert!(one.bring(path, &far(9), folder.path()).unwrap());
        let left = one.left;
        assert!(!other.bring(path, &far(BROUGHT_BYTES_MAX - 8), folder.path()).unwrap());
        let reader = one.get(path).unwrap();
        drop(one);
        assert_eq!((left.load(Ordering::Relaxed), reader.n_bytes()), (BROUGHT_BYTES_MAX, 9));
    }

    #[test]
    fn a_file_is_fetched_once_in_few_requests_and_gives_its_room_back() {
        let folder = tempfile::tempdir().unwrap();
        let all = brought();
        let (path, file) = (Path::new("a"), far(PIECE_BYTES + 1));
        assert!(all.get(path).is_none());
        for _ in 0..2 {
            assert!(all.bring(path, &file, folder.path()).unwrap());
        }
        assert_eq!(file.n_reads.load(Ordering::Relaxed), 2);
        let near = all.get(path).unwrap();
        assert!(near.n_bytes() == PIECE_BYTES + 1 && near.in_memory().is_some());
        assert_eq!(all.left.load(Ordering::Relaxed), BROUGHT_BYTES_MAX - PIECE_BYTES - 1);
        for _ in 0..2 {
            all.let_go(path);
        }
        assert!(all.get(path).is_none());
        assert_eq!(all.left.load(Ordering::Relaxed), BROUGHT_BYTES_MAX);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_finds_no_room_stays_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let all = brought();
        let path = Path::new("a");
        assert!(!all.bring(path, &far(BROUGHT_BYTES_MAX + 1), folder.path()).unwrap());
        let broken = Far { fails: true, ..far(9) };
        assert_eq!(all.bring(path, &broken, folder.path()).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(all.left.load(Ordering::Relaxed), BROUGHT_BYTES_MAX);
        // Where one could not be kept, no other is tried.
        assert!(!all.bring(path, &far(9), &folder.path().join("nowhere")).unwrap());
        let other = far(9);
        assert!(!all.bring(Path::new("b"), &other, folder.path()).unwrap());
        assert!(all.get(path).is_none() && other.n_reads.load(Ordering::Relaxed) == 0);
    }
}
