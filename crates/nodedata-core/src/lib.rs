//! The vocabulary every `nodedata` crate shares: what a feature is, how rows of it are built, how a
//! format is read, and how a failure is described. It does no I/O of its own.

mod columns;
mod deal;
mod detection;
mod error;
pub mod exact;
mod feature;
mod files;
mod finding;
mod format;
pub mod human;
mod listing;
mod message_texts;
mod modality;
mod moment;
mod names;
mod nested;
mod options;
pub mod patterns;
pub mod placed;
mod plan;
mod progress;
mod source;
mod stream;
pub mod visible;

pub use columns::{Columns, Layout, LeafId, Level, ListId, Mark};
pub use deal::{RowDeal, RowKey, split_of};
pub use detection::{Confidence, Detection};
pub use error::{Error, ErrorKind, Locus, Loss, Result};
pub use feature::{DType, Dim, Feature, Storage, meta};
pub use files::{Files, ReadAt};
pub use finding::{Finding, FindingKind, Findings};
pub use format::{Format, Formats, MediaEncoding, OnMisfit, OpenOptions, Reference};
pub use listing::{HEAD_BYTES, HEADS_MAX, Listing};
pub use message_texts::{MessageText, MessageTexts};
pub use modality::misspelt_modality;
pub use moment::{Moment, Moments, told_time};
pub use names::{free_name, nearest, suggest};
pub use nested::{ListOffsets, Nested, NestedDim, NestedItems};
pub use options::{OptionKey, OptionKind, OptionValue};
pub use plan::{
    Attachment, CodedVideo, DatasetFacts, EpisodeFacts, EpisodeInfo, EpisodeVideo, Fact, InputFile,
    InputRange, Numbering, Partition, PrerollSample, SourcePlan, TimeRange, Unpacked,
};
pub use progress::{Progress, Silent};
pub use source::{EpisodeStream, ReadOptions, Source};
pub use stream::{
    Batch, BuiltIn, EPISODE_INDEX, Fate, LOG_TIME_NS, MediaShape, PUBLISH_TIME_NS, RowSpan, SEQUENCE,
    STEP_INDEX, STEPS, StreamId, StreamKind, StreamSchema, TIMESTAMP_NS,
};
