//! Frames instead of coded samples, for those who ask: decoded, and stored as JPEG, PNG or bare values.

use std::{ops::Range, sync::Arc};

use arrow_array::{ArrayRef, StructArray, builder::BinaryBuilder, new_null_array};
use arrow_schema::DataType;
use nodedata_core::{DType, Error, ErrorKind, Feature, MediaEncoding, MediaShape, Result, Storage, meta};
use nodedata_media::{
    Decoded, DepthQuantization, DepthUnit, JPEG_QUALITY, encode_jpeg, encode_png,
    video::{CodedSample, DecodeOptions, decode_frames},
};

use crate::{cameras::EpisodeVideo, info::FeatureInfo};

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
    pub(crate) shape: Option<(DType, Vec<u32>)>,
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

    fn stored(&self, frame: Decoded) -> Result<(Vec<u8>, DType)> {
        let frame = match &self.depth {
            None => frame,
            Some(depth) => return self.distances(depth, &frame),
        };
        Ok(match self.encoding {
            MediaEncoding::Jpeg => (encode_jpeg(&frame, JPEG_QUALITY)?, frame.dtype),
            MediaEncoding::Png => (encode_png(&frame)?, frame.dtype),
            MediaEncoding::Raw => (frame.pixels, frame.dtype),
        })
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

/// The frames of some steps of an episode.
///
/// # Errors
/// `Corrupt`, `Unsupported` or `Limit` when the video cannot be decoded; `Io`.
pub(crate) fn frames(
    episode: &EpisodeVideo,
    steps: &Range<u64>,
    format: &FrameFormat,
) -> Result<FrameColumn> {
    let track = &episode.video.track;
    let wanted = episode.first_frame + steps.start..episode.first_frame + steps.end;
    let pts = |frame: u64| track.shown(frame).map_or(0, |it| it.pts);
    let samples = track.samples_for(wanted.clone())?.map(|idx| {
        let sample = &track.samples[idx];
        let data = episode.video.file.read_at(sample.byte_range())?;
        Ok(CodedSample { order: sample.pts, data })
    });
    let mut stored = BinaryBuilder::new();
    let mut shape = None;
    let mut n_frames = 0;
    let wanted_pts = pts(wanted.start)..pts(wanted.end - 1) + 1;
    decode_frames(
        track.codec,
        &track.codec_config,
        samples,
        wanted_pts,
        &DecodeOptions::default(),
        |frame| {
            let frame = frame.to_rgb();
            let dims = if frame.channels == 1 {
                vec![frame.height, frame.width]
            } else {
                vec![frame.height, frame.width, frame.channels]
            };
            let (bytes, dtype) = format.stored(frame)?;
            stored.append_value(bytes);
            shape = Some((dtype, dims));
            n_frames += 1;
            Ok(())
        },
    )?;
    if n_frames != steps.end - steps.start {
        let message = format!("{n_frames} frames were decoded for {} steps", steps.end - steps.start);
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    let bytes: ArrayRef = Arc::new(stored.finish());
    let array: ArrayRef = match format.encoding {
        MediaEncoding::Raw => bytes,
        MediaEncoding::Jpeg | MediaEncoding::Png => {
            let DataType::Struct(fields) =
                format.feature(Feature::new("frame", DType::UInt8, Vec::new())).arrow_type()
            else {
                unreachable!("encoded media are structs");
            };
            let path = new_null_array(&DataType::Utf8, bytes.len());
            Arc::new(StructArray::new(fields, vec![bytes, path], None))
        }
    };
    Ok(FrameColumn { array, shape })
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
