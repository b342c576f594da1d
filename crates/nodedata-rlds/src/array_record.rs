//! ArrayRecord files: Riegeli's chunks of records over blocks, and behind them a footer that says where the chunks are.
//!
//! The footer and what points at it are records to Riegeli, and none of the data. Only what TFDS writes is read: simple chunks, stored as they are
//! or by zstd.

mod blocks;
mod chunk;
mod footer;

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, ReadAt, Result};

use self::chunk::{ChunkHead, ChunkKind};
use crate::{
    container::{Frame, Frames, Place},
    foreign::foreign,
    tfrecord::lost,
};

/// Where the first chunk of records may begin: the chunk before it says that this is Riegeli.
const SIGNATURE_BYTES: u64 = 64;

/// Finds the chunks of a file by its footer, and where that is lost by walking from one to the next. A chunk that has more than `record_bytes_max`
/// bytes is stepped over.
///
/// # Errors
/// `Io`; `Unsupported` when the records are written in a way that is not read.
pub(crate) fn walk(file: &dyn ReadAt, record_bytes_max: u64, verify_checksums: bool) -> Result<Frames> {
    let mut frames = Frames::default();
    let all = 0..file.n_bytes();
    let is_signed = match ChunkHead::peek(file, 0, verify_checksums) {
        Ok(head) => head.kind == ChunkKind::Signature,
        Err(err) if err.kind() == ErrorKind::Corrupt => false,
        Err(err) => return Err(err),
    };
    if !is_signed {
        let err = match foreign(file)? {
            Some(err) => err,
            None => corrupt("the file does not begin as ArrayRecord files do"),
        };
        frames.damage.push(lost(err, all, "damaged_framing"));
        return Ok(frames);
    }
    let limits = Limits { record_bytes_max, verify_checksums };
    match footer::read(file, limits) {
        Ok(footer) => {
            let ends = footer.chunks.iter().skip(1).map(|it| it.start).chain([footer.start]);
            for (chunk, end) in footer.chunks.iter().zip(ends) {
                add_chunk(&mut frames, limits, chunk.start..end, chunk.n_records, chunk.n_decoded);
            }
            Ok(frames)
        }
        Err(err) if err.kind() == ErrorKind::Corrupt => {
            walk_chunks(file, limits, &mut frames)?;
            let end = frames.records.last().map_or(SIGNATURE_BYTES, |it| it.byte_range.end);
            frames.damage.push(lost(err, end..all.end, "truncated"));
            Ok(frames)
        }
        Err(err) => Err(err),
    }
}

/// What bounds and proves what is read.
#[derive(Debug, Clone, Copy)]
struct Limits {
    record_bytes_max: u64,
    verify_checksums: bool,
}

/// Goes from chunk to chunk, as far as their heads are sound and they are there, up to the footer.
fn walk_chunks(file: &dyn ReadAt, limits: Limits, frames: &mut Frames) -> Result<()> {
    let mut start = SIGNATURE_BYTES;
    let mut n_chunks = 0;
    while start < file.n_bytes() {
        let head = match ChunkHead::peek(file, start, limits.verify_checksums) {
            Ok(head) => head,
            Err(err) if err.kind() == ErrorKind::Corrupt => break,
            Err(err) => return Err(err),
        };
        let Some(end) = head.end(start).filter(|it| *it <= file.n_bytes()) else { break };
        if head.kind.has_records() {
            if footer::is_footer(file, start..end, n_chunks, limits)? {
                break;
            }
            add_chunk(frames, limits, start..end, head.n_records, head.n_decoded);
            n_chunks += 1;
        }
        start = end;
    }
    Ok(())
}

fn add_chunk(frames: &mut Frames, limits: Limits, byte_range: Range<u64>, n_records: u64, n_decoded: u64) {
    let max = limits.record_bytes_max;
    if n_decoded > max {
        let message = format!(
            "a chunk of {n_records} records has {n_decoded} bytes, but at most {max} are read at once"
        );
        frames.damage.push(lost(Error::new(ErrorKind::Limit, message), byte_range, "too_large"));
        return;
    }
    frames.records.extend((0..n_records).map(|idx| Frame {
        byte_range: byte_range.clone(),
        n_bytes: n_decoded / n_records,
        place: Place::Chunk { idx, n_records },
    }));
}

/// The records of one chunk.
///
/// # Errors
/// `Io`; `Corrupt` when they are not there or are others; `Unsupported`; `Limit`.
pub(crate) fn chunk(
    file: &dyn ReadAt,
    byte_range: &Range<u64>,
    record_bytes_max: u64,
    verify_checksums: bool,
) -> Result<Vec<Bytes>> {
    chunk::read(file, byte_range, Limits { record_bytes_max, verify_checksums })
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}
