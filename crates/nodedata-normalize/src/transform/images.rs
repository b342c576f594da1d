mod pixels;

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, StructArray, builder::BinaryBuilder, cast::AsArray, new_null_array,
};
use arrow_schema::{DataType, Field};
use nodedata_core::{
    DType, Error, ErrorKind, Feature, MediaEncoding, MediaShape, Nested, Result, Storage, meta,
};
use nodedata_media::{Decoded, JPEG_QUALITY, decode_image, encode_jpeg, encode_png, image_header};

use self::pixels::value_bytes;
pub(super) use self::pixels::{PixelOp, Workbench};
use super::{
    lists::around,
    raw_frame::{RawFrame, RowFrames, picture},
};

/// Frames that are decoded, changed and stored again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImageOp {
    pub(super) ops: Vec<PixelOp>,
    pub(super) encoding: MediaEncoding,
    /// Quality of JPEG, where somebody said one.
    pub(super) quality: Option<u8>,
    /// What all bare frames are, where that is known before they are read.
    pub(super) frame: Option<RawFrame>,
}

/// Frames as they are stored, and what bare ones are.
pub(super) struct Frames {
    pub(super) array: ArrayRef,
    /// Type and shape of bare values; encoded frames tell it themselves.
    pub(super) shape: Option<(DType, Vec<u32>)>,
}

/// The frames of a column as they lie in it.
pub(super) struct Pictures<'a> {
    pub(super) bytes: &'a BinaryArray,
    /// Whether they say themselves what they are.
    pub(super) is_encoded: bool,
    /// What is known of bare ones.
    pub(super) found: &'a [&'a MediaShape],
    /// What each bare one is, where that varies.
    pub(super) rows: Option<&'a RowFrames<'a>>,
}

impl Pictures<'_> {
    /// `known` is what all bare ones are, where that is known before they are read.
    fn decoded(&self, idx: usize, known: Option<&RawFrame>) -> Result<Decoded> {
        let frame = self.bytes.value(idx);
        match (self.rows, known) {
            _ if self.is_encoded => decoded(frame),
            (Some(rows), _) => rows.at(idx).and_then(|it| picture(frame, &it)),
            (None, Some(known)) => picture(frame, known),
            (None, None) => bare(frame, self.found),
        }
    }
}

/// A frame or clip that could not be changed, by the row that has it.
pub(super) struct Unchanged {
    pub(super) row: usize,
    pub(super) err: Error,
}

impl ImageOp {
    /// The column that holds such frames.
    pub(super) fn feature(&self, mut feature: Feature) -> Feature {
        feature.storage = match self.encoding {
            MediaEncoding::Jpeg | MediaEncoding::Png => Storage::EncodedMedia,
            MediaEncoding::Raw => Storage::RawMedia,
        };
        // What frames were they need not be any more.
        for fact in [meta::FRAME_TYPE, meta::FRAME_SHAPE, meta::FRAME_SIZE, meta::FRAME_FORMAT] {
            feature.metadata.remove(fact);
        }
        let feature = feature.with_meta(meta::ENCODING, self.encoding.name());
        self.ops.iter().fold(feature, |feature, op| op.feature(feature))
    }

    /// Does what another says to the same frames, too.
    pub(super) fn append(&mut self, other: Self) {
        self.ops.extend(other.ops);
        (self.encoding, self.quality) = (other.encoding, other.quality);
    }

    /// Changes every frame of a column. `found` is what is known of bare frames, and `rows` says of each row what it is,
    /// where that varies.
    pub(super) fn apply(
        &self,
        column: &ArrayRef,
        found: &[&MediaShape],
        rows: Option<&RowFrames<'_>>,
        wanted: &DataType,
    ) -> Result<Frames, Unchanged> {
        let nested = Nested::of(column.as_ref());
        let bytes = nested.values.as_binary::<i32>();
        let valid = nested.items.last().and_then(|it| it.valid.clone());
        let ends = bytes.value_offsets();
        let n_bytes = ends.last().zip(ends.first()).map_or(0, |(last, first)| (last - first) as usize);
        let mut stored = BinaryBuilder::with_capacity(bytes.len(), n_bytes);
        let mut shape: Option<(DType, Vec<u32>)> = None;
        let pictures = Pictures { bytes, is_encoded: is_struct(column.data_type()), found, rows };
        let mut workbench = Workbench::default();
        for idx in 0..bytes.len() {
            if valid.as_ref().is_some_and(|it| it.is_null(idx)) {
                stored.append_null();
                continue;
            }
            let at = |err| Unchanged { row: nested.row_of(nested.dims.len(), idx), err };
            let frame = self.changed(&pictures, idx, &mut workbench).map_err(at)?;
            let found = (frame.dtype, dims(&frame));
            if self.encoding == MediaEncoding::Raw && shape.as_ref().is_some_and(|it| *it != found) {
                return Err(at(several_shapes(shape.as_ref(), &found)));
            }
            shape = Some(found);
            let frame = self.store(frame).map_err(at)?;
            if i32::try_from(stored.values_slice().len() + frame.len()).is_err() {
                let message = "the frames of one batch take more than 2 GiB";
                return Err(
                    at(Error::new(ErrorKind::Limit, message).with_hint("`encoding: png` takes less")),
                );
            }
            stored.append_value(frame);
        }
        let bytes: ArrayRef = Arc::new(stored.finish());
        let array = around_media(column, bytes, wanted).map_err(|err| Unchanged { row: 0, err })?;
        Ok(Frames { array, shape: shape.filter(|_| self.encoding == MediaEncoding::Raw) })
    }

    /// One frame, decoded and changed.
    ///
    /// # Errors
    /// What decoding reports, and what the changes do.
    pub(super) fn changed(
        &self,
        pictures: &Pictures<'_>,
        idx: usize,
        workbench: &mut Workbench,
    ) -> Result<Decoded> {
        let frame = pictures.decoded(idx, self.frame.as_ref())?;
        self.ops.iter().try_fold(frame, |frame, op| workbench.change(op, frame))
    }

    fn store(&self, frame: Decoded) -> Result<Vec<u8>> {
        let hint = "`encoding: raw` keeps values of any type";
        match self.encoding {
            MediaEncoding::Jpeg => encode_jpeg(&frame, self.quality.unwrap_or(JPEG_QUALITY)),
            MediaEncoding::Png => encode_png(&frame).map_err(|err| err.with_hint(hint)),
            MediaEncoding::Raw => Ok(frame.pixels),
        }
    }
}

/// The lists of the old column around new pictures or clips. What a file was called it is not any more.
pub(super) fn around_media(old: &ArrayRef, bytes: ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    let mut inside = wanted;
    while let DataType::List(item) | DataType::FixedSizeList(item, _) = inside {
        inside = item.data_type();
    }
    let media: ArrayRef = match inside {
        DataType::Struct(fields) => {
            let nulls = bytes.nulls().cloned();
            let path = new_null_array(&DataType::Utf8, bytes.len());
            Arc::new(StructArray::new(fields.clone(), vec![bytes, path], nulls))
        }
        _ => bytes,
    };
    around(old.as_ref(), media, wanted).map_err(|err| {
        Error::new(ErrorKind::SchemaMismatch, "the media do not fit their column").with_source(err)
    })
}

/// Whether frames lie in the column as Hugging Face readers expect encoded ones.
pub(super) fn is_struct(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(_) => true,
        DataType::List(item) | DataType::FixedSizeList(item, _) | DataType::LargeList(item) => {
            is_struct(Field::data_type(item))
        }
        _ => false,
    }
}

/// An encoded frame, with as many channels as it was stored with: the decoder of JPEG makes three of one.
fn decoded(bytes: &[u8]) -> Result<Decoded> {
    let frame = decode_image(bytes)?;
    let is_gray = image_header(bytes).is_some_and(|it| it.shape().1 == 2);
    if !is_gray || frame.channels != 3 || frame.dtype != DType::UInt8 {
        return Ok(frame);
    }
    let pixels = frame.pixels.iter().step_by(3).copied().collect();
    Ok(Decoded { channels: 1, pixels, ..frame })
}

/// Bare values as a frame, of the one shape that is known of them.
fn bare(pixels: &[u8], found: &[&MediaShape]) -> Result<Decoded> {
    let hint = "only frames whose height, width and type are known can be changed";
    let [found] = found else {
        let message =
            format!("the frames of this batch have {} shapes, and none says which is whose", found.len());
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint));
    };
    if found.encoding != MediaEncoding::Raw.name() {
        let message = format!("the frame is coded as {}, and was not decoded", found.encoding);
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_hint("only coded video that the source decodes can be changed; remove the transform"));
    }
    let (height, width, channels) = match found.shape.as_slice() {
        [height, width] => (*height, *width, 1),
        [height, width, channels] => (*height, *width, *channels),
        _ => {
            let message = format!("the frame has the shape {:?}, which is no picture's", found.shape);
            return Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint));
        }
    };
    let frame = Decoded { height, width, channels, dtype: found.dtype, pixels: pixels.to_vec() };
    let mut sides = [height, width, channels].into_iter().map(|it| it as usize);
    let wanted = sides.try_fold(value_bytes(found.dtype), usize::checked_mul);
    if wanted != Some(frame.pixels.len()) || frame.pixels.is_empty() {
        let message =
            format!("{} bytes are no {height} × {width} × {channels} image of {}", pixels.len(), found.dtype);
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    Ok(frame)
}

fn several_shapes(one: Option<&(DType, Vec<u32>)>, other: &(DType, Vec<u32>)) -> Error {
    let one = one.map(|it| it.1.clone()).unwrap_or_default();
    let message = format!("the frame is {:?}, and those before it are {one:?}", other.1);
    Error::new(ErrorKind::Unsupported, message)
        .with_hint("bare values do not say their shape: `encoding: png` lets it vary")
}

fn dims(frame: &Decoded) -> Vec<u32> {
    let all = [frame.height, frame.width, frame.channels];
    if frame.channels == 1 { all[..2].to_vec() } else { all.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(channels: u32, dtype: DType) -> Decoded {
        let n = 2 * 3 * channels as usize * value_bytes(dtype);
        Decoded { height: 2, width: 3, channels, dtype, pixels: (0..n).map(|it| it as u8).collect() }
    }

    fn media(frames: &[Option<Vec<u8>>]) -> ArrayRef {
        let feature =
            Feature { storage: Storage::EncodedMedia, ..Feature::new("i", DType::Bytes, Vec::new()) };
        let DataType::Struct(fields) = feature.arrow_type() else { panic!("media is a struct") };
        let bytes: arrow_array::BinaryArray = frames.iter().map(Option::as_deref).collect();
        let nulls = bytes.nulls().cloned();
        let path = new_null_array(&DataType::Utf8, bytes.len());
        Arc::new(StructArray::new(fields, vec![Arc::new(bytes), path], nulls))
    }

    #[test]
    fn encoded_frames_are_decoded_and_a_null_stays() {
        let png = encode_png(&frame(3, DType::UInt8)).unwrap();
        let column = media(&[Some(png.clone()), None]);
        let op = ImageOp {
            ops: vec![PixelOp::Rotate180],
            encoding: MediaEncoding::Png,
            quality: None,
            frame: None,
        };
        let found = op.apply(&column, &[], None, column.data_type()).ok().unwrap();
        assert!(found.array.is_null(1) && found.shape.is_none());
        let back = op.apply(&found.array, &[], None, column.data_type()).ok().unwrap();
        let bytes = Nested::of(back.array.as_ref()).values;
        assert_eq!(decode_image(bytes.as_binary::<i32>().value(0)).unwrap(), frame(3, DType::UInt8));
        let broken = media(&[Some(png), Some(b"no picture".to_vec())]);
        let refused = op.apply(&broken, &[], None, column.data_type()).err().unwrap();
        assert_eq!(refused.row, 1);
    }

    #[test]
    fn gray_stays_gray() {
        let gray = Decoded { pixels: vec![90; 6], ..frame(1, DType::UInt8) };
        let stored = encode_jpeg(&gray, JPEG_QUALITY).unwrap();
        let found = decoded(&stored).unwrap();
        assert_eq!((found.channels, found.pixels.len()), (1, 6));
    }

    #[test]
    fn bare_frames_that_vary_are_what_their_rows_say() {
        let bytes = b"abcdef".as_slice();
        let column: ArrayRef =
            Arc::new(arrow_array::BinaryArray::from(vec![Some(bytes), Some(bytes), None, Some(bytes)]));
        let sides = |it: [Option<u32>; 4]| Arc::new(arrow_array::UInt32Array::from(it.to_vec())) as ArrayRef;
        let formats = Arc::new(arrow_array::StringArray::from(vec!["rgb8"; 4])) as ArrayRef;
        let rows = arrow_array::RecordBatch::try_from_iter([
            ("height", sides([Some(2), Some(1), None, None])),
            ("width", sides([Some(1), Some(2), None, None])),
            ("encoding", formats),
        ])
        .unwrap();
        let frames = RowFrames::of(&rows, &[0, 1, 2]);
        let op = ImageOp {
            ops: vec![PixelOp::Rotate180],
            encoding: MediaEncoding::Png,
            quality: None,
            frame: None,
        };
        let wanted = media(&[]).data_type().clone();
        let found = op.apply(&column.slice(0, 3), &[], frames.as_ref(), &wanted).ok().unwrap();
        assert!(found.array.is_null(2));
        let pictures = Nested::of(found.array.as_ref()).values;
        for (row, (height, width)) in [(2, 1), (1, 2)].into_iter().enumerate() {
            let picture = decode_image(pictures.as_binary::<i32>().value(row)).unwrap();
            assert_eq!((picture.height, picture.width, picture.channels), (height, width, 3));
            assert_eq!(picture.pixels, b"defabc");
        }
        // A row that does not say what its bytes are.
        let refused = op.apply(&column, &[], frames.as_ref(), &wanted).err().unwrap();
        assert_eq!((refused.row, refused.err.kind()), (3, ErrorKind::Unsupported));
    }

    #[test]
    fn bare_frames_need_the_one_shape_that_they_have() {
        let pixels = frame(3, DType::UInt8).pixels;
        let shape = MediaShape {
            column: 0,
            dtype: DType::UInt8,
            shape: vec![2, 3, 3],
            encoding: "raw".to_owned(),
            rate_hz: None,
            n_rows: 1,
        };
        assert_eq!(bare(&pixels, &[&shape]).unwrap(), frame(3, DType::UInt8));
        assert!(bare(&pixels[1..], &[&shape]).is_err());
        assert!(bare(&pixels, &[&shape, &shape]).is_err());
        assert!(bare(&pixels, &[&MediaShape { encoding: "h264".to_owned(), ..shape }]).is_err());
    }
}
