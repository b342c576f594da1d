use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use nodedata_core::{ReadAt, Result};

/// Files kept open. Each has up to eight blocks of 1 MiB.
const FILES_MAX: usize = 8;

/// The files that were opened last: whoever opens one of them again, such as for the next of its records, has the blocks that
/// were fetched for the one before.
#[derive(Default)]
pub(crate) struct Recent {
    /// Most recently opened last.
    files: Mutex<VecDeque<(PathBuf, Arc<dyn ReadAt>)>>,
}

impl Recent {
    /// The file at `path`, which `open` opens where it is not open.
    pub(crate) fn get(
        &self,
        path: &Path,
        open: impl FnOnce() -> Result<Arc<dyn ReadAt>>,
    ) -> Result<Arc<dyn ReadAt>> {
        // Opening a file that is far away fetches nothing.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let known = files.iter().position(|it| it.0 == path).and_then(|at| files.remove(at));
        let (path, file) = match known {
            Some(known) => known,
            None => (path.to_owned(), open()?),
        };
        if files.len() == FILES_MAX {
            files.pop_front();
        }
        files.push_back((path, Arc::clone(&file)));
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
        let recent = Recent::default();
        let mut n_opened = 0;
        let mut open = |idx: usize| {
            let before = n_opened;
            recent
                .get(Path::new(&idx.to_string()), || {
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
