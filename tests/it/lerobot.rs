//! LeRobot datasets against what the official reader returns for them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow_array::{
    Array as _, ArrayRef, RecordBatch,
    cast::AsArray as _,
    types::{Float32Type, UInt64Type},
};
use nodedata_media::decode_image;
use nodedata_testkit::{
    corpus,
    lerobot::{EpisodeTruth, LeRobotTruth, ValueTruth, array_sha, json_of},
};
use serde_json::{Value, json};

use crate::{
    command::{Work, for_each},
    tables::{Dataset, int64, texts},
};

/// A dataset, and what the official reader returns for it.
#[derive(Debug)]
struct Case {
    name: String,
    root: PathBuf,
    truth: LeRobotTruth,
}

#[test]
fn fixtures_say_what_the_official_reader_says() {
    for_each(&cases(&corpus::fixtures("lerobot"), |name| format!("{name}.truth.json")), check);
}

#[test]
fn corpus_says_what_the_official_reader_says() {
    let Some(folder) = corpus::folder("episodes/lerobot") else { return };
    let cases = cases(&folder, |name| format!("../truth/lerobot_{name}.json"));
    assert!(11 <= cases.len(), "{cases:?}");
    for_each(&cases, check);
}

fn cases(folder: &Path, truth: impl Fn(&str) -> String) -> Vec<Case> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap())
        .filter(|it| it.path().join("meta/info.json").is_file())
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    assert!(3 <= names.len(), "{names:?}");
    let case = |name: String| Case {
        root: folder.join(&name),
        truth: LeRobotTruth::load(&folder.join(truth(&name))),
        name,
    };
    names.into_iter().map(case).collect()
}

fn check(case: &Case) {
    let work = Work::new();
    let root = case.root.to_str().unwrap();
    work.run(["convert", root, "--out", "coded"]).exits(0);
    let validated = work.run(["validate", "--deep", "coded", "--format", "json"]).exits(0).json();
    assert_eq!(validated["rows"], case.truth.total_frames, "{}", case.name);
    let coded = Dataset::open(work.path("coded"));
    let rows = &coded.tables()["steps"];
    check_episodes(case, &coded, rows);
    check_values(case, rows);
    check_schema(case, &coded, &work.json("coded/schema.json"), rows);
    check_metadata(case, &coded);
    check_videos(case, &coded, rows);
    for encoding in ["png", "raw"] {
        let out = format!("as-{encoding}");
        work.run(["convert", root, "--out", &out, "--decode", &format!("*={encoding}")]).exits(0);
        work.run(["validate", "--deep", &out]).exits(0);
        let decoded = Dataset::open(work.path(&out)).tables().remove("steps").unwrap();
        check_frames(case, &decoded);
    }
}

/// Lengths, order, and where the episodes table says each lies.
fn check_episodes(case: &Case, dataset: &Dataset, rows: &RecordBatch) {
    let name = &case.name;
    assert_eq!(rows.num_rows() as u64, case.truth.total_frames, "{name}: rows");
    let wanted =
        case.truth.episodes.iter().flat_map(|it| (0..it.length).map(|step| (it.episode_index, step)));
    let wanted: Vec<(i64, i64)> = wanted.map(|(episode, step)| (episode, step as i64)).collect();
    let found: Vec<(i64, i64)> =
        int64(rows, "episode_index").into_iter().zip(int64(rows, "step_index")).collect();
    assert_eq!(found, wanted, "{name}: episodes and steps");
    let index = dataset.table("index/episodes.parquet");
    let lengths = index.column_by_name("rows").unwrap().as_primitive::<UInt64Type>().values().to_vec();
    let truth: Vec<u64> = case.truth.episodes.iter().map(|it| it.length).collect();
    assert_eq!(lengths, truth, "{name}: lengths");
    for (row, episode) in case.truth.episodes.iter().enumerate() {
        // One task is the episode's; of several there is no first.
        let only = episode.tasks_in_order.first().filter(|_| episode.tasks_in_order.len() == 1);
        assert_eq!(texts(&index, "task")[row].as_ref(), only, "{name}: task of episode {row}");
        let key = format!("episode_{:06}", episode.episode_index);
        assert_eq!(texts(&index, "episode_key")[row], Some(key), "{name}");
    }
}

/// First and last step of every episode, its tasks, its times, and all of its states.
fn check_values(case: &Case, rows: &RecordBatch) {
    for episode in &case.truth.episodes {
        let at = format!("{}, episode {}", case.name, episode.episode_index);
        let steps = rows.slice(episode.from, episode.to - episode.from);
        let last = steps.num_rows() - 1;
        for (row, truth) in [(0, &episode.first), (last, &episode.last)] {
            let mut n_compared = 0;
            for (name, value) in truth {
                let column = steps.column_by_name(name).unwrap_or_else(|| panic!("{at}: no column {name}"));
                match ValueTruth::of(value) {
                    None => assert_eq!(&json_of(column, row), value, "{at}, row {row}: {name}"),
                    // Frames are compared where they are decoded.
                    Some(truth) if !truth.sha256.is_empty() => continue,
                    Some(truth) => assert_eq!(truth.difference(column, row), None, "{at}, row {row}: {name}"),
                }
                n_compared += 1;
            }
            assert_eq!(n_compared + case.truth.cameras().count(), truth.len(), "{at}");
            // `task` is no feature of the dataset, but a text the reader looks up.
            assert_eq!(truth.len(), case.truth.features.len() + 1, "{at}: values of every feature");
        }
        check_times(case, &at, episode, &steps);
        let mut tasks: Vec<String> = texts(&steps, "task").into_iter().map(Option::unwrap).collect();
        tasks.dedup();
        assert_eq!(tasks, episode.tasks_in_order, "{at}: tasks");
        let (shape, bytes) = floats(steps.column_by_name("observation.state").unwrap());
        assert_eq!(array_sha("<f4", &shape, &bytes), episode.state_sha256, "{at}: states");
    }
}

fn check_times(case: &Case, at: &str, episode: &EpisodeTruth, steps: &RecordBatch) {
    let seconds = steps.column_by_name("timestamp").unwrap().as_primitive::<Float32Type>().values();
    assert_eq!(seconds.len(), episode.timestamps.len(), "{at}: timestamps");
    for (found, wanted) in seconds.iter().zip(&episode.timestamps) {
        assert!((f64::from(*found) - wanted).abs() < 1e-6, "{at}: {found} s, expected {wanted}");
    }
    let nanos = int64(steps, "timestamp_ns");
    let grid: Vec<i64> =
        (0..nanos.len()).map(|it| (it as f64 * 1e9 / case.truth.fps).round() as i64).collect();
    assert_eq!(nanos, grid, "{at}: the grid in nanoseconds");
}

/// A fixed-size list of 32-bit floats as numpy stacks it.
fn floats(column: &ArrayRef) -> (Vec<u64>, Vec<u8>) {
    let list = column.as_fixed_size_list();
    let values = list.values().as_primitive::<Float32Type>();
    let bytes = values.values().iter().flat_map(|it| it.to_le_bytes()).collect();
    (vec![list.len() as u64, list.value_length() as u64], bytes)
}

/// Types, shapes and names are those of the source, in `schema.json` and in the shards.
fn check_schema(case: &Case, dataset: &Dataset, schema: &Value, rows: &RecordBatch) {
    assert!(!dataset.streams().is_empty());
    for (name, told) in &case.truth.features {
        // The dataset's own numbering is no feature.
        if name == "episode_index" {
            continue;
        }
        let at = format!("{}, {name}", case.name);
        let field = &schema["fields"][name];
        let is_camera = matches!(told.dtype.as_str(), "image" | "video");
        assert_eq!(field["type"], if is_camera { "uint8" } else { told.dtype.as_str() }, "{at}: {field}");
        let mut shape = vec![-1];
        shape.extend(told.shape.iter().filter(|_| told.shape != [1]));
        assert_eq!(field["shape"], json!(shape), "{at}: {field}");
        let arrow = rows.schema();
        let metadata = arrow.field_with_name(name).unwrap().metadata();
        // Names of elements, plain or under the one axis that has them; names of axes are something else.
        let list = told.names.as_object().and_then(|it| it.values().next()).unwrap_or(&told.names);
        let n_last = told.shape.last().copied();
        if let Some(names) = list.as_array().filter(|it| !is_camera && Some(it.len() as i64) == n_last) {
            assert_eq!(field["names"], json!(names), "{at}");
            assert_eq!(metadata["nodedata:names"], json!(names).to_string(), "{at}");
        } else if let Some(names) = metadata.get("nodedata:names") {
            panic!("{at}: names {names}, but the source has {}", told.names);
        }
    }
}

/// What the source says of itself: info, statistics, splits.
fn check_metadata(case: &Case, dataset: &Dataset) {
    let at = &case.name;
    let read = |name: &str| std::fs::read_to_string(case.root.join(name));
    let info: Value = serde_json::from_str(&read("meta/info.json").unwrap()).unwrap();
    let facts = &dataset.streams()[0]["metadata"];
    assert_eq!(facts["fps"], info["fps"].to_string(), "{at}");
    assert_eq!(facts["codebase_version"], info["codebase_version"], "{at}");
    assert_eq!(facts.get("robot_type"), info.get("robot_type").filter(|it| it.is_string()), "{at}");
    let carried: Value = serde_json::from_str(facts["lerobot:info"].as_str().unwrap()).unwrap();
    assert_eq!(carried, info, "{at}: info.json");
    if let Ok(stats) = read("meta/stats.json") {
        assert_eq!(facts["lerobot:stats"], stats, "{at}: stats.json");
    }
    let mut splits: BTreeMap<String, u64> = BTreeMap::new();
    for (name, range) in info["splits"].as_object().unwrap() {
        let (from, to) = range.as_str().unwrap().split_once(':').unwrap();
        splits.insert(name.clone(), to.parse::<u64>().unwrap() - from.parse::<u64>().unwrap());
    }
    let found = dataset.manifest["splits"].as_object().unwrap().iter();
    let found: BTreeMap<String, u64> =
        found.map(|(name, it)| (name.clone(), it["episodes"].as_u64().unwrap())).collect();
    assert_eq!(found, splits, "{at}: splits");
    let stats = episode_stats(case);
    let index = dataset.table("index/episodes.parquet");
    assert_eq!(stats.len(), if info["codebase_version"] == "v2.0" { 0 } else { index.num_rows() }, "{at}");
    for (row, stats) in stats {
        let found = metadata_of(&index, row);
        assert!(20 < stats.len(), "{at}: statistics of episode {row}");
        for (name, value) in stats {
            let text = found.get(&name).unwrap_or_else(|| panic!("{at}: episode {row} has no `{name}`"));
            assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value, "{at}: episode {row}, {name}");
        }
    }
}

/// The metadata of one episode of `index/episodes.parquet`.
pub(crate) fn metadata_of(index: &RecordBatch, row: usize) -> BTreeMap<String, String> {
    let entries = index.column_by_name("metadata").unwrap().as_map().value(row);
    let text =
        |column: usize| entries.column(column).as_string::<i32>().iter().map(|it| it.unwrap().to_owned());
    text(0).zip(text(1)).collect()
}

/// What the source says of each episode's values, by position and `stats/<feature>/<name>`.
fn episode_stats(case: &Case) -> BTreeMap<usize, BTreeMap<String, Value>> {
    let mut all: BTreeMap<usize, BTreeMap<String, Value>> = BTreeMap::new();
    if let Ok(lines) = std::fs::read_to_string(case.root.join("meta/episodes_stats.jsonl")) {
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let episode = all.entry(line["episode_index"].as_u64().unwrap() as usize).or_default();
            for (feature, stats) in line["stats"].as_object().unwrap() {
                for (name, value) in stats.as_object().unwrap() {
                    episode.insert(format!("stats/{feature}/{name}"), value.clone());
                }
            }
        }
    }
    let tables = case.root.join("meta/episodes/chunk-000");
    for path in if tables.is_dir() { corpus::files(&tables, ".parquet") } else { Vec::new() } {
        let rows = Dataset { root: PathBuf::new(), manifest: Value::Null }.table(path.to_str().unwrap());
        for (row, index) in int64(&rows, "episode_index").into_iter().enumerate() {
            let schema = rows.schema();
            let stats =
                schema.fields().iter().zip(rows.columns()).filter(|it| it.0.name().starts_with("stats/"));
            all.insert(
                index as usize,
                stats.map(|(field, column)| (field.name().clone(), json_of(column, row))).collect(),
            );
        }
    }
    all
}

/// What `index/video.parquet` says, and that the samples of an episode start with a key frame.
fn check_videos(case: &Case, dataset: &Dataset, rows: &RecordBatch) {
    let videos: Vec<&str> = case.truth.cameras().filter(|it| it.1.dtype == "video").map(|it| it.0).collect();
    if videos.is_empty() {
        assert!(!dataset.root.join("index/video.parquet").exists(), "{}", case.name);
        return;
    }
    let table = dataset.table("index/video.parquet");
    let number = |name: &str| {
        let column = table.column_by_name(name).unwrap();
        (0..table.num_rows()).map(|it| json_of(column, it)).collect::<Vec<_>>()
    };
    let mut found: Vec<(i64, String, Value)> = Vec::new();
    for (row, frames) in number("frames").into_iter().enumerate() {
        found.push((
            int64(&table, "episode_index")[row],
            texts(&table, "feature")[row].clone().unwrap(),
            frames,
        ));
        let camera = &case.truth.features[texts(&table, "feature")[row].as_ref().unwrap()];
        let size = [&number("height")[row], &number("width")[row]].map(|it| it.as_i64().unwrap());
        assert_eq!(size, camera.shape[..2], "{}", case.name);
        assert_eq!(number("fps")[row], case.truth.fps, "{}", case.name);
    }
    found.sort_by(|one, two| (one.0, &one.1).cmp(&(two.0, &two.1)));
    let wanted = case.truth.episodes.iter().flat_map(|episode| {
        videos.iter().map(|it| (episode.episode_index, (*it).to_owned(), json!(episode.length)))
    });
    assert_eq!(found, wanted.collect::<Vec<_>>(), "{}: frames", case.name);
    for camera in videos {
        let keyframes = rows.column_by_name(&format!("{camera}.keyframe")).unwrap().as_boolean();
        for episode in &case.truth.episodes {
            assert!(keyframes.value(episode.from), "{}: {camera}, {}", case.name, episode.episode_index);
        }
        assert!(keyframes.true_count() < keyframes.len(), "{}: not all of {camera}", case.name);
    }
}

/// First and last frames of every episode and camera. Video, too, is compared exactly: the conversion from
/// YUV is FFmpeg's, which the official reader uses.
fn check_frames(case: &Case, rows: &RecordBatch) {
    for (camera, told) in case.truth.cameras() {
        let column = rows.column_by_name(camera).unwrap();
        assert_eq!(column.null_count(), 0, "{}: {camera}", case.name);
        for episode in &case.truth.episodes {
            for (row, truth) in [(episode.from, &episode.first), (episode.to - 1, &episode.last)] {
                let at = format!("{}, {camera}, row {row}", case.name);
                let truth = ValueTruth::of(&truth[camera]).unwrap();
                let (shape, pixels) = frame(column, row, &truth.shape);
                assert_eq!(shape, truth.shape, "{at}: shape");
                assert_eq!(pixels[..6], truth.corner, "{at}: corner");
                let mean = pixels.iter().map(|it| f64::from(*it)).sum::<f64>() / pixels.len() as f64;
                assert!((mean - truth.mean).abs() < 1e-6, "{at}: mean {mean}, expected {}", truth.mean);
                assert_eq!(array_sha("|u1", &shape, &pixels), truth.sha256, "{at} ({})", told.dtype);
            }
        }
    }
}

/// One frame, decoded where it is encoded; bare values have the shape told.
fn frame(column: &ArrayRef, row: usize, told: &[u64]) -> (Vec<u64>, Vec<u8>) {
    let Some(media) = column.as_struct_opt() else {
        return (told.to_vec(), column.as_binary::<i32>().value(row).to_vec());
    };
    let image = decode_image(media.column(0).as_binary::<i32>().value(row)).unwrap();
    (vec![image.height.into(), image.width.into(), image.channels.into()], image.pixels)
}

/// What differs between the versions is where things lie, and names of image files, which are no content.
#[test]
fn converted_datasets_have_the_content_of_their_source() {
    let Some(folder) = corpus::folder("episodes/lerobot") else { return };
    let work = Work::new();
    for (old, new) in [("v21_simple", "v30_converted"), ("v21_image", "v30_image")] {
        let roots = [old, new].map(|name| {
            work.run(["convert", folder.join(name).to_str().unwrap(), "--out", name]).exits(0);
            work.json(&format!("{name}/manifest.json"))["content_root"].clone()
        });
        assert_eq!(roots[0], roots[1], "{old} and {new}");
    }
}
