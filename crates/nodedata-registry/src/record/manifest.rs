use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_dataset::SplitEntry;
use serde::{Deserialize, Serialize};

use crate::{
    digest::{B3, plain_hex},
    name::DatasetName,
    record::{Sensitivity, from_bytes, to_canonical},
};

/// Up to this many shards are listed in the manifest itself; more go to a table of their own.
pub const SHARDS_INLINE_MAX: usize = 4096;

/// What a revision consists of. Never changes once it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionManifest {
    /// `revision/1`.
    pub nd: String,
    /// Its dataset.
    pub dataset: DatasetName,
    /// Its SemVer number.
    pub revision: String,
    /// Digests of the manifests it follows; empty for the first.
    pub parents: Vec<B3>,
    /// Hash over the logical content of all episodes.
    pub content_root: B3,
    /// Hash over the provenance of all shards.
    pub provenance_root: B3,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// SPDX expression; absent while nobody has chosen, which only a private dataset may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// What a copy costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// `rgb`, `depth`, `proprioception`, `action`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modality: Vec<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `embodiment` and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub robot: BTreeMap<String, String>,
    /// The card.
    pub readme: FileRef,
    /// `schema.json`.
    pub schema: SchemaRef,
    /// Episodes, frames and shards by split, and episodes that are left out.
    pub splits: BTreeMap<String, SplitRef>,
    /// The index tables by name: `episodes`, `pages`, `stats`, `contents`, `sample_index`.
    pub index: BTreeMap<String, FileRef>,
    /// Every other file of the dataset's folder: `manifest.json`, `provenance.jsonl`, attachments of logs.
    pub files: Vec<FileRef>,
    /// The shards, up to [`SHARDS_INLINE_MAX`]; otherwise empty.
    pub shards: Vec<ShardRef>,
    /// Parquet table of the shards when there are more.
    pub shard_table: Option<BlobRef>,
    /// Shards of both forms.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub n_shards: u64,
    /// Bytes of all shards.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub shard_bytes: u64,
    /// What personal data it holds.
    pub sensitivity: Sensitivity,
    /// What it may be used for, in terms of the Data Use Ontology.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub use_terms: Option<UseTerms>,
    /// Tool and version.
    pub created_by: BTreeMap<String, String>,
}

/// A blob: its address, the SHA-256 of the same bytes, their number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobRef {
    /// BLAKE3-256, 64 hex digits.
    #[serde(with = "plain_hex")]
    pub b3: B3,
    /// SHA-256, 64 hex digits.
    pub sha256: String,
    /// Length, at most [`crate::BLOB_BYTES_MAX`].
    #[serde(deserialize_with = "crate::bounded::blob_bytes")]
    pub bytes: u64,
}

/// A file of the dataset's folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileRef {
    /// Relative to the folder.
    pub path: String,
    /// Its bytes.
    #[serde(flatten)]
    pub blob: BlobRef,
}

/// The schema's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaRef {
    /// `declared` or `inferred`.
    pub mode: String,
    /// The file.
    #[serde(flatten)]
    pub file: FileRef,
}

/// What a copy costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Decimal text with two places: money is exact.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
}

/// One split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitRef {
    /// Episodes, those left out not counted.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub episodes: u64,
    /// Rows over all streams, those of episodes left out not counted.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub frames: u64,
    /// Shards.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub shards: u64,
    /// Keys of episodes that are left out although their rows lie in the shards.
    pub exclude: Vec<String>,
}

impl SplitRef {
    /// The same as the manifest of a dataset's folder says it.
    pub(crate) fn entry(&self) -> SplitEntry {
        SplitEntry { episodes: self.episodes, rows: self.frames, shards: self.shards }
    }
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRef {
    /// Relative to the folder.
    pub path: String,
    /// `steps`, or a topic.
    pub stream: String,
    /// Its split.
    pub split: String,
    /// Its bytes.
    #[serde(flatten)]
    pub blob: BlobRef,
    /// Rows.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub rows: u64,
    /// Row groups.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub row_groups: u64,
    /// First and last episode, by position.
    pub episodes: (u64, u64),
    /// Hash over the logical content of its rows.
    pub content: B3,
    /// Hash over its provenance statement.
    pub provenance: B3,
}

/// What data may be used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseTerms {
    /// DUO terms that permit.
    pub permit: Vec<String>,
    /// DUO terms that restrict.
    pub modifiers: Vec<String>,
}

/// Whether a licence is an SPDX expression in SPDX's own spelling.
///
/// # Errors
/// `Config` when it is not.
pub fn check_spelled(license: &str) -> Result<()> {
    let spelled = nodedata_dataset::check_license(license)?;
    if spelled == license {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, format!("the licence `{license}` is not spelled as by SPDX"))
        .with_hint(format!("write `{spelled}`")))
}

impl RevisionManifest {
    /// Whether its licence, where it says one, is an SPDX expression in SPDX's own spelling.
    ///
    /// # Errors
    /// `Config` when it is not.
    pub fn check_license(&self) -> Result<()> {
        self.license.as_deref().map_or(Ok(()), check_spelled)
    }

    /// The manifest's bytes.
    ///
    /// # Errors
    /// `Config` when it holds a floating-point number.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        to_canonical(self)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        from_bytes("revision manifest", bytes)
    }

    /// Every blob it names itself, in a fixed order: those of its files, of its inline shards, and the table
    /// of its shards. The shards of a table are in the table.
    pub fn blobs(&self) -> Vec<BlobRef> {
        let files =
            [&self.readme, &self.schema.file].into_iter().chain(self.index.values()).chain(&self.files);
        let files = files.map(|it| &it.blob);
        let shards = self.shards.iter().map(|it| &it.blob);
        files.chain(shards).chain(&self.shard_table).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn licensed(license: &Value) -> RevisionManifest {
        let file = json!({"path": "f", "b3": "0".repeat(64), "sha256": "0".repeat(64), "bytes": 0});
        let mut schema = file.clone();
        schema["mode"] = json!("inferred");
        let root = format!("b3:{}", "0".repeat(64));
        let manifest = json!({
            "nd": "revision/1", "dataset": "acme/x", "revision": "1.0.0", "parents": [], "content_root": root,
            "provenance_root": root, "license": license, "readme": file, "schema": schema, "splits": {}, "index": {},
            "files": [], "shards": [], "shard_table": null, "n_shards": 0, "shard_bytes": 0,
            "sensitivity": Sensitivity::default(), "created_by": {},
        });
        serde_json::from_value(manifest).unwrap()
    }

    /// Readers compare licences as text, so that only one spelling of each is published.
    #[test]
    fn a_licence_is_spelled_as_spdx_does() {
        for license in [Value::Null, json!("CC-BY-4.0"), json!("MIT OR Apache-2.0")] {
            licensed(&license).check_license().unwrap_or_else(|err| panic!("{license}: {err}"));
        }
        for (license, hint) in
            [("cc-by-4.0", "write `CC-BY-4.0`"), ("mit or apache-2.0", "write `MIT OR Apache-2.0`")]
        {
            let err = licensed(&json!(license)).check_license().unwrap_err();
            assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some(hint)), "{license}");
        }
        assert!(licensed(&json!("MTI")).check_license().is_err());
    }
}
