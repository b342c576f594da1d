//! JSON Lines from end to end.

use arrow_array::Array as _;
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
    let refused =
        work.run(["convert", &samples(), "--out", "no", "--set", "source.on_conflict=fail"]).exits(1);
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
