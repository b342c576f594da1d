//! Episodes that a revision leaves out do not come with a pull, and a pull that was killed anywhere can be run again.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::{Array as _, cast::AsArray as _, types::Int64Type};
use nodedata_core::{ErrorKind, Progress, Silent};
use nodedata_dataset::{Dataset, validate};
use nodedata_registry::{
    DatasetName, DatasetState, Direct, PullReport, PushOptions, REVISION_FILE, Remote, Revision, Store, pull,
    push,
};
use nodedata_testkit::registry::{ShardSpec, write_shard};

/// Three shards of two episodes each, published as 1.0.0; 2.0.0 leaves three of the episodes out.
struct Work {
    folder: tempfile::TempDir,
    remote: Arc<dyn Remote>,
}

const N_STEPS: usize = 3000;

impl Work {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for idx in 0..3 {
            let path = folder.path().join(format!("shards/train-{idx:03}.parquet"));
            let spec =
                ShardSpec { first_episode: idx * 2, n_episodes: 2, n_steps: N_STEPS, seed: idx as u64 + 1 };
            write_shard(&path, &spec);
        }
        let work = Self { remote: Direct::new(Store::memory()).shared(), folder };
        work.push(vec![work.path("shards")], &[]);
        work.push(Vec::new(), &["1", "4", "5"]);
        work
    }

    fn push(&self, paths: Vec<PathBuf>, exclude: &[&str]) {
        let mut options = PushOptions::new(dataset(), paths, "test");
        options.exclude = exclude.iter().map(|it| (*it).to_owned()).collect();
        push(&self.remote, &options, &Silent).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn revision(&self, number: &str) -> Revision {
        let state = DatasetState::open(&*self.remote, &dataset()).unwrap();
        Revision::open(&self.remote, &dataset(), state.revision(number).unwrap()).unwrap()
    }

    fn pull(&self, number: &str, out: &str, overwrite: bool) -> nodedata_core::Result<PullReport> {
        pull(&self.revision(number), &self.path(out), overwrite, &Silent)
    }
}

fn dataset() -> DatasetName {
    "acme/x".parse().unwrap()
}

/// All files of a folder.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The episodes that rows are of, with how many, from the shards themselves.
fn episodes(root: &Path) -> BTreeMap<i64, usize> {
    let dataset = Dataset::open(root).unwrap();
    let mut found = BTreeMap::new();
    for shard in &dataset.manifest.shards {
        for batch in dataset.shard(shard).unwrap() {
            let batch = batch.unwrap();
            let column = batch.column_by_name("episode_index").unwrap().as_primitive::<Int64Type>().clone();
            assert_eq!(column.null_count(), 0);
            column.values().iter().for_each(|it| *found.entry(*it).or_default() += 1);
        }
    }
    found
}

fn is_sound(root: &Path) {
    let found = validate(&Dataset::open(root).unwrap(), true, &Silent).unwrap();
    assert_eq!(found.findings, [], "{}", root.display());
}

/// What lies beside an output.
fn beside(out: &Path) -> Vec<String> {
    let name = out.file_name().unwrap().to_string_lossy().into_owned();
    let all = fs::read_dir(out.parent().unwrap()).unwrap();
    let names = all.map(|it| it.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|it| it.starts_with('.') && it.contains(&name)).collect()
}

#[test]
fn no_row_of_an_episode_that_is_left_out_comes() {
    let work = Work::new();
    let done = work.pull("2.0.0", "out", false).unwrap();
    let out = work.path("out");
    is_sound(&out);
    assert_eq!(episodes(&out), [(0, N_STEPS), (2, N_STEPS), (3, N_STEPS)].into());
    assert_eq!((done.left_out_episodes, done.left_out_rows), (3, 3 * N_STEPS as u64));
    let revision = work.revision("2.0.0");
    let named: u64 = revision.files().unwrap().iter().map(|it| it.blob.bytes).sum();
    let unread = revision.shards().unwrap()[2].blob.bytes;
    assert_eq!(done.fetched_bytes, named - unread);
    let pulled = Dataset::open(&out).unwrap();
    let paths: Vec<&str> = pulled.manifest.shards.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["data/train-000.parquet", "data/train-001.parquet"], "one shard had no other rows");
    assert_eq!(pulled.manifest.splits["train"].episodes, 3);
    // The shard that loses nothing is the published one.
    let published = work.revision("1.0.0").shards().unwrap()[1].blob.b3.hex();
    assert_eq!(pulled.manifest.shards[1].b3, published);
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("3 episodes, 9000 rows, 2 shards"), "{card}");
    let rows: Vec<(u64, u64)> = pulled.episodes().unwrap().iter().map(|it| (it.episode, it.row)).collect();
    assert_eq!(rows, [(0, 0), (2, 0), (3, N_STEPS as u64)]);
    let all = files(&out);
    assert_eq!(all.len() as u64, done.files + 1, "and {REVISION_FILE}");
    let n_bytes: usize =
        all.iter().filter(|(path, _)| !path.ends_with(REVISION_FILE)).map(|(_, it)| it.len()).sum();
    assert_eq!(n_bytes as u64, done.bytes);
    assert_eq!(beside(&out), [""; 0]);
    // The same again, here and elsewhere.
    let again = work.pull("2.0.0", "out", false).unwrap();
    assert!(again.unchanged);
    assert_eq!((again.files, again.bytes, again.left_out_episodes), (done.files, done.bytes, 3));
    work.pull("2.0.0", "other", false).unwrap();
    assert!(files(&work.path("other")) == all, "the same rows give the same bytes");
    // An older revision is what it was.
    work.pull("1.0.0", "before", false).unwrap();
    assert_eq!(episodes(&work.path("before")).len(), 6);
}

#[test]
fn a_revision_without_episodes_is_pulled() {
    let work = Work::new();
    work.push(Vec::new(), &["0", "2", "3"]);
    let done = work.pull("3.0.0", "out", false).unwrap();
    assert_eq!(done.left_out_episodes, 6);
    is_sound(&work.path("out"));
    assert_eq!(episodes(&work.path("out")), BTreeMap::new());
}

/// A folder that was pulled before pulls left anything out says that it is the revision, and holds all rows.
#[test]
fn a_folder_with_the_rows_is_not_taken_for_one_without() {
    let work = Work::new();
    work.pull("1.0.0", "out", false).unwrap();
    let manifest = work.revision("2.0.0").manifest().to_bytes().unwrap();
    fs::write(work.path("out").join(REVISION_FILE), manifest).unwrap();
    let refused = work.pull("2.0.0", "out", false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("episodes that this one leaves out"), "{refused}");
    assert!(!work.pull("2.0.0", "out", true).unwrap().unchanged);
    assert_eq!(episodes(&work.path("out")).len(), 3);
}

/// Stops when it was asked so often.
struct Stopper {
    asked: AtomicU64,
    stop_at: u64,
}

impl Progress for Stopper {
    fn is_stopped(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) >= self.stop_at
    }
}

/// Wherever an overwriting pull is stopped, the folder is the old one, and the same call goes on.
#[test]
fn a_pull_is_stopped_at_any_place() {
    let work = Work::new();
    let out = work.path("out");
    work.pull("2.0.0", "expected", false).unwrap();
    work.pull("1.0.0", "out", false).unwrap();
    let before = files(&out);
    let mut stop_at = 0;
    loop {
        let stopper = Stopper { asked: AtomicU64::new(0), stop_at };
        match pull(&work.revision("2.0.0"), &out, true, &stopper) {
            Ok(_) => break,
            Err(err) => assert_eq!(err.kind(), ErrorKind::Interrupted, "{stop_at}: {}", err.chain()),
        }
        assert!(files(&out) == before, "{stop_at}");
        stop_at += 1;
        assert!(stop_at < 1000, "it goes on at last");
    }
    assert!(stop_at >= 6, "{stop_at}");
    assert!(files(&out) == files(&work.path("expected")));
    assert_eq!(beside(&out), [""; 0]);
}

/// Makes a state of the output and of the hidden folder beside it.
type State = fn(&Path, &Path);

/// Every state of the disk that a kill may leave, made by hand.
#[test]
fn whatever_a_kill_leaves_the_same_pull_ends_well() {
    let work = Work::new();
    work.pull("2.0.0", "expected", false).unwrap();
    let expected = files(&work.path("expected"));
    let states: [(&str, State); 13] = [
        ("an empty hidden folder", |_, hidden| fs::create_dir(hidden).unwrap()),
        ("a lock alone", |_, hidden| put(&hidden.join("lock"), b"")),
        ("no lock", |_, hidden| fs::create_dir_all(hidden.join("tree")).unwrap()),
        ("half a part", |_, hidden| put(&hidden.join("tree/data/train-001.parquet.part"), &[7; 1000])),
        ("another file under a final name", |_, hidden| put(&hidden.join("tree/schema.json"), b"{}")),
        ("a file where a folder is to be", |_, hidden| put(&hidden.join("tree/data"), b"x")),
        ("a folder where a file is to be", |_, hidden| put(&hidden.join("tree/README.md/x/y"), b"x")),
        ("a folder where a part is to be", |_, hidden| put(&hidden.join("tree/README.md.part/x"), b"x")),
        ("a file that was on its way", |_, hidden| {
            put(&hidden.join("tree/.nodedata-1-1.partial"), b"{");
            put(&hidden.join("tree/revision.json"), b"{");
        }),
        ("half a shard that was written again", |_, hidden| {
            put(&hidden.join("rewritten/data/train-000.parquet"), b"PAR1");
        }),
        ("the old one out of the way", |out, hidden| {
            put(&hidden.join("tree/schema.json"), b"{}");
            fs::rename(out, replaced(hidden)).unwrap();
        }),
        ("the new one in its place", |out, hidden| {
            fs::rename(out, replaced(hidden)).unwrap();
            copy(&out.with_file_name("expected"), out);
            put(&hidden.join("lock"), b"");
        }),
        ("half of the old one gone", |out, hidden| {
            fs::rename(out, replaced(hidden)).unwrap();
            fs::remove_file(replaced(hidden).join("manifest.json")).unwrap();
            copy(&out.with_file_name("expected"), out);
            fs::create_dir_all(hidden).unwrap();
        }),
    ];
    for (idx, (what, leave)) in states.iter().enumerate() {
        let name = format!("out{idx}");
        let (out, hidden) = (work.path(&name), work.path(&format!(".{name}.pull")));
        work.pull("1.0.0", &name, false).unwrap();
        leave(&out, &hidden);
        let done = work.pull("2.0.0", &name, true).unwrap_or_else(|err| panic!("{what}: {}", err.chain()));
        assert_eq!(done.unchanged, idx >= 11, "{what}");
        assert!(files(&out) == expected, "{what}");
        assert_eq!(beside(&out), [""; 0], "{what}");
    }
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn replaced(hidden: &Path) -> PathBuf {
    let mut name = hidden.as_os_str().to_owned();
    name.push(".replaced");
    name.into()
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in files(from) {
        put(&to.join(path), &bytes);
    }
}

/// What an earlier pull of another revision left of a large file is not taken for the start of this one's.
#[test]
fn a_part_of_another_revision_costs_no_second_try() {
    let folder = tempfile::tempdir().unwrap();
    let remote = Direct::new(Store::memory()).shared();
    let shard = folder.path().join("train-0.parquet");
    let spec = ShardSpec { first_episode: 0, n_episodes: 1, n_steps: 400_000, seed: 1 };
    write_shard(&shard, &spec);
    push(&remote, &PushOptions::new(dataset(), vec![shard.clone()], "test"), &Silent).unwrap();
    let state = DatasetState::open(&*remote, &dataset()).unwrap();
    let revision = Revision::open(&remote, &dataset(), state.head().unwrap()).unwrap();
    let out = folder.path().join("out");
    let part = folder.path().join(".out.pull/tree/data/train-0.parquet.part");
    put(&part, &vec![3; 8 << 20]);
    assert!(fs::metadata(&shard).unwrap().len() > 8 << 20, "it goes on behind a part");
    pull(&revision, &out, false, &Silent).unwrap();
    is_sound(&out);
}
