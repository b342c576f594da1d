use std::{collections::BTreeSet, ops::Range, path::Path, sync::Arc};

use nodedata_core::{ErrorKind, ReadAt as _, Silent};
use nodedata_registry::{
    BlobReader, DatasetName, DatasetState, Outcome, PushOptions, PushReport, Remote, Revision, pull, push,
    record::BlobRef,
};

use super::{ShardSpec, shard_bytes, write_shard};

fn options(dataset: &DatasetName, folder: &Path) -> PushOptions {
    PushOptions::new(dataset.clone(), vec![folder.to_owned()], "kit")
}

fn send(remote: &Arc<dyn Remote>, options: &PushOptions) -> PushReport {
    push(remote, options, &Silent).unwrap_or_else(|err| panic!("the push failed: {}", err.chain()))
}

fn head(remote: &Arc<dyn Remote>, dataset: &DatasetName) -> Revision {
    let state = DatasetState::open(&**remote, dataset).expect("a dataset");
    Revision::open(remote, dataset, state.head().expect("a revision")).expect("its manifest")
}

fn shard(first_episode: i64, seed: u64) -> ShardSpec {
    ShardSpec { first_episode, n_episodes: 2, n_steps: 40, seed }
}

/// A push is a revision, the same again is none, more sends only what is new, and a pull brings all of it. A plan
/// says what a push would send, and does nothing.
pub(super) fn what_is_pushed_is_pulled(remote: &Arc<dyn Remote>, dataset: &DatasetName) {
    let folder = tempfile::tempdir().expect("a folder");
    let shards = folder.path().join("shards");
    write_shard(&shards.join("train-00000.parquet"), &shard(0, 1));
    write_shard(&shards.join("val-00000.parquet"), &shard(2, 2));
    let plan = || send(remote, &PushOptions { dry_run: true, ..options(dataset, &shards) });
    let planned = plan();
    assert_eq!((planned.outcome, planned.revision.as_str()), (Outcome::Planned, "1.0.0"));
    assert_eq!(remote.log(dataset, 0).expect("an empty log"), []);
    let first = send(remote, &options(dataset, &shards));
    assert_eq!(planned.sent_bytes, first.sent_bytes);
    assert_eq!((first.outcome, first.revision.as_str()), (Outcome::Published, "1.0.0"));
    assert_eq!(first.bump.proof.added, 4);
    let again = send(remote, &options(dataset, &shards));
    assert_eq!((again.outcome, again.revision.as_str(), again.sent_bytes), (Outcome::Unchanged, "1.0.0", 0));
    write_shard(&shards.join("train-00001.parquet"), &shard(4, 3));
    let planned = plan();
    let more = send(remote, &options(dataset, &shards));
    assert_eq!((planned.outcome, planned.sent_bytes), (Outcome::Planned, more.sent_bytes));
    assert_eq!((more.revision.as_str(), more.bump.kind.as_str()), ("1.1.0", "minor"));
    assert_eq!((more.bump.proof.kept, more.bump.proof.added), (4, 2));
    let old_shards = (shard_bytes(&shard(0, 1)).len() + shard_bytes(&shard(2, 2)).len()) as u64;
    assert!(
        more.sent_bytes < more.bytes + 200_000 - old_shards.min(200_000),
        "old shards are not sent again"
    );
    let out = folder.path().join("out");
    let revision = head(remote, dataset);
    let pulled = pull(&revision, &out, false, &Silent).expect("a pull");
    assert!(!pulled.unchanged && pulled.fetched_bytes == pulled.bytes);
    for name in ["train-00000.parquet", "train-00001.parquet", "val-00000.parquet"] {
        let found = std::fs::read(out.join("data").join(name)).expect("a shard");
        assert_eq!(found, std::fs::read(shards.join(name)).expect("what was pushed"), "{name}");
    }
    assert!(pull(&revision, &out, false, &Silent).expect("a pull").unchanged);
    std::fs::remove_file(shards.join("val-00000.parquet")).expect("it goes");
    let less = send(remote, &options(dataset, &shards));
    assert_eq!((less.revision.as_str(), less.bump.kind.as_str()), ("2.0.0", "major"));
}

/// A range is read and verified without the rest.
pub(super) fn ranges_are_verified(remote: &Arc<dyn Remote>, dataset: &DatasetName) {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = ShardSpec { first_episode: 0, n_episodes: 4, n_steps: 20_000, seed: 9 };
    write_shard(&folder.path().join("train-0.parquet"), &spec);
    send(remote, &options(dataset, folder.path()));
    let revision = head(remote, dataset);
    let blob = &revision.shards().expect("shards")[0].blob;
    let bytes = shard_bytes(&spec);
    assert!(blob.bytes > 1 << 20, "several grains");
    let reader = BlobReader::open(remote, dataset, &blob.b3, blob.bytes).expect("its tree");
    for range in [0..1, 262_100..262_200, 5..700_000, blob.bytes - 3..blob.bytes] {
        let found = reader.read_at(range.clone()).expect("a range");
        assert_eq!(found, bytes[range.start as usize..range.end as usize], "{range:?}");
    }
    assert!(reader.read_at(0..blob.bytes + 1).is_err(), "past the end");
    several_ranges_are_read_at_once(&**remote, dataset, &reader, blob, &bytes);
}

/// As many as are asked for, in any order, with what they have in common; verified or as the store has them; mapped
/// where the registry is a folder.
fn several_ranges_are_read_at_once(
    remote: &dyn Remote,
    dataset: &DatasetName,
    reader: &BlobReader,
    blob: &BlobRef,
    bytes: &[u8],
) {
    let n_bytes = blob.bytes;
    let mut ranges: Vec<Range<u64>> =
        (0..40).map(|it| n_bytes / 41 * it..n_bytes / 41 * it + 9_000).collect();
    ranges.extend([n_bytes - 3..n_bytes, 7..7, 5..300_000, 0..n_bytes]);
    ranges.reverse();
    let expected: Vec<&[u8]> = ranges.iter().map(|it| &bytes[it.start as usize..it.end as usize]).collect();
    assert_eq!(remote.read_ranges(dataset, &blob.b3, &ranges).expect("all of them"), expected);
    assert_eq!(remote.read_ranges(dataset, &blob.b3, &[]).expect("nothing"), Vec::<&[u8]>::new());
    let past = [0..1, n_bytes - 1..n_bytes + 1];
    assert!(remote.read_ranges(dataset, &blob.b3, &past).is_err(), "the registry has not all of it");
    let is_local = remote.local_path(&blob.b3);
    if let Some(path) = &is_local {
        assert_eq!(std::fs::read(path).expect("the file of the blob"), bytes);
    }
    for reader in [reader.clone(), reader.clone().mapped()] {
        assert_eq!(reader.read_ranges(&ranges).expect("all of them"), expected);
        let err = reader.read_ranges(&past).expect_err("past the end");
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
        let some = reader.prefetch(&ranges[..3]).expect("three of them");
        for (range, expected) in ranges.iter().zip(&expected) {
            assert_eq!(some.read_at(range.clone()).expect("at hand or not"), *expected, "{range:?}");
        }
    }
    assert_eq!(reader.clone().mapped().is_mapped(), is_local.is_some());
}

/// Several clients that add to one dataset at once lose nothing of each other.
///
/// # Panics
/// When an increment is lost, a number is given twice, or the log has a gap.
pub fn increments_of_many_are_all_kept(
    remote: &Arc<dyn Remote>,
    dataset: &DatasetName,
    n_clients: usize,
    n_pushes: usize,
) {
    let folder = tempfile::tempdir().expect("a folder");
    std::thread::scope(|scope| {
        for client in 0..n_clients {
            let folder = folder.path().join(client.to_string());
            scope.spawn(move || {
                for push in 0..n_pushes {
                    let episode = (client * n_pushes + push) as i64;
                    let path = folder.join(format!("train-{client}-{push}.parquet"));
                    let spec =
                        ShardSpec { first_episode: episode, n_episodes: 1, n_steps: 4, seed: episode as u64 };
                    write_shard(&path, &spec);
                    let mut options =
                        PushOptions::new(dataset.clone(), vec![path], &format!("client-{client}"));
                    options.append = true;
                    // A client that comes second twenty times is told so, and tries again.
                    let report = (0..20).find_map(|_| match push_once(remote, &options) {
                        Ok(report) => Some(report),
                        Err(err) if err.kind() == ErrorKind::Conflict => None,
                        Err(err) => panic!("client {client} failed: {}", err.chain()),
                    });
                    let report = report.expect("a push that comes through at last");
                    assert_eq!(report.outcome, Outcome::Published);
                }
            });
        }
    });
    let state = DatasetState::open(&**remote, dataset).expect("a dataset");
    let n_all = n_clients * n_pushes;
    let numbers: BTreeSet<&str> = state.revisions.iter().map(|it| it.revision.as_str()).collect();
    assert_eq!((state.revisions.len(), numbers.len()), (n_all, n_all), "one number a push");
    let log = remote.log(dataset, 0).expect("a log");
    assert!(log.iter().enumerate().all(|(idx, it)| it.record.seq == idx as u64), "no gap");
    assert_eq!(log.len(), n_all + 1);
    let keys: BTreeSet<String> =
        head(remote, dataset).contents().expect("an index").0.into_keys().map(|it| it.key).collect();
    assert_eq!(keys, (0..n_all).map(|it| it.to_string()).collect(), "no increment is lost");
}

fn push_once(remote: &Arc<dyn Remote>, options: &PushOptions) -> nodedata_core::Result<PushReport> {
    push(remote, options, &Silent)
}

/// Two who put other rows under one episode are told, and neither is lost without a word.
pub(super) fn changes_of_the_same_episode_conflict(remote: &Arc<dyn Remote>, dataset: &DatasetName) {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    write_shard(&one.join("train-a.parquet"), &shard(0, 1));
    write_shard(&other.join("train-b.parquet"), &shard(1, 2));
    send(remote, &options(dataset, &one));
    let mut options = options(dataset, &other);
    options.append = true;
    let err = push_once(remote, &options).expect_err("episode 1 is there already");
    assert_eq!(err.kind(), ErrorKind::Conflict, "{err}");
    assert_eq!(DatasetState::open(&**remote, dataset).expect("a dataset").revisions.len(), 1);
}
