use std::sync::Arc;

use super::{Blocks, Keys};

/// Blocks in their permuted order, end to end.
///
/// All blocks are equally long but those that end an episode, so these alone decide where on the line each block begins: what is kept
/// are their ends on the line, sixteen bytes for each episode whose last block is short. Nothing grows with the number of blocks.
#[derive(Debug)]
pub(super) struct Line {
    blocks: Arc<Blocks>,
    keys: Keys,
    /// Where each short block ends on the line, rising.
    ends: Vec<u64>,
    /// What the short blocks lack of whole ones: before each, and behind the last one that of all.
    lacks: Vec<u64>,
}

impl Line {
    pub(super) fn new(blocks: Arc<Blocks>, keys: Keys) -> Self {
        let size = blocks.size();
        let (mut short, each): (Vec<u64>, Vec<u64>) = blocks.short().unzip();
        keys.unpermute_all(blocks.len(), &mut short);
        // Place and lack in one word, which sorts twice as fast as a pair. It is less than blocks times size, which was checked.
        for (place, lack) in short.iter_mut().zip(each) {
            *place = *place * size + lack;
        }
        short.sort_unstable();
        let mut lacks = Vec::with_capacity(short.len() + 1);
        let mut lacking = 0;
        lacks.push(lacking);
        for word in &mut short {
            let lack = *word % size;
            lacking += lack;
            lacks.push(lacking);
            // From the place to its end, if nothing lacked, and then what does.
            *word = *word - lack + size - lacking;
        }
        let ends = short;
        Self { blocks, keys, ends, lacks }
    }

    /// The sample at a place of the line, which is one. Takes the logarithm of the number of episodes.
    pub(super) fn sample(&self, at: u64) -> Option<u64> {
        let n_short = self.ends.partition_point(|it| *it <= at);
        // Where it would lie if all blocks were whole.
        let whole = at.checked_add(*self.lacks.get(n_short)?)?;
        let (place, offset) = (whole / self.blocks.size(), whole % self.blocks.size());
        let n_blocks = self.blocks.len();
        let block = (place < n_blocks).then(|| self.keys.permute(n_blocks, place))?;
        let range = self.blocks.range(block)?;
        Some(range.start + offset)
    }
}
