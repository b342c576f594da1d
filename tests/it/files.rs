//! A dataset is its files, wherever they are: a folder, a bucket or memory.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, ReadAt, Result, Silent};
use nodedata_dataset::{Dataset, EpisodeEntry, Question, Rows, explain, validate};
use nodedata_export::{HubFacts, export_hugging_face};
use nodedata_io::{FolderFiles, MemoryFiles, RemoteFiles, block_on};
use nodedata_testkit::{corpus, reading::CountedFiles};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, memory::InMemory, path::Path as ObjectPath};

use crate::{command::Work, logs::fixture};

/// A log with attachments, or steps with coded video.
fn converted(work: &Work, name: &str) -> Dataset {
    let source = match name {
        "log" => fixture("teleop.mcap"),
        _ => corpus::fixtures("lerobot").join("v30_video_h264"),
    };
    work.run(["convert", &source.display().to_string(), "--out", name]).exits(0);
    Dataset::open(work.path(name)).unwrap()
}

fn in_memory(dataset: &Dataset) -> MemoryFiles {
    dataset.files().list().unwrap().into_iter().fold(MemoryFiles::default(), |all, path| {
        let file = dataset.files().open(&path).unwrap();
        all.with(path, file.read_at(0..file.n_bytes()).unwrap())
    })
}

fn in_a_bucket(dataset: &Dataset) -> RemoteFiles {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let prefix = ObjectPath::from("sets/one");
    for path in dataset.files().list().unwrap() {
        let file = dataset.files().open(&path).unwrap();
        let bytes = file.read_at(0..file.n_bytes()).unwrap();
        let location = ObjectPath::from(format!("{prefix}/{}", path.display()));
        block_on(store.put(&location, PutPayload::from(bytes))).unwrap();
    }
    RemoteFiles::list_of(store, prefix).unwrap()
}

/// Every file of a folder.
fn contents(folder: &Path) -> Vec<(PathBuf, Bytes)> {
    let files = FolderFiles::new(folder);
    let read = |path: PathBuf| {
        let file = files.open(&path).unwrap();
        let bytes = file.read_at(0..file.n_bytes()).unwrap();
        (path, bytes)
    };
    files.list().unwrap().into_iter().map(read).collect()
}

#[test]
fn a_folder_a_bucket_and_memory_are_read_alike() {
    fn is_shared<T: Send + Sync + Clone>(_: &T) {}
    let work = Work::new();
    for name in ["log", "video"] {
        let folder = converted(&work, name);
        is_shared(&folder);
        let sound = validate(&folder, true, &Silent).unwrap();
        assert!(sound.is_sound() && 0 < sound.frames, "{sound:?}");
        let question = Question { episode: Some(0), ..Question::default() };
        let explained = explain(&folder, None, &question).unwrap();
        assert!(explained.iter().any(|it| !it.origins.is_empty()));
        let exported = work.path(format!("{name}-hub"));
        export_hugging_face(&folder, &exported, &HubFacts::default()).unwrap();
        for (place, files) in [
            ("memory", Arc::new(in_memory(&folder)) as Arc<dyn Files>),
            ("bucket", Arc::new(in_a_bucket(&folder)) as Arc<dyn Files>),
        ] {
            let dataset = Dataset::over(files).unwrap();
            assert_eq!(dataset.root(), None);
            assert_eq!(validate(&dataset, true, &Silent).unwrap(), sound, "{name} in {place}");
            assert_eq!(explain(&dataset, None, &question).unwrap(), explained, "{name} in {place}");
            assert_eq!(dataset.episodes().unwrap(), folder.episodes().unwrap());
            assert_eq!(dataset.videos().unwrap(), folder.videos().unwrap());
            assert_eq!(dataset.attachments().unwrap(), folder.attachments().unwrap());
            let out = work.path(format!("{name}-{place}"));
            let report = export_hugging_face(&dataset, &out, &HubFacts::default()).unwrap();
            assert_eq!(report.copied, report.files);
            assert_eq!(contents(&out), contents(&exported), "{name} in {place}");
        }
    }
}

/// Files of which one is behind a gate, or behind a network that is down.
struct Unreachable {
    files: MemoryFiles,
    shard: PathBuf,
    kind: ErrorKind,
}

impl Files for Unreachable {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.files.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        match path == self.shard {
            true => Err(Error::new(self.kind, "not for you").with_hint("ask")),
            false => self.files.open(path),
        }
    }
}

#[test]
fn what_cannot_be_reached_is_no_finding_and_what_is_missing_is_one() {
    let work = Work::new();
    let folder = converted(&work, "log");
    let shard = PathBuf::from(&folder.manifest.shards[0].path);
    for kind in [ErrorKind::Denied, ErrorKind::Io] {
        let files = Unreachable { files: in_memory(&folder), shard: shard.clone(), kind };
        let dataset = Dataset::over(Arc::new(files)).unwrap();
        for deep in [false, true] {
            let err = validate(&dataset, deep, &Silent).unwrap_err();
            assert_eq!((err.kind(), err.to_string().as_str()), (kind, "not for you"));
            assert_eq!((err.hint(), err.locus().path.as_ref()), (Some("ask"), Some(&shard)));
        }
    }
    let less = in_memory(&folder);
    let kept = less.list().unwrap().into_iter().filter(|it| *it != shard).fold(
        MemoryFiles::default(),
        |all, path| {
            let file = less.open(&path).unwrap();
            all.with(path, file.read_at(0..file.n_bytes()).unwrap())
        },
    );
    let found = validate(&Dataset::over(Arc::new(kept)).unwrap(), false, &Silent).unwrap();
    assert!(
        found.findings.iter().any(|it| it.code == "missing-file" && it.at == shard.display().to_string())
    );
    std::fs::remove_file(work.path("log").join(&shard)).unwrap();
    let found = validate(&folder, false, &Silent).unwrap();
    assert!(found.findings.iter().any(|it| it.code == "missing-file"), "{found:?}");
}

/// What the tables say of pages, video and attachments is what the files hold.
#[test]
fn index_tables_point_at_what_is_there() {
    let work = Work::new();
    let (log, video) = (converted(&work, "log"), converted(&work, "video"));
    for dataset in [&log, &video] {
        for (idx, shard) in dataset.manifest.shards.iter().enumerate() {
            let pages = dataset.pages(idx).unwrap();
            let file = dataset.file(&shard.path).unwrap();
            let mut groups: Vec<u32> = pages.iter().map(|it| it.row_group).collect();
            groups.dedup();
            assert_eq!(groups, (0..shard.row_groups as u32).collect::<Vec<_>>(), "{}", shard.path);
            for page in pages.iter() {
                file.read_at(page.offset..page.offset + page.n_bytes).unwrap();
            }
            // From the magic to the footer, pages follow one another.
            let mut ranges: Vec<Range<u64>> =
                pages.iter().map(|it| it.offset..it.offset + it.n_bytes).collect();
            ranges.sort_unstable_by_key(|it| it.start);
            assert_eq!(ranges[0].start, 4, "{}", shard.path);
            assert!(ranges.windows(2).all(|it| it[0].end == it[1].start), "{}", shard.path);
        }
        assert!(dataset.pages(dataset.manifest.shards.len()).unwrap().is_empty());
    }
    let attachments = log.attachments().unwrap();
    assert!(!attachments.is_empty() && video.attachments().unwrap().is_empty());
    for attachment in attachments {
        assert_eq!(log.file(&attachment.path).unwrap().n_bytes(), attachment.n_bytes);
    }
    let (videos, episodes) = (video.videos().unwrap(), video.episodes().unwrap());
    assert!(!videos.is_empty() && log.videos().unwrap().is_empty());
    for entry in videos {
        let rows: u64 = episodes.iter().filter(|it| it.episode == entry.episode).map(|it| it.n_rows).sum();
        assert_eq!((entry.n_frames, entry.codec.as_str()), (rows, "h264"));
    }
}

#[test]
fn a_path_that_leads_out_of_the_dataset_is_refused() {
    let work = Work::new();
    let dataset = converted(&work, "log");
    work.write("secret", "x");
    for path in ["", "../secret", "/etc/hostname", "data/../../secret"] {
        assert_eq!(dataset.file(path).err().unwrap().kind(), ErrorKind::Corrupt, "{path}");
    }
}

/// A bit of damage anywhere in a shard is an error with the shard's name, or other rows, but never a panic.
#[test]
fn a_damaged_shard_is_an_error() {
    let work = Work::new();
    let folder = converted(&work, "log");
    let files = in_memory(&folder);
    let entry = folder.manifest.shards.iter().min_by_key(|it| it.bytes).unwrap();
    let file = folder.file(&entry.path).unwrap();
    let sound = file.read_at(0..file.n_bytes()).unwrap();
    let mut n_errors = 0;
    for at in (0..sound.len()).step_by(13) {
        let mut bytes = sound.to_vec();
        bytes[at] ^= 0x55;
        let dataset = Dataset::over(Arc::new(files.clone().with(&entry.path, bytes))).unwrap();
        let read = dataset.shard(entry).and_then(|rows| rows.collect::<Result<Vec<_>>>());
        if let Err(err) = read {
            assert_eq!(err.locus().path.as_deref(), Some(Path::new(&entry.path)));
            n_errors += 1;
        }
    }
    assert!(0 < n_errors);
}

/// Shards that are pushed as they are get the index that a conversion writes: the same tables, and the same content of the same
/// rows.
#[test]
fn one_describer_writes_every_index() {
    let work = Work::new();
    let converted = converted(&work, "video");
    let store = work.path("store").display().to_string();
    let variables = [("NODEDATA_STORE", store.as_str()), ("NODEDATA_USER", "acme")];
    work.run_with(&variables, ["dataset", "push", "--name", "acme/plain", "video/data"]).exits(0);
    work.run_with(&variables, ["dataset", "pull", "acme/plain", "--out", "plain"]).exits(0);
    let plain = Dataset::open(work.path("plain")).unwrap();
    for name in ["episodes", "pages", "origins"] {
        let schema = |dataset: &Dataset| {
            let path = &dataset.manifest.index[name].path;
            let mut rows = Rows::of_file(path, dataset.file(path).unwrap()).unwrap();
            rows.next().unwrap().unwrap().schema()
        };
        assert_eq!(schema(&plain), schema(&converted), "{name}");
    }
    let contents = |dataset: &Dataset| {
        let rows = dataset.episodes().unwrap();
        let row = |it: EpisodeEntry<'_>| (it.episode, it.split.to_owned(), it.row, it.n_rows, it.content);
        rows.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(contents(&plain), contents(&converted));
    assert_eq!(plain.pages(0).unwrap(), converted.pages(0).unwrap());
    let head = |folder: &str| work.json(&format!("{folder}/sample_index.json"));
    let (plain, converted) = (head("plain"), head("video"));
    for key in ["episodes", "rows", "shards", "row_groups"] {
        assert_eq!(plain[key], converted[key], "{key}");
    }
    let keys = |it: &serde_json::Value| it.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&plain["inline_episodes"][0]), keys(&converted["inline_episodes"][0]));
}

/// Rows cost about the bytes of their pages: nothing reads on to the end of a file that may lie in a bucket.
#[test]
fn reading_a_shard_asks_for_its_bytes_once() {
    let work = Work::new();
    let folder = converted(&work, "video");
    let n_bytes = Arc::new(AtomicU64::new(0));
    let files = CountedFiles::new(Arc::clone(folder.files()), &n_bytes);
    let dataset = Dataset::over(Arc::new(files)).unwrap();
    for entry in &dataset.manifest.shards {
        n_bytes.store(0, Ordering::Relaxed);
        let rows: usize = dataset.shard(entry).unwrap().map(|it| it.unwrap().num_rows()).sum();
        assert_eq!(rows as u64, entry.rows);
        let asked = n_bytes.load(Ordering::Relaxed);
        assert!(asked < entry.bytes * 5 / 4 + 65_536, "{asked} of {}", entry.bytes);
    }
}
