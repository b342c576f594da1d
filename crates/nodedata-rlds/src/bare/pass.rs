use nodedata_core::{
    Error, ErrorKind, Finding, FindingKind, Findings, InputFile, Locus, OpenOptions, Result, StreamId,
};
use nodedata_steps::{PackedStretch, STEPS, Share};
use rayon::prelude::*;

use super::{
    learned::split_of,
    seen_keys::{LearnedKey, Types},
};
use crate::{
    container::{Container, Frame, RecordFile, RecordFiles},
    tfrecord::empty_file,
};

/// Bytes of a stretch at least: a file of short stretches has more of them than anybody wants to plan.
const STRETCH_BYTES_MIN: u64 = 4 << 10;
/// Stretches that are looked at together, and whose types are held until they are merged.
const STRETCHES_AT_ONCE: usize = 256;

/// A pass over all records.
pub(super) struct Pass<'a> {
    pub(super) files: &'a RecordFiles,
    pub(super) inputs: &'a [InputFile],
    pub(super) options: &'a OpenOptions,
}

/// What it found.
#[derive(Debug)]
pub(super) struct Found {
    /// By input.
    pub(super) stretches: Vec<Vec<PackedStretch>>,
    pub(super) keys: Vec<LearnedKey>,
    pub(super) findings: Vec<Finding>,
}

impl Pass<'_> {
    /// Reads all records, in parallel. Those that are damaged are counted, and left to reading, which knows their cost.
    ///
    /// # Errors
    /// `Io`; without `salvage` the first damage of framing; `Limit` for too many keys.
    pub(super) fn run(&self) -> Result<Found> {
        let mut types = Types::default();
        let mut findings = Findings::default();
        let mut stretches = Vec::with_capacity(self.inputs.len());
        for (input, InputFile { path, .. }) in self.inputs.iter().enumerate() {
            let in_file = |err: Error| err.at(Locus::path(path));
            let mut file = self.files.open(path, Container::TfRecord)?;
            let frames = file.walk(true).map_err(in_file)?;
            let is_empty = self.inputs[input].n_bytes == 0;
            for err in frames.damage.into_iter().chain(is_empty.then(empty_file)) {
                let err = in_file(err);
                if !self.options.salvage {
                    return Err(err);
                }
                let name = |it: StreamId| (it == STEPS).then(|| nodedata_core::STEPS.to_owned());
                findings.push(Finding::new(FindingKind::Damage, &err, name));
            }
            stretches.push(self.look(&file, input, &frames.records, &mut types).map_err(in_file)?);
        }
        if !stretches.iter().any(|it: &Vec<PackedStretch>| !it.is_empty()) {
            let place = self.inputs.first().map(|it| Locus::path(&it.path)).unwrap_or_default();
            let message = "there is no record that can be read";
            return Err(Error::new(ErrorKind::Corrupt, message)
                .at(place)
                .with_hint("fetch the files again from where they came from"));
        }
        let at = |(input, byte): (usize, u64)| format!("{}, byte {byte}", self.inputs[input].path.display());
        Ok(Found { stretches, keys: types.finish(at), findings: findings.into_vec() })
    }

    fn look(
        &self,
        file: &RecordFile<'_>,
        input: usize,
        records: &[Frame],
        types: &mut Types,
    ) -> Result<Vec<PackedStretch>> {
        let mut stretches = Vec::new();
        let cuts: Vec<&[Frame]> = self.cut(records).collect();
        for some in cuts.chunks(STRETCHES_AT_ONCE) {
            let looked_at: Vec<Result<(PackedStretch, Types)>> =
                some.par_iter().map(|it| self.stretch(file, input, it)).collect();
            for looked_at in looked_at {
                let (stretch, found) = looked_at?;
                stretches.push(stretch);
                types.merge(found)?;
            }
        }
        Ok(stretches)
    }

    /// Records that lie one after the other and have about as many bytes as a partition is to have.
    fn cut<'f>(&self, mut records: &'f [Frame]) -> impl Iterator<Item = &'f [Frame]> {
        let bytes_max = self.options.partition_bytes.max(STRETCH_BYTES_MIN);
        std::iter::from_fn(move || {
            let mut n_bytes = 0u64;
            let n = records.iter().enumerate().take_while(|(idx, frame)| {
                let is_next = *idx == 0 || records[idx - 1].framed().end == frame.framed().start;
                let fits = *idx == 0 || n_bytes + frame.decoded_bytes() <= bytes_max;
                n_bytes += frame.decoded_bytes();
                is_next && fits
            });
            let (now, later) = records.split_at(n.count());
            records = later;
            (!now.is_empty()).then_some(now)
        })
    }

    fn stretch(
        &self,
        file: &RecordFile<'_>,
        input: usize,
        frames: &[Frame],
    ) -> Result<(PackedStretch, Types)> {
        let deal = self.options.deal.as_ref();
        let n_splits = deal.map_or(1, |it| it.fractions.len());
        let (first, last) = (&frames[0], &frames[frames.len() - 1]);
        let mut stretch = PackedStretch {
            records: first.framed().start..last.framed().end,
            byte_range: first.byte_range.start..last.byte_range.end,
            n_records: frames.len() as u64,
            shares: vec![Share::default(); n_splits],
        };
        let mut types = Types::default();
        for frame in frames {
            let (record, damage) = file.payload_and_damage(frame)?;
            let share = &mut stretch.shares[deal.map_or(0, |it| split_of(it, &record))];
            share.n_records += 1;
            share.n_bytes += frame.decoded_bytes();
            if damage.is_some() {
                continue;
            }
            let place = (input, frame.byte_range.start);
            types.observe(&record, place).map_err(|err| err.at(Locus::byte(place.1)))?;
        }
        Ok((stretch, types))
    }
}
