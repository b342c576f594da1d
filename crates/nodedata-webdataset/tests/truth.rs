//! The WebDataset shards of the shared corpus against what `webdataset` reads from them.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_array::{
    Array as _, RecordBatch,
    cast::AsArray as _,
    types::{Float32Type, Float64Type, UInt16Type},
};
use built::{findings, ints, keys, leaves, texts, told};
use nodedata_core::{Format as _, OpenOptions, Source};
use nodedata_io::MemoryFiles;
use nodedata_testkit::{corpus, reading::read, truth::sha256};
use nodedata_webdataset::WEBDATASET;
use serde_json::Value;

fn open(folder: &Path, options: &OpenOptions) -> Box<dyn Source> {
    let files = corpus::files(folder, "").into_iter().fold(MemoryFiles::default(), |all, path| {
        let name = path.file_name().unwrap().to_owned();
        all.with(name, std::fs::read(&path).unwrap())
    });
    WEBDATASET.open(Arc::new(files), options).unwrap()
}

fn all_rows(source: &dyn Source) -> Vec<RecordBatch> {
    let (rows, damage) = read(source);
    assert!(damage.is_empty(), "{damage:?}");
    rows
}

/// The row of a key, as a batch of one.
fn row_of(rows: &[RecordBatch], key: &str) -> RecordBatch {
    let found = rows.iter().find_map(|batch| {
        let keys = batch.column_by_name("__key__").unwrap().as_string::<i32>();
        (0..keys.len()).find(|it| keys.value(*it) == key).map(|it| batch.slice(it, 1))
    });
    found.unwrap()
}

fn check(name: &str) {
    let Some(folder) = corpus::folder(&format!("episodes/webdataset/{name}")) else { return };
    let truth = corpus::folder(&format!("episodes/truth/webdataset_{name}.json")).unwrap();
    let truth: Value = serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
    let raw = all_rows(
        open(&folder, &OpenOptions { undecoded: vec!["steps".to_owned()], ..Default::default() }).as_ref(),
    );
    let expected: Vec<String> = serde_json::from_value(truth["keys"].clone()).unwrap();
    assert_eq!(keys(&raw), expected);
    // Which fields samples have.
    let mut fields: BTreeMap<String, u64> = BTreeMap::new();
    for batch in &raw {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let names = schema.fields().iter().zip(batch.columns()).skip(2);
            let names: Vec<&str> =
                names.filter(|it| it.1.is_valid(row)).map(|it| it.0.name().as_str()).collect();
            *fields.entry(names.join(",")).or_default() += 1;
        }
    }
    assert_eq!(serde_json::to_value(fields).unwrap(), truth["fields"]);
    for (key, members) in truth["raw_sha256"].as_object().unwrap() {
        let row = row_of(&raw, key);
        for (field, hash) in members.as_object().unwrap() {
            let bytes = row.column_by_name(field).unwrap().as_binary::<i32>().value(0);
            assert_eq!(sha256(bytes), hash.as_str().unwrap(), "{key}.{field}");
        }
    }
    let source = open(&folder, &OpenOptions::default());
    assert!(findings(source.as_ref()).is_empty(), "{:?}", findings(source.as_ref()));
    let rows = all_rows(source.as_ref());
    for (key, members) in truth["decoded"].as_object().unwrap() {
        check_decoded(&row_of(&rows, key), members);
    }
}

fn check_decoded(row: &RecordBatch, truth: &Value) {
    let rows = std::slice::from_ref(row);
    assert_eq!(ints(rows, "cls")[0], truth["cls"].as_i64());
    assert_eq!(texts(rows, "txt")[0].as_deref(), truth["txt"].as_str());
    let json = &truth["json"];
    assert_eq!(ints(rows, "json.episode_index")[0], json["episode_index"].as_i64());
    assert_eq!(ints(rows, "json.frame_index")[0], json["frame_index"].as_i64());
    let done = row.column_by_name("json.done").unwrap().as_boolean().value(0);
    assert_eq!(Some(done), json["done"].as_bool());
    let action = row.column_by_name("json.action").unwrap().as_list::<i32>().value(0);
    let action = action.as_primitive::<Float64Type>().values().to_vec();
    assert_eq!(serde_json::to_value(action).unwrap(), json["action"]);
    let state = row.column_by_name("state.npy").unwrap().as_fixed_size_list().value(0);
    let state: Vec<f64> =
        state.as_primitive::<Float32Type>().values().iter().map(|it| f64::from(*it)).collect();
    assert_eq!(serde_json::to_value(state).unwrap(), truth["state.npy"]["values"]);
    let depth = row.column_by_name("depth.npz.mm").unwrap().as_fixed_size_list().value(0);
    let values = leaves(&depth);
    let values = values.iter().flat_map(|it| it.as_primitive::<UInt16Type>().values().to_vec());
    let values = values.flat_map(u16::to_le_bytes);
    let array = &truth["depth.npz"]["mm"];
    let shape: Vec<String> = array["shape"].as_array().unwrap().iter().map(Value::to_string).collect();
    let told = format!("<u2({})", shape.join(", ")).into_bytes();
    assert_eq!(
        sha256(&told.into_iter().chain(values).collect::<Vec<u8>>()),
        array["sha256"].as_str().unwrap()
    );
    if let Some(audio) = truth.get("audio.flac") {
        let bytes = row.column_by_name("audio.flac").unwrap().as_struct().column(0).clone();
        assert_eq!(sha256(bytes.as_binary::<i32>().value(0)), audio["bytes_sha256"].as_str().unwrap());
    }
}

#[test]
fn frames() {
    check("frames");
}

#[test]
fn frames_packed() {
    check("frames_gz");
}

/// Shards that others have written: their members as their names say.
#[test]
fn public_shards() {
    let Some(folder) = corpus::folder("episodes/public/webdataset") else { return };
    let open = |name: &str| {
        let files = MemoryFiles::default().with(name, std::fs::read(folder.join(name)).unwrap());
        WEBDATASET.open(Arc::new(files), &OpenOptions::default()).unwrap()
    };
    let numbers = open("mpdata.tar");
    assert_eq!(told(numbers.as_ref()), ["__key__ string", "mp.x int64", "mp.y int64"]);
    let rows = all_rows(numbers.as_ref());
    let (x, y) = (ints(&rows, "mp.x"), ints(&rows, "mp.y"));
    assert_eq!(x, (0..100).map(Some).collect::<Vec<_>>());
    assert!(x.iter().zip(&y).all(|(x, y)| y.unwrap() == x.unwrap() * x.unwrap()), "{y:?}");

    let tensors = open("tendata.tar");
    assert_eq!(told(tensors.as_ref()), ["__key__ string", "ten bytes"]);
    assert!(findings(tensors.as_ref())[0].contains("100 members `ten` are never opened"));
    let rows = all_rows(tensors.as_ref());
    let lengths: Vec<usize> = rows
        .iter()
        .flat_map(|it| {
            it.column_by_name("ten").unwrap().as_binary::<i32>().iter().map(|it| it.unwrap().len())
        })
        .collect();
    assert_eq!(lengths, [12_736; 100]);

    let packed = open("testgz.tar");
    assert_eq!(told(packed.as_ref()), ["__key__ string", "txt.gz string"]);
    let lines = texts(&all_rows(packed.as_ref()), "txt.gz");
    assert_eq!(lines.len(), 1000);
    assert!(lines.iter().all(|it| it.as_ref().is_some_and(|it| !it.is_empty())));
    assert_eq!(texts(&all_rows(open("compressed.tar").as_ref()), "txt.gz").len(), 3);

    let pictures = open("sample.tgz");
    assert_eq!(told(pictures.as_ref()), ["__key__ string", "cls int64", "png bytes, encoded"]);
    let rows = all_rows(pictures.as_ref());
    assert!(ints(&rows, "cls").iter().all(|it| (0..10).contains(&it.unwrap())));
}
