use std::{collections::BTreeMap, fmt, ops::Range, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::{DType, Feature};

/// Name of the column every table of a dataset starts with, before those of the source.
pub const EPISODE_INDEX: &str = "episode_index";
/// Name of the column that numbers the rows of an episode, or of a file of samples, from 0.
pub const STEP_INDEX: &str = "step_index";
/// Name of the column with the time of a step.
pub const TIMESTAMP_NS: &str = "timestamp_ns";
/// Name of the column with the time at which a message was recorded.
pub const LOG_TIME_NS: &str = "log_time_ns";
/// Name of the column with the time at which a message was published.
pub const PUBLISH_TIME_NS: &str = "publish_time_ns";
/// Name of the column with a message's sequence number.
pub const SEQUENCE: &str = "sequence";

/// Name of the one stream of a source of steps or samples.
pub const STEPS: &str = "steps";

/// Index into [`crate::SourcePlan::streams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// What one row of a stream is. The kind owns the built-in columns of its table; it is stored with the dataset, and
/// nobody infers it from a name or a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// One row per step; rows of an episode are already aligned.
    Steps,
    /// One row per message, stamped in nanoseconds; needs alignment.
    Messages,
    /// One row per sample, without episode or clock: the episode index numbers source files, the step index the rows
    /// in one.
    Samples,
}

/// A column that the table of a [`StreamKind`] has of itself, beside [`EPISODE_INDEX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its type; it is a scalar, and null where the source has no such value.
    pub dtype: DType,
}

impl StreamKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Steps, Self::Messages, Self::Samples];

    /// As manifests spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Messages => "messages",
            Self::Samples => "samples",
        }
    }

    /// The columns between [`EPISODE_INDEX`] and those of the source, in order. A source of messages has all of them;
    /// one of steps need not know its times.
    pub fn built_in(self) -> &'static [BuiltIn] {
        match self {
            Self::Steps => &[
                BuiltIn { name: STEP_INDEX, dtype: DType::Int64 },
                BuiltIn { name: TIMESTAMP_NS, dtype: DType::Int64 },
            ],
            Self::Messages => &[
                BuiltIn { name: LOG_TIME_NS, dtype: DType::Int64 },
                BuiltIn { name: PUBLISH_TIME_NS, dtype: DType::Int64 },
                BuiltIn { name: SEQUENCE, dtype: DType::UInt32 },
            ],
            Self::Samples => &[BuiltIn { name: STEP_INDEX, dtype: DType::Int64 }],
        }
    }

    /// Whether a table of this kind has a column of this name of itself. A source that has such a name calls its own
    /// column otherwise.
    pub fn has_built_in(self, name: &str) -> bool {
        name == EPISODE_INDEX || self.built_in().iter().any(|it| it.name == name)
    }

    /// Name of the column that orders rows in time; `None` where rows have no clock.
    pub fn time_column(self) -> Option<&'static str> {
        match self {
            Self::Steps => Some(TIMESTAMP_NS),
            Self::Messages => Some(LOG_TIME_NS),
            Self::Samples => None,
        }
    }

    /// Whether a shard, and where sizes allow a row group, ends only where an episode does.
    pub fn keeps_episodes_whole(self) -> bool {
        match self {
            Self::Steps => true,
            Self::Messages | Self::Samples => false,
        }
    }

    /// Whether all rows of a dataset are one table in `data/`, not a table of a topic beside others.
    pub fn is_one_table(self) -> bool {
        match self {
            Self::Steps | Self::Samples => true,
            Self::Messages => false,
        }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One stream of a source: its table of steps or samples, or one topic of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSchema {
    /// Position in [`crate::SourcePlan::streams`].
    pub id: StreamId,
    /// Topic, or [`STEPS`]. Unique in the source: one topic with two definitions is `/t` and `/t#<hash8>`.
    pub name: Arc<str>,
    /// What one row is.
    pub kind: StreamKind,
    /// The columns, in order: those of [`StreamKind::built_in`] that the source has, then its own.
    pub features: Vec<Feature>,
    /// Facts of the source: `topic`, `message_encoding`, `schema_name`, `schema_encoding`, `schema` …
    pub metadata: BTreeMap<String, String>,
}

impl StreamSchema {
    /// The Arrow schema of a batch of this stream.
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(self.features.iter().map(Feature::arrow_field).collect::<Vec<_>>()))
    }

    /// Position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|it| it.name == name)
    }

    /// Whether the column at a position is one that the stream has because of its kind.
    pub fn is_built_in(&self, column: usize) -> bool {
        self.kind.has_built_in(&self.features[column].name)
    }
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
    /// What the pictures and clips of media columns say, each distinct finding once with its number of rows.
    pub pixels: Vec<MediaShape>,
}

/// Consecutive rows that come from one byte range of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSpan {
    /// Position in [`crate::SourcePlan::inputs`].
    pub input: usize,
    /// How many rows.
    pub n_rows: u64,
    /// Byte range in the input file: the records themselves, or the chunk that holds them.
    pub byte_range: Range<u64>,
    /// Which of this stream's records in that range the first row is made of, counted from 0, records that
    /// were not selected or not kept included. Those of the other rows follow it without a gap.
    pub first_record: u64,
}

/// Shape and coding of media, as read from the pixels or from the headers of pictures and of clips of sound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MediaShape {
    /// Position of the column in the stream's features.
    pub column: usize,
    /// Type of one element after decoding.
    pub dtype: DType,
    /// Of pictures height, width and, when there is more than one, channels; of clips samples of each channel, and channels. Empty
    /// when the bytes do not tell.
    pub shape: Vec<u32>,
    /// `jpeg`, `png`, `raw`, `h264`, `flac` …
    pub encoding: String,
    /// Samples a second of clips; `None` for pictures, and where the bytes do not tell.
    pub rate_hz: Option<u32>,
    /// Rows with this finding: of lists of media, those with at least one such frame.
    pub n_rows: u64,
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
    /// Of the steps: those whose message lacks a name that a field wants, by `field.name`, whatever became of them.
    pub absent: BTreeMap<String, u64>,
    /// Of the steps: those that have no value of a field because no message is in reach, by field, whatever became of them.
    pub beyond_tolerance: BTreeMap<String, u64>,
}

impl Fate {
    /// Nothing counted yet.
    pub fn new(stream: StreamId) -> Self {
        Self {
            stream,
            used: 0,
            superseded: BTreeMap::new(),
            dropped: BTreeMap::new(),
            absent: BTreeMap::new(),
            beyond_tolerance: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_that_orders_rows_is_one_of_the_built_in_ones() {
        for kind in StreamKind::ALL {
            assert!(kind.time_column().is_none_or(|it| kind.has_built_in(it)), "{kind}");
            assert!(kind.has_built_in(EPISODE_INDEX), "{kind}");
        }
        assert!(!StreamKind::Steps.has_built_in(SEQUENCE));
    }
}
