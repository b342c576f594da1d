//! The memory that frames of video are put to, group by group and by several threads at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nodedata_core::{DType, Error, ErrorKind, Result};
use nodedata_media::{ImageShape, video::VideoFrame};

use crate::{
    decode::pictures::{Scratch, room_among, zeros},
    fields::Field,
    memory::{Memory, Rooms},
    rows::{Data, Tensor, item_bytes, no_memory},
    split::{DepthFacts, dims_of},
};

/// Where the frames of all groups are put.
pub(super) struct Target<'a> {
    n_rows: usize,
    /// How many of the rows each group has, one behind the other.
    of_groups: Vec<usize>,
    pub(super) field: &'a Field,
    /// Where the frames are wanted.
    rooms: &'a Rooms,
    depth: Option<Vec<f32>>,
    /// Once there was a frame.
    open: Mutex<Option<Open>>,
}

struct Open {
    shape: FrameShape,
    /// The room of each group, until somebody has a frame of it.
    rooms: Vec<Memory>,
}

/// What frames are, and what they become.
#[derive(Clone, Copy)]
struct FrameShape {
    from: ImageShape,
    to: ImageShape,
    dtype: DType,
    row_bytes: usize,
}

impl<'a> Target<'a> {
    pub(super) fn new(
        n_rows: usize,
        of_groups: Vec<usize>,
        field: &'a Field,
        depth: Option<&DepthFacts>,
        rooms: &'a Rooms,
    ) -> Result<Self> {
        let depth = depth.map(DepthFacts::table).transpose()?;
        Ok(Self { n_rows, of_groups, field, rooms, depth, open: Mutex::new(None) })
    }

    /// The rows of a group.
    pub(super) fn part(&self, group: usize) -> Part<'_> {
        let valid = vec![false; self.of_groups.get(group).copied().unwrap_or(0)];
        Part { target: self, group, room: None, valid, scratch: Scratch::default(), pixels: Vec::new() }
    }

    fn opened(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for the rows of a group, now that it is known what a frame is.
    fn room(&self, group: usize, frame: &VideoFrame) -> Result<(FrameShape, Memory)> {
        let mut opened = self.opened();
        let open = match &mut *opened {
            Some(open) => open,
            none => none.insert(self.open(frame)?),
        };
        let room = open.rooms.get_mut(group).map(std::mem::take).unwrap_or_default();
        Ok((open.shape, room))
    }

    fn open(&self, frame: &VideoFrame) -> Result<Open> {
        let shape = self.shape(frame)?;
        let n_bytes = shape.row_bytes.checked_mul(self.n_rows);
        let mut rest = room_among(self.rooms, self.field, n_bytes)?;
        let mut cut = |n_rows: &usize| {
            let (first, others) = std::mem::take(&mut rest).cut(n_rows.saturating_mul(shape.row_bytes));
            rest = others;
            first
        };
        let rooms = self.of_groups.iter().map(&mut cut).collect();
        Ok(Open { shape, rooms })
    }

    fn shape(&self, frame: &VideoFrame) -> Result<FrameShape> {
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
        let row_bytes = to.n_bytes().and_then(|it| it.checked_mul(widened)).ok_or_else(|| no_memory(None))?;
        Ok(FrameShape { from, to, dtype, row_bytes })
    }

    /// All rows, of the room that each group had, if it had one, and which of its rows have a frame.
    pub(super) fn finish(self, parts: Vec<(Option<Memory>, Vec<bool>)>) -> Result<(Data, Option<Vec<bool>>)> {
        let (used, valid): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let valid = valid.concat();
        let has_null = valid.iter().any(|it| !it);
        let told = &self.field.info.shape;
        let tensor = match self.open.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(Open { shape, rooms }) => {
                // Of a group without a frame it is where it was.
                let all = used.into_iter().zip(rooms).map(|(used, mut unused)| {
                    used.unwrap_or_else(|| {
                        unused.fill(0);
                        unused
                    })
                });
                let n_bytes = shape.row_bytes.checked_mul(self.n_rows);
                let bytes = Memory::joined(all.collect()).ok_or_else(|| no_memory(n_bytes))?;
                let rank = (told.get(2) == Some(&1)).then_some(3);
                Tensor { dtype: shape.dtype, shape: dims_of(&shape.to, rank), bytes }
            }
            // No row has a frame: only what is told says how large they would be.
            None => {
                let dtype = self.field.info.dtype;
                let sides = told.iter().map(|it| usize::try_from(*it).ok()).collect::<Option<Vec<usize>>>();
                match sides.filter(|it| !it.is_empty()) {
                    Some(shape) => {
                        let n_bytes = item_bytes(dtype, &shape).and_then(|it| it.checked_mul(self.n_rows));
                        Tensor { dtype, shape, bytes: zeros(n_bytes)? }
                    }
                    None => Tensor { dtype, shape: vec![0; told.len()], bytes: Memory::default() },
                }
            }
        };
        Ok((Data::Tensor(tensor), has_null.then_some(valid)))
    }
}

/// Where the frames of one group are put, by one thread.
pub(super) struct Part<'a> {
    pub(super) target: &'a Target<'a>,
    group: usize,
    /// Once there was a frame of it.
    room: Option<(FrameShape, Memory)>,
    /// Which rows have a frame. The others become zeros.
    valid: Vec<bool>,
    scratch: Scratch,
    pixels: Vec<u8>,
}

impl Part<'_> {
    /// The frame of a row of the group.
    pub(super) fn put(&mut self, row: usize, frame: &VideoFrame) -> Result<()> {
        if self.room.is_none() {
            self.room = Some(self.target.room(self.group, frame)?);
        }
        let Some((shape, room)) = &mut self.room else { return Ok(()) };
        let FrameShape { from, to, row_bytes, .. } = *shape;
        let end = row.saturating_add(1).saturating_mul(row_bytes);
        let target = room.get_mut(row.saturating_mul(row_bytes)..end).zip(self.valid.get_mut(row));
        let Some((target, is_valid)) = target else {
            return Err(Error::new(ErrorKind::Corrupt, "there are more frames than rows"));
        };
        *is_valid = true;
        let decoded = frame.shape();
        if let Some(table) = &self.target.depth {
            self.pixels.resize(decoded.n_bytes().unwrap_or(0), 0);
            frame.rgb_into(&from, &mut self.pixels)?;
            distances(table, &self.pixels, target);
            return Ok(());
        }
        if to == from && decoded.channels == from.channels {
            return frame.rgb_for_later(&from, target);
        }
        self.pixels.resize(decoded.n_bytes().unwrap_or(0), 0);
        frame.rgb_into(&ImageShape { channels: decoded.channels, ..from }, &mut self.pixels)?;
        if decoded.channels == 1 && from.channels == 3 {
            self.pixels = self.pixels.iter().flat_map(|it| [*it; 3]).collect();
        }
        if to == from {
            target.copy_from_slice(&self.pixels);
            return Ok(());
        }
        self.scratch.frame(&from, &to, &self.pixels, target)
    }

    /// Whether a row has its frame.
    pub(super) fn has(&self, row: usize) -> bool {
        self.valid.get(row) == Some(&true)
    }

    /// Its room, where it has one, and which rows have a frame.
    pub(super) fn into_rows(self) -> (Option<Memory>, Vec<bool>) {
        let Self { room, valid, .. } = self;
        let room = room.map(|(shape, mut room)| {
            for (row, _) in room.chunks_exact_mut(shape.row_bytes.max(1)).zip(&valid).filter(|it| !it.1) {
                row.fill(0);
            }
            room
        });
        (room, valid)
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

    use super::*;
    use crate::{
        As, FeatureInfo,
        decode::pictures::resampling,
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
        // In two groups, of which the second comes first.
        let rows = [frames.len() / 2, frames.len().div_ceil(2)];
        let target = Target::new(frames.len(), rows.to_vec(), field, form.depth.as_ref(), &rooms)?;
        let (first, second) = frames.split_at(rows[0]);
        let part = |group: usize, frames: &[Option<VideoFrame>]| {
            let mut part = target.part(group);
            let there = frames.iter().enumerate().filter_map(|(row, it)| Some((row, it.as_ref()?)));
            there.rev().try_for_each(|(row, frame)| part.put(row, frame))?;
            Ok::<_, Error>(part.into_rows())
        };
        let second = part(1, second)?;
        let first = part(0, first)?;
        let (data, valid) = target.finish(vec![first, second])?;
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
