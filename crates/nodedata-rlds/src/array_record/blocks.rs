//! Positions in a file of blocks, each of which begins with a header that is in the way of what runs through it.

use std::{
    io::{self, BufRead, Read},
    ops::Range,
};

use bytes::{Buf as _, Bytes, BytesMut};
use nodedata_core::{Error, ReadAt, Result};

use super::corrupt;

pub(super) const BLOCK_BYTES: u64 = 64 << 10;
const HEADER_BYTES: u64 = 24;
const USABLE_BYTES: u64 = BLOCK_BYTES - HEADER_BYTES;

/// Where `n_bytes` end that begin at `start`, with the headers in between. None for more than any file has.
pub(super) fn end_of(start: u64, n_bytes: u64) -> Option<u64> {
    let before = start.checked_add(USABLE_BYTES - 1)? % BLOCK_BYTES;
    let n_headers = n_bytes.checked_add(before)? / USABLE_BYTES;
    start.checked_add(n_bytes)?.checked_add(n_headers.checked_mul(HEADER_BYTES)?)
}

/// The first place from `position` on where a chunk may begin: none does within a header.
pub(super) fn chunk_start(position: u64) -> Option<u64> {
    let left = (BLOCK_BYTES - position % BLOCK_BYTES) % BLOCK_BYTES;
    position.checked_add(left.saturating_sub(USABLE_BYTES - 1))
}

/// How a range is fetched: see [`ReadAt::peek_at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    Read,
    Peek,
}

/// The bytes of a range without the headers in it. A range in one block is not copied.
pub(super) fn read(file: &dyn ReadAt, range: Range<u64>, fetch: Fetch) -> Result<Bytes> {
    if range.end > file.n_bytes() || range.start > range.end {
        return Err(corrupt("the file ends within a chunk"));
    }
    let bytes = match fetch {
        Fetch::Read => file.read_at(range.clone())?,
        Fetch::Peek => file.peek_at(range.clone())?,
    };
    let mut pieces = Pieces { range };
    let first = pieces.next(&bytes);
    let mut rest = pieces.next(&bytes);
    if rest.is_empty() {
        return Ok(first);
    }
    let mut joined = BytesMut::with_capacity(bytes.len());
    joined.extend_from_slice(&first);
    while !rest.is_empty() {
        joined.extend_from_slice(&rest);
        rest = pieces.next(&bytes);
    }
    Ok(joined.freeze())
}

/// Whole blocks that are fetched at once of what is read from its front to its back.
const STRETCH_BYTES: u64 = 64 * BLOCK_BYTES;

/// The same, read from its front to its back, so that it need not be in memory.
pub(super) struct Run<'a> {
    file: &'a dyn ReadAt,
    /// What is not fetched yet.
    left: Range<u64>,
    pieces: Pieces,
    /// Of the stretch that the pieces lie in.
    bytes: Bytes,
    /// What is ready to be read.
    ready: Bytes,
    /// What the file itself failed by: readers only say that it did.
    pub(super) failure: Option<Error>,
}

impl<'a> Run<'a> {
    /// # Errors
    /// `Corrupt` when the range is not in the file.
    pub(super) fn of(file: &'a dyn ReadAt, range: Range<u64>) -> Result<Self> {
        if range.end > file.n_bytes() || range.start > range.end {
            return Err(corrupt("the file ends within a chunk"));
        }
        let pieces = Pieces { range: range.start..range.start };
        Ok(Self { file, left: range, pieces, bytes: Bytes::new(), ready: Bytes::new(), failure: None })
    }

    fn fetch(&mut self) -> io::Result<()> {
        let start = self.left.start;
        let end = self.left.end.min((start / STRETCH_BYTES + 1) * STRETCH_BYTES);
        self.bytes = self.file.read_at(start..end).map_err(|err| {
            self.failure = Some(err);
            io::Error::other("the file cannot be read")
        })?;
        self.pieces = Pieces { range: start..end };
        self.left.start = end;
        Ok(())
    }
}

impl BufRead for Run<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.ready.is_empty() {
            if !self.pieces.range.is_empty() {
                self.ready = self.pieces.next(&self.bytes);
            } else if !self.left.is_empty() {
                self.fetch()?;
            } else {
                break;
            }
        }
        Ok(&self.ready)
    }

    fn consume(&mut self, n: usize) {
        self.ready.advance(n);
    }
}

impl Read for Run<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(room)?;
        self.consume(n);
        Ok(n)
    }
}

/// What lies between the headers of a range.
struct Pieces {
    /// What is left.
    range: Range<u64>,
}

impl Pieces {
    /// The next piece; empty at the end. `bytes` are those up to the end of the range.
    fn next(&mut self, bytes: &Bytes) -> Bytes {
        let Range { start, end } = self.range;
        let in_block = start % BLOCK_BYTES;
        let from = (start + HEADER_BYTES.saturating_sub(in_block)).min(end);
        let to = (start - in_block + BLOCK_BYTES).min(end);
        self.range.start = to;
        let at = |it: u64| bytes.len() - (end - it) as usize;
        bytes.slice(at(from)..at(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As files of the official writer have them.
    #[test]
    fn positions_are_those_of_the_official_writer() {
        for (start, n_bytes, end) in [
            (0, 40, 64),
            (64, 40 + 23, 127),
            (64, 40 + 200_030, 200_206),
            (200_270, 40 + 65_427, 265_761),
            (265_761, 40 + 65_563, 331_388),
            (4195, 40 + 61_301, 65_536),
            (65_536, 40 + 44, 65_644),
            (65_644, 40 + 65_388, 131_072),
        ] {
            assert_eq!(end_of(start, n_bytes), Some(end), "{start} {n_bytes}");
        }
        assert_eq!(end_of(64, u64::MAX), None);
        assert_eq!(
            [0, 1, 24, 25, 65_536, 65_540].map(|it| chunk_start(it).unwrap()),
            [0, 25, 25, 25, 65_536, 65_561]
        );
    }
}
