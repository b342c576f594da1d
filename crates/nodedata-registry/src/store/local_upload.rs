use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard},
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_io::{io_error, sync_folder};

use crate::{
    digest::B3,
    layout::UPLOADS,
    record::BlobRef,
    store::Sender,
    tree::{self, Cv},
};

/// Shares of all blobs that are locked on their own.
const LOCKS: usize = 64;

/// A grain that has not come.
const ABSENT: Cv = [0; 32];

/// Uploads into a directory: the parts lie in their place in a file that gets its final name last. Beside it
/// the chaining values of the grains that have come, which are written after their bytes.
pub(crate) struct LocalUploads {
    root: PathBuf,
    /// Parts that this process has written itself; those of others are read again before they are trusted,
    /// because a machine that lost power may have kept the value and lost the bytes.
    own: Mutex<BTreeSet<(Sender, B3, u32)>>,
    /// Held by all who write parts and by the one who ends the upload, each for a share of all blobs.
    locks: [RwLock<()>; LOCKS],
}

impl LocalUploads {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, own: Mutex::default(), locks: [const { RwLock::new(()) }; LOCKS] }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn data(&self, sender: &Sender, blob: &BlobRef) -> PathBuf {
        self.root.join(UPLOADS).join(name_of(sender, blob))
    }

    fn values(&self, sender: &Sender, blob: &BlobRef) -> PathBuf {
        self.root.join(UPLOADS).join(format!("{}.cvs", name_of(sender, blob)))
    }

    fn lock(&self, blob: &BlobRef) -> &RwLock<()> {
        &self.locks[usize::from(blob.b3.0[0]) % LOCKS]
    }

    /// Keeps everybody from writing parts of a blob.
    pub(crate) fn alone(&self, blob: &BlobRef) -> RwLockWriteGuard<'_, ()> {
        self.lock(blob).write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which parts have come. Takes no more memory however long the blob is said to be.
    pub(crate) fn have(&self, sender: &Sender, blob: &BlobRef) -> Result<Vec<u32>> {
        let path = self.values(sender, blob);
        let file = match OpenOptions::new().read(true).open(&path) {
            Ok(file) => file,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(err) => return Err(io_error("cannot read", &path, err)),
        };
        let mut values = BufReader::new(file);
        let mut have = Vec::new();
        for part in 0..tree::n_parts(blob.bytes) {
            let mut is_there = true;
            for _ in grains(blob, part) {
                let mut cv = ABSENT;
                match values.read_exact(&mut cv) {
                    Ok(()) => is_there &= cv != ABSENT,
                    // None has come from here on.
                    Err(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(have),
                    Err(err) => return Err(io_error("cannot read", &path, err)),
                }
            }
            if is_there {
                have.push(part);
            }
        }
        Ok(have)
    }

    pub(crate) fn put_part(
        &self,
        sender: &Sender,
        blob: &BlobRef,
        part: u32,
        bytes: &[u8],
        cvs: &[Cv],
    ) -> Result<()> {
        let _with_others = self.lock(blob).read().unwrap_or_else(PoisonError::into_inner);
        let folder = self.root.join(UPLOADS);
        fs::create_dir_all(&folder).map_err(|err| io_error("cannot make the folder", &folder, err))?;
        let range = tree::part_range(blob.bytes, part);
        write_at(&self.data(sender, blob), range.start, bytes)?;
        write_at(&self.values(sender, blob), grains(blob, part).start as u64 * 32, &tree::tree_bytes(cvs))?;
        self.own().insert((sender.clone(), blob.b3, part));
        Ok(())
    }

    /// The chaining values of all grains, when all parts are there and are what their values say.
    pub(crate) fn complete(&self, sender: &Sender, blob: &BlobRef) -> Result<Vec<Cv>> {
        // Values are read for what has come alone: how long a blob is said to be is only a word until its parts are there.
        let have = self.have(sender, blob)?;
        if have.len() < tree::n_parts(blob.bytes) as usize {
            return Err(missing_parts(blob, &have));
        }
        let cvs = self.read_values(sender, blob)?;
        let mut bad = Vec::new();
        for part in 0..tree::n_parts(blob.bytes) {
            let expected = cvs.get(grains(blob, part)).unwrap_or_default();
            let is_own = self.own().contains(&(sender.clone(), blob.b3, part));
            if !(is_own || self.holds(sender, blob, part, expected)?) {
                let absent = vec![ABSENT; expected.len()];
                let at = grains(blob, part).start as u64 * 32;
                write_at(&self.values(sender, blob), at, &tree::tree_bytes(&absent))?;
                bad.push(part);
            }
        }
        match bad.is_empty() {
            true => Ok(cvs),
            false => Err(parts_again(blob, bad.len(), bad.first())),
        }
    }

    fn holds(&self, sender: &Sender, blob: &BlobRef, part: u32, expected: &[Cv]) -> Result<bool> {
        let range = tree::part_range(blob.bytes, part);
        let path = self.data(sender, blob);
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

    /// Gives the file its final name, once it is on the disk. A blob that is there already stays.
    pub(crate) fn finish(&self, sender: &Sender, blob: &BlobRef, path: &str) -> Result<()> {
        let (from, to) = (self.data(sender, blob), self.root.join(path));
        let flushed = OpenOptions::new().write(true).open(&from).and_then(|it| {
            it.set_len(blob.bytes)?;
            it.sync_all()
        });
        flushed.map_err(|err| io_error("cannot flush", &from, err))?;
        let folder = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|err| io_error("cannot make the folder", folder, err))?;
        match fs::hard_link(&from, &to) {
            Ok(()) => {}
            Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {
                // One that was cut is no blob.
                if fs::metadata(&to).map_or(0, |it| it.len()) != blob.bytes {
                    fs::rename(&from, &to)
                        .map_err(|err| io_error("cannot give the blob its name", &to, err))?;
                }
            }
            Err(err) => return Err(io_error("cannot give the blob its name", &to, err)),
        }
        sync_folders(folder, &self.root)?;
        self.forget(sender, blob)
    }

    /// Makes the parts of one sender those of another.
    pub(crate) fn hand_over(&self, from: &Sender, to: &Sender, blob: &BlobRef) -> Result<()> {
        // The values last: without them there are no parts.
        for (from, to) in
            [(self.data(from, blob), self.data(to, blob)), (self.values(from, blob), self.values(to, blob))]
        {
            match fs::rename(&from, &to) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error("cannot hand the parts over", &from, err));
                }
                _ => {}
            }
        }
        let mut own = self.own();
        let moved: Vec<u32> =
            own.iter().filter(|it| it.0 == *from && it.1 == blob.b3).map(|it| it.2).collect();
        for part in moved {
            own.remove(&(from.clone(), blob.b3, part));
            own.insert((to.clone(), blob.b3, part));
        }
        Ok(())
    }

    pub(crate) fn forget(&self, sender: &Sender, blob: &BlobRef) -> Result<()> {
        for path in [self.data(sender, blob), self.values(sender, blob)] {
            match fs::remove_file(&path) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error("cannot remove", &path, err));
                }
                _ => {}
            }
        }
        self.own().retain(|it| it.0 != *sender || it.1 != blob.b3);
        Ok(())
    }

    fn own(&self) -> MutexGuard<'_, BTreeSet<(Sender, B3, u32)>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One value per grain, as far as they have come.
    fn read_values(&self, sender: &Sender, blob: &BlobRef) -> Result<Vec<Cv>> {
        let path = self.values(sender, blob);
        let bytes = fs::read(&path).map_err(|err| io_error("cannot read", &path, err))?;
        let mut cvs = bytes.as_chunks::<32>().0.to_vec();
        cvs.truncate(usize::try_from(tree::n_grains(blob.bytes)).unwrap_or(usize::MAX));
        Ok(cvs)
    }
}

/// What the files of an upload are called.
fn name_of(sender: &Sender, blob: &BlobRef) -> String {
    match sender.name() {
        None => blob.b3.hex(),
        Some(name) => format!("{}-{name}", blob.b3.hex()),
    }
}

/// That parts which have not come are to be sent.
pub(crate) fn missing_parts(blob: &BlobRef, have: &[u32]) -> Error {
    let n_missing = (tree::n_parts(blob.bytes) as usize).saturating_sub(have.len());
    let first = (0..tree::n_parts(blob.bytes)).zip(have).find(|(part, it)| part != *it).map(|(part, _)| part);
    let first = first.or_else(|| u32::try_from(have.len()).ok());
    parts_again(blob, n_missing, first.as_ref())
}

/// Of many parts the first is told: there may be thousands.
fn parts_again(blob: &BlobRef, n_bad: usize, first: Option<&u32>) -> Error {
    let first = first.copied().unwrap_or_default();
    let message = match n_bad {
        1 => format!("part {first} of {} must be sent again", blob.b3),
        _ => format!("{n_bad} parts of {} must be sent again, the first is part {first}", blob.b3),
    };
    Error::new(ErrorKind::Corrupt, message).with_hint("push again: only they are sent")
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
