use std::collections::BTreeMap;

use nodedata_core::{DatasetFacts, STEPS, StreamKind};
use serde::{Deserialize, Serialize};

use crate::{digest::Digest, ledger::Ledger};

/// `manifest.json`: what a dataset consists of. Names carry no meaning for our readers; this does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `manifest/1`.
    pub nd: String,
    /// Tool and version.
    pub created_by: BTreeMap<String, String>,
    /// Hash over inputs, options, program and writer settings: the same recipe makes the same bytes.
    pub recipe: String,
    /// `recipe.json`: the options. `None` where nothing was converted, and where a version from before it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe_file: Option<FileEntry>,
    /// Hash over the logical content of all episodes: stable across re-encoding and re-sharding.
    pub content_root: String,
    /// Hash over the provenance of all shards.
    pub provenance_root: String,
    /// What the source says of itself as a whole.
    #[serde(default, skip_serializing_if = "DatasetFacts::is_empty")]
    pub source: DatasetFacts,
    /// The input files, by path: length and BLAKE3.
    pub inputs: Vec<InputEntry>,
    /// Episodes and rows per split.
    pub splits: BTreeMap<String, SplitEntry>,
    /// The streams, in the source's order.
    pub streams: Vec<StreamEntry>,
    /// The shards, by stream, split and number.
    pub shards: Vec<ShardEntry>,
    /// `schema.json`.
    pub schema: FileEntry,
    /// `stats.json`.
    pub stats: FileEntry,
    /// `sample_index.json` and the tables it points at.
    pub index: BTreeMap<String, FileEntry>,
    /// `provenance.jsonl`.
    pub provenance: FileEntry,
    /// The dataset card.
    pub readme: FileEntry,
    /// Files the source carried, by their own hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<FileEntry>,
    /// What became of every record, by stream.
    pub ledger: Ledger,
    /// Pieces of damage that were left out; 0 for a complete dataset.
    pub n_damage: u64,
}

/// An input file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputEntry {
    /// Relative to SRC.
    pub path: String,
    /// Length.
    pub bytes: u64,
    /// BLAKE3-256 of the file, 64 hex digits.
    pub b3: String,
}

/// Totals of one split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitEntry {
    /// Episodes.
    pub episodes: u64,
    /// Rows over all streams.
    pub rows: u64,
    /// Shards.
    pub shards: u64,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEntry {
    /// `steps`, or the topic.
    pub name: String,
    /// What one row is. A manifest of an earlier version does not say: see [`Self::kind`].
    #[serde(default, rename = "kind", skip_serializing_if = "Option::is_none")]
    pub told_kind: Option<StreamKind>,
    /// Folder of its shards.
    pub folder: String,
    /// Rows over all shards.
    pub rows: u64,
    /// What the source says of it: encoding, schema name, schema text, channel metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl StreamEntry {
    /// What one row is. Where the manifest does not say, it is of a version that had two kinds, which the name tells
    /// apart.
    pub fn kind(&self) -> StreamKind {
        self.told_kind.unwrap_or(if self.name == STEPS { StreamKind::Steps } else { StreamKind::Messages })
    }
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Relative to the dataset.
    pub path: String,
    /// Its stream.
    pub stream: String,
    /// Its split.
    pub split: String,
    /// BLAKE3-256 of the file, 64 hex digits: its address.
    pub b3: String,
    /// SHA-256 of the file; see [`FileEntry::sha256`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Length.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// Row groups.
    pub row_groups: u64,
    /// First and last episode it holds rows of.
    pub episodes: (u64, u64),
    /// Hash over the logical content of its rows.
    pub content: String,
    /// Hash over its provenance statement.
    pub provenance: String,
}

impl ShardEntry {
    /// The bytes that stand for some rows where progress is shown: as if all rows were of one size. Those of all rows are all
    /// bytes.
    pub fn share_of(&self, first_row: u64, n_rows: u64) -> u64 {
        let up_to = |row: u64| {
            let bytes =
                u128::from(self.bytes) * u128::from(row.min(self.rows)) / u128::from(self.rows.max(1));
            u64::try_from(bytes).unwrap_or(self.bytes)
        };
        up_to(first_row.saturating_add(n_rows)) - up_to(first_row)
    }
}

/// A file of the dataset that is not a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the dataset.
    pub path: String,
    /// BLAKE3-256, 64 hex digits.
    pub b3: String,
    /// SHA-256, where it is recorded. A conversion leaves it to the push, which reads all bytes once more anyway; shards that
    /// were pushed as they are and datasets of earlier versions have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Length.
    pub bytes: u64,
}

impl FileEntry {
    pub(crate) fn new(path: &str, digest: Digest) -> Self {
        let Digest { b3, bytes } = digest;
        Self { path: path.to_owned(), b3, sha256: None, bytes }
    }
}

impl Manifest {
    /// Every file the manifest vouches for, in a fixed order.
    pub fn files(&self) -> Vec<FileEntry> {
        let shards = self.shards.iter().map(|it| FileEntry {
            path: it.path.clone(),
            b3: it.b3.clone(),
            sha256: it.sha256.clone(),
            bytes: it.bytes,
        });
        let others = [&self.schema, &self.stats, &self.provenance, &self.readme];
        let others =
            others.into_iter().chain(&self.recipe_file).chain(self.index.values()).chain(&self.attachments);
        shards.chain(others.cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However rows are dealt, the shares are all bytes together, and none goes past what is there.
    #[test]
    fn shares_of_rows_add_up_to_all_bytes() {
        for (bytes, rows) in [(1000, 7), (3, 10), (u64::MAX, 3), (0, 5), (9, 0)] {
            let entry = ShardEntry {
                path: String::new(),
                stream: String::new(),
                split: String::new(),
                b3: String::new(),
                sha256: None,
                bytes,
                rows,
                row_groups: 1,
                episodes: (0, 0),
                content: String::new(),
                provenance: String::new(),
            };
            let one_by_one: u64 = (0..rows).map(|row| entry.share_of(row, 1)).sum();
            let expected = if rows == 0 { 0 } else { bytes };
            assert_eq!(
                (one_by_one, entry.share_of(0, rows)),
                (expected, expected),
                "{bytes} bytes, {rows} rows"
            );
            assert_eq!(entry.share_of(rows / 2, u64::MAX), expected - entry.share_of(0, rows / 2));
            assert_eq!(entry.share_of(rows, 5), 0, "there are no rows behind the last");
        }
    }
}
