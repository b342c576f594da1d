//! Files of a folder that are written together, so that a folder is flushed once for all that came into it, and nobody waits for the
//! disk alone.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::Result;
use nodedata_io::{io_error, sync_folder};

/// Threads that write and flush at once: the disk ends many waits as soon as one.
const THREADS: usize = 8;

/// A file that is to be there.
pub(super) struct NewFile {
    /// Its name, below the root.
    pub(super) path: PathBuf,
    pub(super) bytes: Bytes,
}

/// Makes files that are not there. When it returns, each is on the disk under its name, and so are the folders that were made for
/// it. A file that is there stays, unless it was cut; the same is done for it either way. What a failure leaves beside them, a collection
/// removes.
///
/// # Errors
/// `Io`: then some of them may be there.
pub(super) fn create_files(root: &Path, files: &[NewFile]) -> Result<()> {
    // Folders that others were made in.
    let grown = Mutex::new(BTreeSet::new());
    let staged: Vec<Mutex<PathBuf>> = files.iter().map(|_| Mutex::default()).collect();
    let written = side_by_side(files, |idx, file| {
        let path = root.join(&file.path);
        *locked(&staged[idx]) = stage(root, &path, &file.bytes, &grown)?;
        Ok(())
    });
    let staged = staged.into_iter().map(|it| it.into_inner().unwrap_or_else(PoisonError::into_inner));
    let staged: Vec<PathBuf> = staged.collect();
    let named = written.and_then(|()| {
        let mut all = staged.iter().zip(files);
        all.try_for_each(|(staged, file)| name(staged, &root.join(&file.path), file.bytes.len() as u64))
    });
    for path in staged.iter().filter(|it| !it.as_os_str().is_empty()) {
        // It has another name now, or none that counts.
        drop(fs::remove_file(path));
    }
    named?;
    let mut folders = grown.into_inner().unwrap_or_else(PoisonError::into_inner);
    folders.extend(files.iter().filter_map(|it| Some(root.join(it.path.parent()?))));
    let folders: Vec<PathBuf> = folders.into_iter().collect();
    side_by_side(&folders, |_, it| sync_folder(it))
}

/// Writes a file under a name that it will not keep, as the library calls such files, and flushes it.
fn stage(root: &Path, path: &Path, bytes: &[u8], grown: &Mutex<BTreeSet<PathBuf>>) -> Result<PathBuf> {
    let mut n = 1;
    loop {
        let mut staged = OsString::from(path);
        staged.push(format!("#{n}"));
        let staged = PathBuf::from(staged);
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&staged) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                n += 1;
                continue;
            }
            Err(err) if err.kind() == io::ErrorKind::NotFound && path.starts_with(root) => {
                make_folder(root, path.parent().unwrap_or(root), grown)?;
                continue;
            }
            Err(err) => return Err(io_error("cannot write", &staged, err)),
        };
        return match file.write_all(bytes).and_then(|()| file.sync_all()) {
            Ok(()) => Ok(staged),
            Err(err) => {
                drop(fs::remove_file(&staged));
                Err(io_error("cannot write", &staged, err))
            }
        };
    }
}

/// Makes a folder below the root, and those that lead to it.
fn make_folder(root: &Path, folder: &Path, grown: &Mutex<BTreeSet<PathBuf>>) -> Result<()> {
    let failed = |err| io_error("cannot make the folder", folder, err);
    let Some(above) = folder.parent().filter(|_| folder != root) else {
        return Err(failed(io::ErrorKind::NotFound.into()));
    };
    match fs::create_dir(folder) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            make_folder(root, above, grown)?;
            return make_folder(root, folder, grown);
        }
        // Whoever made it may not have flushed it yet.
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(failed)?,
    }
    locked(grown).insert(above.to_owned());
    Ok(())
}

/// Gives a file that is on the disk its name.
fn name(staged: &Path, path: &Path, n_bytes: u64) -> Result<()> {
    let failed = |err| io_error("cannot give the file its name", path, err);
    match fs::hard_link(staged, path) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            // One that was cut is none.
            match fs::metadata(path).map_or(0, |it| it.len()) == n_bytes {
                true => Ok(()),
                false => fs::rename(staged, path).map_err(failed),
            }
        }
        named => named.map_err(failed),
    }
}

/// Does something with each, several at a time. After a failure none is begun.
fn side_by_side<T: Sync>(all: &[T], act: impl Fn(usize, &T) -> Result<()> + Sync) -> Result<()> {
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        while !has_failed.load(Ordering::Relaxed) {
            let idx = next.fetch_add(1, Ordering::Relaxed);
            let Some(it) = all.get(idx) else { break };
            act(idx, it).inspect_err(|_| has_failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    if all.len() < 2 {
        return work();
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..all.len().min(THREADS)).map(|_| scope.spawn(work)).collect();
        let done: Vec<Result<()>> =
            workers.into_iter().map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic))).collect();
        done.into_iter().collect()
    })
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn files_are_made_once_and_nothing_is_left_beside_them() {
        let root = tempfile::tempdir().unwrap();
        // Each twice, side by side; one lies there, one is cut, and one a killed writer has begun.
        let file = |idx: usize| NewFile {
            path: PathBuf::from(format!("a/{:02x}/{idx}", idx % 7)),
            bytes: Bytes::from(format!("file {idx}")),
        };
        let files: Vec<NewFile> = (0..80).map(|idx| file(idx % 40)).collect();
        fs::create_dir_all(root.path().join("a/03")).unwrap();
        fs::write(root.path().join("a/03/3"), "file 3").unwrap();
        fs::write(root.path().join("a/03/10"), "fi").unwrap();
        fs::write(root.path().join("a/03/17#1"), "fi").unwrap();
        create_files(root.path(), &files).unwrap();
        for it in &files {
            assert_eq!(fs::read(root.path().join(&it.path)).unwrap(), it.bytes, "{}", it.path.display());
        }
        let left: Vec<String> = (0..7)
            .flat_map(|idx| names(&root.path().join(format!("a/{idx:02x}"))))
            .filter(|it| it.contains('#'))
            .collect();
        assert_eq!(left, ["17#1"], "another writer's");
        create_files(root.path(), &[]).unwrap();
        create_files(root.path(), &files[..1]).unwrap();
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_nothing_begun() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("b"), "no folder").unwrap();
        let file = |path: &str| NewFile { path: path.into(), bytes: Bytes::from_static(b"x") };
        let err = create_files(root.path(), &[file("a/1"), file("b/2"), file("a/3")]).unwrap_err();
        assert!(err.locus().to_string().contains("b/2"), "{}", err.chain());
        let left = fs::read_dir(root.path().join("a")).map_or(0, Iterator::count);
        assert_eq!(left, 0);
        assert!(create_files(&root.path().join("gone"), &[file("1")]).is_err());
        assert!(!root.path().join("gone").exists(), "a store that is gone is not made again");
    }
}
