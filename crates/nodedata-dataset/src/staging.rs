use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::{digest::Digest, hashing_file::HashingFile};

/// The hidden folder a dataset grows in, beside its final place: `units` holds what is finished, each unit a
/// folder with its shards and its record, named by its recipe; `tree` is the dataset as it will be, made of
/// links to those shards. Nothing has a final name before [`Staging::commit`]. What a crashed or failed run
/// finished stays for the next one, which takes from it what has the same recipe and removes the rest.
pub(crate) struct Staging {
    out: PathBuf,
    root: PathBuf,
    /// Held for the whole run: exclusively, so that two runs never write the same dataset, or shared by the
    /// workers of one plan.
    _lock: File,
    shared: bool,
    committed: bool,
}

/// A unit under construction; removed when dropped before [`Staging::seal`].
pub(crate) struct UnitDir {
    path: PathBuf,
    sealed: bool,
}

/// Start of the names of units under construction.
const TEMPORARY: &str = "tmp-";

impl Staging {
    /// Takes the folder for `out` for one run alone. What no run can use any more is removed.
    pub(crate) fn create(out: &Path) -> Result<Self> {
        let staging = Self::open(out, false)?;
        staging.restore_replaced()?;
        staging.clear()?;
        Ok(staging)
    }

    /// Takes the folder together with other workers.
    pub(crate) fn join(out: &Path) -> Result<Self> {
        Self::open(out, true)
    }

    fn open(out: &Path, shared: bool) -> Result<Self> {
        let root = root_of(out)?;
        loop {
            // The parents of `out` are made on the way.
            let units = root.join("units");
            fs::create_dir_all(&units).map_err(|err| write_error("cannot make the folder", &units, err))?;
            let path = root.join("lock");
            let lock = match lock(&path, shared) {
                Ok(lock) => lock,
                Err(_) if !units.exists() => continue,
                Err(err) => return Err(err),
            };
            // A run that ended in between took the folder away, with the lock that is held now.
            if is_at(&lock, &path) {
                return Ok(Self { out: out.to_owned(), root, _lock: lock, shared, committed: false });
            }
        }
    }

    /// A crash between the two renames of an overwrite leaves the old dataset under another name.
    fn restore_replaced(&self) -> Result<()> {
        let old = self.replaced();
        if !old.exists() {
            return Ok(());
        }
        if self.out.exists() {
            return fs::remove_dir_all(&old)
                .map_err(|err| write_error("cannot remove the replaced dataset", &old, err));
        }
        fs::rename(&old, &self.out)
            .map_err(|err| write_error("cannot give the old dataset its name back", &self.out, err))
    }

    fn replaced(&self) -> PathBuf {
        replaced(&self.root)
    }

    /// Removes all but finished units.
    fn clear(&self) -> Result<()> {
        for path in self.entries(&self.root)? {
            if !path.ends_with("lock") && !path.ends_with("units") {
                remove(&path)?;
            }
        }
        self.retain(|name| !name.starts_with(TEMPORARY))
    }

    /// Removes the units whose names are not wanted.
    pub(crate) fn retain(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        for path in self.entries(&self.root.join("units"))? {
            let name = path.file_name().map(|it| it.to_string_lossy().into_owned());
            if !name.is_some_and(|it| wanted(&it)) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn entries(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let entries =
            fs::read_dir(folder).map_err(|err| write_error("cannot list the folder", folder, err))?;
        Ok(entries.flatten().map(|it| it.path()).collect())
    }

    /// A folder of its own for one unit: never one that another worker has.
    pub(crate) fn unit_dir(&self) -> Result<UnitDir> {
        let units = self.root.join("units");
        let mut n = 0;
        loop {
            let path = units.join(format!("{TEMPORARY}{}-{n}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(UnitDir { path, sealed: false }),
                // Process ids repeat on other machines.
                Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => n += 1,
                Err(err) => return Err(write_error("cannot make the folder", &path, err)),
            }
        }
    }

    /// Gives a unit its name in one step. When another worker was first, its work stays: the bytes are the
    /// same.
    pub(crate) fn seal(&self, mut unit: UnitDir, name: &str) -> Result<()> {
        sync_folder(&unit.path)?;
        let path = self.unit(name);
        match fs::rename(&unit.path, &path) {
            Ok(()) => unit.sealed = true,
            Err(_) if path.is_dir() => return Ok(()),
            Err(err) => return Err(write_error("cannot name the finished unit", &path, err)),
        }
        sync_folder(&self.root.join("units"))
    }

    /// Removes a unit, should it be there: no reader finds half of it.
    pub(crate) fn discard(&self, name: &str) -> Result<()> {
        let path = self.unit(name);
        if !path.exists() {
            return Ok(());
        }
        let away = self.unit_dir()?;
        match fs::rename(&path, away.path.join("discarded")) {
            // Another worker may have done the same.
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                Err(write_error("cannot remove the unit", &path, err))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Where the unit of that name lies once it is finished.
    pub(crate) fn unit(&self, name: &str) -> PathBuf {
        self.root.join("units").join(name)
    }

    /// Puts a file of a unit into the dataset.
    pub(crate) fn link(&self, from: &Path, path: &str) -> Result<()> {
        let full = self.in_tree(path)?;
        link_or_copy(from, &full)
    }

    /// Where a file of the dataset lies before the commit.
    pub(crate) fn tree_path(&self, path: &str) -> PathBuf {
        self.root.join("tree").join(path)
    }

    /// Whether other workers may be at work in the folder.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    fn in_tree(&self, path: &str) -> Result<PathBuf> {
        let full = self.tree_path(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).map_err(|err| write_error("cannot make the folder", parent, err))?;
        }
        Ok(full)
    }

    /// Writes a whole small file of the dataset and makes it durable.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) -> Result<Digest> {
        write_new(&self.in_tree(path)?, bytes)
    }

    /// Gives the dataset its final name in one step. With `overwrite`, what was there goes away after.
    pub(crate) fn commit(mut self, overwrite: bool) -> Result<()> {
        let tree = self.root.join("tree");
        sync_folders(&tree)?;
        let rename_error = |err| write_error("cannot give the dataset its final name", &self.out, err);
        let replaced = overwrite && self.out.exists();
        if replaced {
            fs::rename(&self.out, self.replaced()).map_err(rename_error)?;
        }
        fs::rename(&tree, &self.out).map_err(rename_error)?;
        self.committed = true;
        if let Some(parent) = self.out.parent().filter(|it| !it.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
        if replaced {
            remove(&self.replaced())?;
        }
        remove(&self.root)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.committed || self.shared {
            return;
        }
        // Nothing more can be done about a folder that will not go; the next run clears it.
        let is_empty = self.clear().is_ok()
            && fs::read_dir(self.root.join("units")).is_ok_and(|mut it| it.next().is_none());
        if is_empty {
            drop(fs::remove_dir_all(&self.root));
        }
    }
}

impl UnitDir {
    /// Opens a new file of the unit for writing.
    pub(crate) fn file(&self, name: &str) -> Result<HashingFile> {
        new_file(&self.path.join(name))
    }

    /// Writes a whole small file of the unit and makes it durable.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<Digest> {
        write_new(&self.path.join(name), bytes)
    }

    /// Takes in a finished file from elsewhere.
    pub(crate) fn link(&self, from: &Path, name: &str) -> Result<()> {
        link_or_copy(from, &self.path.join(name))
    }
}

impl Drop for UnitDir {
    fn drop(&mut self) {
        if !self.sealed {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// Gives a dataset its name back when a crash left it without one, in the middle of being replaced.
///
/// # Errors
/// `Conflict` when another run is at work there; `Io`.
pub fn recover(out: &Path) -> Result<()> {
    if replaced(&root_of(out)?).exists() { Staging::create(out).map(drop) } else { Ok(()) }
}

/// What a run that was ended by force left beside a dataset that is complete: removed, unless another run
/// is at work there. A dataset that was being replaced gets its name back.
///
/// # Errors
/// `Io`.
pub fn tidy_up(out: &Path) -> Result<()> {
    if !root_of(out)?.is_dir() {
        return Ok(());
    }
    match Staging::create(out) {
        Ok(staging) => staging.retain(|_| false),
        Err(err) if err.kind() == ErrorKind::Conflict => Ok(()),
        Err(err) => Err(err),
    }
}

fn root_of(out: &Path) -> Result<PathBuf> {
    let name = out.file_name().ok_or_else(|| {
        Error::new(ErrorKind::Config, "the output needs a name of its own").at(Locus::path(out))
    })?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".partial");
    Ok(out.with_file_name(hidden))
}

/// Where a dataset lies while another one takes its place.
fn replaced(root: &Path) -> PathBuf {
    let mut old = root.to_owned().into_os_string();
    old.push(".replaced");
    PathBuf::from(old)
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(|err| write_error("cannot remove what an earlier run left", path, err))
}

fn new_file(path: &Path) -> Result<HashingFile> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|err| write_error("cannot make the file", path, err))?;
    Ok(HashingFile::new(file))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<Digest> {
    let mut file = new_file(path)?;
    file.write_all(bytes).map_err(|err| write_error("cannot write the file", path, err))?;
    file.sync().and_then(|()| file.finish()).map_err(|err| write_error("cannot flush the file", path, err))
}

/// A second name for a file, or a copy where the file system has no links.
fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let copied = fs::copy(from, to).and_then(|_| OpenOptions::new().write(true).open(to)?.sync_all());
    copied.map_err(|err| write_error("cannot take over the file", from, err))
}

fn lock(path: &Path, shared: bool) -> Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|err| write_error("cannot make the lock", path, err))?;
    let locked = if shared { file.try_lock_shared() } else { file.try_lock() };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(ErrorKind::Conflict, "another run is writing this dataset")
                .at(Locus::path(path))
                .with_hint("wait for it, or choose another `--out`"))
        }
        // Workers get by without it: it only keeps a single run from clearing what they write.
        Err(TryLockError::Error(err)) if shared && err.kind() == std::io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(err)) => Err(write_error("cannot lock", path, err)),
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

/// Makes the names of new files durable: a file's own flush does not.
fn sync_folders(root: &Path) -> Result<()> {
    let entries = fs::read_dir(root).map_err(|err| write_error("cannot list the folder", root, err))?;
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(root)
}

fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        #[expect(clippy::disallowed_methods, reason = "a folder of our own output, to flush it")]
        let handle = File::open(folder);
        handle
            .and_then(|it| it.sync_all())
            .map_err(|err| write_error("cannot flush the folder", folder, err))?;
    }
    Ok(())
}

pub(crate) fn write_error(what: &str, path: &Path, err: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, what).with_source(err).at(Locus::path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    fn unit(staging: &Staging, name: &str, content: &str) {
        let dir = staging.unit_dir().unwrap();
        dir.write("a.txt", content.as_bytes()).unwrap();
        staging.seal(dir, name).unwrap();
    }

    #[test]
    fn nothing_has_a_final_name_before_the_commit() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let out = dir.path().join("ds");
        let staging = Staging::create(&out).unwrap();
        unit(&staging, "u", "hello");
        staging.link(&staging.unit("u").join("a.txt"), "data/a.txt").unwrap();
        staging.write("b.txt", b"more").unwrap();
        assert!(!out.exists());
        for second in [Staging::create(&out), Staging::join(&out)] {
            assert_eq!(second.err().expect("a second run is refused").kind(), ErrorKind::Conflict);
        }
        staging.commit(false).unwrap();
        assert_eq!(fs::read(out.join("data/a.txt")).unwrap(), b"hello");
        assert_eq!(names(dir.path()), ["ds"]);
    }

    #[test]
    fn a_failed_run_leaves_finished_units_only_and_an_overwrite_replaces_all() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let out = dir.path().join("ds");
        let first = Staging::create(&out).unwrap();
        first.write("old.txt", b"old").unwrap();
        first.commit(false).unwrap();
        let failed = Staging::create(&out).unwrap();
        let half = failed.unit_dir().unwrap();
        half.write("a.txt", b"half").unwrap();
        failed.write("new.txt", b"half").unwrap();
        drop(half);
        drop(failed);
        assert_eq!(names(dir.path()), ["ds"]);
        let failed = Staging::create(&out).unwrap();
        unit(&failed, "u", "whole");
        failed.write("new.txt", b"half").unwrap();
        // As after a kill: nothing of it is dropped.
        let half = failed.unit_dir().unwrap();
        std::mem::forget(half);
        drop(failed);
        assert_eq!(names(&dir.path().join(".ds.partial")), ["lock", "units"]);
        let second = Staging::create(&out).unwrap();
        assert_eq!(names(&dir.path().join(".ds.partial/units")), ["u"]);
        second.write("new.txt", b"new").unwrap();
        second.commit(true).unwrap();
        assert_eq!(names(&out), ["new.txt"]);
        assert_eq!(names(dir.path()), ["ds"]);
    }

    #[test]
    fn workers_share_the_folder_and_the_first_to_finish_a_unit_wins() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let out = dir.path().join("ds");
        let workers = [Staging::join(&out).unwrap(), Staging::join(&out).unwrap()];
        assert_eq!(Staging::create(&out).err().map(|it| it.kind()), Some(ErrorKind::Conflict));
        unit(&workers[0], "u", "same");
        unit(&workers[1], "u", "same");
        unit(&workers[1], "v", "other");
        workers[0].discard("u").unwrap();
        workers[0].discard("w").unwrap();
        drop(workers);
        assert_eq!(names(&dir.path().join(".ds.partial/units")), ["v"]);
        tidy_up(&out).unwrap();
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    fn a_crash_in_the_middle_of_an_overwrite_loses_nothing() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let out = dir.path().join("ds");
        fs::create_dir(dir.path().join(".ds.partial.replaced")).unwrap();
        drop(Staging::create(&out).unwrap());
        assert_eq!(names(dir.path()), ["ds"]);
    }
}
