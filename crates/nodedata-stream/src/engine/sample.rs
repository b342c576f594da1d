use std::ops::Range;

use nodedata_core::Result;
use nodedata_reader::Column;

/// A sample: a whole episode, or a step with the windows that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Which source it is of.
    pub source: usize,
    /// In which of that one's epochs.
    pub epoch: u64,
    /// Its episode, as the row of the split's table of episodes.
    pub episode: usize,
    /// Steps of the episode that it holds: one, or all that are kept of it.
    pub steps: Range<u64>,
    /// Its step, where samples are steps.
    pub step: Option<u64>,
    /// Its place in the pass, counted over all ranks.
    pub place: u64,
    /// Whether it was in this pass before, and fills up the last batch.
    pub is_repeat: bool,
    /// What it holds, in the order in which fields were asked for.
    pub fields: Vec<SampleField>,
}

/// The values of one field of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleField {
    /// The values, with [`Self::n_rows`] rows.
    pub column: Column,
    /// Rows of the column: the steps of the episode, those of the window, or the one of the sample.
    pub n_rows: usize,
    /// Where the window leaves the episode, for each of its steps; `None` for a field without a window. What stands
    /// there counts as a value: `valid` of the column tells of nulls in the data alone.
    pub pad: Option<Vec<bool>>,
}

/// What [`crate::Stream::next_within`] has.
#[derive(Debug)]
pub enum Polled {
    /// The next sample, or what is wrong with it.
    Ready(Result<Sample>),
    /// It is not ready yet.
    Waiting,
    /// There are no more in this pass.
    Done,
}

impl Sample {
    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&SampleField> {
        self.fields.iter().find(|it| *it.column.name == *name)
    }

    /// Bytes of all values in memory.
    pub fn n_bytes(&self) -> u64 {
        let of_field =
            |it: &SampleField| it.column.n_bytes() + it.pad.as_ref().map_or(0, |pad| pad.len() as u64);
        self.fields.iter().map(of_field).sum()
    }
}
