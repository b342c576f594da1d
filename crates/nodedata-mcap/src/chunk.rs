use std::io::BufRead as _;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation as _, OutBuffer};

use crate::{
    fault::{SALVAGE_HINT, corrupt, too_large},
    records::ChunkHead,
};

/// First bytes of a zstd frame.
pub(crate) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Most bytes set aside before any output has been seen: what a header claims is only a hint.
const RESERVE_BYTES_MAX: u64 = 16 << 20;

/// Decompresses chunks one after the other into the same buffer.
pub(crate) struct ChunkDecoder {
    buffer: Vec<u8>,
    /// Records that were stored uncompressed: a view of the file, instead of `buffer`.
    in_place: Option<Bytes>,
    zstd: Option<ZstdDecoder<'static>>,
    n_bytes_max: u64,
    verify_checksums: bool,
}

impl ChunkDecoder {
    /// Chunks above `n_bytes_max` are refused, before and after decompression.
    pub(crate) fn new(n_bytes_max: u64, verify_checksums: bool) -> Self {
        Self { buffer: Vec::new(), in_place: None, zstd: None, n_bytes_max, verify_checksums }
    }

    /// The records of the last chunk that was decoded.
    #[inline]
    pub(crate) fn records(&self) -> &[u8] {
        self.in_place.as_deref().unwrap_or(&self.buffer)
    }

    /// Decodes the content of a Chunk record; its size and CRC are checked before any record is handed
    /// out. Records that are not compressed are not copied.
    pub(crate) fn decode(&mut self, content: &Bytes) -> Result<()> {
        self.in_place = None;
        self.buffer.clear();
        let (head, rest) = ChunkHead::parse(content)?;
        let n_stored = usize::try_from(head.n_stored).ok().filter(|it| *it <= rest.len());
        let Some(n_stored) = n_stored else {
            return Err(corrupt(format!(
                "{} bytes are left in the chunk, but its header says {} bytes of records",
                rest.len(),
                head.n_stored
            )));
        };
        let stored = &rest[..n_stored];
        let claimed = head.uncompressed_size;
        if self.n_bytes_max < claimed {
            return Err(too_large("a chunk, uncompressed,", claimed, self.n_bytes_max));
        }
        if head.compression.is_empty() {
            self.in_place = Some(content.slice_ref(stored));
        } else {
            self.decompress(head.compression, stored, claimed, claimed)?;
        }
        self.check(&head)
    }

    fn check(&mut self, head: &ChunkHead<'_>) -> Result<()> {
        let n_found = self.records().len() as u64;
        if n_found != head.uncompressed_size {
            return Err(corrupt(format!(
                "chunk has {n_found} bytes uncompressed, but its header says {}",
                head.uncompressed_size
            )));
        }
        if self.verify_checksums && head.uncompressed_crc != 0 {
            let found = crc32fast::hash(self.records());
            if found != head.uncompressed_crc {
                return Err(corrupt(format!(
                    "chunk has CRC {found:08x}, but its header says {:08x}",
                    head.uncompressed_crc
                )));
            }
        }
        Ok(())
    }

    /// Decodes the front of a chunk that the end of the file cut off. Sizes and CRC in its header may
    /// be the placeholders of an unfinished recorder, so they are not looked at.
    pub(crate) fn decode_prefix(&mut self, content: &Bytes) -> Result<()> {
        self.in_place = None;
        self.buffer.clear();
        let (head, stored) = ChunkHead::parse(content)?;
        if head.compression.is_empty() {
            self.in_place = Some(content.slice_ref(stored));
            return Ok(());
        }
        let decoded = self.decompress(head.compression, stored, 0, self.n_bytes_max);
        // Breaking off is what a cut stream does: what came out before it is kept.
        decoded.or_else(|err| if err.kind() == ErrorKind::Corrupt { Ok(()) } else { Err(err) })
    }

    /// Decompresses a zstd message payload, as rosbag2's message compression leaves it.
    pub(crate) fn zstd_payload<'a>(&'a mut self, payload: &[u8]) -> Result<&'a [u8]> {
        self.in_place = None;
        self.decompress("zstd", payload, 0, self.n_bytes_max)?;
        Ok(&self.buffer)
    }

    /// Fills the buffer with at most `max` bytes; `claimed` only sizes the first allocation.
    fn decompress(&mut self, compression: &str, stored: &[u8], claimed: u64, max: u64) -> Result<()> {
        self.buffer.clear();
        let guess = claimed.max(stored.len() as u64).min(max).min(RESERVE_BYTES_MAX);
        self.buffer.reserve(usize::try_from(guess).unwrap_or(0));
        match compression {
            "zstd" => self.decompress_zstd(stored, max),
            "lz4" => self.decompress_lz4(stored, max),
            other => Err(Error::new(
                ErrorKind::Unsupported,
                format!("chunk has the unknown compression `{other}`"),
            )
            .with_hint(SALVAGE_HINT)),
        }
    }

    fn decompress_zstd(&mut self, stored: &[u8], max: u64) -> Result<()> {
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

    fn decompress_lz4(&mut self, stored: &[u8], max: u64) -> Result<()> {
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
}

/// Whether nothing but zeros follows the last frame.
fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|it| *it == 0)
}

fn too_long(max: u64) -> Error {
    corrupt(format!("chunk goes on after {max} uncompressed bytes, where its header says it ends"))
}
