//! A dataset under another name is the same dataset, and a deleted one is nobody's.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    cell::Cell,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nodedata_core::{ErrorKind, Progress, Silent};
use nodedata_registry::{
    B3, DatasetName, DatasetState, Depth, Direct, GcOptions, NewDataset, Operation, PushOptions, Remote,
    Revision, Store, TagTarget, change, create, delete_dataset, fsck, gc, move_dataset, pull, push, tag,
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

struct Work {
    folder: tempfile::TempDir,
    direct: Direct,
    remote: Arc<dyn Remote>,
}

fn name(text: &str) -> DatasetName {
    text.parse().unwrap()
}

impl Work {
    fn new() -> Self {
        let direct = Direct::new(Store::memory());
        let work = Self { folder: tempfile::tempdir().unwrap(), remote: direct.shared(), direct };
        work.push("acme/x", 1).unwrap();
        work
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn push(&self, dataset: &str, seed: u64) -> nodedata_core::Result<String> {
        let shard = self.path(&format!("{seed}/train-0.parquet"));
        write_shard(&shard, &ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 50, seed });
        let options = PushOptions::new(name(dataset), vec![shard], "test");
        push(&self.remote, &options, &Silent).map(|it| format!("{} {}", it.dataset, it.revision))
    }

    fn rename(&self, from: &str, to: &str) -> nodedata_core::Result<()> {
        move_dataset(&*self.remote, &name(from), &name(to), "test", "renamed").map(drop)
    }

    fn state(&self, dataset: &str) -> nodedata_core::Result<DatasetState> {
        DatasetState::open(&*self.remote, &name(dataset))
    }

    fn revisions(&self, dataset: &str) -> Vec<String> {
        self.state(dataset).unwrap().revisions.iter().map(|it| it.revision.clone()).collect()
    }

    fn shard(&self, dataset: &str) -> B3 {
        let state = self.state(dataset).unwrap();
        let revision = Revision::open(&self.remote, &name(dataset), state.head().unwrap()).unwrap();
        revision.shards().unwrap()[0].blob.b3
    }

    fn is_sound(&self) {
        gc(&self.direct, GcOptions { grace_seconds: 0, dry_run: false }).unwrap();
        assert_eq!(fsck(&self.direct, Depth::Full, &Silent).unwrap().flaws, []);
    }
}

#[test]
fn a_renamed_dataset_goes_on_and_its_old_names_lead_to_it() {
    let work = Work::new();
    tag(&*work.remote, &name("acme/x"), "test", "stable", TagTarget::Usable("1.0.0")).unwrap();
    work.rename("acme/x", "acme/y").unwrap();
    work.rename("acme/x", "acme/y").unwrap();
    for dataset in ["acme/x", "acme/y"] {
        let state = work.state(dataset).unwrap();
        assert_eq!(state.dataset, name("acme/y"));
        assert_eq!(
            (work.revisions(dataset), state.tags["stable"].as_str()),
            (vec!["1.0.0".to_owned()], "1.0.0")
        );
        let revision = Revision::open(&work.remote, &name(dataset), state.head().unwrap()).unwrap();
        pull(&revision, &work.path(dataset), false, &Silent).unwrap();
    }
    // What is added by either name is added to the one.
    assert_eq!(work.push("acme/x", 2).unwrap(), "acme/y 2.0.0");
    tag(&*work.remote, &name("acme/x"), "test", "stable", TagTarget::Usable("2.0.0")).unwrap();
    assert_eq!(work.push("acme/y", 3).unwrap(), "acme/y 3.0.0");
    // By an old name, it is the dataset that gets another, and there is still one.
    work.rename("acme/x", "robot-lab/y").unwrap();
    assert_eq!(work.rename("robot-lab/y", "robot-lab/y").unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(work.push("acme/x", 4).unwrap(), "robot-lab/y 4.0.0");
    assert_eq!(work.revisions("acme/x"), ["1.0.0", "2.0.0", "3.0.0", "4.0.0"]);
    assert_eq!(work.state("acme/y").unwrap().tags["stable"], "2.0.0");
    work.is_sound();
    // Hints and whole logs say the same.
    let replayed = DatasetState::replay(&*work.remote, &name("robot-lab/y")).unwrap();
    assert_eq!(replayed, work.state("robot-lab/y").unwrap());
    for taken in ["acme/x", "acme/y"] {
        let refused = create(&*work.remote, &NewDataset::new(name(taken), "test")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    }
}

/// As often as it may be, its first name leads to it; then it keeps the name that it has.
#[test]
fn a_dataset_has_no_more_names_than_are_followed() {
    let work = Work::new();
    for n in 1..16 {
        work.rename("acme/x", &format!("acme/x{n}")).unwrap();
    }
    for dataset in ["acme/x", "acme/x7", "acme/x15"] {
        assert_eq!(work.state(dataset).unwrap().dataset, name("acme/x15"));
    }
    let refused = work.rename("acme/x", "acme/x16").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Limit, "{refused}");
    assert_eq!(work.state("acme/x").unwrap().dataset, name("acme/x15"), "nothing was done");
    work.is_sound();
}

/// A change that comes second is not added behind the record that ends the log.
#[test]
fn nothing_is_added_to_a_name_that_is_given_up_meanwhile() {
    let work = Work::new();
    let is_first = Cell::new(true);
    let tagged = change(&*work.remote, &name("acme/x"), "test", &|_| {
        if is_first.replace(false) {
            work.rename("acme/x", "acme/y")?;
        }
        Ok(Operation::Tag { tag: "stable".to_owned(), revision: Some("1.0.0".to_owned()) })
    });
    let refused = tagged.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert_eq!(work.state("acme/x").unwrap().dataset, name("acme/y"));
    work.is_sound();
}

/// Deletes the dataset while it is pushed to.
struct Deletes<'a>(&'a Work, AtomicBool);

impl Progress for Deletes<'_> {
    fn go_on(&self) -> nodedata_core::Result<()> {
        if !self.1.swap(true, Ordering::Relaxed) {
            delete_dataset(&*self.0.remote, &name("acme/x"), "test", "a test")?;
        }
        Ok(())
    }
}

#[test]
fn no_revision_is_added_to_a_dataset_that_is_deleted_meanwhile() {
    let work = Work::new();
    let shard = work.path("more/train-0.parquet");
    write_shard(&shard, &ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 50, seed: 2 });
    let options = PushOptions::new(name("acme/x"), vec![shard], "test");
    let refused = push(&work.remote, &options, &Deletes(&work, AtomicBool::new(false))).unwrap_err();
    for err in [refused, work.state("acme/x").unwrap_err()] {
        assert_eq!(err.kind(), ErrorKind::Config, "{}", err.chain());
        assert!(err.to_string().contains("was deleted: a test"), "{err}");
    }
}

#[test]
fn a_taken_name_is_refused() {
    let work = Work::new();
    work.push("acme/y", 2).unwrap();
    assert_eq!(work.rename("acme/x", "acme/y").unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(work.rename("acme/x", "acme/x").unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(work.rename("acme/nothing", "acme/z").unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(work.state("acme/x").unwrap().dataset, name("acme/x"), "nothing was done");
    delete_dataset(&*work.remote, &name("acme/y"), "test", "a test").unwrap();
    assert_eq!(work.rename("acme/x", "acme/y").unwrap_err().kind(), ErrorKind::Conflict, "it stays taken");
}

/// Killed behind its first step: nobody gets another dataset for it, and it is ended by the same call or by another name.
#[test]
fn a_move_that_was_killed_is_ended() {
    let work = Work::new();
    let begin = |to: &str| {
        let state = DatasetState::load(&*work.remote, &name("acme/x")).unwrap().unwrap();
        let op = Operation::Move { to: name(to), reason: "renamed".to_owned() };
        work.remote.append(&name("acme/x"), &state.next_record(op, "op", "test")).unwrap();
    };
    begin("acme/y");
    let refused = work.state("acme/x").unwrap_err();
    assert!(refused.to_string().contains("was to be renamed to acme/y"), "{refused}");
    work.is_sound();
    work.rename("acme/x", "acme/y").unwrap();
    assert_eq!(work.state("acme/x").unwrap().dataset, name("acme/y"));
    // Another takes the name in between.
    let work = Work::new();
    let state = DatasetState::load(&*work.remote, &name("acme/x")).unwrap().unwrap();
    let op = Operation::Move { to: name("acme/y"), reason: "renamed".to_owned() };
    work.remote.append(&name("acme/x"), &state.next_record(op, "op", "test")).unwrap();
    work.push("acme/y", 7).unwrap();
    assert!(work.state("acme/x").is_err(), "it is not that one");
    delete_dataset(&*work.remote, &name("acme/y"), "test", "a test").unwrap();
    work.is_sound();
    work.rename("acme/x", "acme/z").unwrap();
    assert_eq!(work.revisions("acme/x"), ["1.0.0"]);
    work.is_sound();
}

#[test]
fn a_deleted_dataset_is_gone_and_its_bytes_go_with_the_next_collection() {
    let work = Work::new();
    work.push("other/same", 1).unwrap();
    work.push("acme/x", 2).unwrap();
    let shard = work.shard("acme/x");
    work.rename("acme/x", "acme/y").unwrap();
    delete_dataset(&*work.remote, &name("acme/x"), "test", "a test").unwrap();
    for dataset in ["acme/x", "acme/y"] {
        let refused = work.state(dataset).unwrap_err();
        assert!(refused.to_string().contains("acme/y was deleted: a test"), "{refused}");
        assert!(work.push(dataset, 3).unwrap_err().to_string().contains("was deleted"));
    }
    work.is_sound();
    assert_eq!(work.direct.blob_bytes(&name("acme/y"), &shard).unwrap(), None);
    let kept = work.shard("other/same");
    assert!(work.direct.blob_bytes(&name("other/same"), &kept).unwrap().is_some(), "another needs it");
    assert!(create(&*work.remote, &NewDataset::new(name("acme/y"), "test")).is_err(), "the name stays taken");
}
