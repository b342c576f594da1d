//! Registries that are far away, and damage in them.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::{Result, Silent};
use nodedata_registry::{
    Appended, B3, DatasetName, Direct, LogEntry, Negotiated, OpenStore, PushOptions, PushRequest, Reference,
    Remote, Store, StoreLocation, layout, push,
    record::{BlobRef, CommitRecord},
};

use crate::made::Made;

/// A store in a folder that nobody may map, whose reads are counted.
pub(crate) struct Far {
    inner: Direct,
    /// Ranges that were asked for, by blob.
    pub(crate) ranges: Mutex<BTreeMap<B3, Vec<Range<u64>>>>,
    pub(crate) rounds: AtomicU64,
    pub(crate) trees: AtomicU64,
}

impl Far {
    pub(crate) fn n_bytes(&self) -> u64 {
        self.ranges.lock().unwrap().values().flatten().map(|it| it.end - it.start).sum()
    }

    pub(crate) fn reset(&self) {
        self.ranges.lock().unwrap().clear();
        self.rounds.store(0, Ordering::Relaxed);
        self.trees.store(0, Ordering::Relaxed);
    }

    fn note(&self, b3: &B3, ranges: &[Range<u64>]) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.ranges.lock().unwrap().entry(*b3).or_default().extend_from_slice(ranges);
    }
}

impl Remote for Far {
    fn label(&self) -> String {
        self.inner.label()
    }

    fn datasets(&self) -> Result<Vec<DatasetName>> {
        self.inner.datasets()
    }

    fn negotiate(&self, request: &PushRequest) -> Result<Negotiated> {
        self.inner.negotiate(request)
    }

    fn upload_part(&self, blob: &BlobRef, part: u32, bytes: Bytes) -> Result<()> {
        self.inner.upload_part(blob, part, bytes)
    }

    fn seal(&self, blob: &BlobRef) -> Result<()> {
        self.inner.seal(blob)
    }

    fn end_push(&self, push: &str) -> Result<()> {
        self.inner.end_push(push)
    }

    fn append(&self, dataset: &DatasetName, record: &CommitRecord) -> Result<Appended> {
        self.inner.append(dataset, record)
    }

    fn log(&self, dataset: &DatasetName, from_seq: u64) -> Result<Vec<LogEntry>> {
        self.inner.log(dataset, from_seq)
    }

    fn blob_bytes(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<u64>> {
        self.inner.blob_bytes(dataset, b3)
    }

    fn read_blob(&self, dataset: &DatasetName, b3: &B3, range: Range<u64>) -> Result<Bytes> {
        self.note(b3, std::slice::from_ref(&range));
        self.inner.read_blob(dataset, b3, range)
    }

    fn read_ranges(&self, dataset: &DatasetName, b3: &B3, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.note(b3, ranges);
        self.inner.read_ranges(dataset, b3, ranges)
    }

    fn read_tree(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<Bytes>> {
        self.trees.fetch_add(1, Ordering::Relaxed);
        self.inner.read_tree(dataset, b3)
    }

    fn read_hint(&self, dataset: &DatasetName) -> Result<Option<Bytes>> {
        self.inner.read_hint(dataset)
    }

    fn write_hint(&self, dataset: &DatasetName, bytes: Bytes) -> Result<()> {
        self.inner.write_hint(dataset, bytes)
    }
}

/// A dataset that was published in a store in a folder.
pub(crate) struct Published {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) near: Arc<dyn Remote>,
    pub(crate) dataset: DatasetName,
}

impl Published {
    pub(crate) fn new(made: &Made) -> Self {
        let folder = tempfile::tempdir().unwrap();
        made.write(&folder.path().join("made"));
        let location = StoreLocation::Folder(folder.path().join("store"));
        let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
        let published =
            Self { folder, near: Direct::new(store).shared(), dataset: "acme/x".parse().unwrap() };
        published.push(|_| {});
        published
    }

    /// Publishes the folder once more, otherwise.
    pub(crate) fn push(&self, change: impl FnOnce(&mut PushOptions)) {
        let mut options = PushOptions::new(self.dataset.clone(), vec![self.made()], "test");
        change(&mut options);
        push(&self.near, &options, &Silent).unwrap_or_else(|err| panic!("{}", err.chain()));
    }

    pub(crate) fn made(&self) -> PathBuf {
        self.folder.path().join("made")
    }

    /// The same store as one that is far away.
    pub(crate) fn far(&self) -> Arc<Far> {
        far_at(&self.store())
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn reference(&self, text: &str) -> Reference {
        Reference::parse(text, "acme").unwrap()
    }

    /// The blob that a file of the folder is.
    pub(crate) fn blob(&self, path: &str) -> B3 {
        B3::of(&std::fs::read(self.made().join(path)).unwrap())
    }

    /// Where a blob lies in the store.
    pub(crate) fn at(&self, blob: &B3) -> PathBuf {
        self.store().join(layout::blob(blob))
    }
}

/// The store in a folder as one that is far away.
pub(crate) fn far_at(store: &Path) -> Arc<Far> {
    let location = StoreLocation::Folder(store.to_owned());
    let store = Store::open(&location, &OpenStore { journal: None, create: false }).unwrap();
    Arc::new(Far {
        inner: Direct::new(store),
        ranges: Mutex::default(),
        rounds: AtomicU64::new(0),
        trees: AtomicU64::new(0),
    })
}

/// Flips a bit of a file; the second time it is as it was.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
