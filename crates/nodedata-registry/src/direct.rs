use std::{
    collections::BTreeSet,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::{
    digest::B3,
    layout,
    maintain::wait_for_collection,
    name::DatasetName,
    record::{BlobRef, CommitRecord, Lease, Operation, to_canonical},
    remote::{Appended, LogEntry, Needed, Negotiated, PushRequest, Remote},
    store::{Created, Store},
};

/// How long a push protects its blobs without a word, in seconds: two days.
pub const LEASE_SECONDS: u64 = 48 * 3600;

/// Records asked for at once when nobody knows how many there are.
const LOG_WINDOW_MAX: u64 = 64;

/// A store that this process reads and writes itself. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Direct {
    store: Store,
    /// Whether the store is known to be safe to write to.
    checked: Arc<AtomicBool>,
}

impl Direct {
    /// Speaks to `store`.
    pub fn new(store: Store) -> Self {
        Self { store, checked: Arc::default() }
    }

    /// The same store, as what reads from it holds it.
    pub fn shared(&self) -> Arc<dyn Remote> {
        Arc::new(self.clone())
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Before the first write: the place must be a store, and safe.
    fn ready_to_write(&self) -> Result<()> {
        if !self.checked.load(Ordering::Acquire) {
            self.store.init()?;
            self.checked.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Leaves the look-up of a revision. It follows from the log, so nothing is lost when it fails.
    pub(crate) fn note_revision(&self, dataset: &DatasetName, record: &CommitRecord) {
        if let Operation::Publish { revision, manifest, .. } = &record.op {
            let found = serde_json::json!({"nd": "rev/1", "seq": record.seq, "manifest": manifest});
            let bytes = to_canonical(&found).map(Bytes::from);
            drop(bytes.and_then(|it| self.store.put_create(&layout::revision(dataset, revision), it)));
        }
    }

    fn entry(&self, dataset: &DatasetName, seq: u64, bytes: &[u8]) -> Result<LogEntry> {
        let at = || Locus::path(layout::record(dataset, seq));
        let record = CommitRecord::parse(bytes).map_err(|err| err.at(at()))?;
        if record.seq != seq {
            let message = format!("the record says that its number is {}", record.seq);
            return Err(Error::new(ErrorKind::Corrupt, message).at(at()));
        }
        Ok(LogEntry { digest: B3::of(bytes), record })
    }
}

impl Remote for Direct {
    fn label(&self) -> String {
        self.store.label().to_owned()
    }

    fn datasets(&self) -> Result<Vec<DatasetName>> {
        let mut names = Vec::new();
        for owner in self.store.folders(layout::DATASETS)? {
            for name in self.store.folders(&format!("{}/{owner}", layout::DATASETS))? {
                // What is no name of ours was not put there by us.
                names.extend(DatasetName::new(&owner, &name));
            }
        }
        Ok(names)
    }

    fn negotiate(&self, request: &PushRequest) -> Result<Negotiated> {
        self.ready_to_write()?;
        let lease = Lease {
            nd: "lease/1".to_owned(),
            push: request.push.clone(),
            dataset: request.dataset.clone(),
            blobs: request.blobs.iter().map(|it| it.b3).collect(),
            seconds: LEASE_SECONDS,
        };
        // Before the question what is there: what is there then stays.
        let path = layout::lease(&request.push);
        self.store.put(&path, Bytes::from(to_canonical(&lease)?))?;
        wait_for_collection(&self.store, &path, &lease.blobs.iter().copied().collect())?;
        let paths: Vec<String> = request.blobs.iter().map(|it| layout::blob(&it.b3)).collect();
        let found = self.store.heads(&paths)?;
        let mut need = Vec::new();
        let mut seen = BTreeSet::new();
        for (blob, found) in request.blobs.iter().zip(found) {
            if found.is_some_and(|it| it.bytes == blob.bytes) || !seen.insert(blob.b3) {
                continue;
            }
            need.push(Needed { blob: blob.clone(), have: self.store.uploaded_parts(blob)? });
        }
        Ok(Negotiated { need })
    }

    fn upload_part(&self, blob: &BlobRef, part: u32, bytes: Bytes) -> Result<()> {
        self.ready_to_write()?;
        self.store.upload_part(blob, part, bytes)
    }

    fn seal(&self, blob: &BlobRef) -> Result<()> {
        self.store.seal(blob)
    }

    fn end_push(&self, push: &str) -> Result<()> {
        self.store.delete(&layout::lease(push))
    }

    fn append(&self, dataset: &DatasetName, record: &CommitRecord) -> Result<Appended> {
        self.ready_to_write()?;
        let bytes = Bytes::from(record.to_bytes()?);
        let path = layout::record(dataset, record.seq);
        let written = self.store.put_create(&path, bytes.clone());
        if matches!(written, Ok(Created::New)) {
            self.note_revision(dataset, record);
            return Ok(Appended::Done { digest: B3::of(&bytes) });
        }
        // Taken, or nobody knows: the slot does.
        match (self.store.get(&path)?, written) {
            (Some(found), _) if found == bytes => Ok(Appended::Done { digest: B3::of(&bytes) }),
            (Some(found), _) => Ok(Appended::Taken(self.entry(dataset, record.seq, &found)?)),
            (None, Err(err)) => Err(err),
            (None, Ok(_)) => {
                let message = "the store says that the record is there, and that it is not".to_owned();
                Err(Error::new(ErrorKind::Io, message).at(Locus::path(path)))
            }
        }
    }

    fn log(&self, dataset: &DatasetName, from_seq: u64) -> Result<Vec<LogEntry>> {
        let mut entries: Vec<LogEntry> = Vec::new();
        let mut window = 1;
        loop {
            let start = from_seq + entries.len() as u64;
            let paths: Vec<String> =
                (start..start.saturating_add(window)).map(|seq| layout::record(dataset, seq)).collect();
            let found = self.store.get_run(&paths)?;
            for (idx, bytes) in found.iter().enumerate() {
                let entry = self.entry(dataset, start + idx as u64, bytes)?;
                if let Some(before) = entries.last()
                    && entry.record.prev != Some(before.digest)
                {
                    let message = "the record does not follow the one before it".to_owned();
                    return Err(Error::new(ErrorKind::Corrupt, message)
                        .at(Locus::path(layout::record(dataset, entry.record.seq)))
                        .with_hint("`node-data store fsck` says what else is damaged"));
                }
                entries.push(entry);
            }
            if found.len() < paths.len() {
                return Ok(entries);
            }
            window = (window * 2).min(LOG_WINDOW_MAX);
        }
    }

    fn blob_bytes(&self, _: &DatasetName, b3: &B3) -> Result<Option<u64>> {
        Ok(self.store.head(&layout::blob(b3))?.map(|it| it.bytes))
    }

    fn read_blob(&self, _: &DatasetName, b3: &B3, range: Range<u64>) -> Result<Bytes> {
        self.store.get_range(&layout::blob(b3), range)
    }

    fn read_ranges(&self, _: &DatasetName, b3: &B3, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.store.get_ranges(&layout::blob(b3), ranges)
    }

    fn local_path(&self, b3: &B3) -> Option<PathBuf> {
        Some(self.store.folder()?.join(layout::blob(b3)))
    }

    fn read_tree(&self, _: &DatasetName, b3: &B3) -> Result<Option<Bytes>> {
        self.store.get(&layout::tree(b3))
    }

    fn read_hint(&self, dataset: &DatasetName) -> Result<Option<Bytes>> {
        self.store.get(&layout::head(dataset))
    }

    fn write_hint(&self, dataset: &DatasetName, bytes: Bytes) -> Result<()> {
        self.store.put(&layout::head(dataset), bytes)
    }
}
