use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_log::{Compression, Decompressor, SALVAGE_HINT, corrupt, too_large};

use super::record::Header;

/// What the header of a chunk record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkHead<'a> {
    pub(crate) compression: &'a str,
    /// Bytes of its records after decompression.
    pub(crate) size: u32,
}

impl<'a> ChunkHead<'a> {
    /// # Errors
    /// `Corrupt` when a field is missing.
    pub(crate) fn parse(header: &Header<'a>) -> Result<Self> {
        Ok(Self { compression: header.text("compression")?, size: header.u32("size")? })
    }

    /// `None` when the records are as they are.
    fn compression(&self) -> Result<Option<Compression>> {
        match self.compression {
            "none" => Ok(None),
            "bz2" => Ok(Some(Compression::Bzip2)),
            "lz4" => Ok(Some(Compression::Lz4)),
            other => {
                let message = format!("chunk has the unknown compression `{other}`");
                Err(Error::new(ErrorKind::Unsupported, message).with_hint(SALVAGE_HINT))
            }
        }
    }
}

/// Decompresses chunks one after the other into the same buffer.
pub(crate) struct ChunkDecoder {
    decompressor: Decompressor,
    /// Records that were stored uncompressed: a view of the file, instead of what was decompressed.
    in_place: Option<Bytes>,
    n_bytes_max: u64,
    is_encrypted: bool,
}

impl ChunkDecoder {
    /// Chunks above `n_bytes_max` are refused, before and after decompression.
    pub(crate) fn new(n_bytes_max: u64, is_encrypted: bool) -> Self {
        Self { decompressor: Decompressor::default(), in_place: None, n_bytes_max, is_encrypted }
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

    /// Decodes the data of a chunk; its size is checked before any record is handed out. Records that are not compressed are
    /// not copied.
    pub(crate) fn decode(&mut self, head: &ChunkHead<'_>, stored: &Bytes) -> Result<()> {
        self.clear()?;
        let size = u64::from(head.size);
        if self.n_bytes_max < size {
            return Err(too_large("a chunk, uncompressed,", size, self.n_bytes_max));
        }
        match head.compression()? {
            None => self.in_place = Some(stored.clone()),
            Some(compression) => self.decompressor.decompress(compression, stored, size, size)?,
        }
        let n_found = self.records().len() as u64;
        if n_found != size {
            return Err(corrupt(format!(
                "chunk has {n_found} bytes uncompressed, but its header says {size}"
            )));
        }
        Ok(())
    }

    /// Decodes the front of a chunk whose end is not there. The size in its header may be the placeholder of an unfinished
    /// recorder, so it is not looked at.
    pub(crate) fn decode_prefix(&mut self, head: &ChunkHead<'_>, stored: &Bytes) -> Result<()> {
        self.clear()?;
        let Some(compression) = head.compression()? else {
            self.in_place = Some(stored.clone());
            return Ok(());
        };
        let decoded = self.decompressor.decompress(compression, stored, 0, self.n_bytes_max);
        // Breaking off is what a cut stream does: what came out before it is kept.
        decoded.or_else(|err| if err.kind() == ErrorKind::Corrupt { Ok(()) } else { Err(err) })
    }

    fn clear(&mut self) -> Result<()> {
        self.in_place = None;
        self.decompressor.clear();
        if self.is_encrypted { Err(encrypted()) } else { Ok(()) }
    }
}

/// That a bag, or a chunk of one, cannot be read without a key.
pub(crate) fn encrypted() -> Error {
    Error::new(ErrorKind::Unsupported, "the bag is encrypted")
        .with_hint("`rosbag decrypt BAG` writes it in the clear, where the key is")
}
