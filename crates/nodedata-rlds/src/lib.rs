//! Reads RLDS datasets, as TFDS writes them, as one table of steps: no TensorFlow, no protobuf library.
//!
//! A record of a shard is an episode. `features.json` says which columns there are; planning walks the framing of
//! the shards and reads no record. A record is bound to the columns by its keys, held against what is expected of
//! it as a whole, and decoded leaf by leaf, since that is how TFDS stores its steps.
//!
//! What this reader does not support yet is refused by the name of the feature, never left out.

// What the dataset says of itself.
mod dataset_info;
mod features;
mod metadata;

// Planning.
mod columns;
mod container;
mod plan;
mod shards;
mod tfrecord;

// Reading rows.
mod example;
mod record;
mod rows;
mod source;

pub use source::{RLDS, Rlds};
