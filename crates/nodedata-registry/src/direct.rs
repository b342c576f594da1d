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
    bounded::{PUSH_BLOBS_MAX, PUSH_PARTS_MAX, at_most},
    digest::B3,
    layout,
    maintain::{remove_purged, wait_for_collection},
    name::DatasetName,
    purge::Removal,
    record::{BlobRef, CommitRecord, Lease, Operation, to_canonical},
    remote::{Appended, LogEntry, Needed, Negotiated, PushRequest, Remote},
    state::Anchor,
    store::{Created, Store},
    tree,
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

    /// Announces a push: its lease protects what it names, from before it is known what of that is there.
    ///
    /// # Errors
    /// As [`Remote::negotiate`].
    pub fn announce(&self, request: &PushRequest) -> Result<()> {
        check_announced(request)?;
        self.ready_to_write()?;
        let blobs = request.blobs.iter().map(|it| it.b3).collect();
        let lease = Lease::new(&request.push, &request.dataset, blobs, LEASE_SECONDS)?;
        // Before the question what is there: what is there then stays.
        let path = layout::lease(&request.push);
        self.store.put(&path, Bytes::from(to_canonical(&lease)?))?;
        wait_for_collection(&self.store, &lease.blobs.iter().copied().collect())
    }

    /// Leaves the look-up of a revision. It follows from the log, so nothing is lost when it fails.
    pub(crate) fn note_revision(&self, dataset: &DatasetName, record: &CommitRecord) {
        if let (Operation::Publish { revision, .. }, Some(bytes)) = (&record.op, Self::look_up(record)) {
            drop(self.store.put_create(&layout::revision(dataset, revision), bytes));
        }
    }

    /// Notes the last record beside the log. Where that fails, an earlier one stays noted.
    pub(crate) fn note_anchor(&self, dataset: &DatasetName, seq: u64, record: B3) {
        let anchor = Anchor { seq, record };
        let bytes = anchor.to_bytes(dataset).map(Bytes::from);
        drop(bytes.and_then(|it| self.store.put(&layout::anchor(dataset), it)));
    }

    /// The look-up of a revision, as it lies in a store.
    pub(crate) fn look_up(record: &CommitRecord) -> Option<Bytes> {
        let Operation::Publish { manifest, .. } = &record.op else { return None };
        let found = serde_json::json!({"nd": "rev/1", "seq": record.seq, "manifest": manifest});
        to_canonical(&found).map(Bytes::from).ok()
    }

    /// The first `n_max` records of a log from `from_seq` on, or fewer: a page of it, which costs what is on it.
    ///
    /// # Errors
    /// As [`Remote::log`].
    pub fn log_page(&self, dataset: &DatasetName, from_seq: u64, n_max: usize) -> Result<Vec<LogEntry>> {
        let mut entries: Vec<LogEntry> = Vec::new();
        let mut window = 1;
        loop {
            let n_left = (n_max - entries.len()) as u64;
            // Behind the last number there is none to ask for.
            let Some(start) = from_seq.checked_add(entries.len() as u64) else { return Ok(entries) };
            let end = start.saturating_add(n_left.min(window));
            let paths: Vec<String> = (start..end).map(|seq| layout::record(dataset, seq)).collect();
            if paths.is_empty() {
                return Ok(entries);
            }
            let found = self.store.get_run(&paths)?;
            for (seq, bytes) in (start..end).zip(&found) {
                let entry = self.entry(dataset, seq, bytes)?;
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
        self.announce(request)?;
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

    fn upload_blobs(&self, blobs: &[(BlobRef, Bytes)]) -> Result<()> {
        self.ready_to_write()?;
        self.store.put_blobs(blobs)
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
            self.note_anchor(dataset, record.seq, B3::of(&bytes));
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
        self.log_page(dataset, from_seq, usize::MAX)
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

    fn read_anchor(&self, dataset: &DatasetName) -> Result<Option<Anchor>> {
        let bytes = self.store.get(&layout::anchor(dataset))?;
        Ok(bytes.and_then(|it| Anchor::parse(dataset, &it)))
    }

    fn remove_purged(&self, dataset: &DatasetName) -> Result<Removal> {
        remove_purged(self, dataset)
    }

    fn read_hint(&self, dataset: &DatasetName) -> Result<Option<Bytes>> {
        self.store.get(&layout::head(dataset))
    }

    fn write_hint(&self, dataset: &DatasetName, bytes: Bytes) -> Result<()> {
        self.store.put(&layout::head(dataset), bytes)
    }
}

/// What an answer would have to say of every part is bounded by what may be asked.
fn check_announced(request: &PushRequest) -> Result<()> {
    let less = |err: Error| err.with_hint("push fewer shards at once: a revision may follow for the rest");
    at_most("blobs", request.blobs.len() as u64, PUSH_BLOBS_MAX).map_err(less)?;
    let n_parts = request.blobs.iter().map(|it| u64::from(tree::n_parts(it.bytes)));
    // A million of at most 8,192 each.
    at_most("parts", n_parts.sum(), PUSH_PARTS_MAX).map(drop).map_err(less)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::BLOB_BYTES_MAX;

    fn direct() -> (Direct, DatasetName) {
        (Direct::new(Store::memory()), "acme/x".parse().unwrap())
    }

    #[test]
    fn a_log_ends_wherever_it_is_read_from() {
        let (direct, dataset) = direct();
        let mut digest = None;
        for seq in 0..5 {
            let record = CommitRecord {
                nd: "commit/1".to_owned(),
                seq,
                prev: digest,
                op_id: format!("op{seq}"),
                author: "acme".to_owned(),
                at: String::new(),
                op: Operation::Tag { tag: "t".to_owned(), revision: None },
                state: None,
                sig: None,
            };
            match direct.append(&dataset, &record).unwrap() {
                Appended::Done { digest: done } => digest = Some(done),
                Appended::Taken(entry) => panic!("{entry:?}"),
            }
        }
        let of = |entries: Vec<LogEntry>| entries.iter().map(|it| it.record.seq).collect::<Vec<_>>();
        for (from, expected) in [
            (0, vec![0, 1, 2, 3, 4]),
            (4, vec![4]),
            (5, vec![]),
            (1 << 63, vec![]),
            (u64::MAX - 1, vec![]),
            (u64::MAX, vec![]),
        ] {
            assert_eq!(of(direct.log(&dataset, from).unwrap()), expected, "from {from}");
        }
        assert_eq!(of(direct.log_page(&dataset, 1, 2).unwrap()), [1, 2]);
        assert_eq!(of(direct.log_page(&dataset, 3, 2).unwrap()), [3, 4]);
        assert_eq!(of(direct.log_page(&dataset, 0, 0).unwrap()), [0u64; 0]);
    }

    #[test]
    fn a_push_announces_no_more_than_can_be_answered() {
        let (direct, dataset) = direct();
        let blob = |idx: u64| BlobRef {
            b3: B3::of(&idx.to_le_bytes()),
            sha256: String::new(),
            bytes: BLOB_BYTES_MAX,
        };
        let ask = |n: u64| {
            let blobs = (0..n).map(blob).collect();
            direct.negotiate(&PushRequest { push: "p".to_owned(), dataset: dataset.clone(), blobs })
        };
        assert_eq!(ask(3).unwrap().need.len(), 3);
        let err = ask(PUSH_PARTS_MAX / tree::PARTS_MAX + 1).unwrap_err();
        assert_eq!((err.kind(), err.locus().feature.as_deref()), (ErrorKind::Limit, Some("parts")));
        assert!(err.hint().unwrap().contains("fewer shards"), "{err}");
        // The same one as often: how many there are is counted, not how much they are.
        let small = BlobRef { b3: B3::of(b"x"), sha256: String::new(), bytes: 1 };
        let blobs = vec![small; PUSH_BLOBS_MAX as usize + 1];
        let request = PushRequest { push: "p".to_owned(), dataset: dataset.clone(), blobs };
        let err = direct.negotiate(&request).unwrap_err();
        assert_eq!((err.kind(), err.locus().feature.as_deref()), (ErrorKind::Limit, Some("blobs")));
        assert!(err.hint().unwrap().contains("fewer shards"), "{err}");
    }
}
