//! LeRobot datasets as other writers than the official one leave them: the same rows, whatever the order of
//! columns, the lists, the codec, the row groups or the folders.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Float16Array, Float32Array, Float64Array,
    Int32Array, Int64Array, NullArray, RecordBatch, StringArray, UInt8Array, cast::AsArray as _,
    types::Float16Type,
};
use nodedata_media::{Decoded, decode_image, encode_png};
use nodedata_testkit::lerobot::{
    Base, Build, Compressed, FeatureColumn, Folder, WriteOptions, fixed_tensors, json_of, list_of, struct_of,
    tensors,
};
use serde_json::{Value, json};

use crate::{
    command::{Work, for_each},
    tables::{Dataset, differing, int64, texts},
};

/// Converts a dataset and returns its steps.
#[track_caller]
fn steps(work: &Work, folder: &Folder) -> RecordBatch {
    folder.write(&work.path("src"));
    work.run(["convert", "src", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    Dataset::open(work.path("out")).tables().remove("steps").unwrap()
}

/// Converts what was built and holds every column against the values it was built from.
#[track_caller]
fn check(case: &str, build: &Build) -> RecordBatch {
    let work = Work::new();
    let rows = steps(&work, &build.folder());
    assert_eq!(rows.num_rows(), build.n_rows(), "{case}");
    let schema = work.json("out/schema.json");
    for column in &build.columns {
        let found = rows.column_by_name(column.name).unwrap_or_else(|| panic!("{case}: no {}", column.name));
        for row in 0..build.n_rows() {
            let wanted = json_of(&column.values, row);
            assert_eq!(json_of(found, row), wanted, "{case}: {}, row {row}", column.name);
        }
        let Some(told) = &column.told else { continue };
        let field = &schema["fields"][column.name];
        assert_eq!(field["type"], told["dtype"], "{case}: {field}");
        let told: Vec<i64> = serde_json::from_value(told["shape"].clone()).unwrap();
        let shape: Vec<i64> =
            std::iter::once(-1).chain(told.iter().copied().filter(|_| told != [1])).collect();
        assert_eq!(field["shape"], json!(shape), "{case}: {field}");
    }
    check_built_in(case, build, &rows);
    rows
}

fn check_built_in(case: &str, build: &Build, rows: &RecordBatch) {
    let each = build.episodes.iter().enumerate();
    let wanted: Vec<(i64, i64)> =
        each.flat_map(|(idx, (_, n))| (0..*n as i64).map(move |step| (idx as i64, step))).collect();
    let found: Vec<_> = int64(rows, "episode_index").into_iter().zip(int64(rows, "step_index")).collect();
    assert_eq!(found, wanted, "{case}");
    let times: Vec<i64> = wanted.iter().map(|it| it.1 * 1_000_000_000 / i64::from(build.fps)).collect();
    assert_eq!(int64(rows, "timestamp_ns"), times, "{case}");
    let tasks: Vec<_> = (0..build.n_rows()).map(|it| Some(Build::task(Build::task_index(it)))).collect();
    assert_eq!(texts(rows, "task"), tasks, "{case}");
}

fn float32(n: usize) -> ArrayRef {
    Arc::new((0..n).map(|it| Some(it as f32 * 0.37 - 3.0)).collect::<Float32Array>())
}

/// Numbers, text and lists, of `n` rows.
fn plain_columns(n: usize) -> Vec<FeatureColumn> {
    let text: StringArray = (0..n).map(|it| Some(format!("note {} µ", it % 3))).collect();
    let flags: BooleanArray = (0..n).map(|it| Some(it % 5 == 0)).collect();
    vec![
        FeatureColumn::new("observation.state", "float32", &[7], tensors(float32(n * 7), &[7])),
        FeatureColumn::new("action", "float32", &[3], fixed_tensors(float32(n * 3), &[3])),
        FeatureColumn::new("note", "string", &[1], Arc::new(text)),
        FeatureColumn::new("done", "bool", &[1], Arc::new(flags)),
        FeatureColumn::new("count", "int32", &[1], Arc::new(Int32Array::from_iter_values(0..n as i32))),
    ]
}

#[test]
fn order_lists_codecs_and_row_groups_change_no_row() {
    let codecs = [Compressed::Snappy, Compressed::Zstd, Compressed::Gzip, Compressed::Lz4Raw, Compressed::No];
    let mut cases = Vec::new();
    for (idx, compression) in codecs.into_iter().enumerate() {
        for has_arrow_schema in [true, false] {
            cases.push((compression, [1, 2, 3, 5, 100][idx], has_arrow_schema));
        }
    }
    let rows: Vec<RecordBatch> = cases
        .iter()
        .map(|(compression, row_group_rows, has_arrow_schema)| {
            let mut columns = plain_columns(7);
            if *row_group_rows % 2 == 1 {
                columns.reverse();
            }
            let build = Build {
                columns,
                built_in_first: *has_arrow_schema,
                data: WriteOptions {
                    compression: *compression,
                    row_group_rows: *row_group_rows,
                    has_arrow_schema: *has_arrow_schema,
                },
                ..Build::default()
            };
            check(&format!("{build:?}"), &build)
        })
        .collect();
    assert_eq!(rows.len(), 10);
}

#[test]
fn features_of_one_to_five_dimensions() {
    let shapes: [&[usize]; 5] = [&[4], &[2, 3], &[2, 1, 3], &[2, 2, 1, 2], &[1, 2, 2, 1, 2]];
    let names = ["one", "two", "three", "four", "five"];
    for is_fixed in [false, true] {
        let columns = shapes.iter().zip(names).map(|(shape, name)| {
            let n = 7 * shape.iter().product::<usize>();
            let values: ArrayRef = Arc::new((0..n).map(|it| Some(it as f64 / 3.0)).collect::<Float64Array>());
            let values = if is_fixed { fixed_tensors(values, shape) } else { tensors(values, shape) };
            let told: Vec<u64> = shape.iter().map(|it| *it as u64).collect();
            FeatureColumn::new(name, "float64", &told, values)
        });
        check(&format!("fixed: {is_fixed}"), &Build { columns: columns.collect(), ..Build::default() });
    }
}

#[test]
fn half_floats_and_small_integers_keep_their_type() {
    type Half = <Float16Type as ArrowPrimitiveType>::Native;
    let halves: ArrayRef =
        Arc::new(Float16Array::from_iter_values((0..14).map(|it| Half::from_f32(it as f32 / 8.0))));
    let bytes: ArrayRef = Arc::new(UInt8Array::from_iter_values(249..=255));
    let columns = vec![
        FeatureColumn::new("half", "float16", &[2], tensors(halves, &[2])),
        FeatureColumn::new("byte", "uint8", &[1], bytes),
    ];
    check("halves", &Build { columns, ..Build::default() });
}

/// A writer that stores a feature in a wider type than it tells, or tells nothing of it.
#[test]
fn what_info_does_not_tell_is_taken_from_the_file() {
    let list = list_of([0, 1, 2, 3, 0, 1, 0], float32(7));
    let columns = vec![
        FeatureColumn { name: "extra", values: Arc::new(Int64Array::from_iter_values(5..12)), told: None },
        FeatureColumn { name: "ragged", values: list, told: None },
    ];
    let rows = check("untold", &Build { columns, ..Build::default() });
    assert_eq!(
        rows.column_by_name("extra").unwrap().as_primitive::<arrow_array::types::Int64Type>().len(),
        7
    );
}

#[test]
fn task_texts_are_found_under_any_name() {
    for task_column in ["task", "__index_level_0__", "instruction"] {
        check(task_column, &Build { task_column, columns: plain_columns(7), ..Build::default() });
    }
}

#[test]
fn episode_numbers_may_have_gaps() {
    let build =
        Build { episodes: vec![(3, 4), (7, 2), (40, 5)], columns: plain_columns(11), ..Build::default() };
    check("gaps", &build);
    let work = Work::new();
    steps(&work, &build.folder());
    let index = Dataset::open(work.path("out")).table("index/episodes.parquet");
    let keys: Vec<_> = texts(&index, "episode_key").into_iter().map(Option::unwrap).collect();
    assert_eq!(keys, ["episode_000003", "episode_000007", "episode_000040"]);
    let source = |row| crate::lerobot::metadata_of(&index, row)["source_episode_index"].clone();
    assert_eq!([source(0), source(1), source(2)], ["3", "7", "40"]);
}

/// Episodes that span row groups, and row groups that span episodes, at a size where both are cut further.
#[test]
fn many_rows_over_several_row_groups() {
    let episodes = vec![(0, 1_700), (1, 1), (2, 4_000), (3, 2_300)];
    let n: usize = episodes.iter().map(|it| it.1).sum();
    let values = tensors(float32(n * 6), &[6]);
    let columns = vec![FeatureColumn::new("observation.state", "float32", &[6], values)];
    let data = WriteOptions { row_group_rows: 700, ..WriteOptions::default() };
    let build = Build { episodes, columns, data, ..Build::default() };
    check("many rows", &build);
}

fn png(seed: usize) -> Vec<u8> {
    let pixels = (0..8 * 6 * 3).map(|it| (it * 7 + seed * 31) as u8).collect();
    let dtype = decode_type();
    encode_png(&Decoded { height: 6, width: 8, channels: 3, dtype, pixels }).unwrap()
}

/// The type of 8-bit pixels.
fn decode_type() -> nodedata_core::DType {
    nodedata_core::DType::UInt8
}

/// Images as structs of path and bytes, in either order, with and without a path, over several row groups.
#[test]
fn images_in_either_order_of_members() {
    let bytes: ArrayRef = Arc::new((0..7).map(|it| Some(png(it))).collect::<BinaryArray>());
    let paths: ArrayRef =
        Arc::new((0..7).map(|it| (it != 2).then(|| format!("frame-{it:06}.png"))).collect::<StringArray>());
    let orders = [
        struct_of(vec![("bytes", Arc::clone(&bytes)), ("path", Arc::clone(&paths))]),
        struct_of(vec![("path", Arc::clone(&paths)), ("bytes", Arc::clone(&bytes))]),
    ];
    let found = orders.map(|values| {
        let told =
            Some(json!({"dtype": "image", "shape": [6, 8, 3], "names": ["height", "width", "channels"]}));
        let column = FeatureColumn { name: "observation.images.top", values, told };
        let data = WriteOptions { row_group_rows: 2, ..WriteOptions::default() };
        let build = Build { columns: vec![column], data, ..Build::default() };
        let work = Work::new();
        let rows = steps(&work, &build.folder());
        let images = rows.column_by_name("observation.images.top").unwrap().as_struct().clone();
        for row in 0..7 {
            let image = images.column_by_name("bytes").unwrap().as_binary::<i32>().value(row);
            assert_eq!(image, png(row), "row {row}");
            assert_eq!(decode_image(image).unwrap().pixels[0], (row * 31) as u8);
        }
        let field = &work.json("out/schema.json")["fields"]["observation.images.top"];
        assert_eq!((&field["shape"], &field["encoding"]), (&json!([-1, 6, 8, 3]), &json!("png")));
        images
    });
    assert_eq!(found[0], found[1]);
}

/// Language columns: lists of structs, among them members that no row ever filled.
#[test]
fn language_columns_become_parallel_lists() {
    let lengths = [2, 0, 1, 0, 0, 3, 1];
    let text = |name: &str| -> ArrayRef {
        Arc::new((0..7).map(|it| (it != 4).then(|| format!("{name} {it}"))).collect::<StringArray>())
    };
    let seconds: ArrayRef = Arc::new((0..7).map(|it| Some(f64::from(it) / 20.0)).collect::<Float64Array>());
    let members = vec![
        ("role", text("role")),
        ("content", text("content")),
        ("style", text("style")),
        ("timestamp", Arc::clone(&seconds)),
        ("camera", Arc::new(NullArray::new(7))),
        ("tool_calls", Arc::new(NullArray::new(7))),
    ];
    let told = Some(json!({"dtype": "language", "shape": [1], "names": null}));
    let values = list_of(lengths, struct_of(members));
    let column = FeatureColumn { name: "language_events", values, told };
    let work = Work::new();
    let rows = steps(&work, &Build { columns: vec![column], ..Build::default() }.folder());
    for (member, values) in [("role", text("role")), ("content", text("content")), ("timestamp", seconds)] {
        let found = rows.column_by_name(&format!("language_events.{member}")).unwrap();
        let wanted = list_of(lengths, values);
        for row in 0..7 {
            assert_eq!(json_of(found, row), json_of(&wanted, row), "{member}, row {row}");
        }
    }
    for member in ["camera", "tool_calls"] {
        let found = rows.column_by_name(&format!("language_events.{member}")).unwrap();
        let nulls: Value = lengths.iter().map(|it| vec![Value::Null; *it]).collect::<Vec<_>>().into();
        let found: Value = (0..7).map(|row| json_of(found, row)).collect();
        assert_eq!(found, nulls, "{member}");
    }
}

/// Images that a recording staged on disk, and other leftovers, are no part of the dataset.
#[test]
fn leftovers_beside_the_dataset_are_ignored() {
    for_each(&[Base::Images, Base::Apart], |base| {
        let (sound, littered) = (Work::new(), Work::new());
        let mut folder = base.folder();
        steps(&sound, &folder);
        folder.put("images/observation.images.front/episode_000000/frame_000000.png", png(1));
        folder.put("images/observation.images.front/episode-000001/frame-000000.tiff", "II*");
        folder.put("README.md", "# A dataset\n");
        folder.put(".cache/huggingface/download/meta/info.json.metadata", "0");
        steps(&littered, &folder);
        let differing = differing(&sound.path("out"), &littered.path("out"));
        assert_eq!(differing, ["report.json"], "{base:?}");
    });
}

/// The dataset may lie below the folder that is named.
#[test]
fn the_root_is_found_below_the_folder() {
    let (work, nested) = (Work::new(), Work::new());
    let folder = Base::Joined.folder();
    steps(&work, &folder);
    folder.write(&nested.path("src/robots/one"));
    nested.run(["convert", "src", "--out", "out"]).exits(0);
    nested.run(["validate", "--deep", "out"]).exits(0);
    let roots = [&work, &nested].map(|it| it.json("out/manifest.json")["content_root"].clone());
    assert_eq!(roots[0], roots[1]);
    assert_eq!(
        nested.json("out/manifest.json")["inputs"][0]["path"],
        "robots/one/data/chunk-000/file-000.parquet"
    );
}

/// Data and video files roll over at other episodes than each other, and into further chunks.
#[test]
fn files_that_roll_over_apart_hold_the_same_steps() {
    let roots: BTreeMap<Base, Value> = [Base::Apart, Base::RolledOver]
        .into_iter()
        .map(|base| {
            let work = Work::new();
            steps(&work, &base.folder());
            (base, work.json("out/manifest.json")["content_root"].clone())
        })
        .collect();
    assert_eq!(roots[&Base::Apart], roots[&Base::RolledOver]);
}

#[test]
fn conversions_do_not_depend_on_threads() {
    for_each(&Base::ALL, |base| {
        let work = Work::new();
        base.folder().write(&work.path("src"));
        for decode in [&[][..], &["--decode", "*=png"]] {
            let runs = [("a", "1"), ("b", "8"), ("c", "8")];
            for (out, threads) in runs {
                let args = ["convert", "src", "--out", out, "--overwrite", "--threads", threads];
                work.run(args.iter().chain(decode)).exits(0);
            }
            for out in ["b", "c"] {
                let differing = differing(&work.path("a"), &work.path(out));
                assert_eq!(differing, ["report.json"], "{base:?} {decode:?}");
            }
        }
    });
}
