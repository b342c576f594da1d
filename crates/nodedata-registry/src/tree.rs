//! The BLAKE3 tree of a blob: what lets its parts be hashed, sent and checked in any order, and any range
//! be verified against 32 bytes per 256 KiB.

use std::ops::Range;

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::in_pool;
use rayon::prelude::*;

use crate::digest::B3;

/// Chaining value of a subtree.
pub type Cv = [u8; 32];

/// A `.tree` has one chaining value for this many bytes.
pub const GRAIN_BYTES: u64 = 256 << 10;

/// Bytes that one thread has hashed before others would have woken up.
const ALONE_BYTES_MAX: u64 = 2 * GRAIN_BYTES;

/// Least part of an upload.
pub const PART_BYTES_MIN: u64 = 8 << 20;

/// Most parts of an upload: S3 takes 10,000.
pub const PARTS_MAX: u64 = 8192;

/// Bytes of one part of a blob of `n_bytes`: 8 MiB, doubled until 8,192 parts are enough.
pub fn part_bytes(n_bytes: u64) -> u64 {
    let mut part = PART_BYTES_MIN;
    while n_bytes.div_ceil(part) > PARTS_MAX {
        part *= 2;
    }
    part
}

/// Parts of a blob of `n_bytes`; 1 for an empty one.
pub fn n_parts(n_bytes: u64) -> u32 {
    // At most `PARTS_MAX`.
    n_bytes.div_ceil(part_bytes(n_bytes)).max(1) as u32
}

/// The bytes of part `idx` of a blob of `n_bytes`. Empty past the end.
pub fn part_range(n_bytes: u64, idx: u32) -> Range<u64> {
    let part = part_bytes(n_bytes);
    let start = u64::from(idx).saturating_mul(part).min(n_bytes);
    start..start.saturating_add(part).min(n_bytes)
}

/// Grains of `n_bytes`: 0 when nothing has a tree, because a single grain is the root itself.
pub fn n_grains(n_bytes: u64) -> u64 {
    if n_bytes <= GRAIN_BYTES { 0 } else { n_bytes.div_ceil(GRAIN_BYTES) }
}

/// Chaining values of the grains of a piece that starts at `offset` of its blob, a multiple of a grain. The
/// blob must have more than one grain.
pub fn grain_cvs(offset: u64, bytes: &[u8]) -> Vec<Cv> {
    debug_assert!(offset.is_multiple_of(GRAIN_BYTES), "pieces start at a grain");
    let cv = |(idx, grain): (usize, &[u8])| {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset + idx as u64 * GRAIN_BYTES);
        hasher.update(grain);
        hasher.finalize_non_root()
    };
    if bytes.len() as u64 <= ALONE_BYTES_MAX {
        return bytes.chunks(GRAIN_BYTES as usize).enumerate().map(cv).collect();
    }
    in_pool(|| bytes.par_chunks(GRAIN_BYTES as usize).enumerate().map(cv).collect())
}

/// The digest that the chaining values of all grains fold to; `None` below two grains.
pub fn fold_root(cvs: &[Cv]) -> Option<B3> {
    let (left, right) = halves(cvs)?;
    Some(B3(*merge_subtrees_root(&fold(left), &fold(right), Mode::Hash).as_bytes()))
}

/// The chaining value of the subtree over these grains.
///
/// # Panics
/// Without grains.
pub fn fold(cvs: &[Cv]) -> Cv {
    match halves(cvs) {
        Some((left, right)) => merge_subtrees_non_root(&fold(left), &fold(right), Mode::Hash),
        None => cvs[0],
    }
}

/// The left half holds the largest power of two below all.
fn halves(cvs: &[Cv]) -> Option<(&[Cv], &[Cv])> {
    (cvs.len() >= 2).then(|| cvs.split_at(cvs.len().next_power_of_two() / 2))
}

/// A `.tree` file that belongs to its blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    b3: B3,
    n_bytes: u64,
    cvs: Vec<Cv>,
}

impl Tree {
    /// The tree in the bytes of a `.tree` file.
    ///
    /// # Errors
    /// `Corrupt` when it is not the tree of `b3`.
    pub fn parse(b3: &B3, n_bytes: u64, bytes: &[u8]) -> Result<Self> {
        let (cvs, rest) = bytes.as_chunks::<32>();
        let has_all = rest.is_empty() && cvs.len() as u64 == n_grains(n_bytes);
        if !has_all || fold_root(cvs).as_ref() != Some(b3) {
            return Err(Error::new(ErrorKind::Corrupt, format!("the tree of {b3} folds to another digest"))
                .with_hint("`node-data store heal` makes it again from the blob"));
        }
        Ok(Self { b3: *b3, n_bytes, cvs: cvs.to_vec() })
    }

    /// The blob whose tree it is.
    pub(crate) fn b3(&self) -> &B3 {
        &self.b3
    }

    /// Length of the blob.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Length of the tree itself.
    pub(crate) fn tree_bytes(&self) -> u64 {
        32 * self.cvs.len() as u64
    }

    /// Widens a range to whole grains.
    pub fn aligned(&self, range: &Range<u64>) -> Range<u64> {
        let start = range.start / GRAIN_BYTES * GRAIN_BYTES;
        start..range.end.div_ceil(GRAIN_BYTES).saturating_mul(GRAIN_BYTES).min(self.n_bytes)
    }

    /// Checks bytes that start at a grain and end at one, or with the blob.
    ///
    /// # Errors
    /// `Corrupt` at the first grain that is not what the tree says.
    pub fn verify(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let first = (offset / GRAIN_BYTES) as usize;
        let found = grain_cvs(offset, bytes);
        let expected = self.cvs.get(first..first + found.len()).unwrap_or_default();
        match found.iter().zip(expected).position(|(a, b)| a != b) {
            None if found.len() == expected.len() => Ok(()),
            at => {
                let at = offset + at.unwrap_or(expected.len()) as u64 * GRAIN_BYTES;
                Err(other_bytes(&self.b3, at))
            }
        }
    }
}

/// The error of bytes from `offset` on that are not the blob's.
pub(crate) fn other_bytes(b3: &B3, offset: u64) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the bytes of {b3} are not those that were published"))
        .at(Locus::byte(offset))
        .with_hint("`node-data store heal --from STORE` fetches them again")
}

/// The bytes of a `.tree` file.
pub fn tree_bytes(cvs: &[Cv]) -> Vec<u8> {
    cvs.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(n_bytes: usize) -> Vec<u8> {
        (0..n_bytes).map(|it| (it as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7]).collect()
    }

    #[test]
    fn parts_in_any_order_fold_to_the_digest_of_the_whole() {
        let grain = GRAIN_BYTES as usize;
        for n_bytes in [grain + 1, 2 * grain, 3 * grain - 5, 5 * grain, (8 << 20) + 1, (16 << 20) + grain + 7]
        {
            let bytes = blob(n_bytes);
            let mut cvs = vec![[0; 32]; n_grains(n_bytes as u64) as usize];
            for part in (0..n_parts(n_bytes as u64)).rev() {
                let range = part_range(n_bytes as u64, part);
                let piece = &bytes[range.start as usize..range.end as usize];
                for (idx, cv) in grain_cvs(range.start, piece).into_iter().enumerate() {
                    cvs[range.start as usize / grain + idx] = cv;
                }
            }
            assert_eq!(fold_root(&cvs), Some(B3::of(&bytes)), "{n_bytes} bytes");
            let tree = Tree::parse(&B3::of(&bytes), n_bytes as u64, &tree_bytes(&cvs)).unwrap();
            let range = tree.aligned(&(grain as u64 - 1..grain as u64 + 1));
            tree.verify(range.start, &bytes[range.start as usize..range.end as usize]).unwrap();
            let mut broken = bytes.clone();
            broken[grain] ^= 1;
            let piece = &broken[range.start as usize..range.end as usize];
            let err = tree.verify(range.start, piece).unwrap_err();
            assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Corrupt, Some(GRAIN_BYTES)));
        }
    }

    #[test]
    fn parts_cover_a_blob() {
        assert_eq!((n_parts(0), part_range(0, 0)), (1, 0..0));
        assert_eq!(n_parts(8 << 20), 1);
        assert_eq!(part_range((8 << 20) + 1, 1), 8 << 20..(8 << 20) + 1);
        assert_eq!(part_bytes(64 << 30), 8 << 20);
        assert_eq!(part_bytes((64 << 30) + 1), 16 << 20);
        assert!(n_parts(u64::MAX) <= 8192);
        assert_eq!((n_grains(GRAIN_BYTES), n_grains(GRAIN_BYTES + 1)), (0, 2));
    }
}
