/// Marsaglia's xorshift64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ seed)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }

    /// Puts some things in another order.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for idx in (1..things.len()).rev() {
            things.swap(idx, self.below(idx as u64 + 1) as usize);
        }
    }
}
