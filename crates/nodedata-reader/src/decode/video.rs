//! Frames of coded video, group by group: from the key frame on, up to the last frame that is wanted.

mod target;

use std::{ops::Range, sync::Arc};

use nodedata_core::{DType, Error, ErrorKind, Result};
use nodedata_media::video::{CodedSample, decode_group};
use rayon::prelude::*;

use super::{Decoding, media::MediaRow};
use crate::{
    fields::Field,
    rows::{Data, Tensor},
    split::{Group, VideoForm},
    video_cache::FrameKey,
};
use target::{Part, Target};

impl Decoding<'_> {
    /// The frames of all steps, as RGB or as distances. Groups are decoded side by side where the thread that calls is one of a pool, and
    /// each frame is put to its place as it comes.
    pub(super) fn video(
        &self,
        n_rows: usize,
        field: &Field,
        form: &VideoForm,
    ) -> Result<(Data, Option<Vec<bool>>)> {
        let steps = self.runs.iter().flat_map(Clone::clone);
        let groups = self.split.groups(self.episode, field, steps)?;
        let rows = groups.iter().map(|it| it.wanted.len()).collect();
        let target = Target::new(n_rows, rows, field, form.depth.as_ref(), self.rooms)?;
        let decode = |(idx, group)| self.group(group, target.part(idx), form);
        let parts: Vec<Result<Part<'_>>> = match rayon::current_thread_index() {
            Some(_) if groups.len() > 1 => {
                groups.par_iter().with_max_len(1).enumerate().map(decode).collect()
            }
            _ => groups.iter().enumerate().map(decode).collect(),
        };
        // Where more than one is damaged the first says so, however threads run.
        let parts = parts.into_iter().map(|it| it.map(Part::into_rows)).collect::<Result<_>>()?;
        target.finish(parts)
    }

    /// Puts the frames of a group that are wanted: those that are kept, and the rest decoded.
    fn group<'a>(&self, group: &Group, mut part: Part<'a>, form: &VideoForm) -> Result<Part<'a>> {
        let name = &part.target.field.info.name;
        let mut missing = Vec::new();
        for (row, step) in group.wanted.iter().enumerate() {
            match self.frames.get(&self.key(name, *step)) {
                Some(frame) => {
                    part.put(row, &frame).map_err(|err| self.placed_step(err, *step, name))?;
                }
                None => missing.push(*step),
            }
        }
        if let Some(first) = missing.first() {
            let decoded = self.missing(group, &missing, &mut part, form);
            decoded.map_err(|err| self.placed_step(err, *first, name))?;
        }
        Ok(part)
    }

    fn key(&self, name: &Arc<str>, step: u64) -> FrameKey {
        (self.split.unique(), self.episode, Arc::clone(name), step)
    }

    /// Decodes the frames of a group that are missing, rising steps, and puts them.
    fn missing(&self, group: &Group, missing: &[u64], part: &mut Part<'_>, form: &VideoForm) -> Result<()> {
        let name = &part.target.field.info.name;
        let (Some(first), Some(last)) = (missing.first(), missing.last()) else { return Ok(()) };
        let end = self.reach(group, *first, *last, name, form)?;
        let samples = self.samples(group, end, name, form)?;
        let is_wanted = |it: &&Sample| (*first..end).contains(&it.row.step);
        let Some(until) = samples.iter().filter(is_wanted).map(|it| it.decoded_as).max() else {
            // Rows without a sample have no frame.
            return Ok(());
        };
        let facts = self.split.video(self.episode, name)?;
        // Samples of other episodes lie among those of a group only where frames are reordered.
        let needs_preroll = facts.has_preroll && (!group.at_key || form.has_order);
        let preroll = if needs_preroll { self.split.preroll(self.episode, name)? } else { Arc::default() };
        let key = match group.at_key {
            true => samples.iter().find(|it| it.row.step == group.start).map(|it| it.decoded_as),
            false => preroll.iter().map(|it| i64::from(it.decode_index)).min(),
        };
        let key =
            key.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the key frame before it has no sample"))?;
        // Whatever is decoded in front of a frame may be needed for it; what comes in front of the key frame belongs to another group.
        let of_rows = samples.iter().filter_map(|it| {
            let data = it.row.items.first().cloned().flatten()?;
            Some((it.decoded_as, CodedSample { order: it.row.step as i64, data }))
        });
        let of_preroll = preroll.iter().map(|it| {
            let sample = CodedSample { order: i64::from(it.step), data: it.sample.clone() };
            (i64::from(it.decode_index), sample)
        });
        let mut coded: Vec<(i64, CodedSample)> =
            of_rows.chain(of_preroll).filter(|it| (key..=until).contains(&it.0)).collect();
        coded.sort_by_key(|it| it.0);
        let coded = coded.into_iter().map(|it| Ok(it.1));
        let n_steps = self.split.episodes().length(self.episode).unwrap_or(0);
        let mut decoder = self.frames.decoder(&facts.decoder)?;
        // Whoever wants all frames of a group once comes back for none of them.
        let are_kept = !self.frames.is_of_episodes() || (group.wanted.len() as u64) < group.end - group.start;
        let row_of = |step: u64| {
            missing.binary_search(&step).ok().and_then(|_| group.wanted.binary_search(&step).ok())
        };
        decode_group(decoder.as_mut(), coded, 0..n_steps.cast_signed(), |frame| {
            let step = frame.order.cast_unsigned();
            if let Some(row) = row_of(step) {
                part.put(row, &frame).map_err(|err| self.placed_step(err, step, name))?;
            }
            self.frames.decoded(are_kept.then(|| self.key(name, step)), frame);
            Ok(())
        })?;
        self.frames.give_back(facts.decoder.clone(), decoder);
        let has_none = |it: &&Sample| row_of(it.row.step).is_some_and(|row| !part.has(row));
        if let Some(sample) = samples.iter().find(has_none) {
            let message =
                format!("the sample of step {} is decoded in front of its key frame", sample.row.step);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(())
    }

    /// The step up to which frames are decoded: behind the last that is wanted. Where the step before the first was wanted lately,
    /// somebody reads on, and the rest of the group is decoded at once instead of from its start for each step: as far as it can be read
    /// without waiting, and as frames can be kept.
    fn reach(&self, group: &Group, first: u64, last: u64, name: &Arc<str>, form: &VideoForm) -> Result<u64> {
        let end = last + 1;
        let reads_on = group.start < first && self.frames.has(&self.key(name, first - 1));
        if !reads_on {
            return Ok(end);
        }
        let [width, height] = self.split.video(self.episode, name)?.decoder.size;
        let frame_bytes = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(3) / 2;
        let n_kept = (self.frames.max_bytes() / 2).checked_div(frame_bytes).unwrap_or(0);
        let wanted = group.end.min(first.saturating_add(n_kept)).max(end);
        if form.has_order { Ok(wanted) } else { self.at_hand(end..wanted, name) }
    }

    /// Up to where the samples of some steps can be read without waiting.
    fn at_hand(&self, steps: Range<u64>, name: &str) -> Result<u64> {
        let mut end = steps.start;
        for stretch in self.split.episodes().stretches(self.episode, steps) {
            let shard = self.shard(stretch.shard)?;
            let column = shard.column_of(name)?;
            let mut is_there = true;
            shard.each_page(column, stretch.rows.clone(), |place| {
                is_there &= self.fetched.has(&shard, &place.page.bytes);
                if is_there {
                    end = stretch.step + (place.rows().end.min(stretch.rows.end) - stretch.rows.start);
                }
                Ok(())
            })?;
            if !is_there {
                break;
            }
        }
        Ok(end)
    }

    /// The samples of a group up to a step, in the order in which they are decoded.
    fn samples(&self, group: &Group, end: u64, name: &str, form: &VideoForm) -> Result<Vec<Sample>> {
        let n_steps = self.split.episodes().length(self.episode).unwrap_or(0);
        // In front of the next key frame there may be frames that are made from it.
        let end = if form.has_order { group.end.saturating_add(1).min(n_steps) } else { end };
        let range = group.start..end;
        let order = match form.has_order {
            false => None,
            true => {
                Some(self.split.companion(self.fetched, self.episode, name, "decode_index", range.clone())?)
            }
        };
        let rows = self.media_of(name, &self.split.episodes().stretches(self.episode, range))?;
        let mut samples = Vec::with_capacity(rows.len());
        for (idx, row) in rows.into_iter().enumerate() {
            let decoded_as = match &order {
                None => row.step as i64,
                Some(Data::Tensor(tensor)) => integer(tensor, idx).ok_or_else(no_order)?,
                Some(_) => return Err(no_order()),
            };
            if row.is_valid {
                samples.push(Sample { decoded_as, row });
            }
        }
        samples.sort_by_key(|it| it.decoded_as);
        Ok(samples)
    }
}

/// A coded sample and its place among those that are decoded.
struct Sample {
    decoded_as: i64,
    row: MediaRow,
}

/// A whole number of 32 or 64 bits.
fn integer(tensor: &Tensor, idx: usize) -> Option<i64> {
    match tensor.dtype {
        DType::Int32 => {
            let bytes = tensor.bytes.as_chunks::<4>().0.get(idx)?;
            Some(i64::from(i32::from_le_bytes(*bytes)))
        }
        DType::Int64 => Some(i64::from_le_bytes(*tensor.bytes.as_chunks::<8>().0.get(idx)?)),
        _ => None,
    }
}

fn no_order() -> Error {
    Error::new(ErrorKind::Corrupt, "the column that tells the order of decoding has no whole numbers")
}
