//! Frames of coded video, group by group: from the key frame on, up to the last frame that is wanted.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use nodedata_core::{DType, Error, ErrorKind, Result};
use nodedata_media::{
    ImageShape,
    video::{CodedSample, VideoFrame, decode_group},
};
use rayon::prelude::*;

use super::{
    Decoding,
    media::MediaRow,
    pictures::{Scratch, room_among, zeros},
};
use crate::{
    fields::Field,
    memory::{Memory, Rooms},
    rows::{Data, Tensor, item_bytes},
    split::{DepthFacts, Group, VideoForm, dims_of},
    video_cache::FrameKey,
};

/// The wanted frames of a group, by step; a step without a sample has none.
type Frames = BTreeMap<u64, Arc<VideoFrame>>;

impl Decoding<'_> {
    /// The frames of all steps, as RGB or as distances.
    pub(super) fn video(
        &self,
        n_rows: usize,
        field: &Field,
        form: &VideoForm,
    ) -> Result<(Data, Option<Vec<bool>>)> {
        let steps = self.runs.iter().flat_map(Clone::clone);
        let groups = self.split.groups(self.episode, field, steps)?;
        let n_at_once =
            if rayon::current_thread_index().is_some() { rayon::current_num_threads() } else { 1 };
        let mut target = Target::new(n_rows, field, form.depth.as_ref(), self.rooms)?;
        for some in groups.chunks(n_at_once.max(1)) {
            let decode = |it: &Group| self.group(it, field, form);
            let decoded: Vec<Result<Frames>> = match some {
                [one] => vec![decode(one)],
                _ => some.par_iter().map(decode).collect(),
            };
            for (group, frames) in some.iter().zip(decoded) {
                let frames = frames?;
                for step in &group.wanted {
                    let put = target.put(frames.get(step).map(|it| &**it));
                    put.map_err(|err| self.placed_step(err, *step, &field.info.name))?;
                }
            }
        }
        target.finish()
    }

    /// The frames of a group that are wanted: those that are kept, and the rest decoded.
    fn group(&self, group: &Group, field: &Field, form: &VideoForm) -> Result<Frames> {
        let name = &field.info.name;
        let mut frames = Frames::new();
        let mut missing = Vec::new();
        for step in &group.wanted {
            match self.frames.get(&self.key(name, *step)) {
                Some(frame) => {
                    frames.insert(*step, frame);
                }
                None => missing.push(*step),
            }
        }
        let Some(first) = missing.first() else { return Ok(frames) };
        let decoded = self.missing(group, &missing, name, form);
        frames.extend(decoded.map_err(|err| self.placed_step(err, *first, name))?);
        Ok(frames)
    }

    fn key(&self, name: &Arc<str>, step: u64) -> FrameKey {
        (self.split.unique(), self.episode, Arc::clone(name), step)
    }

    /// Decodes the frames of a group that are missing: rising steps, one at least.
    fn missing(&self, group: &Group, missing: &[u64], name: &Arc<str>, form: &VideoForm) -> Result<Frames> {
        let (Some(first), Some(last)) = (missing.first(), missing.last()) else { return Ok(Frames::new()) };
        let end = self.reach(group, *first, *last, name, form)?;
        let samples = self.samples(group, end, name, form)?;
        let is_wanted = |it: &&Sample| (*first..end).contains(&it.row.step);
        let Some(until) = samples.iter().filter(is_wanted).map(|it| it.decoded_as).max() else {
            // Rows without a sample have no frame.
            return Ok(Frames::new());
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
        let mut frames = Frames::new();
        decode_group(decoder.as_mut(), coded, 0..n_steps.cast_signed(), |frame| {
            let step = frame.order.cast_unsigned();
            let frame = Arc::new(frame);
            self.frames.put(self.key(name, step), &frame);
            if missing.binary_search(&step).is_ok() {
                frames.insert(step, frame);
            }
            Ok(())
        })?;
        self.frames.give_back(facts.decoder.clone(), decoder);
        let has_none =
            |it: &&Sample| missing.binary_search(&it.row.step).is_ok() && !frames.contains_key(&it.row.step);
        if let Some(sample) = samples.iter().find(has_none) {
            let message =
                format!("the sample of step {} is decoded in front of its key frame", sample.row.step);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(frames)
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

/// Where frames are put, one row after the other.
struct Target<'a> {
    n_rows: usize,
    n_done: usize,
    field: &'a Field,
    /// Where the frames are wanted.
    rooms: &'a Rooms,
    depth: Option<Vec<f32>>,
    /// Once there was a frame.
    open: Option<Open>,
    valid: Vec<bool>,
    scratch: Scratch,
    pixels: Vec<u8>,
}

struct Open {
    from: ImageShape,
    to: ImageShape,
    dtype: DType,
    row_bytes: usize,
    bytes: Memory,
}

impl<'a> Target<'a> {
    fn new(n_rows: usize, field: &'a Field, depth: Option<&DepthFacts>, rooms: &'a Rooms) -> Result<Self> {
        let depth = depth.map(DepthFacts::table).transpose()?;
        let (valid, scratch, pixels) = (Vec::new(), Scratch::default(), Vec::new());
        Ok(Self { n_rows, n_done: 0, field, rooms, depth, open: None, valid, scratch, pixels })
    }

    /// The frame of the next row; zeros where it has none.
    fn put(&mut self, frame: Option<&VideoFrame>) -> Result<()> {
        let row = self.n_done;
        self.n_done += 1;
        self.valid.push(frame.is_some());
        let Some(frame) = frame else { return Ok(()) };
        if self.open.is_none() {
            self.open = Some(self.open(frame)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let end = row.saturating_add(1).saturating_mul(open.row_bytes);
        let Some(target) = open.bytes.get_mut(row.saturating_mul(open.row_bytes)..end) else {
            return Err(Error::new(ErrorKind::Corrupt, "there are more frames than rows"));
        };
        let decoded = frame.shape();
        if let Some(table) = &self.depth {
            self.pixels.resize(decoded.n_bytes().unwrap_or(0), 0);
            frame.rgb_into(&open.from, &mut self.pixels)?;
            distances(table, &self.pixels, target);
            return Ok(());
        }
        if open.to == open.from && decoded.channels == open.from.channels {
            return frame.rgb_into(&open.from, target);
        }
        self.pixels.resize(decoded.n_bytes().unwrap_or(0), 0);
        frame.rgb_into(&ImageShape { channels: decoded.channels, ..open.from }, &mut self.pixels)?;
        if decoded.channels == 1 && open.from.channels == 3 {
            self.pixels = self.pixels.iter().flat_map(|it| [*it; 3]).collect();
        }
        if open.to == open.from {
            target.copy_from_slice(&self.pixels);
            return Ok(());
        }
        self.scratch.frame(&open.from, &open.to, &self.pixels, target)
    }

    /// Room for all rows, now that it is known what a frame is.
    fn open(&self, frame: &VideoFrame) -> Result<Open> {
        let mut from = frame.shape();
        let is_told_rgb = self.field.info.shape.get(2) == Some(&3);
        if is_told_rgb && from.channels == 1 && from.dtype == DType::UInt8 && self.depth.is_none() {
            // Video of gray is told as the colours that it decodes to elsewhere.
            from.channels = 3;
        }
        if self.depth.is_some() && (from.channels, from.dtype) != (1, DType::UInt16) {
            let message = "frames of distances have one channel of 16 bits, and these have not";
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let is_told = |idx: usize, side: u32| {
            let told = self.field.info.shape.get(idx).and_then(|it| u32::try_from(*it).ok());
            told.is_none_or(|it| it == side)
        };
        if self.field.resize.is_none() && !(is_told(0, from.height) && is_told(1, from.width)) {
            let told = &self.field.info.shape;
            let message = format!("the video frame is {from}, and the schema says {told:?}");
            return Err(Error::new(ErrorKind::SchemaMismatch, message)
                .with_hint("resize this feature, or read it as coded bytes"));
        }
        let to = self.field.resize.map_or(from, |[height, width]| ImageShape { height, width, ..from });
        let dtype = if self.depth.is_some() { DType::Float32 } else { to.dtype };
        let widened = if self.depth.is_some() { 2 } else { 1 };
        let row_bytes = to.n_bytes().and_then(|it| it.checked_mul(widened));
        let n_bytes = row_bytes.and_then(|it| it.checked_mul(self.n_rows));
        let bytes = room_among(self.rooms, self.field, n_bytes)?;
        Ok(Open { from, to, dtype, row_bytes: row_bytes.unwrap_or(0), bytes })
    }

    fn finish(self) -> Result<(Data, Option<Vec<bool>>)> {
        let has_null = self.valid.iter().any(|it| !it);
        let told = &self.field.info.shape;
        let tensor = match self.open {
            Some(open) => {
                let rank = (told.get(2) == Some(&1)).then_some(3);
                Tensor { dtype: open.dtype, shape: dims_of(&open.to, rank), bytes: open.bytes }
            }
            // No row has a frame: only what is told says how large they would be.
            None => {
                let dtype = self.field.info.dtype;
                let sides = told.iter().map(|it| usize::try_from(*it).ok()).collect::<Option<Vec<usize>>>();
                match sides.filter(|it| !it.is_empty()) {
                    Some(shape) => {
                        let n_bytes = item_bytes(dtype, &shape).and_then(|it| it.checked_mul(self.n_rows));
                        Tensor { dtype, shape, bytes: zeros(n_bytes)?.into() }
                    }
                    None => Tensor { dtype, shape: vec![0; told.len()], bytes: Memory::default() },
                }
            }
        };
        Ok((Data::Tensor(tensor), has_null.then_some(self.valid)))
    }
}

/// Codes of 16 bits as distances.
fn distances(table: &[f32], codes: &[u8], target: &mut [u8]) {
    let last = table.len().saturating_sub(1);
    for (code, target) in codes.as_chunks::<2>().0.iter().zip(target.as_chunks_mut::<4>().0) {
        let code = usize::from(u16::from_le_bytes(*code)).min(last);
        *target = table.get(code).copied().unwrap_or(0.0).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use nodedata_core::{Feature, Storage, meta};
    use nodedata_media::{resize::Resize, video::Chroma};

    use super::{super::pictures::resampling, *};
    use crate::{
        As, FeatureInfo,
        split::{Beside, Form},
    };

    fn field(facts: &str, resize: Option<[u32; 2]>) -> Field {
        let feature = Feature::new("cam", DType::UInt8, Vec::new())
            .with_meta(meta::ENCODING, "h265")
            .with_meta("lerobot:info", facts);
        let feature = Feature { storage: Storage::RawMedia, ..feature };
        let columns = ["cam".to_owned(), "cam.keyframe".to_owned()];
        let beside = Beside { columns: &columns, has_video: true };
        Field { info: FeatureInfo::new(feature, None, &beside), read_as: As::Decoded, resize }
    }

    /// A gray frame whose values follow from their places.
    fn gray(bit_depth: u8) -> VideoFrame {
        let values = (0..24u16).map(|it| it * 170);
        let plane = match bit_depth {
            8 => values.map(|it| it as u8).collect(),
            _ => values.flat_map(u16::to_le_bytes).collect(),
        };
        VideoFrame {
            order: 0,
            width: 6,
            height: 4,
            chroma: Chroma::None,
            bit_depth,
            full_range: true,
            matrix: 2,
            planes: vec![plane],
        }
    }

    fn put(field: &Field, frames: &[Option<VideoFrame>]) -> Result<(Tensor, Option<Vec<bool>>)> {
        let Form::Video(form) = &field.info.form else { panic!("{:?}", field.info) };
        let rooms = Rooms::default();
        let mut target = Target::new(frames.len(), field, form.depth.as_ref(), &rooms)?;
        frames.iter().try_for_each(|it| target.put(it.as_ref()))?;
        let (data, valid) = target.finish()?;
        let Data::Tensor(tensor) = data else { panic!("frames are a tensor") };
        Ok((tensor, valid))
    }

    /// Exactly those of the table, 12 bits of each value.
    #[test]
    fn codes_become_distances() {
        let field = field(r#"{"is_depth_map": true, "depth_unit": "mm"}"#, None);
        assert_eq!((field.info.dtype, field.info.unit.as_deref()), (DType::Float32, Some("mm")));
        let (tensor, valid) = put(&field, &[None, Some(gray(12))]).unwrap();
        assert_eq!(
            (tensor.dtype, tensor.shape.as_slice(), valid),
            (DType::Float32, &[4, 6][..], Some(vec![false, true]))
        );
        let Form::Video(form) = &field.info.form else { panic!("video") };
        let table = form.depth.unwrap().table().unwrap();
        let found: Vec<f32> =
            tensor.bytes.as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it)).collect();
        let expected: Vec<f32> = (0..24).map(|it| table[it * 170]).collect();
        assert_eq!((&found[..24], &found[24..]), (&[0.0; 24][..], expected.as_slice()));
        let err = put(&field, &[Some(gray(8))]).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt);
        let broken = self::field(r#"{"is_depth_map": true, "depth_min": 9.0, "depth_max": 1.0}"#, None);
        assert_eq!(put(&broken, &[Some(gray(12))]).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn gray_frames_are_gray_unless_the_schema_says_colours() {
        let mut field = field("{}", None);
        let (tensor, valid) = put(&field, &[Some(gray(8)), None]).unwrap();
        assert_eq!((tensor.shape.as_slice(), valid), (&[4, 6][..], Some(vec![true, false])));
        assert_eq!(tensor.bytes, [gray(8).planes[0].clone(), vec![0; 24]].concat());
        field.info.shape = vec![4, 6, 3];
        let (tensor, valid) = put(&field, &[Some(gray(8))]).unwrap();
        assert_eq!((tensor.shape.as_slice(), valid), (&[4, 6, 3][..], None));
        let expected: Vec<u8> = gray(8).planes[0].iter().flat_map(|it| [*it; 3]).collect();
        assert_eq!(tensor.bytes, expected);
        field.resize = Some([2, 3]);
        let (tensor, _) = put(&field, &[Some(gray(8))]).unwrap();
        let from = ImageShape { height: 4, width: 6, channels: 3, dtype: DType::UInt8 };
        let mut resized = vec![0; 18];
        Resize::new(from, [2, 3], resampling(&from)).unwrap().resize(&expected, &mut resized).unwrap();
        assert_eq!(tensor.bytes, resized);
    }

    /// Whether there is one or none: a sample is of the shape that is told.
    #[test]
    fn frames_are_of_the_shape_that_is_told() {
        let mut field = field("{}", None);
        field.info.shape = vec![4, 6, 1];
        let (tensor, valid) = put(&field, &[Some(gray(8)), None]).unwrap();
        assert_eq!((tensor.shape.as_slice(), valid), (&[4, 6, 1][..], Some(vec![true, false])));
        field.info.shape = vec![4, 6, 3];
        let (tensor, valid) = put(&field, &[None, None]).unwrap();
        assert_eq!((tensor.shape.as_slice(), valid), (&[4, 6, 3][..], Some(vec![false, false])));
        assert_eq!(tensor.bytes, [0; 2 * 72]);
        field.info.shape = vec![4, 8, 3];
        assert_eq!(put(&field, &[Some(gray(8))]).unwrap_err().kind(), ErrorKind::SchemaMismatch);
        field.info.shape = vec![-1, 6, 3];
        assert_eq!(put(&field, &[Some(gray(8))]).unwrap().0.shape, [4, 6, 3]);
    }

    #[test]
    fn frames_of_another_size_have_no_place_among_the_others() {
        let other = VideoFrame { width: 4, height: 6, ..gray(8) };
        let err = put(&field("{}", None), &[Some(gray(8)), Some(other)]).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::SchemaMismatch);
        let (tensor, valid) = put(&field("{}", None), &[None, None]).unwrap();
        assert_eq!((tensor.bytes.len(), valid), (0, Some(vec![false, false])));
    }
}
