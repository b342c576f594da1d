use std::{sync::Arc, vec};

use arrow_array::RecordBatch;
use nodedata_core::{
    Batch, Columns, EpisodeStream, Error, ErrorKind, Locus, Loss, ReadOptions, Result, RowSpan, StreamId,
};
use nodedata_steps::{SALVAGE_HINT, STEPS};

use super::{
    learned::split_of,
    samples::{Opened, Part},
};
use crate::container::{Container, Frame};

/// Bytes of a batch at most, whatever is asked for: with the longest record behind it stays below what its offsets count.
const BATCH_BYTES_MAX: usize = 256 << 20;
/// Rows of a batch at most, however narrow they are.
const BATCH_ROWS_MAX: usize = 1 << 20;

/// The rows of one partition.
pub(super) struct RecordStream {
    source: Arc<Opened>,
    part: Part,
    frames: vec::IntoIter<Frame>,
    batch_bytes_max: usize,
    columns: Columns,
    spans: Vec<RowSpan>,
    /// Where the last span ends, if the next row may go on there.
    span_end: Option<u64>,
    records_read: [(StreamId, u64); 1],
    /// Bytes of the records since the last batch.
    n_bytes: u64,
    /// Damage behind the rows that were handed out.
    pending: Option<Error>,
}

impl RecordStream {
    /// # Errors
    /// `Io`; `Corrupt` when the records are not there any more.
    pub(super) fn new(source: Arc<Opened>, part: Part, options: &ReadOptions) -> Result<Self> {
        let path = &source.plan.inputs[part.input].path;
        let in_file = |err: Error| err.at(Locus::path(path));
        let file = source.files.open(path, Container::TfRecord)?;
        let frames = file.walk_within(part.stretch.records.clone()).map_err(in_file)?;
        if frames.records.len() as u64 != part.stretch.n_records {
            let (n, told) = (frames.records.len(), part.stretch.n_records);
            let message = format!("the file has {n} records where {told} were found before");
            return Err(in_file(Error::new(ErrorKind::Corrupt, message))
                .at(Locus::byte(part.stretch.byte_range.start))
                .with_hint("convert recordings that nobody writes to"));
        }
        let columns = Columns::new(Arc::clone(&source.table.layout));
        drop(file);
        Ok(Self {
            source,
            part,
            frames: frames.records.into_iter(),
            batch_bytes_max: options.batch_bytes_max.min(BATCH_BYTES_MAX),
            columns,
            spans: Vec::new(),
            span_end: None,
            records_read: [(STEPS, 0)],
            n_bytes: 0,
            pending: None,
        })
    }

    /// Takes the next record in. Tells whether there was one.
    fn step(&mut self) -> Result<bool> {
        let Some(frame) = self.frames.next() else { return Ok(false) };
        let source = Arc::clone(&self.source);
        let path = &source.plan.inputs[self.part.input].path;
        let place = Locus { byte_offset: Some(frame.byte_range.start), ..Locus::path(path) };
        let file = source.files.open(path, Container::TfRecord)?;
        let (record, damage) = file.payload_and_damage(&frame).map_err(|err| err.at(place.clone()))?;
        let deal = source.deal.as_ref().zip(self.part.split);
        if deal.is_some_and(|(deal, split)| split_of(deal, &record) != split) {
            self.span_end = None;
            return Ok(true);
        }
        let row = self.part.first_row + self.records_read[0].1;
        self.records_read[0].1 += 1;
        let pushed = match damage {
            Some(damage) => Err(damage),
            None => source.table.push(&mut self.columns, &record, row),
        };
        if let Err(err) = pushed {
            self.span_end = None;
            let place = Locus { step_idx: Some(row), ..place };
            let loss = Loss {
                byte_range: Some(frame.byte_range),
                records: vec![(STEPS, 1)],
                uncounted: false,
                reason: "damaged_record",
            };
            let err = if err.hint().is_some() { err } else { err.with_hint(SALVAGE_HINT) };
            return Err(err.at(place).with_loss(loss));
        }
        self.n_bytes += frame.n_bytes;
        self.extend_spans(&frame);
        Ok(true)
    }

    /// Says where the row of a record comes from. Records that are packed together share their bytes.
    fn extend_spans(&mut self, frame: &Frame) {
        let framed = frame.framed();
        let goes_on = self.span_end == Some(framed.start);
        self.span_end = Some(framed.end);
        match self.spans.last_mut().filter(|_| goes_on) {
            Some(span) => {
                span.n_rows += 1;
                span.byte_range.end = frame.byte_range.end;
            }
            None => self.spans.push(RowSpan {
                input: self.part.input,
                n_rows: 1,
                byte_range: frame.byte_range.clone(),
                first_record: 0,
            }),
        }
    }

    fn is_full(&self) -> bool {
        let n_rows = self.columns.n_rows();
        BATCH_ROWS_MAX <= n_rows || (self.batch_bytes_max as u64 <= self.n_bytes && n_rows > 0)
    }

    /// The rows so far; `None` when there are none.
    fn take(&mut self) -> Option<Batch> {
        if self.columns.n_rows() == 0 {
            return None;
        }
        (self.n_bytes, self.span_end) = (0, None);
        let rows = RecordBatch::try_new(Arc::clone(&self.source.table.schema), self.columns.finish())
            .expect("the schema comes from the layout that the columns follow");
        Some(Batch { stream: STEPS, rows, spans: std::mem::take(&mut self.spans), pixels: Vec::new() })
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
