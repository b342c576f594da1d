//! Large sets: many shards are listed, compared and planned without a shard being read; what has not changed
//! is not read again; what was sent is not sent again.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod wrapped;

use std::{
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nodedata_core::{ErrorKind, Silent};
use nodedata_registry::{
    DatasetName, DatasetState, HashCache, Outcome, PushOptions, Revision, Store, push, tree,
};
use nodedata_testkit::registry::{ShardSpec, shard_bytes, write_shard};
use wrapped::Wrapped;

fn is_long() -> bool {
    std::env::var_os("NODEDATA_TEST_LONG").is_some()
}

fn dataset() -> DatasetName {
    "acme/x".parse().unwrap()
}

/// Above 4,096 shards the manifest points at a table. 5,000 shards; 10,000 with `NODEDATA_TEST_LONG`.
#[test]
fn thousands_of_shards_are_listed_compared_and_planned_without_reading_them() {
    let n_shards = if is_long() { 10_000 } else { 5_000 };
    let folder = tempfile::tempdir().unwrap();
    let shards = folder.path().join("shards");
    let write = |idx: i64| {
        let spec = ShardSpec { first_episode: idx, n_episodes: 1, n_steps: 1, seed: idx as u64 };
        write_shard(&shards.join(format!("train-{idx:05}.parquet")), &spec);
    };
    (0..n_shards).for_each(write);
    let remote = Wrapped::over(Store::memory());
    let mut options = PushOptions::new(dataset(), vec![shards.clone()], "test");
    options.cache = HashCache::at(&folder.path().join("cache"));
    push(&remote.shared(), &options, &Silent).unwrap();
    write(n_shards);
    let second = push(&remote.shared(), &options, &Silent).unwrap();
    assert_eq!((second.bump.proof.kept, second.bump.proof.added), (n_shards as u64, 1));
    let asked_before = remote.asked();
    let state = DatasetState::open(&*remote, &dataset()).unwrap();
    let [old, new] =
        [0, 1].map(|idx| Revision::open(&remote.shared(), &dataset(), &state.revisions[idx]).unwrap());
    assert!(new.manifest().shard_table.is_some() && new.manifest().shards.is_empty());
    let listed = new.shards().unwrap();
    assert_eq!(listed.len() as i64, n_shards + 1);
    remote.forbid(listed.iter().map(|it| it.blob.b3));
    let found = old.contents().unwrap().compare(&new.contents().unwrap());
    assert_eq!((found.added.len(), found.proof.kept), (1, n_shards as u64));
    assert_eq!(
        new.blobs().unwrap().len() as u64,
        new.manifest().n_shards + new.manifest().blobs().len() as u64
    );
    let n_asked = remote.asked() - asked_before;
    assert!(n_asked <= ASKED_MAX, "{n_asked} requests for {n_shards} shards");
}

/// Requests that listing and comparing two revisions take, however many shards they have: the log, two manifests, and
/// of each revision a few tables, read in ranges.
const ASKED_MAX: u64 = 40;

/// A shard whose pages lie before a hole of `n_bytes`, which costs no disk.
fn sparse_shard(path: &Path, n_bytes: u64) {
    let spec = ShardSpec { first_episode: 0, n_episodes: 1, n_steps: 10, seed: 1 };
    let bytes = shard_bytes(&spec);
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let (pages, tail) = bytes.split_at(bytes.len() - 8 - footer);
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(pages).unwrap();
    file.seek(SeekFrom::Current(n_bytes as i64)).unwrap();
    file.write_all(tail).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
}

/// 1 GB; 10 GB with `NODEDATA_TEST_LONG`.
#[test]
fn what_has_not_changed_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let shards = folder.path().join("shards");
    std::fs::create_dir_all(&shards).unwrap();
    let n_bytes = if is_long() { 10u64 << 30 } else { 1 << 30 };
    sparse_shard(&shards.join("train-0.parquet"), n_bytes);
    // Large blobs are taken and thrown away: this is about what the client reads.
    let remote = Wrapped::over(Store::memory());
    remote.swallow_above(512 << 20);
    let mut options = PushOptions::new(dataset(), vec![shards], "test");
    options.cache = HashCache::at(&folder.path().join("cache"));
    let watch = Hashed(AtomicU64::new(0));
    let first = push(&remote.shared(), &options, &watch).unwrap();
    assert!(first.bytes > n_bytes && watch.0.swap(0, Ordering::Relaxed) > n_bytes);
    let again = push(&remote.shared(), &options, &watch).unwrap();
    assert_eq!((again.outcome, again.sent_bytes), (Outcome::Unchanged, 0));
    assert_eq!(watch.0.load(Ordering::Relaxed), 0, "nothing is hashed again");
}

struct Hashed(AtomicU64);

impl nodedata_core::Progress for Hashed {
    fn hashed(&self, n_bytes: u64) {
        self.0.fetch_add(n_bytes, Ordering::Relaxed);
    }
}

/// A push that is killed at half of its parts goes on there: at most the one part that each worker had under way is
/// sent twice, and nothing that was acknowledged.
#[test]
fn parts_that_were_acknowledged_are_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let shards = folder.path().join("shards");
    std::fs::create_dir_all(&shards).unwrap();
    let shard = shards.join("train-0.parquet");
    sparse_shard(&shard, 39 * tree::PART_BYTES_MIN);
    let n_bytes = std::fs::metadata(&shard).unwrap().len();
    assert_eq!((tree::n_parts(n_bytes), tree::part_bytes(n_bytes)), (40, tree::PART_BYTES_MIN));
    let store = folder.path().join("store");
    let open = || {
        let location = nodedata_registry::StoreLocation::Folder(store.clone());
        let options = nodedata_registry::OpenStore { journal: None, create: true };
        Wrapped::over(Store::open(&location, &options).unwrap())
    };
    let options = PushOptions::new(dataset(), vec![shards], "test");
    let first = open();
    first.lose_parts_after(20);
    assert_eq!(push(&first.shared(), &options, &Silent).unwrap_err().kind(), ErrorKind::Denied);
    let n_workers = first.n_senders();
    // Else the bound below says nothing.
    assert!((2..=10).contains(&n_workers), "{n_workers} workers");
    let second = open();
    let report = push(&second.shared(), &options, &Silent).unwrap();
    assert_eq!((report.outcome, second.lost()), (Outcome::Published, 0));
    let again = (first.sent() + second.sent()).checked_sub(n_bytes).expect("all of it was sent");
    assert_eq!(again, first.lost(), "what was lost is sent again, and nothing else");
    assert!(again > 0 && again <= n_workers * tree::PART_BYTES_MIN, "{again} bytes by {n_workers} workers");
}

/// Answers that get lost before and after the record was written: one push, one revision.
#[test]
fn lost_answers_publish_once() {
    let folder = tempfile::tempdir().unwrap();
    for (idx, (before, after)) in [(2, 0), (0, 2), (1, 1)].into_iter().enumerate() {
        let remote = Wrapped::over(Store::memory());
        remote.lose(before, after);
        let path = folder.path().join(format!("{idx}/train-0.parquet"));
        write_shard(&path, &ShardSpec { first_episode: 0, n_episodes: 1, n_steps: 2, seed: 7 });
        let mut options = PushOptions::new(dataset(), vec![path], "test");
        options.op_id = Some("once".to_owned());
        let report = push(&remote.shared(), &options, &Silent).unwrap();
        assert_eq!(report.outcome, Outcome::Published);
        let state = DatasetState::open(&*remote, &dataset()).unwrap();
        assert_eq!((state.revisions.len(), state.next_seq), (1, 2));
        // The same operation again is the same revision, whatever is in the folder by now.
        let again = push(&remote.shared(), &options, &Silent).unwrap();
        assert_eq!((again.outcome, again.seq), (Outcome::Unchanged, report.seq));
    }
}
