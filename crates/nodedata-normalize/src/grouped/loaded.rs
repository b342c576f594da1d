use std::ops::Range;

use arrow_array::{cast::AsArray, types::Int64Type};
use nodedata_core::{Batch, Error, ErrorKind, Finding, InputRange, ReadOptions, Result, STEP_INDEX, Source};

use crate::waiting::Decoded;

/// A partition of samples, decoded.
#[derive(Debug, Default)]
pub(super) struct LoadedSamples {
    pub(super) batches: Vec<Batch>,
    /// By batch, from the number of its first row to that behind its last one.
    numbers: Vec<Range<u64>>,
    /// What could not be read, in order; the rest is there.
    pub(super) damage: Vec<Damage>,
    /// Records that framing counted, those lost included.
    pub(super) n_read: u64,
    pub(super) warnings: Vec<Finding>,
    /// Bytes beside the partition's own that decided rows.
    pub(super) looked_at: Vec<InputRange>,
    n_bytes: usize,
}

/// What could not be read of a partition.
#[derive(Debug)]
pub(super) struct Damage {
    /// Batches before it.
    pub(super) n_batches: usize,
    /// The number behind that of the last row before it; 0 where there is none.
    pub(super) at: u64,
    pub(super) err: Error,
}

impl Damage {
    /// Records that it says are lost.
    pub(super) fn n_lost(&self) -> u64 {
        self.err.loss().map_or(0, |it| it.records.iter().map(|it| it.1).sum())
    }
}

impl LoadedSamples {
    /// Decodes a partition.
    ///
    /// # Errors
    /// What ends the reading; damage that leaves the rest readable is listed instead.
    pub(super) fn load(source: &dyn Source, partition: usize) -> Result<Self> {
        let mut loaded = Self::default();
        let mut reading = source.read(partition, &ReadOptions::default())?;
        loop {
            match reading.next_batch() {
                Ok(Some(batch)) => {
                    let columns = batch.rows.columns().iter();
                    loaded.n_bytes +=
                        columns.map(|it| it.to_data().get_slice_memory_size().unwrap_or(0)).sum::<usize>();
                    let numbers = numbers_of(&batch, loaded.end());
                    loaded.numbers.push(numbers);
                    loaded.batches.push(batch);
                }
                Ok(None) => break,
                // A sound row has its place once the source is opened another way.
                Err(err) if err.loss().is_some() && err.kind() != ErrorKind::Misfit => {
                    let (n_batches, at) = (loaded.batches.len(), loaded.end());
                    loaded.damage.push(Damage { n_batches, at, err });
                }
                Err(err) => return Err(err),
            }
        }
        loaded.n_read = reading.records_read().iter().map(|it| it.1).sum();
        loaded.warnings = reading.warnings().to_vec();
        loaded.looked_at = reading.looked_at().to_vec();
        Ok(loaded)
    }

    /// The number behind that of the last row so far.
    fn end(&self) -> u64 {
        self.numbers.last().map_or(0, |it| it.end)
    }

    /// Rows, without those that could not be read.
    pub(super) fn n_rows(&self) -> u64 {
        self.batches.iter().map(|it| it.rows.num_rows() as u64).sum()
    }

    /// The rows of some numbers: the batches that have any, by position, and which of their rows.
    pub(super) fn positions(&self, rows: &Range<u64>) -> impl Iterator<Item = (usize, &Batch, Range<usize>)> {
        let Range { start, end } = *rows;
        let first = self.numbers.partition_point(|it| it.end <= start);
        let near = self.numbers.iter().zip(&self.batches).enumerate().skip(first);
        let near = near.take_while(move |(_, (numbers, _))| numbers.start < end);
        near.filter_map(move |(idx, (_, batch))| {
            let numbers = row_numbers(batch)?;
            let before = |end: u64| numbers.partition_point(|it| u64::try_from(*it).is_ok_and(|it| it < end));
            let positions = before(start)..before(end);
            (!positions.is_empty()).then_some((idx, batch, positions))
        })
    }
}

/// From the number of a batch's first row to that behind its last one; `end` is that behind the rows before it.
fn numbers_of(batch: &Batch, end: u64) -> Range<u64> {
    let numbers = row_numbers(batch).unwrap_or_default();
    let number = |it: Option<&i64>| it.and_then(|it| u64::try_from(*it).ok());
    let start = number(numbers.first()).unwrap_or(end);
    start..number(numbers.last()).map_or(start, |it| it.saturating_add(1))
}

/// The numbers of rows in their file, ascending.
pub(super) fn row_numbers(batch: &Batch) -> Option<&[i64]> {
    let numbers = batch.rows.column_by_name(STEP_INDEX)?.as_primitive_opt::<Int64Type>()?;
    Some(numbers.values())
}

impl Decoded for LoadedSamples {
    fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Damage is in it by its place: each part tells its own, and of a copy.
    fn may_wait(&self) -> bool {
        true
    }
}
