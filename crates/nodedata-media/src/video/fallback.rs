use nodedata_core::{Error, ErrorKind, Result};

use super::{Backend, DecodeOptions, FrameDecoder, VideoFrame, decoder, libavcodec};
use crate::VideoCodec;

/// Coded bytes kept until a decoder has shown that it can decode them.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// One decoder after the other, until one does not say that the video is not supported.
pub(super) struct Fallback {
    decoder: Box<dyn FrameDecoder>,
    /// What was fed before the first frame came out, to be fed again; `None` once one has.
    fed: Option<Vec<(Vec<u8>, i64)>>,
    fed_bytes: usize,
    untried: Untried,
}

/// The decoders left, and what they are opened with.
struct Untried {
    backends: &'static [Backend],
    codec: VideoCodec,
    config: Vec<u8>,
    options: DecodeOptions,
}

/// The decoders in the order to try them.
fn backends(codec: VideoCodec, options: &DecodeOptions) -> Result<&'static [Backend]> {
    Ok(match libavcodec::takes(codec, &options.libavcodec)? {
        true => &[Backend::Libavcodec, Backend::BuiltIn, Backend::Ffmpeg],
        // Nobody has to know of a library that is not there.
        false => &[Backend::BuiltIn, Backend::Ffmpeg],
    })
}

impl Fallback {
    pub(super) fn open(codec: VideoCodec, config: &[u8], options: &DecodeOptions) -> Result<Self> {
        let (backends, options) = (backends(codec, options)?, options.clone());
        let mut untried = Untried { backends, codec, config: config.to_vec(), options };
        let decoder = untried.open(None)?;
        Ok(Self { decoder, fed: Some(Vec::new()), fed_bytes: 0, untried })
    }

    /// Answers `err`, if it says that the video is not supported, by starting again with the next decoder.
    fn start_again(&mut self, mut err: Error) -> Result<()> {
        if self.fed.is_none() {
            return Err(err);
        }
        while err.kind() == ErrorKind::Unsupported {
            self.decoder = self.untried.open(Some(err))?;
            let mut fed = self.fed.iter().flatten();
            match fed.try_for_each(|(sample, order)| self.decoder.decode(sample, *order)) {
                Ok(()) => {
                    if self.untried.backends.is_empty() {
                        self.fed = None;
                    }
                    return Ok(());
                }
                Err(next) => err = next,
            }
        }
        Err(err)
    }
}

impl Untried {
    /// The next decoder that can be opened. `refusal` is why the one before cannot be used.
    fn open(&mut self, mut refusal: Option<Error>) -> Result<Box<dyn FrameDecoder>> {
        while let Some((backend, rest)) = self.backends.split_first() {
            self.backends = rest;
            let options = DecodeOptions { backend: *backend, ..self.options.clone() };
            match decoder(self.codec, &self.config, &options) {
                Ok(decoder) => return Ok(decoder),
                // The last refuses because it is not there; what the first said is about the video.
                Err(err) if err.kind() == ErrorKind::Unsupported || rest.is_empty() => {
                    refusal.get_or_insert(err);
                }
                Err(err) => return Err(err),
            }
        }
        let refusal = refusal.unwrap_or_else(|| Error::new(ErrorKind::Unsupported, "no decoder is left"));
        Err(refusal.with_hint(
            "install the `ffmpeg` program, which decodes this video, or name it in NODEDATA_FFMPEG; or keep the video as it \
             is coded",
        ))
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
                self.finish()
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

    fn reset(&mut self) -> Result<()> {
        self.decoder.reset()?;
        // What follows may need what was there before it did not, and then another decoder.
        self.fed = (!self.untried.backends.is_empty()).then(Vec::new);
        self.fed_bytes = 0;
        Ok(())
    }
}
