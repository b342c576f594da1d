//! Seeded damage, for the tests that do on a stable compiler what the fuzz targets do: a failure comes back.

/// Marsaglia's xorshift64 with a seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts a sequence of its own.
    ///
    /// # Panics
    /// When the seed is 0, the one state that the generator never leaves.
    pub fn new(seed: u64) -> Self {
        assert_ne!(seed, 0, "a seed of 0 gives zeros");
        Self(seed)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }

    /// Does to the bytes up to four of the things that happen to files: they are cut, bits flip, numbers and lengths
    /// lie, parts are missing or come twice.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            self.damage_once(bytes);
        }
    }

    fn damage_once(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            bytes.push(self.below(256) as u8);
            return;
        }
        let at = self.below(bytes.len());
        let n_left = bytes.len() - at;
        match self.below(8) {
            0 => bytes.truncate(at),
            1 | 2 => bytes[at] ^= 1 << self.below(8),
            3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, self.below(256) as u8][self.below(6)],
            4 => {
                let value = [0, 1, 0x7fff_ffff, u32::MAX, 0x0100_0000][self.below(5)];
                overwrite(bytes, at, &value.to_le_bytes());
            }
            5 => {
                let value = [0, 9, 1 << 62, u64::MAX, bytes.len() as u64][self.below(5)];
                overwrite(bytes, at, &value.to_le_bytes());
            }
            6 => drop(bytes.drain(at..at + self.below(n_left.min(64) + 1))),
            _ => {
                let copy = bytes[at..at + self.below(n_left.min(1024) + 1)].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
}

/// As much of `value` as there is room for.
fn overwrite(bytes: &mut [u8], at: usize, value: &[u8]) {
    let n = value.len().min(bytes.len() - at);
    bytes[at..at + n].copy_from_slice(&value[..n]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_of_every_kind_and_comes_back() {
        let whole: Vec<u8> = (0..=255).collect();
        let damaged = |seed| {
            let mut random = Random::new(seed);
            let mut one = || {
                let mut bytes = whole.clone();
                random.damage(&mut bytes);
                bytes
            };
            (0..200).map(|_| one()).collect::<Vec<_>>()
        };
        let found = damaged(7);
        assert_eq!(found, damaged(7));
        assert!(found.iter().filter(|it| **it != whole).count() > 150);
        for is_met in [|n: usize| n < 256, |n| n == 256, |n| n > 256] {
            assert!(found.iter().any(|it| is_met(it.len())));
        }
    }
}
