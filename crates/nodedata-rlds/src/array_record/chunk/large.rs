//! A large chunk, which is not had in memory: what comes out of it lies in a file without a name.

use std::{
    io::{self, BufRead, Read},
    ops::Range,
    path::Path,
};

use bytes::Bytes;
use highway::{HighwayHash as _, HighwayHasher, Key};
use nodedata_core::{Error, ErrorKind, ReadAt, Result};
use nodedata_io::{Scratch, io_error};

use super::{ChunkHead, HASH_KEY, HEAD_BYTES, Limits, corrupt, decompressed, is_zstd, split, varint};
use crate::array_record::blocks::Run;

/// What is written at a time.
const PIECE_BYTES: usize = 256 << 10;
/// The longest number.
const VARINT_BYTES_MAX: usize = 10;

/// As [`super::read`], with the records in a file in `folder`, mapped.
///
/// # Errors
/// As there; `Io` when the folder does not take it.
pub(in crate::array_record) fn read_large(
    file: &dyn ReadAt,
    range: &Range<u64>,
    limits: Limits,
    folder: &Path,
) -> Result<Vec<Bytes>> {
    let mut run = Run::of(file, range.clone())?;
    let mut head = [0; HEAD_BYTES as usize];
    if run.read_exact(&mut head).is_err() {
        return Err(run
            .failure
            .take()
            .unwrap_or_else(|| corrupt("the file ends within the head of a chunk")));
    }
    let head = ChunkHead::parse(&head, limits.verify_checksums)?;
    head.check(limits)?;
    let mut data = Passed::over(run, head.n_data);
    let unpacked = unpack(&mut data, &head, folder);
    // What a flipped bit made of it is told as what it is, so all of it is looked at.
    let is_passed = match &unpacked {
        Err(err) if err.kind() == ErrorKind::Io => false,
        Ok(_) | Err(_) => data.pass().is_ok(),
    };
    if let Some(failure) = data.failure() {
        return Err(failure);
    }
    if is_passed && data.n_passed < head.n_data {
        return Err(corrupt("a chunk is longer than where it lies"));
    }
    if is_passed && limits.verify_checksums && data.hasher.finalize64() != head.data_hash {
        return Err(corrupt("the chunk is not what its checksum says"));
    }
    let (lengths, values) = unpacked?;
    split(&head, lengths, values)
}

/// The data of a chunk, which is hashed when it is taken.
struct Passed<'a> {
    inner: io::Take<Run<'a>>,
    hasher: HighwayHasher,
    n_passed: u64,
}

impl<'a> Passed<'a> {
    fn over(run: Run<'a>, n_data: u64) -> Self {
        Self { inner: run.take(n_data), hasher: HighwayHasher::new(Key(HASH_KEY)), n_passed: 0 }
    }

    fn failure(&mut self) -> Option<Error> {
        self.inner.get_mut().failure.take()
    }

    /// Takes what is left.
    fn pass(&mut self) -> io::Result<()> {
        loop {
            let n = self.fill_buf()?.len();
            if n == 0 {
                return Ok(());
            }
            self.consume(n);
        }
    }

    /// A number, as [`varint`] has them.
    fn number(&mut self) -> Result<u64> {
        let mut bytes = Vec::with_capacity(VARINT_BYTES_MAX);
        let mut byte = [0x80];
        while byte[0] & 0x80 != 0
            && bytes.len() < VARINT_BYTES_MAX
            && self.read(&mut byte).is_ok_and(|n| n == 1)
        {
            bytes.push(byte[0]);
        }
        varint(&mut bytes.into())
    }
}

impl BufRead for Passed<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        // What is taken was filled before: nothing is read here.
        if let Ok(bytes) = self.inner.fill_buf() {
            self.hasher.append(&bytes[..n.min(bytes.len())]);
        }
        self.n_passed += n as u64;
        self.inner.consume(n);
    }
}

impl Read for Passed<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(room)?;
        self.consume(n);
        Ok(n)
    }
}

/// The lengths of the records, and all of their bytes.
fn unpack(data: &mut Passed<'_>, head: &ChunkHead, folder: &Path) -> Result<(Bytes, Bytes)> {
    let mut how = [0];
    let n = data.read(&mut how).unwrap_or(0);
    let is_zstd = is_zstd(how.first().copied().filter(|_| n == 1))?;
    let n_lengths = data.number()?;
    // A length takes ten bytes at most; compressed, all of them take hardly more.
    let n_lengths_max = head.n_records * VARINT_BYTES_MAX as u64;
    let beyond = || corrupt("the lengths of records go beyond their chunk");
    if n_lengths > n_lengths_max.saturating_mul(2).saturating_add(1024) {
        return Err(beyond());
    }
    let mut lengths = Vec::new();
    data.by_ref().take(n_lengths).read_to_end(&mut lengths).map_err(|_failed| beyond())?;
    if lengths.len() as u64 != n_lengths {
        return Err(beyond());
    }
    let lengths = decompressed(lengths.into(), is_zstd, n_lengths_max)?;
    let n_told = if is_zstd { data.number()? } else { head.n_decoded };
    if n_told > head.n_decoded {
        return Err(corrupt(format!("{n_told} bytes are told where at most {} can be", head.n_decoded)));
    }
    let damaged = |err| corrupt("a chunk is no sound zstd").with_source(err);
    let values = match is_zstd {
        true => spooled(zstd::stream::read::Decoder::with_buffer(data).map_err(damaged)?, n_told, folder)?,
        false => spooled(data, n_told, folder)?,
    };
    Ok((lengths, values))
}

/// What is read, in a file in `folder`: `n_told` bytes, neither more nor less.
fn spooled(from: impl Read, n_told: u64, folder: &Path) -> Result<Bytes> {
    let failed = |err| {
        io_error("cannot unpack a large chunk into a scratch file here", folder, err)
            .with_hint("make room there")
    };
    let mut scratch = Scratch::within(folder).map_err(failed)?;
    let mut from = from.take(n_told.saturating_add(1));
    let mut room = vec![0; PIECE_BYTES];
    let mut n_found = 0;
    loop {
        let n = match from.read(&mut room) {
            Ok(0) => break,
            Ok(n) => n,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(corrupt("a chunk is no sound zstd").with_source(err)),
        };
        scratch.push(&room[..n]).map_err(failed)?;
        n_found += n as u64;
    }
    if n_found != n_told {
        return Err(corrupt(format!("a chunk does not have the {n_told} bytes that are told")));
    }
    let file = scratch.into_file().map_err(failed)?;
    // A scratch file is mapped.
    Ok(file.in_memory().unwrap_or_default())
}
