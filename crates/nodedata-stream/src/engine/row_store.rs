//! Decoded rows of one field, on the disk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::positioned::{read_exact_at, write_all_at};

/// Bytes before the first row: who wrote the file, for people.
const HEAD_BYTES: u64 = 4096;
/// Bytes before each row: a mark, whether it has a value, its number, and a sum over its bytes.
const MARK_BYTES: usize = 16;
const MARK: &[u8; 4] = b"ndr1";
/// How names of files end.
const EXTENSION: &str = "rows";
/// How long is waited for somebody who looks whether a file is in use, and how often.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS: u32 = 5;

/// Decoded rows of one field, each at its place in a file with holes, which all processes of a machine share.
///
/// Nothing is ever moved or replaced: of a set that is larger than the file may be, the first rows are kept, and found again in every
/// epoch, where of a set that is read in another order each time whatever was used last would have gone before it is needed. A row is
/// told by its mark and its sum, so that neither two that write the same row nor one that is killed while it writes do harm. As long as
/// it is open somewhere, nobody lets the file go.
#[derive(Debug)]
pub(super) struct RowStore {
    path: PathBuf,
    file: File,
    n_rows: u64,
    row_bytes: usize,
    /// Why writing has failed, such as on a full disk. What is there is read all the same.
    failure: OnceLock<String>,
    n_found: AtomicU64,
}

impl RowStore {
    /// The store of a key: of so many rows.
    ///
    /// # Errors
    /// `Io` when the file cannot be made.
    pub(super) fn open(folder: &Path, key: &str, row_bytes: usize, n_rows: u64) -> Result<Self> {
        let path = path_of(folder, key);
        let failed = |err: io::Error| {
            Error::new(ErrorKind::Io, "the cache of decoded rows cannot be opened")
                .with_hint("name another folder, or leave `decoded_cache` out")
                .with_source(err)
                .at(Locus::path(&path))
        };
        make_folder(folder).map_err(failed)?;
        let file = open_held(&path).map_err(failed)?;
        // Each opening writes it, so that the time of the file is that of its last use.
        let head = format!("nodedata decoded rows\n{key}\n");
        let head = head.as_bytes();
        let written = write_all_at(&file, head.get(..HEAD_BYTES as usize).unwrap_or(head), 0)
            .and_then(|()| lengthen(&file, file_bytes(row_bytes, n_rows)));
        let (failure, n_found) = (OnceLock::new(), AtomicU64::new(0));
        let store = Self { path, file, n_rows, row_bytes, failure, n_found };
        store.note(written);
        Ok(store)
    }

    /// Whether a row is there.
    pub(super) fn has(&self, row: u64) -> bool {
        self.mark(row).is_some()
    }

    /// Reads a row into its place, which has its size. Says whether it has a value; `None` where it is not there, or is damaged.
    pub(super) fn read(&self, row: u64, into: &mut [u8]) -> Option<bool> {
        let (is_valid, sum) = self.mark(row)?;
        let start = self.start(row)?.checked_add(MARK_BYTES as u64)?;
        if into.len() != self.row_bytes {
            return None;
        }
        read_exact_at(&self.file, into, start).ok()?;
        let is_whole = crc32fast::hash(into) == sum;
        self.n_found.fetch_add(u64::from(is_whole), Ordering::Relaxed);
        is_whole.then_some(is_valid)
    }

    /// Keeps a row, where there is a place for it.
    pub(super) fn write(&self, row: u64, bytes: &[u8], is_valid: bool) {
        let Some(start) = self.start(row).filter(|_| bytes.len() == self.row_bytes) else { return };
        if self.failure.get().is_some() {
            return;
        }
        let mut mark = [0; MARK_BYTES];
        let sum = crc32fast::hash(bytes).to_le_bytes();
        let number = (row as u32).to_le_bytes();
        let parts = [MARK, &[u8::from(is_valid), 0, 0, 0], &number, &sum];
        for (place, part) in mark.chunks_exact_mut(4).zip(parts) {
            place.copy_from_slice(part);
        }
        // The mark last: before it nothing is there.
        let written = write_all_at(&self.file, bytes, start + MARK_BYTES as u64)
            .and_then(|()| write_all_at(&self.file, &mark, start));
        self.note(written);
    }

    /// Why no more rows are kept; `None` as long as they are.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Rows that were found here.
    pub(super) fn n_found(&self) -> u64 {
        self.n_found.load(Ordering::Relaxed)
    }

    fn note(&self, written: io::Result<()>) {
        if let Err(err) = written {
            let told = || format!("nothing more is kept in {}: {err}", self.path.display());
            self.failure.get_or_init(told);
        }
    }

    /// Whether a row has a value, and the sum over its bytes.
    fn mark(&self, row: u64) -> Option<(bool, u32)> {
        let mut mark = [0; MARK_BYTES];
        read_exact_at(&self.file, &mut mark, self.start(row)?).ok()?;
        let [a, b, c, d, is_valid, 0, 0, 0, number @ .., e, f, g, h] = mark else { return None };
        let is_row = [a, b, c, d] == *MARK && number == (row as u32).to_le_bytes();
        is_row.then(|| (is_valid == 1, u32::from_le_bytes([e, f, g, h])))
    }

    /// Where a row begins; `None` for one that has no place.
    fn start(&self, row: u64) -> Option<u64> {
        let stride = row_stride(self.row_bytes);
        (row < self.n_rows).then(|| row.checked_mul(stride)?.checked_add(HEAD_BYTES)).flatten()
    }
}

/// Bytes of a row of the file.
fn row_stride(row_bytes: usize) -> u64 {
    row_bytes as u64 + MARK_BYTES as u64
}

/// Bytes of a file of so many rows.
pub(super) fn file_bytes(row_bytes: usize, n_rows: u64) -> u64 {
    row_stride(row_bytes).saturating_mul(n_rows).saturating_add(HEAD_BYTES)
}

/// Rows that stores of these sizes keep each, where they have so many bytes together.
pub(super) fn rows_that_fit(row_bytes: &[usize], n_rows: u64, max_bytes: u64) -> u64 {
    let heads = HEAD_BYTES.saturating_mul(row_bytes.len() as u64);
    let of_row = row_bytes.iter().map(|it| row_stride(*it)).fold(0, u64::saturating_add);
    n_rows.min(max_bytes.saturating_sub(heads) / of_row.max(1))
}

/// Bytes that there are for the files of these keys, which would have `wanted`. Others give way to them, those first that were opened
/// longest ago; but not those that somebody has open: these keep what they may come to, or of two that are used in turn neither would
/// ever be found again.
pub(super) fn make_room(folder: &Path, keys: &[String], wanted: u64, max_bytes: u64) -> u64 {
    let own: Vec<PathBuf> = keys.iter().map(|key| path_of(folder, key)).collect();
    let mut others: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    let mut held = 0_u64;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|it| it != EXTENSION) || own.contains(&path) {
            continue;
        }
        let Ok(facts) = entry.metadata() else { continue };
        let on_disk = bytes_on_disk(&facts);
        if while_unused(&path, || ()).is_none() {
            held = held.saturating_add(facts.len().max(on_disk));
            continue;
        }
        held = held.saturating_add(on_disk);
        others.push((facts.modified().unwrap_or(SystemTime::UNIX_EPOCH), on_disk, path));
    }
    others.sort();
    for (_, on_disk, path) in others {
        if held.saturating_add(wanted) <= max_bytes {
            break;
        }
        if while_unused(&path, || fs::remove_file(&path).is_ok()) == Some(true) {
            held = held.saturating_sub(on_disk);
        }
    }
    // What they have already is theirs.
    let own = own.iter().filter_map(|it| fs::metadata(it).ok()).map(|it| it.len());
    let own = own.fold(0, u64::saturating_add).min(max_bytes);
    max_bytes.saturating_sub(held).max(own)
}

/// Opens a file, or makes it, and holds it, so that nobody lets it go as long as it is open here or in a child.
fn open_held(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // As its folder, which may be somebody's own.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    for _ in 0..LOOKS {
        if hold(&file) && is_at(&file, path) {
            break;
        }
        // Somebody looks whether it is in use, or has let it go.
        thread::sleep(LOOK);
        file = options.open(path)?;
    }
    Ok(file)
}

/// Gives a file the length that it may come to, as a hole: others see how much that is.
fn lengthen(file: &File, n_bytes: u64) -> io::Result<()> {
    if file.metadata()?.len() < n_bytes { file.set_len(n_bytes) } else { Ok(()) }
}

/// Whether a file is held now. Where the file system has no locks it is, but nobody sees it.
#[cfg(unix)]
fn hold(file: &File) -> bool {
    !matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
}

/// Whether a file is still the one of its name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |it: fs::Metadata| (it.dev(), it.ino());
    let (one, other) = (file.metadata().map(place), fs::metadata(path).map(place));
    one.ok().zip(other.ok()).is_some_and(|(one, other)| one == other)
}

/// Does something while nobody has a file open; `None` where somebody has.
#[cfg(unix)]
fn while_unused<T>(path: &Path, work: impl FnOnce() -> T) -> Option<T> {
    let Ok(file) = OpenOptions::new().read(true).open(path) else { return Some(work()) };
    for left in (0..LOOKS).rev() {
        match file.try_lock() {
            // Somebody else may just look, too.
            Err(fs::TryLockError::WouldBlock) if left > 0 => thread::sleep(LOOK),
            Err(fs::TryLockError::WouldBlock) => return None,
            Ok(()) | Err(fs::TryLockError::Error(_)) => break,
        }
    }
    let done = work();
    // A child that was forked meanwhile has the same file: closing it here alone would not free it.
    drop(file.unlock());
    Some(done)
}

// A lock keeps writers out here, whoever has it.
#[cfg(not(unix))]
fn hold(_: &File) -> bool {
    true
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn while_unused<T>(_: &Path, work: impl FnOnce() -> T) -> Option<T> {
    Some(work())
}

fn path_of(folder: &Path, key: &str) -> PathBuf {
    folder.join(blake3::hash(key.as_bytes()).to_hex().as_str()).with_extension(EXTENSION)
}

/// What is in it are others' recordings: nobody else on the machine reads it.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
fn bytes_on_disk(facts: &fs::Metadata) -> u64 {
    // Of a file with holes its length says nothing.
    std::os::unix::fs::MetadataExt::blocks(facts).saturating_mul(512)
}

#[cfg(not(unix))]
fn bytes_on_disk(facts: &fs::Metadata) -> u64 {
    facts.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: u8) -> Vec<u8> {
        vec![value; 100]
    }

    #[test]
    fn rows_are_found_again_by_whoever_opens_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RowStore::open(folder.path(), "key", 100, 10).unwrap();
        let (one, other) = (open(), open());
        let mut found = row(0);
        assert_eq!((one.read(3, &mut found), one.has(3)), (None, false));
        one.write(3, &row(7), true);
        one.write(9, &row(8), false);
        assert_eq!((other.read(3, &mut found), &found), (Some(true), &row(7)));
        assert_eq!((other.read(9, &mut found), &found), (Some(false), &row(8)));
        assert_eq!((open().has(3), open().has(4), other.n_found()), (true, false, 2));
        // It has no more places, and rows of one size.
        one.write(10, &row(9), true);
        one.write(4, &[1, 2, 3], true);
        assert!(!one.has(10) && !one.has(4) && !one.has(u64::MAX));
        assert_eq!(RowStore::open(folder.path(), "other", 100, 10).unwrap().read(3, &mut found), None);
    }

    #[test]
    fn a_row_that_is_damaged_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = RowStore::open(folder.path(), "key", 100, 10).unwrap();
        store.write(2, &row(7), true);
        write_all_at(&store.file, &[9], store.start(2).unwrap() + MARK_BYTES as u64 + 50).unwrap();
        let mut found = row(0);
        assert_eq!((store.read(2, &mut found), store.n_found()), (None, 0));
        store.write(2, &row(7), true);
        assert_eq!(store.read(2, &mut found), Some(true));
        // Cut short, as by somebody who made room.
        store.file.set_len(store.start(2).unwrap() + 60).unwrap();
        assert_eq!(store.read(2, &mut found), None);
    }

    #[test]
    fn files_that_were_opened_longest_ago_make_room() {
        let folder = tempfile::tempdir().unwrap();
        for (age, key) in ["oldest", "old", "own"].iter().enumerate() {
            let store = RowStore::open(folder.path(), key, 100_000, 1).unwrap();
            store.write(0, &[1; 100_000], true);
            store.file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(age as u64)).unwrap();
        }
        fs::write(folder.path().join("note.txt"), [0; 100]).unwrap();
        let is_there = |key: &str| path_of(folder.path(), key).exists();
        let own = ["own".to_owned()];
        make_room(folder.path(), &own, 100_000, 400_000);
        assert!(is_there("oldest") && is_there("old"));
        make_room(folder.path(), &own, 100_000, 250_000);
        assert!(!is_there("oldest") && is_there("old"));
        make_room(folder.path(), &own, 100_000, 100_000);
        assert!(!is_there("old") && is_there("own") && folder.path().join("note.txt").exists());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_in_use_stays() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let open = |key: &str| RowStore::open(folder.path(), key, 100_000, 2).unwrap();
        let is_there = |key: &str| path_of(folder.path(), key).exists();
        let make_room = || make_room(folder.path(), &["own".to_owned()], 500_000, 500_000);
        let (used, other) = (open("used"), open("unused"));
        other.write(0, &[1; 100_000], true);
        drop(other);
        // With all that it may come to, of which nothing was written yet.
        assert_eq!(make_room(), 500_000 - file_bytes(100_000, 2));
        assert!(is_there("used") && !is_there("unused"));
        let mode = fs::metadata(path_of(folder.path(), "used")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "nobody else reads it");
        used.write(1, &[2; 100_000], true);
        drop(used);
        assert_eq!(make_room(), 500_000);
        assert!(!is_there("used"));
    }

    #[test]
    fn rows_fit_as_many_as_there_is_room_for() {
        assert_eq!(rows_that_fit(&[100, 50], 1000, 1 << 20), 1000);
        assert_eq!(rows_that_fit(&[100, 50], 1000, 2 * HEAD_BYTES + 10 * 182 + 181), 10);
        assert_eq!(rows_that_fit(&[100], 1000, 10), 0);
    }

    #[test]
    fn who_can_keep_nothing_more_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = RowStore::open(folder.path(), "key", 100, 10).unwrap();
        store.write(1, &row(7), true);
        assert_eq!(store.failure(), None);
        // As on a full disk, which no test can make without being somebody's superuser.
        store.file = OpenOptions::new().read(true).open(&store.path).unwrap();
        store.write(2, &row(7), true);
        assert!(store.failure().is_some_and(|it| it.starts_with("nothing more is kept in ")));
        assert!(store.has(1) && !store.has(2), "what is there is read all the same");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, [0]).unwrap();
        let err = RowStore::open(&file, "key", 1, 1).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Io);
        assert!(err.hint().is_some_and(|it| it.contains("decoded_cache")));
    }
}
