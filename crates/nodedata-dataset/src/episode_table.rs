//! The episode index, column by column: one row for each episode of a stream and shard.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use arrow_array::{
    Array, FixedSizeBinaryArray, Int64Array, MapArray, PrimitiveArray, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
    builder::{
        FixedSizeBinaryBuilder, Int64Builder, MapBuilder, StringBuilder, UInt32Builder, UInt64Builder,
    },
    cast::AsArray,
    types::ArrowPrimitiveType,
};
use nodedata_core::{Error, ErrorKind, Fact, Locus, ReadAt, Result};

use crate::{
    index::{table, table_error, table_of},
    ranges::Rows,
};

/// One row of `index/episodes.parquet` to be written: the rows of one episode in one shard, or an episode without rows.
#[derive(Debug, Clone)]
pub struct EpisodeRow<'a> {
    /// Position of the episode in the dataset.
    pub episode: u64,
    /// Stable key.
    pub key: &'a str,
    /// Its split.
    pub split: &'a str,
    /// `None` for an episode without rows.
    pub place: Option<EpisodePlace<'a>>,
    /// What was to be done.
    pub task: Option<&'a str>,
    /// The input file it comes from.
    pub source: Cow<'a, str>,
    /// Content hash of the episode's rows in this stream, over all shards.
    pub content: Option<[u8; 32]>,
    /// What else the source says of the episode.
    pub metadata: &'a BTreeMap<Arc<str>, Fact>,
}

/// Where rows of an episode lie.
#[derive(Debug, Clone, Copy)]
pub struct EpisodePlace<'a> {
    /// Their stream.
    pub stream: &'a str,
    /// Position of the shard in the manifest.
    pub shard: usize,
    /// First row in the shard.
    pub row: u64,
    /// Rows.
    pub n_rows: u64,
    /// First row group.
    pub row_group: u64,
    /// Row groups.
    pub n_row_groups: u64,
    /// Time of the first row, where there is a clock.
    pub start_time_ns: Option<i64>,
    /// Time of the last row.
    pub end_time_ns: Option<i64>,
}

/// The bytes of `index/episodes.parquet`.
///
/// # Errors
/// What encoding reports.
pub fn episode_table(rows: &[EpisodeRow<'_>]) -> Result<Vec<u8>> {
    let mut episode = Int64Builder::new();
    let (mut key, mut stream, mut split) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let (mut shard, mut row, mut n_rows) = (UInt32Builder::new(), UInt64Builder::new(), UInt64Builder::new());
    let (mut group, mut n_groups) = (UInt32Builder::new(), UInt32Builder::new());
    let (mut start, mut end) = (Int64Builder::new(), Int64Builder::new());
    let (mut task, mut source) = (StringBuilder::new(), StringBuilder::new());
    let mut content = FixedSizeBinaryBuilder::new(32);
    let map = || MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    let (mut metadata, mut types) = (map(), map());
    for it in rows {
        episode.append_value(it.episode as i64);
        key.append_value(it.key);
        stream.append_option(it.place.map(|it| it.stream));
        split.append_value(it.split);
        shard.append_option(it.place.map(|it| it.shard as u32));
        row.append_option(it.place.map(|it| it.row));
        n_rows.append_value(it.place.map_or(0, |it| it.n_rows));
        group.append_option(it.place.map(|it| it.row_group as u32));
        n_groups.append_option(it.place.map(|it| it.n_row_groups as u32));
        start.append_option(it.place.and_then(|it| it.start_time_ns));
        end.append_option(it.place.and_then(|it| it.end_time_ns));
        task.append_option(it.task);
        source.append_value(&it.source);
        match it.content {
            Some(hash) => content.append_value(hash).map_err(table_error)?,
            None => content.append_null(),
        }
        for (name, value) in it.metadata {
            metadata.keys().append_value(name);
            metadata.values().append_value(value.to_string());
            if !matches!(value, Fact::Text(_)) {
                types.keys().append_value(name);
                types.values().append_value(value.type_name());
            }
        }
        metadata.append(true).map_err(table_error)?;
        types.append(true).map_err(table_error)?;
    }
    table(vec![
        ("episode_index", Arc::new(episode.finish()), false),
        ("episode_key", Arc::new(key.finish()), false),
        ("stream", Arc::new(stream.finish()), true),
        ("split", Arc::new(split.finish()), false),
        ("shard", Arc::new(shard.finish()), true),
        ("row", Arc::new(row.finish()), true),
        ("rows", Arc::new(n_rows.finish()), false),
        ("row_group", Arc::new(group.finish()), true),
        ("row_groups", Arc::new(n_groups.finish()), true),
        ("start_time_ns", Arc::new(start.finish()), true),
        ("end_time_ns", Arc::new(end.finish()), true),
        ("task", Arc::new(task.finish()), true),
        ("source", Arc::new(source.finish()), false),
        ("content", Arc::new(content.finish()), true),
        ("metadata", Arc::new(metadata.finish()), false),
        // Of values that are no text: `bool`, `int` or `float`.
        ("metadata_types", Arc::new(types.finish()), false),
    ])
}

/// The episode index as it was read: its columns, checked once.
#[derive(Debug, Clone)]
pub struct EpisodeTable {
    parts: Vec<Part>,
    /// Position of the first row of each part.
    starts: Vec<usize>,
    n_rows: usize,
}

/// One row of the episode index: the rows of one episode in one shard, or an episode without rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpisodeEntry<'a> {
    /// Position of the episode in the dataset.
    pub episode: u64,
    /// Stable key.
    pub key: &'a str,
    /// The stream; `None` for an episode without rows.
    pub stream: Option<&'a str>,
    /// Its split.
    pub split: &'a str,
    /// Position of the shard in the manifest; 0 for an episode without rows.
    pub shard: usize,
    /// First row in the shard.
    pub row: u64,
    /// Rows in the shard.
    pub n_rows: u64,
    /// First row group in the shard.
    pub row_group: u32,
    /// Row groups in the shard; neighbours of the episode may share the first and the last.
    pub n_row_groups: u32,
    /// Time of the first row, where the stream has a clock.
    pub start_time_ns: Option<i64>,
    /// Time of the last row.
    pub end_time_ns: Option<i64>,
    /// What was to be done, where the source says so.
    pub task: Option<&'a str>,
    /// The input file it comes from.
    pub source: &'a str,
    /// Content hash of the episode's rows in the stream, over all shards.
    pub content: Option<[u8; 32]>,
}

impl EpisodeTable {
    /// Reads an episode index that lies at `path`.
    ///
    /// # Errors
    /// `Corrupt`; `Limit` when its rows take more memory than a table of its length may; `Io`.
    pub fn read(path: &str, file: Arc<dyn ReadAt>) -> Result<Self> {
        Self::read_within(path, file, u64::MAX)
    }

    /// The same, for somebody who has memory for no more than `bytes_max` bytes of rows.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_within(path: &str, file: Arc<dyn ReadAt>, bytes_max: u64) -> Result<Self> {
        Self::of(Rows::of_file_within(path, file, bytes_max)?).map_err(|err| err.at(Locus::path(path)))
    }

    /// The rows of some batches.
    ///
    /// # Errors
    /// `Corrupt` when a column is missing or has another type; what the batches report.
    pub(crate) fn of(batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<Self> {
        let mut table = Self { parts: Vec::new(), starts: Vec::new(), n_rows: 0 };
        for batch in batches {
            let part = Part::new(batch?)?;
            table.starts.push(table.n_rows);
            table.n_rows += part.len();
            table.parts.push(part);
        }
        Ok(table)
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// The row at a position.
    pub fn get(&self, idx: usize) -> Option<EpisodeEntry<'_>> {
        let (part, idx) = self.at(idx)?;
        Some(part.entry(idx))
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = EpisodeEntry<'_>> {
        self.parts.iter().flat_map(|part| (0..part.len()).map(|idx| part.entry(idx)))
    }

    /// What else the source says of the episode of a row, each value of the type it has there; nothing of a row that is not there.
    pub fn metadata(&self, idx: usize) -> BTreeMap<String, Fact> {
        self.at(idx).map(|(part, idx)| part.metadata(idx)).unwrap_or_default()
    }

    /// The same rows, those with a place in another split where `split_of` names one for their shard.
    ///
    /// # Errors
    /// `Corrupt` when the column cannot be changed.
    pub fn with_splits<'a>(&self, split_of: impl Fn(usize) -> Option<&'a str>) -> Result<Self> {
        let changed = |part: &Part| {
            let splits: StringArray = (0..part.len())
                .map(|idx| {
                    let entry = part.entry(idx);
                    let other = entry.stream.and_then(|_| split_of(entry.shard));
                    Some(other.unwrap_or(entry.split))
                })
                .collect();
            let schema = part.rows.schema();
            let at = schema.index_of("split").map_err(table_error)?;
            let mut columns = part.rows.columns().to_vec();
            // The column is there, or the part would not be.
            if let Some(column) = columns.get_mut(at) {
                *column = Arc::new(splits);
            }
            RecordBatch::try_new(schema, columns).map_err(table_error)
        };
        Self::of(self.parts.iter().map(changed))
    }

    /// The bytes of the table, with the columns it was read with.
    ///
    /// # Errors
    /// `Corrupt` when it has no rows, and so no columns; what encoding reports.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let batches: Vec<RecordBatch> = self.parts.iter().map(|it| it.rows.clone()).collect();
        let schema = batches.first().map(RecordBatch::schema);
        let schema = schema.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the episode table has no rows"))?;
        table_of(&schema, &batches)
    }

    /// The part that a row lies in, and its position there.
    fn at(&self, idx: usize) -> Option<(&Part, usize)> {
        let part = self.starts.partition_point(|it| *it <= idx).checked_sub(1)?;
        let (part, start) = (self.parts.get(part)?, self.starts.get(part)?);
        (idx - start < part.len()).then_some((part, idx - start))
    }
}

/// Of the same rows, however they are cut into batches.
impl PartialEq for EpisodeTable {
    fn eq(&self, other: &Self) -> bool {
        let metadata = |table: &Self| (0..table.len()).map(|it| table.metadata(it)).collect::<Vec<_>>();
        self.iter().eq(other.iter()) && metadata(self) == metadata(other)
    }
}

/// The columns of some neighbouring rows.
#[derive(Debug, Clone)]
struct Part {
    rows: RecordBatch,
    episode: Int64Array,
    key: StringArray,
    stream: StringArray,
    split: StringArray,
    shard: UInt32Array,
    row: UInt64Array,
    n_rows: UInt64Array,
    row_group: UInt32Array,
    n_row_groups: UInt32Array,
    start_time_ns: Int64Array,
    end_time_ns: Int64Array,
    task: StringArray,
    source: StringArray,
    content: FixedSizeBinaryArray,
    /// Texts, and beside them the types of those that are none. Tables of earlier versions lack one or both.
    metadata: Option<MapArray>,
    types: Option<MapArray>,
}

impl Part {
    fn new(rows: RecordBatch) -> Result<Self> {
        let text =
            |name: &str| column(&rows, name)?.as_string_opt::<i32>().cloned().ok_or_else(|| wrong(name));
        let content = column(&rows, "content")?.as_fixed_size_binary_opt().cloned();
        let content = content.filter(|it| it.value_length() == 32).ok_or_else(|| wrong("content"))?;
        let part = Self {
            episode: numbers(&rows, "episode_index")?,
            key: text("episode_key")?,
            stream: text("stream")?,
            split: text("split")?,
            shard: numbers(&rows, "shard")?,
            row: numbers(&rows, "row")?,
            n_rows: numbers(&rows, "rows")?,
            row_group: numbers(&rows, "row_group")?,
            n_row_groups: numbers(&rows, "row_groups")?,
            start_time_ns: numbers(&rows, "start_time_ns")?,
            end_time_ns: numbers(&rows, "end_time_ns")?,
            task: text("task")?,
            source: text("source")?,
            content,
            metadata: texts(&rows, "metadata")?,
            types: texts(&rows, "metadata_types")?,
            rows,
        };
        if let Some(below) = part.episode.iter().flatten().find(|it| *it < 0) {
            return Err(Error::new(ErrorKind::Corrupt, format!("the index has an episode {below}")));
        }
        Ok(part)
    }

    fn len(&self) -> usize {
        self.rows.num_rows()
    }

    fn entry(&self, idx: usize) -> EpisodeEntry<'_> {
        let hash = |it: &FixedSizeBinaryArray| it.value(idx).try_into().ok();
        EpisodeEntry {
            episode: number(&self.episode, idx).map_or(0, i64::unsigned_abs),
            key: value(&self.key, idx).unwrap_or_default(),
            stream: value(&self.stream, idx),
            split: value(&self.split, idx).unwrap_or_default(),
            shard: number(&self.shard, idx).unwrap_or_default() as usize,
            row: number(&self.row, idx).unwrap_or_default(),
            n_rows: number(&self.n_rows, idx).unwrap_or_default(),
            row_group: number(&self.row_group, idx).unwrap_or_default(),
            n_row_groups: number(&self.n_row_groups, idx).unwrap_or_default(),
            start_time_ns: number(&self.start_time_ns, idx),
            end_time_ns: number(&self.end_time_ns, idx),
            task: value(&self.task, idx),
            source: value(&self.source, idx).unwrap_or_default(),
            content: self.content.is_valid(idx).then(|| hash(&self.content)).flatten(),
        }
    }

    fn metadata(&self, idx: usize) -> BTreeMap<String, Fact> {
        let mut types = entries(self.types.as_ref(), idx);
        let fact = |(key, text): (String, String)| {
            let kind = types.remove(&key).unwrap_or_else(|| "text".to_owned());
            // A type of a later version says no more to this one than the text does.
            let fact = Fact::parse(&kind, &text).unwrap_or(Fact::Text(text));
            (key, fact)
        };
        entries(self.metadata.as_ref(), idx).into_iter().map(fact).collect()
    }
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a dyn Array> {
    let found = rows.column_by_name(name).map(AsRef::as_ref);
    found.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("the index has no column `{name}`")))
}

fn wrong(name: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("column `{name}` of the index has another type"))
}

fn numbers<T: ArrowPrimitiveType>(rows: &RecordBatch, name: &str) -> Result<PrimitiveArray<T>> {
    column(rows, name)?.as_primitive_opt::<T>().cloned().ok_or_else(|| wrong(name))
}

/// A map of texts; `None` where there is no such column.
fn texts(rows: &RecordBatch, name: &str) -> Result<Option<MapArray>> {
    let Some(found) = rows.column_by_name(name) else { return Ok(None) };
    let map = found.as_map_opt().ok_or_else(|| wrong(name))?;
    let is_text = |it: &Arc<dyn Array>| it.as_string_opt::<i32>().is_some();
    if !is_text(map.keys()) || !is_text(map.values()) {
        return Err(wrong(name));
    }
    Ok(Some(map.clone()))
}

fn number<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, idx: usize) -> Option<T::Native> {
    column.is_valid(idx).then(|| column.value(idx))
}

fn value(column: &StringArray, idx: usize) -> Option<&str> {
    column.is_valid(idx).then(|| column.value(idx))
}

/// The entries of one row of a map of texts.
fn entries(map: Option<&MapArray>, idx: usize) -> BTreeMap<String, String> {
    let Some(map) = map.filter(|it| it.is_valid(idx)) else { return BTreeMap::new() };
    let row = map.value(idx);
    let [keys, values] = [row.column(0), row.column(1)].map(|it| it.as_string_opt::<i32>());
    let (Some(keys), Some(values)) = (keys, values) else { return BTreeMap::new() };
    let entry = |(key, value): (Option<&str>, Option<&str>)| Some((key?.to_owned(), value?.to_owned()));
    keys.iter().zip(values).filter_map(entry).collect()
}

#[cfg(test)]
mod tests;
