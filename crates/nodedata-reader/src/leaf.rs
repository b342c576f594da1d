//! The values of one Parquet column in some pages, with their levels. Pages that are not compressed are not copied.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_arrow::{Ranges, guarded};
use nodedata_core::{Error, ErrorKind, ReadAt, Result};
use nodedata_dataset::{ChunkIndex, ShardIndex};
use parquet::{
    basic::Repetition,
    column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader},
    data_type::{ByteArray, DataType, FixedLenByteArray},
    errors::ParquetError,
    file::{metadata::ColumnChunkMetaData, serialized_reader::SerializedPageReader},
};

/// What the levels of a column say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Levels {
    /// The definition level of a value that is there.
    pub(crate) value: i16,
    /// Of each list around the values, outermost first, the definition level from which it has an item. One less is an empty list,
    /// and less than that is none.
    pub(crate) lists: Vec<i16>,
}

/// Values of neighbouring or single rows.
#[derive(Debug)]
pub(crate) struct RawLeaf {
    /// Definition level of each entry; empty where all are values.
    pub(crate) definitions: Vec<i16>,
    /// Repetition level of each entry; empty where there are no lists.
    pub(crate) repetitions: Vec<i16>,
    /// The values that are there.
    pub(crate) values: Values,
    /// What the values of bytes may be views of.
    pages: Bytes,
}

/// Values as Parquet has them.
#[derive(Debug)]
pub(crate) enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl Levels {
    /// Those of a Parquet column of a shard.
    pub(crate) fn of(index: &ShardIndex, column: usize) -> Option<Self> {
        let schema = index.metadata().file_metadata().schema_descr();
        let descriptor = schema.columns().get(column)?;
        let mut levels = Self { value: 0, lists: Vec::new() };
        let mut node = schema.root_schema();
        for part in descriptor.path().parts() {
            if !node.is_group() {
                return None;
            }
            node = node.get_fields().iter().find(|it| it.name() == part)?;
            let info = node.get_basic_info();
            match info.has_repetition().then(|| info.repetition())? {
                Repetition::REQUIRED => {}
                Repetition::OPTIONAL => levels.value += 1,
                Repetition::REPEATED => {
                    levels.value += 1;
                    levels.lists.push(levels.value);
                }
            }
        }
        Some(levels)
    }
}

impl RawLeaf {
    /// Reads rows of a run of pages of a chunk, or of all of it: `rows` are rising ranges, counted from the first row of the run.
    ///
    /// # Errors
    /// `Corrupt` when the pages cannot be decoded, or have fewer rows.
    pub(crate) fn read(
        chunk: &ChunkIndex<'_>,
        dictionary: Option<Bytes>,
        pages: Bytes,
        rows: &[Range<usize>],
    ) -> Result<Self> {
        let damaged = |err: Option<ParquetError>| {
            let failed = Error::new(ErrorKind::Corrupt, "the values of a page cannot be decoded");
            match err {
                Some(err) => failed.with_source(err),
                None => failed,
            }
        };
        match guarded(|| read(chunk, dictionary, pages, rows)) {
            Some(Ok(read)) => Ok(read),
            Some(Err(err)) => Err(damaged(Some(err))),
            None => Err(damaged(None)),
        }
    }

    /// How many entries there are.
    pub(crate) fn n_entries(&self) -> usize {
        if self.definitions.is_empty() { self.values.len() } else { self.definitions.len() }
    }

    /// The definition level of an entry of a column whose values have `levels`.
    pub(crate) fn definition(&self, entry: usize, levels: &Levels) -> i16 {
        self.definitions.get(entry).copied().unwrap_or(levels.value)
    }

    /// A value of bytes, as a view of its page where that can be; `None` of other types, and where there is none.
    pub(crate) fn bytes(&self, value: usize) -> Option<Bytes> {
        let Values::Bytes(values) = &self.values else { return None };
        let value = values.get(value)?.data();
        let (start, base) = (value.as_ptr().addr(), self.pages.as_ptr().addr());
        let at = start.checked_sub(base).filter(|it| it + value.len() <= self.pages.len());
        Some(at.map_or_else(|| Bytes::copy_from_slice(value), |at| self.pages.slice(at..at + value.len())))
    }
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bool(it) => it.len(),
            Self::Int32(it) => it.len(),
            Self::Int64(it) => it.len(),
            Self::Float(it) => it.len(),
            Self::Double(it) => it.len(),
            Self::Bytes(it) => it.len(),
            Self::Fixed(it) => it.len(),
        }
    }
}

fn read(
    chunk: &ChunkIndex<'_>,
    dictionary: Option<Bytes>,
    pages: Bytes,
    rows: &[Range<usize>],
) -> Result<RawLeaf, ParquetError> {
    let n_rows = rows.last().map_or(0, |it| it.end);
    // A file of its own of just the pages that are at hand: where the rest of the chunk lies is nobody's business then.
    let dictionary = dictionary.unwrap_or_default();
    let n_dictionary = dictionary.len() as i64;
    let metadata = ColumnChunkMetaData::builder(chunk.metadata().column_descr_ptr())
        .set_compression(chunk.codec())
        .set_total_compressed_size(n_dictionary.saturating_add(pages.len() as i64))
        .set_data_page_offset(n_dictionary)
        .set_dictionary_page_offset((n_dictionary > 0).then_some(0))
        .build()?;
    let file: Arc<dyn ReadAt> = Arc::new(Joined { dictionary, pages: pages.clone() });
    let reader = SerializedPageReader::new(Arc::new(Ranges(file)), &metadata, n_rows, None)?;
    let mut levels = (Vec::new(), Vec::new());
    let values = match get_column_reader(metadata.column_descr_ptr(), Box::new(reader)) {
        ColumnReader::BoolColumnReader(it) => Values::Bool(records(it, rows, &mut levels)?),
        ColumnReader::Int32ColumnReader(it) => Values::Int32(records(it, rows, &mut levels)?),
        ColumnReader::Int64ColumnReader(it) => Values::Int64(records(it, rows, &mut levels)?),
        ColumnReader::FloatColumnReader(it) => Values::Float(records(it, rows, &mut levels)?),
        ColumnReader::DoubleColumnReader(it) => Values::Double(records(it, rows, &mut levels)?),
        ColumnReader::ByteArrayColumnReader(it) => Values::Bytes(records(it, rows, &mut levels)?),
        ColumnReader::FixedLenByteArrayColumnReader(it) => Values::Fixed(records(it, rows, &mut levels)?),
        ColumnReader::Int96ColumnReader(_) => {
            return Err(ParquetError::NYI("no feature has values of 96 bits".to_owned()));
        }
    };
    Ok(RawLeaf { definitions: levels.0, repetitions: levels.1, values, pages })
}

fn records<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: &[Range<usize>],
    (definitions, repetitions): &mut (Vec<i16>, Vec<i16>),
) -> Result<Vec<T::T>, ParquetError> {
    let mut values = Vec::new();
    let mut at = 0;
    let fewer = |n: usize| ParquetError::EOF(format!("the pages end before row {n}"));
    for range in rows {
        let n_skipped = range.start.saturating_sub(at);
        if reader.skip_records(n_skipped)? != n_skipped {
            return Err(fewer(range.start));
        }
        let mut left = range.len();
        while left > 0 {
            let (n_read, ..) =
                reader.read_records(left, Some(definitions), Some(repetitions), &mut values)?;
            if n_read == 0 {
                return Err(fewer(range.end));
            }
            left -= n_read.min(left);
        }
        at = range.end;
    }
    Ok(values)
}

/// A dictionary page, and data pages behind it.
struct Joined {
    dictionary: Bytes,
    pages: Bytes,
}

impl ReadAt for Joined {
    fn n_bytes(&self) -> u64 {
        (self.dictionary.len() + self.pages.len()) as u64
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let border = self.dictionary.len();
        let at = |it: u64| usize::try_from(it).ok().filter(|it| *it <= border + self.pages.len());
        match (at(range.start), at(range.end)) {
            (Some(start), Some(end)) if start <= end && border <= start => {
                Ok(self.pages.slice(start - border..end - border))
            }
            (Some(start), Some(end)) if start <= end && end <= border => {
                Ok(self.dictionary.slice(start..end))
            }
            (Some(start), Some(end)) if start <= end => {
                Ok([&self.dictionary[start..], &self.pages[..end - border]].concat().into())
            }
            _ => Err(Error::new(ErrorKind::Corrupt, "a page is longer than its place in the file")),
        }
    }
}
