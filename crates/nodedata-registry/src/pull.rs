use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use nodedata_core::{Error, ErrorKind, Locus, Progress, ReadAt as _, Result};
use nodedata_dataset::recognise;
use nodedata_io::{
    AtomicDir, Places, Replacing, Writer, Writing, entries, io_error, is_half_replaced, remove, write_file,
};
use serde::Serialize;

use crate::{
    digest::B3,
    hash_cache::HashCache,
    hashing::hash_files,
    name::DatasetName,
    record::{BlobRef, FileRef},
    revision::{REVISION_FILE, Revision},
    tree,
};

/// What the hidden folder's name ends in.
const SUFFIX: &str = "pull";
/// Files fetched at once.
const WORKERS: usize = 4;

/// What a pull brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullReport {
    /// The dataset.
    pub dataset: DatasetName,
    /// The revision.
    pub revision: String,
    /// Where it lies.
    pub out: PathBuf,
    /// Files of it.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that were fetched now; the rest was there from an earlier try.
    pub fetched_bytes: u64,
    /// Whether the folder held the revision already.
    pub unchanged: bool,
}

/// Fetches a revision to a folder, which appears in one step when every byte is there and verified. What an
/// earlier try has brought is used again.
///
/// # Errors
/// `Config` when the folder holds something else and `overwrite` is not set; `Conflict` when another pull
/// fills it; `Corrupt` at the first byte that is not what was published; `Interrupted` when `progress` says to stop;
/// `Io`, `Denied`.
pub fn pull(revision: &Revision, out: &Path, overwrite: bool, progress: &dyn Progress) -> Result<PullReport> {
    let files = revision.files()?;
    let manifest = revision.manifest();
    let mut report = PullReport {
        dataset: manifest.dataset.clone(),
        revision: manifest.revision.clone(),
        out: out.to_owned(),
        files: files.len() as u64,
        bytes: files.iter().map(|it| it.blob.bytes).sum(),
        fetched_bytes: 0,
        unchanged: false,
    };
    let manifest_bytes = manifest.to_bytes()?;
    if is_half_replaced(out, SUFFIX)? {
        // What was there gets its name back before it is looked at.
        drop(Partial::open(out)?);
    }
    if fs::read(out.join(REVISION_FILE)).is_ok_and(|it| it == manifest_bytes) {
        report.unchanged = true;
        return Ok(report);
    }
    let reads = Places::default();
    let replacing = Replacing {
        asked: overwrite,
        reads: &reads,
        recognise: &recognise,
        there: "the folder exists already, and holds another dataset or revision",
        hint: "choose another `--out`, or `--overwrite` to replace it once all is there",
    };
    replacing.check(out)?;
    let partial = Partial::open(out)?;
    let have = partial.have(files, progress).map_err(told_if_stopped)?;
    let missing: Vec<&FileRef> = files.iter().filter(|it| !have.contains_key(it.path.as_str())).collect();
    let pulled = Pull { revision, root: &partial.tree, progress, n_bytes: AtomicU64::new(0) };
    progress.planned(missing.iter().map(|it| it.blob.bytes).sum());
    pulled.all(&missing).map_err(told_if_stopped)?;
    report.fetched_bytes = pulled.n_bytes.into_inner();
    partial.keep_only(files)?;
    write_file(&partial.tree.join(REVISION_FILE), &manifest_bytes, Writing::Replace)?;
    // It may have been long since it was looked at first.
    replacing.check(out)?;
    partial.folder.commit(true)?;
    Ok(report)
}

fn told_if_stopped(err: Error) -> Error {
    match err.kind() {
        ErrorKind::Interrupted => Error::new(
            ErrorKind::Interrupted,
            "the pull was stopped; what was fetched is kept, and the same command goes on from there",
        ),
        _ => err,
    }
}

struct Pull<'a> {
    revision: &'a Revision,
    root: &'a Path,
    progress: &'a dyn Progress,
    n_bytes: AtomicU64,
}

impl Pull<'_> {
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

    /// Goes on where an earlier try ended, at a part.
    fn one(&self, file: &FileRef) -> Result<()> {
        let BlobRef { b3, bytes: n_bytes, .. } = &file.blob;
        let target = self.root.join(&file.path);
        let partial = partial_name(&target);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|err| io_error("cannot make the folder", folder, err))?;
        }
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&partial);
        let mut to = opened.map_err(|err| io_error("cannot open", &partial, err))?;
        let failed = |err| io_error("cannot write", &partial, err);
        let reader = self.revision.reader(&file.blob)?;
        let part_bytes = tree::PART_BYTES_MIN;
        let there = to.metadata().map_err(failed)?.len().min(*n_bytes) / part_bytes * part_bytes;
        to.set_len(there).and_then(|()| to.seek(SeekFrom::Start(there))).map_err(failed)?;
        let mut offset = there;
        while offset < *n_bytes {
            self.progress.go_on()?;
            let end = (offset + part_bytes).min(*n_bytes);
            let bytes = reader.read_at(offset..end)?;
            to.write_all(&bytes).map_err(failed)?;
            self.n_bytes.fetch_add(end - offset, Ordering::Relaxed);
            self.progress.advanced(end - offset, 0);
            offset = end;
        }
        to.sync_all().map_err(failed)?;
        if there > 0 {
            // What an earlier try left was verified when it came, but may have been lost since.
            let found = hash_files(&[&partial], &HashCache::none(), self.progress)?;
            if found.first().map(|it| it.b3) != Some(*b3) {
                fs::remove_file(&partial).map_err(failed)?;
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    "what an earlier pull left is damaged; it was removed",
                )
                .with_hint("pull again"));
            }
        }
        fs::rename(&partial, &target).map_err(failed)
    }
}

/// The folder a pull grows in, beside its final place. Kept when the pull fails, for the next try.
struct Partial {
    /// Locked until the end, so that two pulls never fill one folder.
    folder: AtomicDir,
    tree: PathBuf,
}

impl Partial {
    fn open(out: &Path) -> Result<Self> {
        let busy = "another pull fills this folder";
        let writer = Writer { suffix: SUFFIX, shared: false, keeps: &[], busy };
        let folder = AtomicDir::open(out, writer)?;
        folder.clear(&["tree"])?;
        let tree = folder.tree();
        fs::create_dir_all(&tree).map_err(|err| io_error("cannot make the folder", &tree, err))?;
        Ok(Self { folder, tree })
    }

    /// Files that an earlier try completed.
    fn have(&self, files: &[FileRef], progress: &dyn Progress) -> Result<BTreeMap<String, B3>> {
        let there = |it: &&FileRef| {
            fs::metadata(self.tree.join(&it.path))
                .is_ok_and(|found| found.is_file() && found.len() == it.blob.bytes)
        };
        let candidates: Vec<&FileRef> = files.iter().filter(there).collect();
        let paths: Vec<PathBuf> = candidates.iter().map(|it| self.tree.join(&it.path)).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let found = hash_files(&paths, &HashCache::none(), progress)?;
        let sound = candidates.iter().zip(found).filter(|(file, found)| file.blob.b3 == found.b3);
        Ok(sound.map(|(file, found)| (file.path.clone(), found.b3)).collect())
    }

    /// Removes what an earlier pull of another revision left.
    fn keep_only(&self, files: &[FileRef]) -> Result<()> {
        let mut pending = vec![PathBuf::new()];
        while let Some(inside) = pending.pop() {
            for found in entries(&self.tree.join(&inside))? {
                let path = inside.join(found.file_name().unwrap_or_default());
                if found.is_dir() {
                    pending.push(path);
                } else if files.binary_search_by(|it| it.path.as_str().cmp(&path.to_string_lossy())).is_err()
                {
                    remove(&found)?;
                }
            }
        }
        Ok(())
    }
}

fn partial_name(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}
