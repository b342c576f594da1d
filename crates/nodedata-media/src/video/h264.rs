use std::collections::VecDeque;

use nodedata_core::{Error, ErrorKind, Result};
use rust_h264::{
    decoder::{ChromaFormat, Frame, OrderedDecoder},
    error::DecodeError,
    nal::{NalUnit, NalUnitType, SpsInfo, parse_annex_b, parse_avcc, parse_sps_info},
};

use super::{
    Chroma, DecodeOptions, FrameDecoder, VideoFrame,
    frame::check_size,
    nal::{Config, Framing, units},
};
use crate::VideoCodec;

/// Frames the decoder waits for before it shows one, when the stream does not say how many are needed.
const REORDER_MAX: usize = 16;

/// H.264 through `rust_h264`.
pub(super) struct H264 {
    config: Vec<u8>,
    decoder: OrderedDecoder<i64>,
    framing: Framing,
    pixels_max: u64,
    /// See [`DecodeOptions::in_order`].
    in_order: bool,
    reorder: usize,
    stream: Option<SpsInfo>,
    ready: VecDeque<VideoFrame>,
}

impl H264 {
    pub(super) fn new(config: &[u8], options: &DecodeOptions) -> Result<Self> {
        let Config { framing, parameter_sets } = Config::parse(VideoCodec::H264, config)?;
        let reorder = if options.in_order { 1 } else { REORDER_MAX };
        let mut decoder = Self {
            config: config.to_vec(),
            decoder: OrderedDecoder::with_max_depth(reorder),
            framing,
            pixels_max: options.pixels_max,
            in_order: options.in_order,
            reorder,
            stream: None,
            ready: VecDeque::new(),
        };
        let prefixed: Vec<Vec<u8>> =
            parameter_sets.iter().map(|it| [&(it.len() as u32).to_be_bytes(), *it].concat()).collect();
        let units: Vec<NalUnit<'_>> = prefixed.iter().flat_map(|it| parse_avcc(it, 4)).collect();
        for unit in &units {
            decoder.look_at(unit)?;
        }
        let told = decoder.stream.as_ref().and_then(|it| it.max_reorder_frames);
        if let Some(frames) = told.filter(|_| !decoder.in_order) {
            decoder.reorder = (frames as usize).min(REORDER_MAX);
            decoder.decoder = OrderedDecoder::with_max_depth(decoder.reorder.max(1));
        }
        for unit in &units {
            decoder.decode_unit(unit, 0)?;
        }
        Ok(decoder)
    }

    /// Refuses streams that would take too much memory or come out wrong.
    fn look_at(&mut self, unit: &NalUnit<'_>) -> Result<()> {
        if unit.nal_unit_type != NalUnitType::Sps {
            return Ok(());
        }
        let info = parse_sps_info(unit).map_err(explain)?;
        check_size(info.coded_width, info.coded_height, self.pixels_max)?;
        let same_depth = info.chroma_format == 0 || info.bit_depth_luma == info.bit_depth_chroma;
        if info.chroma_format > 2 || !matches!(info.bit_depth_luma, 8 | 10) || !same_depth {
            let message = format!(
                "H.264 of chroma format {} with {} bits is not decoded",
                info.chroma_format, info.bit_depth_luma
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        // Encoders tell what they might do: whether they did the order of the frames shows.
        if !self.in_order && info.max_reorder_frames.is_some_and(|it| it as usize > self.reorder.max(1)) {
            let message = "the video starts to reorder more frames than its configuration says";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        self.stream = Some(info);
        Ok(())
    }

    fn decode_unit(&mut self, unit: &NalUnit<'_>, order: i64) -> Result<()> {
        let frames = self.decoder.decode_nal_with_meta(unit, order).map_err(explain)?;
        frames.into_iter().try_for_each(|(frame, order)| self.push(frame, order))
    }

    fn push(&mut self, frame: Frame, order: i64) -> Result<()> {
        let stream = self.stream.as_ref();
        let is_gray = stream.is_some_and(|it| it.chroma_format == 0);
        let (chroma, planes) = match frame.chroma_format {
            // Gray comes with chroma planes of one value.
            ChromaFormat::Yuv420 if is_gray => (Chroma::None, vec![frame.y]),
            ChromaFormat::Yuv420 => (Chroma::Yuv420, vec![frame.y, frame.u, frame.v]),
            ChromaFormat::Yuv422 => (Chroma::Yuv422, vec![frame.y, frame.u, frame.v]),
        };
        let frame = VideoFrame {
            order,
            width: frame.width,
            height: frame.height,
            chroma,
            bit_depth: frame.bit_depth,
            full_range: stream.is_some_and(|it| it.full_range),
            matrix: stream.map_or(2, |it| it.matrix),
            planes,
        };
        self.ready.push_back(frame.checked()?);
        Ok(())
    }
}

impl FrameDecoder for H264 {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        let parsed = match self.framing {
            Framing::Length(n_bytes) => {
                // The library stops without a word where a length does not fit.
                units(sample, self.framing)?;
                parse_avcc(sample, n_bytes)
            }
            Framing::AnnexB => parse_annex_b(sample),
        };
        for unit in &parsed {
            self.look_at(unit)?;
            self.decode_unit(unit, order)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let frames = self.decoder.flush_with_meta();
        frames.into_iter().try_for_each(|(frame, order)| self.push(frame, order))
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        Ok(self.ready.pop_front())
    }

    fn reset(&mut self) -> Result<()> {
        // The library forgets nothing by itself; there is nothing in it that is costly to set up.
        let options = DecodeOptions {
            pixels_max: self.pixels_max,
            in_order: self.in_order,
            ..DecodeOptions::default()
        };
        *self = Self::new(&self.config, &options)?;
        Ok(())
    }
}

fn explain(err: DecodeError) -> Error {
    let (kind, message) = match err {
        DecodeError::Unsupported(_) => (ErrorKind::Unsupported, "this kind of H.264 is not decoded"),
        DecodeError::UnexpectedEof | DecodeError::InvalidSyntax(_) => {
            (ErrorKind::Corrupt, "the H.264 video is damaged")
        }
    };
    Error::new(kind, message).with_source(err)
}
