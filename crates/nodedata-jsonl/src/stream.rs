use std::sync::Arc;

use arrow_array::ArrayRef;
use nodedata_core::{Columns, Error, ErrorKind, Locus, Loss, PixelShape, ReadAt, Result};
use nodedata_message::Pixels;
use nodedata_steps::{RecordPlace, SALVAGE_HINT, STEPS, SamplePart, SampleReader, SampleRows};

use crate::{
    deal::split_of,
    lines::{Line, Lines},
    pass::Stretch,
    record::{Flaw, check, diagnosed, record_of},
    source::Opened,
};

/// The lines of one partition.
pub(crate) struct LineReader {
    source: Arc<Opened>,
    input: usize,
    split: Option<usize>,
    lines: Lines,
    /// Number of the next line.
    line_number: u64,
    pixels: Pixels,
}

impl LineReader {
    pub(crate) fn new(source: Arc<Opened>, part: &SamplePart<Stretch>, file: Arc<dyn ReadAt>) -> Self {
        let lines = Lines::within(file, part.stretch.byte_range.clone(), source.line_bytes_max);
        Self {
            source,
            input: part.input,
            split: part.split,
            lines,
            line_number: part.stretch.first_line,
            pixels: Pixels::default(),
        }
    }

    fn push(&mut self, line: &Line, record: &[u8], columns: &mut Columns) -> Result<(), Flaw> {
        check(line, record, self.source.line_bytes_max)?;
        let decoder = &self.source.table.decoder;
        if decoder.is_opaque() {
            is_json(line, record)?;
        }
        let decoded = decoder.decode(record, columns, &mut self.pixels);
        decoded.map(drop).map_err(|err| diagnosed(line, record, &err))
    }

    /// A line that is no row: one record is lost.
    fn lost(&self, line: &Line, number: u64, step: u64, flaw: Flaw) -> Error {
        let position = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
        let at = Locus {
            line_column: Some((position(number), position(flaw.column as u64))),
            byte_offset: Some(line.byte_range.start),
            step_idx: Some(step),
            ..Locus::path(&self.source.plan.inputs[self.input].path)
        };
        let reason = if flaw.kind == ErrorKind::Limit { "over_limit" } else { "undecodable" };
        Error::new(flaw.kind, flaw.message).at(at).with_hint(SALVAGE_HINT).with_loss(Loss {
            byte_range: Some(line.byte_range.clone()),
            records: vec![(STEPS, 1)],
            uncounted: false,
            reason,
        })
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

impl SampleReader for LineReader {
    fn step(&mut self, rows: &mut SampleRows) -> Result<bool> {
        let path = &self.source.plan.inputs[self.input].path;
        let Some(line) = self.lines.next_line().map_err(|err| err.at(Locus::path(path)))? else {
            return Ok(false);
        };
        let number = self.line_number;
        self.line_number += 1;
        let record = record_of(&line);
        if record.is_empty() {
            return Ok(true);
        }
        let deal = self.source.deal.as_ref().zip(self.split);
        if deal.is_some_and(|(deal, split)| split_of(deal, record) != split) {
            rows.skip();
            return Ok(true);
        }
        let step = rows.next_row();
        let n_bytes = record.len() as u64;
        rows.push(RecordPlace::alone(line.byte_range.clone()), n_bytes, |columns| {
            self.push(&line, record, columns)
        })
        .map_err(|flaw| self.lost(&line, number, step, flaw))?;
        Ok(true)
    }

    fn finish(&mut self, all: Vec<ArrayRef>) -> (Vec<ArrayRef>, Vec<PixelShape>) {
        let kept = self.source.table.kept.iter().map(|it| Arc::clone(&all[*it]));
        (kept.collect(), self.pixels.take())
    }
}
