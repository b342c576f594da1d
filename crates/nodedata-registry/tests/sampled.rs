//! A revision of which a part of the bytes is read: what is drawn is verified, and no more is claimed.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{path::PathBuf, sync::Arc};

use nodedata_core::Silent;
use nodedata_registry::{
    DatasetName, DatasetState, Direct, HashCache, OpenStore, PushOptions, Remote, Revision, Store,
    StoreLocation, layout, push,
    record::BlobRef,
    tree::GRAIN_BYTES,
    trust::{ByteSample, Verification, VerifyOptions, verify_published},
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

/// Two shards of many grains, in a folder.
struct Published {
    folder: tempfile::TempDir,
    remote: Arc<dyn Remote>,
}

fn dataset() -> DatasetName {
    "acme/x".parse().unwrap()
}

impl Published {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shards = folder.path().join("shards");
        for (name, first_episode) in [("train-0.parquet", 0), ("train-1.parquet", 2)] {
            let spec = ShardSpec { first_episode, n_episodes: 2, n_steps: 60_000, seed: 1 };
            write_shard(&shards.join(name), &spec);
        }
        let location = StoreLocation::Folder(folder.path().join("store"));
        let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
        let remote = Direct::new(store).shared();
        let options =
            PushOptions { cache: HashCache::none(), ..PushOptions::new(dataset(), vec![shards], "acme") };
        push(&remote, &options, &Silent).unwrap();
        Self { folder, remote }
    }

    fn verified(&self, share: f64, seed: u64) -> Verification {
        let state = DatasetState::open(&*self.remote, &dataset()).unwrap();
        let sample = ByteSample::of(share, seed).unwrap();
        let options = VerifyOptions { trusted: &[], sample };
        verify_published(&self.remote, &dataset(), state.head().unwrap(), &options).unwrap()
    }

    fn shards(&self) -> Vec<BlobRef> {
        let state = DatasetState::open(&*self.remote, &dataset()).unwrap();
        let revision = Revision::open(&self.remote, &dataset(), state.head().unwrap()).unwrap();
        revision.shards().unwrap().iter().map(|it| it.blob.clone()).collect()
    }

    fn path(&self, blob: &BlobRef) -> PathBuf {
        self.folder.path().join("store").join(layout::blob(&blob.b3))
    }

    /// Changes one bit of a grain, does something, and changes it back.
    fn with_flip<T>(&self, blob: &BlobRef, grain: u64, work: impl FnOnce() -> T) -> T {
        let path = self.path(blob);
        let sound = std::fs::read(&path).unwrap();
        let mut bytes = sound.clone();
        bytes[(grain * GRAIN_BYTES) as usize] ^= 4;
        // What is published may not be written to.
        let write = |bytes: &[u8]| {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, bytes).unwrap();
        };
        write(&bytes);
        let done = work();
        write(&sound);
        done
    }
}

#[test]
fn what_is_counted_is_what_is_read() {
    let published = Published::new();
    let shards = published.shards();
    let all = published.verified(1.0, 0);
    assert!(all.is_sound(), "{all:?}");
    assert_eq!((all.bytes, all.episodes), (all.total_bytes, 4));
    let none = published.verified(0.0, 0);
    assert_eq!((none.bytes, none.total_bytes, none.blobs), (0, all.total_bytes, all.blobs));
    let shard_bytes: u64 = shards.iter().map(|it| it.bytes).sum();
    let others = all.total_bytes - shard_bytes;
    for share in [1e-6, 0.1, 0.5, 0.9] {
        let found = published.verified(share, 3);
        assert!(found.is_sound(), "{found:?}");
        assert_eq!((found.total_bytes, found.episodes), (all.total_bytes, 0), "rows are not read");
        let n_drawn = |it: &BlobRef| ((it.bytes.div_ceil(GRAIN_BYTES) as f64 * share).ceil() as u64).max(1);
        let most = others + shards.iter().map(|it| n_drawn(it) * GRAIN_BYTES).sum::<u64>();
        // The last grain of a shard is shorter.
        let least = most - shards.len() as u64 * GRAIN_BYTES;
        assert!((least..=most).contains(&found.bytes), "{share}: {} of {least} to {most}", found.bytes);
        assert_eq!(published.verified(share, 3), found);
    }
}

#[test]
fn a_flipped_bit_is_found_where_its_grain_is_drawn_and_by_some_seed_everywhere() {
    let published = Published::new();
    for blob in published.shards() {
        let n_grains = blob.bytes.div_ceil(GRAIN_BYTES);
        assert!(n_grains > 8, "{n_grains}");
        for grain in [0, n_grains / 2, n_grains - 1] {
            published.with_flip(&blob, grain, || {
                let finds = |share: f64, seed: u64| {
                    let findings = published.verified(share, seed).findings;
                    for it in &findings {
                        assert_eq!((it.code, it.at.clone()), ("damaged-blob", blob.b3.to_string()));
                    }
                    !findings.is_empty()
                };
                assert!(finds(1.0, 0) && !finds(0.0, 0));
                // The manifest tells the time, and with it the draws: of so many seeds one finds it in any case.
                let found: Vec<bool> = (0..64).map(|seed| finds(0.3, seed)).collect();
                assert!(found.contains(&true), "grain {grain} is never drawn");
                assert!(found.contains(&false), "more is read than is said");
                let again: Vec<bool> = (0..8).map(|seed| finds(0.3, seed)).collect();
                assert_eq!(found[..8], again);
            });
        }
        assert!(published.verified(0.3, 0).is_sound());
    }
}
