mod large;

use std::{io::Read as _, ops::Range};

use bytes::Bytes;
use highway::{HighwayHash as _, HighwayHasher, Key};
use nodedata_core::{Error, ErrorKind, ReadAt, Result};

pub(super) use self::large::read_large;
use super::{
    Limits,
    blocks::{self, Fetch, chunk_start, end_of},
    corrupt,
};

/// Bytes of a chunk before its data.
const HEAD_BYTES: u64 = 40;
/// `Riegeli/records\n`, twice.
const HASH_KEY: [u64; 4] =
    [0x2f69_6c65_6765_6952, 0x0a73_6472_6f63_6572, 0x2f69_6c65_6765_6952, 0x0a73_6472_6f63_6572];
/// Memory that is set aside before anything was decompressed.
const RESERVED_BYTES_MAX: u64 = 16 << 20;
/// Records of one chunk: a record without bytes takes a bit or less where it is compressed.
pub(super) const CHUNK_RECORDS_MAX: u64 = 1 << 20;

const REWRITE_HINT: &str = "write the files again by `ArrayRecordWriter(path, \"group_size:1,zstd:3\")`, or the dataset by \
                            `tfds convert_format --out_file_format=tfrecord`";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkKind {
    Signature,
    Metadata,
    Padding,
    Records,
    /// Records, taken apart field by field.
    Transposed,
}

impl ChunkKind {
    pub(super) fn has_records(self) -> bool {
        match self {
            Self::Records | Self::Transposed => true,
            Self::Signature | Self::Metadata | Self::Padding => false,
        }
    }
}

/// What a chunk says of itself before its data.
#[derive(Debug)]
pub(super) struct ChunkHead {
    pub(super) kind: ChunkKind,
    n_data: u64,
    data_hash: u64,
    pub(super) n_records: u64,
    /// Bytes of all its records.
    pub(super) n_decoded: u64,
}

impl ChunkHead {
    /// The head of the chunk at `start`, alone.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when there is none.
    pub(super) fn peek(file: &dyn ReadAt, start: u64, verify_checksums: bool) -> Result<Self> {
        let end = end_of(start, HEAD_BYTES).ok_or_else(|| corrupt("a chunk lies beyond the file"))?;
        let bytes = blocks::read(file, start..end, Fetch::Peek)?;
        Self::parse(&bytes, verify_checksums)
    }

    fn parse(bytes: &[u8], verify_checksums: bool) -> Result<Self> {
        let Some(head) = bytes.first_chunk::<{ HEAD_BYTES as usize }>() else {
            return Err(corrupt("the file ends within the head of a chunk"));
        };
        let number = |at: usize| {
            let bytes = head[at..].first_chunk().expect("heads have as many numbers as are asked for");
            u64::from_le_bytes(*bytes)
        };
        if verify_checksums && hash(&head[8..]) != number(0) {
            return Err(corrupt("the head of a chunk is not what its checksum says"));
        }
        let kind = match head[24] {
            b's' => ChunkKind::Signature,
            b'm' => ChunkKind::Metadata,
            b'p' => ChunkKind::Padding,
            b'r' => ChunkKind::Records,
            b't' => ChunkKind::Transposed,
            other => return Err(corrupt(format!("a chunk is of kind {other}, which there is not"))),
        };
        let n_records = number(24) >> 8;
        Ok(Self { kind, n_data: number(8), data_hash: number(16), n_records, n_decoded: number(32) })
    }

    /// Whether the chunk has records, and no more than may be read.
    ///
    /// # Errors
    /// `Unsupported`; `Corrupt`; `Limit`.
    fn check(&self, limits: Limits) -> Result<()> {
        match self.kind {
            ChunkKind::Records => {}
            ChunkKind::Transposed => return Err(unsupported("are transposed")),
            ChunkKind::Signature | ChunkKind::Metadata | ChunkKind::Padding => {
                return Err(corrupt("a chunk holds no records where some should be"));
            }
        }
        match too_large(self.n_records, self.n_decoded, limits.record_bytes_max) {
            Some(err) => Err(err),
            None => Ok(()),
        }
    }

    /// Where a chunk ends that begins at `start`: no two records have one address, so it is as long as it has records.
    pub(super) fn end(&self, start: u64) -> Option<u64> {
        let data = end_of(start, self.n_data.checked_add(HEAD_BYTES)?)?;
        Some(data.max(chunk_start(start.checked_add(self.n_records)?)?))
    }
}

/// The records of the chunk at the start of a range. What follows it there is padding.
pub(super) fn read(file: &dyn ReadAt, range: &Range<u64>, limits: Limits) -> Result<Vec<Bytes>> {
    let bytes = blocks::read(file, range.clone(), Fetch::Read)?;
    let head = ChunkHead::parse(&bytes, limits.verify_checksums)?;
    let data = bytes.slice(HEAD_BYTES as usize..);
    let n_data = usize::try_from(head.n_data).ok().filter(|it| *it <= data.len());
    let n_data = n_data.ok_or_else(|| corrupt("a chunk is longer than where it lies"))?;
    let data = data.slice(..n_data);
    if limits.verify_checksums && hash(&data) != head.data_hash {
        return Err(corrupt("the chunk is not what its checksum says"));
    }
    head.check(limits)?;
    records(&head, data)
}

/// Why a chunk is not read, where it has too much.
pub(super) fn too_large(n_records: u64, n_decoded: u64, max: u64) -> Option<Error> {
    let message = if n_decoded > max {
        format!("a chunk of {n_records} records has {n_decoded} bytes, but at most {max} are read at once")
    } else if n_records > CHUNK_RECORDS_MAX {
        format!("a chunk has {n_records} records, but at most {CHUNK_RECORDS_MAX} are read")
    } else {
        return None;
    };
    Some(Error::new(ErrorKind::Limit, message))
}

/// A chunk's data taken apart: how it is compressed, how many bytes the lengths take, the lengths, the records.
fn records(head: &ChunkHead, data: Bytes) -> Result<Vec<Bytes>> {
    let mut rest = data;
    let how = rest.split_to(rest.len().min(1));
    let is_zstd = is_zstd(how.first().copied())?;
    let n_lengths = varint(&mut rest)?;
    let n_lengths = usize::try_from(n_lengths).ok().filter(|it| *it <= rest.len());
    let n_lengths = n_lengths.ok_or_else(|| corrupt("the lengths of records go beyond their chunk"))?;
    let lengths = rest.split_to(n_lengths);
    // A length takes ten bytes at most.
    let lengths = decompressed(lengths, is_zstd, head.n_records * 10)?;
    let values = decompressed(rest, is_zstd, head.n_decoded)?;
    split(head, lengths, values)
}

/// Whether what begins with this letter is compressed by zstd, or not at all.
fn is_zstd(how: Option<u8>) -> Result<bool> {
    match how {
        Some(0) => Ok(false),
        Some(b'z') => Ok(true),
        Some(b'b') => Err(unsupported("are compressed by Brotli")),
        Some(b's') => Err(unsupported("are compressed by Snappy")),
        Some(other) => Err(corrupt(format!("a chunk is compressed by {other}, which there is not"))),
        None => Err(corrupt("a chunk has no data")),
    }
}

/// The records of a chunk, by their lengths.
fn split(head: &ChunkHead, mut lengths: Bytes, mut values: Bytes) -> Result<Vec<Bytes>> {
    if values.len() as u64 != head.n_decoded {
        let (n, told) = (values.len(), head.n_decoded);
        return Err(corrupt(format!("a chunk has {n} bytes of records where {told} are told")));
    }
    let mut records = Vec::with_capacity(lengths.len().min(head.n_records as usize));
    for _ in 0..head.n_records {
        let n = varint(&mut lengths)?;
        let n = usize::try_from(n).ok().filter(|it| *it <= values.len());
        records.push(values.split_to(n.ok_or_else(|| corrupt("a record goes beyond its chunk"))?));
    }
    match (lengths.len(), values.len()) {
        (0, 0) => Ok(records),
        _ => Err(corrupt("a chunk has bytes that are of no record")),
    }
}

/// What was stored, of which there are `n_max` bytes at most.
fn decompressed(mut stored: Bytes, is_zstd: bool, n_max: u64) -> Result<Bytes> {
    if !is_zstd {
        return Ok(stored);
    }
    let n_told = varint(&mut stored)?;
    if n_told > n_max {
        return Err(corrupt(format!("{n_told} bytes are told where at most {n_max} can be")));
    }
    let mut out = Vec::with_capacity(n_told.min(RESERVED_BYTES_MAX) as usize);
    let damaged = |err| corrupt("a chunk is no sound zstd").with_source(err);
    let decoder = zstd::stream::read::Decoder::with_buffer(&stored[..]).map_err(damaged)?;
    decoder.take(n_told + 1).read_to_end(&mut out).map_err(damaged)?;
    if out.len() as u64 != n_told {
        return Err(corrupt(format!("a chunk does not have the {n_told} bytes that are told")));
    }
    Ok(out.into())
}

/// A number in seven bits a byte, from the lowest.
pub(super) fn varint(bytes: &mut Bytes) -> Result<u64> {
    let mut value = 0;
    for (idx, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * idx);
        if shifted >> (7 * idx) != bits {
            break;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            *bytes = bytes.slice(idx + 1..);
            return Ok(value);
        }
    }
    Err(corrupt("a number of a chunk is cut or has more than 64 bits"))
}

fn unsupported(how: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the records {how}, which is not read yet"))
        .with_hint(REWRITE_HINT)
}

pub(super) fn hash(bytes: &[u8]) -> u64 {
    HighwayHasher::new(Key(HASH_KEY)).hash64(bytes)
}
