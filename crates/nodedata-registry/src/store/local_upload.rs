use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_io::{io_error, sync_folder};

use crate::{
    digest::B3,
    layout::UPLOADS,
    record::BlobRef,
    tree::{self, Cv},
};

/// A grain that has not come.
const ABSENT: Cv = [0; 32];

/// Uploads into a directory: the parts lie in their place in a file that gets its final name last. Beside it
/// the chaining values of the grains that have come, which are written after their bytes.
pub(crate) struct LocalUploads {
    root: PathBuf,
    /// Parts that this process has written itself; those of others are read again before they are trusted,
    /// because a machine that lost power may have kept the value and lost the bytes.
    own: Mutex<BTreeSet<(B3, u32)>>,
}

impl LocalUploads {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, own: Mutex::default() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn data(&self, blob: &BlobRef) -> PathBuf {
        self.root.join(UPLOADS).join(blob.b3.hex())
    }

    fn values(&self, blob: &BlobRef) -> PathBuf {
        self.root.join(UPLOADS).join(format!("{}.cvs", blob.b3.hex()))
    }

    /// Which parts have come.
    pub(crate) fn have(&self, blob: &BlobRef) -> Result<Vec<u32>> {
        let cvs = self.read_values(blob)?;
        let parts = 0..tree::n_parts(blob.bytes);
        Ok(parts.filter(|part| !cvs[grains(blob, *part)].contains(&ABSENT)).collect())
    }

    pub(crate) fn put_part(&self, blob: &BlobRef, part: u32, bytes: &[u8], cvs: &[Cv]) -> Result<()> {
        let folder = self.root.join(UPLOADS);
        fs::create_dir_all(&folder).map_err(|err| io_error("cannot make the folder", &folder, err))?;
        let range = tree::part_range(blob.bytes, part);
        write_at(&self.data(blob), range.start, bytes)?;
        write_at(&self.values(blob), grains(blob, part).start as u64 * 32, &tree::tree_bytes(cvs))?;
        self.own.lock().unwrap_or_else(PoisonError::into_inner).insert((blob.b3, part));
        Ok(())
    }

    /// The chaining values of all grains, when all parts are there and are what their values say.
    pub(crate) fn complete(&self, blob: &BlobRef) -> Result<Vec<Cv>> {
        let cvs = self.read_values(blob)?;
        let mut bad = Vec::new();
        for part in 0..tree::n_parts(blob.bytes) {
            let expected = &cvs[grains(blob, part)];
            let is_own = self.own.lock().unwrap_or_else(PoisonError::into_inner).contains(&(blob.b3, part));
            if expected.contains(&ABSENT) || !(is_own || self.holds(blob, part, expected)?) {
                let absent = vec![ABSENT; expected.len()];
                let at = grains(blob, part).start as u64 * 32;
                write_at(&self.values(blob), at, &tree::tree_bytes(&absent))?;
                bad.push(part);
            }
        }
        if bad.is_empty() {
            return Ok(cvs);
        }
        let message = format!("parts {bad:?} of {} must be sent again", blob.b3);
        Err(Error::new(ErrorKind::Corrupt, message).with_hint("push again: only they are sent"))
    }

    fn holds(&self, blob: &BlobRef, part: u32, expected: &[Cv]) -> Result<bool> {
        let range = tree::part_range(blob.bytes, part);
        let path = self.data(blob);
        let mut file = match OpenOptions::new().read(true).open(&path) {
            Ok(file) => file,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(err) => return Err(io_error("cannot read", &path, err)),
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(range.start))
            .and_then(|_| file.take(range.end - range.start).read_to_end(&mut bytes))
            .map_err(|err| io_error("cannot read", &path, err))?;
        Ok(bytes.len() as u64 == range.end - range.start && tree::grain_cvs(range.start, &bytes) == expected)
    }

    /// Gives the file its final name, once it is on the disk.
    pub(crate) fn finish(&self, blob: &BlobRef, path: &str) -> Result<()> {
        let (from, to) = (self.data(blob), self.root.join(path));
        let flushed = OpenOptions::new().write(true).open(&from).and_then(|it| {
            it.set_len(blob.bytes)?;
            it.sync_all()
        });
        flushed.map_err(|err| io_error("cannot flush", &from, err))?;
        let folder = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|err| io_error("cannot make the folder", folder, err))?;
        fs::rename(&from, &to).map_err(|err| io_error("cannot give the blob its name", &to, err))?;
        sync_folders(folder, &self.root)?;
        self.forget(blob)
    }

    pub(crate) fn forget(&self, blob: &BlobRef) -> Result<()> {
        for path in [self.data(blob), self.values(blob)] {
            match fs::remove_file(&path) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error("cannot remove", &path, err));
                }
                _ => {}
            }
        }
        self.own.lock().unwrap_or_else(PoisonError::into_inner).retain(|(b3, _)| *b3 != blob.b3);
        Ok(())
    }

    /// One value per grain, `ABSENT` where it has not come.
    fn read_values(&self, blob: &BlobRef) -> Result<Vec<Cv>> {
        let n_grains = tree::n_grains(blob.bytes) as usize;
        let path = self.values(blob);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(err) => return Err(io_error("cannot read", &path, err)),
        };
        let mut cvs = bytes.as_chunks::<32>().0.to_vec();
        cvs.resize(n_grains, ABSENT);
        Ok(cvs)
    }
}

/// Positions of a part's grains among those of the blob.
fn grains(blob: &BlobRef, part: u32) -> std::ops::Range<usize> {
    let range = tree::part_range(blob.bytes, part);
    (range.start / tree::GRAIN_BYTES) as usize..range.end.div_ceil(tree::GRAIN_BYTES) as usize
}

fn write_at(path: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|err| io_error("cannot open", path, err))?;
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.write_all(bytes))
        .map_err(|err| io_error("cannot write", path, err))
}

/// Makes new names durable, up to the root of the store.
fn sync_folders(folder: &Path, root: &Path) -> Result<()> {
    folder.ancestors().take_while(|it| it.starts_with(root)).try_for_each(sync_folder)
}
