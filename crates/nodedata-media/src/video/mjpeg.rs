use std::collections::VecDeque;

use nodedata_core::{Error, ErrorKind, Result};

use super::{Chroma, DecodeOptions, FrameDecoder, VideoFrame, frame::check_size};
use crate::{Decoded, Encoding, decode_image, image_header};

/// Motion JPEG: each sample is a picture of its own, decoded as any other JPEG.
pub(super) struct Mjpeg {
    pixels_max: u64,
    ready: VecDeque<VideoFrame>,
}

impl Mjpeg {
    pub(super) fn new(options: &DecodeOptions) -> Self {
        Self { pixels_max: options.pixels_max, ready: VecDeque::new() }
    }
}

impl FrameDecoder for Mjpeg {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        let Some(header) = image_header(sample).filter(|it| it.encoding == Encoding::Jpeg) else {
            return Err(Error::new(ErrorKind::Corrupt, "a sample of MJPEG video is no JPEG picture"));
        };
        check_size(header.width, header.height, self.pixels_max)?;
        self.ready.push_back(frame(&decode_image(sample)?, order)?);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        Ok(self.ready.pop_front())
    }

    fn reset(&mut self) -> Result<()> {
        self.ready.clear();
        Ok(())
    }
}

/// The picture as a frame of gray or of RGB.
fn frame(picture: &Decoded, order: i64) -> Result<VideoFrame> {
    let &Decoded { height, width, .. } = picture;
    match picture.channels {
        1 => {
            let (chroma, bit_depth, full_range, matrix) = (Chroma::None, 8, true, 2);
            let planes = vec![picture.pixels.clone()];
            VideoFrame { order, width, height, chroma, bit_depth, full_range, matrix, planes }.checked()
        }
        3 => VideoFrame::of_rgb(width, height, &picture.pixels, order),
        n => Err(Error::new(ErrorKind::Unsupported, format!("an MJPEG frame has {n} channels"))),
    }
}
