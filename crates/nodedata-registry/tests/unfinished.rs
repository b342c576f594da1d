//! What killed pushes and collections leave is seen, taken away in time, and holds up nobody.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use nodedata_core::Silent;
use nodedata_registry::{
    DatasetName, Depth, Direct, GcOptions, OpenStore, PushRequest, Remote, Store, StoreLocation, blob_of,
    fsck, gc, heal, layout, record::BlobRef,
};
use object_store::{ObjectStore, memory::InMemory, multipart::MultipartStore};

const NOW: GcOptions = GcOptions { grace_seconds: 0, dry_run: false };

struct Work {
    folder: tempfile::TempDir,
    direct: Direct,
}

impl Work {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = StoreLocation::Folder(folder.path().to_owned());
        let direct = Direct::new(Store::open(&location, &OpenStore { journal: None, create: true }).unwrap());
        direct.store().init().unwrap();
        Self { folder, direct }
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn put(&self, inside: &str, bytes: &[u8]) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn dataset() -> DatasetName {
    "acme/x".parse().unwrap()
}

fn request(push: &str, blob: &BlobRef) -> PushRequest {
    PushRequest { push: push.to_owned(), dataset: dataset(), blobs: vec![blob.clone()] }
}

/// Three days ago.
#[expect(clippy::disallowed_methods, reason = "files of a test are made old, nothing is hashed")]
fn make_old(path: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3 * 24 * 3600);
    fs::OpenOptions::new().write(true).open(path).unwrap().set_modified(then).unwrap();
}

fn codes(direct: &Direct) -> Vec<&'static str> {
    fsck(direct, Depth::Quick, &Silent).unwrap().flaws.iter().map(|it| it.code).collect()
}

/// The list of a collection that was killed: whoever wrote it held the lock, and nobody does.
#[test]
fn after_a_killed_collection_a_push_goes_on_at_once() {
    let work = Work::new();
    let bytes = Bytes::from_static(b"needed again");
    let blob = blob_of(&bytes);
    work.direct.upload_part(&blob, 0, bytes).unwrap();
    for list in [
        format!(r#"{{"blobs":["{}"],"dead_seconds":60,"locked":true}}"#, blob.b3),
        // Damage: it may name anything.
        "{".to_owned(),
    ] {
        work.put("gc/condemned.json", list.as_bytes());
        assert_eq!(work.direct.negotiate(&request("p", &blob)).unwrap().need, []);
        assert!(!work.path("gc/condemned.json").exists(), "it is taken away");
    }
    work.direct.end_push("p").unwrap();
    // And the next collection does not wait for one that is dead either.
    work.put("gc/condemned.json", b"{");
    assert_eq!(codes(&work.direct), ["broken-condemned-list"]);
    assert_eq!(gc(&work.direct, NOW).unwrap().removed, [blob.b3]);
    assert_eq!(codes(&work.direct), [""; 0]);
}

/// Where there are no locks, whoever was silent for too long is dead.
#[test]
fn a_list_without_a_lock_is_believed_as_long_as_its_collection_may_live() {
    let direct = Direct::new(Store::memory());
    direct.store().init().unwrap();
    let blob = blob_of(b"needed again");
    direct.upload_part(&blob, 0, Bytes::from_static(b"needed again")).unwrap();
    let list = |seconds: u64| {
        let text = format!(r#"{{"blobs":["{}"],"dead_seconds":{seconds}}}"#, blob.b3);
        direct.store().put("gc/condemned.json", Bytes::from(text)).unwrap();
    };
    list(0);
    direct.negotiate(&request("p", &blob)).unwrap();
    direct.end_push("p").unwrap();
    list(600);
    let refused = gc(&direct, NOW).unwrap_err();
    assert!(refused.to_string().contains("another collection is under way"), "{refused}");
    list(0);
    assert_eq!(gc(&direct, NOW).unwrap().removed, [blob.b3]);
}

#[test]
fn a_broken_lease_is_named_and_costs_no_blob() {
    let work = Work::new();
    let blob = blob_of(b"perhaps a push needs this");
    work.direct.upload_part(&blob, 0, Bytes::from_static(b"perhaps a push needs this")).unwrap();
    work.put("leases/p.json", b"{\"nd\":");
    assert_eq!(codes(&work.direct), ["broken-lease"]);
    let report = gc(&work.direct, NOW).unwrap();
    assert_eq!(
        (report.removed, report.broken_leases, report.kept),
        (vec![], vec!["leases/p.json".to_owned()], 1)
    );
    let planned = gc(&work.direct, GcOptions { dry_run: true, ..NOW }).unwrap();
    assert_eq!((planned.removed.len(), planned.broken_leases.len()), (0, 1));
    // It runs out as others do.
    make_old(&work.path("leases/p.json"));
    let report = gc(&work.direct, NOW).unwrap();
    assert_eq!((report.removed, report.expired_leases), (vec![blob.b3], 1));
    // Or is taken away by whoever knows that nobody pushes.
    work.put("leases/q.json", b"");
    assert_eq!(heal(&work.direct, None, Depth::Quick).unwrap().removed, ["leases/q.json"]);
    assert_eq!(codes(&work.direct), [""; 0]);
}

#[test]
fn files_of_killed_writers_are_seen_and_go_when_they_are_old() {
    let work = Work::new();
    let blob = blob_of(b"x");
    let staged = format!("{}#1", layout::blob(&blob.b3));
    let tree = layout::tree(&blob_of(b"gone").b3);
    for path in
        [staged.as_str(), "ds/acme/x/log/00000000000000000000.json#2", "leases/p.json#1", "gc/clock-1"]
    {
        work.put(path, b"half");
    }
    work.put(&tree, b"a tree alone");
    work.put(&format!("uploads/{}", blob.b3.hex()), &[0; 100]);
    let found = fsck(&work.direct, Depth::Quick, &Silent).unwrap();
    assert_eq!((found.staging_files, found.uploads, found.unfinished_bytes, found.abandoned), (3, 1, 112, 0));
    let grace = GcOptions { grace_seconds: 3600, dry_run: false };
    let young = gc(&work.direct, grace).unwrap();
    assert_eq!((young.staging_files, young.abandoned_uploads, young.orphan_trees), (0, 0, 0));
    for path in
        [staged.as_str(), "leases/p.json#1", "gc/clock-1", &tree, &format!("uploads/{}", blob.b3.hex())]
    {
        make_old(&work.path(path));
    }
    assert_eq!(fsck(&work.direct, Depth::Quick, &Silent).unwrap().abandoned, 3);
    let old = gc(&work.direct, grace).unwrap();
    assert_eq!((old.staging_files, old.abandoned_uploads, old.orphan_trees), (3, 1, 1));
    assert!(!work.path(&staged).exists() && !work.path(&tree).exists());
    assert!(work.path("ds/acme/x/log/00000000000000000000.json#2").exists(), "it may be a writer's at work");
}

/// A bucket does not list uploads: the store notes each, so that whoever cleans up finds those of machines that died.
#[test]
fn uploads_into_a_bucket_are_noted_until_they_end() {
    let bucket = Arc::new(InMemory::new());
    let open = || {
        Direct::new(Store::over(
            "bucket",
            Arc::clone(&bucket) as Arc<dyn ObjectStore>,
            Arc::clone(&bucket) as Arc<dyn MultipartStore>,
        ))
    };
    let direct = open();
    direct.store().init().unwrap();
    let bytes = Bytes::from(vec![5; (8 << 20) + 100]);
    let blob = blob_of(&bytes);
    let part = |range: std::ops::Range<usize>| bytes.slice(range);
    direct.upload_part(&blob, 0, part(0..8 << 20)).unwrap();
    let found = fsck(&direct, Depth::Quick, &Silent).unwrap();
    assert_eq!((found.uploads, found.flaws.len()), (1, 0));
    // Another machine, which does not know of it, sends the same blob.
    let other = open();
    other.upload_part(&blob, 0, part(0..8 << 20)).unwrap();
    other.upload_part(&blob, 1, part(8 << 20..bytes.len())).unwrap();
    assert_eq!(fsck(&direct, Depth::Quick, &Silent).unwrap().uploads, 2);
    other.seal(&blob).unwrap();
    assert_eq!(fsck(&direct, Depth::Quick, &Silent).unwrap().uploads, 1);
    // It ends with the blob that somebody else has brought.
    direct.seal(&blob).unwrap();
    assert_eq!(fsck(&direct, Depth::Full, &Silent).unwrap().uploads, 0);
    // Lies are forgotten by the bucket, too.
    let lie = BlobRef { b3: blob_of(b"another").b3, ..blob };
    direct.upload_part(&lie, 0, part(0..8 << 20)).unwrap();
    direct.upload_part(&lie, 1, part(8 << 20..bytes.len())).unwrap();
    assert!(direct.seal(&lie).is_err());
    assert_eq!(fsck(&direct, Depth::Quick, &Silent).unwrap().uploads, 0);
}
