//! The rows of the index tables, as readers see them.

use arrow_array::{Array, ArrowPrimitiveType, RecordBatch, cast::AsArray, types};
use nodedata_core::{Error, ErrorKind, Result};

use crate::index_video::PREROLL_FRAMES;

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
    /// Steps of the episode at whose samples decoding can start, rising; `None` where the dataset was made before they were noted.
    pub keyframes: Option<Vec<u32>>,
    /// Samples that decoding takes and that no row holds: [`crate::Dataset::preroll`] has them.
    pub n_preroll: u32,
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
            keyframes: table.u32s("keyframes", idx)?,
            n_preroll: match batch.column_by_name(PREROLL_FRAMES) {
                Some(_) => table.u32(PREROLL_FRAMES, idx)?,
                None => 0,
            },
        })
    };
    (0..batch.num_rows()).map(entry).collect()
}

/// The row of the video of an episode in a batch of the table; `None` where it has none.
///
/// # Errors
/// `Corrupt` when the table's columns have other types.
pub(crate) fn row_of_video(
    batch: &RecordBatch,
    stream: &str,
    feature: &str,
    episode: u64,
) -> Result<Option<usize>> {
    let table = Columns(batch);
    for idx in 0..batch.num_rows() {
        if table.episode(idx)? == episode
            && table.text("feature", idx)? == feature
            && table.text("stream", idx)? == stream
        {
            return Ok(Some(idx));
        }
    }
    Ok(None)
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

    pub(crate) fn episode(&self, idx: usize) -> Result<u64> {
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

    /// A list of whole numbers; `None` where there is no such column, as in tables of earlier versions.
    fn u32s(&self, name: &str, idx: usize) -> Result<Option<Vec<u32>>> {
        let Some(column) = self.0.column_by_name(name) else { return Ok(None) };
        let list = column.as_list_opt::<i32>().ok_or_else(|| wrong(name))?;
        if list.is_null(idx) {
            return Ok(None);
        }
        let values = list.value(idx);
        let numbers = values.as_primitive_opt::<types::UInt32Type>().ok_or_else(|| wrong(name))?;
        Ok(Some(numbers.values().to_vec()))
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
