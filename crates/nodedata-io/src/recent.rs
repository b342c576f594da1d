use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nodedata_core::{ReadAt, Result};

/// Files kept open, of all inputs together. Each has up to eight blocks of 1 MiB.
const FILES_MAX: usize = 8;

/// Of all inputs: a command may name thousands of them.
static OPEN: Mutex<Files> = Mutex::new(Files(VecDeque::new()));
static N_INPUTS: AtomicU64 = AtomicU64::new(0);

/// The files of an input that were opened last: whoever opens one of them again, such as for the next of its records, has the
/// blocks that were fetched for the one before. They go with the input.
pub(crate) struct Recent {
    input: u64,
}

/// Most recently opened last.
#[derive(Default)]
struct Files(VecDeque<(u64, PathBuf, Arc<dyn ReadAt>)>);

impl Default for Recent {
    fn default() -> Self {
        Self { input: N_INPUTS.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Recent {
    /// The file at `path`, which `open` opens where it is not open.
    pub(crate) fn get(
        &self,
        path: &Path,
        open: impl FnOnce() -> Result<Arc<dyn ReadAt>>,
    ) -> Result<Arc<dyn ReadAt>> {
        // Opening a file that is far away fetches nothing.
        Self::open().get(self.input, path, open)
    }

    fn open() -> MutexGuard<'static, Files> {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        Self::open().0.retain(|it| it.0 != self.input);
    }
}

impl Files {
    fn get(
        &mut self,
        input: u64,
        path: &Path,
        open: impl FnOnce() -> Result<Arc<dyn ReadAt>>,
    ) -> Result<Arc<dyn ReadAt>> {
        let known = self.0.iter().position(|it| it.0 == input && it.1 == path);
        let (path, file) = match known.and_then(|at| self.0.remove(at)) {
            Some((_, path, file)) => (path, file),
            None => (path.to_owned(), open()?),
        };
        if self.0.len() == FILES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((input, path, Arc::clone(&file)));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use bytes::Bytes;

    use super::*;

    struct Empty;

    impl ReadAt for Empty {
        fn n_bytes(&self) -> u64 {
            0
        }

        fn read_at(&self, _range: Range<u64>) -> Result<Bytes> {
            Ok(Bytes::new())
        }
    }

    #[test]
    fn the_files_opened_last_stay_open_and_no_more() {
        let mut files = Files::default();
        let mut n_opened = 0;
        let mut open = |idx: usize| {
            let before = n_opened;
            // Two inputs that take turns.
            files
                .get(idx as u64 % 2, Path::new(&(idx / 2).to_string()), || {
                    n_opened += 1;
                    Ok(Arc::new(Empty))
                })
                .unwrap();
            n_opened > before
        };
        assert!((0..FILES_MAX).all(&mut open));
        assert!(!open(0));
        assert!(open(FILES_MAX), "opened, in the place of 1");
        assert!(!open(0) && open(1));
    }
}
