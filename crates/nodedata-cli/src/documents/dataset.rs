use std::collections::BTreeMap;

use nodedata_registry::{
    AttachmentEntry, B3, Comparison, DataClass, DatasetName, DatasetState, RevisionEntry, Visibility,
    record::{CommitRecord, RevisionManifest, ShardRef},
};
use serde::Serialize;

/// The datasets of a registry.
#[derive(Serialize)]
pub(crate) struct DatasetList<'a> {
    /// By name.
    pub(crate) datasets: Vec<DatasetLine<'a>>,
}

/// A dataset of a registry.
#[derive(Serialize)]
pub(crate) struct DatasetLine<'a> {
    /// `owner/name`.
    pub(crate) dataset: &'a DatasetName,
    /// Its newest revision; null while there is none.
    pub(crate) latest: Option<&'a str>,
    /// Number of revisions.
    pub(crate) revisions: usize,
    /// Who may see it.
    pub(crate) visibility: Visibility,
    /// What personal data it holds.
    pub(crate) class: DataClass,
}

impl<'a> From<&'a DatasetState> for DatasetLine<'a> {
    fn from(state: &'a DatasetState) -> Self {
        Self {
            dataset: &state.dataset,
            latest: state.head().map(|it| it.revision.as_str()),
            revisions: state.revisions.len(),
            visibility: state.visibility,
            class: state.sensitivity.class,
        }
    }
}

/// A revision.
#[derive(Serialize)]
pub(crate) struct ShownRevision<'a> {
    /// Digest of its manifest.
    pub(crate) manifest: B3,
    /// Its manifest.
    pub(crate) revision: &'a RevisionManifest,
    /// What the dataset's log says of it.
    pub(crate) record: &'a RevisionEntry,
    /// Where the dataset's tags point.
    pub(crate) tags: &'a BTreeMap<String, String>,
    /// Who may see the dataset.
    pub(crate) visibility: Visibility,
    /// Documents about the revision, in order.
    pub(crate) attachments: Vec<&'a AttachmentEntry>,
    /// All shards; absent without `--shards`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shards: Option<&'a [ShardRef]>,
}

/// The revisions of a dataset.
#[derive(Serialize)]
pub(crate) struct RevisionLog<'a> {
    /// `owner/name`.
    pub(crate) dataset: &'a DatasetName,
    /// Newest first.
    pub(crate) revisions: Vec<&'a RevisionEntry>,
}

/// Everything that was done to a dataset.
#[derive(Serialize)]
pub(crate) struct RecordLog<'a> {
    /// `owner/name`.
    pub(crate) dataset: &'a DatasetName,
    /// Newest first.
    pub(crate) records: Vec<&'a CommitRecord>,
}

/// How two revisions differ.
#[derive(Serialize)]
pub(crate) struct RevisionDiff<'a> {
    /// Number of the older.
    pub(crate) old: &'a str,
    /// Number of the newer.
    pub(crate) new: &'a str,
    /// `patch`, `minor` or `major`: the least that the difference proves.
    pub(crate) kind: &'static str,
    /// The episodes concerned.
    pub(crate) changes: &'a Comparison,
}
