//! What a record claims of its number is held against the contents, whatever the client that wrote it says.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use nodedata_core::{ErrorKind, Result, Silent};
use nodedata_registry::{
    Appended, B3, DatasetName, DatasetState, LogEntry, Negotiated, PushOptions, PushRequest, Remote, blob_of,
    push, put_blob,
    record::{BlobRef, CommitRecord, Operation, RevisionManifest},
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

use crate::site::Site;

/// Changes the record of a revision, and its manifest, before they are sent.
pub(crate) type Change = fn(&mut CommitRecord, &mut RevisionManifest);

/// A client that does not tell the truth.
pub(crate) struct Untrue {
    pub(crate) inner: Arc<dyn Remote>,
    pub(crate) change: Change,
    /// What it and those before it sent: nobody reads of a dataset what no revision names, and nothing is sent twice.
    pub(crate) sent: Arc<Mutex<BTreeMap<B3, Bytes>>>,
}

impl Remote for Untrue {
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
        self.sent.lock().unwrap().insert(blob.b3, bytes.clone());
        self.inner.upload_part(blob, part, bytes)
    }

    fn seal(&self, blob: &BlobRef) -> Result<()> {
        self.inner.seal(blob)
    }

    fn end_push(&self, push: &str) -> Result<()> {
        self.inner.end_push(push)
    }

    fn append(&self, dataset: &DatasetName, record: &CommitRecord) -> Result<Appended> {
        let mut record = record.clone();
        if let Operation::Publish { manifest, .. } = &record.op {
            let bytes = self.sent.lock().unwrap()[manifest].clone();
            let mut changed: RevisionManifest = serde_json::from_slice(&bytes).unwrap();
            (self.change)(&mut record, &mut changed);
            let bytes = changed.to_bytes()?;
            let b3 = blob_of(&bytes).b3;
            put_blob(&*self.inner, dataset, bytes)?;
            if let Operation::Publish { manifest, .. } = &mut record.op {
                *manifest = b3;
            }
        }
        self.inner.append(dataset, &record)
    }

    fn log(&self, dataset: &DatasetName, from_seq: u64) -> Result<Vec<LogEntry>> {
        self.inner.log(dataset, from_seq)
    }

    fn blob_bytes(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<u64>> {
        self.inner.blob_bytes(dataset, b3)
    }

    fn read_blob(&self, dataset: &DatasetName, b3: &B3, range: Range<u64>) -> Result<Bytes> {
        self.inner.read_blob(dataset, b3, range)
    }

    fn read_tree(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<Bytes>> {
        self.inner.read_tree(dataset, b3)
    }

    fn read_hint(&self, dataset: &DatasetName) -> Result<Option<Bytes>> {
        self.inner.read_hint(dataset)
    }

    fn write_hint(&self, dataset: &DatasetName, bytes: Bytes) -> Result<()> {
        self.inner.write_hint(dataset, bytes)
    }
}

fn renumber(record: &mut CommitRecord, manifest: &mut RevisionManifest, number: &str) {
    number.clone_into(&mut manifest.revision);
    if let Operation::Publish { revision, .. } = &mut record.op {
        number.clone_into(revision);
    }
}

#[test]
fn a_number_claims_no_less_than_the_contents_prove() {
    let site = Site::new();
    let token = site.token("kit", &["publish:kit/*", "read"]);
    let honest = site.shared(Some(&token));
    let folder = tempfile::tempdir().unwrap();
    let dataset: DatasetName = "kit/x".parse().unwrap();
    let options = PushOptions::new(dataset.clone(), vec![folder.path().to_owned()], "kit");
    let data = |seed| {
        let spec = ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 9, seed };
        write_shard(&folder.path().join("train-0.parquet"), &spec);
    };
    data(1);
    push(&honest, &options, &Silent).unwrap();
    // Other data under the same keys: a major change.
    data(2);
    let cases: [(&str, Change); 3] = [
        ("counts other episodes than a comparison", |record, _| {
            if let Operation::Publish { bump, .. } = &mut record.op {
                bump.proof.added += 1;
            }
        }),
        ("1.0.1 claims a patch change, but the content proves a major one", |record, manifest| {
            renumber(record, manifest, "1.0.1");
        }),
        ("1.1.0 claims a minor change, but the content proves a major one", |record, manifest| {
            renumber(record, manifest, "1.1.0");
        }),
    ];
    let sent = Arc::default();
    for (told, change) in cases {
        let untrue: Arc<dyn Remote> =
            Arc::new(Untrue { inner: Arc::clone(&honest), change, sent: Arc::clone(&sent) });
        let err = push(&untrue, &options, &Silent).map(drop).unwrap_err();
        assert!(err.chain().contains(told), "{}", err.chain());
        assert_eq!(err.kind(), ErrorKind::Config, "{}", err.chain());
        let state = DatasetState::open(&*honest, &dataset).unwrap();
        assert_eq!(state.revisions.len(), 1, "{told}: nothing was published");
    }
    push(&honest, &options, &Silent).unwrap();
    let state = DatasetState::open(&*honest, &dataset).unwrap();
    assert_eq!(state.head().map(|it| it.revision.as_str()), Some("2.0.0"));
}
