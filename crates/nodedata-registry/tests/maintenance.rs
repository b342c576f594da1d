//! Rot is found and named, mended from a sound copy, and a collection never takes what somebody needs.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use nodedata_core::{ErrorKind, Silent};
use nodedata_registry::{
    DatasetName, DatasetState, Depth, Direct, GcOptions, OpenStore, PushOptions, Remote, Revision, Store,
    StoreLocation, fsck, gc, heal, layout, push,
};
use nodedata_testkit::registry::{ShardSpec, write_shard};
use proptest::prelude::*;

const NOW: GcOptions = GcOptions { grace_seconds: 0, dry_run: false };

fn store_at(folder: &Path) -> Direct {
    let location = StoreLocation::Folder(folder.to_owned());
    Direct::new(Store::open(&location, &OpenStore { journal: None, create: true }).unwrap())
}

fn dataset() -> DatasetName {
    "acme/x".parse().unwrap()
}

fn push_one(store: &Direct, folder: &Path, spec: ShardSpec, append: bool) -> nodedata_core::Result<()> {
    let path: PathBuf = folder.join(format!("train-{}-{}.parquet", spec.first_episode, spec.seed));
    write_shard(&path, &spec);
    let mut options = PushOptions::new(dataset(), vec![path], "test");
    options.append = append;
    push(&store.shared(), &options, &Silent).map(drop)
}

fn big() -> ShardSpec {
    ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 20_000, seed: 3 }
}

#[test]
fn rot_is_found_named_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let (store, copy) = (store_at(&folder.path().join("a")), store_at(&folder.path().join("b")));
    for remote in [&store, &copy] {
        push_one(remote, folder.path(), big(), false).unwrap();
    }
    let state = DatasetState::open(&store, &dataset()).unwrap();
    let shard = Revision::open(&store.shared(), &dataset(), state.head().unwrap()).unwrap().shards().unwrap()
        [0]
    .clone();
    assert_eq!(fsck(&store, Depth::Full, &Silent).unwrap().flaws, []);
    let path = folder.path().join("a").join(layout::blob(&shard.blob.b3));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[300_000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    std::fs::remove_file(folder.path().join("a").join(layout::revision(&dataset(), "1.0.0"))).unwrap();
    assert_eq!(fsck(&store, Depth::Quick, &Silent).unwrap().flaws, [], "lengths and names are right");
    assert!(
        folder.path().join("a").join(layout::revision(&dataset(), "1.0.0")).exists(),
        "the look-up is back"
    );
    let found = fsck(&store, Depth::Full, &Silent).unwrap();
    let [flaw] = found.flaws.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (flaw.code, flaw.blob, flaw.needed_by.as_slice()),
        ("rot", Some(shard.blob.b3), &["acme/x@1.0.0".to_owned()][..])
    );
    assert!(flaw.message.contains("262144"), "the grain is named: {}", flaw.message);
    let alone = heal(&store, None, Depth::Full).unwrap();
    assert_eq!((alone.blobs.len(), alone.left.len()), (0, 1), "nobody has a sound copy");
    let healed = heal(&store, Some(&copy.shared()), Depth::Full).unwrap();
    assert_eq!((healed.blobs, healed.left), (vec![shard.blob.b3], vec![]));
    std::fs::remove_file(folder.path().join("a").join(layout::tree(&shard.blob.b3))).unwrap();
    assert_eq!(fsck(&store, Depth::Quick, &Silent).unwrap().flaws[0].code, "missing-tree");
    assert_eq!(heal(&store, None, Depth::Quick).unwrap().trees, [shard.blob.b3]);
    std::fs::remove_file(&path).unwrap();
    let found = fsck(&store, Depth::Quick, &Silent).unwrap();
    assert!(
        found.flaws.iter().any(|it| it.code == "missing-blob" && it.blob == Some(shard.blob.b3)),
        "{found:?}"
    );
    assert!(heal(&store, Some(&copy.shared()), Depth::Quick).unwrap().left.is_empty());
    assert_eq!(fsck(&store, Depth::Full, &Silent).unwrap().flaws, []);
}

#[test]
fn what_nobody_needs_goes_and_what_is_leased_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_at(&folder.path().join("a"));
    push_one(&store, folder.path(), big(), false).unwrap();
    let needless = nodedata_registry::blob_of(b"nobody needs this");
    store.upload_part(&needless, 0, bytes::Bytes::from_static(b"nobody needs this")).unwrap();
    let leased = nodedata_registry::blob_of(b"a push needs this");
    let request = nodedata_registry::PushRequest {
        push: "p".to_owned(),
        dataset: dataset(),
        blobs: vec![leased.clone()],
    };
    store.negotiate(&request).unwrap();
    store.upload_part(&leased, 0, bytes::Bytes::from_static(b"a push needs this")).unwrap();
    let young = gc(&store, GcOptions { grace_seconds: 3600, dry_run: false }).unwrap();
    assert_eq!((young.removed.len(), young.young), (0, 1));
    let planned = gc(&store, GcOptions { grace_seconds: 0, dry_run: true }).unwrap();
    assert_eq!(planned.removed, [needless.b3]);
    assert_eq!(gc(&store, NOW).unwrap().removed, [needless.b3]);
    assert_eq!(gc(&store, NOW).unwrap().removed, []);
    store.end_push("p").unwrap();
    assert_eq!(gc(&store, NOW).unwrap().removed, [leased.b3]);
    assert_eq!(fsck(&store, Depth::Full, &Silent).unwrap().flaws, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// Pushers add, drop and bring back the same shards while collections run without any grace: every
    /// revision ever published stays whole.
    #[test]
    fn collections_never_take_what_pushes_need(seeds in proptest::collection::vec(0u64..4, 12)) {
        let folder = tempfile::tempdir().unwrap();
        let store = store_at(&folder.path().join("a"));
        store.store().init().unwrap();
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let pushers: Vec<_> = seeds.chunks(4).enumerate().map(|(client, seeds)| {
                let (store, folder) = (&store, folder.path().join(client.to_string()));
                scope.spawn(move || {
                    for seed in seeds {
                        let spec = ShardSpec { first_episode: client as i64, n_episodes: 1, n_steps: 4, seed: *seed };
                        // Each replaces what the others published: shards go, and come back as the same blobs.
                        match push_one(store, &folder.join(seed.to_string()), spec, false) {
                            Ok(()) => {}
                            Err(err) => assert_eq!(err.kind(), ErrorKind::Conflict, "{}", err.chain()),
                        }
                    }
                })
            }).collect();
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    gc(&store, NOW).unwrap();
                }
            });
            let failed = pushers.into_iter().filter_map(|it| it.join().err()).count();
            ended.store(true, Ordering::Relaxed);
            assert_eq!(failed, 0);
        });
        let found = fsck(&store, Depth::Full, &Silent).unwrap();
        prop_assert_eq!(found.flaws, vec![]);
        prop_assert!(found.revisions > 0);
    }
}
