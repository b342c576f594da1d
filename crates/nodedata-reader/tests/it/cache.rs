use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use nodedata_reader::{CacheOptions, FieldsRequest, OpenOptions, Reader, StepRange};
use nodedata_registry::{B3, Reference, Remote};

use crate::{
    far::{Far, Published, far_at, flip},
    media::pictures,
    registry::all_rows,
};

fn options(folder: &Path, max_bytes: u64) -> OpenOptions {
    OpenOptions { cache: CacheOptions::At { folder: folder.to_owned(), max_bytes } }
}

fn open(it: &Published, far: &Arc<Far>, options: &OpenOptions) -> Reader {
    Reader::open(Arc::clone(far) as Arc<dyn Remote>, &it.reference("x"), options).unwrap()
}

/// Where a child of this process finds the store and the cache.
const CHILD: [&str; 2] = ["NODEDATA_TEST_STORE", "NODEDATA_TEST_CACHE"];

fn rows(reader: &Reader) -> Vec<B3> {
    all_rows(&reader.split("train", "steps").unwrap())
}

/// Files below a folder whose name is a number: those of grains.
fn grains(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        // Somebody may be making room.
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.file_name().unwrap().to_string_lossy().parse::<u64>().is_ok() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What one process fetched, the next one has: nothing of a shard or a table is asked for again.
#[test]
fn what_was_fetched_is_there_the_next_time() {
    let it = Published::new(&pictures(100));
    let (far, folder) = (it.far(), it.folder.path().join("cache"));
    let options = options(&folder, 1 << 30);
    let first = open(&it, &far, &options);
    let expected = rows(&first);
    assert!(first.cache_stats().written_bytes > 1 << 20 && first.cache_stats().failure.is_none());
    let shard = it.blob("data/train-00000.parquet");
    let table = it.blob("index/episodes.parquet");
    assert!(far.ranges().contains_key(&shard) && far.ranges().contains_key(&table));
    far.reset();
    let again = open(&it, &far, &options);
    assert_eq!(rows(&again), expected);
    let asked = far.ranges();
    assert!(!asked.contains_key(&shard) && !asked.contains_key(&table), "{asked:?}");
    assert_eq!(far.n_trees(), 0);
    assert!(again.cache_stats().hit_bytes > 1 << 20);
    assert_eq!((again.cache_stats().written_bytes, again.cache_stats().damaged_bytes), (0, 0));
}

/// Nobody sees what has been damaged on the disk; it is fetched anew, and is there again.
#[test]
fn what_was_damaged_is_fetched_anew() {
    let it = Published::new(&pictures(100));
    let (far, folder) = (it.far(), it.folder.path().join("cache"));
    let options = options(&folder, 1 << 30);
    let expected = rows(&open(&it, &far, &options));
    let found = grains(&folder);
    assert!(found.len() > 4);
    for grain in &found {
        flip(grain, 100.min(std::fs::metadata(grain).unwrap().len() as usize - 1));
    }
    far.reset();
    let reader = open(&it, &far, &options);
    assert_eq!(rows(&reader), expected);
    let stats = reader.cache_stats();
    assert!(stats.damaged_bytes > 0 && stats.damaged_bytes == stats.written_bytes, "{stats:?}");
    far.reset();
    assert_eq!(rows(&open(&it, &far, &options)), expected);
    assert!(!far.ranges().contains_key(&it.blob("data/train-00000.parquet")));
}

/// A folder that cannot be written to, and one that has room for little: rows are the same.
#[test]
fn a_cache_that_cannot_be_used_stops_nobody() {
    let it = Published::new(&pictures(100));
    let far = it.far();
    let expected = rows(&open(&it, &far, &OpenOptions { cache: CacheOptions::Off }));
    let file = it.folder.path().join("file");
    std::fs::write(&file, b"no folder").unwrap();
    let reader = open(&it, &far, &options(&file.join("below"), 1 << 30));
    assert_eq!(rows(&reader), expected);
    assert!(reader.cache_stats().failure.is_some());
    let small = it.folder.path().join("small");
    let reader = open(&it, &far, &options(&small, 600 << 10));
    assert_eq!(rows(&reader), expected);
    let kept: u64 = grains(&small).iter().map(|it| std::fs::metadata(it).unwrap().len()).sum();
    assert!(kept <= 600 << 10, "{kept}");
    assert_eq!(reader.cache_stats().failure, None);
}

/// Several readers of several processes fill one folder at a time.
#[test]
fn many_fill_one_cache() {
    let it = Published::new(&pictures(100));
    let folder = it.folder.path().join("cache");
    let options = options(&folder, 1 << 30);
    let expected = rows(&open(&it, &it.far(), &OpenOptions { cache: CacheOptions::Off }));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(rows(&open(&it, &it.far(), &options)), expected));
        }
    });
    let far = it.far();
    assert_eq!(rows(&open(&it, &far, &options)), expected);
    assert!(!far.ranges().contains_key(&it.blob("data/train-00000.parquet")));
}

/// Of several readers that need the same at a time, one fetches it, whichever process he is of.
#[test]
fn what_many_need_is_fetched_by_one() {
    let it = Published::new(&pictures(100));
    let far = it.far();
    let options = options(&it.folder.path().join("cache"), 1 << 30);
    let readers: Vec<Reader> = (0..6).map(|_| open(&it, &far, &options)).collect();
    // Their shard is open already.
    readers.iter().for_each(|it| drop(it.split("train", "steps").unwrap()));
    far.reset();
    std::thread::scope(|scope| {
        for reader in &readers {
            scope.spawn(move || rows(reader));
        }
    });
    let shard = it.blob("data/train-00000.parquet");
    let n_bytes: u64 = far.ranges()[&shard].iter().map(|it| it.end - it.start).sum();
    let most = std::fs::metadata(it.at(&shard)).unwrap().len();
    assert!((most / 2..=most).contains(&n_bytes), "{n_bytes} of {most}");
}

/// What is brought to the disk is fetched from there.
#[test]
fn what_is_kept_is_not_fetched() {
    let it = Published::new(&pictures(100));
    let far = it.far();
    let reader = open(&it, &far, &options(&it.folder.path().join("cache"), 1 << 30));
    let split = reader.split("train", "steps").unwrap();
    let fields = split.fields(&FieldsRequest::named(["rgb"])).unwrap();
    let needs = split.needs(&[StepRange { episode: 0, steps: 20..60 }], &fields).unwrap();
    far.reset();
    split.keep(&needs).unwrap();
    assert_eq!(far.n_bytes(), needs.n_bytes());
    far.reset();
    split.keep(&needs).unwrap();
    let fetched = split.fetch(&needs).unwrap();
    assert_eq!((far.n_bytes(), fetched.n_bytes()), (0, needs.n_bytes()));
    assert_eq!(split.disk_bytes(), (1 << 30) / 10 * 9);
}

/// A store that is a folder of this machine is read where it is.
#[test]
fn nothing_is_kept_of_what_is_near() {
    let it = Published::new(&pictures(20));
    let folder = it.folder.path().join("cache");
    let reader = Reader::open(Arc::clone(&it.near), &it.reference("x"), &options(&folder, 1 << 30)).unwrap();
    rows(&reader);
    assert!(!folder.exists());
    assert_eq!(reader.cache_stats().folder, None);
}

/// Whoever is killed while the cache is written to and makes room leaves no lock, and nothing that anybody takes for a grain.
#[test]
fn a_process_that_is_killed_spoils_nothing() {
    let small = 700 << 10;
    if let [Some(store), Some(cache)] = CHILD.map(std::env::var_os) {
        let (far, options) = (far_at(Path::new(&store)), options(Path::new(&cache), small));
        let reference = Reference::parse("acme/x", "acme").unwrap();
        loop {
            let far = Arc::clone(&far) as Arc<dyn Remote>;
            rows(&Reader::open(far, &reference, &options).unwrap());
        }
    }
    let it = Published::new(&pictures(100));
    let folder = it.folder.path().join("cache");
    let expected = rows(&open(&it, &it.far(), &OpenOptions { cache: CacheOptions::Off }));
    for _ in 0..3 {
        let name = "cache::a_process_that_is_killed_spoils_nothing";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(CHILD[0], it.store())
            .env(CHILD[1], &folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Until it writes.
        let before = grains(&folder);
        while grains(&folder) == before {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let reader = open(&it, &it.far(), &options(&folder, small));
        assert_eq!(rows(&reader), expected);
        let stats = reader.cache_stats();
        assert_eq!((stats.failure, stats.damaged_bytes), (None, 0));
        let kept: u64 = grains(&folder).iter().filter_map(|it| Some(std::fs::metadata(it).ok()?.len())).sum();
        assert!(kept <= small, "{kept}");
    }
}
