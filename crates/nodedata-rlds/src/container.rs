//! The files that records lie in, whatever their kind: where each record is, and its bytes.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, OpenOptions, ReadAt, Result, suggest};
use nodedata_io::{
    Scratch,
    packed::{Spool, Spools},
};

use crate::{
    array_record,
    chunks::{Chunks, Held},
    kept::{Lease, Room},
    parquet, tfrecord,
    view::View,
};

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

    /// Bytes that have to be unpacked to have it, about; `None` where any part of it can be read alone.
    pub(crate) fn chunk_bytes(&self) -> Option<u64> {
        match self.place {
            Place::Plain(_) => None,
            Place::Chunk { n_records, .. } => Some(self.n_bytes.saturating_mul(n_records)),
        }
    }

    /// Whether the same chunk has to be unpacked for both.
    pub(crate) fn shares_chunk(&self, other: &Self) -> bool {
        self.chunk_bytes().is_some() && self.byte_range == other.byte_range
    }
}

/// What comes out of chunks of so many bytes or more is not had in memory, but in a file without a name.
const LARGE_CHUNK_BYTES: u64 = 32 << 20;
/// A file of fewer bytes that is far away is fetched with its first head.
const SMALL_FILE_BYTES: u64 = 1 << 20;

/// The files of a dataset that have records. What had to be unpacked is kept for as long as this is.
pub(crate) struct RecordFiles {
    files: Arc<dyn Files>,
    record_bytes_max: u64,
    verify_checksums: bool,
    spools: Spools,
    chunks: Chunks,
    footers: parquet::Footers,
    room: Room,
    /// Where files are brought to that are far away, by whoever reads all of them.
    scratch: Option<PathBuf>,
    /// Those that were.
    brought: Mutex<BTreeSet<PathBuf>>,
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
            footers: parquet::Footers::new(options.verify_checksums),
            room: Room::new(options),
            scratch: options.scratch.clone(),
            brought: Mutex::default(),
        }
    }

    fn brought<T>(&self, look: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
        look(&mut self.brought.lock().unwrap_or_else(PoisonError::into_inner))
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
    /// Finds the records by their framing; none of them is read. Of a file that is far away this would fetch most where records are small: then
    /// all of it is fetched at once, and read where it is kept, as where all records are looked at (`is_read_now`) before rows are made of them, or are
    /// unpacked to find out which are large.
    ///
    /// # Errors
    /// `Io`; `Unsupported` when they are written in a way that is not read.
    pub(crate) fn walk(&mut self, is_read_now: bool) -> Result<Frames> {
        let RecordFiles { record_bytes_max, verify_checksums, .. } = *self.of;
        match self.container {
            Container::TfRecord => {
                let is_small = self.file.n_bytes() <= SMALL_FILE_BYTES;
                let mut frames = match (is_read_now || is_small) && self.come_near()? {
                    true => self.walk_within(0..self.file.n_bytes())?,
                    false => self.walk_or_come_near()?,
                };
                if let Some(err) = self.spool.as_ref().and_then(|it| it.damage()) {
                    frames.end_by(err);
                }
                Ok(frames)
            }
            Container::ArrayRecord | Container::Parquet => {
                if is_read_now {
                    self.come_near()?;
                }
                let frames = match self.container {
                    Container::Parquet => {
                        parquet::walk(&self.of.files, &self.of.footers, self.path, record_bytes_max)?
                    }
                    Container::ArrayRecord | Container::TfRecord => {
                        array_record::walk(self.file.as_ref(), record_bytes_max, verify_checksums)?
                    }
                };
                let is_large =
                    |it: &Frame| it.chunk_bytes().is_some_and(|n_bytes| LARGE_CHUNK_BYTES <= n_bytes);
                if frames.records.iter().any(is_large) && self.come_near()? {
                    self.of.footers.forget(self.path);
                }
                Ok(frames)
            }
        }
    }

    /// Has all of a file that is far away brought, where there is room for it.
    fn come_near(&mut self) -> Result<bool> {
        let Some(folder) = self.of.scratch.as_deref().filter(|_| !self.is_near()) else { return Ok(false) };
        if !self.of.files.bring(self.path, folder)? {
            return Ok(false);
        }
        self.of.brought(|it| it.insert(self.path.to_owned()));
        self.file = self.of.files.open(self.path)?;
        Ok(true)
    }

    fn walk_or_come_near(&mut self) -> Result<Frames> {
        let whole = 0..self.file.n_bytes();
        let file = Arc::clone(&self.file);
        let mut walk = tfrecord::Walk::of(file.as_ref(), whole.clone(), self.limits());
        let mut is_open = self.of.scratch.is_some() && !self.is_near();
        walk.only_peek(is_open);
        while walk.step(&|it| self.located(it))? {
            if is_open && walk.is_dense() {
                if self.come_near()? {
                    return self.walk_within(whole);
                }
                is_open = false;
                walk.only_peek(false);
            }
        }
        Ok(walk.frames)
    }

    fn limits(&self) -> tfrecord::Limits {
        let RecordFiles { record_bytes_max, verify_checksums, .. } = *self.of;
        tfrecord::Limits { record_bytes_max, verify_checksums }
    }

    /// Where in the file bytes are that may be unpacked from it.
    fn located(&self, range: &Range<u64>) -> Range<u64> {
        match &self.spool {
            Some(spool) => spool.packed_range(range),
            None => range.clone(),
        }
    }

    /// The records of a part of a file of TFRecords, unpacked where it is packed, which begins and ends with one.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn walk_within(&self, range: Range<u64>) -> Result<Frames> {
        tfrecord::walk(self.file.as_ref(), range, self.limits(), &|it| self.located(it))
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
        match frame.place {
            Place::Plain(start) => {
                tfrecord::payload(self.file.as_ref(), start, frame.n_bytes, self.of.verify_checksums)
            }
            Place::Chunk { idx, n_records } => self.of_chunk(frame, idx, n_records, n_records != 1),
        }
    }

    /// A record of a chunk. Where others come for the chunk as well, it is kept for them.
    fn of_chunk(&self, frame: &Frame, idx: u64, n_records: u64, is_shared: bool) -> Result<Bytes> {
        let RecordFiles { record_bytes_max, verify_checksums, .. } = *self.of;
        let n_bytes = frame.n_bytes.saturating_mul(n_records);
        let large = Some(self.of.room.folder()).filter(|_| LARGE_CHUNK_BYTES <= n_bytes);
        let byte_range = &frame.byte_range;
        let read = || match self.container {
            Container::Parquet => {
                let RecordFiles { files, footers, .. } = self.of;
                parquet::chunk(files, footers, self.path, byte_range, record_bytes_max, large)
            }
            Container::ArrayRecord | Container::TfRecord => {
                array_record::chunk(self.file.as_ref(), byte_range, record_bytes_max, verify_checksums, large)
            }
        };
        let chunk = match is_shared || large.is_some() {
            true => self.of.chunks.get(self.path, byte_range.start, n_bytes, large.is_some(), read)?,
            false => read()?.into(),
        };
        let record = usize::try_from(idx).ok().and_then(|it| chunk.get(it).cloned());
        record.filter(|_| chunk.len() as u64 == n_records).ok_or_else(|| {
            let message = format!("a chunk has {} records where {n_records} are told", chunk.len());
            Error::new(ErrorKind::Corrupt, message)
        })
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
    pub(crate) fn scratch(&self, frame: &Frame) -> Option<(Scratch, Lease)> {
        match frame.place {
            Place::Plain(_) if !self.is_near() => self.of.room.file(frame.n_bytes),
            Place::Plain(_) | Place::Chunk { .. } => None,
        }
    }

    /// Keeps a record of a large chunk, which was unpacked into a file, where there is room for it.
    pub(crate) fn keep(&self, frame: &Frame, record: &View) -> Option<(Arc<dyn ReadAt>, Lease)> {
        let View::Whole(bytes) = record else { return None };
        let n_chunk = frame.chunk_bytes().filter(|it| LARGE_CHUNK_BYTES <= *it)?;
        // All of the chunk stays for as long as any of its records does.
        let lease = self.of.room.take(n_chunk)?;
        Some((Arc::new(View::Whole(bytes.clone())), lease))
    }

    /// Holds the chunk that a record lies in with others, for whoever reads them one after the other.
    pub(crate) fn hold(&self, frame: &Frame) -> Option<Held> {
        let Place::Chunk { n_records: 2.., .. } = frame.place else { return None };
        let n_bytes = frame.chunk_bytes()?;
        let is_spooled = LARGE_CHUNK_BYTES <= n_bytes;
        Some(self.of.chunks.hold(self.path, frame.byte_range.start, n_bytes, is_spooled))
    }

    /// Whether it is packed as a whole.
    pub(crate) fn is_packed(&self) -> bool {
        self.spool.is_some()
    }

    /// Whether reading it costs nothing.
    fn is_near(&self) -> bool {
        self.file.in_memory().is_some()
    }

    /// Whether it is far away, or was when it was opened first.
    pub(crate) fn is_of_far(&self) -> bool {
        !self.is_near() || self.of.brought(|it| it.contains(self.path))
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
            // It is read piece by piece.
            Place::Chunk { idx, n_records } => self.of_chunk(frame, idx, n_records, true).map(View::Whole),
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
