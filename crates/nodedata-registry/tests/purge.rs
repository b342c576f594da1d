//! What is purged is gone from the registry, is told to be, and does not come back; what others need stays and is named.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use nodedata_core::{ErrorKind, Progress, Result, Silent};
use nodedata_dataset::{Dataset, validate};
use nodedata_registry::{
    B3, DatasetName, DatasetState, Depth, Direct, GcOptions, PurgeOptions, PurgeReport, PushOptions, Remote,
    Revision, Store, fsck, gc, pull, purge, push, withdraw,
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

const N_STEPS: usize = 500;

struct Work {
    folder: tempfile::TempDir,
    direct: Direct,
    remote: Arc<dyn Remote>,
}

impl Work {
    /// Three shards of two episodes each; 2.0.0 leaves three of the episodes out.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for idx in 0..3 {
            let path = folder.path().join(format!("shards/train-{idx:03}.parquet"));
            let spec =
                ShardSpec { first_episode: idx * 2, n_episodes: 2, n_steps: N_STEPS, seed: idx as u64 + 1 };
            write_shard(&path, &spec);
        }
        let direct = Direct::new(Store::memory());
        let work = Self { remote: direct.shared(), direct, folder };
        work.push("acme/x", vec![work.path("shards")], &[]).unwrap();
        work.push("acme/x", Vec::new(), &["1", "4", "5"]).unwrap();
        work
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn push(&self, name: &str, paths: Vec<PathBuf>, exclude: &[&str]) -> nodedata_core::Result<String> {
        let mut options = PushOptions::new(name.parse().unwrap(), paths, "test");
        options.exclude = exclude.iter().map(|it| (*it).to_owned()).collect();
        push(&self.remote, &options, &Silent).map(|it| it.revision)
    }

    /// Adds the episodes 6 and 7, whose rows are those of 4 and 5.
    fn append(&self) -> String {
        let path = self.path("more/train-009.parquet");
        write_shard(&path, &ShardSpec { first_episode: 6, n_episodes: 2, n_steps: N_STEPS, seed: 3 });
        let options =
            PushOptions { append: true, ..PushOptions::new(dataset(), vec![self.path("more")], "test") };
        push(&self.remote, &options, &Silent).unwrap().revision
    }

    fn options(revision: Option<&str>) -> PurgeOptions {
        PurgeOptions {
            dataset: dataset(),
            revision: revision.map(str::to_owned),
            author: "test".to_owned(),
            reason: "asked for".to_owned(),
            dry_run: false,
        }
    }

    fn purge(&self, revision: Option<&str>) -> nodedata_core::Result<PurgeReport> {
        let scratch = tempfile::tempdir_in(self.folder.path()).unwrap();
        purge(&self.remote, &Self::options(revision), scratch.path(), &Silent)
    }

    fn state(&self) -> DatasetState {
        DatasetState::open(&*self.remote, &dataset()).unwrap()
    }

    fn revision(&self, number: &str) -> nodedata_core::Result<Revision> {
        Revision::open(&self.remote, &dataset(), self.state().revision(number).unwrap())
    }

    fn shards(&self, number: &str) -> Vec<B3> {
        self.revision(number).unwrap().shards().unwrap().iter().map(|it| it.blob.b3).collect()
    }

    fn is_there(&self, b3: &B3) -> bool {
        self.direct.blob_bytes(&dataset(), b3).unwrap().is_some()
    }

    fn is_sound(&self) {
        assert_eq!(fsck(&self.direct, Depth::Full, &Silent).unwrap().flaws, []);
        let now = GcOptions { grace_seconds: 0, dry_run: false };
        gc(&self.direct, now).unwrap();
        assert_eq!(fsck(&self.direct, Depth::Full, &Silent).unwrap().flaws, []);
    }
}

fn dataset() -> DatasetName {
    "acme/x".parse().unwrap()
}

#[test]
fn purged_episodes_are_gone_and_what_stays_is_published() {
    let work = Work::new();
    let before = work.shards("2.0.0");
    let index = work.revision("1.0.0").unwrap().manifest().index["episodes"].blob.b3;
    let planned = purge(
        &work.remote,
        &PurgeOptions { dry_run: true, ..Work::options(None) },
        work.folder.path(),
        &Silent,
    );
    let planned = planned.unwrap();
    assert_eq!((planned.revision, planned.removed.len(), planned.episodes), (None, 0, 3));
    assert!(
        planned.blobs.contains(&before[0]) && !planned.blobs.contains(&before[1]),
        "one shard loses nothing"
    );
    assert!(before.iter().all(|it| work.is_there(it)));
    let done = work.purge(None).unwrap();
    assert_eq!(done.revision.as_deref(), Some("2.0.1"), "the same content");
    assert_eq!(
        (done.revisions, done.episodes, done.still_there),
        (vec!["1.0.0".to_owned(), "2.0.0".to_owned()], 3, vec![])
    );
    assert_eq!(
        (work.is_there(&before[0]), work.is_there(&before[1]), work.is_there(&before[2])),
        (false, true, false)
    );
    assert!(!work.is_there(&index), "nor is what described them");
    assert!(done.removed.contains(&before[0]) && done.removed_bytes > 0);
    let out = work.path("out");
    pull(&work.revision("2.0.1").unwrap(), &out, false, &Silent).unwrap();
    assert_eq!(validate(&Dataset::open(&out).unwrap(), true, &Silent).unwrap().findings, []);
    let pulled = Dataset::open(&out).unwrap();
    let keys: Vec<String> = pulled.episodes().unwrap().iter().map(|it| it.key.to_owned()).collect();
    assert_eq!(keys, ["0", "2", "3"]);
    assert_eq!(work.revision("2.0.1").unwrap().manifest().splits["train"].exclude, [""; 0]);
    for number in ["1.0.0", "2.0.0"] {
        let refused = work.revision(number).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Config);
        assert!(refused.to_string().contains("was purged: asked for"), "{refused}");
        assert!(work.state().revision(number).unwrap().withdrawn.is_some());
    }
    work.is_sound();
    // What is gone does not come back, and there is nothing to purge twice.
    let refused = work.push("acme/x", vec![work.path("shards")], &[]).unwrap_err();
    assert!(refused.to_string().contains("was purged from acme/x"), "{refused}");
    let again = work.purge(None).unwrap();
    assert_eq!((again.revision, again.revisions.len(), again.removed.len()), (None, 0, 0));
    assert_eq!(work.push("acme/x", Vec::new(), &["0"]).unwrap(), "3.0.0");
    assert_eq!(work.purge(None).unwrap().revisions, ["2.0.1", "3.0.0"]);
    work.is_sound();
}

#[test]
fn what_another_dataset_needs_stays_and_is_named() {
    let work = Work::new();
    work.push("other/y", vec![work.path("shards/train-002.parquet")], &[]).unwrap();
    let shard = work.shards("1.0.0")[2];
    let done = work.purge(None).unwrap();
    assert!(work.is_there(&shard));
    let [found] = done.still_there.as_slice() else { panic!("{done:?}") };
    assert_eq!((found.blob, found.needed_by.as_slice()), (shard, &["other/y@1.0.0".to_owned()][..]));
    work.is_sound();
    assert!(work.is_there(&shard), "a collection does not take it either");
}

/// Killed between any two of its steps, the same call ends it.
#[test]
fn a_purge_that_was_killed_goes_on() {
    let work = Work::new();
    let base = work.state().revision("2.0.0").unwrap().manifest;
    let first = work.shards("1.0.0")[0];
    // What stays is published, and no more.
    let scratch = tempfile::tempdir().unwrap();
    let options = PushOptions {
        rewrite: Some(scratch.path().to_owned()),
        op_id: Some(format!("purge-{:.32}", base.hex())),
        ..PushOptions::new(dataset(), Vec::new(), "test")
    };
    assert_eq!(push(&work.remote, &options, &Silent).unwrap().revision, "2.0.1");
    // And one of two revisions is withdrawn.
    withdraw(&*work.remote, &dataset(), "test", "1.0.0", "purged: asked for").unwrap();
    assert!(work.is_there(&first));
    let done = work.purge(None).unwrap();
    assert_eq!((done.revision.as_deref(), done.revisions.len()), (Some("2.0.1"), 2));
    assert!(!work.is_there(&first));
    // The tombstone is written, and the blobs are still there.
    work.direct.upload_part(&nodedata_registry::blob_of(b"x"), 0, bytes::Bytes::from_static(b"x")).unwrap();
    let bytes = std::fs::read(work.path("shards/train-000.parquet")).unwrap();
    let blob = nodedata_registry::blob_of(&bytes);
    work.direct.upload_part(&blob, 0, bytes.into()).unwrap();
    assert_eq!(work.purge(None).unwrap().removed, [blob.b3]);
    work.is_sound();
}

/// A purge that was killed leaves what it published, although an episode that stays has the rows of one that goes.
#[test]
fn what_was_published_by_a_purge_that_was_killed_stays() {
    let work = Work::new();
    let added = work.append();
    let base = work.state().revision(&added).unwrap().manifest;
    let scratch = tempfile::tempdir().unwrap();
    let options = PushOptions {
        rewrite: Some(scratch.path().to_owned()),
        op_id: Some(format!("purge-{:.32}", base.hex())),
        ..PushOptions::new(dataset(), Vec::new(), "test")
    };
    let published = push(&work.remote, &options, &Silent).unwrap().revision;
    let done = work.purge(None).unwrap();
    assert_eq!(done.revision.as_deref(), Some(published.as_str()));
    assert_eq!(done.revisions, ["1.0.0".to_owned(), "2.0.0".to_owned(), added]);
    let contents = work.revision(&published).unwrap().contents().unwrap();
    let keys: Vec<&str> = contents.0.keys().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["0", "2", "3", "6", "7"]);
    work.is_sound();
}

/// Somebody who pushes while a purge is about to publish what stays.
struct Meanwhile<'a> {
    work: &'a Work,
    /// Publishes a revision, and returns it.
    publish: fn(&Work) -> String,
    is_done: AtomicBool,
    published: Mutex<Option<String>>,
}

impl<'a> Meanwhile<'a> {
    fn new(work: &'a Work, publish: fn(&Work) -> String) -> Self {
        Self { work, publish, is_done: AtomicBool::new(false), published: Mutex::default() }
    }
}

impl Progress for Meanwhile<'_> {
    fn go_on(&self) -> Result<()> {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            *self.published.lock().unwrap() = Some((self.publish)(self.work));
        }
        Ok(())
    }
}

#[test]
fn a_revision_that_comes_during_a_purge_is_purged_with_the_others() {
    let work = Work::new();
    let first = work.shards("1.0.0")[0];
    let meanwhile = Meanwhile::new(&work, Work::append);
    let scratch = tempfile::tempdir().unwrap();
    let done = purge(&work.remote, &Work::options(None), scratch.path(), &meanwhile).unwrap();
    let added = meanwhile.published.lock().unwrap().clone().unwrap();
    assert_eq!(done.revisions, ["1.0.0".to_owned(), "2.0.0".to_owned(), added]);
    assert!(!work.is_there(&first), "it held the rows, too");
    let stays = work.revision(&done.revision.unwrap()).unwrap();
    assert_eq!(stays.contents().unwrap().0.len(), 5);
    work.is_sound();
}

#[test]
fn episodes_that_are_taken_in_again_during_a_purge_are_not_purged() {
    let work = Work::new();
    let taken_in = |work: &Work| {
        let include = ["1", "4", "5"].map(str::to_owned).to_vec();
        let options = PushOptions { include, ..PushOptions::new(dataset(), Vec::new(), "test") };
        push(&work.remote, &options, &Silent).unwrap().revision
    };
    let meanwhile = Meanwhile::new(&work, taken_in);
    let scratch = tempfile::tempdir().unwrap();
    let refused = purge(&work.remote, &Work::options(None), scratch.path(), &meanwhile).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert!(work.state().revisions.iter().all(|it| it.purged.is_none() && it.withdrawn.is_none()));
    work.is_sound();
}

#[test]
fn a_withdrawn_revision_is_purged_as_a_whole() {
    let work = Work::new();
    let refused = work.purge(Some("2.0.0")).unwrap_err();
    assert!(refused.to_string().contains("is not withdrawn"), "{refused}");
    write_shard(
        &work.path("more/train-009.parquet"),
        &ShardSpec { first_episode: 9, n_episodes: 1, n_steps: 9, seed: 9 },
    );
    assert_eq!(work.push("acme/x", vec![work.path("more")], &[]).unwrap(), "3.0.0");
    let all = work.shards("2.0.0");
    withdraw(&*work.remote, &dataset(), "test", "2.0.0", "wrong").unwrap();
    let done = work.purge(Some("2.0.0")).unwrap();
    assert_eq!((done.revision, done.revisions), (None, vec!["2.0.0".to_owned()]));
    assert!(all.iter().all(|it| work.is_there(it)), "1.0.0 needs its shards");
    withdraw(&*work.remote, &dataset(), "test", "1.0.0", "wrong").unwrap();
    work.purge(Some("1.0.0")).unwrap();
    assert!(!all.iter().any(|it| work.is_there(it)));
    work.is_sound();
    assert_eq!(work.purge(Some("1.0.0")).unwrap().removed, []);
}
