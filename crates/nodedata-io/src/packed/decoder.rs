use std::{
    io::{self, BufRead, Read},
    sync::Arc,
};

use bytes::{Buf as _, Bytes};
use nodedata_core::{Error, ReadAt};

use super::Packing;

/// What is asked of a packed file at a time.
const WINDOW_BYTES: u64 = 1 << 20;
/// Memory that an xz stream may ask for: what `xz -9` needs, and twice as much again.
const XZ_MEMORY_MAX: u64 = 192 << 20;

/// A packed file, read from front to back. That a read failed is remembered: decoders tell of it in words of their own.
pub(super) struct Packed {
    file: Arc<dyn ReadAt>,
    /// Of the first byte that no decoder has taken.
    pub(super) offset: u64,
    window: Bytes,
    pub(super) failure: Option<Error>,
}

impl Packed {
    pub(super) fn new(file: Arc<dyn ReadAt>) -> Self {
        Self { file, offset: 0, window: Bytes::new(), failure: None }
    }

    pub(super) fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    /// Some of the bytes that come next, at least eight where there are as many.
    pub(super) fn head(&mut self) -> io::Result<&[u8]> {
        if self.window.len() < 8 {
            self.window.clear();
        }
        self.fill_buf()
    }
}

impl Read for Packed {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(room)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Packed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.window.is_empty() {
            let end = self.n_bytes().min(self.offset + WINDOW_BYTES);
            self.window = self.file.read_at(self.offset..end).map_err(|err| {
                self.failure = Some(err);
                io::Error::other("the file cannot be read")
            })?;
        }
        Ok(&self.window)
    }

    fn consume(&mut self, n: usize) {
        self.window.advance(n);
        self.offset += n as u64;
    }
}

/// Unpacks one member, and takes no byte behind it.
pub(super) enum Decoder {
    Gzip(flate2::bufread::GzDecoder<Packed>),
    Zstd(zstd::stream::read::Decoder<'static, Packed>),
    Bzip2(bzip2::bufread::BzDecoder<Packed>),
    Xz(liblzma::bufread::XzDecoder<Packed>),
}

impl Decoder {
    pub(super) fn new(packing: Packing, packed: Packed) -> io::Result<Self> {
        Ok(match packing {
            Packing::Gzip => Self::Gzip(flate2::bufread::GzDecoder::new(packed)),
            Packing::Zstd => Self::Zstd(zstd::stream::read::Decoder::with_buffer(packed)?.single_frame()),
            Packing::Bzip2 => Self::Bzip2(bzip2::bufread::BzDecoder::new(packed)),
            Packing::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, 0)?;
                Self::Xz(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
        })
    }

    pub(super) fn packed(&mut self) -> &mut Packed {
        match self {
            Self::Gzip(it) => it.get_mut(),
            Self::Zstd(it) => it.get_mut(),
            Self::Bzip2(it) => it.get_mut(),
            Self::Xz(it) => it.get_mut(),
        }
    }

    /// The file, from behind the member, all of which was read.
    pub(super) fn into_packed(self) -> Packed {
        match self {
            Self::Gzip(it) => it.into_inner(),
            Self::Zstd(it) => it.finish(),
            Self::Bzip2(it) => it.into_inner(),
            Self::Xz(it) => it.into_inner(),
        }
    }
}

impl Read for Decoder {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(it) => it.read(room),
            Self::Zstd(it) => it.read(room),
            Self::Bzip2(it) => it.read(room),
            Self::Xz(it) => it.read(room),
        }
    }
}

/// Whether a decoder refuses for the memory that it would need.
pub(super) fn wants_memory(err: &io::Error) -> bool {
    let xz = err.get_ref().and_then(|it| it.downcast_ref::<liblzma::stream::Error>());
    // Of zstd there is but the text of the library's error.
    xz == Some(&liblzma::stream::Error::MemLimit) || err.to_string().contains("requires too much memory")
}
