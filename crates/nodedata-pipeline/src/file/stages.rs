use std::{collections::BTreeMap, path::PathBuf};

use nodedata_core::{MediaEncoding, Moments, OnMisfit, OptionValue, Reference};
use nodedata_dataset::Access;
use nodedata_normalize::{EpisodeSpec, FactType, GroupBy, StepSpec};
use nodedata_quality::Rules;
use serde::{Deserialize, Serialize};

use crate::{OnError, SplitPlan};

/// A pipeline file, read and checked as far as that goes without its source.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineFile {
    /// The file itself.
    pub path: PathBuf,
    /// What it is for.
    pub description: Option<String>,
    /// What is read.
    pub source: SourceStage,
    /// What says which episode a sample belongs to; `None` where samples stay samples.
    pub grouped: Option<GroupBy>,
    /// What becomes of whole episodes.
    pub episodes: EpisodesStage,
    /// How messages become steps; `None` for tables per topic.
    pub steps: Option<StepSpec>,
    /// The declared schema, found from where the process runs.
    pub schema: Option<PathBuf>,
    /// The gate; `None` where nothing is looked at.
    pub quality: Option<Rules>,
    /// How episodes are dealt to splits.
    pub splits: SplitPlan,
    /// Bytes of source that one shard covers.
    pub shard_bytes: u64,
    /// What the pages of media are made for.
    pub access: Access,
    /// What becomes of damaged input.
    pub on_error: OnError,
    /// What becomes of sound records that do not fit their columns.
    pub on_misfit: OnMisfit,
    /// Folder of the dataset, found from where the process runs.
    pub out: Option<PathBuf>,
    /// Where the dataset is published.
    pub publish: Option<PublishStage>,
    /// What must come out for inputs that are known.
    pub tests: Vec<PipelineTest>,
}

/// What is read.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceStage {
    /// Files, folders, globs or URLs, found from where the process runs; read as one.
    pub paths: Vec<String>,
    /// Name of the format; detected when absent.
    pub format: Option<String>,
    /// Only these topics.
    pub topics: Option<Vec<String>>,
    /// Topics that stay bytes.
    pub undecoded: Vec<String>,
    /// Message definitions for topics without any: files and folders, found from where the process runs.
    pub message_paths: Vec<PathBuf>,
    /// Only records of this time.
    pub moments: Moments,
    /// Cameras whose video is decoded, by name or `*`, and what their frames are stored as.
    pub decode: BTreeMap<String, MediaEncoding>,
    /// Fields whose text refers to a medium, which takes its place.
    pub embed: BTreeMap<String, Reference>,
    /// Whether checksums are verified.
    pub verify_checksums: bool,
    /// Options of the one format, by name, as they are written.
    pub options: BTreeMap<String, OptionValue>,
}

/// What becomes of whole episodes, before the tables that say so are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EpisodesStage {
    /// What becomes of them; the rows of tables are not there yet.
    pub spec: EpisodeSpec,
    /// The tables.
    pub tables: Vec<TableAsked>,
}

/// A table that says something of episodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableAsked {
    /// What it says.
    pub of: TableOf,
    /// The file, found from where the process runs.
    pub path: PathBuf,
    /// Names of metadata, each with its column; `None` for all columns but the key.
    pub columns: Option<Vec<(String, String)>>,
    /// Types of metadata that are declared.
    pub types: BTreeMap<String, FactType>,
}

/// What a table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableOf {
    /// Which episodes are taken.
    Include,
    /// Which are left out.
    Exclude,
    /// What is known of them, as the entry at this position of the metadata.
    Metadata(usize),
}

/// What is hashed to deal an episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitKey {
    /// Its own key.
    Episode,
    /// Its task.
    Task,
    /// What the source says about it under this name.
    Metadata(String),
    /// The row itself: of samples, which belong to no episode.
    Row,
    /// The value of a feature of the row, of samples as well.
    Field(String),
}

/// Where the dataset is published, and under which terms.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishStage {
    /// `owner/name`, or a name alone.
    pub dataset: String,
    /// `auto`, or a version.
    pub revision: String,
    /// SPDX expression.
    pub license: String,
    /// Price in US dollars.
    pub price_usd: Option<f64>,
    /// What the data holds.
    pub modality: Vec<String>,
    /// Personal data it may show; `None` where nothing is declared.
    pub sensitivity: Option<Vec<String>>,
    /// The registry's token.
    pub token: Option<Secret>,
}

/// A secret, known by the variable that holds it and never by its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Name of the variable.
    pub env: String,
}

/// What must come out for an input that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineTest {
    /// What is tested.
    pub name: String,
    /// The fixture, found from where the process runs.
    pub source: String,
    /// What must come out.
    pub expect: Expected,
}

/// What must come out; what is `None` or empty is not looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expected {
    /// Episodes of the dataset.
    pub episodes: Option<u64>,
    /// Rows of all streams.
    pub rows: Option<u64>,
    /// Rows by stream.
    pub rows_by_stream: Vec<(String, u64)>,
    /// Hash over the content of all episodes.
    pub content_root: Option<String>,
    /// Episodes that the gate keeps out of the splits.
    pub quarantined: Option<u64>,
    /// Records left out, by reason.
    pub dropped: Vec<(String, u64)>,
}
