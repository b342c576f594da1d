//! RLDS datasets: one that is whole, one that is damaged, and those of the official writer against what the official
//! reader returns for them.

use std::{io::Write as _, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BinaryArray, RecordBatch,
    cast::AsArray as _,
    types::{Float32Type, Float64Type, UInt64Type},
};
use nodedata_testkit::{corpus, lerobot::json_of};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::{
    command::Work,
    lerobot::metadata_of,
    rlds_damage::built,
    tables::{Dataset, int64, texts},
};

/// A copy of the fixture.
fn copied() -> Work {
    let work = Work::new();
    let root = corpus::fixtures("rlds/arm/1.2.0");
    for file in corpus::files(&root, "") {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        work.write(&format!("src/arm/1.2.0/{name}"), std::fs::read(&file).unwrap());
    }
    work
}

fn rows_of(dataset: &Dataset) -> RecordBatch {
    dataset.tables().remove("steps").unwrap()
}

#[test]
fn a_dataset_becomes_steps() {
    let work = copied();
    let ran = work.run(["convert", "src", "--out", "out"]).exits(0);
    assert_eq!(ran.stderr, "");
    let validated = work.run(["validate", "--deep", "out", "--format", "json"]).exits(0).json();
    assert_eq!(validated["rows"], 10);
    let dataset = Dataset::open(work.path("out"));
    assert_eq!(dataset.streams()[0]["kind"], "steps");
    let n = |split: &str| dataset.manifest["splits"][split]["episodes"].clone();
    assert_eq!((n("train"), n("val")), (json!(3), json!(1)));
    let rows = rows_of(&dataset);
    assert_eq!(int64(&rows, "episode_index"), [0, 0, 0, 1, 2, 2, 2, 2, 3, 3]);
    assert_eq!(int64(&rows, "step_index"), [0, 1, 2, 0, 0, 1, 2, 3, 0, 1]);
    let action = rows.column_by_name("action").unwrap().as_fixed_size_list().value(7);
    let action = action.as_primitive::<Float32Type>().values();
    assert_eq!(action, &[1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]);
    assert_eq!(rows.column_by_name("reward").unwrap().as_primitive::<Float64Type>().value(7), 0.75);
    assert_eq!(
        rows.column_by_name("observation.ticks").unwrap().as_primitive::<UInt64Type>().value(5),
        u64::MAX
    );
    let index = dataset.table("index/episodes.parquet");
    assert_eq!(texts(&index, "episode_key")[1].as_deref(), Some("arm-train.tfrecord-00000-of-00002#1"));
    let metadata = metadata_of(&index, 3);
    assert_eq!(metadata["episode_metadata.file_path"], "raw/3.hdf5");
    assert_eq!(metadata["episode_metadata.success"], "true");
}

/// A record that is damaged costs its episode and no other.
#[test]
fn a_damaged_record_is_left_out_and_named() {
    let work = copied();
    let name = "src/arm/1.2.0/arm-train.tfrecord-00000-of-00002";
    let mut bytes = std::fs::read(work.path(name)).unwrap();
    bytes[200] ^= 1;
    work.write(name, bytes);
    let ran = work.run(["convert", "src", "--out", "out"]).exits(1);
    assert!(ran.stderr.contains("the record is not what its checksum says"), "{}", ran.stderr);
    work.run(["convert", "src", "--out", "out", "--on-error", "salvage"]).exits(3);
    work.run(["validate", "--deep", "out"]).exits(0);
    let rows = rows_of(&Dataset::open(work.path("out")));
    assert_eq!(int64(&rows, "episode_index"), [1, 2, 2, 2, 2, 3, 3]);
    let report = work.json("out/report.json");
    assert_eq!(report["result"], "incomplete");
}

/// The shards of the fixture, with what their records tell alone.
#[test]
fn shards_without_metadata_are_read_by_what_their_records_hold() {
    let work = Work::new();
    let shards = corpus::files(&corpus::fixtures("rlds/arm/1.2.0"), "");
    for file in shards.iter().filter(|it| it.to_string_lossy().contains(".tfrecord-")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        work.write(&format!("src/{name}"), std::fs::read(file).unwrap());
    }
    work.run(["convert", "src", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    let n = |split: &str| dataset.manifest["splits"][split]["episodes"].clone();
    assert_eq!((n("train"), n("val")), (3.into(), 1.into()));
    assert_eq!(int64(&rows_of(&dataset), "episode_index"), [0, 0, 0, 1, 2, 2, 2, 2, 3, 3]);
    // Types are a part of what was learned, which the next run need not learn again.
    work.run(["convert", "src", "--out", "out"]).exits(0);
}

#[test]
fn files_without_a_record_are_refused() {
    let work = Work::new();
    work.write("src/arm-train.tfrecord-00000-of-00001", "");
    let ran = work.run(["convert", "src", "--out", "out"]).exits(1);
    assert!(ran.stderr.contains("the file is empty") && ran.stderr.contains("hint: "), "{}", ran.stderr);
    work.run(["convert", "src", "--out", "out", "--on-error", "salvage"]).exits(1);
    assert!(!work.path("out").exists());
}

/// Two copies of a shard are a mistake, whether or not metadata tells of it: neither is taken for the other, and no episode is there twice.
#[test]
fn two_copies_of_a_shard_are_a_mistake() {
    let shard = "arm-train.tfrecord-00000-of-00002";
    for has_metadata in [true, false] {
        let work = copied();
        let folder = "src/arm/1.2.0";
        if !has_metadata {
            for name in ["features.json", "dataset_info.json"] {
                std::fs::remove_file(work.path(format!("{folder}/{name}"))).unwrap();
            }
        }
        let bytes = std::fs::read(work.path(format!("{folder}/{shard}"))).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&bytes).unwrap();
        work.write(&format!("{folder}/{shard}.gz"), packed.finish().unwrap());
        for more in [&[][..], &["--on-error", "salvage"]] {
            let args = ["convert", "src", "--out", "out"].into_iter().chain(more.iter().copied());
            let ran = work.run(args).exits(2);
            let told = &ran.stderr;
            assert!(told.contains("are two copies of one shard"), "{told}");
            assert!(told.contains(&format!("{shard}`")) && told.contains(&format!("{shard}.gz`")), "{told}");
            assert!(told.contains("hint: move one of them away"), "{told}");
        }
        // One of them is enough, whichever it is.
        std::fs::remove_file(work.path(format!("{folder}/{shard}"))).unwrap();
        work.run(["convert", "src", "--out", "out"]).exits(0);
        assert_eq!(rows_of(&Dataset::open(work.path("out"))).num_rows(), 10);
    }
}

/// As `tfds convert_format` leaves them: the same records in files of another kind beside those that the metadata tells of.
#[test]
fn the_same_records_in_another_kind_of_file_are_not_read_again() {
    let work = copied();
    for file in corpus::files(&corpus::fixtures("rlds/arm_array_record/1.2.0"), "") {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains(".array_record-") {
            work.write(&format!("src/arm/1.2.0/{name}"), std::fs::read(&file).unwrap());
        }
    }
    let ran = work.run(["convert", "src", "--out", "out"]).exits(0);
    assert!(ran.stderr.contains("the file is not read: it is of the same split as"), "{}", ran.stderr);
    assert_eq!(rows_of(&Dataset::open(work.path("out"))).num_rows(), 10);
}

/// A row group that is too large to be had in memory, whose one large record is cut as it is in other files.
#[test]
fn large_records_of_parquet_files_are_cut() {
    let episode = |id: i64, n_steps: i64, text_bytes: usize| {
        let mut values = built::entries(id, n_steps);
        values.retain(|it| it.0 != "steps/language_instruction");
        let text = |step: i64| format!("{step:08}").repeat(text_bytes / 8).into_bytes();
        values.push(("steps/language_instruction", built::Value::Texts((0..n_steps).map(text).collect())));
        built::example(&values)
    };
    let records = [episode(0, 2, 16), episode(1, 20, 2 << 20), episode(2, 3, 16)];
    let plain: Vec<u8> = records.iter().flat_map(|it| built::framed(it)).collect();
    let column = Arc::new(BinaryArray::from_iter_values(&records)) as ArrayRef;
    let table = RecordBatch::try_from_iter([("data", column)]).unwrap();
    let mut parquet = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut parquet, table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.close().unwrap();
    let rows = [("tfrecord", plain), ("parquet", parquet)].map(|(format, file)| {
        let work = Work::new();
        let info = format!(
            r#"{{"name": "arm", "fileFormat": "{format}", "splits": [{{"name": "train", "shardLengths": ["3"]}}]}}"#
        );
        work.write("src/dataset_info.json", info);
        work.write("src/features.json", built::FEATURES);
        work.write(&format!("src/arm-train.{format}-00000-of-00001"), file);
        work.run(["convert", "src", "--out", "out"]).exits(0);
        rows_of(&Dataset::open(work.path("out")))
    });
    assert_eq!(rows[0].num_rows(), 25);
    assert!(rows[0] == rows[1], "other rows");
}

#[test]
fn corpus_says_what_the_official_reader_says() {
    let Some(folder) = corpus::folder("episodes") else { return };
    check(&folder, "oxe");
    check(&folder, "exotic");
}

fn check(folder: &std::path::Path, name: &str) {
    let work = Work::new();
    let source = folder.join(format!("rlds/robot_{name}"));
    work.run(["convert", source.to_str().unwrap(), "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let text = std::fs::read(folder.join(format!("truth/rlds_{name}.json"))).unwrap();
    let truth: Value = serde_json::from_slice(&text).unwrap();
    let dataset = Dataset::open(work.path("out"));
    let (rows, index) = (rows_of(&dataset), dataset.table("index/episodes.parquet"));
    let splits = truth["splits"].as_object().unwrap();
    let episodes = ["train", "val"].iter().flat_map(|it| splits[*it]["episodes"].as_array().unwrap());
    let mut first = 0;
    for (idx, episode) in episodes.enumerate() {
        let length = episode["length"].as_u64().unwrap() as usize;
        let last = first + length - 1;
        let place = [(idx as i64, 0), (idx as i64, length as i64 - 1)];
        let found =
            [first, last].map(|it| (int64(&rows, "episode_index")[it], int64(&rows, "step_index")[it]));
        assert_eq!(found, place, "{name}: episode {idx}");
        for (step, row) in [("first_step", first), ("last_step", last)] {
            check_step(name, &rows, row, &episode[step]);
            for (key, sha) in episode[format!("{step}_image_bytes_sha256")].as_object().into_iter().flatten()
            {
                let column = rows.column_by_name(&key.replace('/', ".")).unwrap();
                // Floats that TFDS stores as an image are floats.
                let Some(images) = column.as_struct_opt() else { continue };
                assert_eq!(json_of(images.column(0), row)["sha256"], *sha, "{name}: {key}, row {row}");
            }
        }
        let metadata = metadata_of(&index, idx);
        for (key, fact) in episode["episode"].as_object().unwrap() {
            let fact = fact.get("ragged").unwrap_or(&fact["values"]);
            let told = fact.as_str().map_or_else(|| fact.to_string(), str::to_owned);
            assert_eq!(metadata[&key.replace('/', ".")], told, "{name}: {key} of episode {idx}");
        }
        first += length;
    }
    assert_eq!(rows.num_rows(), first, "{name}");
}

fn check_step(name: &str, rows: &RecordBatch, row: usize, step: &Value) {
    let mut n_compared = 0;
    for (key, told) in step.as_object().unwrap() {
        let column = key.replace('/', ".");
        let Some(values) = told.get("values").or(told.get("ragged")) else { continue };
        let found = rows.column_by_name(&column).unwrap_or_else(|| panic!("{name}: no column {column}"));
        let found = json_of(found as &dyn Array, row);
        assert!(is_same(&found, values), "{name}: {key} of row {row} is {found}, expected {values}");
        n_compared += 1;
    }
    assert!(9 <= n_compared, "{name}: {n_compared} values were compared");
}

/// Whether two values are one; numbers above the largest signed one are told as text.
fn is_same(found: &Value, told: &Value) -> bool {
    match (found, told) {
        (Value::Array(found), Value::Array(told)) => {
            found.len() == told.len() && found.iter().zip(told).all(|(one, other)| is_same(one, other))
        }
        (Value::String(text), Value::Number(number)) => *text == number.to_string(),
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}
