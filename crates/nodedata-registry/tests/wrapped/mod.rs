//! A registry that counts, forbids and fails as a test asks it to.

use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread::ThreadId,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    Appended, B3, DatasetName, Direct, LogEntry, Negotiated, PushRequest, Remote, Store,
    record::{BlobRef, CommitRecord, Operation},
};

pub(crate) struct Wrapped {
    inner: Direct,
    forbidden: Mutex<BTreeSet<B3>>,
    swallow_above: AtomicU64,
    swallowed: Mutex<BTreeSet<B3>>,
    /// Parts of large blobs until every further one is lost.
    parts_left: AtomicI64,
    sent: AtomicU64,
    lost: AtomicU64,
    senders: Mutex<HashSet<ThreadId>>,
    /// Lost parts that are under way.
    losing: Mutex<u32>,
    one_more_is_losing: Condvar,
    asked: AtomicU64,
    lose_before: AtomicI64,
    lose_after: AtomicI64,
}

impl Wrapped {
    pub(crate) fn over(store: Store) -> Arc<Self> {
        Arc::new(Self {
            inner: Direct::new(store),
            forbidden: Mutex::default(),
            swallow_above: AtomicU64::new(u64::MAX),
            swallowed: Mutex::default(),
            parts_left: AtomicI64::new(i64::MAX),
            sent: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            senders: Mutex::default(),
            losing: Mutex::new(0),
            one_more_is_losing: Condvar::new(),
            asked: AtomicU64::new(0),
            lose_before: AtomicI64::new(0),
            lose_after: AtomicI64::new(0),
        })
    }

    /// As what is tested takes it.
    pub(crate) fn shared(self: &Arc<Self>) -> Arc<dyn Remote> {
        Arc::clone(self) as Arc<dyn Remote>
    }

    /// Reading one of these fails the test.
    pub(crate) fn forbid(&self, blobs: impl Iterator<Item = B3>) {
        self.forbidden.lock().unwrap().extend(blobs);
    }

    /// Takes larger blobs without keeping them.
    pub(crate) fn swallow_above(&self, n_bytes: u64) {
        self.swallow_above.store(n_bytes, Ordering::Relaxed);
    }

    /// Takes so many parts of large blobs. Those sent after them are gone, and whoever sent them is told that it is
    /// over, as one who is killed while they are under way.
    pub(crate) fn lose_parts_after(&self, n_parts: i64) {
        self.parts_left.store(n_parts, Ordering::Relaxed);
    }

    /// Loses so many answers to published records, before they are written and after.
    pub(crate) fn lose(&self, before: i64, after: i64) {
        self.lose_before.store(before, Ordering::Relaxed);
        self.lose_after.store(after, Ordering::Relaxed);
    }

    /// Bytes of parts of large blobs that were sent, whether they were taken or lost.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes of those that were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Workers that sent parts of large blobs.
    pub(crate) fn n_senders(&self) -> u64 {
        self.senders.lock().unwrap().len() as u64
    }

    /// Questions about logs and blobs so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    fn swallows(&self, blob: &BlobRef) -> bool {
        blob.bytes > self.swallow_above.load(Ordering::Relaxed)
    }

    fn check(&self, b3: &B3) {
        assert!(!self.forbidden.lock().unwrap().contains(b3), "a shard is read");
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Io, "the answer was lost")
}

impl Remote for Wrapped {
    fn label(&self) -> String {
        self.inner.label()
    }

    fn datasets(&self) -> Result<Vec<DatasetName>> {
        self.inner.datasets()
    }

    fn negotiate(&self, request: &PushRequest) -> Result<Negotiated> {
        let mut found = self.inner.negotiate(request)?;
        let swallowed = self.swallowed.lock().unwrap();
        found.need.retain(|it| !swallowed.contains(&it.blob.b3));
        Ok(found)
    }

    fn upload_part(&self, blob: &BlobRef, part: u32, bytes: Bytes) -> Result<()> {
        if nodedata_registry::tree::n_parts(blob.bytes) > 1 {
            self.senders.lock().unwrap().insert(std::thread::current().id());
            self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if self.parts_left.fetch_sub(1, Ordering::Relaxed) <= 0 {
                self.lost.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                // Nobody hears that it is over before another one has a part under way, too: a push starts with more
                // workers than one, and they have parts left to send.
                let mut losing = self.losing.lock().unwrap();
                *losing += 1;
                self.one_more_is_losing.notify_all();
                drop(self.one_more_is_losing.wait_while(losing, |it| *it < 2).unwrap());
                return Err(Error::new(ErrorKind::Denied, "it is over"));
            }
        }
        if !self.swallows(blob) {
            return self.inner.upload_part(blob, part, bytes);
        }
        // One of a single part is whole with it.
        if nodedata_registry::tree::n_parts(blob.bytes) == 1 {
            self.swallowed.lock().unwrap().insert(blob.b3);
        }
        Ok(())
    }

    fn seal(&self, blob: &BlobRef) -> Result<()> {
        if self.swallows(blob) {
            self.swallowed.lock().unwrap().insert(blob.b3);
            return Ok(());
        }
        self.inner.seal(blob)
    }

    fn end_push(&self, push: &str) -> Result<()> {
        self.inner.end_push(push)
    }

    fn append(&self, dataset: &DatasetName, record: &CommitRecord) -> Result<Appended> {
        let is_publish = matches!(record.op, Operation::Publish { .. });
        if is_publish && self.lose_before.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Err(lost());
        }
        let done = self.inner.append(dataset, record)?;
        if is_publish && self.lose_after.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Err(lost());
        }
        Ok(done)
    }

    fn log(&self, dataset: &DatasetName, from_seq: u64) -> Result<Vec<LogEntry>> {
        self.ask();
        self.inner.log(dataset, from_seq)
    }

    fn blob_bytes(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<u64>> {
        self.ask();
        self.inner.blob_bytes(dataset, b3)
    }

    fn read_blob(&self, dataset: &DatasetName, b3: &B3, range: Range<u64>) -> Result<Bytes> {
        self.ask();
        self.check(b3);
        self.inner.read_blob(dataset, b3, range)
    }

    fn read_tree(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<Bytes>> {
        self.ask();
        self.check(b3);
        self.inner.read_tree(dataset, b3)
    }

    fn read_hint(&self, dataset: &DatasetName) -> Result<Option<Bytes>> {
        self.ask();
        self.inner.read_hint(dataset)
    }

    fn write_hint(&self, dataset: &DatasetName, bytes: Bytes) -> Result<()> {
        self.inner.write_hint(dataset, bytes)
    }
}
