//! Rows of a published revision, or of a folder that was converted or pulled: by episode and step, fetched in one round, verified and
//! decoded, column by column.
//!
//! A [`Reader`] is a revision, resolved once. A [`Split`] is the episodes of one of its splits in one stream, without those that are
//! left out. [`Split::rows`] does all at once; who reads much does it in parts: [`Split::needs`] says which bytes some steps lie in,
//! [`Split::fetch`] brings them in one round, and [`Split::decode`] makes rows of them without waiting for anything.
//!
//! All of these are cheap to clone and shared by threads, and go on to work in a process that was forked: whatever a fork takes away
//! is made anew there.

mod assemble;
mod blob;
mod cached_files;
mod decode;
mod disk_cache;
mod fetched;
mod fields;
mod frame_axes;
mod leaf;
mod lists;
mod live;
mod lru;
mod memory;
mod needs;
mod options;
mod page_cache;
mod place;
mod preroll_cache;
mod reader;
mod rows;
mod shard;
mod shards;
mod spare;
mod split;
mod video_cache;

pub use disk_cache::CacheStats;
pub use fetched::Fetched;
pub use fields::{As, Field, Fields, FieldsRequest};
pub use frame_axes::FrameAxes;
pub use memory::{Memory, Rooms};
pub use needs::{Needs, StepRange};
pub use options::{CacheOptions, OpenOptions};
pub use place::Place;
pub use reader::Reader;
pub use rows::{Column, Data, Ragged, Rows, Tensor};
pub use spare::{KeepsSpare, SPARE_BYTES_MIN, give_back};
pub use split::{EpisodeHead, EpisodeInfo, FeatureInfo, MediaKind, Split};
pub use video_cache::{VideoCache, VideoCacheStats, libavcodec_version};
