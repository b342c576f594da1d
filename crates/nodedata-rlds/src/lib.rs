//! Reads RLDS datasets, as TFDS writes them, as one table of steps: no TensorFlow, no protobuf library.
//!
//! A record of a shard is an episode. `features.json` says which columns there are; planning walks the framing of
//! the shards and reads no record. A record is bound to the columns by its keys, held against what is expected of
//! it as a whole, and decoded leaf by leaf, since that is how TFDS stores its steps.
//!
//! What this reader does not support yet is refused by the name of the feature, never left out.

// What the dataset says of itself.
mod features;
mod info;
mod metadata;
mod options;

// Files of records.
mod array_record;
mod chunks;
mod container;
mod foreign;
mod parquet;
mod tfrecord;
mod view;

// Planning.
mod columns;
mod episode_keys;
mod plan;
mod reading;
mod shards;

// Records: their wire form, and what they tell of their episode.
mod attached;
mod counts;
mod example;
mod facts;
mod keys;
mod numbers;
mod record;
mod semantics;

// Large records, in pieces.
mod cuts;
mod kept;
mod lengths;
mod look;
mod pages;
mod skim;
mod table;

// Files without metadata.
mod bare;

// Reading rows.
mod decode;
mod image;
mod rows;
mod source;

pub use source::{RLDS, Rlds};
