//! A converted dataset on disk: Parquet shards, schema, sample index, provenance, statistics, ledger
//! and manifest; written atomically, read back, verified and explained.

mod access;
mod canonical;
mod card;
mod codec;
mod column_writer;
mod content;
mod cut;
mod deep;
mod deep_media;
mod deep_video;
mod digest;
mod encode;
mod entries;
mod episode_table;
mod explain;
mod finish;
mod fold;
mod folders;
mod front_matter;
mod hashing_file;
mod hugging_face;
mod index;
mod journal;
mod leaf_entries;
mod ledger;
mod license;
mod logical_hash;
mod manifest;
mod measure;
mod media_chunk;
mod media_values;
mod not_read;
mod nulls;
mod page_header;
mod page_table;
mod pages;
mod properties;
mod provenance;
mod ranges;
mod reach;
mod read;
mod recognise;
mod rehash;
mod repeats;
mod reuse;
mod rle;
mod sample_index;
mod shard;
mod shard_index;
mod staging;
mod stats;
mod step_place;
mod table;
mod text_chunk;
mod text_dictionary;
mod unit;
mod verify;
mod writer;

pub use access::Access;
pub use canonical::{canonical_json, pretty_json};
pub use card::QUARANTINE;
pub use content::{ContentHasher, content_root};
pub use digest::{b3_of, each_window};
pub use entries::{AttachmentEntry, Columns, OriginEntry, VideoEntry};
pub use episode_table::{EpisodeEntry, EpisodePlace, EpisodeRow, EpisodeTable, episode_table};
pub use explain::{Explanation, OriginRange, Question, explain};
pub use front_matter::{
    CardConfig, SplitFiles, card_configs, config_lines, license_lines, split_card, yaml_text,
};
pub use index::{OriginRow, origin_table, table, table_of};
pub use journal::UnitInput;
pub use ledger::{DamageEntry, InputSeen, Ledger, Report, StreamLedger};
pub use license::check_license;
pub use logical_hash::{FieldHasher, episode_hash};
pub use manifest::{FileEntry, InputEntry, Manifest, ShardEntry, SplitEntry, StreamEntry};
pub use not_read::{FileNotRead, NotRead};
pub use nulls::{NullCount, Nulls};
pub use page_table::{Page, PageTable, page_table};
pub use pages::{FoundPages, pages_of};
pub use provenance::{recipe_hash, statement};
pub use ranges::Rows;
pub use read::Dataset;
pub use recognise::recognise;
pub use reuse::Candidate;
pub use sample_index::{IndexTotals, sample_index};
pub use shard_index::{ChunkIndex, FirstTouch, PageRange, ShardIndex};
pub use staging::{notes, recover, tidy_up};
pub use step_place::StepPlace;
pub use unit::Unit;
pub use verify::{Finding, Validation, validate};
pub use writer::{
    CheckedRows, DatasetWriter, DecodedPart, EncodeHalf, Encoded, FileHalf, FinishedUnit, RunFacts,
    WriterOptions, created_by, plan_recipes, plan_units, refuse_existing,
};
