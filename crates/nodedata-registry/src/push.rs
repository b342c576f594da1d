//! Publishing: hash, ask what is missing, send it, check that everything is there, and write one record.

mod assemble;
mod build;
mod create;
mod deep;
mod facts;
mod pace;
mod publish;
mod recount;
mod upload;
mod warnings;

use std::{collections::BTreeMap, path::PathBuf};

use nodedata_schema::Schema;
use semver::Version;
use serde::Serialize;

pub use create::{Begun, NewDataset, create};
pub(crate) use facts::check_public;
pub use facts::parse_price;
pub use publish::push;
pub(crate) use upload::send;

use crate::{
    content::BumpKind,
    digest::B3,
    hash_cache::HashCache,
    name::DatasetName,
    record::{Bump, Facts, Sensitivity, Visibility},
};

/// What is pushed, and how.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// Where to.
    pub dataset: DatasetName,
    /// Shards, folders of shards, or one converted dataset. Empty: the data stays, only facts change.
    pub paths: Vec<PathBuf>,
    /// Adds the shards to what is published, instead of replacing it.
    pub append: bool,
    /// Declared schema of plain shards.
    pub schema: Option<Schema>,
    /// A `sample_index.json` of plain shards.
    pub sample_index: Option<PathBuf>,
    /// The card.
    pub readme: Option<PathBuf>,
    /// A folder: shards that hold rows of episodes that are left out are written again there, without them, and published in the
    /// place of those. Nothing is pushed beside that.
    pub rewrite: Option<PathBuf>,
    /// Reads every row and decodes every frame before anything is sent.
    pub deep: bool,
    /// What is said of the dataset.
    pub facts: Facts,
    /// Which number the revision gets.
    pub bump: BumpRequest,
    /// Keys of episodes to leave out, without moving data.
    pub exclude: Vec<String>,
    /// Keys of episodes to take in again.
    pub include: Vec<String>,
    /// Shards (by path, which may be a pattern) to count to another split, without moving data.
    pub assign: BTreeMap<String, String>,
    /// Splits that `assign` may make; one that it does not is a mistake (`Config`).
    pub new_splits: Vec<String>,
    /// What a dataset that is not there yet becomes; private when absent. One that is there keeps what it is.
    pub visibility: Option<Visibility>,
    /// Its data class; undeclared when absent.
    pub sensitivity: Option<Sensitivity>,
    /// Who pushes.
    pub author: String,
    /// Name of the operation; the same for a push that is tried again. Random when absent.
    pub op_id: Option<String>,
    /// Says what would be done, and does nothing.
    pub dry_run: bool,
    /// What this machine has hashed before.
    pub cache: HashCache,
}

impl PushOptions {
    /// Everything as when nothing is said: private, undeclared, number found by itself.
    pub fn new(dataset: DatasetName, paths: Vec<PathBuf>, author: &str) -> Self {
        Self {
            dataset,
            paths,
            append: false,
            schema: None,
            sample_index: None,
            readme: None,
            rewrite: None,
            deep: false,
            facts: Facts::default(),
            bump: BumpRequest::Auto,
            exclude: Vec::new(),
            include: Vec::new(),
            assign: BTreeMap::new(),
            new_splits: Vec::new(),
            visibility: None,
            sensitivity: None,
            author: author.to_owned(),
            op_id: None,
            dry_run: false,
            cache: HashCache::none(),
        }
    }
}

/// Which number a revision gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BumpRequest {
    /// The least that tells the truth.
    #[default]
    Auto,
    /// At least what the content proves.
    Kind(BumpKind),
    /// This one.
    Exact(Version),
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushReport {
    /// `published`, `unchanged` or `planned`.
    pub outcome: Outcome,
    /// The dataset.
    pub dataset: DatasetName,
    /// The revision that has the content now.
    pub revision: String,
    /// Number of its record; absent for a plan.
    pub seq: Option<u64>,
    /// Its manifest.
    pub manifest: B3,
    /// How it differs from its parent.
    pub bump: Bump,
    /// Shards of it.
    pub shards: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Blobs that were sent, or would be.
    pub sent_blobs: u64,
    /// Bytes of them; parts that an earlier push had sent are not counted.
    pub sent_bytes: u64,
    /// How often another push came first.
    pub rebased: u32,
    /// What was told through [`nodedata_core::Progress::warned`] before anything was sent.
    pub warnings: Vec<String>,
}

/// How a push ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// There is a new revision.
    Published,
    /// It was published already.
    Unchanged,
    /// Nothing was done, as was asked.
    Planned,
}
