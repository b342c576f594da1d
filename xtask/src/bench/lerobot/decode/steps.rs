//! Where the time of decoding goes: each video decoded once more up to a step, in a process of its own.

use std::{hint::black_box, path::Path};

use nodedata_core::Files as _;
use nodedata_io::FolderFiles;
use nodedata_media::{
    encode_png_of_video,
    mp4::{Mp4Limits, VideoTrack},
    video::{Backend, CodedSample, DecodeOptions, decode_frames},
};

use crate::workspace::Result;

/// How far frames are taken. Each step has those before it in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Step {
    /// Decoded: luma and chroma.
    Frames,
    /// Turned into red, green and blue.
    Rgb,
    /// Written as PNG.
    Png,
}

impl Step {
    /// In their order.
    pub(super) const ALL: [Self; 3] = [Self::Frames, Self::Rgb, Self::Png];

    /// As the command line has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Rgb => "rgb",
            Self::Png => "png",
        }
    }
}

/// Decodes the frames of a video with a built-in decoder or, where it is given, the `ffmpeg` program, and takes each up to a step.
///
/// # Errors
/// When the video cannot be decoded, or has another number of frames.
pub(in crate::bench) fn decode(video: &Path, n_frames: u64, step: Step, ffmpeg: Option<&Path>) -> Result<()> {
    let told = |err: nodedata_core::Error| err.chain();
    let file = FolderFiles::new("").open(video).map_err(told)?;
    let track = VideoTrack::read(&*file, &Mp4Limits::default()).map_err(told)?;
    let mut options = DecodeOptions { backend: Backend::BuiltIn, ..DecodeOptions::default() };
    if let Some(ffmpeg) = ffmpeg {
        options = DecodeOptions { backend: Backend::Ffmpeg, ffmpeg: ffmpeg.to_owned(), ..options };
    }
    let samples = track.samples.iter().map(|it| {
        let data = file.read_at(it.byte_range())?;
        Ok::<_, nodedata_core::Error>(CodedSample { order: it.pts, data })
    });
    let mut n_decoded = 0;
    decode_frames(track.codec, &track.codec_config, samples, i64::MIN..i64::MAX, &options, |frame| {
        n_decoded += 1;
        match step {
            Step::Frames => drop(black_box(frame)),
            Step::Rgb => drop(black_box(frame.to_rgb())),
            Step::Png => drop(black_box(encode_png_of_video(&frame.to_rgb())?)),
        }
        Ok(())
    })
    .map_err(told)?;
    match n_decoded == n_frames {
        true => Ok(()),
        false => Err(format!("{} gave {n_decoded} frames of {n_frames}", video.display())),
    }
}
