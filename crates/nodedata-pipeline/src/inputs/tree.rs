//! BLAKE3 of a file from its front, where parts of it may have been hashed elsewhere.

use std::ops::Range;

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// Bytes that BLAKE3 hashes as one. A subtree has a power of two of them, and begins at a multiple of its own length.
pub(super) const CHUNK_BYTES: u64 = blake3::CHUNK_LEN as u64;

/// The hash of the first bytes of a file.
#[derive(Default)]
pub(super) struct Tree {
    /// Whole chunks that are hashed.
    n_chunks: u64,
    /// Of subtrees that are hashed, from the front. Two of one size are merged when a third comes: the last merge makes the hash, and is
    /// another one.
    stack: Vec<ChainingValue>,
    /// The bytes behind them, at most a chunk. The first chunk is here until more comes: alone it makes the hash.
    tail: Vec<u8>,
}

impl Tree {
    pub(super) fn n_bytes(&self) -> u64 {
        self.n_chunks * CHUNK_BYTES + self.tail.len() as u64
    }

    /// Goes on by bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.end_chunk();
            let at = self.n_bytes();
            let n_subtree = if self.tail.is_empty() { subtree_bytes(at, bytes.len() as u64) } else { 0 };
            let n = if n_subtree > 0 {
                n_subtree as usize
            } else {
                bytes.len().min(CHUNK_BYTES as usize - self.tail.len())
            };
            let (now, later) = bytes.split_at(n);
            bytes = later;
            if n_subtree > 0 {
                self.push(chaining_value(at, now), n_subtree / CHUNK_BYTES);
            } else {
                self.tail.extend_from_slice(now);
            }
        }
    }

    /// Whether a subtree of so many bytes can be what comes next.
    pub(super) fn takes(&self, n_bytes: u64) -> bool {
        let at = self.n_bytes();
        at > 0 && at.is_multiple_of(n_bytes.max(CHUNK_BYTES))
    }

    /// Goes on by a subtree that [`Self::takes`] said yes to.
    pub(super) fn update_hashed(&mut self, subtree: ChainingValue, n_bytes: u64) {
        self.end_chunk();
        self.push(subtree, n_bytes / CHUNK_BYTES);
    }

    /// The hash of the bytes so far, as hex.
    pub(super) fn b3(&self) -> String {
        let mut stack = self.stack.clone();
        if !self.tail.is_empty() && !stack.is_empty() {
            merge_whole(&mut stack, self.n_chunks);
            stack.push(chaining_value(self.n_chunks * CHUNK_BYTES, &self.tail));
        }
        let hash = match stack.split_first() {
            Some((first, [rest @ .., last])) => {
                let merge = |right, left: &ChainingValue| merge_subtrees_non_root(left, &right, Mode::Hash);
                merge_subtrees_root(first, &rest.iter().rev().fold(*last, merge), Mode::Hash)
            }
            // The first chunk is pushed only when more comes.
            Some(_) | None => blake3::hash(&self.tail),
        };
        hash.to_hex().to_string()
    }

    /// Hashes the last chunk, where it is whole and more comes.
    fn end_chunk(&mut self) {
        if self.tail.len() as u64 == CHUNK_BYTES {
            let subtree = chaining_value(self.n_chunks * CHUNK_BYTES, &self.tail);
            self.tail.clear();
            self.push(subtree, 1);
        }
    }

    fn push(&mut self, subtree: ChainingValue, n_chunks: u64) {
        merge_whole(&mut self.stack, self.n_chunks);
        self.stack.push(subtree);
        self.n_chunks += n_chunks;
    }
}

/// Merges subtrees until there is one for each power of two among the chunks.
fn merge_whole(stack: &mut Vec<ChainingValue>, n_chunks: u64) {
    while stack.len() > n_chunks.count_ones() as usize {
        let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else { break };
        stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
    }
}

/// Bytes of the largest subtree that begins at `at` and has no more than `n_bytes`; 0 for none. Where a file begins there is none: its
/// first chunk may be all of it.
pub(super) fn subtree_bytes(at: u64, n_bytes: u64) -> u64 {
    if at == 0 || !at.is_multiple_of(CHUNK_BYTES) || n_bytes < CHUNK_BYTES {
        return 0;
    }
    let largest = 1 << n_bytes.ilog2();
    largest.min(1 << at.trailing_zeros())
}

/// Of the chunks, or the part of one, that begin at `at`.
pub(super) fn chaining_value(at: u64, bytes: &[u8]) -> ChainingValue {
    blake3::Hasher::new().set_input_offset(at).update(bytes).finalize_non_root()
}

/// Cuts a range of a file into its subtrees, and what is left of chunks before and behind them.
pub(super) fn subtrees(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let n_left = range.end.checked_sub(at).filter(|it| *it > 0)?;
        let n = match subtree_bytes(at, n_left) {
            0 => n_left.min(CHUNK_BYTES - at % CHUNK_BYTES),
            n => n,
        };
        at += n;
        Some(at - n..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(n: usize) -> Vec<u8> {
        (0..n).map(|it| (it * 7 + it / 251) as u8).collect()
    }

    const LENGTHS: [usize; 16] =
        [0, 1, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 3073, 4096, 8192, 8193, 65_536, 100_000, 1 << 20];

    #[test]
    fn any_pieces_make_the_hash_of_the_whole() {
        for n in LENGTHS {
            let all = bytes(n);
            let expected = blake3::hash(&all).to_hex().to_string();
            for piece in [1 << 20, 5000, 1024, 1000, 3] {
                if n / piece > 5000 {
                    continue;
                }
                let mut tree = Tree::default();
                all.chunks(piece).for_each(|it| tree.update(it));
                assert_eq!(tree.b3(), expected, "{n} bytes in pieces of {piece}");
                assert_eq!(tree.n_bytes(), n as u64);
            }
        }
    }

    /// The hash of the first bytes is asked for on the way, and changes nothing.
    #[test]
    fn hashes_of_first_bytes_are_told_on_the_way() {
        let all = bytes(20_000);
        let mut tree = Tree::default();
        for (idx, piece) in all.chunks(613).enumerate() {
            tree.update(piece);
            let end = all.len().min(613 * (idx + 1));
            assert_eq!(tree.b3(), blake3::hash(&all[..end]).to_hex().to_string(), "{end} bytes");
        }
    }

    #[test]
    fn subtrees_that_were_hashed_elsewhere_are_taken() {
        for n in LENGTHS {
            let all = bytes(n);
            for cut in [0, 1, 1024, 1500, 4096, 70_000] {
                let cut = cut.min(n as u64);
                let mut tree = Tree::default();
                for range in subtrees(0..cut).chain(subtrees(cut..n as u64)) {
                    let part = &all[range.start as usize..range.end as usize];
                    let n_part = range.end - range.start;
                    if subtree_bytes(range.start, n_part) == n_part && tree.takes(n_part) {
                        tree.update_hashed(chaining_value(range.start, part), n_part);
                    } else {
                        tree.update(part);
                    }
                }
                assert_eq!(tree.b3(), blake3::hash(&all).to_hex().to_string(), "{n} bytes cut at {cut}");
            }
        }
    }

    #[test]
    fn a_range_is_cut_into_what_a_tree_takes() {
        let cut = |range| subtrees(range).map(|it| it.end - it.start).collect::<Vec<_>>();
        assert_eq!(cut(0..1024), [1024]);
        assert_eq!(cut(0..5000), [1024, 1024, 2048, 904]);
        assert_eq!(cut(1000..5000), [24, 1024, 2048, 904]);
        assert_eq!(cut(4096..16_384), [4096, 8192]);
        assert_eq!(cut(10..20), [10]);
        assert_eq!(cut(7..7), [0u64; 0]);
    }
}
