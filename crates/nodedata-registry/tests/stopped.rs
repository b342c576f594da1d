//! Whoever is stopped has lost nothing that was done, and goes on from there.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use nodedata_core::{ErrorKind, Progress, Silent};
use nodedata_registry::{
    DatasetState, Depth, Direct, HashCache, OpenStore, Outcome, PushOptions, Remote, Revision, Store,
    StoreLocation, fsck, pull, push, tree::GRAIN_BYTES,
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

/// Counts, and stops when one of its counts has come to where it is told to.
#[derive(Default)]
struct Stopper {
    hashed: AtomicU64,
    advanced: AtomicU64,
    asked: AtomicU64,
    stop_when_hashed: Option<u64>,
    stop_when_advanced: Option<u64>,
    stop_when_asked: Option<u64>,
}

impl Progress for Stopper {
    fn hashed(&self, n_bytes: u64) {
        self.hashed.fetch_add(n_bytes, Ordering::Relaxed);
    }

    fn advanced(&self, n_bytes: u64, _: u64) {
        self.advanced.fetch_add(n_bytes, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let has_come = |now: u64, to: Option<u64>| to.is_some_and(|it| now >= it);
        has_come(self.hashed.load(Ordering::Relaxed), self.stop_when_hashed)
            || has_come(self.advanced.load(Ordering::Relaxed), self.stop_when_advanced)
            || has_come(asked, self.stop_when_asked)
    }
}

/// Shards that were written long ago, and a store.
struct Work {
    folder: tempfile::TempDir,
    direct: Direct,
}

impl Work {
    fn new(n_shards: i64) -> Self {
        Self::of(n_shards, 20)
    }

    fn of(n_shards: i64, n_steps: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for idx in 0..n_shards {
            let path = folder.path().join(format!("shards/train-{idx:03}.parquet"));
            write_shard(&path, &ShardSpec { first_episode: idx, n_episodes: 1, n_steps, seed: idx as u64 });
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        }
        let location = StoreLocation::Folder(folder.path().join("store"));
        let direct = Direct::new(Store::open(&location, &OpenStore { journal: None, create: true }).unwrap());
        Self { folder, direct }
    }

    fn remote(&self) -> Arc<dyn Remote> {
        self.direct.shared()
    }

    fn shards(&self) -> PathBuf {
        self.folder.path().join("shards")
    }

    fn options(&self) -> PushOptions {
        PushOptions {
            cache: HashCache::at(&self.folder.path().join("cache")),
            ..PushOptions::new("acme/x".parse().unwrap(), vec![self.shards()], "test")
        }
    }

    fn stopped_push(&self, options: &PushOptions, progress: &Stopper) {
        let err = push(&self.remote(), options, progress).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Interrupted, "{}", err.chain());
        assert!(err.to_string().contains("the same command goes on from there"), "{err}");
        let state = DatasetState::load(&*self.remote(), &options.dataset).unwrap();
        assert!(state.is_none_or(|it| it.revisions.is_empty()), "nothing is published");
    }

    fn revision(&self) -> Revision {
        let dataset = "acme/x".parse().unwrap();
        let state = DatasetState::open(&*self.remote(), &dataset).unwrap();
        Revision::open(&self.remote(), &dataset, state.head().unwrap()).unwrap()
    }
}

fn n_bytes_in(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|it| it.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn what_was_hashed_is_not_hashed_again() {
    let work = Work::new(60);
    let options = work.options();
    let first = Stopper { stop_when_hashed: Some(1), ..Stopper::default() };
    work.stopped_push(&options, &first);
    let second = Stopper::default();
    assert_eq!(push(&work.remote(), &options, &second).unwrap().outcome, Outcome::Published);
    let (first, second) = (first.hashed.into_inner(), second.hashed.into_inner());
    assert!(first > 0 && second > 0, "it was stopped in between: {first} and {second}");
    assert_eq!(first + second, n_bytes_in(&work.shards()));
}

#[test]
fn what_was_sent_is_not_sent_again_and_stays_under_its_lease() {
    // Each is sent by itself, as those are that hold more than a grain.
    let work = Work::of(20, 12_000);
    assert!(n_bytes_in(&work.shards()) > 20 * GRAIN_BYTES);
    let options = work.options();
    let planned = push(&work.remote(), &PushOptions { dry_run: true, ..options.clone() }, &Silent).unwrap();
    let first = Stopper { stop_when_advanced: Some(1), ..Stopper::default() };
    work.stopped_push(&options, &first);
    assert_eq!(work.direct.store().list("leases").unwrap().len(), 1, "as after a crash");
    let done = push(&work.remote(), &options, &Silent).unwrap();
    let sent = first.advanced.into_inner();
    assert!(sent > 0 && done.sent_bytes > 0, "it was stopped in between: {sent} and {}", done.sent_bytes);
    assert_eq!(sent + done.sent_bytes, planned.sent_bytes);
    assert_eq!(done.manifest, planned.manifest);
}

/// Wherever it is stopped, nothing is published, and who is not stopped any more publishes what was meant.
#[test]
fn a_push_is_stopped_at_any_place() {
    let work = Work::new(3);
    let options = PushOptions { deep: true, ..work.options() };
    let meant = push(&work.remote(), &PushOptions { dry_run: true, ..options.clone() }, &Silent).unwrap();
    let mut n_stopped = 0;
    let done = loop {
        let stopper = Stopper { stop_when_asked: Some(n_stopped), ..Stopper::default() };
        match push(&work.remote(), &options, &stopper) {
            Ok(done) => break done,
            Err(err) => assert_eq!(err.kind(), ErrorKind::Interrupted, "{n_stopped}: {}", err.chain()),
        }
        let state = DatasetState::load(&*work.remote(), &options.dataset).unwrap();
        assert!(state.is_none_or(|it| it.revisions.is_empty()), "{n_stopped}");
        n_stopped += 1;
        assert!(n_stopped < 1000, "it goes on at last");
    };
    assert_eq!((done.outcome, done.manifest), (Outcome::Published, meant.manifest));
    // At the least at every footer, at every shard that is checked and sent, and before the record.
    assert!(n_stopped >= 10, "{n_stopped}");
}

#[test]
fn what_was_fetched_is_not_fetched_again() {
    let work = Work::new(60);
    push(&work.remote(), &work.options(), &Silent).unwrap();
    let (revision, out) = (work.revision(), work.folder.path().join("out"));
    let first = Stopper { stop_when_advanced: Some(1), ..Stopper::default() };
    let err = pull(&revision, &out, false, &first).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Interrupted, "{}", err.chain());
    assert!(!out.exists(), "it appears as a whole");
    let done = pull(&revision, &out, false, &Silent).unwrap();
    let fetched = first.advanced.into_inner();
    assert!(fetched > 0 && done.fetched_bytes > 0, "{fetched} and {}", done.fetched_bytes);
    assert_eq!(fetched + done.fetched_bytes, done.bytes);
}

#[test]
fn a_check_of_a_store_is_stopped() {
    let work = Work::new(2);
    push(&work.remote(), &work.options(), &Silent).unwrap();
    let counted = Stopper::default();
    assert_eq!(fsck(&work.direct, Depth::Full, &counted).unwrap().flaws, []);
    for n_asked in [0, counted.asked.into_inner() - 1] {
        let stopper = Stopper { stop_when_asked: Some(n_asked), ..Stopper::default() };
        let err = fsck(&work.direct, Depth::Full, &stopper).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Interrupted, "{n_asked}: {}", err.chain());
    }
}
