use std::collections::VecDeque;

use ffmpeg_next::{
    Dictionary, Error as LinkedError, codec, color, decoder, error, ffi::AVColorSpace, frame, log,
    packet::Packet,
};
use nodedata_core::{Error, ErrorKind, Result};

use super::{
    Chroma, DecodeOptions, FrameDecoder, VideoFrame,
    nal::{Config, Framing, units},
    stream_color,
};
use crate::VideoCodec;

/// Pixels that FFmpeg may count too many: it rounds a row up to 64 and takes 65,536 rows at the most.
const ROUNDING_PIXELS: u64 = 63 * 65_536;

/// The FFmpeg that the program is linked with.
///
/// Parameter sets go in front of the first sample, and samples in as Annex B: the binding has no safe way to
/// hand over a decoder configuration, and FFmpeg needs none for such samples.
pub(super) struct Linked {
    decoder: decoder::Opened,
    codec: VideoCodec,
    framing: Framing,
    /// To be put in front of the next sample.
    head: Vec<u8>,
    /// Whether an H.264 stream has no chroma, for which FFmpeg makes planes of one value.
    filled_chroma: bool,
    /// Both as the configuration has them.
    configured: (Vec<u8>, bool),
    pixels_max: u64,
    ready: VecDeque<VideoFrame>,
}

impl Linked {
    pub(super) fn new(codec: VideoCodec, config: &[u8], options: &DecodeOptions) -> Result<Self> {
        let id = match codec {
            VideoCodec::H264 => codec::Id::H264,
            VideoCodec::H265 => codec::Id::HEVC,
            // AV1 must never get here: FFmpeg hands it to libdav1d, whose functions in this process are those
            // that `re_rav1d` exports under the same names, for structures of another version.
            _ => {
                let message = format!("{} video is not decoded by the linked FFmpeg", codec.name());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        };
        let Config { framing, parameter_sets } = Config::parse(codec, config)?;
        // What it has to say comes back as errors; nobody reads its log.
        log::set_level(log::Level::Quiet);
        let Some(found) = decoder::find(id) else {
            let message = format!("the linked FFmpeg has no decoder of {} video", codec.name());
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let decoder = codec::Context::new_with_codec(found)
            .decoder()
            .open_with(settings(codec, options.pixels_max))
            .map_err(|err| explain(err, codec))?;
        let mut linked = Self {
            decoder,
            codec,
            framing,
            head: annex_b(&parameter_sets),
            filled_chroma: false,
            configured: (annex_b(&parameter_sets), false),
            pixels_max: options.pixels_max,
            ready: VecDeque::new(),
        };
        linked.look_at(&parameter_sets)?;
        linked.configured.1 = linked.filled_chroma;
        Ok(linked)
    }

    /// What FFmpeg is fed for `sample`.
    fn coded(&mut self, sample: &[u8]) -> Result<Vec<u8>> {
        let units = units(sample, self.framing)?;
        self.look_at(&units)?;
        Ok(annex_b(&units))
    }

    /// Learns what FFmpeg does not tell, and refuses large frames: it calls them damage.
    fn look_at(&mut self, units: &[&[u8]]) -> Result<()> {
        let is_sps = |unit: &[u8]| match (self.codec, unit) {
            (VideoCodec::H264, [head, ..]) => head & 0x1f == 7,
            // Of the base layer: those of others are read in another way.
            (VideoCodec::H265, [head, layer, ..]) => *head == 33 << 1 && layer >> 3 == 0,
            _ => false,
        };
        for unit in units.iter().filter(|it| is_sps(it)) {
            if let Some(color) = stream_color::of_unit(self.codec, unit) {
                self.check_size(color.coded_pixels)?;
                self.filled_chroma = color.filled_chroma;
            }
        }
        Ok(())
    }

    fn check_size(&self, pixels: u64) -> Result<()> {
        if pixels <= self.pixels_max {
            return Ok(());
        }
        let message = format!("the video has frames of {pixels} pixels, more than {}", self.pixels_max);
        Err(Error::new(ErrorKind::Limit, message))
    }

    fn drain(&mut self) -> Result<()> {
        let mut decoded = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut decoded) {
                Ok(()) => {}
                Err(LinkedError::Eof | LinkedError::Other { errno: error::EAGAIN }) => return Ok(()),
                Err(err) => return Err(explain(err, self.codec)),
            }
            let frame = self.frame(&decoded)?;
            self.ready.push_back(frame);
        }
    }

    fn frame(&self, decoded: &frame::Video) -> Result<VideoFrame> {
        let (width, height) = (decoded.width(), decoded.height());
        self.check_size(u64::from(width) * u64::from(height))?;
        if decoded.is_corrupt() || decoded.has_decode_errors() {
            return Err(Error::new(ErrorKind::Corrupt, "FFmpeg had to fill in what a damaged sample lacks"));
        }
        let Some(order) = decoded.pts() else {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "FFmpeg gave a frame without the number of its sample",
            ));
        };
        let name =
            decoded.format().descriptor().map_or("none", ffmpeg_next::util::format::pixel::Descriptor::name);
        let Some((stored, bit_depth)) = layout(name) else {
            let message = format!("FFmpeg decoded to {name}, which is not taken");
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let chroma = if self.filled_chroma { Chroma::None } else { stored };
        if decoded.planes() < chroma.n_planes() {
            return Err(Error::new(ErrorKind::Corrupt, "FFmpeg gave a frame with too few planes"));
        }
        let frame = VideoFrame {
            order,
            width,
            height,
            chroma,
            bit_depth,
            full_range: decoded.color_range() == color::Range::JPEG || name.starts_with("yuvj"),
            // Its numbers are those of H.273.
            matrix: AVColorSpace::from(decoded.color_space()) as u8,
            planes: (0..chroma.n_planes()).map(|idx| plane(decoded, idx, chroma, bit_depth)).collect(),
        };
        frame.checked()
    }
}

impl FrameDecoder for Linked {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        let coded = self.coded(sample)?;
        // FFmpeg would take it for the end.
        if coded.is_empty() {
            let message = format!("a sample of {} video is empty", self.codec.name());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let coded =
            if self.head.is_empty() { coded } else { [std::mem::take(&mut self.head), coded].concat() };
        if i32::try_from(coded.len()).is_err() {
            return Err(Error::new(ErrorKind::Limit, "a sample has more than 2 GiB"));
        }
        let mut packet = Packet::copy(&coded);
        packet.set_pts(Some(order));
        // Takes it always: all frames have been taken out.
        self.decoder.send_packet(&packet).map_err(|err| explain(err, self.codec))?;
        self.drain()
    }

    fn finish(&mut self) -> Result<()> {
        self.decoder.send_eof().map_err(|err| explain(err, self.codec))?;
        self.drain()
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        Ok(self.ready.pop_front())
    }

    fn reset(&mut self) -> Result<()> {
        self.decoder.flush();
        self.ready.clear();
        (self.head, self.filled_chroma) = self.configured.clone();
        Ok(())
    }
}

fn settings(codec: VideoCodec, pixels_max: u64) -> Dictionary<'static> {
    let mut settings = Dictionary::new();
    // Parallelism is the caller's.
    settings.set("threads", "1");
    let pixels_max = pixels_max.saturating_add(ROUNDING_PIXELS).min(i32::MAX as u64);
    settings.set("max_pixels", &pixels_max.to_string());
    // Damage is an error, not a frame made up.
    settings.set("err_detect", "explode");
    // The picture exactly as it is cropped, wherever its rows then start.
    settings.set("flags", "+unaligned");
    if codec == VideoCodec::H264 {
        // Waits as long as the stream may reorder, where otherwise it would guess and drop frames.
        settings.set("strict", "strict");
    }
    settings
}

fn annex_b(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|it| [&[0, 0, 0, 1], *it]).collect::<Vec<&[u8]>>().concat()
}

/// Chroma and depth of an FFmpeg pixel format.
fn layout(name: &str) -> Option<(Chroma, u8)> {
    const KINDS: [(&str, Chroma); 8] = [
        ("gray", Chroma::None),
        ("yuv420p", Chroma::Yuv420),
        ("yuvj420p", Chroma::Yuv420),
        ("yuv422p", Chroma::Yuv422),
        ("yuvj422p", Chroma::Yuv422),
        ("yuv444p", Chroma::Yuv444),
        ("yuvj444p", Chroma::Yuv444),
        ("gbrp", Chroma::Yuv444),
    ];
    let (rest, chroma) = KINDS.iter().find_map(|(kind, chroma)| Some((name.strip_prefix(kind)?, *chroma)))?;
    let bit_depth = match rest {
        "" => 8,
        _ => rest.strip_suffix("le")?.parse().ok()?,
    };
    (8..=16).contains(&bit_depth).then_some((chroma, bit_depth))
}

/// The rows of a plane without what FFmpeg pads them with.
fn plane(decoded: &frame::Video, idx: usize, chroma: Chroma, bit_depth: u8) -> Vec<u8> {
    let size = (decoded.width(), decoded.height());
    let (columns, rows) = if idx == 0 { size } else { chroma.plane_size(size.0, size.1) };
    let row_bytes = columns as usize * if bit_depth > 8 { 2 } else { 1 };
    let mut values = Vec::with_capacity(row_bytes * rows as usize);
    let stored = decoded.data(idx).chunks(decoded.stride(idx)).take(rows as usize);
    stored.for_each(|row| values.extend_from_slice(row.get(..row_bytes).unwrap_or_default()));
    values
}

fn explain(err: LinkedError, codec: VideoCodec) -> Error {
    let codec = codec.name();
    let (kind, message) = match err {
        LinkedError::PatchWelcome
        | LinkedError::DecoderNotFound
        | LinkedError::Experimental
        | LinkedError::Other { errno: error::ENOSYS } => {
            (ErrorKind::Unsupported, format!("this kind of {codec} is not decoded by FFmpeg"))
        }
        LinkedError::Other { errno: error::ENOMEM } => {
            (ErrorKind::Limit, format!("the {codec} video takes more memory than there is"))
        }
        _ => (ErrorKind::Corrupt, format!("FFmpeg could not decode the {codec} video")),
    };
    Error::new(kind, message).with_source(err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixel_formats_by_name() {
        for (name, expected) in [
            ("yuv420p", Some((Chroma::Yuv420, 8))),
            ("yuvj444p", Some((Chroma::Yuv444, 8))),
            ("yuv422p10le", Some((Chroma::Yuv422, 10))),
            ("gray12le", Some((Chroma::None, 12))),
            ("gbrp", Some((Chroma::Yuv444, 8))),
            ("yuv420p10be", None),
            ("yuva420p", None),
            ("grayf32le", None),
            ("nv12", None),
        ] {
            assert_eq!(layout(name), expected, "{name}");
        }
    }
}
