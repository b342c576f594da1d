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
/// image counts. Where commits lie behind a frame that does not hold, what they wrote is lost: to SQLite as well, which does not
/// say so.
///
/// # Errors
/// `Io`.
pub(crate) fn read(file: &dyn ReadAt) -> Result<Found> {
    let n_bytes = file.n_bytes();
    if n_bytes < HEADER_BYTES {
        return Ok(Found::default());
    }
    let head = file.read_at(0..HEADER_BYTES)?;
    let unusable = |why: &str| {
        let message = format!("{why}, so SQLite reads none of it, and neither is it read here");
        match holds_frames(file) {
            // Whose frames count, nothing tells.
            Ok(true) => Ok(Found { lost: Some((0, message)), ..Found::default() }),
            Ok(false) => Ok(Found { told: Some((0, message)), ..Found::default() }),
            Err(err) => Err(err),
        }
    };
    if u32_at(&head, 0) & !1 != MAGIC {
        return unusable("the write-ahead log does not begin as one");
    }
    let mut checksum = Checksum { is_big_endian: u32_at(&head, 0) & 1 == 1, sums: [0, 0] };
    checksum.add(&head[..24]);
    if !checksum.is_at(&head, 24) {
        return unusable("the head of the write-ahead log does not have its checksum");
    }
    let Some(page_bytes) = page_bytes_of(u32_at(&head, 8)) else {
        return unusable("the write-ahead log names a size that pages cannot have");
    };
    let frame_bytes = FRAME_HEAD_BYTES + u64::from(page_bytes);
    let log =
        Log { file, salts: &head[16..24], frame_bytes, n_frames: (n_bytes - HEADER_BYTES) / frame_bytes };
    let per_piece = log.per_piece();
    let mut pages = BTreeMap::new();
    let mut n_pages = None;
    // Of the transaction that is not committed yet.
    let mut pending: Vec<(u32, u64)> = Vec::new();
    let mut piece = file.read_at(0..0)?;
    let mut frame = 0;
    while frame < log.n_frames {
        let start = log.offset(frame);
        let in_piece = frame % per_piece * frame_bytes;
        if in_piece == 0 {
            piece = file.read_at(start..start + frame_bytes * per_piece.min(log.n_frames - frame))?;
        }
        let bytes = &piece[in_piece as usize..(in_piece + frame_bytes) as usize];
        let (page, commit) = (u32_at(bytes, 0), u32_at(bytes, 4));
        if !log.is_own(bytes) || page == 0 {
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
    let n_lost = log.n_commits(frame)?;
    let (told, lost) = match n_lost {
        0 => (log.uncommitted(frame, pending.len())?, None),
        n => (None, Some((log.offset(frame), broken(frame, n)))),
    };
    Ok(Found { pages: n_pages.map(|it| (pages, it)), page_bytes: Some(page_bytes), told, lost })
}

/// Whether there is more in a log than zeros, which is what a disk makes of one that was never written out.
fn holds_frames(file: &dyn ReadAt) -> Result<bool> {
    let mut at = HEADER_BYTES;
    while at < file.n_bytes() {
        let end = (at + PIECE_BYTES).min(file.n_bytes());
        if file.peek_at(at..end)?.iter().any(|it| *it != 0) {
            return Ok(true);
        }
        at = end;
    }
    Ok(false)
}

fn broken(frame: u64, n_commits: u64) -> String {
    let what = if n_commits == 1 { "a transaction".to_owned() } else { format!("{n_commits} transactions") };
    format!(
        "frame {frame} of the write-ahead log is damaged, so that {what} committed there or behind it cannot be read: SQLite leaves \
         these out as well, and does not say so"
    )
}

/// The frames of a log.
struct Log<'a> {
    file: &'a dyn ReadAt,
    salts: &'a [u8],
    frame_bytes: u64,
    n_frames: u64,
}

impl Log<'_> {
    fn offset(&self, frame: u64) -> u64 {
        HEADER_BYTES + frame * self.frame_bytes
    }

    /// Whether a frame was written since the log began. Those of an earlier round have other salts and are nothing but free space.
    fn is_own(&self, frame: &[u8]) -> bool {
        &frame[8..16] == self.salts
    }

    /// The same, where the frame may be damaged: no earlier round had either of the two salts.
    fn was_own(&self, frame: &[u8]) -> bool {
        frame[8..12] == self.salts[..4] || frame[12..16] == self.salts[4..8]
    }

    /// Frames that are read at a time.
    fn per_piece(&self) -> u64 {
        (PIECE_BYTES / self.frame_bytes).max(1)
    }

    /// Frames from one on that say that they commit a transaction, where that one is broken. In a sound log there are none: whoever
    /// goes on with it writes behind its last commit.
    fn n_commits(&self, from: u64) -> Result<u64> {
        let mut n = 0;
        let mut start = from;
        while start < self.n_frames {
            let end = (start + self.per_piece()).min(self.n_frames);
            let piece = self.file.read_at(self.offset(start)..self.offset(end))?;
            let commits = |it: &&[u8]| self.was_own(it) && u32_at(it, 0) != 0 && u32_at(it, 4) != 0;
            n += piece.chunks_exact(self.frame_bytes as usize).filter(commits).count() as u64;
            start = end;
        }
        Ok(n)
    }

    /// What is told of frames that the recorder wrote last and never committed: that they do not count.
    fn uncommitted(&self, unsound: u64, n_pending: usize) -> Result<Option<(u64, String)>> {
        let at = self.offset(unsound);
        let is_torn = if unsound == self.n_frames {
            at != self.file.n_bytes()
        } else {
            self.was_own(&self.file.peek_at(at..at + FRAME_HEAD_BYTES)?)
        };
        if n_pending == 0 && !is_torn {
            return Ok(None);
        }
        let torn = if is_torn { ", and a torn one" } else { "" };
        let message = format!(
            "the write-ahead log ends in {n_pending} frames that were never committed{torn}: as in SQLite they do not count"
        );
        Ok(Some((at - n_pending as u64 * self.frame_bytes, message)))
    }
}
