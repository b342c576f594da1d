//! Bytes of a blob as a registry hands them out: nobody has verified them, and what is missing or lies outside is told in the same words
//! wherever it is met.

use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::{
    digest::B3,
    name::DatasetName,
    remote::Remote,
    tree::{self, Tree},
};

/// The `.tree` file of a blob, for [`Tree::parse`].
///
/// # Errors
/// `Corrupt` when there is none, with the command that makes it again; `Io`, `Denied`.
pub fn read_tree(remote: &dyn Remote, dataset: &DatasetName, b3: &B3) -> Result<Bytes> {
    remote.read_tree(dataset, b3)?.ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("the tree of {b3} is missing"))
            .with_hint("`node-data store heal` makes it again from the blob")
    })
}

/// Checks whole grains that begin at `offset` of the blob. A blob of one grain has no tree, and is checked whole.
///
/// # Errors
/// `Corrupt`, at the first grain whose bytes are not those that were published.
pub fn check(tree: Option<&Tree>, b3: &B3, offset: u64, bytes: &[u8]) -> Result<()> {
    match tree {
        Some(tree) => tree.verify(offset, bytes),
        None if B3::of(bytes) == *b3 => Ok(()),
        None => Err(tree::other_bytes(b3, 0)),
    }
}

/// Whether a range lies within a blob of `n_bytes`.
///
/// # Errors
/// `Corrupt`, at the start of the range, when it does not.
pub fn check_range(b3: &B3, n_bytes: u64, range: &Range<u64>) -> Result<()> {
    if range.start <= range.end && range.end <= n_bytes { Ok(()) } else { Err(outside(b3, n_bytes, range)) }
}

/// Says that a range lies outside of a blob.
pub fn outside(b3: &B3, n_bytes: u64, range: &Range<u64>) -> Error {
    let message = format!("{range:?} lies outside the {n_bytes} bytes of {b3}");
    Error::new(ErrorKind::Corrupt, message).at(Locus::byte(range.start))
}

/// Why a blob could not be read: a registry that answers, but has not the blob, is damaged (`Corrupt`); one that does not answer is not.
pub fn missing_or(remote: &dyn Remote, dataset: &DatasetName, b3: &B3, err: Error) -> Error {
    if err.kind() != ErrorKind::Io || !matches!(remote.blob_bytes(dataset, b3), Ok(None)) {
        return err;
    }
    Error::new(ErrorKind::Corrupt, format!("the blob {b3} is missing"))
        .with_hint("`node-data store fsck` says what else is missing, `node-data store heal` fetches copies")
}
