//! The vocabulary every `nodedata` crate shares: what a feature is, how rows of it are built, how a
//! format is read, and how a failure is described. It does no I/O of its own.

mod columns;
mod detection;
mod error;
pub mod exact;
mod feature;
mod files;
mod format;
mod listing;
mod names;
mod nested;
pub mod patterns;
pub mod placed;
mod progress;
mod source;

pub use columns::{Columns, Layout, LeafId, Level, ListId};
pub use detection::{Confidence, Detection};
pub use error::{Error, ErrorKind, Locus, Loss, Result};
pub use feature::{DType, Dim, Feature, Storage, meta};
pub use files::{Files, ReadAt};
pub use format::{Format, Formats, MediaEncoding, OpenOptions};
pub use listing::{HEAD_BYTES, HEADS_MAX, Listing};
pub use names::{nearest, suggest};
pub use nested::{ListOffsets, Nested, NestedDim, NestedItems};
pub use progress::{Progress, Silent};
pub use source::{
    Attachment, Batch, EPISODE_INDEX, EpisodeInfo, EpisodeStream, EpisodeVideo, Fate, InputFile, Partition,
    PixelShape, ReadOptions, RowSpan, Source, StreamClock, StreamId, StreamSchema, TimeRange,
};
