use super::*;
use crate::tree::{GRAIN_BYTES, PART_BYTES_MIN};

fn blob(n_bytes: u64) -> (BlobRef, Bytes) {
    let bytes: Vec<u8> = (0..n_bytes).map(|it| (it.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let blob = BlobRef { b3: B3::of(&bytes), sha256: String::new(), bytes: n_bytes };
    (blob, Bytes::from(bytes))
}

fn send(store: &Store, blob: &BlobRef, bytes: &Bytes, parts: &[u32]) {
    for part in parts {
        let range = tree::part_range(blob.bytes, *part);
        store.upload_part(blob, *part, bytes.slice(range.start as usize..range.end as usize)).unwrap();
    }
}

fn check_parts(open: impl Fn() -> Store) {
    let (blob, bytes) = blob(2 * PART_BYTES_MIN + GRAIN_BYTES + 7);
    let store = open();
    send(&store, &blob, &bytes, &[2, 0]);
    assert_eq!(store.uploaded_parts(&blob).unwrap(), [0, 2]);
    assert_eq!(store.seal(&blob).unwrap_err().kind(), ErrorKind::Corrupt);
    // Another process goes on.
    let store = open();
    let have = store.uploaded_parts(&blob).unwrap();
    let missing: Vec<u32> = (0..3).filter(|it| !have.contains(it)).collect();
    send(&store, &blob, &bytes, &missing);
    store.seal(&blob).unwrap();
    store.seal(&blob).unwrap();
    assert_eq!(store.get(&layout::blob(&blob.b3)).unwrap().unwrap(), bytes);
    let tree = store.get(&layout::tree(&blob.b3)).unwrap().unwrap();
    tree::Tree::parse(&blob.b3, blob.bytes, &tree).unwrap();
    assert!(store.uploaded_parts(&blob).unwrap().is_empty());
    assert!(store.list(layout::UPLOADS).unwrap().is_empty());
}

#[test]
fn parts_come_in_any_order_and_survive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(dir.path().join("store"));
    check_parts(|| Store::open(&location, &OpenStore { journal: None, create: true }).unwrap());
    let memory = Store::memory();
    check_parts(|| memory.clone());
}

#[test]
fn parts_whose_bytes_were_lost_are_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(dir.path().to_owned());
    let open = || Store::open(&location, &OpenStore::default()).unwrap();
    let (blob, bytes) = blob(PART_BYTES_MIN + 9);
    send(&open(), &blob, &bytes, &[0, 1]);
    let path = dir.path().join(layout::UPLOADS).join(blob.b3.hex());
    let mut lost = std::fs::read(&path).unwrap();
    lost[5] ^= 1;
    std::fs::write(&path, lost).unwrap();
    let store = open();
    assert_eq!(store.seal(&blob).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.uploaded_parts(&blob).unwrap(), [1]);
    send(&store, &blob, &bytes, &[0]);
    store.seal(&blob).unwrap();
    assert_eq!(store.get(&layout::blob(&blob.b3)).unwrap().unwrap(), bytes);
}

#[test]
fn a_blob_under_another_digest_is_refused() {
    let store = Store::memory();
    for n_bytes in [10, PART_BYTES_MIN + 1] {
        let (mut blob, bytes) = blob(n_bytes);
        blob.b3 = B3::of(b"another");
        let sent: Result<()> = (0..tree::n_parts(n_bytes)).try_for_each(|part| {
            let range = tree::part_range(n_bytes, part);
            store.upload_part(&blob, part, bytes.slice(range.start as usize..range.end as usize))
        });
        let err = sent.and_then(|()| store.seal(&blob)).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt);
        assert_eq!(store.get(&layout::blob(&blob.b3)).unwrap(), None);
    }
}

#[test]
fn safe_stores_pass_the_probe() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(dir.path().to_owned());
    for store in [Store::memory(), Store::open(&location, &OpenStore::default()).unwrap()] {
        assert_eq!(store.probe(8).unwrap(), Probe { rounds: 8, broken: Vec::new() });
        assert!(store.list("probe").unwrap().is_empty());
        assert!(!store.is_initialised().unwrap());
        store.init().unwrap();
        assert!(store.is_initialised().unwrap());
        store.note_probe(&Probe { rounds: 1, broken: vec!["it forgets".to_owned()] }).unwrap();
        assert_eq!(store.init().unwrap_err().kind(), ErrorKind::Denied);
    }
}

#[test]
fn locations_are_told_apart() {
    let parse = |text: &str| StoreLocation::parse(text).unwrap();
    assert_eq!(parse("a/b"), StoreLocation::Folder("a/b".into()));
    assert_eq!(parse("file:///a/b"), StoreLocation::Folder("/a/b".into()));
    assert!(matches!(parse("s3://bucket/x"), StoreLocation::Bucket(_)));
    assert!(matches!(parse("https://host/x"), StoreLocation::Server(_)));
    for bad in ["ftp://x", "s3://b?x=1", "s3://b#x"] {
        assert_eq!(StoreLocation::parse(bad).unwrap_err().kind(), ErrorKind::Config, "{bad}");
    }
}

/// How long a blob is said to be costs nothing until its bytes are there: neither memory, nor files.
#[test]
fn a_length_is_only_a_word() {
    use crate::bounded::BLOB_BYTES_MAX;

    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(dir.path().join("store"));
    let local = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
    for store in [local, Store::memory()] {
        for n_bytes in [0, 1, BLOB_BYTES_MAX - 1, BLOB_BYTES_MAX] {
            let blob = BlobRef { b3: B3::of(&n_bytes.to_le_bytes()), sha256: String::new(), bytes: n_bytes };
            assert!(store.uploaded_parts(&blob).unwrap().is_empty());
            let err = store.seal(&blob).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Corrupt, "{n_bytes} bytes");
            assert!(err.to_string().len() < 300, "{err}");
        }
        for n_bytes in [BLOB_BYTES_MAX + 1, 1 << 56, 1 << 63, u64::MAX] {
            let blob = BlobRef { b3: B3::of(b"x"), sha256: String::new(), bytes: n_bytes };
            for found in [
                store.uploaded_parts(&blob).map(drop),
                store.seal(&blob),
                store.upload_part(&blob, 0, Bytes::from_static(b"x")),
            ] {
                assert_eq!(found.unwrap_err().kind(), ErrorKind::Limit, "{n_bytes} bytes");
            }
        }
        assert!(store.list(layout::UPLOADS).unwrap().is_empty(), "nothing was written");
    }
    // The values of the last part alone lie far behind the beginning of their file.
    let uploads = LocalUploads::new(dir.path().join("other"));
    let n_bytes = 16384 * PART_BYTES_MIN;
    let blob = BlobRef { b3: B3::of(b"long"), sha256: String::new(), bytes: n_bytes };
    let last = tree::n_parts(n_bytes) - 1;
    let sender = Sender::default();
    uploads.put_part(&sender, &blob, last, b"", &[[7; 32]; 64]).unwrap();
    assert_eq!(uploads.have(&sender, &blob).unwrap(), [last]);
    let err = uploads.complete(&sender, &blob).unwrap_err();
    assert!(err.to_string().contains("8191 parts of"), "{err}");
    assert!(err.to_string().contains("the first is part 0"), "{err}");
}

#[test]
fn a_folder_tells_of_its_objects_as_the_library_does() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("outside"), "x").unwrap();
    let location = StoreLocation::Folder(dir.path().join("store"));
    let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
    store.put("ds/a/b/log/0.json", Bytes::from_static(b"abc")).unwrap();
    for path in ["ds/a/b/log/0.json", "ds/a/b/log/1.json", "no/such", "../outside", "ds//a/b/log/0.json"] {
        let head = block_on(0, store.0.objects.objects().unwrap().head(&store.at(path))).unwrap().ok();
        let told = store.head(path).unwrap();
        let facts = told.map(|it| (it.path, it.bytes, it.modified));
        assert_eq!(facts, head.map(|it| (path.to_owned(), it.size, it.last_modified)), "{path}");
        let run = store.get_run(&[path.to_owned()]).unwrap();
        assert_eq!(run.first(), store.get(path).unwrap().as_ref(), "{path}");
    }
}

#[test]
fn blobs_that_come_together_are_looked_at_before_any_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(dir.path().to_owned());
    for store in [Store::memory(), Store::open(&location, &OpenStore::default()).unwrap()] {
        let mut all: Vec<(BlobRef, Bytes)> =
            [0, 1, GRAIN_BYTES, GRAIN_BYTES + 1, 900_000].into_iter().map(blob).collect();
        let sound = std::mem::replace(&mut all[4].1, Bytes::from(vec![1; 900_000]));
        assert_eq!(store.put_blobs(&all).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(store.list(layout::BLOBS).unwrap().is_empty());
        all[4].1 = sound;
        all.push(all[1].clone());
        store.put_blobs(&all).unwrap();
        store.put_blobs(&all[..2]).unwrap();
        for (blob, bytes) in &all {
            assert_eq!(store.get(&layout::blob(&blob.b3)).unwrap().as_ref(), Some(bytes));
            let tree = store.get(&layout::tree(&blob.b3)).unwrap();
            assert_eq!(tree.is_some(), blob.bytes > GRAIN_BYTES);
            if let Some(tree) = tree {
                tree::Tree::parse(&blob.b3, blob.bytes, &tree).unwrap();
            }
        }
        // Nothing that was being written is left.
        assert_eq!(store.staging_files().unwrap(), []);
        let long = blob(PART_BYTES_MIN + 1);
        assert_eq!(store.put_blobs(&[long]).unwrap_err().kind(), ErrorKind::Corrupt, "it has two parts");
    }
}
