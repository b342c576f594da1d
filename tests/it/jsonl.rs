//! JSON Lines from end to end.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::{Array as _, cast::AsArray as _};
use bytes::Bytes;
use nodedata_core::{
    Detection, Files, Format, Formats, Listing, OpenOptions, OptionKey, ReadAt, Result, Silent, Source,
};
use nodedata_media::{Decoded, encode_png};
use nodedata_pipeline::{ConvertOptions, Share, finish, parse_splits, plan, work};
use nodedata_testkit::corpus;

use crate::{
    command::Work,
    tables::{Dataset, int64, texts},
};

fn samples() -> String {
    corpus::fixtures("jsonl").join("samples.jsonl").display().to_string()
}

#[test]
fn lines_become_a_table_of_samples() {
    let work = Work::new();
    work.run(["convert", &samples(), "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let manifest = work.json("out/manifest.json").to_string();
    assert!(manifest.contains("\"samples\""), "{manifest}");
    let rows = Dataset::open(work.path("out")).tables().remove("steps").unwrap();
    assert_eq!(int64(&rows, "step_index"), (0..300).collect::<Vec<i64>>());
    assert_eq!(texts(&rows, "id")[299].as_deref(), Some("sample-0009"));
    assert_eq!(texts(&rows, "arguments")[1].as_deref(), Some(r#"{"speed":1}"#));
    assert_eq!(rows.column_by_name("late").unwrap().null_count(), 200);
    let refused = work.run(["convert", &samples(), "--out", "no", "--set", "source.mixed=refuse"]).exits(1);
    assert!(refused.stderr.contains("the field `arguments` is text in line 1"), "{}", refused.stderr);
}

#[test]
fn rows_are_dealt_to_splits() {
    let work = Work::new();
    work.run(["convert", &samples(), "--out", "out", "--split", "train=.8,val=.2"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    let index = dataset.table("index/episodes.parquet");
    let keys: Vec<String> = texts(&index, "episode_key").into_iter().flatten().collect();
    assert_eq!(keys, ["samples.jsonl@train", "samples.jsonl@val"]);
    assert_eq!(dataset.tables()["steps"].num_rows(), 300);
}

#[test]
fn broken_lines_are_refused_or_left_out_and_counted() {
    let work = Work::new();
    let broken = corpus::fixtures("jsonl").join("broken.jsonl").display().to_string();
    let refused = work.run(["convert", &broken, "--out", "no"]).exits(1);
    assert!(refused.stderr.contains("line 3"), "{}", refused.stderr);
    work.run(["convert", &broken, "--out", "out", "--on-error", "salvage"]).exits(3);
    work.run(["validate", "--deep", "out"]).exits(0);
    let rows = Dataset::open(work.path("out")).tables().remove("steps").unwrap();
    assert_eq!(int64(&rows, "a"), [1, 10]);
    let report = work.json("out/report.json");
    assert_eq!(report["streams"]["steps"]["written"], 2);
}

/// A list in JSON, and files that are packed, hold what the lines hold.
#[test]
fn lists_and_packed_files_are_the_same_rows() {
    let work = Work::new();
    let lines = std::fs::read_to_string(samples()).unwrap();
    let rows: Vec<&str> = lines.lines().filter(|it| !it.is_empty()).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    work.write("lines/a.jsonl", &lines);
    work.write("list/a.json", format!("[\n{}\n]\n", rows.join(",\n")));
    work.write("packed/a.jsonl.gz", packed.finish().unwrap());
    let rows_of = |source: &str| {
        let out = format!("{source}.out");
        work.run(["convert", source, "--out", &out]).exits(0);
        work.run(["validate", "--deep", &out]).exits(0);
        Dataset::open(work.path(&out)).tables().remove("steps").unwrap()
    };
    let expected = rows_of("lines");
    assert_eq!(rows_of("list"), expected);
    assert_eq!(rows_of("packed"), expected);
    work.write("one.json", "{\n \"data\": []\n}\n");
    let refused = work.run(["convert", "one.json", "--out", "no", "--from", "jsonl"]).exits(1);
    assert!(
        refused.stderr.contains("one JSON object") && refused.stderr.contains("jq -c"),
        "{}",
        refused.stderr
    );
}

pub(crate) fn picture(level: u8) -> Vec<u8> {
    let pixels = vec![level; 6 * 8 * 3];
    let dtype = nodedata_core::DType::UInt8;
    encode_png(&Decoded { height: 6, width: 8, channels: 3, dtype, pixels }).unwrap()
}

/// Files that rows name are inputs, with their hashes, and are in the dataset as media.
#[test]
fn files_that_rows_name_are_embedded() {
    let work = Work::new();
    let picture = picture(7);
    work.write("set/images/red.png", &picture);
    let text = "{\"image\": \"images/red.png\", \"id\": 1}\n{\"image\": \"images/red.png\", \"id\": 2}\n";
    work.write("set/train.jsonl", text);
    work.write("p.yaml", "version: 1\nsource: {path: set, format: jsonl, embed: {image: path}}\n");
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    let rows = dataset.tables().remove("steps").unwrap();
    let media = rows.column_by_name("image").unwrap().as_struct();
    assert_eq!(media.column(0).as_binary::<i32>().value(1), picture);
    assert_eq!(media.column(1).as_string::<i32>().value(1), "images/red.png");
    let inputs = dataset.manifest["inputs"].as_array().unwrap();
    let paths: Vec<&str> = inputs.iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["train.jsonl", "images/red.png"]);
    assert_eq!(
        (inputs[1]["bytes"].as_u64(), inputs[1]["b3"].as_str().map(str::len)),
        (Some(picture.len() as u64), Some(64))
    );
    assert_eq!(dataset.manifest["splits"]["train"]["rows"], 2);

    // By a flag it is the same; and where the file is another one, so are the rows.
    work.run(["convert", "set", "--out", "flag", "--embed", "image=path"]).exits(0);
    let flag = Dataset::open(work.path("flag"));
    assert_eq!(flag.manifest["content_root"], dataset.manifest["content_root"]);
    let again = work.run(["convert", "set", "--out", "flag", "--embed", "image=path"]).exits(0);
    assert!(again.stderr.is_empty() || !again.stderr.contains("error"), "{}", again.stderr);
    work.write("set/images/red.png", self::picture(8));
    work.run(["convert", "set", "--out", "flag", "--overwrite", "--embed", "image=path"]).exits(0);
    let changed = Dataset::open(work.path("flag"));
    assert_ne!(changed.manifest["content_root"], dataset.manifest["content_root"]);

    // Without, the text stays, and whoever looks is told.
    let looked = work.run(["inspect", "set"]).exits(0);
    assert!(looked.stdout.contains("looks like references"), "{}", looked.stdout);
    let proposed = work.run(["init", "set"]).exits(0);
    assert!(proposed.stdout.contains("#   embed: {image: path}"), "{}", proposed.stdout);
    // A file that is not there costs its row, with its address.
    work.write("set/train.jsonl", text.replace("red.png\", \"id\": 2", "blue.png\", \"id\": 2"));
    let refused = work.run(["convert", "set", "--out", "no", "--embed", "image=path"]).exits(1);
    let is_told = |told: &str| refused.stderr.contains(told);
    assert!(
        is_told("line 2, column") && is_told("images/blue.png") && is_told("source.missing=null"),
        "{}",
        refused.stderr
    );
    work.run(["convert", "set", "--out", "nulls", "--embed", "image=path", "--set", "source.missing=null"])
        .exits(0);
    let nulls = Dataset::open(work.path("nulls")).tables().remove("steps").unwrap();
    assert_eq!(nulls.column_by_name("image").unwrap().null_count(), 1);
    work.run(["convert", "set", "--out", "rest", "--embed", "image=path", "--on-error", "salvage"]).exits(3);
}

/// Chats whose content is sometimes text and sometimes parts: the text stays, and the pictures that parts name show as a list beside it.
#[test]
fn pictures_of_mixed_chats_show_beside_their_text() {
    let work = Work::new();
    work.write("set/a.png", picture(3));
    work.write("set/b.png", picture(5));
    let user = |content: &str| format!(r#"{{"messages": [{{"role": "user", "content": {content}}}]}}"#);
    let parts = r#"[{"type": "image", "image": "b.png"}, {"type": "text", "text": "?"}, {"type": "image", "image": "a.png"}]"#;
    work.write("set/train.jsonl", [user("\"hello\""), user(parts)].join("\n"));
    let looked = work.run(["inspect", "set"]).exits(0);
    assert!(looked.stdout.contains("`messages.content.image` looks like references"), "{}", looked.stdout);
    work.run(["convert", "set", "--out", "out", "--embed", "messages.content.image=path"]).exits(0);
    let validated = work.run(["validate", "--deep", "out", "--format", "json"]).exits(0).json();
    assert_eq!(validated["frames"], 2);
    let rows = Dataset::open(work.path("out")).tables().remove("steps").unwrap();
    let lists = rows.column_by_name("messages.content.image").unwrap().as_list::<i32>();
    assert_eq!(lists.offsets().lengths().collect::<Vec<_>>(), [0, 2]);
    let media = lists.values().as_struct();
    let bytes = media.column(0).as_binary::<i32>();
    assert_eq!((bytes.value(0), bytes.value(1)), (&picture(5)[..], &picture(3)[..]));
    assert_eq!(media.column(1).as_string::<i32>().value(0), "b.png");
    let content = rows.column_by_name("messages.content").unwrap().as_list::<i32>();
    let content = content.values().as_string::<i32>();
    assert_eq!(content.value(0), "\"hello\"");
    assert!(content.value(1).contains("b.png"), "{}", content.value(1));
    let told: serde_json::Value = serde_json::from_str(&rows.schema().metadata()["huggingface"]).unwrap();
    assert_eq!(
        told["info"]["features"]["messages.content.image"],
        serde_json::json!({"_type": "List", "feature": {"_type": "Image"}})
    );
}

/// Which split each row is in, by its id.
fn splits(work: &Work, out: &str) -> BTreeMap<i64, String> {
    let dataset = Dataset::open(work.path(out));
    let mut found = BTreeMap::new();
    for shard in dataset.manifest["shards"].as_array().unwrap() {
        let split = shard["split"].as_str().unwrap();
        let ids = int64(&dataset.table(shard["path"].as_str().unwrap()), "id");
        found.extend(ids.into_iter().map(|it| (it, split.to_owned())));
    }
    found
}

/// 20,000 rows; a million with `NODEDATA_TEST_LONG`.
#[test]
fn rows_that_are_appended_move_none() {
    let is_long = std::env::var_os("NODEDATA_TEST_LONG").is_some_and(|it| it != "0");
    let n_rows: i64 = if is_long { 1_000_000 } else { 20_000 };
    let lines = |ids: std::ops::Range<i64>| {
        ids.map(|it| format!("{{\"id\": {it}, \"text\": \"row {}\"}}\n", it * 7)).collect::<String>()
    };
    let work = Work::new();
    let convert = |more: &[&str]| {
        let args =
            ["convert", "rows.jsonl", "--out", "out", "--split", "train=0.9,val=0.1", "--shard-mb", "1"];
        work.run(args.iter().chain(more)).exits(0);
        splits(&work, "out")
    };
    work.write("rows.jsonl", lines(0..n_rows));
    let before = convert(&[]);
    assert_eq!(before.len() as i64, n_rows);
    let n_val = before.values().filter(|it| *it == "val").count() as i64;
    assert!((n_rows / 11..n_rows / 9).contains(&n_val), "{n_val}");
    work.write("rows.jsonl", lines(0..n_rows + n_rows / 10));
    let after = convert(&["--overwrite"]);
    assert_eq!(after.len() as i64, n_rows + n_rows / 10);
    assert!(before.iter().all(|(id, split)| after[id] == *split), "a row moved");
}

/// JSON Lines, which counts the bytes that are read while it is opened.
struct Counting {
    inner: &'static dyn Format,
    n_read: Arc<AtomicU64>,
    opened: Mutex<Vec<u64>>,
}

struct CountedFiles(Arc<dyn Files>, Arc<AtomicU64>);

struct CountedFile(Arc<dyn ReadAt>, Arc<AtomicU64>);

impl Format for Counting {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn about(&self) -> &'static str {
        self.inner.about()
    }

    fn options(&self) -> &'static [OptionKey] {
        self.inner.options()
    }

    fn embeds(&self) -> bool {
        self.inner.embeds()
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        self.inner.detect(listing)
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let before = self.n_read.load(Ordering::Relaxed);
        let counted = Arc::new(CountedFiles(files, Arc::clone(&self.n_read)));
        let opened = self.inner.open(counted, options)?;
        self.opened.lock().unwrap().push(self.n_read.load(Ordering::Relaxed) - before);
        Ok(opened)
    }
}

impl Files for CountedFiles {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.0.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(CountedFile(self.0.open(path)?, Arc::clone(&self.1))))
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        self.0.stamp(path)
    }
}

impl ReadAt for CountedFile {
    fn n_bytes(&self) -> u64 {
        self.0.n_bytes()
    }

    fn read_at(&self, range: std::ops::Range<u64>) -> Result<Bytes> {
        self.1.fetch_add(range.end - range.start, Ordering::Relaxed);
        self.0.read_at(range)
    }
}

/// Types are learned where the work is planned: workers and the end read rows alone, of files that rows name as well.
#[test]
fn workers_read_nothing_for_types() {
    let scratch = Work::new();
    let text: String = (0..20_000).map(|it| format!("{{\"id\": {it}, \"f\": \"x.bin\"}}\n")).collect();
    scratch.write("set/rows.jsonl", &text);
    scratch.write("set/x.bin", "bytes");
    let counting: &'static Counting = Box::leak(Box::new(Counting {
        inner: nodedata_formats::builtin().by_name("jsonl").unwrap(),
        n_read: Arc::default(),
        opened: Mutex::default(),
    }));
    let formats = Formats::default().with(counting);
    let opened = || std::mem::take(&mut *counting.opened.lock().unwrap());
    let source = scratch.path("set").display().to_string();
    let mut options = ConvertOptions {
        splits: parse_splits("train=0.9,val=0.1").unwrap(),
        shard_bytes: 100_000,
        ..ConvertOptions::new(&source, scratch.path("out"))
    };
    options.open.partition_bytes = 20_000;
    options.open.embed.insert("f".to_owned(), nodedata_core::Reference::Path);
    let planned = plan(&formats, &options, serde_json::Value::Null).unwrap();
    let [n_read] = opened()[..] else { panic!("opened once") };
    assert!(text.len() as u64 <= n_read, "{n_read}");
    assert!(3 <= planned.units.len(), "{}", planned.units.len());
    for index in 0..3 {
        let worked = work(&formats, &options, &planned, Share { index, of: 3 }, &Silent).unwrap();
        assert!(0 < worked.made, "{worked:?}");
    }
    let converted = finish(&formats, &options, &planned, &Silent).unwrap();
    assert_eq!(converted.report.units_reused as usize, planned.units.len());
    let opened = opened();
    assert!(opened.len() == 4 && opened.iter().all(|it| *it == 0), "{opened:?}");
    let rows = Dataset::open(scratch.path("out")).tables().remove("steps").unwrap();
    assert_eq!(rows.num_rows(), 20_000);
}
