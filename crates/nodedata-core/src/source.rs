use std::{collections::BTreeMap, ops::Range, path::PathBuf, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{DType, Error, Feature, Result};

/// An opened dataset. Shared by all worker threads.
pub trait Source: Send + Sync {
    /// The streams every episode may contain, known before any row is read.
    fn streams(&self) -> &[StreamSchema];

    /// The files read, in a stable order; [`Partition::input`] points into it.
    fn inputs(&self) -> &[InputFile];

    /// The episodes, numbered before any row is read; [`Partition::episode`] points into it.
    fn episodes(&self) -> &[EpisodeInfo];

    /// Parts that can be read independently, in output order. The unit of parallelism. Parts of one
    /// episode are neighbours and are joined in this order.
    fn partitions(&self) -> &[Partition];

    /// Starts reading one partition.
    ///
    /// # Errors
    /// `Io` or `Corrupt` when the partition cannot be opened.
    fn read(&self, partition: &Partition, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>>;

    /// As [`Self::read`] where only the rows of `streams` are wanted. A source that can skip the others
    /// does so and counts no record of them; one that cannot hands them out, too.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_only(
        &self,
        partition: &Partition,
        options: &ReadOptions,
        streams: &[StreamId],
    ) -> Result<Box<dyn EpisodeStream>> {
        let _all_of_them = streams;
        self.read(partition, options)
    }

    /// Earliest and latest log time of a partition's records, whatever their stream, where metadata tells:
    /// no record lies outside. `None` when it does not.
    fn times(&self, partition: &Partition) -> Option<(i64, i64)> {
        let _unknown = partition;
        None
    }

    /// Streams whose records are read and counted but are no rows of their own, because rows of other
    /// streams are made of them. Their [`StreamId`]s follow those of [`Self::streams`].
    fn counted(&self) -> &[Arc<str>] {
        &[]
    }

    /// What decides the rows of a partition besides its bytes and the options, such as which steps of an
    /// episode it makes.
    fn plan_of(&self, partition: &Partition) -> Option<String> {
        let _nothing = partition;
        None
    }

    /// Inputs that decide the rows of a partition as a whole, wherever their bytes lie: the video beside the
    /// rows, the footer behind them, the tables that point at both. By position in [`Self::inputs`].
    fn whole_inputs(&self, partition: &Partition) -> Vec<usize> {
        let _nothing_but_its_bytes = partition;
        Vec::new()
    }

    /// Files carried inside the source, such as MCAP attachments.
    fn attachments(&self) -> &[Attachment] {
        &[]
    }

    /// Damage found while opening; empty unless the source was opened to salvage.
    fn damage(&self) -> &[Error] {
        &[]
    }

    /// Remarks that lose nothing but that the user should know of.
    fn warnings(&self) -> &[Error] {
        &[]
    }

    /// What the metadata said wrongly and the data itself put right, and what could not be carried, each
    /// by name. Any of it makes the run incomplete, though it is no damage.
    fn repairs(&self) -> &[Error] {
        &[]
    }

    /// What decoders need beside the samples of coded video columns: one entry per episode and column.
    fn videos(&self) -> &[EpisodeVideo] {
        &[]
    }

    /// Streams that exist but were not selected, by name.
    fn unselected(&self) -> &[String] {
        &[]
    }
}

/// A cursor over one partition: the rows of one or more episodes, or a part of one.
pub trait EpisodeStream: Send {
    /// The next batch, or `None` at the end. Never empty.
    ///
    /// Damage is an `Err` in place with its [`crate::Loss`]; the stream stays usable and the next
    /// call moves past the damage. A stream never returns the same damage twice.
    ///
    /// # Errors
    /// `Corrupt` with the byte offset of what could not be read; `Limit`; `Io`.
    fn next_batch(&mut self) -> Result<Option<Batch>>;

    /// Records walked so far per stream, counted by framing, before any of them is decoded. At the
    /// end of the stream it must equal rows returned plus records named in losses.
    fn records_read(&self) -> &[(StreamId, u64)];

    /// What became of the records that rows of another stream are made of; known at the end of the stream.
    fn fates(&self) -> &[Fate] {
        &[]
    }
}

/// What became of the records of one stream that rows of another are made of. Each record is counted
/// once, by one partition, also where several partitions look at it. Those that read them need not be those
/// that count them: over all partitions, the records read are those of all fates and losses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The stream; or that of the steps, with steps that were left out under `dropped`.
    pub stream: StreamId,
    /// Records at least one step has a value of.
    pub used: u64,
    /// Records that gave way to others, by reason.
    pub superseded: BTreeMap<&'static str, u64>,
    /// Records that no step was there for, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

impl Fate {
    /// Nothing counted yet.
    pub fn new(stream: StreamId) -> Self {
        Self { stream, used: 0, superseded: BTreeMap::new(), dropped: BTreeMap::new() }
    }
}

/// A file of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Relative to the source's root.
    pub path: PathBuf,
    /// Length in bytes.
    pub n_bytes: u64,
}

/// Name of the column every table of a dataset starts with, before those of the source.
pub const EPISODE_INDEX: &str = "episode_index";

/// One stream of a source: the step table of a step format, or one topic of a log.
#[derive(Debug, Clone)]
pub struct StreamSchema {
    /// Position in [`Source::streams`].
    pub id: StreamId,
    /// Topic, or `steps`. Unique in the source: one topic with two definitions is `/t` and `/t#<hash8>`.
    pub name: Arc<str>,
    /// What one row is indexed by.
    pub clock: StreamClock,
    /// The columns, in order. For logs the first three are `log_time_ns` int64, `publish_time_ns`
    /// int64 and `sequence` uint32 (null where the source has none).
    pub features: Vec<Feature>,
    /// Facts of the source: `topic`, `message_encoding`, `schema_name`, `schema_encoding`, `schema` …
    pub metadata: BTreeMap<String, String>,
}

impl StreamSchema {
    /// The Arrow schema of a batch of this stream.
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(self.features.iter().map(Feature::arrow_field).collect::<Vec<_>>()))
    }
}

/// Index into [`Source::streams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// What one row of a stream is indexed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamClock {
    /// One row per step; rows of an episode are already aligned.
    Step,
    /// One row per message, stamped in nanoseconds; needs alignment.
    LogTimeNanos,
}

/// Rows of one stream and one episode.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Which stream.
    pub stream: StreamId,
    /// The rows, in source order, with the schema of [`StreamSchema::arrow`].
    pub rows: RecordBatch,
    /// Where the rows come from, in row order; their lengths add up to the rows.
    pub spans: Vec<RowSpan>,
    /// What the pixels of media columns say, each distinct finding once with its number of rows.
    pub pixels: Vec<PixelShape>,
}

/// Consecutive rows that come from one byte range of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSpan {
    /// How many rows.
    pub n_rows: u64,
    /// Byte range in the input file: the records themselves, or the chunk that holds them.
    pub byte_range: Range<u64>,
    /// Which of this stream's records in that range the first row is made of, counted from 0, records that
    /// were not selected or not kept included. Those of the other rows follow it without a gap.
    pub first_record: u64,
}

/// Shape and coding of frames, as read from the pixels or from their own headers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PixelShape {
    /// Position of the column in the stream's features.
    pub column: usize,
    /// Type of one element after decoding.
    pub dtype: DType,
    /// Height, width and, when there is more than one, channels. Empty when the bytes do not tell.
    pub shape: Vec<u32>,
    /// `jpeg`, `png`, `raw`, `h264` …
    pub encoding: String,
    /// Rows with this finding: of lists of media, those with at least one such frame.
    pub n_rows: u64,
}

/// An independently readable part of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Position in [`Source::partitions`].
    pub index: usize,
    /// Position in [`Source::episodes`] of the first (or only) episode it holds rows of.
    pub episode: usize,
    /// Position in [`Source::inputs`].
    pub input: usize,
    /// Byte range in that file.
    pub byte_range: Range<u64>,
    /// Bytes of its records after decompression, as the plan knows them: what memory is counted with
    /// and what shards are cut by.
    pub decoded_bytes: u64,
}

/// What is known about an episode before its rows are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EpisodeInfo {
    /// The source's own id, or its path relative to the root: stable when data is added.
    pub key: String,
    /// Position in [`Source::inputs`] of the file it starts in.
    pub input: usize,
    /// Natural-language task, when there is one.
    pub task: Option<String>,
    /// The split that the source itself puts it in, if it has splits.
    pub split: Option<String>,
    /// What the source says about the episode, such as MCAP metadata records (`<record>.<key>`).
    pub metadata: BTreeMap<Arc<str>, String>,
}

/// The coded video of one episode behind one column, whose rows hold one sample each in presentation order.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeVideo {
    /// Position in [`Source::episodes`].
    pub episode: usize,
    /// The stream of the column.
    pub stream: StreamId,
    /// Name of the column.
    pub feature: String,
    /// `h264`, `h265`, `av1` …
    pub codec: String,
    /// What a decoder needs before the first sample: the payload of `avcC`, `hvcC` or `av1C`.
    pub codec_config: Bytes,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames per second.
    pub fps: f64,
    /// Frames, which are the rows of the episode.
    pub n_frames: u64,
    /// Position in [`Source::inputs`] of the file.
    pub input: usize,
    /// Position of the episode's first frame in that file, in presentation order.
    pub first_frame: u64,
}

/// A file carried inside the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Position in [`Source::episodes`].
    pub episode: usize,
    /// Name as the source gives it: data, never a path to write to.
    pub name: String,
    /// Media type as the source gives it.
    pub media_type: String,
    /// When it was logged, in nanoseconds.
    pub log_time_ns: i64,
    /// When it was made, in nanoseconds; 0 where unknown.
    pub create_time_ns: i64,
    /// The content.
    pub data: Bytes,
}

/// Half-open range of log times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// First time inside.
    pub start_ns: i64,
    /// First time after; `None` for no end.
    pub end_ns: Option<i64>,
}

impl TimeRange {
    /// Everything.
    pub const ALL: Self = Self { start_ns: i64::MIN, end_ns: None };

    /// Whether `time_ns` lies inside.
    pub fn contains(&self, time_ns: i64) -> bool {
        self.start_ns <= time_ns && self.end_ns.is_none_or(|end| time_ns < end)
    }

    /// Whether any of `first..=last` lies inside.
    pub fn overlaps(&self, first_ns: i64, last_ns: i64) -> bool {
        self.start_ns <= last_ns && self.end_ns.is_none_or(|end| first_ns < end)
    }
}

/// The bounds on what one partition may hold in memory.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Upper bound on the decoded bytes of one batch; a batch ends after the row that passes it.
    pub batch_bytes_max: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { batch_bytes_max: 64 << 20 }
    }
}
