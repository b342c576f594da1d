use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use nodedata_core::{Error, ErrorKind, Result};
use rust_h265::{DecodeError, DecodeLimits, Decoder, Frame, NalUnitType, parse_nal};

use super::{
    Chroma, DecodeOptions, FrameDecoder, VideoFrame,
    nal::{Config, Framing, units},
    stream_color::{self, Color},
};
use crate::VideoCodec;

/// What is kept of frames that are to be shown as they come; see [`DecodeOptions::in_order`].
#[derive(Default)]
struct InOrder {
    is_asked: bool,
    /// Where the last frame stands among those shown since the last picture that decoding can start at.
    last: Option<i32>,
    /// Of each sample whose frame is to come, whether decoding can start at it: there pictures are counted anew.
    starts: VecDeque<bool>,
}

impl InOrder {
    fn feed(&mut self, units: &[&[u8]]) {
        let starts = |unit: &&[u8]| unit.first().is_some_and(|it| (16..=23).contains(&(it >> 1 & 0x3f)));
        if self.is_asked {
            self.starts.push_back(units.iter().any(starts));
        }
    }

    fn check(&mut self, place: i32) -> Result<()> {
        let starts = self.starts.pop_front().unwrap_or(false);
        if self.is_asked && !starts && self.last.is_some_and(|it| place <= it) {
            let message = "the H.265 video shows its frames in another order than they come in";
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        self.last = Some(place);
        Ok(())
    }
}

/// H.265 through `rust_h265`.
pub(super) struct H265 {
    config: Vec<u8>,
    pixels_max: u64,
    decoder: Decoder,
    framing: Framing,
    color: Color,
    /// Of the frames still inside the decoder.
    orders: BinaryHeap<Reverse<i64>>,
    in_order: InOrder,
    ready: VecDeque<VideoFrame>,
}

impl H265 {
    pub(super) fn new(config: &[u8], options: &DecodeOptions) -> Result<Self> {
        let Config { framing, parameter_sets } = Config::parse(VideoCodec::H265, config)?;
        let limits = DecodeLimits {
            max_picture_pixels: options.pixels_max,
            max_picture_memory_bytes: options.pixels_max.saturating_mul(16),
        };
        let decoder = Decoder::with_limits(limits);
        let mut decoder = Self {
            config: config.to_vec(),
            pixels_max: options.pixels_max,
            decoder: if options.in_order { decoder } else { decoder.with_display_order() },
            framing,
            color: Color::default(),
            orders: BinaryHeap::new(),
            in_order: InOrder { is_asked: options.in_order, ..InOrder::default() },
            ready: VecDeque::new(),
        };
        parameter_sets.into_iter().try_for_each(|it| decoder.decode_unit(it))?;
        Ok(decoder)
    }

    fn decode_unit(&mut self, unit: &[u8]) -> Result<()> {
        if let Some(color) = stream_color::of_unit(VideoCodec::H265, unit) {
            self.color = color;
        }
        let Some(unit) = parse_nal(unit) else {
            return Err(Error::new(ErrorKind::Corrupt, "the header of an H.265 NAL unit is damaged"));
        };
        // Layers above the base (depth or a second view) are not decoded.
        if unit.nuh_layer_id != 0 || matches!(unit.nal_unit_type, NalUnitType::Other(_)) {
            return Ok(());
        }
        // The frame before is finished at the latest with this unit, so that it is held against what came before it.
        let decoded = self.decoder.decode_nal(&unit).map_err(explain)?;
        if let Some(frame) = decoded.filter(|_| self.in_order.is_asked) {
            self.push(&frame)?;
        }
        while let Some(frame) = self.decoder.next_output() {
            self.push(&frame)?;
        }
        Ok(())
    }

    fn push(&mut self, frame: &Frame) -> Result<()> {
        let Some(Reverse(order)) = self.orders.pop() else {
            return Err(Error::new(ErrorKind::Corrupt, "the H.265 decoder gave more frames than samples"));
        };
        self.in_order.check(frame.pic_order_cnt)?;
        let chroma = match frame.chroma_format_idc {
            1 => Chroma::Yuv420,
            2 => Chroma::Yuv422,
            3 => Chroma::Yuv444,
            _ => return Err(Error::new(ErrorKind::Unsupported, "gray H.265 is not decoded")),
        };
        // The type of a plane has no public name.
        let planes = [&frame.y, &frame.u, &frame.v]
            .into_iter()
            .map(|it| match (it.as_u8(), it.as_u16()) {
                (Some(values), _) => values.to_vec(),
                (None, values) => values.unwrap_or_default().iter().flat_map(|it| it.to_le_bytes()).collect(),
            })
            .collect();
        let frame = VideoFrame {
            order,
            width: frame.width,
            height: frame.height,
            chroma,
            bit_depth: frame.bit_depth,
            full_range: self.color.full_range,
            matrix: self.color.matrix,
            planes,
        };
        self.ready.push_back(frame.checked()?);
        Ok(())
    }
}

impl FrameDecoder for H265 {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        self.orders.push(Reverse(order));
        let units = units(sample, self.framing)?;
        self.in_order.feed(&units);
        units.into_iter().try_for_each(|it| self.decode_unit(it))
    }

    fn finish(&mut self) -> Result<()> {
        while let Some(frame) = self.decoder.flush() {
            self.push(&frame)?;
        }
        self.decoder.next_error().map_or(Ok(()), |err| Err(explain(err)))
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        Ok(self.ready.pop_front())
    }

    fn reset(&mut self) -> Result<()> {
        // The library forgets nothing by itself; there is nothing in it that is costly to set up.
        let options = DecodeOptions {
            pixels_max: self.pixels_max,
            in_order: self.in_order.is_asked,
            ..DecodeOptions::default()
        };
        *self = Self::new(&self.config, &options)?;
        Ok(())
    }
}

fn explain(err: DecodeError) -> Error {
    let (kind, message) = match err {
        DecodeError::Unsupported(_) => (ErrorKind::Unsupported, "this kind of H.265 is not decoded"),
        DecodeError::ResourceLimit(_) => (ErrorKind::Limit, "the H.265 video has too large frames"),
        _ => (ErrorKind::Corrupt, "the H.265 video is damaged"),
    };
    Error::new(kind, message).with_source(err)
}
