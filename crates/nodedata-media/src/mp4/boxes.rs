use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};

use super::Mp4Limits;

/// Boxes directly inside one: a list of more would take more memory than the box.
const CHILDREN_MAX: usize = 1 << 16;

/// A box's four-letter type.
pub(super) type FourCc = [u8; 4];

/// What stands at the top of a file.
pub(super) struct TopLevel {
    /// Payload of `moov`, with its place in the file.
    pub(super) moov: Payload,
    /// Where the `moof` boxes lie, header included.
    pub(super) moofs: Vec<Range<u64>>,
}

/// The inside of a box.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    pub(super) bytes: Bytes,
    /// Of the first byte of `bytes` in the file.
    pub(super) offset: u64,
}

/// A box whose header has been read: its type, and its payload as a range of the file.
struct Header {
    kind: FourCc,
    payload: Range<u64>,
}

/// Walks the boxes of the file by their headers and reads `moov`.
pub(super) fn top_level(file: &dyn ReadAt, limits: &Mp4Limits) -> Result<TopLevel> {
    let n_bytes = file.n_bytes();
    if n_bytes == 0 {
        return Err(Error::new(ErrorKind::Corrupt, "the video file is empty")
            .at(Locus::byte(0))
            .with_hint("record or copy the video again; its encoder was stopped before it wrote anything"));
    }
    let (mut moov, mut moofs, mut at, mut first) = (None, Vec::new(), 0, true);
    let mut cut_at = n_bytes;
    while at < n_bytes {
        let header = match read_header(file, at) {
            Ok(header) => header,
            // What follows a readable `moov` may be padding; what is missing shows in the samples.
            Err(_) if moov.is_some() => break,
            Err(err) => return Err(err),
        };
        let in_file = header.payload.end <= n_bytes;
        match &header.kind {
            b"moov" if in_file && moov.is_none() => {
                let size = header.payload.end - header.payload.start;
                if size > limits.moov_bytes_max {
                    let message =
                        format!("the `moov` box has {size} bytes, more than {}", limits.moov_bytes_max);
                    return Err(Error::new(ErrorKind::Limit, message).at(Locus::byte(at)));
                }
                let bytes = file.read_at(header.payload.clone())?;
                moov = Some(Payload { bytes, offset: header.payload.start });
            }
            b"moof" if in_file && moofs.len() >= limits.samples_max as usize => {
                let message = format!("the video has more than {} fragments", limits.samples_max);
                return Err(Error::new(ErrorKind::Limit, message).at(Locus::byte(at)));
            }
            b"moof" if in_file => moofs.push(at..header.payload.end),
            kind if first && !is_first_box(kind) => {
                let message = "this is no mp4 file: it does not start with an `ftyp` box";
                return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::byte(at)));
            }
            _ => {}
        }
        first = false;
        if !in_file {
            cut_at = at;
        }
        // A box of no size would make the walk endless; `read_header` does not return one.
        at = header.payload.end;
    }
    match moov {
        Some(moov) => Ok(TopLevel { moov, moofs }),
        None => Err(Error::new(
            ErrorKind::Corrupt,
            "the video has no complete `moov` box, which lists its samples",
        )
        .at(Locus::byte(cut_at))
        .with_hint("the recording was cut off before it was finished; copy the file again from its source")),
    }
}

fn is_first_box(kind: &FourCc) -> bool {
    matches!(kind, b"ftyp" | b"styp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot" | b"uuid")
}

fn read_header(file: &dyn ReadAt, at: u64) -> Result<Header> {
    let n_bytes = file.n_bytes();
    let head = file.read_at(at..n_bytes.min(at.saturating_add(16)))?;
    let cut =
        || Error::new(ErrorKind::Corrupt, "the header of a box is cut off or damaged").at(Locus::byte(at));
    let (kind, header_bytes, size) = split_header(&head).ok_or_else(cut)?;
    // Size 0 means: up to the end of the file.
    let end = if size == 0 { n_bytes } else { at.checked_add(size).ok_or_else(cut)? };
    Ok(Header { kind, payload: at + header_bytes..end })
}

/// Type, length of the header, and size of the box with its header (0: to the end).
fn split_header(head: &[u8]) -> Option<(FourCc, u64, u64)> {
    let short = u32::from_be_bytes(*head.first_chunk()?);
    let kind: FourCc = head.get(4..8)?.try_into().ok()?;
    let (header_bytes, size) = match short {
        1 => (16, u64::from_be_bytes(head.get(8..16)?.try_into().ok()?)),
        _ => (8, u64::from(short)),
    };
    (size == 0 || size >= header_bytes).then_some((kind, header_bytes, size))
}

impl Payload {
    /// The boxes inside, in order.
    ///
    /// # Errors
    /// `Corrupt` when one of them does not fit.
    pub(super) fn boxes(&self) -> Result<Vec<(FourCc, Self)>> {
        let mut found = Vec::new();
        let mut at = 0;
        let too_many = || {
            let message = format!("a box holds more than {CHILDREN_MAX} boxes");
            Error::new(ErrorKind::Limit, message).at(Locus::byte(self.offset))
        };
        // Less than a header at the end is the padding that QuickTime leaves.
        while self.bytes.len() - at >= 8 {
            let rest = &self.bytes[at..];
            let misfit = || self.corrupt(at, "a box is larger than the box around it");
            let (kind, header_bytes, size) = split_header(rest).ok_or_else(misfit)?;
            let size = if size == 0 { rest.len() } else { usize::try_from(size).map_err(|_| misfit())? };
            if size > rest.len() {
                return Err(misfit());
            }
            if found.len() == CHILDREN_MAX {
                return Err(too_many());
            }
            let payload = at + header_bytes as usize..at + size;
            let offset = self.offset + payload.start as u64;
            found.push((kind, Self { bytes: self.bytes.slice(payload), offset }));
            at += size;
        }
        Ok(found)
    }

    /// The first box of type `kind` inside, if there is one.
    pub(super) fn find(&self, kind: &FourCc) -> Result<Option<Self>> {
        Ok(self.boxes()?.into_iter().find(|(it, _)| it == kind).map(|(_, payload)| payload))
    }

    /// The first box of type `kind` inside.
    pub(super) fn need(&self, kind: &FourCc) -> Result<Self> {
        self.find(kind)?.ok_or_else(|| {
            let name = kind.escape_ascii();
            self.corrupt(0, format!("a `{name}` box is missing"))
        })
    }

    /// A cursor over the fields of the box.
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields { payload: self, at: 0 }
    }

    /// An error at byte `at` of this payload.
    pub(super) fn corrupt(&self, at: usize, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, message).at(Locus::byte(self.offset + at as u64))
    }
}

/// Reads big-endian fields one after the other.
pub(super) struct Fields<'a> {
    payload: &'a Payload,
    at: usize,
}

impl Fields<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let found = self.payload.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let value = *found.ok_or_else(|| self.payload.corrupt(self.at, "a box ends before its fields do"))?;
        self.at += N;
        Ok(value)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn skip(&mut self, n_bytes: usize) -> Result<()> {
        let end = self.at.checked_add(n_bytes).filter(|end| *end <= self.payload.bytes.len());
        self.at = end.ok_or_else(|| self.payload.corrupt(self.at, "a box ends before its fields do"))?;
        Ok(())
    }

    /// Version and flags, which most boxes start with.
    pub(super) fn version_and_flags(&mut self) -> Result<(u8, u32)> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0x00ff_ffff))
    }

    /// A count of entries of `entry_bytes` each, checked against what is left of the box.
    pub(super) fn count(&mut self, entry_bytes: usize) -> Result<usize> {
        let at = self.at;
        let count = self.u32()? as usize;
        let left = self.payload.bytes.len() - self.at;
        if count.checked_mul(entry_bytes).is_none_or(|needed| needed > left) {
            let message = format!("a table claims {count} entries, but the box has only {left} bytes left");
            return Err(self.payload.corrupt(at, message));
        }
        Ok(count)
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> Payload {
        Payload { bytes: self.payload.bytes.slice(self.at..), offset: self.payload.offset + self.at as u64 }
    }
}
