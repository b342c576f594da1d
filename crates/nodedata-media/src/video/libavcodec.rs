//! H.264 and H.265 through the libavcodec that is installed, found when the program runs: nothing of it is needed to build.
//!
//! Parameter sets go in front of the first sample, and samples in as Annex B: so no field of the decoder's context has to be set,
//! whose places differ between versions.

#[expect(unsafe_code, reason = "a library that is found when the program runs is called in no other way")]
mod ffi;
mod loaded;
mod pixel_format;
#[cfg(test)]
mod tests;
mod versions;

use std::{
    collections::VecDeque,
    ffi::{CStr, CString},
    io,
};

use nodedata_core::{Error, ErrorKind, Result};

use self::{
    ffi::{Failure, Library, Picture, Session},
    pixel_format::layout,
};
use super::{
    Chroma, DecodeOptions, FrameDecoder, Libavcodec, VideoFrame,
    nal::{Config, Framing, units},
    stream_color,
};
use crate::VideoCodec;

/// Pixels that FFmpeg may count too many: it rounds a row up to 64 and takes 65,536 rows at the most.
const ROUNDING_PIXELS: u64 = 63 * 65_536;
/// In front of each NAL unit.
const START_CODE: &[u8] = &[0, 0, 0, 1];

/// Whether there is one that takes the codec.
///
/// # Errors
/// `Config` when one is named that cannot be used.
pub(super) fn takes(codec: VideoCodec, choice: &Libavcodec) -> Result<bool> {
    Ok(name(codec).is_some() && loaded::library(choice)?.is_some())
}

/// The version of the one that is chosen, such as `59.37.100`; `None` where there is none.
///
/// # Errors
/// `Config` when one is named that cannot be used.
pub(super) fn version(choice: &Libavcodec) -> Result<Option<String>> {
    let library = loaded::library(choice)?;
    Ok(library.map(|it| it.version().map(|it| it.to_string()).join(".")))
}

/// FFmpeg's own decoder.
fn name(codec: VideoCodec) -> Option<&'static CStr> {
    match codec {
        VideoCodec::H264 => Some(c"h264"),
        VideoCodec::H265 => Some(c"hevc"),
        // AV1 must never get here: FFmpeg hands it to libdav1d, whose functions in this process may be those that `re_rav1d`
        // exports under the same names, for structures of another version. Of the others nobody has shown what they gain.
        VideoCodec::Av1 | VideoCodec::Mjpeg | VideoCodec::Vp9 | VideoCodec::Mpeg2 | VideoCodec::Mpeg4 => None,
    }
}

/// A decoder of the libavcodec that is installed.
pub(super) struct Installed {
    library: &'static Library,
    session: Session,
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

impl Installed {
    pub(super) fn new(codec: VideoCodec, config: &[u8], options: &DecodeOptions) -> Result<Self> {
        let Some(name) = name(codec) else {
            let message = format!("{} video is not decoded by libavcodec", codec.name());
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let Some(library) = loaded::library(&options.libavcodec)? else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "there is no libavcodec, or NODEDATA_LIBAVCODEC is `off`",
            )
            .with_hint("install FFmpeg's libraries, or name libavcodec in NODEDATA_LIBAVCODEC"));
        };
        let Config { framing, parameter_sets } = Config::parse(codec, config)?;
        let head = parameter_sets.iter().flat_map(|it| [START_CODE, it]).collect::<Vec<_>>().concat();
        let session = Session::open(library, name, &settings(codec, options))
            .map_err(|failure| explain(library, failure, codec))?;
        let mut installed = Self {
            library,
            session,
            codec,
            framing,
            head: head.clone(),
            filled_chroma: false,
            configured: (head, false),
            pixels_max: options.pixels_max,
            ready: VecDeque::new(),
        };
        installed.look_at(&parameter_sets)?;
        installed.configured.1 = installed.filled_chroma;
        Ok(installed)
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
                check_size(color.coded_pixels, self.pixels_max)?;
                self.filled_chroma = color.filled_chroma;
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        loop {
            let received = self.session.receive();
            let Some(picture) = received.map_err(|failure| explain(self.library, failure, self.codec))?
            else {
                return Ok(());
            };
            let frame = frame(&picture, self.filled_chroma, self.pixels_max)?;
            self.ready.push_back(frame);
        }
    }
}

impl FrameDecoder for Installed {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        let units = units(sample, self.framing)?;
        // FFmpeg would take it for the end.
        if units.is_empty() {
            let message = format!("a sample of {} video is empty", self.codec.name());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        self.look_at(&units)?;
        let head = std::mem::take(&mut self.head);
        let units = units.iter().flat_map(|it| [START_CODE, it]);
        let parts: Vec<&[u8]> = [head.as_slice()].into_iter().chain(units).collect();
        // Takes it always: all frames have been taken out.
        let sent = self.session.send(&parts, order);
        sent.map_err(|failure| explain(self.library, failure, self.codec))?;
        self.drain()
    }

    fn finish(&mut self) -> Result<()> {
        self.session.send_end().map_err(|failure| explain(self.library, failure, self.codec))?;
        self.drain()
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        Ok(self.ready.pop_front())
    }

    fn reset(&mut self) -> Result<()> {
        self.session.flush();
        self.ready.clear();
        (self.head, self.filled_chroma) = self.configured.clone();
        Ok(())
    }
}

fn settings(codec: VideoCodec, options: &DecodeOptions) -> Vec<(&'static CStr, CString)> {
    let pixels_max = options.pixels_max.saturating_add(ROUNDING_PIXELS).min(i32::MAX as u64);
    let mut settings = vec![
        // Parallelism is the caller's.
        (c"threads", c"1".to_owned()),
        (c"max_pixels", CString::new(pixels_max.to_string()).unwrap_or_default()),
        // Damage is an error, not a frame made up.
        (c"err_detect", c"explode".to_owned()),
        // The picture exactly as it is cropped, wherever its rows then start.
        (c"flags", c"+unaligned".to_owned()),
    ];
    if codec == VideoCodec::H264 && !options.in_order {
        // Waits as long as the stream may reorder, where otherwise it would guess and drop frames.
        settings.push((c"strict", c"strict".to_owned()));
    }
    settings
}

fn check_size(pixels: u64, pixels_max: u64) -> Result<()> {
    if pixels <= pixels_max {
        return Ok(());
    }
    let message = format!("the video has frames of {pixels} pixels, more than {pixels_max}");
    Err(Error::new(ErrorKind::Limit, message))
}

fn frame(picture: &Picture<'_>, filled_chroma: bool, pixels_max: u64) -> Result<VideoFrame> {
    let (width, height) = picture.size();
    check_size(u64::from(width) * u64::from(height), pixels_max)?;
    if picture.is_damaged() {
        return Err(Error::new(ErrorKind::Corrupt, "FFmpeg had to fill in what a damaged sample lacks"));
    }
    let Some(order) = picture.pts() else {
        return Err(Error::new(ErrorKind::Corrupt, "FFmpeg gave a frame without the number of its sample"));
    };
    let name = picture.format();
    let Some((stored, bit_depth)) = layout(name) else {
        let message = format!("FFmpeg decoded to {name}, which is not taken");
        return Err(Error::new(ErrorKind::Unsupported, message));
    };
    let chroma = if filled_chroma { Chroma::None } else { stored };
    let Some(planes) = picture.planes(chroma.n_planes()) else {
        return Err(Error::new(ErrorKind::Corrupt, "FFmpeg gave a frame with too few planes"));
    };
    let full_range = picture.is_full_range() || name.starts_with("yuvj");
    let matrix = picture.matrix();
    VideoFrame { order, width, height, chroma, bit_depth, full_range, matrix, planes }.checked()
}

fn explain(library: &Library, failure: Failure, codec: VideoCodec) -> Error {
    let codec = codec.name();
    let (kind, message) = if failure.is_refusal() {
        (ErrorKind::Unsupported, format!("this kind of {codec} is not decoded by FFmpeg"))
    } else if failure.is_memory() {
        (ErrorKind::Limit, format!("the {codec} video takes more memory than there is"))
    } else {
        (ErrorKind::Corrupt, format!("FFmpeg could not decode the {codec} video"))
    };
    Error::new(kind, message).with_source(io::Error::other(library.explanation(failure)))
}
