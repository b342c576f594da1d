//! What lies behind the records: a chunk that says where the others are, and in the last block a record that says where that is.

use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{ErrorKind, ReadAt, Result};

use super::{
    Limits, SIGNATURE_BYTES,
    blocks::BLOCK_BYTES,
    chunk::{self, ChunkHead, varint},
    corrupt,
};

/// What the last block's record holds beside the place of the footer.
const MAGIC: u64 = 0x7193_0e70_4fda_e05e;

/// A chunk as the footer knows it.
#[derive(Debug)]
pub(super) struct ChunkPlace {
    pub(super) start: u64,
    pub(super) n_decoded: u64,
    pub(super) n_records: u64,
}

/// Bytes of a footer, decompressed: they follow from how many chunks there are, and are of no record.
const FOOTER_BYTES_MAX: u64 = 64 << 20;

impl Limits {
    /// Those of what tells of records.
    fn of_footer(self) -> Self {
        Self { record_bytes_max: FOOTER_BYTES_MAX, ..self }
    }
}

/// Where the footer lies: from there to the last block.
///
/// # Errors
/// `Io`; `Corrupt` when there is none.
pub(super) fn place(file: &dyn ReadAt, limits: Limits) -> Result<Range<u64>> {
    let n_bytes = file.n_bytes();
    let missing = || corrupt("the file ends before its footer");
    let last_block = n_bytes.checked_sub(BLOCK_BYTES).filter(|it| it.is_multiple_of(BLOCK_BYTES));
    let last_block = last_block.ok_or_else(missing)?;
    let postscript =
        records_at(file, last_block, n_bytes, limits).map_err(|err| missing_if_untrue(err, missing))?;
    let [start, magic] = numbers(postscript.first().cloned().unwrap_or_default())?;
    if magic != MAGIC || start < SIGNATURE_BYTES || start >= last_block {
        return Err(missing());
    }
    Ok(start..last_block)
}

/// The chunks that the footer at its place tells of; the last of them ends there.
///
/// # Errors
/// `Io`; `Corrupt` when it cannot be true; `Limit` when it tells of more chunks than are listed; `Unsupported`.
pub(super) fn read(file: &dyn ReadAt, place: &Range<u64>, limits: Limits) -> Result<Vec<ChunkPlace>> {
    let told = records_at(file, place.start, place.end, limits)?;
    parse(place.start, &told)
}

/// What says of itself that it has more than a footer's place takes is none either.
fn missing_if_untrue(
    err: nodedata_core::Error,
    missing: impl Fn() -> nodedata_core::Error,
) -> nodedata_core::Error {
    match err.kind() {
        ErrorKind::Corrupt | ErrorKind::Limit => missing().with_source(err),
        _ => err,
    }
}

/// The records of the chunk that begins at `start`, which must end by `end`.
fn records_at(file: &dyn ReadAt, start: u64, end: u64, limits: Limits) -> Result<Vec<Bytes>> {
    let head = ChunkHead::peek(file, start, limits.verify_checksums)?;
    let chunk_end = head.end(start).filter(|it| *it <= end);
    let chunk_end = chunk_end.ok_or_else(|| corrupt("a chunk goes beyond where it can end"))?;
    chunk::read(file, &(start..chunk_end), limits.of_footer())
}

/// First what all chunks have together, then each of them.
fn parse(start: u64, told: &[Bytes]) -> Result<Vec<ChunkPlace>> {
    let Some(([n_chunks, n_records], each)) = told.split_first().and_then(|it| Some((totals(it.0)?, it.1)))
    else {
        return Err(corrupt("the footer does not say how many records there are"));
    };
    let mut chunks = Vec::with_capacity(each.len());
    let mut n_found = 0u64;
    let mut place_min = SIGNATURE_BYTES;
    for chunk in each {
        let [at, n_decoded, n_records] = numbers(chunk.clone())?;
        if at < place_min || at >= start {
            return Err(corrupt(format!("the footer tells of a chunk at byte {at}, where none can be")));
        }
        place_min = at + 1;
        n_found = n_found.saturating_add(n_records);
        chunks.push(ChunkPlace { start: at, n_decoded, n_records });
    }
    // As no two records have one address.
    let ends = chunks.iter().skip(1).map(|it: &ChunkPlace| it.start).chain([start]);
    if let Some((chunk, _)) = chunks.iter().zip(ends).find(|(chunk, end)| chunk.n_records > end - chunk.start)
    {
        let message =
            format!("the footer tells of {} records at byte {}, too many", chunk.n_records, chunk.start);
        return Err(corrupt(message));
    }
    if (chunks.len() as u64, n_found) != (n_chunks, n_records) {
        return Err(corrupt(format!(
            "the footer tells of {n_found} records in {} chunks, and that there are {n_records} in {n_chunks}",
            chunks.len()
        )));
    }
    Ok(chunks)
}

/// Whether the chunk of a range is the footer of so many chunks before it, in a file whose end is lost.
pub(super) fn is_footer(file: &dyn ReadAt, range: Range<u64>, n_chunks: u64, limits: Limits) -> Result<bool> {
    let head = ChunkHead::peek(file, range.start, limits.verify_checksums)?;
    // One record a chunk and one for all of them: so most chunks of data are not read here.
    if head.n_records != n_chunks + 1 || head.n_decoded > FOOTER_BYTES_MAX {
        return Ok(false);
    }
    match chunk::read(file, &range, limits.of_footer()) {
        Ok(told) => Ok(told.first().and_then(totals).is_some_and(|it| it[0] == n_chunks)),
        Err(err) if err.kind() == ErrorKind::Io => Err(err),
        // Of so many records as there are chunks and one more: no chunk of data has so many.
        Err(err) if err.kind() == ErrorKind::Limit => Ok(true),
        Err(_damaged) => Ok(false),
    }
}

/// How many chunks and records there are, in the first record of a footer.
fn totals(record: &Bytes) -> Option<[u64; 2]> {
    let mut rest = record.clone();
    // Field 1 is a message, whose fields 2 and 3 these are.
    (varint(&mut rest).ok()? == (1 << 3 | 2)).then_some(())?;
    let n = usize::try_from(varint(&mut rest).ok()?).ok()?;
    (n <= rest.len()).then_some(())?;
    let [version, n_chunks, n_records] = numbers(rest.slice(..n)).ok()?;
    // A record of data may be a message of messages as well.
    (version > 0).then_some([n_chunks, n_records])
}

/// The numbers of fields 1 to N of a message; 0 for one that is not there. Fields of bytes are passed over.
fn numbers<const N: usize>(mut message: Bytes) -> Result<[u64; N]> {
    let mut found = [0; N];
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => {
                let value = varint(&mut message)?;
                let at = usize::try_from(tag >> 3).ok().and_then(|it| it.checked_sub(1));
                if let Some(slot) = at.and_then(|it| found.get_mut(it)) {
                    *slot = value;
                }
            }
            2 => {
                let n = usize::try_from(varint(&mut message)?).ok().filter(|it| *it <= message.len());
                let n = n.ok_or_else(|| corrupt("a text goes beyond the footer"))?;
                message = message.slice(n..);
            }
            _ => return Err(corrupt("the footer has a field that none has")),
        }
    }
    Ok(found)
}
