use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use nodedata_core::{Locus, Progress, ReadAt as _, Result};
use nodedata_io::io_error;

use crate::{
    hash_cache::HashCache,
    hashing::hash_files,
    pull::partial::partial_name,
    record::{BlobRef, FileRef},
    revision::Revision,
    tree,
};

/// Files fetched at once.
const WORKERS: usize = 4;

/// Fetches files of a revision below `root`, each verified and then named. Returns their bytes, but for those that an earlier try
/// had brought.
///
/// # Errors
/// `Corrupt` at the first byte that is not what was published; `Interrupted` when `progress` says to stop; `Io`, `Denied`.
pub(super) fn fetch(
    revision: &Revision,
    root: &Path,
    files: &[&FileRef],
    progress: &dyn Progress,
) -> Result<u64> {
    let fetching = Fetching { revision, root, progress, n_bytes: AtomicU64::new(0) };
    fetching.all(files)?;
    Ok(fetching.n_bytes.into_inner())
}

struct Fetching<'a> {
    revision: &'a Revision,
    root: &'a Path,
    progress: &'a dyn Progress,
    n_bytes: AtomicU64,
}

impl Fetching<'_> {
    fn all(&self, files: &[&FileRef]) -> Result<()> {
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(files.len()) {
                scope.spawn(|| {
                    while failed.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
                        let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                        if let Err(err) = self.one(file) {
                            let err = err.at(Locus::path(&file.path));
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(err);
                        }
                    }
                });
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Goes on where an earlier try ended, at a part. What that left may have been lost since, or be of another revision: then
    /// the file is fetched from its start.
    fn one(&self, file: &FileRef) -> Result<()> {
        let target = self.root.join(&file.path);
        let partial = partial_name(&target);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|err| io_error("cannot make the folder", folder, err))?;
        }
        let has_gone_on = self.write(&file.blob, &partial)?;
        if has_gone_on {
            let found = hash_files(&[&partial], &HashCache::none(), self.progress)?;
            if found.first().map(|it| it.b3) != Some(file.blob.b3) {
                fs::remove_file(&partial).map_err(|err| io_error("cannot remove", &partial, err))?;
                self.write(&file.blob, &partial)?;
            }
        }
        fs::rename(&partial, &target).map_err(|err| io_error("cannot give the file its name", &target, err))
    }

    /// Writes what a file lacks; tells whether an earlier try had begun it.
    fn write(&self, blob: &BlobRef, partial: &Path) -> Result<bool> {
        let n_bytes = blob.bytes;
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(partial);
        let mut to = opened.map_err(|err| io_error("cannot open", partial, err))?;
        let failed = |err| io_error("cannot write", partial, err);
        let reader = self.revision.reader(blob)?;
        let part_bytes = tree::PART_BYTES_MIN;
        let there = to.metadata().map_err(failed)?.len().min(n_bytes) / part_bytes * part_bytes;
        to.set_len(there).and_then(|()| to.seek(SeekFrom::Start(there))).map_err(failed)?;
        let mut offset = there;
        while offset < n_bytes {
            self.progress.go_on()?;
            let end = (offset + part_bytes).min(n_bytes);
            let bytes = reader.read_at(offset..end)?;
            to.write_all(&bytes).map_err(failed)?;
            self.n_bytes.fetch_add(end - offset, Ordering::Relaxed);
            self.progress.advanced(end - offset, 0);
            offset = end;
        }
        to.sync_all().map_err(failed)?;
        Ok(there > 0)
    }
}
