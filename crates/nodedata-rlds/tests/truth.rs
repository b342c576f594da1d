//! The RLDS sets of the shared corpus against what TFDS reads from them.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::{path::Path, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use built::cells::value;
use nodedata_core::{EpisodeFacts, Fact, Format as _, OpenOptions, ReadOptions, Source};
use nodedata_io::MemoryFiles;
use nodedata_media::decode_image;
use nodedata_rlds::RLDS;
use nodedata_testkit::{corpus, truth::sha256};
use serde_json::{Value, json};

/// The files of a folder, not of those below it.
fn files(folder: &Path) -> MemoryFiles {
    corpus::files(folder, "").into_iter().fold(MemoryFiles::default(), |all, path| {
        let name = path.file_name().unwrap().to_owned();
        all.with(name, std::fs::read(&path).unwrap())
    })
}

/// All rows of an episode, and what it says of itself.
fn read(source: &dyn Source, episode: usize) -> (Vec<RecordBatch>, EpisodeFacts) {
    let (mut rows, mut facts) = (Vec::new(), None);
    for (idx, _) in source.plan().partitions.iter().enumerate().filter(|it| it.1.episode == episode) {
        // Small batches, so that reading goes on within lists.
        let options = ReadOptions { batch_bytes_max: 20_000, ..ReadOptions::default() };
        let mut stream = source.read(idx, &options).unwrap();
        while let Some(batch) = stream.next_batch().unwrap() {
            rows.push(batch.rows);
        }
        facts = stream.facts().cloned().or(facts);
    }
    (rows, facts.unwrap())
}

/// Numbers one after the other, as bytes.
fn bytes_of(value: &Value, dtype: &str, bytes: &mut Vec<u8>) {
    match (value, dtype) {
        (Value::Array(items), _) => items.iter().for_each(|it| bytes_of(it, dtype, bytes)),
        (it, "float32") => bytes.extend((it.as_f64().unwrap() as f32).to_le_bytes()),
        (it, "uint8") => bytes.push(it.as_u64().unwrap() as u8),
        (_, other) => panic!("an array of {other}"),
    }
}

fn hash(dtype: &str, shape: &str, bytes: &[u8]) -> String {
    let name = match dtype {
        "float32" => "<f4",
        "uint8" => "|u1",
        "uint16" => "<u2",
        other => panic!("an array of {other}"),
    };
    sha256(&[format!("{name}{shape}").as_bytes(), bytes].concat())
}

/// A shape as Python prints it.
fn shape_of(truth: &Value) -> String {
    let sizes: Vec<String> = truth["shape"].as_array().unwrap().iter().map(Value::to_string).collect();
    format!("({})", sizes.join(", "))
}

/// How a value differs from what TFDS read; `pixels` are the bytes of encoded images.
fn difference(found: &Value, is_image: bool, truth: &Value) -> Option<String> {
    let (told, is_same) = if let Some(ragged) = truth.get("ragged") {
        (ragged.clone(), found == ragged)
    } else if let Some(values) = truth.get("values") {
        (values.clone(), equal(found, values))
    } else {
        let dtype = truth["dtype"].as_str().unwrap();
        let mut bytes = Vec::new();
        match is_image {
            true => {
                let images: Vec<Vec<u8>> = match found.as_array().unwrap().first() {
                    Some(Value::Array(_)) => serde_json::from_value(found.clone()).unwrap(),
                    _ => vec![serde_json::from_value(found.clone()).unwrap()],
                };
                // What a JPEG decodes to is its decoder's.
                if images.iter().any(|it| it.starts_with(b"\xff\xd8")) {
                    return None;
                }
                images.iter().for_each(|it| bytes.extend(decode_image(it).unwrap().pixels));
            }
            false => bytes_of(found, dtype, &mut bytes),
        }
        (truth["sha256"].clone(), truth["sha256"] == hash(dtype, &shape_of(truth), &bytes))
    };
    (!is_same).then(|| format!("found {found:.300}, expected {told:.300}"))
}

/// Numbers are as large as one another, whatever they are written as.
fn equal(found: &Value, truth: &Value) -> bool {
    match (found, truth) {
        (Value::Array(found), Value::Array(truth)) => {
            found.len() == truth.len() && found.iter().zip(truth).all(|(found, truth)| equal(found, truth))
        }
        (Value::Number(found), Value::Number(truth)) if found.is_f64() || truth.is_f64() => {
            found.as_f64() == truth.as_f64()
        }
        _ => found == truth,
    }
}

/// Holds a step against the truth; returns how many values were compared.
fn check_step(at: &str, rows: &RecordBatch, row: usize, truth: &Value, images: &Value) -> usize {
    for (key, truth) in truth.as_object().unwrap() {
        let name = key.replace('/', ".");
        let column = rows.column_by_name(&name).unwrap_or_else(|| panic!("{at}: no column {name}"));
        let found = value(column, row);
        let mut inner = column.data_type().clone();
        while let DataType::List(item) | DataType::FixedSizeList(item, _) = &inner {
            inner = item.data_type().clone();
        }
        let is_image = matches!(inner, DataType::Struct(_));
        if let Some(told) = difference(&found, is_image, truth) {
            panic!("{at}, {name}: {told}");
        }
        if let (Some(hash), true) = (images.get(key), is_image) {
            let bytes: Vec<u8> = serde_json::from_value(found).unwrap();
            assert_eq!(hash, &json!(sha256(&bytes)), "{at}, {name}");
        }
    }
    truth.as_object().unwrap().len()
}

fn check_facts(at: &str, facts: &EpisodeFacts, truth: &Value) {
    for (key, truth) in truth.as_object().unwrap() {
        let fact = facts.metadata.get(&key.replace('/', ".")).unwrap_or_else(|| panic!("{at}: no {key}"));
        let found = match fact {
            Fact::Bool(it) => json!(it),
            Fact::Int(it) => json!(it),
            Fact::Float(it) => json!(it),
            Fact::Text(it) if truth["shape"] == json!([]) => json!(it),
            Fact::Text(it) => serde_json::from_str(it).unwrap(),
        };
        let truth = truth.get("ragged").unwrap_or(&truth["values"]);
        assert!(equal(&found, truth), "{at}, {key}: found {found}, expected {truth}");
    }
    assert_eq!(facts.metadata.len(), truth.as_object().unwrap().len(), "{at}");
}

/// Returns how many values of steps were compared.
fn check(name: &str, truth: &str) -> Option<usize> {
    let folder = corpus::folder(&format!("episodes/rlds/{name}/1.0.0"))?;
    let truth = std::fs::read(corpus::folder(&format!("episodes/truth/{truth}.json"))?).unwrap();
    let truth: Value = serde_json::from_slice(&truth).unwrap();
    let source = RLDS.open(Arc::new(files(&folder)), &OpenOptions::default()).unwrap();
    let plan = source.plan();
    assert_eq!((plan.findings.len(), plan.unselected.len()), (0, 0));
    let mut n_values = 0;
    for (split, truth) in truth["splits"].as_object().unwrap() {
        let episodes = plan.episodes.iter().enumerate();
        let episodes = episodes.filter(|it| it.1.split.as_ref() == Some(split)).map(|it| it.0);
        let episodes: Vec<usize> = episodes.collect();
        let truth = truth["episodes"].as_array().unwrap();
        assert_eq!(episodes.len(), truth.len(), "{name} {split}");
        for (episode, truth) in episodes.into_iter().zip(truth) {
            let at = format!("{name}, {split}, episode {episode}");
            let (rows, facts) = read(source.as_ref(), episode);
            let n_steps: usize = rows.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(json!(n_steps), truth["length"], "{at}");
            let last = rows.last().unwrap();
            for (step, rows, row) in [("first_step", &rows[0], 0), ("last_step", last, last.num_rows() - 1)] {
                let images = &truth[format!("{step}_image_bytes_sha256")];
                n_values += check_step(&format!("{at}, {step}"), rows, row, &truth[step], images);
            }
            check_facts(&at, &facts, &truth["episode"]);
        }
    }
    Some(n_values)
}

#[test]
fn the_shape_of_open_x() {
    if let Some(n_values) = check("robot_oxe", "rlds_oxe") {
        assert_eq!(n_values, 5 * 2 * 16);
    }
}

/// Every encoding that TFDS has: lists in lists, tensors as bytes and deflated, shapes beside values, floats as PNG.
#[test]
fn what_is_rare() {
    if let Some(n_values) = check("robot_exotic", "rlds_exotic") {
        assert_eq!(n_values, 3 * 2 * 20);
    }
}
