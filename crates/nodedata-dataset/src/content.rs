use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use nodedata_core::Feature;
use serde_json::{Value, json};

use crate::{
    canonical::canonical_json,
    digest::{b3_of, hex},
    episode_table::EpisodeEntry,
    logical_hash::{FieldHasher, episode_hash},
    manifest::StreamEntry,
};

/// The hash in [`crate::Manifest::content_root`]: over key, stream, split and content hash of every episode and stream, by
/// episode and then by the stream's place in the manifest.
pub fn content_root<'a>(parts: impl Iterator<Item = (&'a str, &'a str, &'a str, [u8; 32])>) -> String {
    let parts = parts.map(|(key, stream, split, hash)| json!([key, stream, split, hex(&hash)]));
    b3_of(canonical_json(&Value::Array(parts.collect())).as_bytes())
}

/// The same hash from rows of the episode index, of a dataset with these streams.
pub fn content_root_of<'a>(
    streams: &'a [StreamEntry],
    rows: impl Iterator<Item = EpisodeEntry<'a>>,
) -> String {
    let position = |name: &str| streams.iter().position(|it| it.name == name).unwrap_or(usize::MAX);
    let mut all = BTreeMap::new();
    for row in rows {
        if let (Some(stream), Some(hash)) = (row.stream, row.content) {
            all.insert((row.episode, position(stream)), (row.key, stream, row.split, hash));
        }
    }
    content_root(all.into_values())
}

/// Hashes what the rows of one episode hold in one stream, as the index of a dataset does.
#[derive(Debug, Clone)]
pub struct ContentHasher {
    names: Vec<String>,
    fields: Vec<FieldHasher>,
}

impl ContentHasher {
    /// Gets ready for rows with these features, in order.
    pub fn new(features: &[Feature]) -> Self {
        let names = features.iter().map(|it| it.name.clone()).collect();
        Self { names, fields: features.iter().map(FieldHasher::new).collect() }
    }

    /// Takes in rows. Where batches end makes no difference.
    pub fn update(&mut self, rows: &RecordBatch) {
        for (field, column) in self.fields.iter_mut().zip(rows.columns()) {
            field.update(column.as_ref());
        }
    }

    /// The hash.
    pub fn finish(self) -> [u8; 32] {
        let Self { names, fields } = self;
        let hashes = fields.into_iter().map(FieldHasher::finish);
        let hashes: Vec<(&str, [u8; 32])> = names.iter().map(String::as_str).zip(hashes).collect();
        episode_hash(&hashes)
    }
}
