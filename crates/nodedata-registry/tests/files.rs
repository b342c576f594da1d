//! A revision as files: what a pull would put into a folder, without a pull, and no byte of it that was not published.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, ReadAt as _, Result, Silent};
use nodedata_io::LocalFiles;
use nodedata_registry::{
    Appended, B3, BlobReader, DatasetName, DatasetState, Direct, LogEntry, Negotiated, OpenStore,
    PushOptions, PushRequest, REVISION_FILE, Remote, Revision, Store, StoreLocation, layout, pull, push,
    record::{BlobRef, CommitRecord},
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

/// Readers in threads and objects of other languages hold them.
const _: () = {
    const fn can_be_held<T: Send + Sync + 'static>() {}
    can_be_held::<Revision>();
    can_be_held::<BlobReader>();
};

/// A store in a folder, and the one revision in it.
struct Published {
    folder: tempfile::TempDir,
    remote: Arc<dyn Remote>,
    revision: Arc<Revision>,
}

impl Published {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shards = folder.path().join("shards");
        // More than a block of 1 MiB, and less than a grain.
        for (name, n_steps) in [("train-0.parquet", 20_000), ("val-0.parquet", 10)] {
            let first_episode = if n_steps == 10 { 4 } else { 0 };
            let spec = ShardSpec { first_episode, n_episodes: 4, n_steps, seed: 5 };
            write_shard(&shards.join(name), &spec);
        }
        let location = StoreLocation::Folder(folder.path().join("store"));
        let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
        let remote = Direct::new(store).shared();
        let options = PushOptions::new("acme/x".parse().unwrap(), vec![shards], "test");
        push(&remote, &options, &Silent).unwrap();
        let state = DatasetState::open(&*remote, &options.dataset).unwrap();
        let revision = Revision::open(&remote, &options.dataset, state.head().unwrap()).unwrap();
        Self { folder, remote, revision: Arc::new(revision) }
    }

    fn files(&self) -> Arc<dyn Files> {
        Arc::clone(&self.revision) as Arc<dyn Files>
    }

    fn blob(&self, path: &str) -> BlobRef {
        self.revision.files().unwrap().iter().find(|it| it.path == path).unwrap().blob.clone()
    }

    /// Flips a bit of a file's blob in the store, and flips it back the second time.
    fn flip(&self, path: &str, at: usize) {
        let path = self.folder.path().join("store").join(layout::blob(&self.blob(path).b3));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_revision_is_the_folder_that_a_pull_makes() {
    let it = Published::new();
    let out = it.folder.path().join("out");
    pull(&it.revision, &out, false, &Silent).unwrap();
    let pulled = LocalFiles::folder(&out).unwrap();
    let files = it.files();
    let names = files.list().unwrap();
    assert_eq!(names, pulled.list().unwrap());
    assert!(names.contains(&PathBuf::from("data/train-0.parquet")) && names.contains(&REVISION_FILE.into()));
    let mut stamps = std::collections::BTreeSet::new();
    for name in &names {
        let (found, expected) = (files.open(name).unwrap(), pulled.open(name).unwrap());
        let n_bytes = expected.n_bytes();
        assert_eq!(found.n_bytes(), n_bytes, "{}", name.display());
        let tail = n_bytes.saturating_sub(8)..n_bytes;
        let middle = n_bytes / 3..n_bytes - n_bytes / 3;
        for range in [0..n_bytes, tail, middle, 0..0] {
            let at = format!("{} {range:?}", name.display());
            assert_eq!(found.read_at(range.clone()).unwrap(), expected.read_at(range).unwrap(), "{at}");
        }
        stamps.insert(files.stamp(name).unwrap());
        assert_eq!(found.read_at(0..n_bytes + 1).unwrap_err().kind(), ErrorKind::Corrupt, "past the end");
    }
    assert_eq!(stamps.len(), names.len(), "a stamp tells the bytes apart");
    assert_eq!(
        files.stamp(Path::new("data/train-0.parquet")),
        Some(it.blob("data/train-0.parquet").b3.to_string())
    );
    let Err(none) = files.open(Path::new("data/nothing")) else { panic!("there is no such file") };
    assert_eq!((none.kind(), none.locus().path.as_deref()), (ErrorKind::Io, Some(Path::new("data/nothing"))));
}

#[test]
fn bytes_that_were_not_published_never_leave() {
    let it = Published::new();
    // In the second grain of a large file, and in a file that is one grain.
    for (path, at, grain) in [("data/train-0.parquet", 300_000, 262_144), ("README.md", 3, 0)] {
        it.flip(path, at);
        let file = it.files().open(Path::new(path)).unwrap();
        let at = at as u64;
        for range in [at..at + 1, 0..file.n_bytes(), at - 1..at] {
            let err = file.read_at(range.clone()).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Corrupt, "{path} {range:?}: {}", err.chain());
            assert!(err.to_string().contains(&it.blob(path).b3.to_string()), "the blob is named: {err}");
            let locus = err.locus();
            assert_eq!((locus.path.as_deref(), locus.byte_offset), (Some(Path::new(path)), Some(grain)));
            assert!(err.hint().is_some());
        }
        it.flip(path, at as usize);
        file.read_at(0..file.n_bytes()).unwrap();
    }
    // Other bytes of a damaged file are as good as ever.
    it.flip("data/train-0.parquet", 300_000);
    let file = it.files().open(Path::new("data/train-0.parquet")).unwrap();
    let n_bytes = file.n_bytes();
    file.read_at(1 << 20..n_bytes).unwrap();
    assert!(file.read_at(0..n_bytes).is_err());
}

/// Through a map come the same bytes, and no others: each grain is verified when it is read first.
#[test]
fn a_mapped_revision_is_the_same_files() {
    let it = Published::new();
    let mapped = || -> Arc<dyn Files> { Arc::new(Revision::clone(&it.revision).mapped()) };
    let (files, expected) = (mapped(), it.files());
    assert_eq!(files.list().unwrap(), expected.list().unwrap());
    for name in files.list().unwrap() {
        let (found, expected) = (files.open(&name).unwrap(), expected.open(&name).unwrap());
        let n_bytes = expected.n_bytes();
        assert_eq!(found.n_bytes(), n_bytes, "{}", name.display());
        for range in [n_bytes / 3..n_bytes / 2, 0..n_bytes, n_bytes / 3..n_bytes / 2, 0..0] {
            let at = format!("{} {range:?}", name.display());
            assert_eq!(found.read_at(range.clone()).unwrap(), expected.read_at(range).unwrap(), "{at}");
        }
        assert_eq!(found.read_at(0..n_bytes + 1).unwrap_err().kind(), ErrorKind::Corrupt, "past the end");
    }
    drop(files);
    for (path, at, grain) in [("data/train-0.parquet", 300_000, 262_144), ("README.md", 3, 0)] {
        it.flip(path, at);
        let file = mapped().open(Path::new(path)).unwrap();
        for _ in 0..2 {
            let err = file.read_at(0..file.n_bytes()).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Corrupt, "{path}: {}", err.chain());
            assert_eq!(
                (err.locus().path.as_deref(), err.locus().byte_offset),
                (Some(Path::new(path)), Some(grain))
            );
        }
        drop(file);
        it.flip(path, at);
        let file = mapped().open(Path::new(path)).unwrap();
        file.read_at(0..file.n_bytes()).unwrap();
    }
}

/// What is verified once is verified for all readers of a revision and of its clones; who opens it anew reads it anew.
#[test]
fn the_tree_of_a_blob_is_read_once_for_all_its_readers() {
    let it = Published::new();
    let blob = it.blob("data/train-0.parquet");
    it.revision.reader(&blob).unwrap();
    std::fs::remove_file(it.folder.path().join("store").join(layout::tree(&blob.b3))).unwrap();
    for revision in [&*it.revision, &Revision::clone(&it.revision)] {
        revision.reader(&blob).unwrap().read_at(300_000..300_001).unwrap();
    }
    let anew = Revision::of_manifest(&it.remote, it.revision.dataset(), &it.revision.digest()).unwrap();
    let Err(err) = anew.reader(&blob) else { panic!("its tree is missing") };
    assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
}

/// What was fetched at once is at hand afterwards, and was verified.
#[test]
fn ranges_that_were_fetched_are_not_fetched_again() {
    let it = Published::new();
    let path = "data/train-0.parquet";
    let reader = it.revision.reader(&it.blob(path)).unwrap();
    let (near, far) = (10..20, 700_000..700_010);
    let expected = reader.read_ranges(&[near.clone(), far.clone()]).unwrap();
    let some = reader.prefetch(&[near.clone(), far.clone()]).unwrap();
    it.flip(path, 15);
    it.flip(path, 700_005);
    assert_eq!([some.read_at(near.clone()).unwrap(), some.read_at(far).unwrap()], expected[..]);
    some.read_at(300_000..300_001).unwrap();
    assert_eq!(reader.read_at(near.clone()).unwrap_err().kind(), ErrorKind::Corrupt);
    let Err(err) = reader.prefetch(&[300_000..300_001, near]) else { panic!("other bytes are handed out") };
    assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Corrupt, Some(0)));
}

/// A store that knows of every blob and hands out none.
struct Silence;

fn nobody<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Io, "nobody answers"))
}

impl Remote for Silence {
    fn label(&self) -> String {
        "silence".to_owned()
    }

    fn datasets(&self) -> Result<Vec<DatasetName>> {
        nobody()
    }

    fn negotiate(&self, _: &PushRequest) -> Result<Negotiated> {
        nobody()
    }

    fn upload_part(&self, _: &BlobRef, _: u32, _: Bytes) -> Result<()> {
        nobody()
    }

    fn seal(&self, _: &BlobRef) -> Result<()> {
        nobody()
    }

    fn end_push(&self, _: &str) -> Result<()> {
        nobody()
    }

    fn append(&self, _: &DatasetName, _: &CommitRecord) -> Result<Appended> {
        nobody()
    }

    fn log(&self, _: &DatasetName, _: u64) -> Result<Vec<LogEntry>> {
        nobody()
    }

    fn blob_bytes(&self, _: &DatasetName, _: &B3) -> Result<Option<u64>> {
        Ok(Some(1))
    }

    fn read_blob(&self, _: &DatasetName, _: &B3, _: Range<u64>) -> Result<Bytes> {
        nobody()
    }

    fn read_tree(&self, _: &DatasetName, _: &B3) -> Result<Option<Bytes>> {
        nobody()
    }

    fn read_hint(&self, _: &DatasetName) -> Result<Option<Bytes>> {
        nobody()
    }

    fn write_hint(&self, _: &DatasetName, _: Bytes) -> Result<()> {
        nobody()
    }
}

/// A store that answers that it has not the blob is damaged, and says what mends it. One whose blob cannot be read is not: it
/// may answer the next time.
#[test]
fn a_blob_that_is_missing_is_told_from_one_that_cannot_be_read() {
    let it = Published::new();
    let path = it.folder.path().join("store").join(layout::blob(&it.blob("README.md").b3));
    let read = || it.files().open(Path::new("README.md")).and_then(|it| it.read_at(0..1));
    std::fs::remove_file(&path).unwrap();
    let missing = read().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Corrupt, "{}", missing.chain());
    assert!(missing.to_string().contains(&format!("{} is missing", it.blob("README.md").b3)), "{missing}");
    assert!(missing.hint().is_some_and(|it| it.contains("store heal")), "{:?}", missing.hint());

    let dataset = "acme/x".parse().unwrap();
    let silent: Arc<dyn Remote> = Arc::new(Silence);
    let blob = it.blob("README.md");
    let err = BlobReader::open(&silent, &dataset, &blob.b3, blob.bytes).unwrap().read_at(0..1).unwrap_err();
    assert_eq!((err.kind(), err.to_string().as_str()), (ErrorKind::Io, "nobody answers"));
}

#[test]
fn small_reads_share_what_was_fetched_and_verified() {
    let it = Published::new();
    let path = "data/train-0.parquet";
    let open = || it.files().open(Path::new(path)).unwrap();
    let file = open();
    let (before, after) = (file.read_at(0..4).unwrap(), file.read_at(700_000..700_010).unwrap());
    it.flip(path, 2);
    it.flip(path, 700_005);
    assert_eq!((file.read_at(0..4).unwrap(), file.read_at(700_000..700_010).unwrap()), (before, after));
    assert!(open().read_at(0..4).is_err(), "opened anew, it is read anew");
}

#[test]
fn threads_share_a_revision() {
    let it = Published::new();
    let files = it.files();
    let n_read = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for path in files.list().unwrap() {
            let (files, n_read) = (Arc::clone(&files), &n_read);
            scope.spawn(move || {
                let file = files.open(&path).unwrap();
                let n_bytes = file.read_at(0..file.n_bytes()).unwrap().len() as u64;
                n_read.fetch_add(n_bytes, Ordering::Relaxed);
            });
        }
    });
    let n_bytes: u64 = it.revision.files().unwrap().iter().map(|it| it.blob.bytes).sum();
    let n_all = n_bytes + it.revision.manifest().to_bytes().unwrap().len() as u64;
    assert_eq!(n_read.into_inner(), n_all);
}
