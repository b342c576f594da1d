use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{Array, RecordBatch, cast::AsArray, types};
use nodedata_core::{
    EPISODE_INDEX, Error, ErrorKind, Feature, Locus, Result, StreamId, StreamKind, StreamSchema,
};
use nodedata_io::io_error;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::{
    ledger::Report,
    manifest::{Manifest, ShardEntry},
    reuse::b3_of_file,
};

/// A converted dataset on disk, opened by its manifest.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its folder.
    pub root: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
}

/// One row of the episode index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeEntry {
    /// Position of the episode in the dataset.
    pub episode: u64,
    /// Stable key.
    pub key: String,
    /// The stream; `None` for an episode without rows.
    pub stream: Option<String>,
    /// Position of the shard in the manifest; 0 for an episode without rows.
    pub shard: usize,
    /// First row in the shard.
    pub row: u64,
    /// Rows in the shard.
    pub n_rows: u64,
    /// Content hash of the episode's rows in the stream, over all shards.
    pub content: Option<Vec<u8>>,
    /// The input file it comes from.
    pub source: String,
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

/// The video of one episode and column, as `index/video.parquet` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

impl Dataset {
    /// Opens the dataset in a folder.
    ///
    /// # Errors
    /// `Io` when there is no manifest, `Corrupt` when it cannot be read as one.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let path = root.join("manifest.json");
        let text = fs::read_to_string(&path).map_err(|err| {
            io_error("cannot read the manifest", &path, err)
                .with_hint("name the folder that `node-data convert --out` wrote")
        })?;
        let manifest = serde_json::from_str(&text).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the manifest cannot be read")
                .with_source(err)
                .at(Locus::path(&path))
                .with_hint("restore it, or convert again with `--overwrite`")
        })?;
        Ok(Self { root, manifest })
    }

    /// Opens the dataset that a file of it, such as a shard, lies in; returns the file's path inside.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_file(file: &Path) -> Result<(Self, String)> {
        for folder in file.ancestors().skip(1) {
            if folder.join("manifest.json").is_file() {
                let inside = file.strip_prefix(folder).unwrap_or(file).display().to_string();
                return Ok((Self::open(folder)?, inside));
            }
        }
        Err(Error::new(ErrorKind::Config, "no folder above this file holds a manifest.json")
            .at(Locus::path(file))
            .with_hint("name a shard inside a dataset, or the dataset's folder"))
    }

    /// What the run that made the dataset reported.
    ///
    /// # Errors
    /// `Io` when there is no report, `Corrupt` when it cannot be read as one.
    pub fn report(&self) -> Result<Report> {
        let path = self.root.join("report.json");
        let text = fs::read_to_string(&path).map_err(|err| io_error("cannot read the report", &path, err))?;
        serde_json::from_str(&text).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the report cannot be read")
                .with_source(err)
                .at(Locus::path(&path))
        })
    }

    /// The content of `recipe.json`; `None` where the manifest names none.
    ///
    /// # Errors
    /// `Io` when it cannot be read.
    pub fn recipe(&self) -> Result<Option<Vec<u8>>> {
        let Some(entry) = &self.manifest.recipe_file else { return Ok(None) };
        let path = self.root.join(&entry.path);
        fs::read(&path).map(Some).map_err(|err| nodedata_io::io_error("cannot read the recipe", &path, err))
    }

    /// BLAKE3-256 of a file of the dataset as it lies there, 64 hex digits, whatever the manifest says.
    ///
    /// # Errors
    /// `Io` when it cannot be read.
    pub fn b3_of_file(&self, path: &str) -> Result<String> {
        b3_of_file(&self.root.join(path))
    }

    /// The rows of one shard, in batches. `episode_index` comes first.
    ///
    /// # Errors
    /// `Io` when the file is missing, `Corrupt` when it is no Parquet file.
    pub fn shard(&self, entry: &ShardEntry) -> Result<ParquetRecordBatchReader> {
        self.parquet(&entry.path)?.with_batch_size(1024).build().map_err(|err| unreadable(&entry.path, err))
    }

    pub(crate) fn parquet(&self, path: &str) -> Result<ParquetRecordBatchReaderBuilder<File>> {
        #[expect(clippy::disallowed_methods, reason = "a file of a dataset, not an input")]
        let file = File::open(self.root.join(path))
            .map_err(|err| io_error("cannot open the file", Path::new(path), err))?;
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|err| unreadable(path, err))
    }

    /// The stream of a shard as its columns say, without `episode_index`.
    ///
    /// # Errors
    /// `Unsupported` when a column has a type that no feature has.
    pub fn stream_of(&self, entry: &ShardEntry, schema: &arrow_schema::Schema) -> Result<StreamSchema> {
        let mut features = Vec::new();
        for field in schema.fields().iter().filter(|it| it.name() != EPISODE_INDEX) {
            let feature = Feature::from_arrow(field).ok_or_else(|| {
                let message = format!("column `{}` has a type that no feature has", field.name());
                Error::new(ErrorKind::Unsupported, message).at(Locus::path(&entry.path))
            })?;
            features.push(feature);
        }
        let stream = self.manifest.streams.iter().find(|it| it.name == entry.stream);
        Ok(StreamSchema {
            id: StreamId(0),
            name: Arc::from(entry.stream.as_str()),
            kind: stream.map_or(StreamKind::Steps, crate::StreamEntry::kind),
            features,
            metadata: stream.map(|it| it.metadata.clone()).unwrap_or_default(),
        })
    }

    /// The episode index.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn episodes(&self) -> Result<Vec<EpisodeEntry>> {
        let mut entries = Vec::new();
        for batch in self.index_table("episodes")? {
            let table = Table(&batch);
            for idx in 0..batch.num_rows() {
                entries.push(EpisodeEntry {
                    episode: table.i64("episode_index", idx)? as u64,
                    key: table.text("episode_key", idx)?.unwrap_or_default(),
                    stream: table.text("stream", idx)?,
                    shard: table.u32("shard", idx)? as usize,
                    row: table.u64("row", idx)?,
                    n_rows: table.u64("rows", idx)?,
                    content: table.hash("content", idx)?,
                    source: table.text("source", idx)?.unwrap_or_default(),
                });
            }
        }
        Ok(entries)
    }

    /// Where rows come from, by shard and row.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn origins(&self) -> Result<Vec<OriginEntry>> {
        let mut entries = Vec::new();
        for batch in self.index_table("origins")? {
            let table = Table(&batch);
            for idx in 0..batch.num_rows() {
                entries.push(OriginEntry {
                    shard: table.u32("shard", idx)? as usize,
                    row: table.u64("row", idx)?,
                    n_rows: table.u64("rows", idx)?,
                    source: table.text("source", idx)?.unwrap_or_default(),
                    byte_start: table.u64("byte_start", idx)?,
                    byte_end: table.u64("byte_end", idx)?,
                    first_record: table.u64("first_record", idx)?,
                });
            }
        }
        Ok(entries)
    }

    /// What decoders need beside the samples of coded video columns; empty where there are none.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn videos(&self) -> Result<Vec<VideoEntry>> {
        let mut entries = Vec::new();
        if !self.manifest.index.contains_key("video") {
            return Ok(entries);
        }
        for batch in self.index_table("video")? {
            let table = Table(&batch);
            for idx in 0..batch.num_rows() {
                entries.push(VideoEntry {
                    episode: table.i64("episode_index", idx)? as u64,
                    stream: table.text("stream", idx)?.unwrap_or_default(),
                    feature: table.text("feature", idx)?.unwrap_or_default(),
                    codec: table.text("codec", idx)?.unwrap_or_default(),
                    codec_config: table.bytes("codec_config", idx)?,
                });
            }
        }
        Ok(entries)
    }

    fn index_table(&self, name: &str) -> Result<Vec<RecordBatch>> {
        let entry = self.manifest.index.get(name).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the manifest names no index table `{name}`"))
        })?;
        let reader = self.parquet(&entry.path)?.build().map_err(|err| unreadable(&entry.path, err))?;
        reader.collect::<Result<_, _>>().map_err(|err| corrupt_rows(&entry.path, err))
    }
}

/// Columns of an index table by name and type.
struct Table<'a>(&'a RecordBatch);

impl Table<'_> {
    fn column(&self, name: &str) -> Result<&dyn Array> {
        self.0
            .column_by_name(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("the index has no column `{name}`")))
    }

    fn wrong(name: &str) -> Error {
        Error::new(ErrorKind::Corrupt, format!("column `{name}` of the index has another type"))
    }

    fn text(&self, name: &str, idx: usize) -> Result<Option<String>> {
        let array = self.column(name)?.as_string_opt::<i32>().ok_or_else(|| Self::wrong(name))?;
        Ok(array.is_valid(idx).then(|| array.value(idx).to_owned()))
    }

    fn u64(&self, name: &str, idx: usize) -> Result<u64> {
        let array = self.column(name)?.as_primitive_opt::<types::UInt64Type>();
        Ok(array.ok_or_else(|| Self::wrong(name))?.value(idx))
    }

    fn u32(&self, name: &str, idx: usize) -> Result<u32> {
        let array = self.column(name)?.as_primitive_opt::<types::UInt32Type>();
        Ok(array.ok_or_else(|| Self::wrong(name))?.value(idx))
    }

    fn i64(&self, name: &str, idx: usize) -> Result<i64> {
        let array = self.column(name)?.as_primitive_opt::<types::Int64Type>();
        Ok(array.ok_or_else(|| Self::wrong(name))?.value(idx))
    }

    fn bytes(&self, name: &str, idx: usize) -> Result<Vec<u8>> {
        let array = self.column(name)?.as_binary_opt::<i32>().ok_or_else(|| Self::wrong(name))?;
        Ok(array.value(idx).to_vec())
    }

    fn hash(&self, name: &str, idx: usize) -> Result<Option<Vec<u8>>> {
        let array = self.column(name)?.as_fixed_size_binary_opt().ok_or_else(|| Self::wrong(name))?;
        Ok(array.is_valid(idx).then(|| array.value(idx).to_vec()))
    }
}

pub(crate) fn unreadable(path: &str, err: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Corrupt, "this is not a Parquet file we can read")
        .with_source(err)
        .at(Locus::path(path))
}

pub(crate) fn corrupt_rows(path: &str, err: arrow_schema::ArrowError) -> Error {
    Error::new(ErrorKind::Corrupt, "the rows of the file cannot be decoded")
        .with_source(err)
        .at(Locus::path(path))
}
