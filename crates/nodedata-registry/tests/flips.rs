//! What lies beside a log is no truth: damage of it, and of the log itself, is found, and never read as something else.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::path::{Path, PathBuf};

use nodedata_core::{ErrorKind, Silent};
use nodedata_registry::{
    DatasetName, DatasetState, Depth, Direct, OpenStore, Operation, PushOptions, PushRequest, Reference,
    Remote, Revision, Store, StoreLocation, blob_of, change, fsck, heal, layout, pull, push,
    trust::{VerifyOptions, verify_published},
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

fn dataset() -> DatasetName {
    "acme/x".parse().unwrap()
}

struct Work {
    folder: tempfile::TempDir,
    store: Direct,
}

impl Work {
    /// Two revisions and so many records that there is a hint.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = StoreLocation::Folder(folder.path().join("store"));
        let store = Direct::new(Store::open(&location, &OpenStore { journal: None, create: true }).unwrap());
        let work = Self { folder, store };
        for n_episodes in [1, 2] {
            let path = work.folder.path().join(format!("{n_episodes}")).join("train-0.parquet");
            write_shard(&path, &ShardSpec { first_episode: 0, n_episodes, n_steps: 4, seed: 1 });
            let options = PushOptions::new(dataset(), vec![path], "test");
            push(&work.store.shared(), &options, &Silent).unwrap();
        }
        for idx in 0..20 {
            work.tag(&format!("t{idx}"));
        }
        work
    }

    fn tag(&self, tag: &str) {
        let (tag, revision) = (tag.to_owned(), Some("1.0.0".to_owned()));
        change(&self.store, &dataset(), "test", &|_| {
            Ok(Operation::Tag { tag: tag.clone(), revision: revision.clone() })
        })
        .unwrap();
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("store").join(inside)
    }

    fn state(&self) -> DatasetState {
        DatasetState::open(&self.store, &dataset()).unwrap()
    }

    fn flaws(&self) -> Vec<String> {
        let found = fsck(&self.store, Depth::Quick, &Silent).unwrap();
        found.flaws.iter().map(|it| format!("{} {}", it.code, it.path)).collect()
    }
}

/// Changes one bit after the other and hands the changed file to `check`.
fn flipped(path: &Path, step: usize, check: impl Fn(usize)) {
    let sound = std::fs::read(path).unwrap();
    for at in (0..sound.len()).step_by(step) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 7);
        std::fs::write(path, bytes).unwrap();
        check(at);
    }
    std::fs::write(path, sound).unwrap();
}

#[test]
fn every_flip_is_found_and_none_is_believed() {
    let work = Work::new();
    let request = PushRequest { push: "p".to_owned(), dataset: dataset(), blobs: vec![blob_of(b"x")] };
    work.store.negotiate(&request).unwrap();
    assert_eq!(work.flaws(), [""; 0]);
    let truth = work.state();
    assert_eq!(truth.next_seq, 23);
    let mut files = vec![
        (layout::head(&dataset()), 17),
        (layout::anchor(&dataset()), 3),
        (layout::revision(&dataset(), "1.0.0"), 3),
        (layout::revision(&dataset(), "1.1.0"), 3),
        (layout::lease("p"), 3),
    ];
    files.extend((0..truth.next_seq).map(|seq| (layout::record(&dataset(), seq), 29)));
    for (file, step) in files {
        flipped(&work.path(&file), step, |at| {
            let found = fsck(&work.store, Depth::Quick, &Silent).unwrap();
            assert!(!found.flaws.is_empty(), "byte {at} of {file}");
            // Where it is not found, it makes no difference.
            match DatasetState::open(&work.store, &dataset()) {
                Ok(state) => assert_eq!(state, truth, "byte {at} of {file}"),
                Err(err) => assert_eq!(err.kind(), ErrorKind::Corrupt, "byte {at} of {file}: {err}"),
            }
        });
    }
    assert_eq!(work.flaws(), [""; 0]);
}

/// A hint that hangs together and tells of another revision, and of another gate.
#[test]
fn a_forged_hint_delivers_nothing_else() {
    let work = Work::new();
    let truth = work.state();
    let path = work.path(&layout::head(&dataset()));
    let mut forged: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(forged["next_seq"], 16);
    let other = forged["revisions"][1]["manifest"].clone();
    forged["revisions"][0]["manifest"] = other;
    forged["visibility"] = "public".into();
    forged["sensitivity"]["class"] = "none".into();
    std::fs::write(&path, serde_json::to_vec(&forged).unwrap()).unwrap();
    let state = work.state();
    assert_eq!(state, truth);
    let reference = Reference::parse("acme/x@1.0.0", "acme").unwrap();
    let entry = reference.resolve(&state).unwrap();
    let revision = Revision::open(&work.store.shared(), &dataset(), entry).unwrap();
    let report = pull(&revision, &work.folder.path().join("out"), false, &Silent).unwrap();
    assert_eq!(report.revision, "1.0.0");
    assert_eq!(revision.contents().unwrap().episodes().len(), 1);
    let verified = verify_published(&work.store.shared(), &dataset(), entry, &VerifyOptions::default());
    let findings = verified.unwrap().findings;
    assert!(findings.iter().any(|it| it.code == "hint-mismatch"), "{findings:?}");
    assert_eq!(work.flaws(), [format!("wrong-hint {}", layout::head(&dataset()))]);
    let healed = heal(&work.store, None, Depth::Quick).unwrap();
    assert_eq!((healed.derived, healed.left), (vec![layout::head(&dataset())], vec![]));
    assert_eq!(work.flaws(), [""; 0]);
    // A revision whose record names the manifest of another is not opened.
    let mut swapped = entry.clone();
    swapped.manifest = truth.revisions[1].manifest;
    let err = Revision::open(&work.store.shared(), &dataset(), &swapped).map(drop).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
}

#[test]
fn the_last_record_is_anchored() {
    let work = Work::new();
    let state = work.state();
    let last = work.path(&layout::record(&dataset(), state.next_seq - 1));
    let sound = std::fs::read(&last).unwrap();
    // Another author, in good JSON.
    let changed = String::from_utf8(sound.clone()).unwrap().replace("\"test\"", "\"tesd\"");
    std::fs::write(&last, changed).unwrap();
    let err = DatasetState::open(&work.store, &dataset()).unwrap_err();
    assert!(err.to_string().contains("not the one that was written"), "{err}");
    // Cut off.
    std::fs::remove_file(&last).unwrap();
    let err = DatasetState::open(&work.store, &dataset()).unwrap_err();
    assert!(err.to_string().contains("is missing"), "{err}");
    assert!(work.flaws()[0].starts_with("broken-log"), "{:?}", work.flaws());
    std::fs::write(&last, sound).unwrap();
    assert_eq!(work.state(), state);
    // An anchor that is behind, as a writer leaves it that is ended between the two, is written again.
    let anchor = work.path(&layout::anchor(&dataset()));
    let old = std::fs::read(&anchor).unwrap();
    work.tag("one-more");
    std::fs::write(&anchor, &old).unwrap();
    assert_eq!(work.state().next_seq, state.next_seq + 1);
    assert_eq!(work.flaws(), [""; 0]);
    assert_ne!(std::fs::read(&anchor).unwrap(), old);
}

/// The hint is read where a record proves it: opening a long log costs few records.
#[test]
fn a_hint_that_is_proved_saves_reading_the_log() {
    let work = Work::new();
    let truth = work.state();
    // Records that the hint stands for may be gone.
    std::fs::remove_file(work.path(&layout::record(&dataset(), 5))).unwrap();
    assert_eq!(work.state(), truth);
    std::fs::remove_file(work.path(&layout::head(&dataset()))).unwrap();
    assert!(DatasetState::open(&work.store, &dataset()).is_err());
}
