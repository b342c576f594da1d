use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};

use crate::{
    digest::B3,
    name::DatasetName,
    record::BlobRef,
    remote::Remote,
    tree::{self, Tree},
};

/// Reads a blob by range and verifies every byte before it hands it out.
///
/// It owns what it needs, so threads and objects of other languages can hold it. Its errors name the blob in their
/// words and leave the path to whoever knows what file the blob is.
pub struct BlobReader {
    remote: Arc<dyn Remote>,
    dataset: DatasetName,
    b3: B3,
    n_bytes: u64,
    /// `None` for a blob of one grain, which is verified whole.
    tree: Option<Tree>,
}

impl BlobReader {
    /// Opens a blob of a dataset.
    ///
    /// # Errors
    /// `Io`, `Denied`; `Corrupt` when its tree is missing or is another blob's.
    pub fn open(remote: &Arc<dyn Remote>, dataset: &DatasetName, b3: &B3, n_bytes: u64) -> Result<Self> {
        let tree = match tree::n_grains(n_bytes) {
            0 => None,
            _ => {
                let bytes = remote.read_tree(dataset, b3)?.ok_or_else(|| {
                    Error::new(ErrorKind::Corrupt, format!("the tree of {b3} is missing"))
                        .with_hint("`node-data store heal` makes it again from the blob")
                })?;
                Some(Tree::parse(b3, n_bytes, &bytes)?)
            }
        };
        Ok(Self { remote: Arc::clone(remote), dataset: dataset.clone(), b3: *b3, n_bytes, tree })
    }

    /// A store that answers, but has not the blob, is damaged; one that does not answer is not.
    fn missing_or(&self, err: Error) -> Error {
        let is_missing = err.kind() == ErrorKind::Io
            && matches!(self.remote.blob_bytes(&self.dataset, &self.b3), Ok(None));
        if !is_missing {
            return err;
        }
        Error::new(ErrorKind::Corrupt, format!("the blob {} is missing", self.b3)).with_hint(
            "`node-data store fsck` says what else is missing, `node-data store heal` fetches copies",
        )
    }
}

impl ReadAt for BlobReader {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// `Corrupt` at the first grain whose bytes are not those that were published.
    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        if range.end > self.n_bytes || range.start > range.end {
            let message = format!("{range:?} lies outside the {} bytes of {}", self.n_bytes, self.b3);
            return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::byte(range.start)));
        }
        let aligned = match &self.tree {
            Some(tree) => tree.aligned(&range),
            None => 0..self.n_bytes,
        };
        let read = self.remote.read_blob(&self.dataset, &self.b3, aligned.clone());
        let bytes = read.map_err(|err| self.missing_or(err))?;
        match &self.tree {
            Some(tree) => tree.verify(aligned.start, &bytes)?,
            None => check_whole(&self.b3, &bytes)?,
        }
        // Both ends lie inside what was read, so they fit memory.
        Ok(bytes.slice((range.start - aligned.start) as usize..(range.end - aligned.start) as usize))
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
    check_whole(b3, &bytes)?;
    Ok(bytes)
}

fn check_whole(b3: &B3, bytes: &[u8]) -> Result<()> {
    if B3::of(bytes) == *b3 { Ok(()) } else { Err(tree::other_bytes(b3, 0)) }
}

/// A whole small blob by its reference.
///
/// # Errors
/// As [`read_whole`].
pub fn read_ref(remote: &dyn Remote, dataset: &DatasetName, blob: &BlobRef, bytes_max: u64) -> Result<Bytes> {
    read_whole(remote, dataset, &blob.b3, blob.bytes, bytes_max)
}
