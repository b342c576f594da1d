use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::digest::{Digests, HashingFile};

/// The folder a dataset grows in, beside its final place. Nothing has a final name before
/// [`Staging::commit`]; dropping it without a commit removes it.
pub(crate) struct Staging {
    out: PathBuf,
    temporary: PathBuf,
    /// Held for the whole run, so that two runs never write the same dataset.
    _lock: File,
    committed: bool,
}

impl Staging {
    /// Makes the temporary folder for `out`; what a crashed run left there is removed.
    pub(crate) fn create(out: &Path) -> Result<Self> {
        let name = out.file_name().ok_or_else(|| {
            Error::new(ErrorKind::Config, "the output needs a name of its own").at(Locus::path(out))
        })?;
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&parent).map_err(|err| write_error("cannot make the folder", &parent, err))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".partial");
        let temporary = parent.join(hidden);
        fs::create_dir_all(&temporary)
            .map_err(|err| write_error("cannot make the folder", &temporary, err))?;
        let lock = lock(&temporary.join("lock"))?;
        let staging = Self { out: out.to_owned(), temporary, _lock: lock, committed: false };
        staging.clear()?;
        Ok(staging)
    }

    fn clear(&self) -> Result<()> {
        let entries = fs::read_dir(&self.temporary)
            .map_err(|err| write_error("cannot list the folder", &self.temporary, err))?;
        for entry in entries.flatten().filter(|it| it.file_name() != "lock") {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|err| write_error("cannot remove what a crashed run left", &path, err))?;
        }
        Ok(())
    }

    /// Opens a new file of the dataset for writing.
    pub(crate) fn file(&self, path: &str) -> Result<HashingFile> {
        let full = self.temporary.join(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).map_err(|err| write_error("cannot make the folder", parent, err))?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&full)
            .map_err(|err| write_error("cannot make the file", &full, err))?;
        Ok(HashingFile::new(file))
    }

    /// Writes a whole small file and makes it durable.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) -> Result<Digests> {
        let mut file = self.file(path)?;
        file.write_all(bytes).map_err(|err| write_error("cannot write the file", Path::new(path), err))?;
        file.finish().map_err(|err| write_error("cannot flush the file", Path::new(path), err))
    }

    /// Gives the dataset its final name in one step. With `overwrite`, what was there goes away after.
    pub(crate) fn commit(mut self, overwrite: bool) -> Result<()> {
        let lock = self.temporary.join("lock");
        fs::remove_file(&lock).map_err(|err| write_error("cannot remove the lock", &lock, err))?;
        sync_folders(&self.temporary)?;
        let rename_error = |err| write_error("cannot give the dataset its final name", &self.out, err);
        let mut replaced = None;
        if overwrite && self.out.exists() {
            let mut old = self.temporary.clone().into_os_string();
            old.push(".replaced");
            let old = PathBuf::from(old);
            fs::rename(&self.out, &old).map_err(rename_error)?;
            replaced = Some(old);
        }
        fs::rename(&self.temporary, &self.out).map_err(rename_error)?;
        self.committed = true;
        if let Some(parent) = self.out.parent().filter(|it| !it.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
        if let Some(old) = replaced {
            fs::remove_dir_all(&old)
                .map_err(|err| write_error("cannot remove the replaced dataset", &old, err))?;
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing more can be done about a folder that will not go; the next run clears it.
            drop(fs::remove_dir_all(&self.temporary));
        }
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|err| write_error("cannot make the lock", path, err))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(ErrorKind::Conflict, "another run is writing this dataset")
                .at(Locus::path(path))
                .with_hint("wait for it, or choose another `--out`"))
        }
        Err(TryLockError::Error(err)) => Err(write_error("cannot lock", path, err)),
    }
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

    #[test]
    fn nothing_has_a_final_name_before_the_commit() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let out = dir.path().join("ds");
        let staging = Staging::create(&out).unwrap();
        staging.write("data/a.txt", b"hello").unwrap();
        assert!(!out.exists());
        let second = Staging::create(&out).err().expect("a second run is refused");
        assert_eq!(second.kind(), ErrorKind::Conflict);
        staging.commit(false).unwrap();
        assert_eq!(fs::read(out.join("data/a.txt")).unwrap(), b"hello");
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|it| it.file_name()).collect();
        assert_eq!(left, ["ds"]);
    }

    #[test]
    fn a_failed_run_leaves_nothing_and_an_overwrite_replaces_all() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let out = dir.path().join("ds");
        let first = Staging::create(&out).unwrap();
        first.write("old.txt", b"old").unwrap();
        first.commit(false).unwrap();
        let failed = Staging::create(&out).unwrap();
        failed.write("new.txt", b"half").unwrap();
        drop(failed);
        assert!(out.join("old.txt").exists());
        let second = Staging::create(&out).unwrap();
        second.write("new.txt", b"new").unwrap();
        second.commit(true).unwrap();
        assert!(out.join("new.txt").exists() && !out.join("old.txt").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
