use std::{sync::Arc, vec};

use nodedata_core::{Error, ErrorKind, Locus, Loss, Result};
use nodedata_steps::{PackedStretch, RecordPlace, SALVAGE_HINT, STEPS, SamplePart, SampleReader, SampleRows};

use super::{learned::split_of, samples::Opened};
use crate::container::{Container, Frame, RecordFile};

/// The records of one partition.
pub(super) struct RecordReader {
    source: Arc<Opened>,
    input: usize,
    split: Option<usize>,
    frames: vec::IntoIter<Frame>,
    /// Of a packed file, where no record has an address: which record of it comes next.
    next_record: Option<u64>,
}

impl RecordReader {
    /// # Errors
    /// `Io`; `Corrupt` when the records are not there any more.
    pub(super) fn new(source: Arc<Opened>, part: &SamplePart<PackedStretch>) -> Result<Self> {
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
        let stretches = &source.stretches[part.input];
        let next_record = match file.is_packed() {
            true => Some(n_before(&file, stretches, part.stretch.records.start).map_err(in_file)?),
            false => None,
        };
        drop(file);
        let frames = frames.records.into_iter();
        Ok(Self { source, input: part.input, split: part.split, frames, next_record })
    }
}

/// Records of a file before a stretch of them, those that are too large to be read included: they lie between stretches.
fn n_before(file: &RecordFile<'_>, stretches: &[PackedStretch], start: u64) -> Result<u64> {
    let (mut n_records, mut end) = (0, 0);
    for stretch in stretches {
        if end < stretch.records.start {
            n_records += file.walk_within(end..stretch.records.start)?.damage.len() as u64;
        }
        if start <= stretch.records.start {
            break;
        }
        n_records += stretch.n_records;
        end = stretch.records.end;
    }
    Ok(n_records)
}

impl SampleReader for RecordReader {
    fn step(&mut self, rows: &mut SampleRows) -> Result<bool> {
        let Some(frame) = self.frames.next() else { return Ok(false) };
        let position = self.next_record;
        self.next_record = position.map(|it| it + 1);
        let path = &self.source.plan.inputs[self.input].path;
        let place = Locus { byte_offset: Some(frame.byte_range.start), ..Locus::path(path) };
        let file = self.source.files.open(path, Container::TfRecord)?;
        let (record, damage) = file.payload_and_damage(&frame).map_err(|err| err.at(place.clone()))?;
        let deal = self.source.deal.as_ref().zip(self.split);
        if deal.is_some_and(|(deal, split)| split_of(deal, &record) != split) {
            rows.skip();
            return Ok(true);
        }
        let row = rows.next_row();
        let in_file = RecordPlace { byte_range: frame.byte_range.clone(), position };
        let pushed = rows.push(in_file, frame.n_bytes, |columns| match damage {
            Some(damage) => Err(damage),
            None => self.source.table.push(columns, &record),
        });
        pushed.map_err(|err| {
            let place = Locus { step_idx: Some(row), ..place };
            let loss = Loss {
                byte_range: Some(frame.byte_range),
                records: vec![(STEPS, 1)],
                uncounted: false,
                reason: "damaged_record",
            };
            let err = if err.hint().is_some() { err } else { err.with_hint(SALVAGE_HINT) };
            err.at(place).with_loss(loss)
        })?;
        Ok(true)
    }
}
