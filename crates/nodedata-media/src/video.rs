//! Coded video to frames.
//!
//! Each decoder stands behind [`FrameDecoder`]: the built-in ones are pure Rust and run where a panic ends
//! the decoder, not the process; a libavcodec that is installed decodes H.264 and H.265 in their place, faster; the `ffmpeg`
//! program, where there is one, takes what is left. Without the feature `video-decode` there is none, and [`decoder`] says so.

#[cfg(feature = "video-decode")]
mod av1;
mod color;
#[cfg(feature = "video-decode")]
mod fallback;
#[cfg(feature = "video-decode")]
mod ffmpeg;
mod frame;
#[cfg(feature = "video-decode")]
mod h264;
#[cfg(feature = "video-decode")]
mod h265;
#[cfg(feature = "video-decode")]
mod isolate;
#[cfg(feature = "video-decode")]
mod libavcodec;
#[cfg(feature = "video-decode")]
mod mjpeg;
#[cfg(feature = "video-decode")]
mod nal;
#[cfg(feature = "video-decode")]
mod ppm;
#[cfg(feature = "video-decode")]
mod stream_color;
#[cfg(feature = "video-decode")]
mod vp9;
#[cfg(feature = "video-decode")]
mod y4m;

#[cfg(test)]
#[cfg(feature = "video-decode")]
mod corpus_tests;
#[cfg(test)]
#[cfg(feature = "video-decode")]
mod tests;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    ops::{DerefMut, Range},
    path::PathBuf,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};

use crate::VideoCodec;

pub use frame::{Chroma, VideoFrame};

/// Which decoder to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// The libavcodec that is installed, where there is one, for H.264 and H.265, which it decodes faster; otherwise, and for
    /// video that it does not support, a built-in decoder, then the `ffmpeg` program. The default.
    #[default]
    Auto,
    /// A built-in decoder only.
    BuiltIn,
    /// The `ffmpeg` program only.
    Ffmpeg,
    /// The libavcodec that is installed only: H.264 and H.265.
    Libavcodec,
}

/// Which libavcodec to use: the library of FFmpeg's decoders, loaded when the first video is decoded, for as long as the process runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Libavcodec {
    /// The newest that the system's search for libraries finds, of FFmpeg 5 to 8, if any. The default.
    #[default]
    Installed,
    /// This file, or a name for that search. Where it cannot be used, that is an error.
    Named(PathBuf),
    /// None.
    Off,
}

/// How to decode.
#[derive(Debug, Clone)]
pub struct DecodeOptions {
    /// Which decoder to use.
    pub backend: Backend,
    /// Whether samples are fed in the order in which their frames are shown, so that nothing has to be waited for; of video that
    /// is not so the frames come in another order, or not at all. Default no.
    pub in_order: bool,
    /// Pixels of one frame. A decoder holds up to 33 frames. Default 35,651,584, the most of any H.265 level.
    pub pixels_max: u64,
    /// The `ffmpeg` program. Default the one that the environment variable `NODEDATA_FFMPEG` names, otherwise `ffmpeg`,
    /// looked up on the PATH.
    pub ffmpeg: PathBuf,
    /// The libavcodec. Default what the environment variable `NODEDATA_LIBAVCODEC` says: a path, or `off`; otherwise the one that is
    /// installed.
    pub libavcodec: Libavcodec,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        let ffmpeg = std::env::var_os("NODEDATA_FFMPEG").filter(|it| !it.is_empty());
        let ffmpeg = PathBuf::from(ffmpeg.unwrap_or_else(|| "ffmpeg".into()));
        let libavcodec = match std::env::var_os("NODEDATA_LIBAVCODEC").filter(|it| !it.is_empty()) {
            None => Libavcodec::Installed,
            Some(name) if name == "off" => Libavcodec::Off,
            Some(name) => Libavcodec::Named(name.into()),
        };
        Self { backend: Backend::Auto, in_order: false, pixels_max: 35_651_584, ffmpeg, libavcodec }
    }
}

/// Turns coded samples into frames.
pub trait FrameDecoder: Send {
    /// Feeds the next sample in decode order. `order` is a number that grows in presentation order, such as
    /// the presentation time; the frame made of the sample carries it.
    ///
    /// # Errors
    /// `Corrupt`, `Limit`, `Unsupported`, or `Io` where another program decodes. The decoder is of no use
    /// afterwards.
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()>;

    /// Says that no sample follows.
    ///
    /// # Errors
    /// As `decode`.
    fn finish(&mut self) -> Result<()>;

    /// The next frame in presentation order; `None` when more samples are needed or, after `finish`, when
    /// there are no more.
    ///
    /// # Errors
    /// As `decode`.
    fn next_frame(&mut self) -> Result<Option<VideoFrame>>;

    /// Forgets all samples and the frames that were not taken out, so that a key frame may follow, from wherever in the same
    /// video: what the decoder then gives is what a new one would, and what is costly to set up is kept.
    ///
    /// # Errors
    /// As `decode`; a decoder that is of no use stays so.
    fn reset(&mut self) -> Result<()>;
}

/// A decoder for samples of `codec`. `config` is the payload of `avcC`, `hvcC` or `av1C`, whose samples are
/// those of an mp4 file; empty when H.264 or H.265 samples are in Annex B form and bring their own parameter sets.
///
/// # Errors
/// `Unsupported` when no decoder takes the codec, the profile or the pixel format; `Corrupt` when `config` is
/// damaged; `Limit` when the frames are larger than allowed; `Config` when a libavcodec is named that cannot be used; `Io`.
#[cfg(feature = "video-decode")]
pub fn decoder(codec: VideoCodec, config: &[u8], options: &DecodeOptions) -> Result<Box<dyn FrameDecoder>> {
    match options.backend {
        Backend::BuiltIn => built_in(codec, config, options),
        Backend::Ffmpeg => Ok(Box::new(ffmpeg::Ffmpeg::new(codec, config, options)?)),
        Backend::Libavcodec => {
            Ok(Box::new(isolate::Isolated::new(|| libavcodec::Installed::new(codec, config, options))?))
        }
        Backend::Auto => Ok(Box::new(fallback::Fallback::open(codec, config, options)?)),
    }
}

/// No decoder: this build has none.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(feature = "video-decode"))]
pub fn decoder(codec: VideoCodec, _: &[u8], _: &DecodeOptions) -> Result<Box<dyn FrameDecoder>> {
    Err(Error::new(ErrorKind::Unsupported, format!("this build decodes no video, so no {}", codec.name()))
        .with_hint("build with the feature `video-decode`, or keep the video as it is coded"))
}

/// The version of the libavcodec that is chosen, such as `59.37.100`; `None` where there is none, or nothing decodes video.
///
/// # Errors
/// `Config` when one is named that cannot be used.
#[cfg(feature = "video-decode")]
pub fn libavcodec_version(choice: &Libavcodec) -> Result<Option<String>> {
    libavcodec::version(choice)
}

/// None: this build decodes no video.
///
/// # Errors
/// None.
#[cfg(not(feature = "video-decode"))]
pub fn libavcodec_version(_: &Libavcodec) -> Result<Option<String>> {
    Ok(None)
}

#[cfg(feature = "video-decode")]
fn built_in(codec: VideoCodec, config: &[u8], options: &DecodeOptions) -> Result<Box<dyn FrameDecoder>> {
    Ok(match codec {
        VideoCodec::H264 => Box::new(isolate::Isolated::new(|| h264::H264::new(config, options))?),
        VideoCodec::H265 => Box::new(isolate::Isolated::new(|| h265::H265::new(config, options))?),
        VideoCodec::Av1 => Box::new(isolate::Isolated::new(|| av1::Av1::new(config, options))?),
        VideoCodec::Mjpeg => Box::new(isolate::Isolated::new(|| Ok(mjpeg::Mjpeg::new(options)))?),
        VideoCodec::Vp9 | VideoCodec::Mpeg2 | VideoCodec::Mpeg4 => {
            let message = format!("no built-in decoder takes {} video", codec.name());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    })
}

/// A sample to decode, and where its frame stands among the others.
#[derive(Debug, Clone)]
pub struct CodedSample {
    /// A number that grows in presentation order, such as the presentation time or the frame's index.
    pub order: i64,
    /// As in the file.
    pub data: Bytes,
}

/// Whether a decoder takes video like this: decodes `samples`, in decode order from a key frame on, up to the first frame.
///
/// # Errors
/// `Unsupported` when none does; whatever else is wrong with the samples as [`decode_group`] says it.
pub fn check_decodable(
    codec: VideoCodec,
    config: &[u8],
    samples: impl IntoIterator<Item = Result<CodedSample>>,
    options: &DecodeOptions,
) -> Result<()> {
    let mut decoder = decoder(codec, config, options)?;
    for sample in samples {
        let CodedSample { order, data } = sample?;
        decoder.decode(&data, order)?;
        if decoder.next_frame()?.is_some() {
            return Ok(());
        }
    }
    decoder.finish()?;
    match decoder.next_frame()? {
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorKind::Corrupt, "the decoder made no frame of the first samples")),
    }
}

/// Decodes `samples`, which are in decode order and start at a key frame, and hands out the frames whose
/// order is in `wanted`, in presentation order, each with its order. At most the decoder's own frames are in memory.
///
/// Samples shown before the first one are left out: they end a group that `samples` does not hold.
///
/// # Errors
/// Those of [`decoder`] and of [`decode_group`].
pub fn decode_frames(
    codec: VideoCodec,
    config: &[u8],
    samples: impl IntoIterator<Item = Result<CodedSample>>,
    wanted: Range<i64>,
    options: &DecodeOptions,
    each: impl FnMut(VideoFrame) -> Result<()>,
) -> Result<()> {
    decode_group(decoder(codec, config, options)?.as_mut(), samples, wanted, each)
}

/// Does the same with a decoder that is new, or was [reset](FrameDecoder::reset) behind the last group.
///
/// # Errors
/// Those of [`FrameDecoder`], of `samples` and of `each`; `Corrupt` when not every sample gives its frame.
pub fn decode_group(
    decoder: &mut dyn FrameDecoder,
    samples: impl IntoIterator<Item = Result<CodedSample>>,
    wanted: Range<i64>,
    mut each: impl FnMut(VideoFrame) -> Result<()>,
) -> Result<()> {
    let mut frames = FrameStream::new(decoder, samples);
    while let Some(frame) = frames.next_frame()? {
        if wanted.contains(&frame.order) {
            each(frame)?;
        }
    }
    Ok(())
}

/// The frames of samples that are in decode order and start at a key frame, one after the other, as [`decode_frames`] says. Of
/// samples no more are fed than the next frame takes.
pub struct FrameStream<D, S> {
    decoder: D,
    samples: S,
    /// The order of the first sample.
    first: Option<i64>,
    /// The orders of frames that the samples fed so far must still give.
    expected: BinaryHeap<Reverse<i64>>,
    is_finished: bool,
}

impl<D: DerefMut<Target: FrameDecoder>, S: Iterator<Item = Result<CodedSample>>> FrameStream<D, S> {
    /// Of a decoder that is new or was reset: a box, or a borrowed one.
    pub fn new(decoder: D, samples: impl IntoIterator<IntoIter = S>) -> Self {
        let (first, expected) = (None, BinaryHeap::new());
        Self { decoder, samples: samples.into_iter(), first, expected, is_finished: false }
    }

    /// The next frame in presentation order; `None` at the end.
    ///
    /// # Errors
    /// Those of [`FrameDecoder`] and of the samples; `Corrupt` when not every sample gives its frame. Nothing more is to be
    /// asked of it then.
    pub fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return self.checked(frame).map(Some);
            }
            if self.is_finished {
                return match self.expected.len() {
                    0 => Ok(None),
                    n => {
                        let message = format!("the decoder made no frame of {n} samples");
                        Err(Error::new(ErrorKind::Corrupt, message))
                    }
                };
            }
            let Some(sample) = self.samples.next() else {
                self.decoder.finish()?;
                self.is_finished = true;
                continue;
            };
            let CodedSample { order, data } = sample?;
            if order < *self.first.get_or_insert(order) {
                continue;
            }
            self.expected.push(Reverse(order));
            self.decoder.decode(&data, order)?;
        }
    }

    fn checked(&mut self, frame: VideoFrame) -> Result<VideoFrame> {
        match self.expected.pop() {
            Some(Reverse(order)) if order == frame.order => Ok(frame),
            next => {
                let next = next.map(|it| it.0);
                let message = format!("the decoder gave frame {}, but {next:?} comes next", frame.order);
                Err(Error::new(ErrorKind::Corrupt, message))
            }
        }
    }
}
