//! ArrayRecord files: Riegeli's chunks of records over blocks, and behind them a footer that says where the chunks are.
//!
//! The footer and what points at it are records to Riegeli, and none of the data. Only what TFDS writes is read: simple chunks, stored as they are
//! or by zstd.

mod blocks;
mod chunk;
mod footer;

#[cfg(test)]
mod tests;

use std::{ops::Range, path::Path};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, ReadAt, Result};

use self::chunk::{ChunkHead, ChunkKind};
use crate::{
    container::{Container, Frame, Frames, Place},
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
        let err = match foreign(file, Container::ArrayRecord)? {
            Some(err) => err,
            None => corrupt("the file does not begin as ArrayRecord files do"),
        };
        frames.damage.push(lost(err, all, "damaged_framing"));
        return Ok(frames);
    }
    let limits = Limits { record_bytes_max, verify_checksums };
    let place = match footer::place(file, limits) {
        Ok(place) => place,
        Err(err) if err.kind() == ErrorKind::Corrupt => {
            let end = walk_chunks(file, all.end, limits, &mut frames)?;
            frames.damage.push(lost(err, end..all.end, "truncated"));
            return Ok(frames);
        }
        Err(err) => return Err(err),
    };
    match footer::read(file, &place, limits) {
        Ok(chunks) => {
            let ends = chunks.iter().skip(1).map(|it| it.start).chain([place.start]);
            for (chunk, end) in chunks.iter().zip(ends) {
                add_chunk(&mut frames, limits, chunk.start..end, chunk.n_records, chunk.n_decoded);
            }
            return Ok(frames);
        }
        // One that tells of too many chunks is gone around, and nothing is lost by that.
        Err(err) if err.kind() == ErrorKind::Limit => {}
        Err(err) if err.kind() == ErrorKind::Corrupt => {
            frames.damage.push(lost(err, place.start..all.end, "truncated"));
        }
        Err(err) => return Err(err),
    }
    // Each chunk says of itself what it holds, and it is known where they end.
    let end = walk_chunks(file, place.start, limits, &mut frames)?;
    if end != place.start {
        let err = corrupt("the chunks of records do not go on to the footer");
        frames.damage.push(lost(err, end..place.start, "damaged_framing"));
    }
    Ok(frames)
}

/// What bounds and proves what is read.
#[derive(Debug, Clone, Copy)]
struct Limits {
    record_bytes_max: u64,
    verify_checksums: bool,
}

/// Goes from chunk to chunk, as far as their heads are sound and they are there, up to the footer, which lies no further than `until`.
/// Returns where the last one ends.
fn walk_chunks(file: &dyn ReadAt, until: u64, limits: Limits, frames: &mut Frames) -> Result<u64> {
    let mut start = SIGNATURE_BYTES;
    let mut n_chunks = 0;
    while start < until {
        let head = match ChunkHead::peek(file, start, limits.verify_checksums) {
            Ok(head) => head,
            Err(err) if err.kind() == ErrorKind::Corrupt => break,
            Err(err) => return Err(err),
        };
        let Some(end) = head.end(start).filter(|it| *it <= until) else { break };
        if head.kind.has_records() {
            if footer::is_footer(file, start..end, n_chunks, limits)? {
                break;
            }
            add_chunk(frames, limits, start..end, head.n_records, head.n_decoded);
            n_chunks += 1;
        }
        start = end;
    }
    Ok(start)
}

fn add_chunk(frames: &mut Frames, limits: Limits, byte_range: Range<u64>, n_records: u64, n_decoded: u64) {
    if let Some(err) = chunk::too_large(n_records, n_decoded, limits.record_bytes_max) {
        frames.damage.push(lost(err, byte_range, "too_large"));
        return;
    }
    frames.records.extend((0..n_records).map(|idx| Frame {
        byte_range: byte_range.clone(),
        n_bytes: n_decoded / n_records,
        place: Place::Chunk { idx, n_records },
    }));
}

/// The records of one chunk; of a `large` one, in a file in the folder that is told.
///
/// # Errors
/// `Io`; `Corrupt` when they are not there or are others; `Unsupported`; `Limit`.
pub(crate) fn chunk(
    file: &dyn ReadAt,
    byte_range: &Range<u64>,
    record_bytes_max: u64,
    verify_checksums: bool,
    large: Option<&Path>,
) -> Result<Vec<Bytes>> {
    let limits = Limits { record_bytes_max, verify_checksums };
    match large {
        None => chunk::read(file, byte_range, limits),
        Some(folder) => chunk::read_large(file, byte_range, limits, folder),
    }
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}
