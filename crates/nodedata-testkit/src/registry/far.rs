use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::Result;
use nodedata_registry::{
    Appended, B3, DatasetName, Direct, LogEntry, Negotiated, PushRequest, Remote, Store,
    record::{BlobRef, CommitRecord},
};

/// A registry that nobody may map, wherever its store is, and that counts what is read of blobs.
pub struct Far {
    inner: Direct,
    ranges: Mutex<BTreeMap<B3, Vec<Range<u64>>>>,
    n_rounds: AtomicU64,
    n_trees: AtomicU64,
    tree_bytes: AtomicU64,
}

impl Far {
    /// Over a store.
    pub fn over(store: Store) -> Arc<Self> {
        Arc::new(Self {
            inner: Direct::new(store),
            ranges: Mutex::default(),
            n_rounds: AtomicU64::new(0),
            n_trees: AtomicU64::new(0),
            tree_bytes: AtomicU64::new(0),
        })
    }

    /// As what is tested takes it.
    pub fn shared(self: &Arc<Self>) -> Arc<dyn Remote> {
        Arc::clone(self) as Arc<dyn Remote>
    }

    /// Ranges that were read, by blob.
    pub fn ranges(&self) -> BTreeMap<B3, Vec<Range<u64>>> {
        self.locked().clone()
    }

    /// Bytes of them.
    pub fn n_bytes(&self) -> u64 {
        self.locked().values().flatten().map(|it| it.end - it.start).sum()
    }

    /// How many there were.
    pub fn n_ranges(&self) -> usize {
        self.locked().values().map(Vec::len).sum()
    }

    /// Calls that asked for them, each for one or several.
    pub fn n_rounds(&self) -> u64 {
        self.n_rounds.load(Ordering::Relaxed)
    }

    /// Trees that were asked for.
    pub fn n_trees(&self) -> u64 {
        self.n_trees.load(Ordering::Relaxed)
    }

    /// Bytes of those that were there.
    pub fn tree_bytes(&self) -> u64 {
        self.tree_bytes.load(Ordering::Relaxed)
    }

    /// Counts from nothing again.
    pub fn reset(&self) {
        self.locked().clear();
        for it in [&self.n_rounds, &self.n_trees, &self.tree_bytes] {
            it.store(0, Ordering::Relaxed);
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<B3, Vec<Range<u64>>>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, b3: &B3, ranges: &[Range<u64>]) {
        self.n_rounds.fetch_add(1, Ordering::Relaxed);
        self.locked().entry(*b3).or_default().extend_from_slice(ranges);
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
        let tree = self.inner.read_tree(dataset, b3)?;
        self.n_trees.fetch_add(1, Ordering::Relaxed);
        self.tree_bytes.fetch_add(tree.as_ref().map_or(0, |it| it.len() as u64), Ordering::Relaxed);
        Ok(tree)
    }

    fn read_hint(&self, dataset: &DatasetName) -> Result<Option<Bytes>> {
        self.inner.read_hint(dataset)
    }

    fn write_hint(&self, dataset: &DatasetName, bytes: Bytes) -> Result<()> {
        self.inner.write_hint(dataset, bytes)
    }
}
