use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_log::{Compression, Decompressor, SALVAGE_HINT, corrupt, too_large};

use crate::records::ChunkHead;

/// Decompresses chunks one after the other into the same buffer.
pub(crate) struct ChunkDecoder {
    decompressor: Decompressor,
    /// Records that were stored uncompressed: a view of the file, instead of what was decompressed.
    in_place: Option<Bytes>,
    n_bytes_max: u64,
    verify_checksums: bool,
}

impl ChunkDecoder {
    /// Chunks above `n_bytes_max` are refused, before and after decompression.
    pub(crate) fn new(n_bytes_max: u64, verify_checksums: bool) -> Self {
        Self { decompressor: Decompressor::default(), in_place: None, n_bytes_max, verify_checksums }
    }

    /// The records of the last chunk that was decoded.
    #[inline]
    pub(crate) fn records(&self) -> &[u8] {
        self.in_place.as_deref().unwrap_or(self.decompressor.bytes())
    }

    /// Takes records that lie in no chunk.
    pub(crate) fn hold(&mut self, records: Bytes) {
        self.in_place = Some(records);
    }

    /// Decodes the content of a Chunk record; its size and CRC are checked before any record is handed
    /// out. Records that are not compressed are not copied.
    pub(crate) fn decode(&mut self, content: &Bytes) -> Result<()> {
        self.in_place = None;
        self.decompressor.clear();
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
        self.decompressor.clear();
        let (head, stored) = ChunkHead::parse(content)?;
        if head.compression.is_empty() {
            self.in_place = Some(content.slice_ref(stored));
            return Ok(());
        }
        let decoded = self.decompress(head.compression, stored, 0, self.n_bytes_max);
        // Breaking off is what a cut stream does: what came out before it is kept.
        decoded.or_else(|err| if err.kind() == ErrorKind::Corrupt { Ok(()) } else { Err(err) })
    }

    /// Decompresses at most `max` bytes; `claimed` only sizes the first allocation.
    fn decompress(&mut self, compression: &str, stored: &[u8], claimed: u64, max: u64) -> Result<()> {
        let compression = match compression {
            "zstd" => Compression::Zstd,
            "lz4" => Compression::Lz4,
            other => {
                let message = format!("chunk has the unknown compression `{other}`");
                return Err(Error::new(ErrorKind::Unsupported, message).with_hint(SALVAGE_HINT));
            }
        };
        self.decompressor.decompress(compression, stored, claimed, max)
    }
}
