//! The files of an input, unpacked where they are packed as a whole.

use std::{ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, OpenOptions, ReadAt, Result};
use nodedata_io::packed::{Spool, Spools};

use crate::tar::{PEEKED_BYTES, Walk};

/// A column of bytes counts them in 31 bits.
const MEMBER_BYTES_MAX: u64 = 1 << 30;

/// The archives of an input. What had to be unpacked is kept for as long as this is.
pub(crate) struct Archives {
    files: Arc<dyn Files>,
    spools: Spools,
    pub(crate) member_bytes_max: u64,
}

/// An opened archive. Places in it are those of the unpacked file.
pub(crate) struct Archive {
    file: Arc<dyn ReadAt>,
    spool: Option<Arc<Spool>>,
    member_bytes_max: u64,
}

impl Archives {
    pub(crate) fn new(files: Arc<dyn Files>, options: &OpenOptions) -> Self {
        let member_bytes_max = options.record_bytes_max.min(MEMBER_BYTES_MAX);
        Self { files, spools: Spools::new(options), member_bytes_max }
    }

    /// Opens a file, and unpacks it where it is packed as a whole.
    ///
    /// # Errors
    /// `Io`; `Limit` when too much comes out of it.
    pub(crate) fn open(&self, path: &Path) -> Result<Archive> {
        let opened = self.files.open(path).and_then(|file| {
            // Who calls the first member as packed files begin means to be misread.
            let spool = self.spools.of(path, &file, |_| false)?;
            Ok((file, spool))
        });
        let (file, spool) = opened.map_err(|err| err.at(Locus::path(path)))?;
        let file = spool.clone().map_or(file, |it| it as Arc<dyn ReadAt>);
        Ok(Archive { file, spool, member_bytes_max: self.member_bytes_max })
    }
}

impl Archive {
    pub(crate) fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    /// All members.
    pub(crate) fn walk(&self) -> Walk<'_> {
        self.walk_within(0..u64::MAX)
    }

    /// Those that begin in a range, at whose start one does.
    pub(crate) fn walk_within(&self, range: Range<u64>) -> Walk<'_> {
        Walk::within(self.file.as_ref(), range)
    }

    pub(crate) fn file(&self) -> &Arc<dyn ReadAt> {
        &self.file
    }

    /// What ended a packed file before its end.
    pub(crate) fn damage(&self) -> Option<&Error> {
        self.spool.as_ref().and_then(|it| it.damage())
    }

    /// The bytes of the file itself that hold some of the archive.
    pub(crate) fn locate(&self, range: &Range<u64>) -> Range<u64> {
        match &self.spool {
            Some(spool) => spool.packed_range(range),
            None => range.clone(),
        }
    }

    /// The bytes of the file itself that samples are said to come from: their own or, of a packed file, all, because it is
    /// unpacked as a whole.
    pub(crate) fn origin(&self, records: &Range<u64>) -> Range<u64> {
        match &self.spool {
            Some(spool) => 0..spool.members().last().map_or(0, |it| it.packed.end),
            None => records.clone(),
        }
    }

    pub(crate) fn is_packed(&self) -> bool {
        self.spool.is_some()
    }

    /// Where in the file itself a place is; in a packed one, the beginning of what holds it.
    pub(crate) fn address(&self, at: u64) -> u64 {
        match &self.spool {
            Some(spool) => spool.packed_range(&(at..at.saturating_add(1))).start,
            None => at,
        }
    }

    /// The contents of a member.
    ///
    /// # Errors
    /// `Io`; `Limit` when there are more than may be read.
    pub(crate) fn read(&self, data: &Range<u64>) -> Result<Bytes> {
        let (n_bytes, max) = (data.end - data.start, self.member_bytes_max);
        if max < n_bytes {
            let message = format!("the member has {n_bytes} bytes, but at most {max} are read");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        self.file.read_at(data.clone())
    }

    /// How the contents of a member begin.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn head(&self, data: &Range<u64>, n_bytes: u64) -> Result<Bytes> {
        let head = data.start..data.end.min(data.start.saturating_add(n_bytes));
        // What lies around a small one is asked for next.
        if data.end - data.start < PEEKED_BYTES { self.file.read_at(head) } else { self.file.peek_at(head) }
    }
}
