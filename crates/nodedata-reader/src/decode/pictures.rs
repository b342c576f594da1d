//! Coded pictures, one by one, straight to where their pixels belong.

use bytes::Bytes;
use nodedata_core::{DType, Dim, Error, ErrorKind, Result};
use nodedata_media::{
    ImageShape, decode_image, decode_image_into, image_header,
    resize::{Resampling, Resize},
    sniff,
};
use rayon::prelude::*;

use super::{
    Decoding,
    media::{MediaRow, valid_of},
};
use crate::{
    fields::Field,
    memory::{Memory, Rooms},
    rows::{Data, Ragged, Tensor, no_memory, room},
    split::{Pictures, dims_of},
};

/// Above this, room is asked for before it is taken, because it may not be there.
const LARGE_BYTES: usize = 64 << 20;

/// Pictures that stand for a list of them that is not there.
const LISTED_MAX: usize = 1 << 16;

/// What each thread works with.
#[derive(Default)]
pub(super) struct Scratch {
    pixels: Vec<u8>,
    resize: Option<(ImageShape, Resize)>,
}

impl Decoding<'_> {
    /// Room for so many bytes of a field, holding anything: where somebody wants them to be, or in memory of their own.
    ///
    /// # Errors
    /// `Limit` when there is no room for them.
    pub(super) fn room(&self, field: &Field, n_bytes: Option<usize>) -> Result<Memory> {
        room_among(self.rooms, field, n_bytes)
    }

    /// The pixels of all rows: a tensor, or lists of them.
    pub(super) fn pictures(&self, field: &Field, form: &Pictures) -> Result<(Data, Option<Vec<bool>>)> {
        let rows = self.media(field)?;
        let lists: Vec<usize> = match form.lists.first() {
            Some(Dim::Variable) => fixed_dims(form.lists.get(1..).unwrap_or_default()),
            _ => fixed_dims(&form.lists),
        };
        let is_ragged = form.lists.first() == Some(&Dim::Variable);
        let per_item = lists.iter().try_fold(1usize, |n, it| n.checked_mul(*it)).unwrap_or(usize::MAX);
        let items = self.items(field, &rows, per_item, is_ragged)?;
        let at = |idx: usize, err| self.placed_at_row(err, items.get(idx).map(|it| it.0), field);
        let from = match form.shape {
            Some(shape) => Some(shape),
            None => first_shape(&items).map_err(|(idx, err)| at(idx, err))?,
        };
        let valid = valid_of(&rows);
        let (pixels, dims, dtype) = match from {
            Some(from) => {
                let to = field.resize.map_or(from, |[height, width]| ImageShape { height, width, ..from });
                let bytes: Vec<Option<&Bytes>> = items.iter().map(|it| it.1).collect();
                let resampling = field.resize.map(|_| resampling(&to));
                let job = Job { from: form.shape, to, resampling };
                let n_bytes = to.n_bytes().and_then(|it| it.checked_mul(items.len()));
                let mut pixels = self.room(field, n_bytes).map_err(|err| at(0, err))?;
                job.run(&bytes, &mut pixels).map_err(|(idx, err)| at(idx, err))?;
                (pixels, dims_of(&to, form.rank), to.dtype)
            }
            // No row has any, and nothing else tells how large they would be.
            None => (Memory::default(), vec![0; form.rank.unwrap_or(3)], field.info.dtype),
        };
        let shape: Vec<usize> = lists.iter().chain(&dims).copied().collect();
        let tensor = Tensor { dtype, shape, bytes: pixels };
        if !is_ragged {
            return Ok((Data::Tensor(tensor), valid));
        }
        let mut offsets = vec![0u64];
        for row in &rows {
            let before = offsets.last().copied().unwrap_or(0);
            offsets.push(before + row.items.len().checked_div(per_item).unwrap_or(0) as u64);
        }
        Ok((Data::Ragged(Ragged { values: tensor, offsets }), valid))
    }

    /// The media of all rows, each with its row; `None` for one that is not there. A row has as many as `n`, or of lists of any length
    /// so many for each item.
    fn items<'a>(
        &self,
        field: &Field,
        rows: &'a [MediaRow],
        n: usize,
        is_ragged: bool,
    ) -> Result<Vec<(&'a MediaRow, Option<&'a Bytes>)>> {
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let n_found = row.items.len();
            match (row.is_valid, is_ragged) {
                (false, false) => {
                    // A schema may tell any number.
                    if LISTED_MAX < n {
                        let message = format!("a list of {n} pictures is more than can be read");
                        let err = Error::new(ErrorKind::Limit, message);
                        return Err(self.placed_at_row(err, Some(row), field));
                    }
                    items.extend(std::iter::repeat_n((row, None), n));
                }
                (false, true) => {}
                (true, _) if n_found == n || (is_ragged && n_found.is_multiple_of(n)) => {
                    items.extend(row.items.iter().map(|it| (row, it.as_ref())));
                }
                (true, _) => {
                    let message = format!("the row has {n_found} pictures, and the schema says {n}");
                    let err = Error::new(ErrorKind::SchemaMismatch, message);
                    return Err(self.placed_at_row(err, Some(row), field));
                }
            }
        }
        Ok(items)
    }
}

fn fixed_dims(lists: &[Dim]) -> Vec<usize> {
    let length = |dim: &Dim| match dim {
        Dim::Fixed(n) => *n as usize,
        Dim::Variable => 0,
    };
    lists.iter().map(length).collect()
}

/// Distances and labels have no mean.
pub(super) fn resampling(shape: &ImageShape) -> Resampling {
    if shape.dtype == DType::UInt16 && shape.channels == 1 {
        Resampling::Nearest
    } else {
        Resampling::Triangle
    }
}

/// What the first picture that is there says of itself.
fn first_shape(items: &[(&MediaRow, Option<&Bytes>)]) -> Result<Option<ImageShape>, (usize, Error)> {
    let first = items.iter().enumerate().find_map(|(idx, (_, bytes))| Some((idx, (*bytes)?)));
    first.map(|(idx, bytes)| shape_of(bytes).map_err(|err| (idx, err))).transpose()
}

/// What a picture says of itself.
fn shape_of(bytes: &[u8]) -> Result<ImageShape> {
    if let Some(it) = image_header(bytes) {
        return Ok(ImageShape { height: it.height, width: it.width, channels: it.channels, dtype: it.dtype });
    }
    // Whoever decodes it says best what is wrong.
    match decode_image(bytes) {
        Ok(decoded) => Ok(decoded.shape()),
        Err(err) if err.kind() == ErrorKind::Unsupported => Err(unknown(bytes, err)),
        Err(err) => Err(err),
    }
}

fn unknown(bytes: &[u8], err: Error) -> Error {
    let coding = sniff(bytes).map_or("no coding that is known", |it| it.name());
    Error::new(ErrorKind::Unsupported, format!("the bytes are {coding}, and no JPEG or PNG"))
        .with_source(err)
        .with_hint("read this feature as coded bytes")
}

/// Pictures to decode.
struct Job {
    /// What each of them is, where all are alike; else each tells it itself.
    from: Option<ImageShape>,
    /// What they become.
    to: ImageShape,
    /// How they become it, where another size was asked for; else one of another size is a mistake.
    resampling: Option<Resampling>,
}

impl Job {
    /// Puts the pixels of all of them to where there is just the room for them, one after the other, and zeros for those that are not
    /// there. On error, which one it is.
    fn run(&self, items: &[Option<&Bytes>], pixels: &mut [u8]) -> Result<(), (usize, Error)> {
        let Some(each) = self.to.n_bytes().filter(|it| *it > 0) else { return Ok(()) };
        let one = |scratch: &mut Scratch, idx: usize, room: &mut [u8], bytes: Option<&Bytes>| match bytes {
            Some(bytes) => self.decode(bytes, room, scratch).map_err(|err| (idx, err)),
            None => {
                room.fill(0);
                Ok(())
            }
        };
        if items.len() > 1 && rayon::current_thread_index().is_some() {
            let all = pixels.par_chunks_exact_mut(each).zip(items).enumerate();
            all.try_for_each_init(Scratch::default, |scratch, (idx, (room, bytes))| {
                one(scratch, idx, room, *bytes)
            })?;
        } else {
            let mut scratch = Scratch::default();
            for (idx, (room, bytes)) in pixels.chunks_exact_mut(each).zip(items).enumerate() {
                one(&mut scratch, idx, room, *bytes)?;
            }
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8], target: &mut [u8], scratch: &mut Scratch) -> Result<()> {
        let decode = |shape: &ImageShape, target: &mut [u8]| {
            decode_image_into(bytes, shape, target).map_err(|err| match err.kind() {
                ErrorKind::Unsupported => unknown(bytes, err),
                _ => err,
            })
        };
        let own = match self.from {
            Some(shape) => shape,
            None => shape_of(bytes)?,
        };
        if own == self.to {
            return decode(&own, target);
        }
        let is_like = own.channels == self.to.channels && own.dtype == self.to.dtype;
        let Some(resampling) = self.resampling.filter(|_| is_like) else {
            if self.from.is_none() {
                let message = format!("pictures of {own} are no tensor with the first one's {}", self.to);
                return Err(Error::new(ErrorKind::SchemaMismatch, message)
                    .with_hint("resize this feature, read one step at a time, or read it as coded bytes"));
            }
            // That says what is wrong.
            return decode(&self.to, target);
        };
        scratch.prepare(&own, &self.to, resampling)?;
        let mut pixels = std::mem::take(&mut scratch.pixels);
        let n_bytes = own.n_bytes().filter(|it| *it <= LARGE_BYTES || room_for(*it));
        let Some(n_bytes) = n_bytes else {
            return Err(Error::new(ErrorKind::Limit, format!("there is no memory for a picture of {own}")));
        };
        pixels.resize(n_bytes, 0);
        let done = decode(&own, &mut pixels).and_then(|()| scratch.resize(&pixels, target));
        scratch.pixels = pixels;
        done
    }
}

impl Scratch {
    /// Gets ready to resize pictures of a shape.
    fn prepare(&mut self, from: &ImageShape, to: &ImageShape, resampling: Resampling) -> Result<()> {
        if self.resize.as_ref().is_none_or(|(it, _)| it != from) {
            self.resize = Some((*from, Resize::new(*from, [to.height, to.width], resampling)?));
        }
        Ok(())
    }

    fn resize(&mut self, pixels: &[u8], room: &mut [u8]) -> Result<()> {
        match &mut self.resize {
            Some((_, resize)) => resize.resize(pixels, room),
            None => Err(Error::new(ErrorKind::SchemaMismatch, "the picture is of another size")),
        }
    }

    /// Resizes one frame that is decoded already.
    pub(super) fn frame(
        &mut self,
        from: &ImageShape,
        to: &ImageShape,
        pixels: &[u8],
        room: &mut [u8],
    ) -> Result<()> {
        self.prepare(from, to, resampling(to))?;
        self.resize(pixels, room)
    }
}

fn room_for(n_bytes: usize) -> bool {
    room(Some(n_bytes)).is_ok()
}

/// The same among rooms that are ready.
///
/// # Errors
/// `Limit` when there is no room for them.
pub(super) fn room_among(rooms: &Rooms, field: &Field, n_bytes: Option<usize>) -> Result<Memory> {
    let room = n_bytes.and_then(|it| rooms.take(&field.info.name, it).or_else(|| Memory::to_fill(it)));
    room.ok_or_else(|| no_memory(n_bytes))
}

/// So many zeros, which cost nothing as long as nobody writes to them.
///
/// # Errors
/// `Limit` when there is no room for them.
pub(super) fn zeros(n_bytes: Option<usize>) -> Result<Memory> {
    n_bytes.and_then(Memory::zeros).ok_or_else(|| no_memory(n_bytes))
}
