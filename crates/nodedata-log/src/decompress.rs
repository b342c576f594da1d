use std::io::BufRead as _;

use nodedata_core::{Error, Result};
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation as _, OutBuffer};

use crate::corrupt;

/// Most bytes set aside before any output has been seen: what a header claims is only a hint.
const RESERVE_BYTES_MAX: u64 = 16 << 20;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard frames.
    Zstd,
    /// LZ4 frames.
    Lz4,
    /// Streams of bzip2.
    Bzip2,
}

/// Decompresses one thing after the other into the same buffer.
#[derive(Default)]
pub struct Decompressor {
    buffer: Vec<u8>,
    zstd: Option<ZstdDecoder<'static>>,
}

impl Decompressor {
    /// The bytes that came out last.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets the bytes that came out last; their memory is kept.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }

    /// Decompresses `stored` to at most `max` bytes; `claimed` only sizes the first allocation.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not sound or more come out than `max`. What came out before the damage is in
    /// [`Self::bytes`].
    pub fn decompress(
        &mut self,
        compression: Compression,
        stored: &[u8],
        claimed: u64,
        max: u64,
    ) -> Result<()> {
        self.buffer.clear();
        let guess = claimed.max(stored.len() as u64).min(max).min(RESERVE_BYTES_MAX);
        self.buffer.reserve(usize::try_from(guess).unwrap_or(0));
        match compression {
            Compression::Zstd => self.zstd(stored, max),
            Compression::Lz4 => self.lz4(stored, max),
            Compression::Bzip2 => self.bzip2(stored, max),
        }
    }

    fn zstd(&mut self, stored: &[u8], max: u64) -> Result<()> {
        let decoder = match &mut self.zstd {
            Some(decoder) => decoder,
            none => none.insert(ZstdDecoder::new()?),
        };
        decoder.reinit()?;
        let mut input = InBuffer::around(stored);
        // A chunk may be several frames; the decoder starts the next one by itself.
        let mut frame_open = true;
        while input.pos() < stored.len() || frame_open {
            if self.buffer.len() == self.buffer.capacity() {
                let more = self.buffer.len().max(64 << 10);
                self.buffer.reserve(more);
            }
            let before = (input.pos(), self.buffer.len());
            let start = self.buffer.len();
            let mut output = OutBuffer::around_pos(&mut self.buffer, start);
            let hint = decoder
                .run(&mut input, &mut output)
                .map_err(|err| corrupt("chunk is not sound zstd").with_source(err))?;
            frame_open = hint != 0;
            if max < self.buffer.len() as u64 {
                return Err(too_long(max));
            }
            let after = (input.pos(), self.buffer.len());
            if after == before {
                return Err(corrupt("zstd frame ends early"));
            }
            if !frame_open && is_padding(&stored[input.pos()..]) {
                break;
            }
        }
        Ok(())
    }

    fn lz4(&mut self, stored: &[u8], max: u64) -> Result<()> {
        let mut rest = stored;
        while !is_padding(rest) {
            let before = (rest.len(), self.buffer.len());
            let mut frame = lz4_flex::frame::FrameDecoder::new(&mut rest);
            loop {
                let block = frame
                    .fill_buf()
                    .map_err(|err| corrupt("chunk is not a sound LZ4 frame").with_source(err))?;
                let n_block = block.len();
                if n_block == 0 {
                    break;
                }
                if max - (self.buffer.len() as u64) < n_block as u64 {
                    return Err(too_long(max));
                }
                self.buffer.extend_from_slice(block);
                frame.consume(n_block);
            }
            if before == (rest.len(), self.buffer.len()) {
                return Err(corrupt("LZ4 frame ends early"));
            }
        }
        Ok(())
    }

    fn bzip2(&mut self, stored: &[u8], max: u64) -> Result<()> {
        let mut rest = stored;
        while !is_padding(rest) {
            let mut stream = bzip2::Decompress::new(false);
            loop {
                if self.buffer.len() == self.buffer.capacity() {
                    let more = self.buffer.len().max(64 << 10);
                    self.buffer.reserve(more);
                }
                let before = (rest.len(), self.buffer.len());
                let n_read = stream.total_in();
                let status = stream
                    .decompress_vec(rest, &mut self.buffer)
                    .map_err(|err| corrupt("chunk is not sound bzip2").with_source(err))?;
                // No more than was there.
                rest = &rest[(stream.total_in() - n_read) as usize..];
                if max < self.buffer.len() as u64 {
                    return Err(too_long(max));
                }
                if status == bzip2::Status::StreamEnd {
                    break;
                }
                if before == (rest.len(), self.buffer.len()) {
                    return Err(corrupt("bzip2 stream ends early"));
                }
            }
        }
        Ok(())
    }
}

/// Whether nothing but zeros follows the last frame.
fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|it| *it == 0)
}

fn too_long(max: u64) -> Error {
    corrupt(format!("chunk goes on after {max} uncompressed bytes, where its header says it ends"))
}
