//! The rows of the index tables, as readers see them.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, ArrowPrimitiveType, RecordBatch, cast::AsArray, types};
use nodedata_core::{Error, ErrorKind, Fact, Locus, ReadAt, Result};

use crate::{pages::PageEntry, ranges::Rows};

/// One row of the episode index.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeEntry {
    /// Position of the episode in the dataset.
    pub episode: u64,
    /// Stable key.
    pub key: String,
    /// The stream; `None` for an episode without rows.
    pub stream: Option<String>,
    /// Its split.
    pub split: String,
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
    pub task: Option<String>,
    /// The input file it comes from.
    pub source: String,
    /// Content hash of the episode's rows in the stream, over all shards.
    pub content: Option<[u8; 32]>,
    /// What else the source says of the episode, each value of the type it has there.
    pub metadata: BTreeMap<String, Fact>,
}

/// Rows of a shard and the bytes they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginEntry {
    /// Position of the shard in the manifest.
    pub shard: usize,
    /// First row in the shard.
    pub row: u64,
    /// Rows.
    pub n_rows: u64,
    /// Input file.
    pub source: String,
    /// First byte.
    pub byte_start: u64,
    /// One past the last byte.
    pub byte_end: u64,
    /// Which of the stream's records in that range the first row is made of, counted from 0.
    pub first_record: u64,
}

/// The video of one episode and column.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoEntry {
    /// Episode index.
    pub episode: u64,
    /// Stream of the column.
    pub stream: String,
    /// Name of the column.
    pub feature: String,
    /// `h264`, `h265`, `av1` …
    pub codec: String,
    /// What a decoder needs before the first sample.
    pub codec_config: Vec<u8>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: f64,
    /// Frames.
    pub n_frames: u64,
    /// Input file.
    pub source: String,
    /// Which frame of that file the first one is.
    pub first_frame: u64,
}

/// A file that the source carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentEntry {
    /// Episode index.
    pub episode: u64,
    /// Its name there: data, never a path.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// When it was recorded.
    pub log_time_ns: i64,
    /// When it was made.
    pub create_time_ns: i64,
    /// Length.
    pub n_bytes: u64,
    /// Where it lies in the dataset.
    pub path: String,
}

pub(crate) fn episodes(batch: &RecordBatch) -> Result<Vec<EpisodeEntry>> {
    let table = Columns(batch);
    let entry = |idx| {
        Ok(EpisodeEntry {
            episode: table.episode(idx)?,
            key: table.text("episode_key", idx)?,
            stream: table.optional_text("stream", idx)?,
            split: table.text("split", idx)?,
            shard: table.u32("shard", idx)? as usize,
            row: table.u64("row", idx)?,
            n_rows: table.u64("rows", idx)?,
            row_group: table.u32("row_group", idx)?,
            n_row_groups: table.u32("row_groups", idx)?,
            start_time_ns: table.number::<types::Int64Type>("start_time_ns", idx)?,
            end_time_ns: table.number::<types::Int64Type>("end_time_ns", idx)?,
            task: table.optional_text("task", idx)?,
            source: table.text("source", idx)?,
            content: table.hash("content", idx)?,
            metadata: table.facts(idx)?,
        })
    };
    (0..batch.num_rows()).map(entry).collect()
}

pub(crate) fn origins(batch: &RecordBatch) -> Result<Vec<OriginEntry>> {
    let table = Columns(batch);
    let entry = |idx| {
        Ok(OriginEntry {
            shard: table.u32("shard", idx)? as usize,
            row: table.u64("row", idx)?,
            n_rows: table.u64("rows", idx)?,
            source: table.text("source", idx)?,
            byte_start: table.u64("byte_start", idx)?,
            byte_end: table.u64("byte_end", idx)?,
            first_record: table.u64("first_record", idx)?,
        })
    };
    (0..batch.num_rows()).map(entry).collect()
}

pub(crate) fn videos(batch: &RecordBatch) -> Result<Vec<VideoEntry>> {
    let table = Columns(batch);
    let entry = |idx| {
        Ok(VideoEntry {
            episode: table.episode(idx)?,
            stream: table.text("stream", idx)?,
            feature: table.text("feature", idx)?,
            codec: table.text("codec", idx)?,
            codec_config: table.bytes("codec_config", idx)?,
            width: table.u32("width", idx)?,
            height: table.u32("height", idx)?,
            fps: table.number::<types::Float64Type>("fps", idx)?.unwrap_or_default(),
            n_frames: table.u64("frames", idx)?,
            source: table.text("source", idx)?,
            first_frame: table.u64("first_frame", idx)?,
        })
    };
    (0..batch.num_rows()).map(entry).collect()
}

pub(crate) fn attachments(batch: &RecordBatch) -> Result<Vec<AttachmentEntry>> {
    let table = Columns(batch);
    let entry = |idx| {
        Ok(AttachmentEntry {
            episode: table.episode(idx)?,
            name: table.text("name", idx)?,
            media_type: table.text("media_type", idx)?,
            log_time_ns: table.number::<types::Int64Type>("log_time_ns", idx)?.unwrap_or_default(),
            create_time_ns: table.number::<types::Int64Type>("create_time_ns", idx)?.unwrap_or_default(),
            n_bytes: table.u64("bytes", idx)?,
            path: table.text("path", idx)?,
        })
    };
    (0..batch.num_rows()).map(entry).collect()
}

/// The pages of a batch by shard, in their order. There are many, so neighbours share the name of their column.
pub(crate) fn pages(batch: &RecordBatch) -> Result<Vec<(usize, PageEntry)>> {
    let table = Columns(batch);
    let mut name: Arc<str> = "".into();
    let names = table.column("column")?.as_string_opt::<i32>().ok_or_else(|| wrong("column"))?;
    let mut entry = |idx| {
        if *name != *names.value(idx) {
            name = names.value(idx).into();
        }
        let page = PageEntry {
            row_group: table.u32("row_group", idx)?,
            column: Arc::clone(&name),
            offset: table.u64("offset", idx)?,
            n_bytes: table.u64("length", idx)?,
            first_row: table.number::<types::Int64Type>("first_row", idx)?.unwrap_or_default(),
        };
        Ok((table.u32("shard", idx)? as usize, page))
    };
    (0..batch.num_rows()).map(&mut entry).collect()
}

impl EpisodeEntry {
    /// The rows of an episode index that lies at `path`.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn read(path: &str, file: Arc<dyn ReadAt>) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for batch in Rows::of_file(path, file)? {
            all.extend(episodes(&batch?).map_err(|err| err.at(Locus::path(path)))?);
        }
        Ok(all)
    }
}

/// Columns of an index table by name and type. Every way to a value is `Corrupt` when there is no such column, or another type in it.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a>(pub &'a RecordBatch);

impl Columns<'_> {
    fn column(&self, name: &str) -> Result<&dyn Array> {
        self.0
            .column_by_name(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("the index has no column `{name}`")))
    }

    fn number<T: ArrowPrimitiveType>(&self, name: &str, idx: usize) -> Result<Option<T::Native>> {
        let array = self.column(name)?.as_primitive_opt::<T>().ok_or_else(|| wrong(name))?;
        Ok(array.is_valid(idx).then(|| array.value(idx)))
    }

    /// A whole number; 0 where there is none.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn u64(&self, name: &str, idx: usize) -> Result<u64> {
        Ok(self.number::<types::UInt64Type>(name, idx)?.unwrap_or_default())
    }

    /// A whole number; 0 where there is none.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn u32(&self, name: &str, idx: usize) -> Result<u32> {
        Ok(self.number::<types::UInt32Type>(name, idx)?.unwrap_or_default())
    }

    fn episode(&self, idx: usize) -> Result<u64> {
        let episode = self.number::<types::Int64Type>("episode_index", idx)?.unwrap_or_default();
        u64::try_from(episode)
            .map_err(|_| Error::new(ErrorKind::Corrupt, format!("the index has an episode {episode}")))
    }

    /// A text.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn optional_text(&self, name: &str, idx: usize) -> Result<Option<String>> {
        let array = self.column(name)?.as_string_opt::<i32>().ok_or_else(|| wrong(name))?;
        Ok(array.is_valid(idx).then(|| array.value(idx).to_owned()))
    }

    /// A text; empty where there is none.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn text(&self, name: &str, idx: usize) -> Result<String> {
        Ok(self.optional_text(name, idx)?.unwrap_or_default())
    }

    /// Metadata: texts, and beside them the types of those that are none. Tables of earlier versions lack one or both.
    fn facts(&self, idx: usize) -> Result<BTreeMap<String, Fact>> {
        let mut types = self.texts("metadata_types", idx)?;
        let fact = |(key, text): (String, String)| {
            let kind = types.remove(&key).unwrap_or_else(|| "text".to_owned());
            // A type of a later version says no more to this one than the text does.
            let fact = Fact::parse(&kind, &text).unwrap_or(Fact::Text(text));
            (key, fact)
        };
        Ok(self.texts("metadata", idx)?.into_iter().map(fact).collect())
    }

    /// The entries of a map of texts; none where there is no such column.
    fn texts(&self, name: &str, idx: usize) -> Result<BTreeMap<String, String>> {
        let Some(column) = self.0.column_by_name(name) else { return Ok(BTreeMap::new()) };
        let entries = column.as_map_opt().ok_or_else(|| wrong(name))?.value(idx);
        let [keys, values] = [entries.column(0), entries.column(1)]
            .map(|it| it.as_string_opt::<i32>().ok_or_else(|| wrong(name)));
        let (keys, values) = (keys?, values?);
        let entry = |idx| (keys.value(idx).to_owned(), values.value(idx).to_owned());
        Ok((0..entries.len()).map(entry).collect())
    }

    fn bytes(&self, name: &str, idx: usize) -> Result<Vec<u8>> {
        let array = self.column(name)?.as_binary_opt::<i32>().ok_or_else(|| wrong(name))?;
        Ok(array.value(idx).to_vec())
    }

    /// A hash.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn hash(&self, name: &str, idx: usize) -> Result<Option<[u8; 32]>> {
        let array = self.column(name)?.as_fixed_size_binary_opt().ok_or_else(|| wrong(name))?;
        let hash = array.is_valid(idx).then(|| array.value(idx).try_into().map_err(|_| wrong(name)));
        hash.transpose()
    }
}

fn wrong(name: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("column `{name}` of the index has another type"))
}
