use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use nodedata_core::Result;
use nodedata_io::io_error;
use nodedata_registry::B3;

use super::{Kept, lock::Lock};

/// A file that is used is marked so, unless it was within this time: the order is that of hours, not of reads.
const MARKED_ANEW: Duration = Duration::from_secs(600);
/// A file under its first name that is older than this was left by somebody who was killed.
const LEFT: Duration = Duration::from_secs(3600);
/// How the first names of files begin.
const PARTIAL: &str = ".nodedata-";

/// The files of the cache.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    max_bytes: u64,
    /// Bytes that were written and not counted, because somebody else was counting.
    uncounted: AtomicU64,
}

/// That this process fetches a part of a blob.
pub(super) struct Claim {
    path: PathBuf,
    /// Goes after the file.
    _lock: Lock,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Whoever opened it before and makes another claim of it finds on the disk what was fetched.
        if let Err(err) = fs::remove_file(&self.path) {
            tracing::trace!(%err, "a claim stays, for nobody");
        }
    }
}

/// A file of the cache.
struct Found {
    used: SystemTime,
    path: PathBuf,
    n_bytes: u64,
    is_partial: bool,
}

impl Store {
    pub(super) fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self { folder, max_bytes, uncounted: AtomicU64::new(0) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder. Nobody else may read it: what is kept there may be somebody's secret.
    pub(super) fn prepare(&self) -> Result<()> {
        make_folder(&self.folder)
            .map_err(|err| io_error("cannot make the folder of the cache", &self.folder, err))
    }

    /// What is kept, where it has that length. What has another goes, so that it can be put there anew: nothing is flushed, and where
    /// the power failed there may be names of files without their bytes.
    pub(super) fn get(&self, blob: &B3, what: Kept, n_bytes: u64) -> Option<Bytes> {
        let mut file = OpenOptions::new().read(true).open(self.path(blob, what)).ok()?;
        let found = file.metadata().ok()?;
        if found.len() != n_bytes {
            self.remove(blob, what);
            return None;
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(usize::try_from(n_bytes).ok()?).ok()?;
        (&mut file).take(n_bytes).read_to_end(&mut bytes).ok()?;
        let is_old = found.modified().is_ok_and(|it| age(it).is_some_and(|it| MARKED_ANEW < it));
        if is_old && let Err(err) = file.set_modified(now()) {
            tracing::debug!(%err, "a file of the cache cannot be marked as used");
        }
        (bytes.len() as u64 == n_bytes).then(|| bytes.into())
    }

    /// Whether something is kept that has that length.
    pub(super) fn has(&self, blob: &B3, what: Kept, n_bytes: u64) -> bool {
        fs::metadata(self.path(blob, what)).is_ok_and(|it| it.len() == n_bytes)
    }

    /// Bytes of all files, at most.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Claims a part of a blob; `None` where others have.
    pub(super) fn claim(&self, blob: &B3, part: u64) -> io::Result<Option<Claim>> {
        let path = self.claim_path(blob, part);
        make_folder(path.parent().unwrap_or(&self.folder))?;
        Ok(Lock::take_at_once(&path)?.map(|lock| Claim { path, _lock: lock }))
    }

    /// Whether others have claimed a part of a blob. A claim goes with the process that made it.
    pub(super) fn is_claimed(&self, blob: &B3, part: u64) -> bool {
        Lock::is_taken(&self.claim_path(blob, part))
    }

    /// Keeps bytes, unless they are there; returns how many were written.
    pub(super) fn put(&self, blob: &B3, what: Kept, bytes: &[u8]) -> Result<u64> {
        let path = self.path(blob, what);
        let failed = |err| io_error("cannot write to the cache", &path, err);
        if path.exists() {
            return Ok(0);
        }
        let home = path.parent().unwrap_or(&self.folder);
        // An empty folder may go at any time, because somebody else makes room.
        for _ in 0..3 {
            match put_new(home, &path, bytes) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                done => return done.map_err(failed),
            }
        }
        put_new(home, &path, bytes).map_err(failed)
    }

    /// Lets a file go.
    pub(super) fn remove(&self, blob: &B3, what: Kept) {
        let path = self.path(blob, what);
        if let Err(err) = fs::remove_file(&path)
            && err.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%err, path = %path.display(), "a damaged file of the cache cannot be removed");
        }
    }

    /// Counts what was written, and makes room where all together is too much.
    pub(super) fn count(&self, n_written: u64) -> Result<()> {
        let n_new = self.uncounted.fetch_add(n_written, Ordering::Relaxed) + n_written;
        if n_new == 0 {
            return Ok(());
        }
        let lock = Lock::take(&self.folder.join("lock"));
        let lock = lock.map_err(|err| io_error("cannot lock the cache", &self.folder, err))?;
        // Whoever has it counts his own; the next time is soon enough.
        let Some(_lock) = lock else { return Ok(()) };
        let n_new = self.uncounted.swap(0, Ordering::Relaxed);
        let path = self.folder.join("bytes");
        let before = fs::read_to_string(&path).ok().and_then(|it| it.parse::<u64>().ok());
        let n_bytes = match before.map(|it| it.saturating_add(n_new)) {
            Some(n_bytes) if n_bytes <= self.max_bytes => n_bytes,
            // Nobody knows, or it is too much: then what is there is looked at.
            _ => self.make_room(),
        };
        fs::write(&path, n_bytes.to_string()).map_err(|err| io_error("cannot write to the cache", &path, err))
    }

    /// Lets files go that were used least lately, until a tenth is free again, where all are too much; returns the bytes that stay.
    fn make_room(&self) -> u64 {
        let mut found = Vec::new();
        let mut folders = Vec::new();
        // Whatever else somebody has in such a folder is none of the cache's.
        for first in entries(&self.folder).into_iter().filter(|it| is_hex(it, 2)) {
            for home in entries(&first).into_iter().filter(|it| is_hex(it, 64)) {
                found.extend(entries(&home).into_iter().filter_map(found_at));
                folders.push(home);
            }
        }
        let mut n_bytes: u64 = found.iter().map(|it| it.n_bytes).sum();
        let wanted = if self.max_bytes < n_bytes { self.max_bytes - self.max_bytes / 10 } else { n_bytes };
        found.sort_unstable_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        for file in &found {
            let is_left = file.is_partial && age(file.used).is_some_and(|it| LEFT < it);
            // Somebody may be writing it.
            let stays = file.is_partial && !is_left;
            if (is_left || (wanted < n_bytes && !stays)) && fs::remove_file(&file.path).is_ok() {
                n_bytes -= file.n_bytes;
            }
        }
        for folder in folders {
            // Fails where something is in it, which is meant so.
            if fs::remove_dir(&folder).is_ok() {
                tracing::trace!(folder = %folder.display(), "nothing of the blob is kept any more");
            }
        }
        n_bytes
    }

    fn path(&self, blob: &B3, what: Kept) -> PathBuf {
        let name = match what {
            Kept::Tree => "tree".to_owned(),
            Kept::Grain(idx) => format!("{idx:010}"),
        };
        self.home(blob).join(name)
    }

    fn claim_path(&self, blob: &B3, part: u64) -> PathBuf {
        self.home(blob).join(format!("claim-{part:08}"))
    }

    fn home(&self, blob: &B3) -> PathBuf {
        let hex = blob.hex();
        self.folder.join(&hex[..2]).join(&hex)
    }
}

/// Writes a file that has its name once it is whole; nothing where somebody else was faster.
fn put_new(home: &Path, path: &Path, bytes: &[u8]) -> io::Result<u64> {
    make_folder(home)?;
    let mut file = tempfile::Builder::new().prefix(PARTIAL).suffix(".partial").tempfile_in(home)?;
    file.write_all(bytes)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(bytes.len() as u64),
        Err(err) if err.error.kind() == io::ErrorKind::AlreadyExists => Ok(0),
        Err(err) => Err(err.error),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// What lies in a folder; nothing where it is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|it| it.path()).collect()
}

/// Whether the name of a folder is so many digits of a digest.
fn is_hex(path: &Path, n_digits: usize) -> bool {
    let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes).unwrap_or_default();
    name.len() == n_digits && name.iter().all(u8::is_ascii_hexdigit)
}

fn found_at(path: PathBuf) -> Option<Found> {
    let found = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let is_partial = path.file_name()?.as_encoded_bytes().starts_with(PARTIAL.as_bytes());
    Some(Found { used: found.modified().ok()?, n_bytes: found.len(), path, is_partial })
}

fn age(of: SystemTime) -> Option<Duration> {
    now().duration_since(of).ok()
}

#[expect(clippy::disallowed_methods, reason = "decides what a cache keeps, never what is read of it")]
fn now() -> SystemTime {
    SystemTime::now()
}
