//! LeRobot datasets of kinds that users reported: the right answer stands beside each in `../shared/corpora`. And what is
//! left in `meta/` beside the tables that every dataset has.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow_array::{
    ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray, cast::AsArray as _, types::Float32Type,
};
use nodedata_testkit::{
    corpus,
    lerobot::{Base, Defect, Folder, json_of, row_picked, with_column},
};
use serde_json::{Value, json};

use crate::{
    command::{Work, for_each},
    tables::{Dataset, int64, texts},
};

/// A dataset, how converting it ends, what is repaired how often, and what else is right.
type Case = (&'static str, i32, &'static [(&'static str, usize)], fn(&Given));

/// What a conversion gave.
struct Given {
    source: PathBuf,
    dataset: Dataset,
    rows: RecordBatch,
    schema: Value,
    report: Value,
}

const CASES: [Case; 8] = [
    ("24_phantom", 3, &[("camera-without-video", 1)], phantom),
    ("01_epfooter", 3, &[("episodes-rebuilt", 1)], cut_episodes),
    ("13_mixedver", 3, &[("wrong-version", 1)], other_version),
    ("26_permuted", 3, &[("rows-out-of-order", 4)], permuted),
    ("02_blankline", 0, &[], three_episodes),
    ("03_taskshift", 3, &[("task-mismatch", 2)], other_tasks),
    ("meta_files_dropped", 0, &[], modality),
    ("names_nested", 0, &[], nested_names),
];

#[test]
fn reported_datasets_give_the_right_answer() {
    let Some(folder) = corpus::folder("reported/lerobot") else { return };
    for_each(&CASES, |(name, code, repairs, check)| {
        let work = Work::new();
        let source = folder.join(name);
        let path = source.to_str().unwrap();
        let ran = work.run(["convert", path, "--out", "out"]);
        assert_eq!(ran.code, *code, "{name}: {}", ran.stderr);
        work.run(["inspect", path]).exits(*code);
        work.run(["validate", "--deep", "out"]).exits(0);
        let dataset = Dataset::open(work.path("out"));
        let rows = dataset.tables().remove("steps").unwrap();
        let (schema, report) = (work.json("out/schema.json"), work.json("out/report.json"));
        assert_eq!(report["damage"], Value::Null, "{name}");
        assert_eq!(counted(&report), repairs.iter().copied().collect(), "{name}: {report}");
        check(&Given { source, dataset, rows, schema, report });
    });
}

/// Repairs by reason.
fn counted(report: &Value) -> BTreeMap<&str, usize> {
    let mut counted = BTreeMap::new();
    for entry in report["repairs"].as_array().into_iter().flatten() {
        *counted.entry(entry["reason"].as_str().unwrap()).or_default() += 1;
    }
    counted
}

/// Rows of each episode.
fn lengths(rows: &RecordBatch) -> Vec<usize> {
    let mut lengths: BTreeMap<i64, usize> = BTreeMap::new();
    for episode in int64(rows, "episode_index") {
        *lengths.entry(episode).or_default() += 1;
    }
    lengths.into_values().collect()
}

fn three_episodes(given: &Given) {
    assert_eq!(lengths(&given.rows), [12, 9, 15]);
}

fn phantom(given: &Given) {
    three_episodes(given);
    assert!(given.rows.column_by_name("observation.images.top").is_some());
    assert!(given.rows.column_by_name("observation.images.gone").is_none());
    let path = given.source.to_str().unwrap();
    let work = Work::new();
    for (topics, code) in [
        (&["observation.state"][..], 0),
        (&["action", "observation.images.top"][..], 0),
        (&["action", "observation.images.gone"][..], 3),
    ] {
        let flags = topics.iter().flat_map(|it| ["--topic", *it]);
        work.run(["convert", path, "--out", "out", "--overwrite"].into_iter().chain(flags)).exits(code);
        assert_eq!(lengths(&Dataset::open(work.path("out")).tables()["steps"]), [12, 9, 15], "{topics:?}");
    }
}

fn cut_episodes(given: &Given) {
    assert_eq!(lengths(&given.rows), [12, 9, 15, 8]);
    let videos = given.dataset.table("index/video.parquet");
    let first = videos.column_by_name("first_frame").unwrap();
    let first: Vec<Value> = (0..4).map(|it| json_of(first, it)).collect();
    assert_eq!(first, [0, 12, 21, 36]);
    let index = given.dataset.table("index/episodes.parquet");
    for (row, task) in texts(&index, "task").into_iter().enumerate() {
        assert_eq!(task, texts(&given.rows, "task")[[0, 12, 21, 36][row]], "task of episode {row}");
    }
}

fn other_version(given: &Given) {
    three_episodes(given);
    assert_eq!(given.dataset.streams()[0]["metadata"]["codebase_version"], "v2.1");
}

/// Every row has the values that the source has at the same `index`.
fn permuted(given: &Given) {
    assert_eq!(lengths(&given.rows), [12, 9, 15, 8]);
    let source = Dataset { root: given.source.clone(), manifest: Value::Null };
    let source = source.table("data/chunk-000/file-000.parquet");
    let numbers = int64(&source, "index");
    assert_eq!(int64(&given.rows, "index"), (0..44).collect::<Vec<_>>());
    for row in 0..44 {
        let from = numbers.iter().position(|it| *it == row as i64).unwrap();
        for name in ["observation.state", "action", "timestamp", "frame_index", "task_index"] {
            let [found, wanted] = [(&given.rows, row), (&source, from)]
                .map(|(it, row)| json_of(it.column_by_name(name).unwrap(), row));
            assert_eq!(found, wanted, "{name} of row {row}");
        }
    }
}

/// The rows say which task it is, in the index as in the column.
fn other_tasks(given: &Given) {
    three_episodes(given);
    let index = given.dataset.table("index/episodes.parquet");
    let tasks = texts(&index, "task");
    assert_eq!(tasks.iter().flatten().collect::<Vec<_>>(), ["pick", "place", "pick"]);
    let of_rows = texts(&given.rows, "task");
    for (row, episode) in int64(&given.rows, "episode_index").into_iter().enumerate() {
        assert_eq!(of_rows[row], tasks[episode as usize], "row {row}");
        let told = &crate::lerobot::metadata_of(&index, episode as usize)["tasks"];
        assert_eq!(told, &json!([of_rows[row]]).to_string());
    }
    let at: Vec<&str> =
        given.report["repairs"].as_array().unwrap().iter().map(|it| it["at"].as_str().unwrap()).collect();
    assert_eq!(at, ["meta/episodes.jsonl, episode 0", "meta/episodes.jsonl, episode 1"]);
}

fn modality(given: &Given) {
    three_episodes(given);
    let kept: Value =
        serde_json::from_str(given.dataset.streams()[0]["metadata"]["lerobot:modality"].as_str().unwrap())
            .unwrap();
    assert_eq!(kept["video"]["top"]["original_key"], "observation.images.top");
    assert_eq!(slices(&given.rows, "observation.state"), json!({"arm": [0, 2], "gripper": [2, 3]}));
    assert_eq!(slices(&given.rows, "action"), json!({"arm": [0, 1]}));
    // A name of its own is what an element is called by.
    assert_eq!(given.schema["fields"]["observation.state"]["names"], json!(["a", "b", "c"]));
    assert!(!given.report["not_read"].to_string().contains("modality"), "{}", given.report["not_read"]);
}

fn slices(rows: &RecordBatch, name: &str) -> Value {
    let schema = rows.schema();
    serde_json::from_str(&schema.field_with_name(name).unwrap().metadata()["lerobot:slices"]).unwrap()
}

fn nested_names(given: &Given) {
    let letters = json!(["a", "b", "c", "d", "e", "f"]);
    for name in ["action", "observation.state"] {
        assert_eq!(given.schema["fields"][name]["names"], letters, "{name}");
    }
}

/// Converts a folder, and returns its steps.
#[track_caller]
fn converted(work: &Work, folder: &Folder, code: i32) -> RecordBatch {
    folder.write(&work.path("src"));
    work.run(["convert", "src", "--out", "out"]).exits(code);
    work.run(["validate", "--deep", "out"]).exits(0);
    Dataset::open(work.path("out")).tables().remove("steps").unwrap()
}

/// Elements without names of their own are called by the slices that cover them.
#[test]
fn slices_name_elements_without_names() {
    let mut folder = Base::Joined.folder();
    let n = folder.json("meta/info.json")["features"]["action"]["shape"][0].as_u64().unwrap();
    folder.edit_json("meta/info.json", |it| it["features"]["action"]["names"] = Value::Null);
    let action = json!({"hand": {"start": n - 1, "end": n}, "arm": {"start": 0, "end": n - 1}});
    folder.put("meta/modality.json", json!({"action": action}).to_string());
    let work = Work::new();
    converted(&work, &folder, 0);
    let mut names: Vec<String> = (0..n - 1).map(|it| format!("arm.{it}")).collect();
    names.push("hand".to_owned());
    assert_eq!(work.json("out/schema.json")["fields"]["action"]["names"], json!(names));
    // One that says what is not so is named, and nobody is to cut a feature by it.
    folder.edit_json("meta/modality.json", |it| it["action"]["arm"]["end"] = json!(n + 5));
    let work = Work::new();
    let rows = converted(&work, &folder, 3);
    assert_eq!(slices(&rows, "action"), json!({"hand": [n - 1, n]}));
    assert_eq!(counted(&work.json("out/report.json")), BTreeMap::from([("modality", 1)]));
}

#[test]
fn subtasks_are_a_text_of_each_row() {
    let mut folder = Base::Images.folder();
    folder.edit_table("data/chunk-000/file-000.parquet", |rows| {
        let indices: ArrayRef = Arc::new(Int64Array::from_iter_values((0..36).map(|it| it / 9)));
        with_column(&rows, "subtask_index", indices)
    });
    let names = ["reach", "grasp", "lift"];
    let table = [
        ("subtask_index", Arc::new(Int64Array::from(vec![0, 1, 2])) as ArrayRef),
        ("subtask", Arc::new(StringArray::from(names.to_vec())) as ArrayRef),
    ];
    folder.put_table("meta/subtasks.parquet", &RecordBatch::try_from_iter(table).unwrap());
    let work = Work::new();
    let rows = converted(&work, &folder, 0);
    let wanted: Vec<Option<String>> =
        (0..36).map(|it| names.get(it / 9).map(|it| (*it).to_owned())).collect();
    assert_eq!(texts(&rows, "subtask"), wanted);
    assert_eq!(work.json("out/report.json")["not_read"], Value::Null);
}

/// What nobody knows the meaning of is carried as it is.
#[test]
fn other_files_of_the_metadata_are_attachments() {
    let mut folder = Base::Joined.folder();
    folder.put("meta/embodiment.json", r#"{"arms":2}"#);
    folder.put("meta/notes/day.md", "# Rain");
    folder.put("meta/.cache/x", "leftover");
    let work = Work::new();
    converted(&work, &folder, 0);
    let table = Dataset::open(work.path("out")).table("index/attachments.parquet");
    let names: Vec<String> = texts(&table, "name").into_iter().flatten().collect();
    assert_eq!(names, ["meta/embodiment.json", "meta/notes/day.md"]);
    let paths: Vec<String> = texts(&table, "path").into_iter().flatten().collect();
    for (name, path) in names.iter().zip(paths) {
        assert_eq!(std::fs::read(work.path("out").join(path)).unwrap(), folder.bytes(name), "{name}");
    }
}

#[test]
fn what_is_large_below_meta_is_named_and_not_carried() {
    let mut folder = Base::Joined.folder();
    folder.put("meta/large", vec![0u8; (16 << 20) + 1]);
    let work = Work::new();
    converted(&work, &folder, 0);
    let report = work.json("out/report.json");
    let first = report["not_read"]["first"].as_array().unwrap();
    assert!(first.iter().any(|it| it["path"] == "meta/large"), "{report}");
}

#[test]
fn paths_that_no_file_has_are_put_right() {
    let mut folder = Base::Joined.folder();
    folder.edit_json("meta/info.json", |it| {
        it["data_path"] = json!("rows/{chunk_index}/{file_index}.parquet");
        it["video_path"] = json!("clips/{video_key}/{chunk_index}/{file_index}.mp4");
    });
    let work = Work::new();
    let rows = converted(&work, &folder, 3);
    assert_eq!(lengths(&rows), [11, 12, 13]);
    let report = work.json("out/report.json");
    assert_eq!(counted(&report), BTreeMap::from([("wrong-data-path", 1), ("wrong-video-path", 1)]));
}

/// Editors put a mark before text that JSON does not know.
#[test]
fn marks_before_text_are_no_part_of_it() {
    let mut folder = Base::Apart.folder();
    for name in ["meta/info.json", "meta/episodes.jsonl", "meta/tasks.jsonl"] {
        let marked = [b"\xef\xbb\xbf".as_slice(), folder.bytes(name)].concat();
        folder.put(name, marked);
    }
    assert_eq!(lengths(&converted(&Work::new(), &folder, 0)), [11, 12, 13]);
}

/// A table of lines without any is named by its own name.
#[test]
fn a_table_without_rows_is_named_where_it_lies() {
    let mut folder = Base::Apart.folder();
    folder.put("meta/episodes.jsonl", "");
    let work = Work::new();
    assert_eq!(lengths(&converted(&work, &folder, 3)), [11, 12, 13]);
    let report = work.json("out/report.json");
    assert_eq!(counted(&report), BTreeMap::from([("episodes-rebuilt", 1)]));
    assert_eq!(report["repairs"][0]["at"], "meta/episodes.jsonl");
}

/// Of two rows of the table for one episode, the one with the length of its rows counts, whichever is first.
#[test]
fn the_row_of_the_table_that_fits_counts() {
    let table = "meta/episodes/chunk-000/file-000.parquet";
    for wrong in [1, 2] {
        let mut folder = Defect::ListedTwice.copy();
        folder.set_int(table, "length", wrong, Some(99));
        let work = Work::new();
        assert_eq!(lengths(&converted(&work, &folder, 3)), [11, 12, 13], "{wrong}");
        let repairs = work.json("out/report.json");
        assert_eq!(counted(&repairs), BTreeMap::from([("episode-listed-twice", 1)]), "{wrong}");
    }
}

/// The rows of an episode that is not in its file are counted as lost, whatever else is wrong in the file.
#[test]
fn rows_that_are_missing_count_beside_other_damage() {
    let mut folder = Defect::RowRepeated.copy();
    folder.edit_table("data/chunk-000/file-000.parquet", |rows| row_picked(&rows, 0..23));
    let work = Work::new();
    folder.write(&work.path("src"));
    work.run(["convert", "src", "--out", "out", "--on-error", "salvage"]).exits(3);
    let report = work.json("out/report.json");
    let steps = &report["streams"]["steps"];
    assert_eq!((&steps["read"], &steps["written"]), (&json!(36), &json!(11)), "{report}");
}

/// Who wants numbers needs no video, and still learns which of two lengths is right.
#[test]
fn only_selected_cameras_are_needed() {
    for (defect, code) in [(Defect::CutVideo, 0), (Defect::NoVideo, 0), (Defect::StaleLength, 3)] {
        let work = Work::new();
        defect.copy().write(&work.path("src"));
        work.run(["convert", "src", "--out", "out", "--topic", "observation.state"]).exits(code);
        let rows = Dataset::open(work.path("out")).tables().remove("steps").unwrap();
        assert_eq!(lengths(&rows), [11, 12, 13], "{defect:?}");
        let report = work.json("out/report.json");
        let repairs = if code == 3 { BTreeMap::from([("stale-length", 1)]) } else { BTreeMap::new() };
        assert_eq!(counted(&report), repairs, "{defect:?}");
    }
}

#[test]
fn a_feature_that_no_file_has_is_named() {
    let mut folder = Base::Joined.folder();
    folder.edit_json("meta/info.json", |it| {
        it["features"]["observation.ghost"] = json!({"dtype": "float32", "shape": [2], "names": null});
    });
    let work = Work::new();
    let rows = converted(&work, &folder, 3);
    assert!(rows.column_by_name("observation.ghost").is_none());
    let report = work.json("out/report.json");
    assert_eq!(counted(&report), BTreeMap::from([("feature-without-values", 1)]));
    work.run(["convert", "src", "--out", "some", "--topic", "action"]).exits(0);
}

/// What is kept is not said to be put right, and a salvage is advised where it leaves anything.
#[test]
fn messages_say_what_became_of_it() {
    let work = Work::new();
    let mut folder = Base::Joined.folder();
    folder.edit_table("data/chunk-000/file-000.parquet", |rows| {
        let times = rows.column_by_name("timestamp").unwrap().as_primitive::<Float32Type>();
        let mut times = times.values().to_vec();
        times[14] = 3e38;
        with_column(&rows, "timestamp", Arc::new(Float32Array::from(times)))
    });
    folder.write(&work.path("far"));
    let told = work.run(["validate", "far"]).exits(3).stdout;
    let longest = told.split(|it: char| !it.is_ascii_digit()).map(str::len).max().unwrap();
    assert!(told.contains("timestamp-off-grid: `timestamp` is ") && longest <= 17, "{told}");
    Defect::TimestampOffGrid.copy().write(&work.path("near"));
    let told = work.run(["convert", "near", "--out", "out"]).exits(3).stderr;
    assert!(told.contains("it is kept") && !told.contains("put right"), "{told}");
    for (defect, is_advised) in [(Defect::OverlappingWindows, false), (Defect::NoVideo, true)] {
        let work = Work::new();
        defect.copy().write(&work.path("src"));
        let told = work.run(["convert", "src", "--out", "out"]).exits(1).stderr;
        assert_eq!(told.contains("--on-error salvage"), is_advised, "{defect:?}: {told}");
        assert!(told.contains("\nhint: "), "{defect:?}: {told}");
    }
}
