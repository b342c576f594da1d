mod files;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, ReadAt as _, Result};
use nodedata_dataset::Dataset;

pub use files::REVISION_FILE;

use crate::{
    blob_reader::{BlobReader, read_whole},
    content::Contents,
    digest::B3,
    name::DatasetName,
    record::{BlobRef, FileRef, RECORD_BYTES_MAX, RevisionManifest, ShardRef},
    remote::Remote,
    state::RevisionEntry,
    tables::{contents_of, read_episodes, read_shards},
    tree_cache::TreeCache,
};

/// Longest index table that is read, in bytes.
const INDEX_BYTES_MAX: u64 = 1 << 30;

/// A published revision: its manifest and, as far as asked for, its tables. Shards are never read.
#[derive(Clone)]
pub struct Revision {
    remote: Arc<dyn Remote>,
    dataset: DatasetName,
    digest: B3,
    manifest: RevisionManifest,
    shards: OnceLock<Vec<ShardRef>>,
    /// In the order of their paths.
    files: OnceLock<Vec<FileRef>>,
    /// Of all readers of its blobs, those of its clones as well.
    trees: TreeCache,
    is_mapped: bool,
    /// See [`Self::tables_within`].
    table_bytes_max: u64,
}

impl Revision {
    /// Reads the manifest of a revision.
    ///
    /// # Errors
    /// `Config` when blobs of it were removed for good; `Corrupt` when the manifest is not what the record says; `Io`, `Denied`.
    pub fn open(remote: &Arc<dyn Remote>, dataset: &DatasetName, entry: &RevisionEntry) -> Result<Self> {
        entry.check_there(dataset)?;
        let found = Self::of_manifest(remote, dataset, &entry.manifest)?;
        if found.manifest.revision == entry.revision {
            return Ok(found);
        }
        let message = format!("the manifest of {} is that of {}", entry.revision, found.manifest.revision);
        Err(Error::new(ErrorKind::Corrupt, message)
            .with_hint("`node-data store fsck` says what else is damaged"))
    }

    /// Reads the revision whose manifest has that digest.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_manifest(remote: &Arc<dyn Remote>, dataset: &DatasetName, digest: &B3) -> Result<Self> {
        let n_bytes = remote.blob_bytes(dataset, digest)?.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the manifest {digest} is missing"))
                .with_hint("`node-data store fsck` says what else is missing")
        })?;
        let bytes = read_whole(&**remote, dataset, digest, n_bytes, RECORD_BYTES_MAX)?;
        let manifest = RevisionManifest::parse(&bytes)?;
        Ok(Self {
            remote: Arc::clone(remote),
            dataset: dataset.clone(),
            digest: *digest,
            manifest,
            shards: OnceLock::new(),
            files: OnceLock::new(),
            trees: TreeCache::default(),
            is_mapped: false,
            table_bytes_max: u64::MAX,
        })
    }

    /// Reads blobs through memory maps where the registry is a folder of this machine, see [`BlobReader::mapped`].
    #[must_use]
    pub fn mapped(mut self) -> Self {
        self.is_mapped = true;
        self
    }

    /// Reads no table whose rows take more than so many bytes of memory: it is a `Limit` then. For a server, which reads what anybody
    /// publishes; whoever reads a set that they asked for is bounded by the length of its tables alone.
    #[must_use]
    pub fn tables_within(mut self, bytes_max: u64) -> Self {
        self.table_bytes_max = bytes_max;
        self
    }

    /// Digest of its manifest.
    pub fn digest(&self) -> B3 {
        self.digest
    }

    /// Its manifest.
    pub fn manifest(&self) -> &RevisionManifest {
        &self.manifest
    }

    /// Its dataset.
    pub fn dataset(&self) -> &DatasetName {
        &self.dataset
    }

    /// Its shards, also those that lie in a table of their own.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Denied`.
    pub fn shards(&self) -> Result<&[ShardRef]> {
        if let Some(shards) = self.shards.get() {
            return Ok(shards);
        }
        let shards = match &self.manifest.shard_table {
            Some(table) => read_shards(self.read(table)?, self.table_bytes_max)?,
            None => self.manifest.shards.clone(),
        };
        Ok(self.shards.get_or_init(|| shards))
    }

    /// Every blob it needs: files, index, shards.
    ///
    /// # Errors
    /// As [`Self::shards`].
    pub fn blobs(&self) -> Result<Vec<BlobRef>> {
        let mut blobs = self.manifest.blobs();
        if self.manifest.shard_table.is_some() {
            blobs.extend(self.shards()?.iter().map(|it| it.blob.clone()));
        }
        Ok(blobs)
    }

    /// A blob of it, whole and verified.
    ///
    /// # Errors
    /// `Limit` for one that is no table; `Corrupt`, `Io`, `Denied`.
    pub fn read(&self, blob: &BlobRef) -> Result<Bytes> {
        if blob.bytes > INDEX_BYTES_MAX {
            let message = format!("{} has {} bytes, which is no index table", blob.b3, blob.bytes);
            return Err(Error::new(ErrorKind::Limit, message));
        }
        self.reader(blob)?.read_at(0..blob.bytes)
    }

    /// A blob of it, range by range.
    ///
    /// # Errors
    /// As [`BlobReader::open`].
    pub fn reader(&self, blob: &BlobRef) -> Result<BlobReader> {
        let reader = BlobReader::open_with(&self.remote, &self.dataset, &blob.b3, blob.bytes, &self.trees)?;
        Ok(if self.is_mapped { reader.mapped() } else { reader })
    }

    /// An index table by name.
    ///
    /// # Errors
    /// `Corrupt` when it has none of that name; otherwise as [`Self::read`].
    pub fn index(&self, name: &str) -> Result<Bytes> {
        let table = self.manifest.index.get(name).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the revision names no index table `{name}`"))
        })?;
        self.read(&table.blob)
    }

    /// The dataset that it holds, read where it lies and verified.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Denied`.
    pub(crate) fn as_dataset(&self) -> Result<Dataset> {
        Dataset::over(Arc::new(self.clone()))
    }

    /// What its episodes hold, those left out not counted. Reads the episode tables only.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Denied`.
    pub fn contents(&self) -> Result<Contents> {
        let mut contents = self.all_contents()?;
        let is_excluded = |split: &str, key: &String| {
            self.manifest.splits.get(split).is_some_and(|it| it.exclude.contains(key))
        };
        contents.0.retain(|id, _| !is_excluded(&id.split, &id.key));
        Ok(contents)
    }

    /// The same, with what is left out.
    pub(crate) fn all_contents(&self) -> Result<Contents> {
        let features = self.manifest.index.get("contents").map(|it| self.read(&it.blob)).transpose()?;
        let episodes = read_episodes(self.index("episodes")?, self.table_bytes_max)?;
        contents_of(&episodes, features, self.table_bytes_max)
    }
}
