//! Frames instead of coded samples, for those who ask: decoded, and stored as JPEG, PNG or bare values.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, StructArray, builder::BinaryBuilder, new_null_array};
use arrow_schema::DataType;
use nodedata_core::{DType, Error, ErrorKind, Feature, MediaEncoding, MediaShape, Result, Storage, meta};
use nodedata_media::{
    Decoded, DepthQuantization, DepthUnit, JPEG_QUALITY, encode_jpeg, encode_png, encode_png_of_video,
    video::VideoFrame,
};

use crate::info::FeatureInfo;

/// What frames of one camera are stored as.
#[derive(Debug, Clone)]
pub(crate) struct FrameFormat {
    encoding: MediaEncoding,
    /// Set for cameras of distances.
    depth: Option<DepthQuantization>,
}

/// Decoded frames as a column, and what they are.
pub(crate) struct FrameColumn {
    pub(crate) array: ArrayRef,
    /// Of frames that do not tell it themselves.
    pub(crate) shape: Option<(DType, Vec<u32>)>,
}

/// A frame as it is stored.
pub(crate) struct Stored {
    bytes: Vec<u8>,
    dtype: DType,
    dims: Vec<u32>,
}

/// What the frames of a camera are decoded to where they are worked on: nothing is lost, and little time.
pub(crate) fn lossless(told: Option<&FeatureInfo>) -> MediaEncoding {
    // Distances are numbers; as pictures they are whole millimetres.
    if told.is_some_and(is_depth) { MediaEncoding::Png } else { MediaEncoding::Raw }
}

fn is_depth(told: &FeatureInfo) -> bool {
    told.camera("is_depth_map").and_then(|it| it.as_bool()) == Some(true)
}

impl FrameFormat {
    /// How the frames of a camera are to be stored, given what `info.json` says of it.
    ///
    /// # Errors
    /// `Config` for distances as JPEG; `Corrupt` when the quantisation of distances makes no sense.
    pub(crate) fn new(told: Option<&FeatureInfo>, encoding: MediaEncoding) -> Result<Self> {
        let Some(told) = told.filter(|it| is_depth(it)) else {
            return Ok(Self { encoding, depth: None });
        };
        if encoding == MediaEncoding::Jpeg {
            return Err(Error::new(ErrorKind::Config, "distances cannot be stored as JPEG")
                .with_hint("decode the camera to `raw` (float32) or `png` (16-bit millimetres)"));
        }
        let number =
            |key: &str, otherwise: f64| told.camera(key).and_then(|it| it.as_f64()).unwrap_or(otherwise);
        let use_log = told.camera("use_log").and_then(|it| it.as_bool()).unwrap_or(true);
        let unit = match told.camera("depth_unit").and_then(|it| it.as_str()) {
            None => DepthUnit::Metre,
            Some(name) => DepthUnit::from_name(name).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, format!("`depth_unit` is `{name}`, neither `m` nor `mm`"))
            })?,
        };
        // A 16-bit PNG holds whole millimetres.
        let unit = if encoding == MediaEncoding::Png { DepthUnit::Millimetre } else { unit };
        let (min, max, shift) = (number("depth_min", 0.01), number("depth_max", 10.0), number("shift", 3.5));
        Ok(Self { encoding, depth: Some(DepthQuantization::new(min, max, shift, use_log, unit)?) })
    }

    /// The column that holds such frames.
    pub(crate) fn feature(&self, mut feature: Feature) -> Feature {
        feature.storage = match self.encoding {
            MediaEncoding::Jpeg | MediaEncoding::Png => Storage::EncodedMedia,
            MediaEncoding::Raw => Storage::RawMedia,
        };
        if let Some(depth) = &self.depth {
            feature.dtype = if self.encoding == MediaEncoding::Raw { DType::Float32 } else { DType::UInt16 };
            feature = feature.with_meta(meta::UNIT, depth.unit().name());
        }
        feature.with_meta(meta::ENCODING, self.encoding.name())
    }

    /// The column of frames that are stored as `bytes`.
    pub(crate) fn array(&self, bytes: BinaryArray) -> ArrayRef {
        let bytes: ArrayRef = Arc::new(bytes);
        match self.encoding {
            MediaEncoding::Raw => bytes,
            MediaEncoding::Jpeg | MediaEncoding::Png => {
                let DataType::Struct(fields) =
                    self.feature(Feature::new("frame", DType::UInt8, Vec::new())).arrow_type()
                else {
                    unreachable!("encoded media are structs");
                };
                let path = new_null_array(&DataType::Utf8, bytes.len());
                Arc::new(StructArray::new(fields, vec![bytes, path], None))
            }
        }
    }

    /// Whether frames are stored as JPEG pictures.
    pub(crate) fn is_jpeg(&self) -> bool {
        self.encoding == MediaEncoding::Jpeg
    }

    /// A frame as it is stored.
    ///
    /// # Errors
    /// `Corrupt` for distances that are none; `Unsupported` for frames that the encoding cannot hold.
    pub(crate) fn stored(&self, frame: &VideoFrame) -> Result<Stored> {
        let frame = frame.to_rgb();
        let dims = match frame.channels {
            1 => vec![frame.height, frame.width],
            n => vec![frame.height, frame.width, n],
        };
        let (bytes, dtype) = match (&self.depth, self.encoding) {
            (Some(depth), _) => self.distances(depth, &frame)?,
            (None, MediaEncoding::Jpeg) => (encode_jpeg(&frame, JPEG_QUALITY)?, frame.dtype),
            (None, MediaEncoding::Png) => (encode_png_of_video(&frame)?, frame.dtype),
            (None, MediaEncoding::Raw) => (frame.pixels, frame.dtype),
        };
        Ok(Stored { bytes, dtype, dims })
    }

    /// The column of some frames.
    pub(crate) fn column(&self, stored: &[Stored]) -> FrameColumn {
        let n_bytes = stored.iter().map(|it| it.bytes.len()).sum();
        let mut bytes = BinaryBuilder::with_capacity(stored.len(), n_bytes);
        stored.iter().for_each(|it| bytes.append_value(&it.bytes));
        let shape = stored.last().map(|it| (it.dtype, it.dims.clone()));
        FrameColumn { array: self.array(bytes.finish()), shape }
    }

    /// Codes become distances: float32 in the camera's unit, or whole millimetres.
    fn distances(&self, depth: &DepthQuantization, frame: &Decoded) -> Result<(Vec<u8>, DType)> {
        if frame.channels != 1 || frame.dtype != DType::UInt16 {
            let message = "frames of distances have one channel of 16 bits, and these have not";
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let table = depth.table();
        let last = table.len() - 1;
        let codes =
            frame.pixels.chunks_exact(2).map(|it| usize::from(u16::from_le_bytes([it[0], it[1]])).min(last));
        if self.encoding == MediaEncoding::Raw {
            return Ok((codes.flat_map(|code| table[code].to_le_bytes()).collect(), DType::Float32));
        }
        let pixels =
            codes.flat_map(|code| (table[code].round().clamp(0.0, 65535.0) as u16).to_le_bytes()).collect();
        let frame = Decoded { pixels, ..frame.clone() };
        Ok((encode_png(&frame)?, DType::UInt16))
    }
}

impl FrameColumn {
    /// What the frames of a column of bare values are. Encoded frames tell it themselves.
    pub(crate) fn pixels(&self, column: usize) -> Option<MediaShape> {
        let (dtype, shape) = self.shape.clone()?;
        let n_rows = self.array.len() as u64;
        let encoding = MediaEncoding::Raw.name().to_owned();
        Some(MediaShape { column, dtype, shape, encoding, rate_hz: None, n_rows })
    }
}
