/// A small generator of random numbers: the same inputs on every machine, and no dependency.
pub(super) struct Noise(u64);

impl Noise {
    /// Starts a sequence of its own.
    pub(super) fn new(seed: u64) -> Self {
        // Zero is the one state that xorshift never leaves.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 64 random bits (xorshift64*).
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in -1..1.
    pub(super) fn signed_unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_range_and_repeat() {
        let mut noise = Noise::new(7);
        let first: Vec<f64> = (0..1000).map(|_| noise.signed_unit()).collect();
        assert!(first.iter().all(|it| (-1.0..1.0).contains(it)));
        assert!(first.iter().any(|it| *it < -0.5) && first.iter().any(|it| *it > 0.5));
        let mut again = Noise::new(7);
        assert_eq!(first[0], again.signed_unit());
    }
}
