//! Lists of encoded images: stacks of frames and lists of any length, from a source's Parquet to a validated
//! dataset, every frame as it was.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray, cast::AsArray as _};
use nodedata_media::{Decoded, encode_png};
use nodedata_testkit::lerobot::{Build, FeatureColumn, list_of, struct_of, tensors};
use serde_json::{Value, json};

use crate::{
    command::Work,
    tables::{Dataset, differing},
};

/// Images in each row of `views`; those in `stack` are always two.
const LENGTHS: [usize; 7] = [2, 0, 1, 0, 0, 3, 1];

fn png(seed: usize) -> Vec<u8> {
    let pixels = (0..8 * 6 * 3).map(|it| (it * 7 + seed * 31) as u8).collect();
    encode_png(&Decoded { height: 6, width: 8, channels: 3, dtype: nodedata_core::DType::UInt8, pixels })
        .unwrap()
}

/// Images as other writers store them, path first.
fn images(frames: Vec<Option<Vec<u8>>>) -> ArrayRef {
    let paths = (0..frames.len()).map(|it| (it % 2 == 0).then(|| format!("frame-{it}.png")));
    let paths: ArrayRef = Arc::new(paths.collect::<StringArray>());
    let bytes: ArrayRef = Arc::new(frames.into_iter().collect::<BinaryArray>());
    struct_of(vec![("path", paths), ("bytes", bytes)])
}

/// The fourth image of `views` is absent. `second` is the second image of the stack of row 3.
fn source(second: &[u8]) -> Build {
    let views = (0..7).map(|it| (it != 3).then(|| png(it))).collect();
    let stack = (0..14).map(|it| Some(if it == 7 { second.to_vec() } else { png(100 + it) })).collect();
    let columns = vec![
        FeatureColumn { name: "views", values: list_of(LENGTHS, images(views)), told: None },
        FeatureColumn::new("stack", "image", &[2, 6, 8, 3], tensors(images(stack), &[2])),
    ];
    Build { columns, ..Build::default() }
}

fn converted(source: &Build, args: &[&str]) -> Work {
    let work = Work::new();
    source.folder().write(&work.path("src"));
    work.run(["convert", "src", "--out", "out"].iter().chain(args)).exits(0);
    work
}

fn steps(work: &Work) -> RecordBatch {
    Dataset::open(work.path("out")).tables().remove("steps").unwrap()
}

/// The images of one row of a column of lists.
fn frames(lists: &ArrayRef, row: usize) -> Vec<Option<Vec<u8>>> {
    let items = match lists.as_list_opt::<i32>() {
        Some(lists) => lists.value(row),
        None => lists.as_fixed_size_list().value(row),
    };
    let bytes = items.as_struct().column_by_name("bytes").unwrap().as_binary::<i32>().clone();
    bytes.iter().map(|it| it.map(<[u8]>::to_vec)).collect()
}

#[test]
fn every_image_of_a_list_is_kept_and_described() {
    let work = converted(&source(&png(107)), &[]);
    let rows = steps(&work);
    let mut next = 0;
    for (row, length) in LENGTHS.into_iter().enumerate() {
        let wanted: Vec<_> = (next..next + length).map(|it| (it != 3).then(|| png(it))).collect();
        assert_eq!(frames(rows.column_by_name("views").unwrap(), row), wanted, "row {row}");
        let wanted = vec![Some(png(100 + row * 2)), Some(png(101 + row * 2))];
        assert_eq!(frames(rows.column_by_name("stack").unwrap(), row), wanted, "row {row}");
        next += length;
    }
    let fields = &work.json("out/schema.json")["fields"];
    let views =
        json!({"type": "uint8", "shape": [-1, -1, 6, 8, 3], "lists": 1, "encoding": "png", "nullable": true});
    assert_eq!(fields["views"], views);
    let stack = json!({"type": "uint8", "shape": [-1, 2, 6, 8, 3], "lists": 1, "encoding": "png"});
    assert_eq!(fields["stack"], stack);
    let told: Value = serde_json::from_str(&rows.schema().metadata()["huggingface"]).unwrap();
    let told = &told["info"]["features"];
    assert_eq!(told["views"], json!({"_type": "List", "feature": {"_type": "Image"}}));
    assert_eq!(told["stack"], json!({"_type": "List", "feature": {"_type": "Image"}, "length": 2}));
    let stats = &work.json("out/stats.json")["streams"]["steps"]["views"];
    assert_eq!((&stats["null_item_count"], &stats["value_count"]), (&json!(1), &json!(6)));
    assert_eq!(stats["lengths"], json!([{"min": 0, "max": 3}]));
    // Six of `views` and all of `stack`.
    let validated = work.run(["validate", "--deep", "out", "--format", "json"]).exits(0).json();
    assert_eq!((&validated["frames"], &validated["rows"]), (&json!(6 + 14), &json!(7)));
}

/// The index says which bytes of the shard hold the images of a row.
#[test]
fn pages_of_lists_are_indexed() {
    let work = converted(&source(&png(107)), &[]);
    let dataset = Dataset::open(work.path("out"));
    let pages = dataset.table("index/pages.parquet");
    let shard = dataset.files().remove("data/train-00000.parquet").unwrap();
    let number = |name: &str, row| {
        let column = pages.column_by_name(name).unwrap();
        column.as_primitive::<arrow_array::types::UInt64Type>().value(row) as usize
    };
    let names = pages.column_by_name("column").unwrap();
    let name = |row| match names.as_any_dictionary_opt() {
        Some(words) => words.values().as_string::<i32>().value(words.normalized_keys()[row]).to_owned(),
        None => names.as_string::<i32>().value(row).to_owned(),
    };
    let of_stack: Vec<usize> =
        (0..pages.num_rows()).filter(|it| name(*it) == "stack.list.element.bytes").collect();
    let holds = |page: usize, frame: &[u8]| {
        let at = number("offset", page);
        shard[at..at + number("length", page)].windows(frame.len()).any(|it| it == frame)
    };
    for frame in 0..14 {
        let n_pages = of_stack.iter().filter(|page| holds(**page, &png(100 + frame))).count();
        assert_eq!(n_pages, 1, "image {frame}");
    }
}

#[test]
fn an_image_that_does_not_decode_is_named_by_its_place() {
    let mut torn = png(107);
    torn.truncate(60);
    let work = converted(&source(&torn), &[]);
    let found = work.run(["validate", "--deep", "out", "--format", "json"]).exits(1).json();
    assert_eq!(found["findings"][0]["code"], "undecodable-frame");
    let at = found["findings"][0]["at"].as_str().unwrap();
    assert_eq!(at, "data/train-00000.parquet, row 3, feature `stack[1]`");
}

/// Threads change no byte, and neither do the pages of more than a mebibyte that large frames make.
#[test]
fn lists_are_deterministic() {
    let noise = |seed: usize| {
        let mut state = seed as u32 + 1;
        let mut pixels = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let pixels = (0..640 * 300).map(|_| pixels()).collect();
        let dtype = nodedata_core::DType::UInt8;
        encode_png(&Decoded { height: 300, width: 640, channels: 1, dtype, pixels }).unwrap()
    };
    let frames = (0..14).map(|it| Some(noise(it))).collect();
    let column =
        FeatureColumn { name: "views", values: list_of([1, 7, 0, 0, 2, 0, 4], images(frames)), told: None };
    let source = Build { columns: vec![column], ..Build::default() };
    let works = ["1", "8"].map(|it| converted(&source, &["--threads", it]));
    assert_eq!(differing(&works[0].path("out"), &works[1].path("out")), ["report.json"]);
    works[0].run(["validate", "--deep", "out"]).exits(0);
}

/// The plain form of a schema does not say what is a list; the data does, and rows are held against it.
#[test]
fn a_declared_schema_may_leave_the_lists_to_the_data() {
    let source = source(&png(107));
    let work = converted(&source, &[]);
    let mut schema = work.json("out/schema.json");
    for name in ["views", "stack"] {
        schema["fields"][name].as_object_mut().unwrap().remove("lists");
    }
    schema["mode"] = json!("declared");
    work.write("plain.json", schema.to_string());
    work.run(["convert", "src", "--out", "declared", "--schema", "plain.json"]).exits(0);
    work.run(["validate", "--deep", "declared"]).exits(0);
    schema["fields"]["views"]["shape"] = json!([-1, 2, 6, 8, 3]);
    work.write("wrong.json", schema.to_string());
    let refused = work.run(["convert", "src", "--out", "wrong", "--schema", "wrong.json"]).exits(1);
    assert!(refused.stderr.contains("feature `views` has shape [0]"), "{}", refused.stderr);
}

/// A pipeline selects and renames such a column as any other.
#[test]
fn a_pipeline_renames_lists_of_images() {
    let work = converted(&source(&png(107)), &[]);
    let pipeline = "version: 1\nsource: src\nfields: {history: stack, others: views}\n";
    work.write("lists.yaml", pipeline);
    work.run(["run", "lists.yaml", "--out", "renamed"]).exits(0);
    work.run(["validate", "--deep", "renamed"]).exits(0);
    let (before, after) =
        (steps(&work), Dataset::open(work.path("renamed")).tables().remove("steps").unwrap());
    for (old, new) in [("stack", "history"), ("views", "others")] {
        let (old, new) = (before.column_by_name(old).unwrap(), after.column_by_name(new).unwrap());
        assert!((0..7).all(|row| frames(old, row) == frames(new, row)));
    }
    let fields = &work.json("renamed/schema.json")["fields"];
    assert_eq!((&fields["history"]["lists"], &fields["history"]["encoding"]), (&json!(1), &json!("png")));
}

/// A list of pictures with bytes that are none is damaged; where nothing is a picture, nobody can tell.
#[test]
fn bytes_that_are_no_picture_are_named() {
    let work = converted(&source(b"no picture"), &[]);
    let found = work.run(["validate", "--deep", "out", "--format", "json"]).exits(1).json();
    assert_eq!(found["findings"][0]["code"], "undecodable-frame");
    assert_eq!(found["findings"][0]["at"], "data/train-00000.parquet, row 3, feature `stack[1]`");
    let message = found["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("10 bytes that begin with `no pictu` are no picture"), "{message}");
}
