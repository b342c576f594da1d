use std::{cell::Cell, path::Path, sync::Mutex};

use nodedata_core::Silent;
use nodedata_registry::{Direct, HashCache, NewDataset, Outcome, Revision, Store, create};
use nodedata_testkit::registry::{ShardSpec, write_shard};

use super::*;

fn registry() -> Registry {
    Registry {
        remote: Direct::new(Store::memory()).shared(),
        author: "robot-lab".to_owned(),
        cache: HashCache::none(),
    }
}

fn dataset() -> DatasetName {
    "robot-lab/x".parse().unwrap()
}

fn shard(folder: &Path, name: &str, first_episode: i64, n_episodes: i64) -> PathBuf {
    let path = folder.join(name);
    write_shard(&path, &ShardSpec { first_episode, n_episodes, n_steps: 5, seed: 3 });
    path
}

fn episodes(registry: &Registry) -> Vec<String> {
    let state = DatasetState::open(&*registry.remote, &dataset()).unwrap();
    let head = Revision::open(&registry.remote, &dataset(), state.head().unwrap()).unwrap();
    head.contents().unwrap().0.into_keys().map(|it| it.key).collect()
}

/// One shard after the other: none takes away those before it, and one that was uploaded stays as it is.
#[test]
fn uploads_add_unless_they_are_to_replace() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry();
    create(&*registry.remote, &NewDataset::new(dataset(), "robot-lab")).unwrap();
    let shards =
        [shard(folder.path(), "train-0.parquet", 0, 1), shard(folder.path(), "train-1.parquet", 1, 2)];
    let send = |options: &UploadOptions| upload(&registry, options, &Silent).unwrap();
    for (path, number) in shards.iter().zip(["1.0.0", "1.1.0"]) {
        let done = send(&UploadOptions::new(dataset(), vec![path.clone()]));
        assert_eq!((done.outcome, done.revision.as_str()), (Outcome::Published, number));
    }
    assert_eq!(episodes(&registry), ["0", "1", "2"]);
    let again = send(&UploadOptions::new(dataset(), vec![shards[0].clone()]));
    assert_eq!((again.outcome, again.revision.as_str(), again.sent_bytes), (Outcome::Unchanged, "1.1.0", 0));
    let other = shard(folder.path(), "others/train-9.parquet", 1, 1);
    let clash = upload(&registry, &UploadOptions::new(dataset(), vec![other.clone()]), &Silent).unwrap_err();
    assert_eq!(clash.kind(), ErrorKind::Conflict, "{clash}");
    let mut replace = UploadOptions::new(dataset(), vec![other]);
    replace.mode = UploadMode::Replace;
    assert_eq!(send(&replace).revision, "2.0.0");
    assert_eq!(episodes(&registry), ["1"]);
    let nothing = upload(&registry, &UploadOptions::new(dataset(), Vec::new()), &Silent).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::Config);
}

/// The folder of a revision is a converted dataset. It adds what it holds more, and never takes anything away unasked.
#[test]
fn a_converted_dataset_adds_when_all_that_is_published_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry();
    let pulled = |name: &str, n_episodes: i64| {
        let made = self::registry();
        let path = shard(folder.path(), &format!("{name}/train-0.parquet"), 0, n_episodes);
        upload(&made, &UploadOptions::new(dataset(), vec![path]), &Silent).unwrap();
        let state = DatasetState::open(&*made.remote, &dataset()).unwrap();
        let head = Revision::open(&made.remote, &dataset(), state.head().unwrap()).unwrap();
        let out = folder.path().join(format!("{name}-out"));
        nodedata_registry::pull(&head, &out, false, &Silent).unwrap();
        out
    };
    let (small, large) = (pulled("small", 1), pulled("large", 3));
    let send = |mode: UploadMode, path: &Path| {
        let mut options = UploadOptions::new(dataset(), vec![path.to_owned()]);
        options.mode = mode;
        upload(&registry, &options, &Silent)
    };
    assert_eq!(send(UploadMode::Add, &small).unwrap().revision, "1.0.0");
    let heard = Heard::default();
    let added = upload(&registry, &UploadOptions::new(dataset(), vec![large.clone()]), &heard).unwrap();
    assert_eq!(added.revision, "1.1.0");
    let warnings = heard.0.into_inner().unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("no licence"), "once each: {warnings:?}");
    assert_eq!(send(UploadMode::Add, &large).unwrap().outcome, Outcome::Unchanged);
    let err = send(UploadMode::Add, &small).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Config, "{err}");
    assert!(err.to_string().contains("lacks 2 published episodes"), "{err}");
    assert_eq!(episodes(&registry), ["0", "1", "2"]);
    assert_eq!(send(UploadMode::Replace, &small).unwrap().revision, "2.0.0");
}

/// Keeps what it is warned of.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn warned(&self, warning: &str) {
        self.0.lock().unwrap().push(warning.to_owned());
    }
}

struct Stopped;

impl Progress for Stopped {
    fn is_stopped(&self) -> bool {
        true
    }
}

#[test]
fn only_a_registry_that_does_not_answer_is_asked_again() {
    let unanswered = || Error::new(ErrorKind::Io, "nobody answers");
    let patient = Duration::from_secs(60);
    let counted = Cell::new(0);
    let n_tries = &counted;
    let after = move |n: u32, err: fn() -> Error| {
        n_tries.set(0);
        move || {
            n_tries.set(n_tries.get() + 1);
            if n_tries.get() > n { Ok(n_tries.get()) } else { Err(err()) }
        }
    };
    assert_eq!(again_while_unanswered(patient, &Silent, after(1, unanswered)).unwrap(), 2);
    let refused = again_while_unanswered(patient, &Silent, after(9, || Error::new(ErrorKind::Denied, "no")));
    assert_eq!((refused.unwrap_err().kind(), n_tries.get()), (ErrorKind::Denied, 1));
    let hasty = again_while_unanswered(Duration::ZERO, &Silent, after(9, unanswered));
    assert_eq!((hasty.unwrap_err().kind(), n_tries.get()), (ErrorKind::Io, 1));
    let stopped = again_while_unanswered(patient, &Stopped, after(9, unanswered));
    assert_eq!((stopped.unwrap_err().kind(), n_tries.get()), (ErrorKind::Interrupted, 1));
}

/// Fails when it hears that something is tried again.
struct NeverAgain;

impl Progress for NeverAgain {
    fn warned(&self, warning: &str) {
        panic!("{warning}");
    }
}

/// A name that is misspelt is told at once, not after all the time that a registry is asked for.
#[test]
fn a_file_that_is_not_there_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let there = shard(folder.path(), "train-0.parquet", 0, 1);
    let missing = folder.path().join("missing");
    let shards = UploadOptions::new(dataset(), vec![missing.join("train-0.parquet")]);
    let mut index = UploadOptions::new(dataset(), vec![there]);
    index.sample_index = Some(missing.join("sample_index.json"));
    for options in [shards, index] {
        let err = upload(&registry(), &options, &NeverAgain).unwrap_err();
        assert!(err.locus().path.as_ref().is_some_and(|it| it.starts_with(&missing)), "{}", err.chain());
    }
}
