use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use nodedata_core::{Progress, Result};
use nodedata_io::{AtomicDir, Writer, entries, io_error, remove};

use crate::{digest::B3, hash_cache::HashCache, hashing::hash_files, record::FileRef};

/// What the hidden folder's name ends in.
pub(super) const SUFFIX: &str = "pull";
/// Where shards that lose rows are written again.
const REWRITTEN: &str = "rewritten";
/// What the name of a file that is not complete ends in.
const PART: &str = ".part";

/// The folder a pull grows in, beside its final place. Kept when the pull fails, for the next try.
pub(super) struct Partial {
    /// Locked until the end, so that two pulls never fill one folder.
    folder: AtomicDir,
    pub(super) tree: PathBuf,
}

impl Partial {
    /// Takes the folder, whatever an earlier pull left in it. A folder that a crash left without its name, in the middle of being
    /// replaced, gets it back.
    pub(super) fn open(out: &Path) -> Result<Self> {
        let busy = "another pull fills this folder";
        let writer = Writer { suffix: SUFFIX, shared: false, keeps: &[REWRITTEN], busy };
        let folder = AtomicDir::open(out, writer)?;
        folder.clear(&["tree"])?;
        let tree = folder.tree();
        if fs::symlink_metadata(&tree).is_ok_and(|it| !it.is_dir()) {
            remove(&tree)?;
        }
        make_folder(&tree)?;
        Ok(Self { folder, tree })
    }

    /// An empty folder for shards that are written again, beside the tree: they may be renamed into it.
    pub(super) fn rewritten(&self) -> Result<PathBuf> {
        let folder = self.folder.root().join(REWRITTEN);
        make_folder(&folder)?;
        Ok(folder)
    }

    /// Files that an earlier try completed.
    pub(super) fn have(&self, files: &[&FileRef], progress: &dyn Progress) -> Result<BTreeMap<String, B3>> {
        let there = |it: &&FileRef| {
            fs::symlink_metadata(self.tree.join(&it.path))
                .is_ok_and(|found| found.is_file() && found.len() == it.blob.bytes)
        };
        let candidates: Vec<&FileRef> = files.iter().copied().filter(there).collect();
        let paths: Vec<PathBuf> = candidates.iter().map(|it| self.tree.join(&it.path)).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let found = hash_files(&paths, &HashCache::none(), progress)?;
        let sound = candidates.iter().zip(found).filter(|(file, found)| file.blob.b3 == found.b3);
        Ok(sound.map(|(file, found)| (file.path.clone(), found.b3)).collect())
    }

    /// Removes what is in the way of these files and of their parts, or belongs to none of them: what an earlier pull of another
    /// revision left, folders without files, and files where folders are to be.
    pub(super) fn keep_only<'a>(&self, files: impl Iterator<Item = &'a str>) -> Result<()> {
        let named: BTreeSet<PathBuf> =
            files.flat_map(|it| [PathBuf::from(it), partial_name(Path::new(it))]).collect();
        self.tidy(Path::new(""), &named)?;
        Ok(())
    }

    /// Whether nothing is left in a folder of the tree.
    fn tidy(&self, inside: &Path, named: &BTreeSet<PathBuf>) -> Result<bool> {
        let mut is_empty = true;
        for found in entries(&self.tree.join(inside))? {
            let path = inside.join(found.file_name().unwrap_or_default());
            let is_folder = fs::symlink_metadata(&found).is_ok_and(|it| it.is_dir());
            let goes = match is_folder {
                true => named.contains(&path) || self.tidy(&path, named)?,
                false => !named.contains(&path),
            };
            if goes {
                remove(&found)?;
            }
            is_empty &= goes;
        }
        Ok(is_empty)
    }

    /// Gives the tree its final name, in the place of what was there.
    pub(super) fn commit(&self) -> Result<()> {
        // It would be in the way of the hidden folder's end.
        self.folder.clear(&["tree"])?;
        self.folder.commit(true)
    }

    /// Takes the hidden folder away: nothing is to be done.
    pub(super) fn abandon(&self) {
        self.folder.abandon();
    }
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|err| io_error("cannot make the folder", path, err))
}

/// Where a file grows.
pub(super) fn partial_name(target: &Path) -> PathBuf {
    let mut name: OsString = target.as_os_str().to_owned();
    name.push(PART);
    PathBuf::from(name)
}
