//! The files that records lie in, whatever their kind: where each record is, and its bytes.

use std::{ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, OpenOptions, ReadAt, Result};

use crate::tfrecord;

/// How the records of a dataset lie in its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    TfRecord,
}

/// The records of one file, as far as its framing holds, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) records: Vec<Frame>,
    pub(crate) damage: Vec<Error>,
}

/// Where a record lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The bytes of the file that it is made of, with all that frames it. Records that are compressed together share them.
    pub(crate) byte_range: Range<u64>,
    /// Bytes of the record itself.
    pub(crate) n_bytes: u64,
    pub(crate) place: Place,
}

/// Where the bytes of a record are to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In one piece, at this offset of the file: of the unpacked one, where the file is packed.
    Plain(u64),
}

/// The files of a dataset that have records. What had to be unpacked is kept for as long as this is.
pub(crate) struct RecordFiles {
    files: Arc<dyn Files>,
    record_bytes_max: u64,
    verify_checksums: bool,
}

impl RecordFiles {
    pub(crate) fn new(files: Arc<dyn Files>, options: &OpenOptions) -> Self {
        // Arrow counts the bytes of a column in 31 bits.
        let record_bytes_max = options.record_bytes_max.min(i32::MAX as u64);
        Self { files, record_bytes_max, verify_checksums: options.verify_checksums }
    }

    /// Opens a file. Errors of what is done with it name its path.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(&self, path: &Path, container: Container) -> Result<RecordFile<'_>> {
        let file = self.files.open(path).map_err(|err| err.at(Locus::path(path)))?;
        Ok(RecordFile { container, file, of: self })
    }
}

/// An opened file of records.
pub(crate) struct RecordFile<'a> {
    container: Container,
    file: Arc<dyn ReadAt>,
    of: &'a RecordFiles,
}

impl RecordFile<'_> {
    /// Finds the records by their framing; none of them is read.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn walk(&self) -> Result<Frames> {
        match self.container {
            Container::TfRecord => {
                tfrecord::walk(self.file.as_ref(), self.of.record_bytes_max, self.of.verify_checksums)
            }
        }
    }

    /// The bytes of a record, held against their checksum.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when they are not there any more or are others.
    pub(crate) fn payload(&self, frame: &Frame) -> Result<Bytes> {
        match frame.place {
            Place::Plain(start) => {
                tfrecord::payload(self.file.as_ref(), start, frame.n_bytes, self.of.verify_checksums)
            }
        }
    }

    /// A record as a file of its own, whose parts can be read alone where they lie so; their checksum is not asked for. Offsets count from
    /// the record's first byte.
    ///
    /// # Errors
    /// As [`Self::payload`].
    pub(crate) fn view(&self, frame: &Frame) -> Result<View> {
        match frame.place {
            Place::Plain(start) => Ok(View { file: Arc::clone(&self.file), start, n_bytes: frame.n_bytes }),
        }
    }
}

/// A part of a file, see [`RecordFile::view`].
pub(crate) struct View {
    file: Arc<dyn ReadAt>,
    start: u64,
    n_bytes: u64,
}

impl ReadAt for View {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        if range.end > self.n_bytes || range.start > range.end {
            let message = format!("bytes {range:?} were asked of a record of {}", self.n_bytes);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        self.file.read_at(self.start + range.start..self.start + range.end)
    }

    fn in_memory(&self) -> Option<Bytes> {
        let file = self.file.in_memory()?;
        let start = usize::try_from(self.start).ok()?;
        let end = start.checked_add(usize::try_from(self.n_bytes).ok()?)?;
        (end <= file.len()).then(|| file.slice(start..end))
    }
}
