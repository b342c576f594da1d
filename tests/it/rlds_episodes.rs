//! Episodes of RLDS datasets: split by what they tell, read by any number of threads and workers, added to, and walked back to
//! the record they came from.

use arrow_array::{cast::AsArray as _, types::Float32Type};
use serde_json::Value;

use crate::{
    command::Work,
    explain::pair,
    lerobot::metadata_of,
    tables::{Dataset, differing, int64, texts},
};

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], &varint(bytes.len() as u64)[..], bytes].concat()
}

fn entry(key: &str, kind: u8, list: &[u8]) -> Vec<u8> {
    field(1, &[field(1, key.as_bytes()), field(2, &field(kind, list))].concat())
}

fn ints(all: &[u64]) -> Vec<u8> {
    field(1, &all.iter().flat_map(|it| varint(*it)).collect::<Vec<_>>())
}

fn texts_of(all: &[String]) -> Vec<u8> {
    all.iter().flat_map(|it| field(1, it.as_bytes())).collect()
}

/// CRC-32C, turned and moved as TensorFlow stores it.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    });
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// What a step has of its own.
fn reward(episode: u64, step: u64) -> f32 {
    (episode * 1000 + step) as f32
}

/// A record with its frame: `n_steps` steps, each with a note of `note_bytes`.
fn record(episode: u64, n_steps: u64, note_bytes: usize, task: &str) -> Vec<u8> {
    let steps = 0..n_steps;
    let rewards: Vec<u8> = steps.clone().flat_map(|it| reward(episode, it).to_le_bytes()).collect();
    // Text that does not get smaller.
    let note = |step: u64| -> String {
        let mut state = (episode << 32 | step) | 1;
        let letter = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b' ' + (state >> 57) as u8 % 90)
        };
        (0..note_bytes).map(letter).collect()
    };
    let features = [
        entry("episode_metadata/episode_id", 3, &ints(&[episode])),
        entry("steps/is_first", 3, &ints(&steps.clone().map(|it| u64::from(it == 0)).collect::<Vec<_>>())),
        entry(
            "steps/is_last",
            3,
            &ints(&steps.clone().map(|it| u64::from(it + 1 == n_steps)).collect::<Vec<_>>()),
        ),
        entry("steps/language_instruction", 1, &texts_of(&vec![task.to_owned(); n_steps as usize])),
        entry("steps/note", 1, &texts_of(&steps.map(note).collect::<Vec<_>>())),
        entry("steps/reward", 2, &field(1, &rewards)),
    ];
    let example = field(1, &features.concat());
    let length = (example.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), &example, &masked_crc(&example)].concat()
}

const FEATURES: &str = r#"{"featuresDict": {"features": {
  "episode_metadata": {"featuresDict": {"features": {"episode_id": {"tensor": {"dtype": "int64", "shape": {}}}}}},
  "steps": {"pythonClassName": "a.Dataset", "sequence": {"length": "-1", "feature": {"featuresDict": {"features": {
    "is_first": {"tensor": {"dtype": "bool", "shape": {}}}, "is_last": {"tensor": {"dtype": "bool", "shape": {}}},
    "language_instruction": {"text": {}}, "note": {"text": {}},
    "reward": {"tensor": {"dtype": "float32", "shape": {}}}}}}}}}}}"#;

/// Writes shards of `n_each` episodes, each shard above a megabyte, named so that another one changes no name.
fn write(work: &Work, n_shards: u64, n_each: u64) {
    let lengths = vec![format!("\"{n_each}\""); n_shards as usize].join(",");
    let info = format!(
        r#"{{"name": "arm", "version": "1.0.0", "splits": [{{"name": "train", "shardLengths": [{lengths}],
            "filepathTemplate": "{{DATASET}}-{{SPLIT}}.{{FILEFORMAT}}-{{SHARD_INDEX}}"}}]}}"#
    );
    work.write("arm/features.json", FEATURES);
    work.write("arm/dataset_info.json", info);
    for shard in 0..n_shards {
        let episodes = shard * n_each..(shard + 1) * n_each;
        let records = episodes.flat_map(|it| record(it, 40, 1 << 15, &format!("task {}", it % 3)));
        work.write(&format!("arm/arm-train.tfrecord-{shard:05}"), records.collect::<Vec<u8>>());
    }
}

const FLAGS: [&str; 2] = ["--shard-mb", "1"];

fn convert(work: &Work, out: &str, more: &[&str]) -> Value {
    let args = ["convert", "arm", "--out", out].into_iter().chain(FLAGS).chain(more.iter().copied());
    work.run(args).exits(0);
    work.json(&format!("{out}/report.json"))
}

#[test]
fn threads_and_workers_change_no_byte() {
    let work = Work::new();
    write(&work, 3, 2);
    convert(&work, "one", &["--threads", "1"]);
    convert(&work, "eight", &["--threads", "8"]);
    assert_eq!(differing(&work.path("one"), &work.path("eight")), ["report.json"]);
    work.run(["validate", "--deep", "one"]).exits(0);
    work.run(["plan", "arm", "--out", "out", "--plan", "p.json", "--no-verify"].into_iter().chain(FLAGS))
        .exits(0);
    for index in ["2", "0", "1"] {
        work.run(["work", "--plan", "p.json", "--index", index, "--of", "3"]).exits(0);
    }
    work.run(["finish", "--plan", "p.json"]).exits(0);
    convert(&work, "calm", &["--no-verify"]);
    assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"]);
}

#[test]
fn a_new_shard_is_converted_alone() {
    let work = Work::new();
    write(&work, 2, 1);
    let report = convert(&work, "out", &[]);
    let n_units = report["units"].as_u64().unwrap();
    assert_eq!(n_units, 2);
    write(&work, 3, 1);
    // The counts in the metadata have changed, and that is another input.
    let report = convert(&work, "out", &["--overwrite"]);
    let (reused, n_all) = (report["units_reused"].as_u64().unwrap(), report["units"].as_u64().unwrap());
    assert_eq!((reused, n_all), (2, 3));
    convert(&work, "fresh", &[]);
    assert_eq!(differing(&work.path("fresh"), &work.path("out")), ["report.json"]);
}

#[test]
fn every_row_is_found_in_its_record() {
    let work = Work::new();
    write(&work, 2, 2);
    convert(&work, "out", &[]);
    let dataset = Dataset::open(work.path("out"));
    let mut n_rows = 0;
    for shard in dataset.manifest["shards"].as_array().unwrap() {
        let path = shard["path"].as_str().unwrap();
        let rows = dataset.table(path);
        let rewards = rows.column_by_name("reward").unwrap().as_primitive::<Float32Type>().values().to_vec();
        let told = work.run(["explain", &format!("out/{path}"), "--format", "json"]).exits(0).json();
        let mut next_row = 0;
        for origin in told["explained"][0]["origins"].as_array().unwrap() {
            let bytes = std::fs::read(work.path("arm").join(origin["source"].as_str().unwrap())).unwrap();
            let (start, end) = pair(&origin["bytes"]);
            // A record with its frame lies there, and nothing else.
            let length = u64::from_le_bytes(bytes[start..start + 8].try_into().unwrap()) as usize;
            assert_eq!(end - start, length + 16, "{origin}");
            let record = &bytes[start + 12..end - 4];
            assert_eq!(bytes[end - 4..end], masked_crc(record));
            let (first, last) = pair(&origin["records"]);
            assert_eq!(origin["row"], next_row);
            let stored: Vec<u8> =
                rewards[next_row..next_row + last - first].iter().flat_map(|it| it.to_le_bytes()).collect();
            let key = b"steps/reward";
            let at = record.windows(key.len()).position(|it| it == key).unwrap();
            // Behind the key: the heads of the feature, its list, and the values in it.
            let values = &record[record.len() - 40 * 4..];
            assert!(at < record.len() - 40 * 4);
            assert_eq!(values[first * 4..last * 4], stored[..], "{origin}");
            next_row += last - first;
        }
        assert_eq!(next_row, rewards.len());
        n_rows += next_row;
    }
    assert_eq!(n_rows, 4 * 40);
}

#[test]
fn episodes_are_dealt_by_what_only_their_records_tell() {
    let work = Work::new();
    write(&work, 1, 6);
    let by = |key: &str| {
        work.write(
            "p.yaml",
            format!("version: 1\nsource: arm\nsplits: {{by: hash, key: {key}, train: 0.5, val: 0.5}}\n"),
        );
        work.run(["run", "p.yaml", "--out", "out", "--overwrite"]).exits(0);
        let index = Dataset::open(work.path("out")).table("index/episodes.parquet");
        let of = |column: &str| -> Vec<String> { texts(&index, column).into_iter().flatten().collect() };
        (of("task"), of("split"), metadata_of(&index, 5))
    };
    let (tasks, splits, metadata) = by("task");
    assert_eq!(tasks, ["task 0", "task 1", "task 2", "task 0", "task 1", "task 2"]);
    assert!((0..3).all(|it| splits[it] == splits[it + 3]), "{splits:?}");
    assert_eq!(metadata["episode_metadata.episode_id"], "5");
    let (_, splits, _) = by("metadata.episode_metadata.episode_id");
    assert!(splits.contains(&"train".to_owned()) && splits.contains(&"val".to_owned()), "{splits:?}");
    work.write(
        "p.yaml",
        "version: 1\nsource: arm\nsplits: {by: hash, key: metadata.scene, train: 0.5, val: 0.5}\n",
    );
    let ran = work.run(["run", "p.yaml", "--out", "none"]).exits(2);
    assert!(ran.stderr.contains("its metadata are `episode_metadata.episode_id`"), "{}", ran.stderr);
}

#[test]
fn steps_that_are_marked_wrongly_are_told_in_the_report() {
    let work = Work::new();
    write(&work, 1, 1);
    let mut bytes = record(0, 3, 10, "pick");
    let (head, key) = (12, b"steps/is_first");
    let at = bytes.windows(key.len()).position(|it| it == key).unwrap() + key.len() + 6;
    // One step is marked, and then two are.
    assert_eq!(bytes[at..at + 3], [1, 0, 0]);
    bytes[at + 2] = 1;
    let end = bytes.len() - 4;
    let crc = masked_crc(&bytes[head..end]);
    bytes[end..].copy_from_slice(&crc);
    work.write("arm/arm-train.tfrecord-00000", &bytes);
    let ran = work.run(["convert", "arm", "--out", "out"]).exits(0);
    assert!(ran.stderr.contains("2 steps are marked as the first of 3 by `is_first`"), "{}", ran.stderr);
    let report = work.json("out/report.json");
    assert_eq!(report["result"], "complete");
    let warnings = report["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0]["at"].as_str().unwrap().starts_with("arm-train.tfrecord-00000, byte 0, episode 0"),
        "{warnings:?}"
    );
    // A unit that is used again says it as well.
    let again = work.run(["convert", "arm", "--out", "out", "--split", "all=1", "--overwrite"]).exits(0);
    assert!(again.stderr.contains("2 steps are marked as the first"), "{}", again.stderr);
    assert_eq!(work.json("out/report.json")["units_reused"], 1);
    let looked = work.run(["inspect", "--full", "arm"]).exits(0);
    assert!(looked.stdout.contains("2 steps are marked as the first"), "{}", looked.stdout);
    // So does a pipeline that selects, leaves out rows, and takes values from other steps.
    let pipeline = "version: 1\nsource: {path: arm}\n\
         steps: {transform: rlds/drop_last_padding}\n\
         fields: {reward: {from: reward, transform: [action/shift, {action/clip: {min: 0}}]}}\n";
    work.write("shifted.yaml", pipeline);
    let ran = work.run(["run", "shifted.yaml", "--out", "shifted"]).exits(0);
    assert!(ran.stderr.contains("2 steps are marked as the first"), "{}", ran.stderr);
    let rows = Dataset::open(work.path("out")).tables().remove("steps").unwrap();
    assert_eq!(int64(&rows, "step_index"), [0, 1, 2]);
    assert!(rows.column_by_name("is_first").unwrap().as_boolean().value(2), "nothing is put right");
}

#[test]
fn episodes_are_called_by_a_feature() {
    let work = Work::new();
    write(&work, 1, 2);
    convert(&work, "out", &["--set", "source.episode_key=episode_metadata.episode_id"]);
    let index = Dataset::open(work.path("out")).table("index/episodes.parquet");
    assert_eq!(texts(&index, "episode_key"), [Some("0".to_owned()), Some("1".to_owned())]);
    let args = ["convert", "arm", "--out", "none", "--set", "source.episode_key=episode_metadata.episode"];
    let ran = work.run(args).exits(2);
    assert!(ran.stderr.contains("did you mean `episode_metadata.episode_id`?"), "{}", ran.stderr);
}
