use std::{sync::Arc, vec};

use arrow_array::ArrayRef;
use nodedata_core::{Error, ErrorKind, Locus, Loss, MediaShape, Result};
use nodedata_steps::{PackedStretch, RecordPlace, SALVAGE_HINT, STEPS, SamplePart, SampleReader, SampleRows};

use crate::{
    archive::Archive,
    deal::split_of,
    group::{Field, Flaw, Sample, Samples},
    learned::ArchiveStretch,
    member::Coding,
    pass::address,
    source::Opened,
    table::Unusable,
};

/// The samples of one partition.
pub(crate) struct ArchiveReader {
    source: Arc<Opened>,
    input: usize,
    split: Option<usize>,
    archive: Archive,
    samples: vec::IntoIter<Sample>,
    /// Samples of the archive before the next one.
    n_before: u64,
}

impl ArchiveReader {
    /// # Errors
    /// `Io`; `Limit`; `Corrupt` when the samples are not there any more.
    pub(crate) fn new(source: Arc<Opened>, part: &SamplePart<ArchiveStretch>) -> Result<Self> {
        let path = &source.plan.inputs[part.input].path;
        let archive = source.archives.open(path)?;
        let ArchiveStretch { samples: PackedStretch { records, n_records, byte_range, .. }, n_before } =
            &part.stretch;
        let mut samples = Vec::new();
        if records.end <= archive.n_bytes() {
            let mut found = Samples::new(archive.walk_within(records.clone()), false);
            while let Some(sample) = found.next_sample().map_err(|err| err.at(Locus::path(path)))? {
                samples.push(sample);
            }
        }
        if samples.len() as u64 != *n_records {
            let message =
                format!("the file has {} samples where {n_records} were found before", samples.len());
            return Err(Error::new(ErrorKind::Corrupt, message)
                .at(Locus { byte_offset: Some(byte_range.start), ..Locus::path(path) })
                .with_hint("convert files that nobody writes to"));
        }
        let (input, split) = (part.input, part.split);
        Ok(Self { source, input, split, archive, samples: samples.into_iter(), n_before: *n_before })
    }

    /// A sample that is no row: one record is lost, unless it only could not be read now. `hint` is what can be done beside salvaging.
    fn lost(&self, sample: &Sample, row: u64, flaw: Flaw, hint: Option<String>) -> Error {
        let path = &self.source.plan.inputs[self.input].path;
        let at =
            Locus { step_idx: Some(row), feature: Some(flaw.field), ..address(path, &self.archive, flaw.at) };
        let err = Error::new(flaw.kind, flaw.message).at(at);
        if flaw.kind == ErrorKind::Io {
            return match hint {
                Some(hint) => err.with_hint(hint),
                None => err,
            };
        }
        let byte_range = self.archive.locate(&sample.records);
        let loss = Loss {
            byte_range: Some(byte_range),
            records: vec![(STEPS, 1)],
            uncounted: false,
            reason: flaw.reason,
        };
        let hint = hint.map_or_else(|| SALVAGE_HINT.to_owned(), |it| format!("{it}; {SALVAGE_HINT}"));
        err.with_hint(hint).with_loss(loss)
    }
}

impl SampleReader for ArchiveReader {
    fn step(&mut self, rows: &mut SampleRows) -> Result<bool> {
        let Some(sample) = self.samples.next() else { return Ok(false) };
        let position = self.archive.is_packed().then_some(self.n_before);
        self.n_before += 1;
        let Opened { plan, table, bounds, deal, .. } = &*self.source;
        let path = &plan.inputs[self.input].path;
        if let Some((deal, split)) = deal.as_ref().zip(self.split) {
            let found = split_of(deal, &sample, &self.archive, *bounds);
            if found.map_err(|err| err.at(Locus::path(path)))? != split {
                rows.skip();
                return Ok(true);
            }
        }
        let row = rows.next_row();
        let place = RecordPlace { byte_range: self.archive.origin(&sample.records), position };
        // Nothing tells what comes out of packed members before it has: then the columns are looked at.
        let is_packed = |it: &Field| matches!(Coding::of(&it.name), (Coding::Npz, _) | (_, true));
        let n_bytes = match sample.fields.iter().any(is_packed) {
            true => u64::MAX,
            false => sample.records.end - sample.records.start,
        };
        let mut hint = None;
        let pushed = rows.push(place, n_bytes, |columns| match &sample.flaw {
            Some(flaw) => Err(flaw.clone()),
            None => table.push(columns, &sample, &self.archive, *bounds).map_err(|it| {
                hint = it.err.hint().map(str::to_owned);
                it.into_flaw()
            }),
        });
        match pushed {
            Ok(()) => Ok(true),
            Err(flaw) => Err(self.lost(&sample, row, flaw, hint)),
        }
    }

    fn finish(&mut self, columns: Vec<ArrayRef>) -> (Vec<ArrayRef>, Vec<MediaShape>) {
        self.source.table.finish(&columns)
    }
}

impl Unusable {
    fn into_flaw(self) -> Flaw {
        let Self { field, err } = self;
        let reason = if err.kind() == ErrorKind::Limit { "over_limit" } else { "undecodable" };
        let below = err.locus().feature.clone().filter(|it| !it.is_empty());
        let what = below.map_or_else(|| field.name.clone(), |it| format!("{}.{it}", field.name));
        let message = format!("the member `{}` cannot be read: {}", field.name, err.chain());
        Flaw { kind: err.kind(), message, at: field.start, field: what, reason }
    }
}
