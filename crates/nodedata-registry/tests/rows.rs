//! What a revision's tables say of its rows is no proof: `verify` makes the hashes again.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{path::Path, sync::Arc};

use nodedata_core::Silent;
use nodedata_registry::{
    DatasetName, DatasetState, Direct, Operation, PushOptions, PushRequest, Remote, Revision, Store, blob_of,
    change, push, put_blob,
    record::{Bump, BumpProof},
    trust::{ByteSample, VerifyOptions, verify_published},
};
use nodedata_testkit::registry::{ShardSpec, shard_bytes, write_shard};

fn dataset() -> DatasetName {
    "acme/x".parse().unwrap()
}

fn published(folder: &Path) -> (Direct, Arc<dyn Remote>) {
    let store = Direct::new(Store::memory());
    let remote = store.shared();
    for (name, first_episode) in [("train-0.parquet", 0), ("train-1.parquet", 2)] {
        write_shard(&folder.join(name), &ShardSpec { first_episode, n_episodes: 2, n_steps: 700, seed: 1 });
    }
    push(&remote, &PushOptions::new(dataset(), vec![folder.to_owned()], "acme"), &Silent).unwrap();
    (store, remote)
}

fn codes(remote: &Arc<dyn Remote>, bytes: bool) -> Vec<&'static str> {
    let state = DatasetState::open(&**remote, &dataset()).unwrap();
    let entry = state.head().unwrap();
    let sample = if bytes { ByteSample::ALL } else { ByteSample::NONE };
    let options = VerifyOptions { trusted: &[], sample };
    let found = verify_published(remote, &dataset(), entry, &options).unwrap();
    assert_eq!(found.episodes, if bytes { 4 } else { 0 });
    let mut codes: Vec<&str> = found.findings.iter().map(|it| it.code).collect();
    codes.dedup();
    codes
}

#[test]
fn rows_that_changed_under_old_tables_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, remote) = published(folder.path());
    assert_eq!(codes(&remote, true), [""; 0]);
    // All rows of one shard are others, of the same number; every table is as it was.
    let state = DatasetState::open(&*remote, &dataset()).unwrap();
    let old = Revision::open(&remote, &dataset(), state.head().unwrap()).unwrap();
    let other = shard_bytes(&ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 700, seed: 2 });
    let blob = blob_of(&other);
    assert_ne!(blob.b3, old.shards().unwrap()[0].blob.b3);
    let request = PushRequest { push: "p".to_owned(), dataset: dataset(), blobs: vec![blob.clone()] };
    store.negotiate(&request).unwrap();
    store.upload_part(&blob, 0, other.into()).unwrap();
    let mut manifest = old.manifest().clone();
    manifest.revision = "1.0.1".to_owned();
    manifest.parents = vec![old.digest()];
    manifest.shard_bytes = manifest.shard_bytes - manifest.shards[0].blob.bytes + blob.bytes;
    manifest.shards[0].blob = blob;
    let bytes = manifest.to_bytes().unwrap();
    let b3 = blob_of(&bytes).b3;
    put_blob(&store, &dataset(), bytes).unwrap();
    change(&store, &dataset(), "acme", &|_| {
        let proof = BumpProof { kept: 4, ..BumpProof::default() };
        Ok(Operation::Publish {
            revision: "1.0.1".to_owned(),
            bump: Bump { kind: "patch".to_owned(), proof },
            manifest: b3,
            tags: vec!["latest".to_owned()],
        })
    })
    .unwrap();
    let found = codes(&remote, true);
    assert!(found.contains(&"content-mismatch"), "{found:?}");
    assert!(!codes(&remote, false).contains(&"content-mismatch"), "rows are not read");
}

#[test]
fn a_number_that_claims_less_than_the_tables_prove_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, remote) = published(folder.path());
    let shard = folder.path().join("train-0.parquet");
    write_shard(&shard, &ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 700, seed: 5 });
    push(&remote, &PushOptions::new(dataset(), vec![folder.path().to_owned()], "acme"), &Silent).unwrap();
    assert_eq!(codes(&remote, true), [""; 0], "2.0.0 says what it is");
    let state = DatasetState::open(&*remote, &dataset()).unwrap();
    let honest = Revision::open(&remote, &dataset(), state.head().unwrap()).unwrap();
    // The same as 1.0.1, past a server that would not take it.
    let mut manifest = honest.manifest().clone();
    assert_eq!(manifest.revision, "2.0.0");
    manifest.revision = "1.0.1".to_owned();
    let bytes = manifest.to_bytes().unwrap();
    let b3 = blob_of(&bytes).b3;
    put_blob(&store, &dataset(), bytes).unwrap();
    change(&store, &dataset(), "acme", &|_| {
        Ok(Operation::Publish {
            revision: "1.0.1".to_owned(),
            bump: Bump { kind: "patch".to_owned(), proof: BumpProof::default() },
            manifest: b3,
            tags: Vec::new(),
        })
    })
    .unwrap();
    assert_eq!(codes(&remote, true), ["number-mismatch"]);
}
