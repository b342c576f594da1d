use std::sync::LazyLock;

/// What the round keys of this order are derived for. Another rule of the order has another context.
const CONTEXT: &str = "nodedata lanes/1";
/// Words of which the keys of anything are derived, at most.
const WORDS_MAX: usize = 8;

/// The context is hashed once for the process.
static DERIVATION: LazyLock<blake3::Hasher> = LazyLock::new(|| blake3::Hasher::new_derive_key(CONTEXT));

/// The finaliser of MurmurHash3, 64 bit: a bijection.
pub fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    x ^= x >> 33;
    x = x.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    x ^ (x >> 33)
}

/// Eight round keys, which make one permutation for every length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys([u64; 8]);

impl Keys {
    /// The keys that follow from up to eight words: BLAKE3 as key derivation over the words, little endian, of which 64 bytes are
    /// read as eight words, little endian.
    ///
    /// # Panics
    /// On more than eight words.
    pub fn of(words: &[u64]) -> Self {
        assert!(words.len() <= WORDS_MAX, "keys are derived of at most {WORDS_MAX} words");
        let mut material = [0; WORDS_MAX * 8];
        for (bytes, word) in material.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let mut hasher = DERIVATION.clone();
        hasher.update(&material[..words.len() * 8]);
        let mut output = [0; 64];
        hasher.finalize_xof().fill(&mut output);
        let mut keys = [0; 8];
        for (key, bytes) in keys.iter_mut().zip(output.chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            *key = u64::from_le_bytes(word);
        }
        Self(keys)
    }

    /// The round keys themselves.
    pub fn words(&self) -> &[u64; 8] {
        &self.0
    }

    /// Where `i` of `0..n` goes: a bijection of `0..n`. Eight Feistel rounds over the least even number of bits, again until the
    /// result is inside; fewer than four times on average.
    ///
    /// # Panics
    /// When `i` is not below `n`.
    pub fn permute(&self, n: u64, i: u64) -> u64 {
        assert!(i < n, "{i} is not below {n}");
        if n == 1 {
            return 0;
        }
        let half = Half::of(n);
        let mut i = i;
        loop {
            let (mut left, mut right) = (i >> half.bits, i & half.mask);
            for key in &self.0 {
                (left, right) = (right, left ^ (mix(right ^ key) & half.mask));
            }
            i = left << half.bits | right;
            if i < n {
                return i;
            }
        }
    }

    /// Replaces each place of `0..n` by the one that [`Self::permute`] takes there.
    ///
    /// All of them at once: nothing but the last place decides where one goes next, so the processor works on several side by side as
    /// long as no branch depends on them.
    ///
    /// # Panics
    /// When a place is not below `n`.
    pub fn unpermute_all(&self, n: u64, places: &mut [u64]) {
        assert!(places.iter().all(|it| *it < n), "all places are below {n}");
        if n <= 1 {
            return;
        }
        let half = Half::of(n);
        let mut outside: Vec<usize> = (0..places.len()).collect();
        while !outside.is_empty() {
            let mut n_outside = 0;
            for nth in 0..outside.len() {
                let idx = outside[nth];
                let place = self.unpermuted_once(half, places[idx]);
                places[idx] = place;
                outside[n_outside] = idx;
                n_outside += usize::from(place >= n);
            }
            outside.truncate(n_outside);
        }
    }

    /// The rounds of [`Self::permute`] backwards.
    fn unpermuted_once(&self, half: Half, i: u64) -> u64 {
        let (mut left, mut right) = (i >> half.bits, i & half.mask);
        for key in self.0.iter().rev() {
            (left, right) = (right ^ (mix(left ^ key) & half.mask), left);
        }
        left << half.bits | right
    }
}

/// How the bits of a place are halved.
#[derive(Clone, Copy)]
struct Half {
    bits: u32,
    mask: u64,
}

impl Half {
    /// That of `0..n`, which is more than one place.
    fn of(n: u64) -> Self {
        let bits = (u64::BITS - (n - 1).leading_zeros()).div_ceil(2);
        Self { bits, mask: (1 << bits) - 1 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_small_length_is_permuted() {
        for n in (1..40).chain([100, 255, 256, 257, 1000, 1025]) {
            let keys = Keys::of(&[7, n]);
            let mut places: Vec<u64> = (0..n).map(|i| keys.permute(n, i)).collect();
            let mut undone = places.clone();
            keys.unpermute_all(n, &mut undone);
            assert!(undone.into_iter().eq(0..n), "{n}");
            places.sort_unstable();
            assert!(places.into_iter().eq(0..n), "{n}");
        }
    }

    #[test]
    fn where_a_place_goes_is_even() {
        // As the reference counts it: 99.9 % of even choices are below these values of chi squared.
        for (n, chi_max) in [(2_u64, 10.8), (3, 13.8), (5, 18.5), (10, 27.9)] {
            let n_trials = 20_000_u64;
            let mut hits = vec![0_u64; n as usize];
            for trial in 0..n_trials {
                hits[Keys::of(&[trial, 42]).permute(n, 0) as usize] += 1;
            }
            let expected = n_trials as f64 / n as f64;
            let chi: f64 = hits.iter().map(|it| (*it as f64 - expected).powi(2) / expected).sum();
            assert!(chi < chi_max, "{n}: {chi}");
        }
    }

    proptest! {
        #[test]
        fn what_is_undone_is_as_before(seed: u64, n in 1_u64.., i: u64) {
            let (keys, i) = (Keys::of(&[seed]), i % n);
            let mut places = [i, n - 1, 0].map(|it| keys.permute(n, it));
            prop_assert!(places.iter().all(|it| *it < n));
            keys.unpermute_all(n, &mut places);
            prop_assert_eq!(places, [i, n - 1, 0]);
        }
    }
}
