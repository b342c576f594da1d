//! Finding the next record after damage: MCAP has no sync marks, so a place counts as a record when its
//! length fits its content and another record follows.

use std::ops::Range;

use nodedata_core::Result;
use nodedata_log::FileView;

use crate::records::{ChunkHead, FOOTER_BYTES, MAGIC, MESSAGE_HEAD_BYTES, RECORD_HEAD_BYTES, RecordHead, op};

/// Records that must follow one another before a place is believed.
const N_CHAINED: usize = 3;

/// Bytes looked at per record: enough for every field in front of the variable part.
const LOOK_BYTES: u64 = 64;

/// Longest topic, name or encoding that is believed while searching, in bytes.
const TEXT_BYTES_MAX: u32 = 4096;

/// The first place in `from..end` where records go on, if any. `outside` accepts only what never lies in
/// a chunk: bytes that a chunk could not compress look like the records they are.
pub(crate) fn find(view: &mut FileView, from: u64, end: u64, outside: bool) -> Result<Option<u64>> {
    let mut block = from..from;
    let mut bytes = bytes::Bytes::new();
    for at in from..end {
        if block.end <= at {
            bytes = view.up_to(at, (64 << 10).min(end - at))?;
            block = at..at + bytes.len() as u64;
        }
        let opcode = bytes[(at - block.start) as usize];
        let starts = match opcode {
            op::SCHEMA | op::CHANNEL | op::MESSAGE => !outside,
            other => matches!(other, 0x01..=0x0f),
        };
        if starts && is_chain(view, at, end)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Whether what starts at `at` looks like a record. Cheaper than [`find`]: nothing need follow.
pub(crate) fn is_record(view: &mut FileView, at: u64, end: u64) -> Result<bool> {
    Ok(record_end(view, at, end, true)?.is_some())
}

fn is_chain(view: &mut FileView, start: u64, end: u64) -> Result<bool> {
    let mut at = start;
    for n_seen in 0..N_CHAINED {
        // Private records may lie anywhere but would match nearly any bytes, so they do not start a chain.
        let Some(next) = record_end(view, at, end, n_seen != 0)? else { return Ok(false) };
        if next == end {
            return Ok(true);
        }
        at = next;
    }
    Ok(true)
}

/// Where the record at `at` ends, when it looks like one.
fn record_end(view: &mut FileView, at: u64, end: u64, private: bool) -> Result<Option<u64>> {
    let bytes = view.up_to(at, LOOK_BYTES.min(end - at))?;
    if at != 0 && bytes.starts_with(&MAGIC) && at + MAGIC.len() as u64 == end {
        return Ok(Some(end));
    }
    let Some(head) = RecordHead::parse(&bytes) else { return Ok(None) };
    let content = at + RECORD_HEAD_BYTES;
    let Some(next) = content.checked_add(head.n_bytes).filter(|it| *it <= end) else { return Ok(None) };
    let front = &bytes[RECORD_HEAD_BYTES as usize..];
    let fits = match head.opcode {
        op::HEADER => texts_fit(view, content..next, 0, 2)?,
        op::FOOTER => head.n_bytes == FOOTER_BYTES - RECORD_HEAD_BYTES,
        op::SCHEMA => front.first_chunk() != Some(&[0, 0]) && texts_fit(view, content..next, 2, 2)?,
        op::CHANNEL => texts_fit(view, content..next, 4, 2)?,
        op::MESSAGE => MESSAGE_HEAD_BYTES as u64 <= head.n_bytes,
        op::CHUNK => chunk_fits(head.n_bytes, front),
        op::MESSAGE_INDEX => index_fits(head.n_bytes, front),
        op::CHUNK_INDEX => 64 <= head.n_bytes && head.n_bytes < 1 << 24,
        op::ATTACHMENT => texts_fit(view, content..next, 16, 2)?,
        0x0a => texts_fit(view, content..next, 40, 2)?,
        op::STATISTICS => 46 <= head.n_bytes && head.n_bytes < 1 << 24,
        op::METADATA => texts_fit(view, content..next, 0, 1)?,
        0x0d => texts_fit(view, content..next, 16, 1)?,
        0x0e => (17..64).contains(&head.n_bytes),
        op::DATA_END => head.n_bytes == 4,
        0x00 => false,
        _ => private,
    };
    Ok(fits.then_some(next))
}

/// Whether `n_texts` short texts and, except at the end of the record, a length that fits follow each
/// other from `offset` on in the record's `content`.
fn texts_fit(view: &mut FileView, content: Range<u64>, offset: u64, n_texts: usize) -> Result<bool> {
    let mut at = content.start + offset;
    for _ in 0..n_texts {
        if content.end < at + 4 {
            return Ok(false);
        }
        let bytes = view.up_to(at, (u64::from(TEXT_BYTES_MAX) + 4).min(content.end - at))?;
        let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(false) };
        let n_bytes = u32::from_le_bytes(*length);
        if TEXT_BYTES_MAX < n_bytes {
            return Ok(false);
        }
        let Some(text) = rest.get(..n_bytes as usize) else { return Ok(false) };
        if text.iter().any(|it| *it < 0x20 && !matches!(it, b'\t' | b'\n' | b'\r')) {
            return Ok(false);
        }
        at += 4 + u64::from(n_bytes);
    }
    Ok(true)
}

fn chunk_fits(n_bytes: u64, front: &[u8]) -> bool {
    let Some((fixed, rest)) = front.split_first_chunk::<{ ChunkHead::FIXED_BYTES }>() else { return false };
    let n_compression = u32::from_le_bytes([fixed[28], fixed[29], fixed[30], fixed[31]]);
    if 16 < n_compression {
        return false;
    }
    let Some(stored) = rest.get(n_compression as usize..).and_then(|it| it.first_chunk()) else {
        return false;
    };
    let n_head = ChunkHead::FIXED_BYTES as u64 + u64::from(n_compression) + 8;
    // Later versions may append fields, but not many.
    let n_extra = n_bytes.checked_sub(n_head).and_then(|it| it.checked_sub(u64::from_le_bytes(*stored)));
    n_extra.is_some_and(|it| it < 64)
}

fn index_fits(n_bytes: u64, front: &[u8]) -> bool {
    let Some(length) = front.get(2..).and_then(|it| it.first_chunk()) else { return false };
    let n_entries = u64::from(u32::from_le_bytes(*length));
    n_entries.is_multiple_of(16) && n_bytes.checked_sub(6 + n_entries).is_some_and(|it| it < 64)
}
