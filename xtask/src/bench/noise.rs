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

    /// Random bytes.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
    }

    /// A number in -1..1.
    pub(super) fn signed_unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// A number around 0 with a deviation of 1, nearly normal: the sum of four even ones.
    pub(super) fn normal(&mut self) -> f64 {
        // Four numbers of 16 bit, whose sum has a mean of 2 × 65535 and a deviation of 65536 / √3.
        const DEVIATION: f64 = 65_536.0 / 1.732_050_807_568_877_2;
        let bits = self.next();
        let sum: u64 = (0..4).map(|it| bits >> (16 * it) & 0xffff).sum();
        (sum as f64 - 131_070.0) / DEVIATION
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

    #[test]
    fn normal_numbers_have_their_mean_and_deviation() {
        let mut noise = Noise::new(7);
        let all: Vec<f64> = (0..100_000).map(|_| noise.normal()).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / all.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean}, {variance}");
    }
}
