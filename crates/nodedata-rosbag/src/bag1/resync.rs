//! Finding the next record after damage. Bags have no sync marks, but every header has the field `op`, whose length and name are
//! always the same: where they stand, and a header that they fit into, a record starts.

use nodedata_core::{ErrorKind, Result};
use nodedata_log::FileView;

use super::{
    chunk::ChunkHead,
    file_record::FileRecord,
    index::IndexedChunk,
    record::{message_of, n_entries, op},
};

/// Length and name of the field that says what a record is.
const MARK: &[u8] = b"\x04\0\0\0op=";

/// Bytes of the field.
const FIELD_BYTES: u64 = MARK.len() as u64 + 1;

/// How far in front of the field its header may start, to be believed while searching.
const BEFORE_BYTES_MAX: u64 = 1024;

/// How long it may be.
const HEADER_BYTES_MAX: u64 = 4096;

/// Bytes searched at once.
const BLOCK_BYTES: u64 = 64 << 10;

/// The first place in `from..end` where a record starts, if any. `outside` believes what may lie in a chunk only where another
/// record follows it: bytes that a chunk could not compress look like the records they are.
pub(crate) fn find(view: &mut FileView, from: u64, end: u64, outside: bool) -> Result<Option<u64>> {
    let mut at = from;
    while at < end {
        let block = view.up_to(at, BLOCK_BYTES.min(end - at))?;
        for (idx, _) in block.windows(MARK.len()).enumerate().filter(|it| it.1 == MARK) {
            if let Some(start) = start_of(view, from, at + idx as u64, end)?
                && (!outside || is_outside(view, start, end)?)
            {
                return Ok(Some(start));
            }
        }
        let n_block = block.len() as u64;
        if at + n_block == end || n_block < MARK.len() as u64 {
            break;
        }
        at += n_block - (MARK.len() as u64 - 1);
    }
    Ok(None)
}

/// Where the record starts in whose header the field at `mark` is.
fn start_of(view: &mut FileView, from: u64, mark: u64, end: u64) -> Result<Option<u64>> {
    let first = mark.saturating_sub(BEFORE_BYTES_MAX).max(from);
    let before = view.up_to(first, mark - first)?;
    for (idx, length) in before.windows(4).enumerate().rev() {
        let start = first + idx as u64;
        let n_header = length.first_chunk().map_or(0, |it| u64::from(u32::from_le_bytes(*it)));
        if (mark + FIELD_BYTES - (start + 4)..=HEADER_BYTES_MAX).contains(&n_header)
            && is_record(view, start, end)?
        {
            return Ok(Some(start));
        }
    }
    Ok(None)
}

/// Whether the record at `at` lies in no chunk.
fn is_outside(view: &mut FileView, at: u64, end: u64) -> Result<bool> {
    let record = FileRecord::read(view, at, end)?;
    if !matches!(record.op, op::MESSAGE | op::CONNECTION) {
        return Ok(true);
    }
    Ok(record.data.end == end || is_record(view, record.data.end, end)?)
}

/// Whether a record starts at `at`: a header that holds together, with the fields of its kind, and data that ends inside the file.
pub(crate) fn is_record(view: &mut FileView, at: u64, end: u64) -> Result<bool> {
    let record = match FileRecord::read(view, at, end) {
        Ok(record) => record,
        Err(err) if err.kind() == ErrorKind::Io => return Err(err),
        Err(_) => return Ok(false),
    };
    let header = record.header();
    let ends_inside = record.data.end <= end;
    Ok(match header.op {
        op::MESSAGE => ends_inside && message_of(&header).is_ok(),
        op::INDEX => ends_inside && n_entries(&header, record.n_data()).is_ok(),
        // The end of the file may cut it off.
        op::CHUNK => ChunkHead::parse(&header).is_ok(),
        op::CHUNK_INFO => ends_inside && IndexedChunk::parse_head(&header, record.n_data()).is_ok(),
        op::CONNECTION => ends_inside && header.u32("conn").is_ok() && header.text("topic").is_ok(),
        op::BAG => ends_inside && header.u64("index_pos").is_ok(),
        _ => false,
    })
}
