use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use nodedata_core::{ErrorKind, Result};
use nodedata_io::{
    AtomicDir, Writer, Writing, entries, has_left_behind, hidden, io_error, is_half_replaced, link_or_copy,
    remove, sync_folder, write_file,
};

use crate::{digest::Digest, hashing_file::HashingFile, journal::NOTED};

/// The hidden folder a dataset grows in, beside its final place: `units` holds what is finished, each unit a
/// folder with its shards and its record, named by its recipe; `tree` is the dataset as it will be, made of
/// links to those shards; `rows` is what a run keeps of units that it has not finished. Nothing has a final name before [`Staging::commit`]. What a crashed or failed run
/// finished stays for the next one, which takes from it what has the same recipe and removes the rest.
pub(crate) struct Staging {
    /// Locked for the whole run: exclusively, so that two runs never write the same dataset, or shared by the
    /// workers of one plan.
    folder: AtomicDir,
    root: PathBuf,
    shared: bool,
    committed: bool,
}

/// A unit under construction; removed when dropped before [`Staging::seal`].
pub(crate) struct UnitDir {
    path: PathBuf,
    sealed: bool,
}

/// What the hidden folder's name ends in.
const SUFFIX: &str = "partial";
/// What lies there besides the note: finished units, and the rows kept of others.
const UNITS: &str = "units";
const ROWS: &str = "rows";
/// What the run that works there wants the next one to know.
const NOTE: &str = "note.json";
/// Start of the names of units under construction.
const TEMPORARY: &str = "tmp-";

impl Staging {
    /// Takes the folder for `out` for one run alone. What no run can use any more is removed.
    pub(crate) fn create(out: &Path) -> Result<Self> {
        let staging = Self::open(out, false)?;
        staging.clear()?;
        Ok(staging)
    }

    /// Takes the folder together with other workers.
    pub(crate) fn join(out: &Path) -> Result<Self> {
        Self::open(out, true)
    }

    fn open(out: &Path, shared: bool) -> Result<Self> {
        let busy = "another run is writing this dataset";
        let writer = Writer { suffix: SUFFIX, shared, keeps: &[UNITS, ROWS, NOTE], busy };
        let folder = AtomicDir::open(out, writer)?;
        let root = folder.root().to_owned();
        let units = root.join(UNITS);
        fs::create_dir_all(&units).map_err(|err| io_error("cannot make the folder", &units, err))?;
        Ok(Self { folder, root, shared, committed: false })
    }

    /// Removes all but finished units, what is kept of others, and the note.
    fn clear(&self) -> Result<()> {
        self.folder.clear(&[UNITS, ROWS, NOTE])?;
        self.retain(|name| !name.starts_with(TEMPORARY))
    }

    /// Removes the units whose names are not wanted.
    pub(crate) fn retain(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        self.retain_in(UNITS, wanted)
    }

    /// Removes what is kept of the rows of units whose names are not wanted.
    pub(crate) fn retain_rows(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        if self.root.join(ROWS).exists() { self.retain_in(ROWS, wanted) } else { Ok(()) }
    }

    fn retain_in(&self, folder: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        for path in entries(&self.root.join(folder))? {
            let name = path.file_name().map(|it| it.to_string_lossy().into_owned());
            if !name.is_some_and(|it| wanted(&it)) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// A folder of its own for one unit: never one that another worker has.
    pub(crate) fn unit_dir(&self) -> Result<UnitDir> {
        let units = self.root.join(UNITS);
        let mut n = 0;
        loop {
            let path = units.join(format!("{TEMPORARY}{}-{n}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(UnitDir { path, sealed: false }),
                // Process ids repeat on other machines.
                Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => n += 1,
                Err(err) => return Err(io_error("cannot make the folder", &path, err)),
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
            Err(err) => return Err(io_error("cannot name the finished unit", &path, err)),
        }
        sync_folder(&self.root.join(UNITS))
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
                Err(io_error("cannot remove the unit", &path, err))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Where the unit of that name lies once it is finished.
    pub(crate) fn unit(&self, name: &str) -> PathBuf {
        self.root.join(UNITS).join(name)
    }

    /// Where rows of the unit of that name are kept until it is finished; not made yet.
    pub(crate) fn rows(&self, name: &str) -> PathBuf {
        self.root.join(ROWS).join(name)
    }

    /// Removes what is kept of a unit's rows, should there be any.
    pub(crate) fn forget_rows(&self, name: &str) -> Result<()> {
        match remove(&self.rows(name)) {
            // Another worker that made the same unit may have done the same.
            Err(err) if self.rows(name).exists() => Err(err),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Puts a file of a unit into the dataset.
    pub(crate) fn link(&self, from: &Path, path: &str) -> Result<()> {
        let full = self.in_tree(path)?;
        link_or_copy(from, &full).map(drop)
    }

    /// Where a file of the dataset lies before the commit.
    pub(crate) fn tree_path(&self, path: &str) -> PathBuf {
        self.folder.tree().join(path)
    }

    /// Whether other workers may be at work in the folder.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    fn in_tree(&self, path: &str) -> Result<PathBuf> {
        let full = self.tree_path(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).map_err(|err| io_error("cannot make the folder", parent, err))?;
        }
        Ok(full)
    }

    /// Leaves a note for whoever works here next, should this run not come to its end.
    pub(crate) fn note(&self, note: &[u8]) -> Result<()> {
        write_file(&self.root.join(NOTE), note, Writing::Replace)
    }

    /// Writes a whole small file of the dataset and makes it durable.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) -> Result<Digest> {
        write_new(&self.in_tree(path)?, bytes)
    }

    /// Gives the dataset its final name in one step. With `overwrite`, what was there goes away after.
    pub(crate) fn commit(mut self, overwrite: bool) -> Result<()> {
        self.folder.commit(overwrite)?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.committed || self.shared {
            return;
        }
        let is_empty = |folder: &str| {
            let folder = self.root.join(folder);
            !folder.exists() || entries(&folder).is_ok_and(|it| it.is_empty())
        };
        if self.clear().is_ok() && is_empty(UNITS) && is_empty(ROWS) {
            self.folder.abandon();
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
        link_or_copy(from, &self.path.join(name)).map(drop)
    }
}

impl Drop for UnitDir {
    fn drop(&mut self) {
        if !self.sealed {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// What earlier runs noted for the next: those that did not come to their end, and the one that made the dataset. Notes that
/// cannot be read are none.
pub fn notes(out: &Path) -> Vec<Vec<u8>> {
    let unfinished = hidden(out, SUFFIX).ok().map(|it| it.join(NOTE));
    let places = unfinished.into_iter().chain([out.join(NOTED)]);
    places.filter_map(|it| fs::read(it).ok()).collect()
}

/// Gives a dataset its name back when a crash left it without one, in the middle of being replaced.
///
/// # Errors
/// `Conflict` when another run is at work there; `Io`.
pub fn recover(out: &Path) -> Result<()> {
    if is_half_replaced(out, SUFFIX)? { Staging::create(out).map(drop) } else { Ok(()) }
}

/// What a run that was ended by force left beside a dataset that is complete: removed, unless another run
/// is at work there. A dataset that was being replaced gets its name back.
///
/// # Errors
/// `Io`.
pub fn tidy_up(out: &Path) -> Result<()> {
    if !has_left_behind(out, SUFFIX)? {
        return Ok(());
    }
    match Staging::create(out) {
        Ok(staging) => staging.retain(|_| false).and_then(|()| staging.retain_rows(|_| false)),
        Err(err) if err.kind() == ErrorKind::Conflict => Ok(()),
        Err(err) => Err(err),
    }
}

fn new_file(path: &Path) -> Result<HashingFile> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|err| io_error("cannot make the file", path, err))?;
    Ok(HashingFile::new(file))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<Digest> {
    let mut file = new_file(path)?;
    file.write_all(bytes).map_err(|err| io_error("cannot write the file", path, err))?;
    file.sync().and_then(|()| file.finish()).map_err(|err| io_error("cannot flush the file", path, err))
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
    fn rows_of_unfinished_units_outlive_a_run_until_they_are_not_wanted() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let out = dir.path().join("ds");
        let rows = dir.path().join(".ds.partial/rows");
        let keep = |staging: &Staging, name: &str| {
            fs::create_dir_all(staging.rows(name)).unwrap();
            fs::write(staging.rows(name).join("0"), "rows").unwrap();
        };
        let stopped = Staging::create(&out).unwrap();
        ["u", "v", "w"].iter().for_each(|it| keep(&stopped, it));
        stopped.forget_rows("u").unwrap();
        stopped.forget_rows("none").unwrap();
        drop(stopped);
        assert_eq!(names(&rows), ["v", "w"]);
        let next = Staging::create(&out).unwrap();
        next.retain_rows(|name| name == "w").unwrap();
        assert_eq!(names(&rows), ["w"]);
        next.forget_rows("w").unwrap();
        drop(next);
        assert_eq!(names(dir.path()), [""; 0], "nothing is left where nothing is kept");
        let stopped = Staging::create(&out).unwrap();
        keep(&stopped, "u");
        drop(stopped);
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
