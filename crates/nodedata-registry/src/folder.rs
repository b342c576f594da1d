//! What is pushed: a converted dataset's folder as it is, or plain Parquet shards for which everything else
//! is made here.

mod card;
mod converted;
mod footer;
mod plain;
mod reassign;
mod render;
mod restore;
mod rows;
mod sample_index;
mod scan;
mod union;
mod without;

use std::{collections::BTreeMap, path::PathBuf};

use bytes::Bytes;

pub(crate) use card::CardFacts;
pub(crate) use converted::read_converted;
pub(crate) use plain::{PlainModel, PlainShard};
pub(crate) use reassign::{reassign, with_card};
pub(crate) use restore::restore;
pub(crate) use scan::{ScanOptions, scan};
pub(crate) use union::join_schemas;
pub(crate) use without::{EpisodeKeys, Nearest, without_episodes};

use crate::{
    content::Contents,
    digest::B3,
    record::{BlobRef, FileRef, ShardRef, SplitRef},
};

/// A dataset ready to be published: every file with its digests, and where its bytes are.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The shards, in the order of the dataset's manifest.
    pub(crate) shards: Vec<ShardRef>,
    /// Every other file.
    pub(crate) files: Vec<FileRef>,
    /// Which of the files are what: `readme`, `schema`, `stats`, and the index tables by name.
    pub(crate) roles: BTreeMap<String, String>,
    /// Bytes of blobs that may have to be sent. What is not here lies in the registry already.
    pub(crate) sources: BTreeMap<B3, Origin>,
    /// `declared` or `inferred`.
    pub(crate) schema_mode: String,
    /// By name, nothing left out yet.
    pub(crate) splits: BTreeMap<String, SplitRef>,
    /// What the episodes hold.
    pub(crate) contents: Contents,
    /// Hash over the provenance of all shards.
    pub(crate) provenance_root: B3,
    /// What whoever pushes them should know of the files.
    pub(crate) warnings: Vec<String>,
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// In a file.
    File(PathBuf),
    /// In memory.
    Memory(Bytes),
}

impl Draft {
    /// Adds a file whose bytes are in memory, under a role.
    pub(crate) fn put(&mut self, role: &str, path: &str, bytes: Vec<u8>) -> BlobRef {
        let blob = crate::hashing::blob_of(&bytes);
        self.sources.insert(blob.b3, Origin::Memory(Bytes::from(bytes)));
        self.roles.insert(role.to_owned(), path.to_owned());
        self.files.push(FileRef { path: path.to_owned(), blob: blob.clone() });
        blob
    }

    /// The file of a role.
    pub(crate) fn role(&self, role: &str) -> Option<&FileRef> {
        let path = self.roles.get(role)?;
        self.files.iter().find(|it| it.path == *path)
    }
}
