//! The files that records lie in, whatever their kind: where each record is, and its bytes.

use std::{ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, OpenOptions, ReadAt, Result, suggest};
use nodedata_io::{
    Scratch,
    packed::{Spool, Spools},
};

use crate::{array_record, chunks::Chunks, kept::Room, parquet, tfrecord};

/// How the records of a dataset lie in its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    TfRecord,
    ArrayRecord,
    Parquet,
}

impl Container {
    /// All that are read.
    pub(crate) const ALL: [Self; 3] = [Self::TfRecord, Self::ArrayRecord, Self::Parquet];

    /// That of a name in `dataset_info.json`.
    ///
    /// # Errors
    /// `Unsupported` for any other.
    pub(crate) fn of_format(name: &str) -> Result<Self> {
        if let Some(known) = Self::ALL.into_iter().find(|it| it.suffix() == name) {
            return Ok(known);
        }
        let message = format!("the records lie in `{name}` files, which are not read");
        let hint = match name {
            "riegeli" => "`tfds convert_format --out_file_format=array_record` writes them anew".to_owned(),
            _ => suggest(name, Self::ALL.map(Self::suffix)),
        };
        Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint))
    }

    /// What names of its files have instead of `{FILEFORMAT}`.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::TfRecord => "tfrecord",
            Self::ArrayRecord => "array_record",
            Self::Parquet => "parquet",
        }
    }

    /// Whether its files may be packed as a whole: the bytes of the others are compressed within.
    pub(crate) fn may_be_packed(self) -> bool {
        match self {
            Self::TfRecord => true,
            Self::ArrayRecord | Self::Parquet => false,
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
    /// Bytes of the record itself; of those that are compressed together each has the mean.
    pub(crate) n_bytes: u64,
    pub(crate) place: Place,
}

/// Where the bytes of a record are to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In one piece, at this offset of the file: of the unpacked one, where the file is packed.
    Plain(u64),
    /// In a chunk of several, which is its `byte_range` and is read as a whole: its position among them, and their number.
    Chunk { idx: u64, n_records: u64 },
}

impl Frame {
    /// Where it lies in the file, unpacked where that is packed, with all that frames it.
    pub(crate) fn framed(&self) -> Range<u64> {
        match self.place {
            Place::Plain(start) => tfrecord::framed(start, self.n_bytes),
            Place::Chunk { .. } => self.byte_range.clone(),
        }
    }

    /// Bytes that reading it holds: as many as a TFRecord of it has, whatever it lies in.
    pub(crate) fn decoded_bytes(&self) -> u64 {
        self.n_bytes.saturating_add(tfrecord::FRAMING_BYTES)
    }

    /// Whether any part of the record can be read alone.
    pub(crate) fn is_plain(&self) -> bool {
        match self.place {
            Place::Plain(_) => true,
            Place::Chunk { .. } => false,
        }
    }
}

/// The files of a dataset that have records. What had to be unpacked is kept for as long as this is.
pub(crate) struct RecordFiles {
    files: Arc<dyn Files>,
    record_bytes_max: u64,
    verify_checksums: bool,
    spools: Spools,
    chunks: Chunks,
    footers: parquet::Footers,
    room: Room,
}

impl RecordFiles {
    pub(crate) fn new(files: Arc<dyn Files>, options: &OpenOptions) -> Self {
        // Arrow counts the bytes of a column in 31 bits.
        let record_bytes_max = options.record_bytes_max.min(i32::MAX as u64);
        Self {
            files,
            record_bytes_max,
            verify_checksums: options.verify_checksums,
            spools: Spools::new(options),
            chunks: Chunks::default(),
            footers: parquet::Footers::default(),
            room: Room::new(options),
        }
    }

    /// Opens a file, and unpacks it where it is packed as a whole. Errors of what is done with it do not name its path.
    ///
    /// # Errors
    /// `Io`; `Limit` when too much comes out of it.
    pub(crate) fn open<'a>(&'a self, path: &'a Path, container: Container) -> Result<RecordFile<'a>> {
        let opened = self.files.open(path).and_then(|file| {
            let spool = match container.may_be_packed() {
                // A length may look like anything, but its checksum tells.
                true => self.spools.of(path, &file, tfrecord::is_head)?,
                false => None,
            };
            Ok((file, spool))
        });
        let (file, spool) = opened.map_err(|err| err.at(Locus::path(path)))?;
        let file = spool.clone().map_or(file, |it| it as Arc<dyn ReadAt>);
        Ok(RecordFile { container, path, file, spool, of: self })
    }
}

/// An opened file of records.
pub(crate) struct RecordFile<'a> {
    container: Container,
    path: &'a Path,
    /// The unpacked one, where the file is packed.
    file: Arc<dyn ReadAt>,
    spool: Option<Arc<Spool>>,
    of: &'a RecordFiles,
}

impl RecordFile<'_> {
    /// Finds the records by their framing; none of them is read.
    ///
    /// # Errors
    /// `Io`; `Unsupported` when they are written in a way that is not read.
    pub(crate) fn walk(&self) -> Result<Frames> {
        let RecordFiles { record_bytes_max, verify_checksums, .. } = *self.of;
        match self.container {
            Container::TfRecord => {
                let mut frames = self.walk_within(0..self.file.n_bytes())?;
                if let Some(err) = self.spool.as_ref().and_then(|it| it.damage()) {
                    frames.end_by(err);
                }
                Ok(frames)
            }
            Container::ArrayRecord => {
                array_record::walk(self.file.as_ref(), record_bytes_max, verify_checksums)
            }
            Container::Parquet => {
                parquet::walk(&self.of.files, &self.of.footers, self.path, record_bytes_max)
            }
        }
    }

    /// The records of a part of a file of TFRecords, unpacked where it is packed, which begins and ends with one.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn walk_within(&self, range: Range<u64>) -> Result<Frames> {
        let RecordFiles { record_bytes_max, verify_checksums, .. } = *self.of;
        let locate = |range: &Range<u64>| match &self.spool {
            Some(spool) => spool.packed_range(range),
            None => range.clone(),
        };
        let limits = tfrecord::Limits { record_bytes_max, verify_checksums };
        tfrecord::walk(self.file.as_ref(), range, limits, &locate)
    }

    /// The bytes of a plain record, whatever they are, and what is wrong with them.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when they are not there any more.
    pub(crate) fn payload_and_damage(&self, frame: &Frame) -> Result<(Bytes, Option<Error>)> {
        match frame.place {
            Place::Plain(start) => {
                let (file, verify) = (self.file.as_ref(), self.of.verify_checksums);
                tfrecord::payload_and_damage(file, start, frame.n_bytes, verify)
            }
            Place::Chunk { .. } => Ok((self.payload(frame)?, None)),
        }
    }

    /// The bytes of a record, held against their checksum where there is one.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when they are not there any more or are others; `Unsupported`; `Limit`.
    pub(crate) fn payload(&self, frame: &Frame) -> Result<Bytes> {
        let RecordFiles { record_bytes_max, verify_checksums, .. } = *self.of;
        match frame.place {
            Place::Plain(start) => {
                tfrecord::payload(self.file.as_ref(), start, frame.n_bytes, verify_checksums)
            }
            Place::Chunk { idx, n_records } => {
                let read = || match self.container {
                    Container::Parquet => {
                        parquet::chunk(&self.of.files, &self.of.footers, self.path, &frame.byte_range)
                    }
                    Container::ArrayRecord | Container::TfRecord => array_record::chunk(
                        self.file.as_ref(),
                        &frame.byte_range,
                        record_bytes_max,
                        verify_checksums,
                    ),
                };
                let n_bytes = frame.n_bytes.saturating_mul(n_records);
                let chunk = match n_records {
                    // Nobody else comes for it.
                    1 => read()?.into(),
                    _ => self.of.chunks.get(self.path, frame.byte_range.start, n_bytes, read)?,
                };
                let record = usize::try_from(idx).ok().and_then(|it| chunk.get(it).cloned());
                record.filter(|_| chunk.len() as u64 == n_records).ok_or_else(|| {
                    let message = format!("a chunk has {} records where {n_records} are told", chunk.len());
                    Error::new(ErrorKind::Corrupt, message)
                })
            }
        }
    }

    /// The checksum that a plain record is to have, as it is stored; `None` where none is, or none is asked for.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn stored_checksum(&self, frame: &Frame) -> Result<Option<Bytes>> {
        match frame.place {
            Place::Plain(start) if self.of.verify_checksums => {
                tfrecord::stored_checksum(self.file.as_ref(), start, frame.n_bytes).map(Some)
            }
            Place::Plain(_) | Place::Chunk { .. } => Ok(None),
        }
    }

    /// A file to keep a record in that is looked through now and read later; `None` where there is no room, or no need.
    pub(crate) fn scratch(&self, frame: &Frame) -> Option<Scratch> {
        if self.is_near() { None } else { self.of.room.take(frame.n_bytes) }
    }

    /// Whether reading it costs nothing.
    pub(crate) fn is_near(&self) -> bool {
        self.file.in_memory().is_some()
    }

    /// Where a record begins in the file as it is; `None` where it does not lie in it so.
    pub(crate) fn offset_of(&self, frame: &Frame) -> Option<u64> {
        match frame.place {
            Place::Plain(start) => self.spool.is_none().then_some(start),
            Place::Chunk { .. } => None,
        }
    }

    /// A record as a file of its own, whose parts can be read alone where they lie so; their checksum is not asked for then. Offsets
    /// count from the record's first byte.
    ///
    /// # Errors
    /// As [`Self::payload`].
    pub(crate) fn view(&self, frame: &Frame) -> Result<View> {
        match frame.place {
            Place::Plain(start) => {
                Ok(View::Part { file: Arc::clone(&self.file), start, n_bytes: frame.n_bytes })
            }
            Place::Chunk { .. } => self.payload(frame).map(View::Whole),
        }
    }
}

impl Frames {
    /// Tells of the damage that ended the file, which is packed, instead of where that leaves its last record.
    fn end_by(&mut self, err: &Error) {
        let start = err.locus().byte_offset.unwrap_or(0);
        let is_end = |it: &Error| it.loss().is_some_and(|it| it.reason == tfrecord::TRUNCATED);
        let cut = self.damage.pop_if(|it| is_end(it));
        let lost_bytes = cut.and_then(|it| it.loss().and_then(|it| it.byte_range.clone()));
        let lost_bytes = lost_bytes.unwrap_or(start..start);
        let mut told = Error::new(err.kind(), err.chain()).at(err.locus().clone());
        if let Some(hint) = err.hint() {
            told = told.with_hint(hint);
        }
        self.damage.push(tfrecord::lost(told, lost_bytes, "damaged_packing"));
    }
}

/// The bytes of a record, see [`RecordFile::view`].
pub(crate) enum View {
    Part { file: Arc<dyn ReadAt>, start: u64, n_bytes: u64 },
    Whole(Bytes),
}

impl ReadAt for View {
    fn n_bytes(&self) -> u64 {
        match self {
            Self::Part { n_bytes, .. } => *n_bytes,
            Self::Whole(bytes) => bytes.len() as u64,
        }
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let n_bytes = self.n_bytes();
        if range.end > n_bytes || range.start > range.end {
            let message = format!("bytes {range:?} were asked of a record of {n_bytes}");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        match self {
            Self::Part { file, start, .. } => file.read_at(start + range.start..start + range.end),
            Self::Whole(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
        }
    }

    fn peek_at(&self, range: Range<u64>) -> Result<Bytes> {
        match self {
            Self::Part { file, start, n_bytes } if range.start <= range.end && range.end <= *n_bytes => {
                file.peek_at(start + range.start..start + range.end)
            }
            Self::Part { .. } | Self::Whole(_) => self.read_at(range),
        }
    }

    fn in_memory(&self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes.clone()),
            Self::Part { file, start, n_bytes } => {
                let file = file.in_memory()?;
                let start = usize::try_from(*start).ok()?;
                let end = start.checked_add(usize::try_from(*n_bytes).ok()?)?;
                (end <= file.len()).then(|| file.slice(start..end))
            }
        }
    }
}
