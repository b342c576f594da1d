//! A pusher is killed at many points while two others push: afterwards every revision is whole, nothing is
//! half published, and the same push again completes and sends only what is missing.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nodedata_core::Silent;
use nodedata_registry::{
    B3, DatasetState, Depth, Direct, OpenStore, Remote, Revision, Store, StoreLocation, blob_of, fsck,
    layout, tree,
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

use crate::command::Work;

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
    // The first one fills the cache of hashes, as those after it find it; the fastest of the others counts, because
    // a slow one says when victims are dead by themselves.
    let mut whole = Duration::MAX;
    for store in ["warm", "first", "second", "third"] {
        let started = Instant::now();
        assert!(pusher(&work, &work.path(store), "a/x", &big).wait().unwrap().success());
        if store != "warm" {
            whole = whole.min(started.elapsed());
        }
    }
    let shard = blob_of(&std::fs::read(big.join("train-big.parquet")).unwrap());
    let direct = open(&store);
    let (mut n_killed, mut n_published, mut n_others) = (0, 0, 0);
    for kill in 0..KILLS {
        // Each round pushes the big shard to a dataset of its own, and two others add to a third.
        let dataset = format!("a/killed-{kill}");
        let mut victim = pusher(&work, &store, &dataset, &big);
        let others: Vec<Child> = (0..2)
            .map(|it| {
                let episode = i64::from(kill * 2 + it);
                let folder = work.path(format!("small/{episode}"));
                write_shard(&folder.join(format!("train-{episode}.parquet")), &spec(episode, 5));
                pusher(&work, &store, "a/shared", &folder)
            })
            .collect();
        std::thread::sleep(at(whole, kill));
        n_killed += u32::from(victim.try_wait().unwrap().is_none());
        victim.kill().unwrap();
        victim.wait().unwrap();
        for other in others {
            let output = other.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            n_others += 1;
        }
        n_published += u32::from(check(&direct, &dataset));
        if kill % 10 == 9 {
            assert_eq!(fsck(&direct, Depth::Quick, &Silent).unwrap().flaws, [], "after kill {kill}");
        }
        // What the next victim sends must not be there already, and each blob only once to keep.
        if kill + 1 < KILLS {
            forget(&store, &shard.b3, &dataset);
        }
    }
    assert!(n_killed >= KILLS / 2, "only {n_killed} of {KILLS} were alive when they were killed");
    assert!(n_published < KILLS, "each was done before it was killed");
    // The last victim's push again: it completes, and parts that came are not sent again.
    let dataset = format!("a/killed-{}", KILLS - 1);
    let output = pusher(&work, &store, &dataset, &big).wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && report["bytes"].as_u64().unwrap() == n_bytes, "{report}");
    assert!(check(&direct, &dataset));
    let state = DatasetState::open(&direct, &"a/shared".parse().unwrap()).unwrap();
    assert_eq!(state.revisions.len(), n_others, "no push of the others is lost");
    let head = Revision::open(&direct, &state.dataset, state.head().unwrap()).unwrap();
    assert_eq!(head.contents().unwrap().0.len(), n_others);
    assert_eq!(fsck(&direct, Depth::Full, &Silent).unwrap().flaws, []);
}

/// When to kill: spread over the time a whole push takes, in an order without a pattern.
fn at(whole: Duration, kill: u32) -> Duration {
    whole * (kill * 7 % KILLS + 1) / (KILLS + 2)
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
    let revision = Revision::open(direct, &name, head).unwrap();
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
