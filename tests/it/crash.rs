//! A pusher is killed at many points while two others push: afterwards every revision is whole, nothing is
//! half published, and the same push again completes and sends only what is missing.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use nodedata_core::Silent;
use nodedata_registry::{
    B3, DatasetState, Depth, Direct, OpenStore, Remote, Revision, Store, StoreLocation, blob_of, fsck,
    layout, record::BlobRef, tree,
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

use crate::{
    command::Work,
    resume::{bytes_below, kill_at},
};

const KILLS: u32 = 30;

fn pusher(work: &Work, store: &Path, dataset: &str, folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-data"));
    command.args(["dataset", "push", "--name", dataset, "--append", "--format", "json"]).arg(folder);
    command.env("NODEDATA_STORE", store).env("XDG_CACHE_HOME", work.path("cache")).env("USER", "test");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn spec(first_episode: i64, n_steps: usize) -> ShardSpec {
    ShardSpec { first_episode, n_episodes: 1, n_steps, seed: first_episode as u64 }
}

#[test]
fn a_killed_pusher_leaves_nothing_half_done() {
    let work = Work::new();
    let store = work.path("store");
    // Three parts, so that there is something to go on with.
    let big = work.path("big");
    write_shard(&big.join("train-big.parquet"), &spec(1_000_000, 800_000));
    let n_bytes = std::fs::metadata(big.join("train-big.parquet")).unwrap().len();
    assert!(tree::n_parts(n_bytes) >= 3, "{n_bytes} bytes");
    let shard = blob_of(&std::fs::read(big.join("train-big.parquet")).unwrap());
    let direct = open(&store);
    let (mut n_killed, mut n_published, mut n_others) = (0, 0, 0);
    let mut round = 0;
    // A victim that was done before it could be killed is looked at, too, but is no victim.
    while n_killed < KILLS {
        // What the next victim sends must not be there already, and each blob only once to keep.
        if round > 0 {
            forget(&store, &shard.b3, &format!("a/killed-{}", round - 1));
        }
        // Each round pushes the big shard to a dataset of its own, and two others add to a third.
        let dataset = format!("a/killed-{round}");
        let victim = pusher(&work, &store, &dataset, &big);
        let others: Vec<Child> = (0..2)
            .map(|it| {
                let episode = i64::from(round * 2 + it);
                let folder = work.path(format!("small/{episode}"));
                write_shard(&folder.join(format!("train-{episode}.parquet")), &spec(episode, 5));
                pusher(&work, &store, "a/shared", &folder)
            })
            .collect();
        let was_killed = kill_at(victim, || is_reached(round, &store, &shard, &dataset));
        n_killed += u32::from(was_killed);
        for other in others {
            let output = other.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            n_others += 1;
        }
        n_published += u32::from(check(&direct, &dataset) && was_killed);
        if round % 10 == 9 {
            assert_eq!(fsck(&direct, Depth::Quick, &Silent).unwrap().flaws, [], "after round {round}");
        }
        round += 1;
    }
    assert!(n_published < KILLS, "each was done before it was killed");
    // The last victim's push again: it completes, and parts that came are not sent again.
    let dataset = format!("a/killed-{}", round - 1);
    let output = pusher(&work, &store, &dataset, &big).wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && report["bytes"].as_u64().unwrap() == n_bytes, "{report}");
    assert!(check(&direct, &dataset));
    let state = DatasetState::open(&direct, &"a/shared".parse().unwrap()).unwrap();
    assert_eq!(state.revisions.len(), n_others, "no push of the others is lost");
    let head = Revision::open(&direct.shared(), &state.dataset, state.head().unwrap()).unwrap();
    assert_eq!(head.contents().unwrap().0.len(), n_others);
    assert_eq!(fsck(&direct, Depth::Full, &Silent).unwrap().flaws, []);
}

/// Where the victim of a round is killed: points of its push one after the other, as they can be seen in the store.
fn is_reached(round: u32, store: &Path, shard: &BlobRef, dataset: &str) -> bool {
    let growing = store.join(layout::UPLOADS).join(shard.b3.hex());
    match round % 7 {
        // The first part is being written.
        0 => growing.exists(),
        // One has come.
        1 => growing.with_extension("cvs").exists(),
        // The last one is being written; then all are there and are read again, or flushed.
        2 => std::fs::metadata(&growing).is_ok_and(|it| it.len() >= shard.bytes / 4 * 3),
        3 => std::fs::metadata(&growing).is_ok_and(|it| it.len() >= shard.bytes),
        // The blob has its name, then its tree, and then the record is written.
        4 => store.join(layout::blob(&shard.b3)).exists(),
        5 => store.join(layout::tree(&shard.b3)).exists(),
        _ => bytes_below(&store.join(layout::DATASETS).join(dataset)) > 0,
    }
}

fn open(store: &Path) -> Direct {
    let location = StoreLocation::Folder(store.to_owned());
    Direct::new(Store::open(&location, &OpenStore { journal: None, create: true }).unwrap())
}

/// Whether the dataset has a revision; if it has, all of it is there.
fn check(direct: &Direct, dataset: &str) -> bool {
    let name = dataset.parse().unwrap();
    let Some(state) = DatasetState::load(direct, &name).unwrap() else { return false };
    let Some(head) = state.head() else { return false };
    let revision = Revision::open(&direct.shared(), &name, head).unwrap();
    for blob in revision.blobs().unwrap() {
        assert_eq!(direct.blob_bytes(&name, &blob.b3).unwrap(), Some(blob.bytes), "{} of {dataset}", blob.b3);
    }
    true
}

/// Takes the big shard out of the store again, and the dataset that names it, so that the next victim begins
/// anew.
fn forget(store: &Path, b3: &B3, dataset: &str) {
    for path in [layout::blob(b3), layout::tree(b3)] {
        drop(std::fs::remove_file(store.join(path)));
    }
    for folder in ["uploads".to_owned(), format!("ds/{dataset}")] {
        drop(std::fs::remove_dir_all(store.join(folder)));
    }
}
