use std::{
    fs::{File, OpenOptions},
    io::Read,
    path::Path,
};

use nodedata_core::{Error, ErrorKind, Locus, Progress, Result};
use nodedata_io::in_pool;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::{
    digest::B3,
    hash_cache::{FileIdentity, HashCache},
    record::BlobRef,
    tree::{GRAIN_BYTES, fold_root, grain_cvs},
};

/// What is read at once; a multiple of a grain.
const WINDOW_BYTES: u64 = 8 << 20;
/// Files hashed between two writes of the cache, at the most.
const FILES_PER_BATCH: usize = 256;
/// Bytes hashed between two writes of the cache: what a killed run must hash again.
const BYTES_PER_BATCH: u64 = 4 << 30;

/// Address, SHA-256 and length of bytes in memory.
pub fn blob_of(bytes: &[u8]) -> BlobRef {
    BlobRef { b3: B3::of(bytes), sha256: hex(&Sha256::digest(bytes)), bytes: bytes.len() as u64 }
}

/// The same of files, each read once and none that has not changed since `cache` knows it.
///
/// # Errors
/// `Io`; `Conflict` when a file changes while it is read; `Interrupted` when `progress` says to stop: what was hashed
/// until then is known to `cache`.
pub(crate) fn hash_files(
    files: &[&Path],
    cache: &HashCache,
    progress: &dyn Progress,
) -> Result<Vec<BlobRef>> {
    in_pool(|| hash_all(files, cache, progress))
}

fn hash_all(files: &[&Path], cache: &HashCache, progress: &dyn Progress) -> Result<Vec<BlobRef>> {
    let identities: Vec<Option<FileIdentity>> =
        files.par_iter().map(|it| FileIdentity::of(it)).collect::<Result<_>>()?;
    let mut blobs = cache.find(&identities);
    let unknown: Vec<usize> = (0..files.len()).filter(|idx| blobs[*idx].is_none()).collect();
    let mut start = 0;
    while start < unknown.len() {
        let mut n_bytes = 0;
        let batch: Vec<usize> = unknown[start..]
            .iter()
            .copied()
            .take(FILES_PER_BATCH)
            .take_while(|idx| {
                let fits = n_bytes < BYTES_PER_BATCH;
                n_bytes += identities[*idx].map_or(WINDOW_BYTES, |it| it.n_bytes);
                fits
            })
            .collect();
        start += batch.len();
        let hashed: Vec<Result<BlobRef>> = batch
            .par_iter()
            .with_max_len(1)
            .map(|idx| {
                let blob = hash_file(files[*idx], progress)?;
                if FileIdentity::of(files[*idx])? != identities[*idx] {
                    return Err(Error::new(ErrorKind::Conflict, "the file changed while it was read")
                        .at(Locus::path(files[*idx]))
                        .with_hint("push again when nobody writes to it"));
                }
                progress.hashed(blob.bytes);
                Ok(blob)
            })
            .collect();
        // Also of a batch that was not ended: what is known need not be hashed again.
        let known = batch.iter().map(|idx| identities[*idx]).zip(&hashed);
        cache.remember(known.filter_map(|(identity, blob)| Some((identity?, blob.as_ref().ok()?))));
        for (idx, blob) in batch.into_iter().zip(hashed) {
            blobs[idx] = Some(blob?);
        }
    }
    Ok(blobs.into_iter().flatten().collect())
}

/// Both hashes of a file in one pass: SHA-256 on one core, the grains of BLAKE3 on the others.
fn hash_file(path: &Path, progress: &dyn Progress) -> Result<BlobRef> {
    let mut file = open(path)?;
    let mut sha = Sha256::new();
    let mut cvs = Vec::new();
    let mut window = Vec::new();
    let mut offset = 0;
    loop {
        progress.go_on()?;
        window.clear();
        (&mut file).take(WINDOW_BYTES).read_to_end(&mut window).map_err(|err| read_error(path, err))?;
        let is_last = (window.len() as u64) < WINDOW_BYTES;
        if offset == 0 && window.len() as u64 <= GRAIN_BYTES {
            return Ok(blob_of(&window));
        }
        let ((), more) = rayon::join(|| sha.update(&window), || grain_cvs(offset, &window));
        cvs.extend(more);
        offset += window.len() as u64;
        if is_last {
            break;
        }
    }
    let b3 = fold_root(&cvs).expect("a file above one grain has two");
    Ok(BlobRef { b3, sha256: hex(&sha.finalize()), bytes: offset })
}

/// Opens a file that is pushed.
pub(crate) fn open(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).open(path).map_err(|err| read_error(path, err))
}

pub(crate) fn read_error(path: &Path, err: std::io::Error) -> Error {
    nodedata_io::io_error("cannot read the file", path, err)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use nodedata_core::Silent;

    use super::*;

    /// Counts the files that were hashed.
    #[derive(Default)]
    struct Count(AtomicU64);

    impl Progress for Count {
        fn hashed(&self, _n_bytes: u64) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was written just now may change once more without a trace in its times, so it is not remembered.
    fn settle(path: &Path) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    }

    /// A file that was written just now and takes longer to hash than it stays new has not changed.
    #[test]
    fn growing_older_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        std::fs::write(&path, vec![1; 64 << 20]).unwrap();
        assert_eq!(hash_files(&[&path], &HashCache::none(), &Silent).unwrap()[0].bytes, 64 << 20);
    }

    #[test]
    fn files_hash_as_their_bytes_do_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for n_bytes in [0u64, 5, GRAIN_BYTES, GRAIN_BYTES + 1, WINDOW_BYTES, WINDOW_BYTES + 3] {
            let bytes: Vec<u8> = (0..n_bytes).map(|it| (it % 253) as u8).collect();
            let path = dir.path().join(n_bytes.to_string());
            std::fs::write(&path, &bytes).unwrap();
            settle(&path);
            let cache = HashCache::none();
            let expected = blob_of(&bytes);
            assert_eq!(hash_files(&[&path], &cache, &Silent).unwrap(), [expected], "{n_bytes} bytes");
            paths.push(path);
        }
        let cache = HashCache::at(&dir.path().join("cache"));
        let count = Count::default();
        let files: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
        let first = hash_files(&files, &cache, &count).unwrap();
        assert_eq!(count.0.swap(0, Ordering::Relaxed), files.len() as u64);
        assert_eq!(hash_files(&files, &cache, &count).unwrap(), first);
        assert_eq!(count.0.load(Ordering::Relaxed), 0, "all came from the cache");
        std::fs::write(&paths[1], b"other").unwrap();
        assert_ne!(hash_files(&files, &cache, &count).unwrap(), first);
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "the changed one is read");
    }
}
