//! What a revision's tables say of its rows is no proof: `verify` makes the hashes again.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Silent};
use nodedata_dataset::Dataset;
use nodedata_registry::{
    Appended, B3, DatasetName, DatasetState, Direct, LogEntry, Negotiated, Operation, PushOptions,
    PushRequest, Remote, Revision, Store, blob_of, change, push, put_blob,
    record::{BlobRef, Bump, BumpProof, CommitRecord},
    trust::{ByteSample, VerifyOptions, verify_published},
};
use nodedata_testkit::registry::{ShardSpec, shard_bytes, write_shard};

fn dataset() -> DatasetName {
    "acme/x".parse().unwrap()
}

fn published(folder: &Path) -> (Direct, Arc<dyn Remote>) {
    let store = Direct::new(Store::memory());
    let remote = store.shared();
    for (name, first_episode) in [("train-0.parquet", 0), ("train-1.parquet", 2)] {
        write_shard(&folder.join(name), &ShardSpec { first_episode, n_episodes: 2, n_steps: 700, seed: 1 });
    }
    push(&remote, &PushOptions::new(dataset(), vec![folder.to_owned()], "acme"), &Silent).unwrap();
    (store, remote)
}

fn codes(remote: &Arc<dyn Remote>, bytes: bool) -> Vec<&'static str> {
    let state = DatasetState::open(&**remote, &dataset()).unwrap();
    let entry = state.head().unwrap();
    let sample = if bytes { ByteSample::ALL } else { ByteSample::NONE };
    let options = VerifyOptions { trusted: &[], sample };
    let found = verify_published(remote, &dataset(), entry, &options).unwrap();
    assert_eq!(found.episodes, if bytes { 4 } else { 0 });
    let mut codes: Vec<&str> = found.findings.iter().map(|it| it.code).collect();
    codes.dedup();
    codes
}

#[test]
fn rows_that_changed_under_old_tables_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, remote) = published(folder.path());
    assert_eq!(codes(&remote, true), [""; 0]);
    // All rows of one shard are others, of the same number; every table is as it was.
    let state = DatasetState::open(&*remote, &dataset()).unwrap();
    let old = Revision::open(&remote, &dataset(), state.head().unwrap()).unwrap();
    let other = shard_bytes(&ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 700, seed: 2 });
    let blob = blob_of(&other);
    assert_ne!(blob.b3, old.shards().unwrap()[0].blob.b3);
    let request = PushRequest { push: "p".to_owned(), dataset: dataset(), blobs: vec![blob.clone()] };
    store.negotiate(&request).unwrap();
    store.upload_part(&blob, 0, other.into()).unwrap();
    let mut manifest = old.manifest().clone();
    manifest.revision = "1.0.1".to_owned();
    manifest.parents = vec![old.digest()];
    manifest.shard_bytes = manifest.shard_bytes - manifest.shards[0].blob.bytes + blob.bytes;
    manifest.shards[0].blob = blob;
    let bytes = manifest.to_bytes().unwrap();
    let b3 = blob_of(&bytes).b3;
    put_blob(&store, &dataset(), bytes).unwrap();
    change(&store, &dataset(), "acme", &|_| {
        let proof = BumpProof { kept: 4, ..BumpProof::default() };
        Ok(Operation::Publish {
            revision: "1.0.1".to_owned(),
            bump: Bump { kind: "patch".to_owned(), proof },
            manifest: b3,
            tags: vec!["latest".to_owned()],
        })
    })
    .unwrap();
    let found = codes(&remote, true);
    assert!(found.contains(&"content-mismatch"), "{found:?}");
    assert!(!codes(&remote, false).contains(&"content-mismatch"), "rows are not read");
}

#[test]
fn a_number_that_claims_less_than_the_tables_prove_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, remote) = published(folder.path());
    let shard = folder.path().join("train-0.parquet");
    write_shard(&shard, &ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 700, seed: 5 });
    push(&remote, &PushOptions::new(dataset(), vec![folder.path().to_owned()], "acme"), &Silent).unwrap();
    assert_eq!(codes(&remote, true), [""; 0], "2.0.0 says what it is");
    let state = DatasetState::open(&*remote, &dataset()).unwrap();
    let honest = Revision::open(&remote, &dataset(), state.head().unwrap()).unwrap();
    // The same as 1.0.1, past a server that would not take it.
    let mut manifest = honest.manifest().clone();
    assert_eq!(manifest.revision, "2.0.0");
    manifest.revision = "1.0.1".to_owned();
    let bytes = manifest.to_bytes().unwrap();
    let b3 = blob_of(&bytes).b3;
    put_blob(&store, &dataset(), bytes).unwrap();
    change(&store, &dataset(), "acme", &|_| {
        Ok(Operation::Publish {
            revision: "1.0.1".to_owned(),
            bump: Bump { kind: "patch".to_owned(), proof: BumpProof::default() },
            manifest: b3,
            tags: Vec::new(),
        })
    })
    .unwrap();
    assert_eq!(codes(&remote, true), ["number-mismatch"]);
}

/// A registry whose network breaks off after so many reads of blobs.
struct BreaksOff {
    inner: Direct,
    left: AtomicI64,
}

type Told<T> = nodedata_core::Result<T>;

impl Remote for BreaksOff {
    fn label(&self) -> String {
        self.inner.label()
    }

    fn datasets(&self) -> Told<Vec<DatasetName>> {
        self.inner.datasets()
    }

    fn negotiate(&self, request: &PushRequest) -> Told<Negotiated> {
        self.inner.negotiate(request)
    }

    fn upload_part(&self, blob: &BlobRef, part: u32, bytes: Bytes) -> Told<()> {
        self.inner.upload_part(blob, part, bytes)
    }

    fn seal(&self, blob: &BlobRef) -> Told<()> {
        self.inner.seal(blob)
    }

    fn end_push(&self, push: &str) -> Told<()> {
        self.inner.end_push(push)
    }

    fn append(&self, dataset: &DatasetName, record: &CommitRecord) -> Told<Appended> {
        self.inner.append(dataset, record)
    }

    fn log(&self, dataset: &DatasetName, from_seq: u64) -> Told<Vec<LogEntry>> {
        self.inner.log(dataset, from_seq)
    }

    fn blob_bytes(&self, dataset: &DatasetName, b3: &B3) -> Told<Option<u64>> {
        self.inner.blob_bytes(dataset, b3)
    }

    fn read_blob(&self, dataset: &DatasetName, b3: &B3, range: Range<u64>) -> Told<Bytes> {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(Error::new(ErrorKind::Io, "the server did not answer").with_hint("try again"));
        }
        self.inner.read_blob(dataset, b3, range)
    }

    fn read_tree(&self, dataset: &DatasetName, b3: &B3) -> Told<Option<Bytes>> {
        self.inner.read_tree(dataset, b3)
    }

    fn read_hint(&self, dataset: &DatasetName) -> Told<Option<Bytes>> {
        self.inner.read_hint(dataset)
    }

    fn write_hint(&self, dataset: &DatasetName, bytes: Bytes) -> Told<()> {
        self.inner.write_hint(dataset, bytes)
    }
}

/// Wherever a connection breaks, that says nothing of what is published.
#[test]
fn a_network_that_breaks_off_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (store, remote) = published(folder.path());
    let state = DatasetState::open(&*remote, &dataset()).unwrap();
    let entry = state.head().unwrap();
    let options = VerifyOptions { trusted: &[], sample: ByteSample::ALL };
    for n_reads in 0.. {
        let breaks: Arc<dyn Remote> =
            Arc::new(BreaksOff { inner: store.clone(), left: AtomicI64::new(n_reads) });
        match verify_published(&breaks, &dataset(), entry, &options) {
            Err(err) => assert_eq!(err.kind(), ErrorKind::Io, "after {n_reads} reads: {}", err.chain()),
            Ok(found) => {
                assert_eq!((found.findings, found.episodes), (Vec::new(), 4), "after {n_reads} reads");
                assert!(n_reads > 10, "{n_reads}");
                break;
            }
        }
    }
}

/// Also where rows are read in place, through a reader of Parquet that makes words of everything.
#[test]
fn rows_that_a_network_does_not_bring_are_told_with_what_they_are_of() {
    let folder = tempfile::tempdir().unwrap();
    let (store, remote) = published(folder.path());
    let state = DatasetState::open(&*remote, &dataset()).unwrap();
    let entry = state.head().unwrap();
    let mut n_named = 0;
    for n_reads in 0.. {
        let breaks: Arc<dyn Remote> =
            Arc::new(BreaksOff { inner: store.clone(), left: AtomicI64::new(n_reads) });
        let read = || -> Told<usize> {
            let revision = Revision::open(&breaks, &dataset(), entry)?;
            let rows_of = Dataset::over(Arc::new(revision))?;
            let mut n_rows = 0;
            for shard in &rows_of.manifest.shards {
                for batch in rows_of.shard(shard)? {
                    n_rows += batch?.num_rows();
                }
            }
            rows_of.episodes()?;
            Ok(n_rows)
        };
        let err = match read() {
            Err(err) => err,
            Ok(n_rows) => {
                assert_eq!(n_rows, 2 * 2 * 700, "after {n_reads} reads");
                break;
            }
        };
        let told = format!("after {n_reads} reads: {}", err.chain());
        assert_eq!((err.kind(), err.hint()), (ErrorKind::Io, Some("try again")), "{told}");
        assert!(told.contains("the server did not answer"), "{told}");
        if let Some(path) = err.locus().path.as_deref() {
            let file = &path.to_string_lossy();
            assert!(told.contains(" of acme/x@1.0.0 could not be read"), "{file} {told}");
            n_named += 1;
        }
    }
    assert!(n_named >= 3, "both shards and the index of episodes: {n_named}");
}
