use std::panic::{AssertUnwindSafe, catch_unwind};

use nodedata_core::{Error, ErrorKind, Result};

use super::{FrameDecoder, VideoFrame};

/// A decoder whose panics become errors.
pub(super) struct Isolated<D> {
    /// `None` after a panic: its state means nothing any more.
    decoder: Option<D>,
}

impl<D: FrameDecoder> Isolated<D> {
    pub(super) fn new(make: impl FnOnce() -> Result<D>) -> Result<Self> {
        let decoder = catch_unwind(AssertUnwindSafe(make)).map_err(|_| crashed())??;
        Ok(Self { decoder: Some(decoder) })
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut D) -> Result<T>) -> Result<T> {
        let mut decoder = self.decoder.take().ok_or_else(crashed)?;
        let Ok(result) = catch_unwind(AssertUnwindSafe(|| call(&mut decoder))) else {
            // Dropping it may panic again.
            std::mem::forget(decoder);
            return Err(crashed());
        };
        self.decoder = Some(decoder);
        result
    }
}

impl<D: FrameDecoder> FrameDecoder for Isolated<D> {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        self.call(|it| it.decode(sample, order))
    }

    fn finish(&mut self) -> Result<()> {
        self.call(D::finish)
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        self.call(D::next_frame)
    }

    fn reset(&mut self) -> Result<()> {
        self.call(D::reset)
    }
}

fn crashed() -> Error {
    Error::new(ErrorKind::Corrupt, "the video decoder gave up on a damaged sample")
}
