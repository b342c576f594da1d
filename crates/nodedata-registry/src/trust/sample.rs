//! Which bytes of a revision are read where not all of them are.

use std::ops::Range;

use nodedata_core::{Error, ErrorKind, Result};

use crate::{digest::B3, tree::GRAIN_BYTES};

/// How much of a revision is read and hashed, and which part that is.
///
/// Of each shard the share of its grains of 256 KiB is drawn, rounded up: at least one. All other files, such as tables and the card, are
/// read whole. The shard is cut into as many stretches of neighbouring grains as are drawn, and of each stretch one grain is, so that
/// what is read lies everywhere in it. The draw follows from the digest of the manifest, that of the shard and the seed: two runs with
/// one seed read the same bytes, and each grain is drawn by some seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByteSample {
    share: f64,
    seed: u64,
}

impl Default for ByteSample {
    /// No bytes.
    fn default() -> Self {
        Self::NONE
    }
}

impl ByteSample {
    /// No bytes: only whether each blob is there, as long as it should be.
    pub const NONE: Self = Self { share: 0.0, seed: 0 };
    /// Every byte, and what rows and tables say of each other.
    pub const ALL: Self = Self { share: 1.0, seed: 0 };

    /// A share from 0 to 1 of the bytes of each shard.
    ///
    /// # Errors
    /// `Config` for what is no share.
    pub fn of(share: f64, seed: u64) -> Result<Self> {
        if (0.0..=1.0).contains(&share) {
            return Ok(Self { share, seed });
        }
        let hint = "give a number from 0 (whether all blobs are there) to 1 (every byte)";
        Err(Error::new(ErrorKind::Config, format!("the sample is {share}")).with_hint(hint))
    }

    /// Whether nothing is read.
    pub fn is_none(&self) -> bool {
        self.share <= 0.0
    }

    /// Whether everything is.
    pub fn is_all(&self) -> bool {
        self.share >= 1.0
    }

    /// The grains of a shard that are drawn, as ranges of its bytes, rising.
    pub(super) fn grains(&self, manifest: &B3, shard: &B3, n_bytes: u64) -> impl Iterator<Item = Range<u64>> {
        let n_grains = n_bytes.div_ceil(GRAIN_BYTES);
        // Rounded up as a float: a blob has fewer grains than a float has whole numbers.
        let n_drawn = ((n_grains as f64 * self.share).ceil() as u64).clamp(1, n_grains.max(1)).min(n_grains);
        let mut numbers = blake3::Hasher::new_derive_key("nodedata verify sample/1")
            .update(&manifest.0)
            .update(&shard.0)
            .update(&self.seed.to_le_bytes())
            .finalize_xof();
        // Without overflow: at most 2^45 grains, and no more stretches than that.
        let edge = move |it: u64| (u128::from(it) * u128::from(n_grains) / u128::from(n_drawn.max(1))) as u64;
        (0..n_drawn).map(move |nth| {
            let mut word = [0; 8];
            numbers.fill(&mut word);
            let (start, end) = (edge(nth), edge(nth + 1));
            let grain = start + u64::from_le_bytes(word) % (end - start).max(1);
            grain * GRAIN_BYTES..((grain + 1) * GRAIN_BYTES).min(n_bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn drawn(share: f64, seed: u64, n_bytes: u64) -> Vec<u64> {
        let sample = ByteSample::of(share, seed).unwrap();
        let grains: Vec<_> = sample.grains(&B3::of(b"manifest"), &B3::of(b"shard"), n_bytes).collect();
        for it in &grains {
            assert!(it.start.is_multiple_of(GRAIN_BYTES) && it.start < it.end && it.end <= n_bytes, "{it:?}");
            assert!(it.end - it.start == GRAIN_BYTES || it.end == n_bytes, "{it:?}");
        }
        let numbers: Vec<u64> = grains.into_iter().map(|it| it.start / GRAIN_BYTES).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        numbers
    }

    #[test]
    fn as_many_grains_are_drawn_as_the_share_says_and_one_at_least() {
        let n_bytes = 100 * GRAIN_BYTES - 7;
        for (share, n_grains) in [(0.001, 1), (0.1, 10), (0.101, 11), (0.999, 100), (1.0, 100)] {
            assert_eq!(drawn(share, 0, n_bytes).len(), n_grains, "{share}");
        }
        assert_eq!(drawn(0.1, 0, 5), [0]);
        assert_eq!(drawn(0.1, 0, GRAIN_BYTES), [0]);
        assert!(drawn(0.1, 0, 0).is_empty());
        // One of each stretch.
        assert!(drawn(0.1, 3, n_bytes).iter().zip(0..).all(|(it, tenth)| it / 10 == tenth));
    }

    #[test]
    fn a_seed_always_draws_the_same_and_others_draw_the_rest() {
        let n_bytes = 20 * GRAIN_BYTES;
        assert_eq!(drawn(0.2, 7, n_bytes), drawn(0.2, 7, n_bytes));
        let other = ByteSample::of(0.2, 7).unwrap();
        let other: Vec<_> = other.grains(&B3::of(b"other"), &B3::of(b"shard"), n_bytes).collect();
        let same = ByteSample::of(0.2, 7).unwrap();
        let same: Vec<_> = same.grains(&B3::of(b"manifest"), &B3::of(b"shard"), n_bytes).collect();
        assert_ne!(other, same, "the manifest is part of the draw");
        let all: BTreeSet<u64> = (0..100).flat_map(|seed| drawn(0.2, seed, n_bytes)).collect();
        assert_eq!(all, (0..20).collect());
    }

    #[test]
    fn only_shares_are_taken() {
        for share in [-0.1, 1.0001, f64::NAN, f64::INFINITY] {
            let err = ByteSample::of(share, 0).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Config, "{share}");
            assert!(err.hint().is_some());
        }
        assert!(ByteSample::of(0.0, 1).unwrap().is_none() && ByteSample::of(1.0, 1).unwrap().is_all());
        assert!(ByteSample::default().is_none());
    }
}
