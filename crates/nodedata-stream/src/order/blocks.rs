use std::{ops::Range, sync::Arc};

use nodedata_core::{Error, ErrorKind, Result};

use super::Samples;
use crate::selection::Unit;

/// The runs of samples that are fetched together. No block goes on in another episode, so the last one of an episode may be shorter.
#[derive(Debug)]
pub struct Blocks {
    samples: Arc<Samples>,
    /// Samples of a whole block.
    size: u64,
    /// Blocks before each episode that has samples, and behind the last one those of all. Empty where each block is one sample.
    starts: Vec<u64>,
}

impl Blocks {
    /// Cuts samples into blocks of `block` steps, or of one episode where that is the unit.
    ///
    /// # Errors
    /// `Config` for blocks of nothing, `Limit` where episodes are so many and so long that places on the line cannot be counted.
    pub fn new(samples: Arc<Samples>, block: u64) -> Result<Self> {
        if block == 0 {
            return Err(Error::new(ErrorKind::Config, "`block` is 0 samples").with_hint("give at least 1"));
        }
        // Longer blocks than the longest episode cut nothing either.
        let size = match samples.unit() {
            Unit::Step => block.min(samples.kept_lengths().max().unwrap_or(1)),
            Unit::Episode => 1,
        };
        let mut starts = Vec::new();
        if size > 1 {
            starts.reserve(samples.n_episodes() + 1);
            let mut n_blocks = 0;
            for length in samples.kept_lengths() {
                starts.push(n_blocks);
                n_blocks += length.div_ceil(size);
            }
            starts.push(n_blocks);
            if n_blocks.checked_mul(size).is_none() {
                let message = format!("{n_blocks} blocks of {size} samples are more than can be counted");
                return Err(Error::new(ErrorKind::Limit, message).with_hint("give a smaller `block`"));
            }
        }
        Ok(Self { samples, size, starts })
    }

    /// How many blocks there are.
    pub fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or_else(|| self.samples.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is cut.
    pub fn samples(&self) -> &Arc<Samples> {
        &self.samples
    }

    /// The samples of a block; `None` for a number that no block has. Takes the logarithm of the number of episodes.
    pub fn range(&self, block: u64) -> Option<Range<u64>> {
        if self.starts.is_empty() {
            return (block < self.samples.len()).then(|| block..block + 1);
        }
        let idx = self.starts.partition_point(|it| *it <= block).checked_sub(1)?;
        let end = self.samples.start_of(idx + 1)?;
        let first = self.samples.start_of(idx)? + (block - self.starts[idx]) * self.size;
        Some(first..end.min(first + self.size))
    }

    /// The block of a sample, and all samples of it; `None` for a number that no sample has. Takes the logarithm of the number of
    /// episodes.
    pub fn block_of(&self, sample: u64) -> Option<(u64, Range<u64>)> {
        if self.starts.is_empty() {
            return (sample < self.samples.len()).then(|| (sample, sample..sample + 1));
        }
        let idx = self.samples.idx_of(sample)?;
        let block = *self.starts.get(idx)? + (sample - self.samples.start_of(idx)?) / self.size;
        Some((block, self.range(block)?))
    }

    /// Samples of a whole block, which is no longer than the longest episode.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The blocks that are shorter than a whole one, rising, each with what it lacks.
    pub(super) fn short(&self) -> impl Iterator<Item = (u64, u64)> {
        // Blocks of one sample have no table, and none of them is short.
        let ends = self.starts.iter().skip(1);
        ends.zip(self.samples.kept_lengths()).filter_map(|(end, length)| {
            let rest = length % self.size;
            (rest > 0).then(|| (end - 1, self.size - rest))
        })
    }
}
