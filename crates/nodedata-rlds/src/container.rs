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

impl Container {
    /// All that are read.
    pub(crate) const ALL: [Self; 1] = [Self::TfRecord];

    /// That of a name in `dataset_info.json`.
    ///
    /// # Errors
    /// `Unsupported` for any other.
    pub(crate) fn of_format(name: &str) -> Result<Self> {
        if let Some(known) = Self::ALL.into_iter().find(|it| it.suffix() == name) {
            return Ok(known);
        }
        let message = format!("the records lie in `{name}` files, and only TFRecord is read yet");
        let hint = "`tfds convert_format --out_file_format=tfrecord` writes them anew";
        Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint))
    }

    /// What names of its files have instead of `{FILEFORMAT}`.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::TfRecord => "tfrecord",
        }
    }
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

impl Frame {
    /// Whether any part of the record can be read alone.
    pub(crate) fn is_plain(&self) -> bool {
        match self.place {
            Place::Plain(_) => true,
        }
    }
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

    /// The checksum that a plain record is to have, as it is stored; `None` where none is, or none is asked for.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn stored_checksum(&self, frame: &Frame) -> Result<Option<Bytes>> {
        match (self.container, &frame.place) {
            (Container::TfRecord, Place::Plain(start)) if self.of.verify_checksums => {
                tfrecord::stored_checksum(self.file.as_ref(), *start, frame.n_bytes).map(Some)
            }
            (Container::TfRecord, Place::Plain(_)) => Ok(None),
        }
    }

    /// Whether reading it costs nothing.
    pub(crate) fn is_near(&self) -> bool {
        self.file.in_memory().is_some()
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
