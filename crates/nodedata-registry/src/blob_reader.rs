mod mapped;
mod verified;

use std::{ops::Range, sync::Arc};

pub use verified::VerifiedGrains;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, ReadAt, Result};

use crate::{
    blob_reader::mapped::Mapped,
    digest::B3,
    grains,
    name::DatasetName,
    pieces::{self, Pieces},
    record::BlobRef,
    remote::Remote,
    tree::{self, Tree},
    tree_cache::TreeCache,
};

/// Reads a blob by range and verifies every byte before it hands it out.
///
/// It owns what it needs, so threads and objects of other languages can hold it, and a clone is cheap. Its errors name
/// the blob in their words and leave the path to whoever knows what file the blob is.
#[derive(Clone)]
pub struct BlobReader {
    remote: Arc<dyn Remote>,
    dataset: DatasetName,
    b3: B3,
    n_bytes: u64,
    /// `None` for a blob of one grain, which is verified whole.
    tree: Option<Arc<Tree>>,
    /// See [`Self::mapped`].
    map: Option<Arc<Mapped>>,
}

impl BlobReader {
    /// Opens a blob of a dataset.
    ///
    /// # Errors
    /// `Io`, `Denied`; `Corrupt` when its tree is missing or is another blob's.
    pub fn open(remote: &Arc<dyn Remote>, dataset: &DatasetName, b3: &B3, n_bytes: u64) -> Result<Self> {
        Self::open_with(remote, dataset, b3, n_bytes, &TreeCache::default())
    }

    /// The same, with the trees that other readers have brought.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(
        remote: &Arc<dyn Remote>,
        dataset: &DatasetName,
        b3: &B3,
        n_bytes: u64,
        trees: &TreeCache,
    ) -> Result<Self> {
        let tree = match tree::n_grains(n_bytes) {
            0 => None,
            _ => match trees.find(b3, n_bytes) {
                Some(tree) => Some(tree),
                None => {
                    let tree =
                        Arc::new(Tree::parse(b3, n_bytes, &grains::read_tree(&**remote, dataset, b3)?)?);
                    trees.keep(&tree);
                    Some(tree)
                }
            },
        };
        Ok(Self { remote: Arc::clone(remote), dataset: dataset.clone(), b3: *b3, n_bytes, tree, map: None })
    }

    /// Reads the blob through a memory map, where the registry is a folder of this machine; elsewhere as before. What
    /// is read is a view, without copying, and each grain is verified when it is read first. For those who read much
    /// and at random: a disk that cannot be read, or somebody who cuts the file short, then ends the process, where a
    /// read by system calls is an error.
    #[must_use]
    pub fn mapped(mut self) -> Self {
        let map = self.remote.local_path(&self.b3).and_then(|it| Mapped::open(&it, self.n_bytes));
        self.map = map.map(Arc::new);
        self
    }

    /// Whether it reads through a memory map.
    pub fn is_mapped(&self) -> bool {
        self.map.is_some()
    }

    /// Several ranges in the order they are asked for, fetched in one round: what they have in common is fetched and
    /// verified once, and what a registry can answer side by side is asked for so.
    ///
    /// # Errors
    /// As [`ReadAt::read_at`].
    pub fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let read = self.prefetch(ranges)?;
        ranges.iter().map(|it| read.read_at(it.clone())).collect()
    }

    /// Fetches ranges in one round, and reads the blob with them at hand. They stay in memory as long as what is
    /// returned does; where the blob is mapped, nothing need be fetched.
    ///
    /// # Errors
    /// As [`ReadAt::read_at`].
    pub fn prefetch(&self, ranges: &[Range<u64>]) -> Result<Prefetched> {
        ranges.iter().try_for_each(|it| self.check_range(it))?;
        if self.map.is_some() {
            return Ok(Prefetched { reader: self.clone(), pieces: Pieces::default() });
        }
        let some = ranges.iter().filter(|it| !it.is_empty());
        let wanted = pieces::cut(pieces::joined(some.map(|it| self.aligned(it)).collect(), 0));
        let read = self.remote.read_ranges(&self.dataset, &self.b3, &wanted);
        let read = read.map_err(|err| self.missing_or(err))?;
        for (range, bytes) in wanted.iter().zip(&read) {
            self.verify(range.start, bytes)?;
        }
        let starts = wanted.into_iter().map(|it| it.start);
        Ok(Prefetched { reader: self.clone(), pieces: Pieces::of(starts.zip(read).collect()) })
    }

    fn check_range(&self, range: &Range<u64>) -> Result<()> {
        grains::check_range(&self.b3, self.n_bytes, range)
    }

    /// The range that can be verified around one.
    fn aligned(&self, range: &Range<u64>) -> Range<u64> {
        match &self.tree {
            Some(tree) => tree.aligned(range),
            None => 0..self.n_bytes,
        }
    }

    /// Checks bytes as [`Self::aligned`] has them.
    fn verify(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        grains::check(self.tree.as_deref(), &self.b3, offset, bytes)
    }

    fn missing_or(&self, err: Error) -> Error {
        grains::missing_or(&*self.remote, &self.dataset, &self.b3, err)
    }
}

impl ReadAt for BlobReader {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// `Corrupt` at the first grain whose bytes are not those that were published.
    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.check_range(&range)?;
        let aligned = self.aligned(&range);
        if let Some(map) = &self.map {
            return map.read(range, aligned, &|offset, bytes| self.verify(offset, bytes));
        }
        let read = self.remote.read_blob(&self.dataset, &self.b3, aligned.clone());
        let bytes = read.map_err(|err| self.missing_or(err))?;
        self.verify(aligned.start, &bytes)?;
        // Both ends lie inside what was read, so they fit memory.
        Ok(bytes.slice((range.start - aligned.start) as usize..(range.end - aligned.start) as usize))
    }
}

/// A blob of which some ranges are in memory, see [`BlobReader::prefetch`]. Others are read as ever.
pub struct Prefetched {
    reader: BlobReader,
    pieces: Pieces,
}

impl ReadAt for Prefetched {
    fn n_bytes(&self) -> u64 {
        self.reader.n_bytes
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.reader.check_range(&range)?;
        match self.pieces.get(&range) {
            Some(bytes) => Ok(bytes),
            None => self.reader.read_at(range),
        }
    }
}

/// A whole small blob, verified by its digest.
///
/// # Errors
/// `Limit` above `bytes_max`, `Corrupt` when the digest is another, `Io`, `Denied`.
pub fn read_whole(
    remote: &dyn Remote,
    dataset: &DatasetName,
    b3: &B3,
    n_bytes: u64,
    bytes_max: u64,
) -> Result<Bytes> {
    if n_bytes > bytes_max {
        let message = format!("{b3} has {n_bytes} bytes, at most {bytes_max} are read at once");
        return Err(Error::new(ErrorKind::Limit, message));
    }
    let bytes = remote.read_blob(dataset, b3, 0..n_bytes)?;
    grains::check(None, b3, 0, &bytes)?;
    Ok(bytes)
}

/// A whole small blob by its reference.
///
/// # Errors
/// As [`read_whole`].
pub fn read_ref(remote: &dyn Remote, dataset: &DatasetName, blob: &BlobRef, bytes_max: u64) -> Result<Bytes> {
    read_whole(remote, dataset, &blob.b3, blob.bytes, bytes_max)
}
