use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::atomic_file::{PARTIAL_PREFIX, PARTIAL_SUFFIX, io_error, sync_folder};

/// A folder that appears whole: it grows in a hidden folder beside its place, under a lock, is synced, and gets its
/// name by one rename.
///
/// The hidden folder is `.NAME.SUFFIX`. In it, `tree` is what becomes the folder, `lock` is held while anybody is at
/// work, and whatever else a writer puts there outlives a crash for the next one.
#[derive(Debug)]
pub struct AtomicDir {
    out: PathBuf,
    root: PathBuf,
    _lock: File,
}

/// Who works on a folder, for the lock and its message.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// What the hidden folder's name ends in.
    pub suffix: &'a str,
    /// Whether others that say so too may be at work at once.
    pub shared: bool,
    /// Names in the hidden folder, besides `lock` and `tree`, that such writers leave there.
    pub keeps: &'a [&'a str],
    /// What another that is at work is told to be doing: `another run is writing this dataset`.
    pub busy: &'a str,
}

impl AtomicDir {
    /// Takes the hidden folder of `out`, with what an earlier writer left in it. An `out` that a crash left without
    /// its name, in the middle of being replaced, gets it back, unless the folder is shared.
    ///
    /// # Errors
    /// `Conflict` when another is at work there; `Config` when `out` has no name of its own, or what is in the hidden
    /// folder's place is somebody else's; `Io`.
    pub fn open(out: &Path, writer: Writer<'_>) -> Result<Self> {
        let root = hidden(out, writer.suffix)?;
        refuse_foreign(&root, writer.keeps)?;
        loop {
            // The parents of `out` are made on the way.
            fs::create_dir_all(&root).map_err(|err| io_error("cannot make the folder", &root, err))?;
            let path = root.join("lock");
            let lock = match lock(&path, writer) {
                Ok(lock) => lock,
                Err(_) if !root.exists() => continue,
                Err(err) => return Err(err),
            };
            // A writer that ended in between took the folder away, with the lock that is held now.
            if is_at(&lock, &path) {
                let folder = Self { out: out.to_owned(), root, _lock: lock };
                if !writer.shared {
                    folder.restore_replaced()?;
                }
                return Ok(folder);
            }
        }
    }

    /// The hidden folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What becomes the folder; not made yet.
    pub fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    /// Removes what lies in the hidden folder beside the lock, but for the names to keep.
    ///
    /// # Errors
    /// `Io`.
    pub fn clear(&self, keep: &[&str]) -> Result<()> {
        for path in entries(&self.root)? {
            if !path.ends_with("lock") && !keep.iter().any(|it| path.ends_with(it)) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Gives the tree its final name in one step. Its files must be synced; the names of folders are synced here.
    /// With `overwrite`, what was there goes away after. The hidden folder is gone then; nothing more can be done with
    /// it.
    ///
    /// # Errors
    /// `Io`, also when something is there and `overwrite` is not set.
    pub fn commit(&self, overwrite: bool) -> Result<()> {
        let tree = self.tree();
        sync_folders(&tree)?;
        let rename_error = |err| io_error("cannot give the folder its final name", &self.out, err);
        let replaced = overwrite && self.out.exists();
        if replaced {
            fs::rename(&self.out, self.replaced()).map_err(rename_error)?;
        }
        fs::rename(&tree, &self.out).map_err(rename_error)?;
        if let Some(parent) = self.out.parent().filter(|it| !it.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
        if replaced {
            remove(&self.replaced())?;
        }
        remove(&self.root)
    }

    /// Removes the hidden folder. Nothing more can be done about one that will not go; the next writer clears it.
    pub fn abandon(&self) {
        drop(fs::remove_dir_all(&self.root));
    }

    /// A crash between the two renames of an overwrite leaves the old folder under another name.
    fn restore_replaced(&self) -> Result<()> {
        let old = self.replaced();
        if !old.exists() {
            return Ok(());
        }
        if self.out.exists() {
            return remove(&old);
        }
        fs::rename(&old, &self.out)
            .map_err(|err| io_error("cannot give the old folder its name back", &self.out, err))
    }

    fn replaced(&self) -> PathBuf {
        replaced(&self.root)
    }
}

/// Whether a writer left a hidden folder of that suffix beside `out`.
///
/// # Errors
/// `Config` when `out` has no name of its own.
pub fn has_left_behind(out: &Path, suffix: &str) -> Result<bool> {
    Ok(hidden(out, suffix)?.is_dir())
}

/// Whether a crash left `out` under another name, in the middle of being replaced.
///
/// # Errors
/// `Config` when `out` has no name of its own.
pub fn is_half_replaced(out: &Path, suffix: &str) -> Result<bool> {
    Ok(replaced(&hidden(out, suffix)?).exists())
}

/// The paths in a folder.
///
/// # Errors
/// `Io`.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |err| io_error("cannot list the folder", folder, err);
    fs::read_dir(folder).map_err(failed)?.map(|it| Ok(it.map_err(failed)?.path())).collect()
}

/// Removes a file, or a folder with all that is in it.
///
/// # Errors
/// `Io`.
pub fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(|err| io_error("cannot remove what an earlier run left", path, err))
}

/// A second name for a finished file, or a synced copy where the file system has no links. Tells whether it was
/// copied.
///
/// # Errors
/// `Io`.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<bool> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(false);
    }
    let copied = fs::copy(from, to).and_then(|_| OpenOptions::new().write(true).open(to)?.sync_all());
    copied.map(|()| true).map_err(|err| io_error("cannot take over the file", from, err))
}

/// Where the hidden folder of a writer lies.
///
/// # Errors
/// `Config` when `out` has no name of its own.
pub fn hidden(out: &Path, suffix: &str) -> Result<PathBuf> {
    let name = out.file_name().ok_or_else(|| {
        Error::new(ErrorKind::Config, "the output needs a name of its own").at(Locus::path(out))
    })?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    hidden.push(suffix);
    Ok(out.with_file_name(hidden))
}

/// Refuses a folder of that name that no writer left: whatever lies in it would be cleared away.
fn refuse_foreign(root: &Path, keeps: &[&str]) -> Result<()> {
    // Where it is not there, or is just going, there is nothing to clear.
    let Ok(found) = entries(root) else { return Ok(()) };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A file that was on its way when its writer was killed.
        let is_partial = name.starts_with(PARTIAL_PREFIX) && name.ends_with(PARTIAL_SUFFIX);
        is_partial || name == "lock" || name == "tree" || keeps.iter().any(|it| *it == name)
    };
    match found.iter().find(|it| !is_ours(it)) {
        None => Ok(()),
        Some(path) => {
            Err(Error::new(ErrorKind::Config, "the output would grow in a folder that holds something else")
                .at(Locus::path(path))
                .with_hint("move that folder away, or choose another output"))
        }
    }
}

/// Where a folder lies while another one takes its place.
fn replaced(root: &Path) -> PathBuf {
    let mut old = root.to_owned().into_os_string();
    old.push(".replaced");
    PathBuf::from(old)
}

fn lock(path: &Path, writer: Writer<'_>) -> Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|err| io_error("cannot make the lock", path, err))?;
    let locked = if writer.shared { file.try_lock_shared() } else { file.try_lock() };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(ErrorKind::Conflict, writer.busy)
            .at(Locus::path(path))
            .with_hint("wait for it, or choose another output")),
        // Those that share get by without it: it only keeps a single one from clearing what they write.
        Err(TryLockError::Error(err)) if writer.shared && err.kind() == std::io::ErrorKind::Unsupported => {
            Ok(file)
        }
        Err(TryLockError::Error(err)) => Err(io_error("cannot lock", path, err)),
    }
}

/// Whether the file of that name is still the one that is open.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |it: fs::Metadata| (it.dev(), it.ino());
    matches!((file.metadata().map(id), fs::metadata(path).map(id)), (Ok(open), Ok(named)) if open == named)
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Folders that are flushed at a time. Waiting for the disk needs no core, and what is asked for at once a file system commits
/// as one.
const FLUSHED_AT_ONCE: usize = 64;

/// Makes the names of new files durable: a file's own flush does not.
fn sync_folders(root: &Path) -> Result<()> {
    let mut folders = vec![root.to_owned()];
    let mut n_listed = 0;
    while let Some(folder) = folders.get(n_listed) {
        let inner = entries(folder)?;
        n_listed += 1;
        folders.extend(inner.into_iter().filter(|it| it.is_dir()));
    }
    let next = AtomicUsize::new(0);
    let flush = || {
        while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
            sync_folder(folder)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        // Where the system has no thread left, those that there are do all of it.
        let spawned = (1..folders.len().min(FLUSHED_AT_ONCE))
            .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, flush).ok())
            .collect::<Vec<_>>();
        let own = flush();
        let others = spawned.into_iter().map(|it| {
            let panicked = || Error::new(ErrorKind::Io, "a thread that waits for the disk panicked");
            it.join().unwrap_or_else(|_| Err(panicked()))
        });
        std::iter::once(own).chain(others).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Writer<'_> =
        Writer { suffix: "partial", shared: false, keeps: &["units"], busy: "another is at work" };

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = entries(folder).unwrap();
        names.sort_unstable();
        names.iter().map(|it| it.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    fn grow(folder: &AtomicDir, text: &str) {
        fs::create_dir_all(folder.tree().join("a")).unwrap();
        fs::write(folder.tree().join("a/b.txt"), text).unwrap();
    }

    #[test]
    fn nothing_has_a_final_name_before_the_commit_and_one_works_alone() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("x/out");
        let folder = AtomicDir::open(&out, ALONE).unwrap();
        grow(&folder, "new");
        for shared in [false, true] {
            let refused = AtomicDir::open(&out, Writer { shared, ..ALONE }).unwrap_err();
            assert_eq!(
                (refused.kind(), refused.to_string().as_str()),
                (ErrorKind::Conflict, "another is at work")
            );
        }
        assert!(!out.exists());
        folder.commit(false).unwrap();
        assert_eq!(fs::read_to_string(out.join("a/b.txt")).unwrap(), "new");
        assert_eq!(names(&dir.path().join("x")), ["out"]);
    }

    #[test]
    fn what_is_there_goes_only_when_asked_and_last() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("old.txt"), "old").unwrap();
        let folder = AtomicDir::open(&out, ALONE).unwrap();
        grow(&folder, "new");
        assert_eq!(folder.commit(false).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(names(&out), ["old.txt"]);
        drop(folder);
        // What the refused one left is found by the next.
        let folder = AtomicDir::open(&out, ALONE).unwrap();
        assert!(folder.tree().join("a/b.txt").exists());
        folder.commit(true).unwrap();
        assert_eq!((names(&out), names(dir.path())), (vec!["a".to_owned()], vec!["out".to_owned()]));
    }

    #[test]
    fn a_crash_in_the_middle_of_an_overwrite_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        fs::create_dir(dir.path().join(".out.partial.replaced")).unwrap();
        assert!(is_half_replaced(&out, "partial").unwrap());
        AtomicDir::open(&out, ALONE).unwrap().abandon();
        assert_eq!(names(dir.path()), ["out"]);
        // And where the new one is there already, the old one goes.
        fs::create_dir(dir.path().join(".out.partial.replaced")).unwrap();
        AtomicDir::open(&out, ALONE).unwrap().abandon();
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn a_folder_of_that_name_that_is_somebody_elses_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let theirs = dir.path().join(".out.partial/thesis.txt");
        fs::create_dir(theirs.parent().unwrap()).unwrap();
        fs::write(&theirs, "x").unwrap();
        assert_eq!(AtomicDir::open(&out, ALONE).unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "x");
    }

    #[test]
    fn what_an_earlier_one_left_is_kept_or_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let folder = AtomicDir::open(&out, ALONE).unwrap();
        grow(&folder, "half");
        fs::create_dir(folder.root().join("units")).unwrap();
        drop(folder);
        assert!(has_left_behind(&out, "partial").unwrap());
        let folder = AtomicDir::open(&out, ALONE).unwrap();
        folder.clear(&["units"]).unwrap();
        assert_eq!(names(folder.root()), ["lock", "units"]);
        folder.abandon();
        assert!(!has_left_behind(&out, "partial").unwrap());
    }
}
