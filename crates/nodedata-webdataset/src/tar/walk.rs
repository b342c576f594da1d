use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{ErrorKind, ReadAt, Result};

use super::{
    header::{BLOCK_BYTES, Block, Header, Kind},
    records::Records,
};

/// Bytes that an extended header may have.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;
/// Contents of so many bytes or more are alone in what a far file fetches around their header.
pub(crate) const PEEKED_BYTES: u64 = 256 << 10;

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: Vec<u8>,
    /// Where it begins, with all that is said of it.
    pub(crate) start: u64,
    /// Its contents, which lie in the file.
    pub(crate) data: Range<u64>,
    pub(crate) kind: MemberKind,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberKind {
    File,
    /// A file of which the holes are left out.
    SparseFile,
    Directory,
    /// A link, a device, or what only its writer knows.
    Other,
}

/// What ended an archive other than its mark.
#[derive(Debug)]
pub(crate) enum End {
    /// The file ends where a member might begin.
    Unmarked,
    /// What stands at a place is no member.
    Broken(Broken),
}

/// What is wrong with a member, behind which nothing tells where the next one begins.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) at: u64,
    pub(crate) message: String,
    pub(crate) kind: ErrorKind,
    /// Whether the file ends before it does.
    pub(crate) is_cut: bool,
    /// What it is called, as far as that can be read.
    pub(crate) name: Option<Vec<u8>>,
}

/// Walks the headers of an archive; contents are never read.
pub(crate) struct Walk<'a> {
    file: &'a dyn ReadAt,
    whole: Option<Bytes>,
    at: u64,
    /// No member that begins here or later is handed out.
    until: u64,
    /// Whether what lies around the next header is not worth fetching.
    is_alone: bool,
    end: Option<End>,
    /// Where the mark begins that ended the archive.
    mark: Option<u64>,
}

/// What headers before a member's own say of it.
#[derive(Default)]
struct Before {
    start: Option<u64>,
    long_name: Option<Vec<u8>>,
    records: Records,
}

impl<'a> Walk<'a> {
    /// A member, or the archive, begins at the start of `range`.
    pub(crate) fn within(file: &'a dyn ReadAt, range: Range<u64>) -> Self {
        let Range { start, end } = range;
        Self { file, whole: file.in_memory(), at: start, until: end, is_alone: true, end: None, mark: None }
    }

    /// What ended the archive, once there is no other member.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The bytes behind the mark that ended the archive.
    pub(crate) fn behind_mark(&self) -> Option<Range<u64>> {
        self.mark.map(|it| it..self.file.n_bytes())
    }

    /// The next member; `None` at the end, whatever that is.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn next_member(&mut self) -> Result<Option<Member>> {
        if self.end.is_some() || self.mark.is_some() {
            return Ok(None);
        }
        let mut before = Before::default();
        loop {
            let start = self.at;
            if before.start.is_none() && self.until <= start {
                return Ok(None);
            }
            let Some(block) = self.block(start)? else {
                self.ends_at(start, &before)?;
                return Ok(None);
            };
            let header = match Block::of(&block) {
                Block::Header(header) => header,
                Block::Zeros if before.start.is_none() => {
                    self.mark = Some(start);
                    return Ok(None);
                }
                Block::Zeros => {
                    let name = before.name();
                    return self.broken(start, "the archive ends behind an extended header", name);
                }
                Block::Broken => {
                    let name = before.name().or_else(|| Header::legible(&block));
                    return self.broken(start, "the header of a member is not what its checksum says", name);
                }
            };
            let kind = header.kind();
            let name = before.name().unwrap_or_else(|| header.name());
            let Some(size) = before.size_of(kind, &header) else {
                return self.broken(start, "the size of a member is no number that a file has", Some(name));
            };
            let Some(data) = self.contents(&header, start, size)? else {
                let left = self.file.n_bytes().saturating_sub(start + BLOCK_BYTES as u64);
                let message = format!("a member is to have {size} bytes, but {left} are left of the file");
                return self.cut(start, &message, Some(name));
            };
            // The last one may be without what fills up its block.
            self.at = data.end.next_multiple_of(BLOCK_BYTES as u64).min(self.file.n_bytes());
            self.is_alone = PEEKED_BYTES <= size;
            let kind = match kind {
                Kind::LongName | Kind::LongLink | Kind::Records | Kind::GlobalRecords => {
                    if !self.take_extension(&mut before, kind, start, &data)? {
                        return Ok(None);
                    }
                    continue;
                }
                Kind::File if !before.records.is_sparse => MemberKind::File,
                Kind::File | Kind::SparseFile => MemberKind::SparseFile,
                Kind::Directory => MemberKind::Directory,
                Kind::Link | Kind::Special | Kind::Other => MemberKind::Other,
            };
            let start = before.start.unwrap_or(start);
            return Ok(Some(Member { name, start, data, kind }));
        }
    }

    /// Where the contents of a member lie; `None` where the file ends before.
    fn contents(&self, header: &Header<'_>, start: u64, size: u64) -> Result<Option<Range<u64>>> {
        let head_end = start + BLOCK_BYTES as u64;
        let data_start = match header.kind() {
            Kind::SparseFile if header.has_more_holes() => self.behind_holes(head_end)?,
            _ => Some(head_end),
        };
        let in_file = |start: u64| start.checked_add(size).filter(|it| *it <= self.file.n_bytes());
        Ok(data_start.and_then(|start| Some(start..in_file(start)?)))
    }

    /// Takes in what is said of the member that follows, or of all. Tells whether that holds.
    fn take_extension(
        &mut self,
        before: &mut Before,
        kind: Kind,
        start: u64,
        data: &Range<u64>,
    ) -> Result<bool> {
        let n_bytes = data.end - data.start;
        if EXTENSION_BYTES_MAX < n_bytes {
            let message =
                format!("an extended header has {n_bytes} bytes, but at most {EXTENSION_BYTES_MAX} are read");
            self.broken_as(ErrorKind::Limit, start, &message, None)?;
            return Ok(false);
        }
        let text = self.file.read_at(data.clone())?;
        let mut of_all = Before::default();
        let of = match kind {
            // What is said of all members belongs to none.
            Kind::GlobalRecords => &mut of_all,
            _ => {
                before.start.get_or_insert(start);
                before
            }
        };
        if let Err(message) = of.take(kind, &text) {
            self.broken(start, &message, None)?;
            return Ok(false);
        }
        if !of_all.records.is_empty() {
            let message = "an extended header gives all members that follow one name or size";
            self.broken_as(ErrorKind::Unsupported, start, message, None)?;
            return Ok(false);
        }
        Ok(true)
    }

    /// The block at a place; `None` where fewer bytes are left.
    fn block(&self, at: u64) -> Result<Option<[u8; BLOCK_BYTES]>> {
        let range = at..at.saturating_add(BLOCK_BYTES as u64);
        if self.file.n_bytes() < range.end {
            return Ok(None);
        }
        let mut block = [0; BLOCK_BYTES];
        let bytes = match &self.whole {
            // A file in memory has no offset that does not fit.
            Some(whole) => {
                block.copy_from_slice(&whole[range.start as usize..range.end as usize]);
                return Ok(Some(block));
            }
            None if self.is_alone => self.file.peek_at(range)?,
            None => self.file.read_at(range)?,
        };
        block.copy_from_slice(&bytes);
        Ok(Some(block))
    }

    /// The file ends before another block does.
    fn ends_at(&mut self, at: u64, before: &Before) -> Result<()> {
        let rest = self.file.read_at(at..self.file.n_bytes())?;
        let is_whole = at.is_multiple_of(BLOCK_BYTES as u64);
        if before.start.is_none() && is_whole && rest.iter().all(|it| *it == 0) {
            self.end = Some(End::Unmarked);
            return Ok(());
        }
        let (message, name) = match is_whole {
            true => ("the file ends within the header of a member", Some(Header::legible_start(&rest))),
            false => ("the file ends within the last block of a member", None),
        };
        self.cut(at, message, before.name().or(name)).map(drop)
    }

    /// Behind the blocks that say where the holes of a sparse file are; `None` where the file ends before.
    fn behind_holes(&self, mut at: u64) -> Result<Option<u64>> {
        loop {
            let Some(block) = self.block(at)? else { return Ok(None) };
            at += BLOCK_BYTES as u64;
            if block[504] == 0 {
                return Ok(Some(at));
            }
        }
    }

    fn broken(&mut self, at: u64, message: &str, name: Option<Vec<u8>>) -> Result<Option<Member>> {
        self.broken_as(ErrorKind::Corrupt, at, message, name)
    }

    fn broken_as(
        &mut self,
        kind: ErrorKind,
        at: u64,
        message: &str,
        name: Option<Vec<u8>>,
    ) -> Result<Option<Member>> {
        self.end = Some(End::Broken(Broken { at, message: message.to_owned(), kind, is_cut: false, name }));
        Ok(None)
    }

    /// The file ends within a member.
    fn cut(&mut self, at: u64, message: &str, name: Option<Vec<u8>>) -> Result<Option<Member>> {
        let (message, kind) = (message.to_owned(), ErrorKind::Corrupt);
        self.end = Some(End::Broken(Broken { at, message, kind, is_cut: true, name }));
        Ok(None)
    }
}

impl Before {
    /// Bytes of the contents of a member of this kind; `None` where that is no number.
    fn size_of(&self, kind: Kind, header: &Header<'_>) -> Option<u64> {
        match kind {
            // Whatever their headers say, nothing follows.
            Kind::Directory | Kind::Link | Kind::Special => Some(0),
            Kind::File | Kind::SparseFile | Kind::Other => self.records.size.or(header.size()),
            Kind::LongName | Kind::LongLink | Kind::Records | Kind::GlobalRecords => header.size(),
        }
    }

    /// What they call the member.
    fn name(&self) -> Option<Vec<u8>> {
        let Records { sparse_path, path, .. } = &self.records;
        sparse_path.as_ref().or(path.as_ref()).or(self.long_name.as_ref()).cloned()
    }

    fn take(&mut self, kind: Kind, text: &[u8]) -> Result<(), String> {
        match kind {
            Kind::LongName => {
                let n = text.iter().position(|it| *it == 0).unwrap_or(text.len());
                self.long_name = Some(text[..n].to_vec());
            }
            Kind::Records | Kind::GlobalRecords => self.records = Records::parse(text)?,
            // Where links lead decides no row.
            _ => {}
        }
        Ok(())
    }
}
