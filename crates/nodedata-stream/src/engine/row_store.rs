//! Decoded rows of one field, on the disk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::SystemTime,
};

use nodedata_core::{Error, ErrorKind, Locus, Result};

/// Bytes before the first row: who wrote the file, for people.
const HEAD_BYTES: u64 = 4096;
/// Bytes before each row: a mark, whether it has a value, its number, and a sum over its bytes.
const MARK_BYTES: usize = 16;
const MARK: &[u8; 4] = b"ndr1";
/// How names of files end.
const EXTENSION: &str = "rows";

/// Decoded rows of one field, each at its place in a file with holes, which all processes of a machine share.
///
/// Nothing is ever moved or replaced: of a set that is larger than the file may be, the first rows are kept, and found again in every
/// epoch, where of a set that is read in another order each time whatever was used last would have gone before it is needed. A row is
/// told by its mark and its sum, so that neither two that write the same row nor one that is killed while it writes do harm.
#[derive(Debug)]
pub(super) struct RowStore {
    file: File,
    n_rows: u64,
    row_bytes: usize,
    /// Whether writing has failed, such as on a full disk. What is there is read all the same.
    is_full: AtomicBool,
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
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed)?;
        // Each opening writes it, so that the time of the file is that of its last use.
        let head = format!("nodedata decoded rows\n{key}\n");
        let head = head.as_bytes();
        let is_written = write_at(&file, head.get(..HEAD_BYTES as usize).unwrap_or(head), 0);
        let is_full = AtomicBool::new(is_written.is_err());
        Ok(Self { file, n_rows, row_bytes, is_full, n_found: AtomicU64::new(0) })
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
        read_at(&self.file, into, start).ok()?;
        let is_whole = crc32fast::hash(into) == sum;
        self.n_found.fetch_add(u64::from(is_whole), Ordering::Relaxed);
        is_whole.then_some(is_valid)
    }

    /// Keeps a row, where there is a place for it.
    pub(super) fn write(&self, row: u64, bytes: &[u8], is_valid: bool) {
        let Some(start) = self.start(row).filter(|_| bytes.len() == self.row_bytes) else { return };
        if self.is_full.load(Ordering::Relaxed) {
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
        let written = write_at(&self.file, bytes, start + MARK_BYTES as u64)
            .and_then(|()| write_at(&self.file, &mark, start));
        if written.is_err() {
            self.is_full.store(true, Ordering::Relaxed);
        }
    }

    /// Rows that were found here.
    pub(super) fn n_found(&self) -> u64 {
        self.n_found.load(Ordering::Relaxed)
    }

    /// Whether a row has a value, and the sum over its bytes.
    fn mark(&self, row: u64) -> Option<(bool, u32)> {
        let mut mark = [0; MARK_BYTES];
        read_at(&self.file, &mut mark, self.start(row)?).ok()?;
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
pub(super) fn row_stride(row_bytes: usize) -> u64 {
    row_bytes as u64 + MARK_BYTES as u64
}

/// Rows that stores of these sizes keep each, where they have so many bytes together.
pub(super) fn rows_that_fit(row_bytes: &[usize], n_rows: u64, max_bytes: u64) -> u64 {
    let heads = HEAD_BYTES.saturating_mul(row_bytes.len() as u64);
    let of_row = row_bytes.iter().map(|it| row_stride(*it)).fold(0, u64::saturating_add);
    n_rows.min(max_bytes.saturating_sub(heads) / of_row.max(1))
}

/// Lets files go that are not of these keys, those first that were opened longest ago, until the others and `n_bytes` more are no more
/// than there may be.
pub(super) fn make_room(folder: &Path, keys: &[String], n_bytes: u64, max_bytes: u64) {
    let own: Vec<PathBuf> = keys.iter().map(|key| path_of(folder, key)).collect();
    let mut others: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|it| it != EXTENSION) || own.contains(&path) {
            continue;
        }
        if let Ok(facts) = entry.metadata() {
            others.push((facts.modified().unwrap_or(SystemTime::UNIX_EPOCH), bytes_on_disk(&facts), path));
        }
    }
    others.sort();
    let mut held = others.iter().map(|it| it.1).fold(n_bytes, u64::saturating_add);
    for (_, n_bytes, path) in others {
        if held <= max_bytes {
            return;
        }
        // Who has it open goes on with it, and finds it empty when it is opened again.
        if fs::remove_file(path).is_ok() {
            held -= n_bytes;
        }
    }
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

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                bytes = &mut bytes[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => {
                bytes = &bytes[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
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
        write_at(&store.file, &[9], store.start(2).unwrap() + MARK_BYTES as u64 + 50).unwrap();
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
            store
                .file
                .set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age as u64))
                .unwrap();
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

    #[test]
    fn rows_fit_as_many_as_there_is_room_for() {
        assert_eq!(rows_that_fit(&[100, 50], 1000, 1 << 20), 1000);
        assert_eq!(rows_that_fit(&[100, 50], 1000, 2 * HEAD_BYTES + 10 * 182 + 181), 10);
        assert_eq!(rows_that_fit(&[100], 1000, 10), 0);
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
