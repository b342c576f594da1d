use nodedata_core::{Error, Result};
use nodedata_log::corrupt;

use crate::records::{RECORD_HEAD_BYTES, RecordHead};

/// The records inside a decoded chunk.
pub(crate) struct ChunkWalk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> ChunkWalk<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset in the chunk, opcode and content of the next record.
    pub(crate) fn next_record(&mut self) -> Result<Option<(usize, u8, &'a [u8])>> {
        let place = self.at;
        Ok(next_record(self.bytes, &mut self.at)?.map(|(opcode, content)| (place, opcode, content)))
    }
}

/// Takes the record at `at` and moves past it; `None` at the end.
///
/// # Errors
/// `Corrupt` when the bytes end inside it; `at` then stays.
#[inline]
pub(crate) fn next_record<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<(u8, &'a [u8])>> {
    let rest = &bytes[*at..];
    if rest.is_empty() {
        return Ok(None);
    }
    let content = RecordHead::parse(rest).and_then(|head| {
        let end = (RECORD_HEAD_BYTES as usize).checked_add(usize::try_from(head.n_bytes).ok()?)?;
        Some((head.opcode, rest.get(RECORD_HEAD_BYTES as usize..end)?, end))
    });
    match content {
        Some((opcode, content, end)) if opcode != 0 => {
            *at += end;
            Ok(Some((opcode, content)))
        }
        _ => Err(corrupt(format!("no sound record at byte {at} of the {} of the chunk", bytes.len()))),
    }
}

pub(crate) fn short_message(place: usize, n_bytes: usize) -> Error {
    corrupt(format!("message record at byte {place} of the chunk has {n_bytes} bytes, but the least is 22"))
}

pub(crate) fn nested_chunk(place: usize) -> Error {
    corrupt(format!("a chunk lies inside the chunk, at its byte {place}, but chunks do not nest"))
}
