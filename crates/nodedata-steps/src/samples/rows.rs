use std::ops::Range;

use arrow_array::ArrayRef;
use nodedata_core::{Columns, LeafId, RowSpan, StreamId};

use crate::STEPS;

/// Position of the built-in column.
const STEP_INDEX: LeafId = LeafId(0);

/// Bytes of a batch at most, whatever is asked for: with the longest record behind it stays below what its offsets count.
const BATCH_BYTES_MAX: usize = 256 << 20;
/// Rows of a batch at most, however narrow they are.
const BATCH_ROWS_MAX: usize = 1 << 20;
/// Rows, and bytes of their records, between two looks at how many bytes the columns hold.
const ROWS_PER_SIZE_CHECK: usize = 64;
const BYTES_PER_SIZE_CHECK: u64 = 1 << 20;

/// The rows of a partition since the last batch, and where they come from. The first column is the step index.
#[derive(Debug)]
pub struct SampleRows {
    columns: Columns,
    input: usize,
    batch_bytes_max: usize,
    /// Records of the episode before the partition.
    first_row: u64,
    spans: Vec<RowSpan>,
    /// Whether the next row goes on where the last span ends.
    is_adjacent: bool,
    records_read: [(StreamId, u64); 1],
    /// Rows and bytes of records since the last look at the columns.
    unchecked: (usize, u64),
}

/// Where a record lies in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPlace {
    /// The bytes that it is made of, or the chunk of several that it is in.
    pub byte_range: Range<u64>,
    /// Which of the records it is that share these bytes, where several do.
    pub position: Option<u64>,
}

impl RecordPlace {
    /// Of a record that has bytes of its own.
    pub fn alone(byte_range: Range<u64>) -> Self {
        Self { byte_range, position: None }
    }
}

impl SampleRows {
    pub(super) fn new(columns: Columns, input: usize, first_row: u64, batch_bytes_max: usize) -> Self {
        Self {
            columns,
            input,
            batch_bytes_max: batch_bytes_max.min(BATCH_BYTES_MAX),
            first_row,
            spans: Vec::new(),
            is_adjacent: false,
            records_read: [(STEPS, 0)],
            unchecked: (0, 0),
        }
    }

    /// Position in the episode of the next record that belongs to the partition.
    pub fn next_row(&self) -> u64 {
        self.first_row + self.records_read[0].1
    }

    /// Passes over a record that does not belong to the partition.
    pub fn skip(&mut self) {
        self.is_adjacent = false;
    }

    /// Counts a record and makes a row of it, or nothing where `fill` fails. `n_bytes` is about how many bytes its values have.
    /// `fill` pushes all columns but the step index.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn push<E>(
        &mut self,
        place: RecordPlace,
        n_bytes: u64,
        fill: impl FnOnce(&mut Columns) -> Result<(), E>,
    ) -> Result<(), E> {
        let row = self.next_row();
        self.records_read[0].1 += 1;
        self.columns.push_le(STEP_INDEX, &row.to_le_bytes());
        if let Err(err) = fill(&mut self.columns) {
            self.columns.abort_row();
            self.is_adjacent = false;
            return Err(err);
        }
        self.columns.end_row();
        self.unchecked = (self.unchecked.0 + 1, self.unchecked.1.saturating_add(n_bytes));
        let RecordPlace { byte_range, position } = place;
        let goes_on = |span: &&mut RowSpan| match position {
            None => self.is_adjacent,
            Some(position) => span.byte_range == byte_range && span.first_record + span.n_rows == position,
        };
        match self.spans.last_mut().filter(goes_on) {
            Some(span) => {
                span.n_rows += 1;
                span.byte_range.end = byte_range.end;
            }
            None => {
                let first_record = position.unwrap_or(0);
                self.spans.push(RowSpan { input: self.input, n_rows: 1, byte_range, first_record });
            }
        }
        self.is_adjacent = true;
        Ok(())
    }

    pub(super) fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }

    pub(super) fn is_full(&mut self) -> bool {
        if BATCH_ROWS_MAX <= self.columns.n_rows() {
            return true;
        }
        let (n_rows, n_bytes) = self.unchecked;
        let bytes_max = BYTES_PER_SIZE_CHECK.min(self.batch_bytes_max as u64);
        if n_rows < ROWS_PER_SIZE_CHECK && n_bytes < bytes_max {
            return false;
        }
        self.unchecked = (0, 0);
        self.batch_bytes_max <= self.columns.n_bytes()
    }

    /// The rows so far and where they come from; `None` when there are none.
    pub(super) fn take(&mut self) -> Option<(Vec<ArrayRef>, Vec<RowSpan>)> {
        if self.columns.n_rows() == 0 {
            return None;
        }
        self.unchecked = (0, 0);
        self.is_adjacent = false;
        Some((self.columns.finish(), std::mem::take(&mut self.spans)))
    }
}
