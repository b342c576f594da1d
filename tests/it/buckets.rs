//! Sources in a bucket: what is fetched of them.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch};
use nodedata_testkit::corpus;
use parquet::arrow::ArrowWriter;

use crate::{
    command::{Work, for_each},
    rlds_damage::built::{self, Value, entries, example, framed},
    tables::differing,
    web::Web,
};

/// An RLDS set whose episodes have two texts of so many bytes; its files by name.
fn set(n_episodes: i64, text_bytes: usize) -> Vec<(String, Vec<u8>)> {
    let record = |id: i64| {
        let mut of_episode = entries(id, 2);
        of_episode.retain(|it| it.0 != "steps/language_instruction");
        let texts = [0, 1].map(|step| format!("{id}{step}").repeat(text_bytes / 2).into_bytes());
        of_episode.push(("steps/language_instruction", Value::Texts(texts.into())));
        framed(&example(&of_episode))
    };
    let shard: Vec<u8> = (0..n_episodes).flat_map(record).collect();
    let info = format!(
        r#"{{"name": "arm", "version": "1.2.0", "fileFormat": "tfrecord", "splits": [{{"name": "train", "shardLengths": ["{n_episodes}"]}}]}}"#
    );
    let files = [
        ("arm-train.tfrecord-00000-of-00001", shard),
        ("dataset_info.json", info.into_bytes()),
        ("features.json", built::FEATURES.into()),
    ];
    files.map(|(name, bytes)| (format!("arm/1.2.0/{name}"), bytes)).into()
}

/// Converts a set from disk and from a bucket, into the same dataset; the requests of the latter, what they fetched, and of how much.
fn converted(files: &[(String, Vec<u8>)], more: &[&str]) -> (Vec<String>, u64, u64) {
    let work = Work::new();
    for (name, bytes) in files {
        work.write(&format!("src/{name}"), bytes);
    }
    let web = Web::new(files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())));
    let convert = |source: &'static str, out: &'static str| {
        ["convert", source, "--out", out].into_iter().chain(more.iter().copied()).collect::<Vec<&str>>()
    };
    work.run(convert("src", "near")).exits(0);
    let variables = [
        ("AWS_ENDPOINT", web.url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_SKIP_SIGNATURE", "true"),
        ("AWS_REGION", "us-east-1"),
    ];
    work.run_with(&variables, convert("s3://bucket", "far")).exits(0);
    assert_same(&work);
    (web.asked(), web.fetched(), files.iter().map(|it| it.1.len() as u64).sum())
}

/// What was learned of rows is noted with the stamps of the files, which are those of where they lie.
#[track_caller]
fn assert_same(work: &Work) {
    let other = differing(&work.path("near"), &work.path("far"));
    assert!(other.iter().all(|it| it == "report.json" || it == ".units/note.json"), "{other:?}");
}

/// Framing, rows and the hash of the input take each byte of a record from the one request that it came with: of records that are alone, of
/// those that lie close together, and of one that is cut.
#[test]
fn an_rlds_set_is_fetched_once() {
    for (n_episodes, text_bytes, requests_max) in [
        // 16 KiB a record, and more than is fetched at once.
        (640, 8 << 10, 24),
        // 100 KiB.
        (120, 50 << 10, 24),
        (30, 60 << 10, 24),
        (12, 300 << 10, 60),
        // 1 MiB.
        (12, 512 << 10, 60),
        // 34 MiB, in pieces of a step.
        (1, 17 << 20, 80),
    ] {
        let (asked, fetched, n_bytes) = converted(&set(n_episodes, text_bytes), &[]);
        let told = format!("{n_episodes} of {text_bytes}: {fetched} of {n_bytes}: {asked:?}");
        assert!(n_bytes <= fetched && fetched <= n_bytes + n_bytes / 10, "{told}");
        assert!(asked.len() <= requests_max, "{} requests, {told}", asked.len());
    }
}

/// Several units prove their bytes on the way, and several files are brought one beside the other.
#[test]
fn records_that_lie_close_together_are_fetched_once_for_all_units() {
    let mut files = set(200, 20 << 10);
    let (name, shard) = files.remove(0);
    files.retain(|it| !it.0.ends_with("dataset_info.json"));
    for idx in 0..3 {
        files.push((name.replace("00000-of-00001", &format!("{idx:05}-of-00003")), shard.clone()));
    }
    let (asked, fetched, n_bytes) = converted(&files, &["--shard-mb", "3"]);
    assert!(n_bytes <= fetched && fetched <= n_bytes + n_bytes / 10, "{fetched} of {n_bytes}: {asked:?}");
    assert!(asked.len() <= 60, "{asked:?}");
}

/// What tells the splits of episodes is read before any row is: from where all of the file is kept then.
#[test]
fn records_that_are_read_twice_are_fetched_once() {
    let (asked, fetched, n_bytes) =
        converted(&set(8, 300 << 10), &["--set", "source.episode_key=episode_metadata.id"]);
    assert!(n_bytes <= fetched && fetched <= n_bytes + n_bytes / 10, "{fetched} of {n_bytes}: {asked:?}");
    assert!(asked.len() <= 24, "{asked:?}");
}

/// More row groups than are kept unpacked, each of which is looked into before its rows are read.
#[test]
fn row_groups_that_are_read_twice_are_fetched_once() {
    let record = |id: i64| {
        let mut of_episode = entries(id, 2);
        of_episode.retain(|it| it.0 != "steps/language_instruction");
        let texts = [0, 1].map(|step| format!("{id}{step}").repeat(3 << 20).into_bytes());
        of_episode.push(("steps/language_instruction", Value::Texts(texts.into())));
        example(&of_episode)
    };
    let shard = |idx: i64| {
        let column = BinaryArray::from_iter_values([record(2 * idx), record(2 * idx + 1)]);
        let table = RecordBatch::try_from_iter([("data", Arc::new(column) as ArrayRef)]).unwrap();
        let mut out = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut out, table.schema(), None).unwrap();
        writer.write(&table).unwrap();
        writer.close().unwrap();
        (format!("arm-train.parquet-{idx:05}-of-00004"), out)
    };
    let info = r#"{"name": "arm", "fileFormat": "parquet", "splits": [{"name": "train", "shardLengths": ["2", "2", "2", "2"]}]}"#;
    let mut files: Vec<(String, Vec<u8>)> = (0..4).map(shard).collect();
    files.push(("dataset_info.json".to_owned(), info.into()));
    files.push(("features.json".to_owned(), built::FEATURES.into()));
    let files: Vec<_> = files.into_iter().map(|(name, bytes)| (format!("arm/1.2.0/{name}"), bytes)).collect();
    let (asked, fetched, n_bytes) = converted(&files, &["--set", "source.episode_key=episode_metadata.id"]);
    assert!(96 << 20 <= n_bytes, "{n_bytes}");
    assert!(n_bytes <= fetched && fetched <= n_bytes + n_bytes / 10, "{fetched} of {n_bytes}: {asked:?}");
}

/// Bags are read by range where they lie: what is fetched is little more than they hold, and the same datasets come of it.
#[test]
fn bags_are_read_where_they_lie() {
    let Some(corpus) = corpus::folder("logs") else { return };
    let bags = [
        "rosbag2/v8_sqlite_defs",
        "rosbag2/v3_schema1",
        "rosbag2/v9_sqlite_zstd_file",
        "rosbag1/ros1_none.bag",
    ];
    for_each(&bags, |bag| {
        let path = corpus.join(bag);
        let files = if path.is_dir() { corpus::files(&path, "") } else { vec![path] };
        let named: Vec<(String, Vec<u8>)> = files
            .iter()
            .map(|it| {
                (format!("bag/{}", it.file_name().unwrap().to_string_lossy()), std::fs::read(it).unwrap())
            })
            .collect();
        let n_bytes: u64 = named.iter().map(|it| it.1.len() as u64).sum();
        let work = Work::new();
        for (name, bytes) in &named {
            work.write(&format!("src/{name}"), bytes);
        }
        let web = Web::new(named.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())));
        let near = work.run(["convert", "src", "--out", "near"]);
        let variables = [
            ("AWS_ENDPOINT", web.url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_SKIP_SIGNATURE", "true"),
            ("AWS_REGION", "us-east-1"),
        ];
        work.run_with(&variables, ["convert", "s3://bucket", "--out", "far"]).exits(near.code);
        let fetched = web.fetched();
        // Pages and chunks lie in blocks, which are fetched as a whole: twice at most, once for rows and once for definitions.
        assert!(fetched <= 2 * n_bytes, "{bag}: {fetched} of {n_bytes}: {:?}", web.asked());
        assert_same(&work);
    });
}

/// Files that rows name are embedded from a bucket as from a disk.
#[test]
fn files_that_rows_name_are_fetched_as_well() {
    let row = |it: usize| format!("{{\"image\": \"images/{}.png\", \"id\": {it}}}\n", it % 7);
    let rows: String = (0..40).map(row).collect();
    let picture = |it: usize| (format!("set/images/{it}.png"), vec![it as u8; 3000 + it]);
    let mut files: Vec<(String, Vec<u8>)> = (0..7).map(picture).collect();
    files.push(("set/rows.jsonl".to_owned(), rows.into_bytes()));
    converted(&files, &["--embed", "image=path"]);
}
