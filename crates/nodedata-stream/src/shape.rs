use crate::{Lanes, Unit};

/// Bytes of a block, about.
const BLOCK_BYTES: u64 = 8 << 20;
/// Bytes of all samples among which one is chosen, about. A set of no more is shuffled as a whole.
const SHUFFLED_BYTES: u64 = 2 << 30;
/// Lanes of a set that is not shuffled as a whole.
const LANES: u64 = 64;
/// Blocks and windows are powers of two from the first to the last of these.
const LEAST: u64 = 64;
const MOST: u64 = 65_536;

/// How much a sample holds, which the manifest alone tells: whatever is left out changes nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of the split's shards.
    pub shard_bytes: u64,
    /// Rows of the split's shards.
    pub n_rows: u64,
    /// Episodes of the split.
    pub n_episodes: u64,
}

impl Extent {
    /// Bytes of one sample: those of the shards by the number of samples, at least one.
    pub fn sample_bytes(&self, unit: Unit) -> u64 {
        let n_samples = match unit {
            Unit::Step => self.n_rows,
            Unit::Episode => self.n_episodes,
        };
        (self.shard_bytes / n_samples.max(1)).max(1)
    }
}

/// Samples of a block where nobody says how many.
pub(crate) fn block(sample_bytes: u64, unit: Unit) -> u64 {
    match unit {
        Unit::Step => power_of_two(BLOCK_BYTES / sample_bytes),
        Unit::Episode => 1,
    }
}

/// Lanes and windows where nobody says them, or says one of them.
pub(crate) fn lanes(n_samples: u64, sample_bytes: u64, lanes: Option<u64>, window: Option<u64>) -> Lanes {
    let is_small = n_samples.checked_mul(sample_bytes).is_some_and(|it| it <= SHUFFLED_BYTES);
    if is_small && lanes.is_none() {
        return Lanes { lanes: 1, window: window.unwrap_or(n_samples.max(1)) };
    }
    let lanes = lanes.unwrap_or(LANES.min(n_samples));
    let window = window.unwrap_or_else(|| {
        power_of_two(lanes.checked_mul(sample_bytes).map_or(0, |bytes| SHUFFLED_BYTES / bytes.max(1)))
    });
    Lanes { lanes, window }
}

/// The greatest power of two that is not above `n`, of those allowed.
fn power_of_two(n: u64) -> u64 {
    1 << n.clamp(LEAST, MOST).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_two_gibibytes_is_shuffled_as_a_whole() {
        let of = |n_samples, bytes| {
            let Lanes { lanes: n_lanes, window } = lanes(n_samples, bytes, None, None);
            (n_lanes, window)
        };
        assert_eq!(of(1 << 20, 2048), (1, 1 << 20));
        assert_eq!(of((1 << 20) + 1, 2048), (64, 16_384));
        // Where windows can be no smaller, memory gives way, and where they need be no larger.
        assert_eq!(of(100_000_000, 54_000), (64, 512));
        assert_eq!(of(1_000_000, 10 << 20), (64, 64));
        assert_eq!(of(u64::MAX >> 2, 1), (64, 65_536));
        assert_eq!(of(0, 1), (1, 1));
        // Fewer samples than lanes: whole episodes of a gibibyte each.
        assert_eq!(of(10, 1 << 30), (10, 64));
    }

    #[test]
    fn what_is_said_is_kept_and_the_rest_follows() {
        assert_eq!(lanes(1000, 1000, Some(8), None), Lanes { lanes: 8, window: 65_536 });
        assert_eq!(lanes(1000, 1000, None, Some(10)), Lanes { lanes: 1, window: 10 });
        assert_eq!(lanes(1 << 40, 1 << 20, Some(256), None), Lanes { lanes: 256, window: 64 });
        assert_eq!(lanes(1 << 40, 1 << 20, None, Some(3)), Lanes { lanes: 64, window: 3 });
        // Not a number of lanes: the order says so, nothing divides by it.
        assert_eq!(lanes(9, 9, Some(0), None).lanes, 0);
    }

    #[test]
    fn blocks_are_of_eight_mebibytes() {
        assert_eq!(block(54_000, Unit::Step), 128);
        assert_eq!(block(1, Unit::Step), 65_536);
        assert_eq!(block(u64::MAX, Unit::Step), 64);
        assert_eq!(block(54_000, Unit::Episode), 1);
    }

    #[test]
    fn a_sample_holds_what_the_manifest_tells() {
        let extent = Extent { shard_bytes: 1000, n_rows: 30, n_episodes: 3 };
        assert_eq!((extent.sample_bytes(Unit::Step), extent.sample_bytes(Unit::Episode)), (33, 333));
        let empty = Extent { shard_bytes: 0, n_rows: 0, n_episodes: 0 };
        assert_eq!((empty.sample_bytes(Unit::Step), empty.sample_bytes(Unit::Episode)), (1, 1));
    }
}
