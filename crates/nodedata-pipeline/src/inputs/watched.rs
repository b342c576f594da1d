use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use bytes::Bytes;
use nodedata_core::{Files, ReadAt, Result};

use super::seen::Seen;

/// Files whose bytes are hashed when they are read, where reading them again for that would cost as much: those of a bucket. Of what is in
/// memory, or mapped, nothing is noted.
pub(crate) struct WatchedFiles {
    inner: Arc<dyn Files>,
    seen: Mutex<BTreeMap<PathBuf, Arc<Seen>>>,
    n_held: Arc<AtomicU64>,
}

impl WatchedFiles {
    pub(crate) fn over(inner: Arc<dyn Files>) -> Self {
        Self { inner, seen: Mutex::default(), n_held: Arc::default() }
    }

    /// The same files, of which nobody notes what is read.
    pub(super) fn unwatched(&self) -> &Arc<dyn Files> {
        &self.inner
    }

    /// What was seen of a file so far, and will be; of one that nobody has opened yet, nothing.
    pub(super) fn seen(&self, path: &Path) -> Option<Arc<Seen>> {
        self.lock().get(path).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<Seen>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for WatchedFiles {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.inner.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        let file = self.inner.open(path)?;
        if file.in_memory().is_some() {
            return Ok(file);
        }
        let mut all = self.lock();
        let seen = all.entry(path.to_owned()).or_insert_with(|| Arc::new(Seen::beside(&self.n_held)));
        Ok(Arc::new(Watched { file, seen: Arc::clone(seen) }))
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        self.inner.stamp(path)
    }

    fn leads_out(&self, path: &Path) -> bool {
        self.inner.leads_out(path)
    }

    // What is brought is hashed where it is then: nobody notes it.
    fn bring(&self, path: &Path, folder: &Path) -> Result<bool> {
        self.inner.bring(path, folder)
    }

    fn let_go(&self, path: &Path) {
        self.inner.let_go(path);
    }
}

/// A file that is far away.
struct Watched {
    file: Arc<dyn ReadAt>,
    seen: Arc<Seen>,
}

impl ReadAt for Watched {
    fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        if range.end <= range.start {
            return self.file.read_at(range);
        }
        let from = self.seen.gap_before(range.start);
        let bytes = self.file.read_at(from..range.end)?;
        self.seen.note(from, &bytes);
        Ok(bytes.slice((range.start - from) as usize..))
    }

    fn peek_at(&self, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.file.peek_at(range.clone())?;
        self.seen.note(range.start, &bytes);
        Ok(bytes)
    }
}
