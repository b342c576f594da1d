use nodedata_core::{Error, ErrorKind, Result};

use super::{DecodeOptions, FrameDecoder, VideoFrame, built_in, ffmpeg::Ffmpeg};
use crate::VideoCodec;

/// Coded bytes kept until the built-in decoder has shown that it can decode them.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// The built-in decoder until it says that the video is not supported, then the `ffmpeg` program.
pub(super) struct Fallback {
    decoder: Box<dyn FrameDecoder>,
    /// What was fed before the first frame came out, to be fed again; `None` once one has.
    fed: Option<Vec<(Vec<u8>, i64)>>,
    fed_bytes: usize,
    codec: VideoCodec,
    config: Vec<u8>,
    options: DecodeOptions,
}

impl Fallback {
    pub(super) fn open(
        codec: VideoCodec,
        config: &[u8],
        options: &DecodeOptions,
    ) -> Result<Box<dyn FrameDecoder>> {
        match built_in(codec, config, options) {
            Ok(decoder) => Ok(Box::new(Self {
                decoder,
                fed: Some(Vec::new()),
                fed_bytes: 0,
                codec,
                config: config.to_vec(),
                options: options.clone(),
            })),
            Err(err) if err.kind() == ErrorKind::Unsupported => open_ffmpeg(err, codec, config, options),
            Err(err) => Err(err),
        }
    }

    /// Answers `err`, if it says that the video is not supported, by starting again with the other decoder.
    fn start_again(&mut self, err: Error) -> Result<()> {
        let fed = match self.fed.take() {
            Some(fed) if err.kind() == ErrorKind::Unsupported => fed,
            _ => return Err(err),
        };
        self.decoder = open_ffmpeg(err, self.codec, &self.config, &self.options)?;
        fed.into_iter().try_for_each(|(sample, order)| self.decoder.decode(&sample, order))
    }
}

fn open_ffmpeg(
    err: Error,
    codec: VideoCodec,
    config: &[u8],
    options: &DecodeOptions,
) -> Result<Box<dyn FrameDecoder>> {
    match Ffmpeg::new(codec, config, options) {
        Ok(decoder) => Ok(Box::new(decoder)),
        Err(_) => Err(err.with_hint(
            "install the `ffmpeg` program, which decodes this video, or keep the video as it is coded",
        )),
    }
}

impl FrameDecoder for Fallback {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        if let Some(fed) = &mut self.fed {
            self.fed_bytes += sample.len();
            if self.fed_bytes > KEPT_BYTES_MAX {
                self.fed = None;
            } else {
                fed.push((sample.to_vec(), order));
            }
        }
        self.decoder.decode(sample, order).or_else(|err| self.start_again(err))
    }

    fn finish(&mut self) -> Result<()> {
        match self.decoder.finish() {
            Ok(()) => Ok(()),
            Err(err) => {
                self.start_again(err)?;
                self.decoder.finish()
            }
        }
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        let frame = self.decoder.next_frame()?;
        if frame.is_some() {
            self.fed = None;
        }
        Ok(frame)
    }
}
