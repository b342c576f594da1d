use std::{ops::Range, path::Path, sync::Arc};

use nodedata_core::{Error, ErrorKind, Files, InputFile, Locus, ReadAt, Result, RowDeal};
use nodedata_message::{JsonInference, Place};
use nodedata_steps::{DealtStretch, Share};
use rayon::prelude::*;

use crate::{
    deal::split_of,
    lines::{Lines, first_line},
    record::{check, record_of},
};

/// Bytes of a stretch at least: a file of short stretches has more of them than anybody wants to plan.
const STRETCH_BYTES_MIN: u64 = 4 << 10;
/// Stretches that are looked at together, and whose types are held until they are merged.
const STRETCHES_AT_ONCE: usize = 256;

/// How files compressed as a whole begin, and with what they are decompressed.
const COMPRESSED: [(&[u8], &str); 4] =
    [(b"\x1f\x8b", "gunzip"), (b"\x28\xb5\x2f\xfd", "zstd -d"), (b"BZh", "bunzip2"), (b"\xfd7zXZ\0", "unxz")];

/// Consecutive whole lines of a file: what a partition reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) byte_range: Range<u64>,
    /// Number of its first line, from 1; known once all stretches before it are.
    pub(crate) first_line: u64,
    pub(crate) n_lines: u64,
    /// By split.
    pub(crate) shares: Vec<Share>,
}

impl DealtStretch for Stretch {
    fn byte_range(&self) -> Range<u64> {
        self.byte_range.clone()
    }

    fn shares(&self) -> &[Share] {
        &self.shares
    }
}

/// What a pass over all lines is to find.
pub(crate) struct Pass<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) inputs: &'a [InputFile],
    /// Bytes of lines that a stretch aims at.
    pub(crate) stretch_bytes: u64,
    pub(crate) line_bytes_max: u64,
    pub(crate) deal: Option<&'a RowDeal>,
    /// Whether types are wanted, or lines alone.
    pub(crate) types: bool,
}

/// What it found.
#[derive(Debug)]
pub(crate) struct Found {
    /// By input.
    pub(crate) stretches: Vec<Vec<Stretch>>,
    pub(crate) inference: JsonInference,
}

impl Pass<'_> {
    /// Reads all lines, in parallel. Lines that are no records are counted, and left to reading, which knows their cost.
    ///
    /// # Errors
    /// `Io`; `Unsupported` for a file that is compressed as a whole.
    pub(crate) fn run(&self) -> Result<Found> {
        let mut found =
            Found { stretches: vec![Vec::new(); self.inputs.len()], inference: JsonInference::rows() };
        let parts: Vec<(usize, Range<u64>)> = (0..self.inputs.len()).flat_map(|it| self.parts(it)).collect();
        for parts in parts.chunks(STRETCHES_AT_ONCE) {
            let looked_at: Vec<Result<Option<(Stretch, JsonInference)>>> =
                parts.par_iter().map(|(input, part)| self.stretch(*input, part)).collect();
            for ((input, _), looked_at) in parts.iter().zip(looked_at) {
                let looked_at = looked_at.map_err(|err| err.at(Locus::path(&self.inputs[*input].path)))?;
                let Some((stretch, inference)) = looked_at else { continue };
                found.stretches[*input].push(stretch);
                found.inference.merge(inference);
            }
        }
        Ok(found)
    }

    /// Parts of a file of equal length: a stretch is the lines that begin in one.
    fn parts(&self, input: usize) -> impl Iterator<Item = (usize, Range<u64>)> {
        let n_bytes = self.inputs[input].n_bytes;
        let step = self.stretch_bytes.max(STRETCH_BYTES_MIN);
        let mut start = 0u64;
        std::iter::from_fn(move || {
            let part = start..n_bytes.min(start.saturating_add(step));
            start = part.end;
            (!part.is_empty()).then_some((input, part))
        })
    }

    fn stretch(&self, input: usize, part: &Range<u64>) -> Result<Option<(Stretch, JsonInference)>> {
        let file = self.files.open(&self.inputs[input].path)?;
        if part.start == 0 {
            refuse_compressed(&*file, &self.inputs[input].path)?;
        }
        let Some(start) = first_line(&*file, part)? else { return Ok(None) };
        let range = start..part.end;
        let n_splits = self.deal.map_or(1, |it| it.fractions.len());
        let shares = vec![Share::default(); n_splits];
        let mut stretch = Stretch { byte_range: range.clone(), first_line: 1, n_lines: 0, shares };
        let (inference, broken) = self.look(input, &file, &range, &[], Some(&mut stretch))?;
        if broken.is_empty() {
            return Ok(Some((stretch, inference)));
        }
        // Types are those of the records that can be read: once more, without what the others left behind.
        let (inference, _) = self.look(input, &file, &range, &broken, None)?;
        Ok(Some((stretch, inference)))
    }

    /// What the records of a range hold, without those that begin at `broken`, and which of the others cannot be read.
    fn look(
        &self,
        input: usize,
        file: &Arc<dyn ReadAt>,
        range: &Range<u64>,
        broken: &[u64],
        mut stretch: Option<&mut Stretch>,
    ) -> Result<(JsonInference, Vec<u64>)> {
        let mut lines = Lines::within(Arc::clone(file), range.clone(), self.line_bytes_max);
        let mut inference = JsonInference::rows();
        let mut found_broken = Vec::new();
        while let Some(line) = lines.next_line()? {
            let record = record_of(&line);
            if let Some(stretch) = &mut stretch {
                stretch.n_lines += 1;
                stretch.byte_range.end = lines.at();
                if !record.is_empty() {
                    let share = &mut stretch.shares[self.deal.map_or(0, |it| split_of(it, record))];
                    share.n_records += 1;
                    share.n_bytes += line.byte_range.end - line.byte_range.start;
                }
            }
            let start = line.byte_range.start;
            let is_sound = || check(&line, record, self.line_bytes_max).is_ok();
            if !self.types || record.is_empty() || broken.binary_search(&start).is_ok() || !is_sound() {
                continue;
            }
            let place = Place { input: input as u32, at: start };
            if inference.observe(record, place).is_err() {
                found_broken.push(start);
            }
        }
        Ok((inference, found_broken))
    }

    /// Number of the line that begins at a place, from 1.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn line_number(&self, found: &Found, place: Place) -> Result<u64> {
        let mut number = 1;
        for stretch in &found.stretches[place.input as usize] {
            if stretch.byte_range.contains(&place.at) {
                let file = self.files.open(&self.inputs[place.input as usize].path)?;
                let range = stretch.byte_range.start..place.at;
                let mut lines = Lines::within(file, range, self.line_bytes_max);
                while lines.next_line()?.is_some() {
                    number += 1;
                }
                break;
            }
            number += stretch.n_lines;
        }
        Ok(number)
    }
}

fn refuse_compressed(file: &dyn ReadAt, path: &Path) -> Result<()> {
    let head = file.read_at(0..file.n_bytes().min(8))?;
    match COMPRESSED.iter().find(|(magic, _)| head.starts_with(magic)) {
        None => Ok(()),
        Some((_, program)) => {
            let message = "the file is compressed as a whole, which this build does not read as JSON Lines";
            let hint = format!("decompress it first: `{program} {}`", path.display());
            Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint))
        }
    }
}
