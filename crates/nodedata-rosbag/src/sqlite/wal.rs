use std::collections::BTreeMap;

use nodedata_core::{ReadAt, Result};

use super::{
    header::{page_bytes_of, u32_at},
    overlay::Found,
};

/// The magic number without its last bit, which is the order of bytes in checksums.
const MAGIC: u32 = 0x377f_0682;
const HEADER_BYTES: u64 = 32;
const FRAME_HEAD_BYTES: u64 = 24;
/// Bytes of frames that are looked at at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// The running checksum of a write-ahead log.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Checksum {
    is_big_endian: bool,
    sums: [u32; 2],
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let [mut one, mut two] = self.sums;
        for pair in bytes.chunks_exact(8) {
            let word = |at: usize| {
                let bytes = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
            };
            one = one.wrapping_add(word(0)).wrapping_add(two);
            two = two.wrapping_add(word(4)).wrapping_add(one);
        }
        self.sums = [one, two];
    }

    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        self.sums == [u32_at(bytes, at), u32_at(bytes, at + 4)]
    }
}

/// Reads a write-ahead log as SQLite recovers it: frames whose salts and checksums hold, up to the last commit; of a page the last
/// image counts.
///
/// # Errors
/// `Io`.
pub(crate) fn read(file: &dyn ReadAt) -> Result<Found> {
    let n_bytes = file.n_bytes();
    if n_bytes < HEADER_BYTES {
        return Ok(Found::default());
    }
    let head = file.read_at(0..HEADER_BYTES)?;
    let nothing = |why: &str| {
        let message = format!("{why}, so SQLite reads none of it, and neither is it read here");
        Ok(Found { told: Some((0, message)), ..Found::default() })
    };
    if u32_at(&head, 0) & !1 != MAGIC {
        return nothing("the write-ahead log does not begin as one");
    }
    let mut checksum = Checksum { is_big_endian: u32_at(&head, 0) & 1 == 1, sums: [0, 0] };
    checksum.add(&head[..24]);
    if !checksum.is_at(&head, 24) {
        return nothing("the head of the write-ahead log does not have its checksum");
    }
    let Some(page_bytes) = page_bytes_of(u32_at(&head, 8)) else {
        return nothing("the write-ahead log names a size that pages cannot have");
    };
    let salts = &head[16..24];
    let frame_bytes = FRAME_HEAD_BYTES + u64::from(page_bytes);
    let per_piece = (PIECE_BYTES / frame_bytes).max(1);
    let n_frames = (n_bytes - HEADER_BYTES) / frame_bytes;
    let mut pages = BTreeMap::new();
    let mut n_pages = None;
    // Of the transaction that is not committed yet.
    let mut pending: Vec<(u32, u64)> = Vec::new();
    let mut piece = file.read_at(0..0)?;
    let mut frame = 0;
    while frame < n_frames {
        let start = HEADER_BYTES + frame * frame_bytes;
        let in_piece = frame % per_piece * frame_bytes;
        if in_piece == 0 {
            piece = file.read_at(start..start + frame_bytes * per_piece.min(n_frames - frame))?;
        }
        let bytes = &piece[in_piece as usize..(in_piece + frame_bytes) as usize];
        let (page, commit) = (u32_at(bytes, 0), u32_at(bytes, 4));
        if &bytes[8..16] != salts || page == 0 {
            break;
        }
        checksum.add(&bytes[..8]);
        checksum.add(&bytes[FRAME_HEAD_BYTES as usize..]);
        if !checksum.is_at(bytes, 16) {
            break;
        }
        pending.push((page, start + FRAME_HEAD_BYTES));
        if commit != 0 {
            pages.extend(pending.drain(..));
            n_pages = Some(commit);
        }
        frame += 1;
    }
    let told = uncommitted(file, salts, frame..n_frames, frame_bytes, pending.len())?;
    Ok(Found { pages: n_pages.map(|it| (pages, it)), page_bytes: Some(page_bytes), told })
}

/// What is told of frames that the recorder wrote last and never committed: that they do not count.
fn uncommitted(
    file: &dyn ReadAt,
    salts: &[u8],
    unsound: std::ops::Range<u64>,
    frame_bytes: u64,
    n_pending: usize,
) -> Result<Option<(u64, String)>> {
    let at = HEADER_BYTES + unsound.start * frame_bytes;
    let is_torn = if unsound.is_empty() {
        at != file.n_bytes()
    } else {
        // Frames of an earlier round have other salts and are nothing but free space.
        &file.peek_at(at..at + FRAME_HEAD_BYTES)?[8..16] == salts
    };
    if n_pending == 0 && !is_torn {
        return Ok(None);
    }
    let torn = if is_torn { ", and a torn one" } else { "" };
    let message = format!(
        "the write-ahead log ends in {n_pending} frames that were never committed{torn}: as in SQLite they do not count"
    );
    Ok(Some((at - n_pending as u64 * frame_bytes, message)))
}
