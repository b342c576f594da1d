use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use nodedata_core::{
    Batch, Columns, EpisodeStream, Error, ErrorKind, LeafId, Locus, Loss, ReadAt, ReadOptions, Result,
    RowSpan, StreamId,
};
use nodedata_message::Pixels;
use nodedata_steps::{SALVAGE_HINT, STEPS};

use crate::{
    deal::split_of,
    lines::{Line, Lines},
    record::{Flaw, check, diagnosed, record_of},
    source::{Opened, Part},
};

const STEP_INDEX: LeafId = LeafId(0);

/// Bytes of a batch at most, whatever is asked for: with the longest line behind it stays below what its offsets count.
const BATCH_BYTES_MAX: usize = 256 << 20;
/// Rows of a batch at most, however narrow they are.
const BATCH_ROWS_MAX: usize = 1 << 20;
/// Rows, and bytes of their lines, between two looks at how many bytes the columns hold.
const ROWS_PER_SIZE_CHECK: usize = 64;
const BYTES_PER_SIZE_CHECK: usize = 1 << 20;

/// The rows of one partition.
pub(crate) struct RecordStream {
    source: Arc<Opened>,
    part: Part,
    lines: Lines,
    batch_bytes_max: usize,
    /// Number of the next line.
    line_number: u64,
    columns: Columns,
    spans: Vec<RowSpan>,
    /// Whether the next row goes on where the last span ends.
    is_adjacent: bool,
    pixels: Pixels,
    records_read: [(StreamId, u64); 1],
    /// Rows and bytes of lines since the last look at the columns.
    unchecked: (usize, usize),
    /// Damage behind the rows that were handed out.
    pending: Option<Error>,
}

impl RecordStream {
    pub(crate) fn new(source: Arc<Opened>, part: Part, file: Arc<dyn ReadAt>, options: &ReadOptions) -> Self {
        let lines = Lines::within(file, part.byte_range.clone(), source.line_bytes_max);
        let columns = Columns::new(Arc::clone(&source.table.layout));
        Self {
            line_number: part.first_line,
            source,
            part,
            lines,
            batch_bytes_max: options.batch_bytes_max.min(BATCH_BYTES_MAX),
            columns,
            spans: Vec::new(),
            is_adjacent: false,
            pixels: Pixels::default(),
            records_read: [(STEPS, 0)],
            unchecked: (0, 0),
            pending: None,
        }
    }

    /// Takes the next line in. Tells whether there was one.
    fn step(&mut self) -> Result<bool> {
        let path = &self.source.plan.inputs[self.part.input].path;
        let Some(line) = self.lines.next_line().map_err(|err| err.at(Locus::path(path)))? else {
            return Ok(false);
        };
        let number = self.line_number;
        self.line_number += 1;
        let record = record_of(&line);
        if record.is_empty() {
            return Ok(true);
        }
        let deal = self.source.deal.as_ref().zip(self.part.split);
        if deal.is_some_and(|(deal, split)| split_of(deal, record) != split) {
            self.is_adjacent = false;
            return Ok(true);
        }
        let step = self.part.first_record + self.records_read[0].1;
        self.records_read[0].1 += 1;
        if let Err(flaw) = self.push(&line, record, step) {
            self.is_adjacent = false;
            return Err(self.lost(&line, number, step, flaw));
        }
        match self.spans.last_mut().filter(|_| self.is_adjacent) {
            Some(span) => {
                span.n_rows += 1;
                span.byte_range.end = line.byte_range.end;
            }
            None => self.spans.push(RowSpan {
                input: self.part.input,
                n_rows: 1,
                byte_range: line.byte_range.clone(),
                first_record: 0,
            }),
        }
        self.is_adjacent = true;
        self.unchecked = (self.unchecked.0 + 1, self.unchecked.1 + record.len());
        Ok(true)
    }

    fn push(&mut self, line: &Line, record: &[u8], step: u64) -> Result<(), Flaw> {
        check(line, record, self.source.line_bytes_max)?;
        let decoder = &self.source.table.decoder;
        if decoder.is_opaque() {
            is_json(line, record)?;
        }
        self.columns.push_le(STEP_INDEX, &(step as i64).to_le_bytes());
        match decoder.decode(record, &mut self.columns, &mut self.pixels) {
            Ok(_) => {
                self.columns.end_row();
                Ok(())
            }
            Err(err) => {
                self.columns.abort_row();
                Err(diagnosed(line, record, &err))
            }
        }
    }

    /// A line that is no row: one record is lost.
    fn lost(&self, line: &Line, number: u64, step: u64, flaw: Flaw) -> Error {
        let position = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
        let at = Locus {
            line_column: Some((position(number), position(flaw.column as u64))),
            byte_offset: Some(line.byte_range.start),
            step_idx: Some(step),
            ..Locus::path(&self.source.plan.inputs[self.part.input].path)
        };
        let reason = if flaw.kind == ErrorKind::Limit { "over_limit" } else { "undecodable" };
        Error::new(flaw.kind, flaw.message).at(at).with_hint(SALVAGE_HINT).with_loss(Loss {
            byte_range: Some(line.byte_range.clone()),
            records: vec![(STEPS, 1)],
            uncounted: false,
            reason,
        })
    }

    fn is_full(&mut self) -> bool {
        if BATCH_ROWS_MAX <= self.columns.n_rows() {
            return true;
        }
        let (n_rows, n_bytes) = self.unchecked;
        if n_rows < ROWS_PER_SIZE_CHECK && n_bytes < BYTES_PER_SIZE_CHECK.min(self.batch_bytes_max) {
            return false;
        }
        self.unchecked = (0, 0);
        self.batch_bytes_max <= self.columns.n_bytes()
    }

    /// The rows so far; `None` when there are none.
    fn take(&mut self) -> Option<Batch> {
        if self.columns.n_rows() == 0 {
            return None;
        }
        self.unchecked = (0, 0);
        self.is_adjacent = false;
        let table = &self.source.table;
        let all = self.columns.finish();
        let kept: Vec<ArrayRef> = table.kept.iter().map(|it| Arc::clone(&all[*it])).collect();
        let rows = RecordBatch::try_new(Arc::clone(&table.schema), kept)
            .expect("the schema comes from the layout the columns follow");
        let spans = std::mem::take(&mut self.spans);
        Some(Batch { stream: STEPS, rows, spans, pixels: self.pixels.take() })
    }
}

/// Records that stay bytes are records all the same.
fn is_json(line: &Line, record: &[u8]) -> Result<(), Flaw> {
    match serde_json::from_slice::<serde::de::IgnoredAny>(record) {
        Ok(_) => Ok(()),
        Err(err) => {
            let err = Error::new(ErrorKind::Corrupt, err.to_string());
            Err(diagnosed(line, record, &err))
        }
    }
}

impl EpisodeStream for RecordStream {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        if let Some(damage) = self.pending.take() {
            return Err(damage);
        }
        while !self.is_full() {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                // Rows in front of damage come first.
                Err(damage) => {
                    let Some(batch) = self.take() else { return Err(damage) };
                    self.pending = Some(damage);
                    return Ok(Some(batch));
                }
            }
        }
        Ok(self.take())
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }
}
