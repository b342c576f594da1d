//! The order `lanes/1`: which sample stands at which place of an epoch, by arithmetic alone. `docs/reference/lanes-1.md` is its
//! specification; what is here never changes, another rule gets another name.

mod blocks;
mod line;
mod permutation;
mod samples;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use line::Line;
use nodedata_core::{Error, ErrorKind, Result};

pub use blocks::Blocks;
pub use permutation::{Keys, mix};
pub use samples::{Located, Samples};

/// The name of the order, as states and plans say it.
pub const LANES: &str = "lanes/1";

/// What keys are derived for, told by a word.
pub(crate) mod purpose {
    /// The order of blocks on the line.
    pub(crate) const BLOCKS: u64 = 1;
    /// The order of samples in a window of a lane.
    pub(crate) const WINDOW: u64 = 2;
    /// The order of sources in a period of a mixture.
    pub(crate) const MIXTURE: u64 = 3;
}

/// How far samples are shuffled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    /// Parts of the line that are read side by side, one sample from each in turn.
    pub lanes: u64,
    /// Samples of a lane that are shuffled among each other.
    pub window: u64,
}

/// One epoch of a split: a bijection of places and samples.
///
/// Opening it reads nothing. Its work and its memory follow the number of episodes whose last block is short, never that of samples or
/// blocks, and any place can be asked for at any time.
#[derive(Debug)]
pub struct Order {
    n_samples: u64,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    /// Place `i` is sample `i`.
    AsNumbered,
    Lanes {
        line: Line,
        seed: u64,
        epoch: u64,
        lanes: Lanes,
        /// Samples that every lane has.
        whole: u64,
        /// Lanes from the first one on that have one more.
        longer: u64,
    },
}

impl Order {
    /// Samples as they are numbered.
    pub fn as_numbered(samples: &Samples) -> Self {
        Self { n_samples: samples.len(), rule: Rule::AsNumbered }
    }

    /// The shuffled samples of one epoch.
    ///
    /// # Errors
    /// `Config` for no lanes or more than there are samples, and for windows of nothing.
    pub fn shuffled(blocks: Arc<Blocks>, seed: u64, epoch: u64, lanes: Lanes) -> Result<Self> {
        let n_samples = blocks.samples().len();
        lanes.check(n_samples)?;
        let (whole, longer) = (n_samples / lanes.lanes, n_samples % lanes.lanes);
        let line = Line::new(blocks, Keys::of(&[seed, epoch, purpose::BLOCKS]));
        Ok(Self { n_samples, rule: Rule::Lanes { line, seed, epoch, lanes, whole, longer } })
    }

    /// How many samples, and so places, an epoch has.
    pub fn len(&self) -> u64 {
        self.n_samples
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n_samples == 0
    }

    /// The sample at a place; `None` for one behind the last.
    pub fn sample(&self, place: u64) -> Option<u64> {
        if place >= self.n_samples {
            return None;
        }
        let (line, seed, epoch, lanes, whole, longer) = match &self.rule {
            Rule::AsNumbered => return Some(place),
            Rule::Lanes { line, seed, epoch, lanes, whole, longer } => {
                (line, *seed, *epoch, *lanes, *whole, *longer)
            }
        };
        let (lane, in_lane) = (place % lanes.lanes, place / lanes.lanes);
        let lane_start = lane * whole + lane.min(longer);
        let lane_len = whole + u64::from(lane < longer);
        let window = in_lane / lanes.window;
        // No overflow: not behind `in_lane`.
        let window_start = window * lanes.window;
        let window_len = lanes.window.min(lane_len - window_start);
        let keys = Keys::of(&[seed, epoch, purpose::WINDOW, lane, window]);
        line.sample(lane_start + window_start + keys.permute(window_len, in_lane - window_start))
    }
}

impl Lanes {
    /// Whether these are lanes of so many samples.
    ///
    /// # Errors
    /// `Config` for no lanes or more than there are samples, and for windows of nothing.
    pub fn check(&self, n_samples: u64) -> Result<()> {
        let mistake = |message: String, hint: &str| {
            Err(Error::new(ErrorKind::Config, message).with_hint(hint.to_owned()))
        };
        if self.lanes == 0 {
            return mistake("`lanes` is 0".to_owned(), "give at least 1");
        }
        if self.lanes > n_samples.max(1) {
            let message = format!("`lanes` is {}, and there are {n_samples} samples", self.lanes);
            return mistake(message, "give fewer lanes, or leave them out");
        }
        if self.window == 0 {
            return mistake("the window of a lane is 0 samples".to_owned(), "give at least 1");
        }
        Ok(())
    }
}
