//! A small RLDS dataset, built in memory: what TFDS would write, without TFDS.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod cells;

use std::path::PathBuf;

use bytes::Bytes;

pub(crate) mod damaged;

/// The name of the first shard of the training split, with the episodes of 3 and 1 steps.
pub(crate) const TRAIN: &str = "arm-train.tfrecord-00000-of-00002";
/// The name of the shard of the validation split.
pub(crate) const VAL: &str = "arm-val.tfrecord-00000-of-00001";

/// A value of `tf.train.Feature`.
#[derive(Clone)]
pub(crate) enum Value {
    /// A key that has none.
    Nothing,
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<Vec<u8>>),
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], &varint(bytes.len() as u64)[..], bytes].concat()
}

pub(crate) fn example(entries: &[(&str, Value)]) -> Vec<u8> {
    let entries: Vec<u8> = entries
        .iter()
        .flat_map(|(key, value)| {
            let feature = match value {
                Value::Nothing => return field(1, &field(1, key.as_bytes())),
                Value::Texts(all) => field(1, &all.iter().flat_map(|it| field(1, it)).collect::<Vec<_>>()),
                Value::Floats(all) => {
                    let packed: Vec<u8> = all.iter().flat_map(|it| it.to_le_bytes()).collect();
                    field(2, &field(1, &packed))
                }
                Value::Ints(all) => {
                    let packed: Vec<u8> = all.iter().flat_map(|it| varint(it.cast_unsigned())).collect();
                    field(3, &field(1, &packed))
                }
            };
            field(1, &[field(1, key.as_bytes()), field(2, &feature)].concat())
        })
        .collect();
    field(1, &entries)
}

/// A record with its head and tail.
pub(crate) fn framed(record: &[u8]) -> Vec<u8> {
    let length = (record.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), record, &masked_crc(record)].concat()
}

pub(crate) fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc_fast::crc32_iscsi(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The smallest PNG there is: one gray pixel.
pub(crate) const PNG: [u8; 67] = [
    0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8,
    0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0x68, 0, 0, 0,
    0x82, 0, 0x81, 0x77, 0xcd, 0x72, 0xb6, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

/// The values of an episode of `n` steps.
pub(crate) fn entries(id: i64, n: i64) -> Vec<(&'static str, Value)> {
    let of = |make: &dyn Fn(i64) -> i64| Value::Ints((0..n).map(make).collect());
    let floats = |per: i64| Value::Floats((0..n * per).map(|it| it as f32 * 0.5 - id as f32).collect());
    let texts = |make: &dyn Fn(i64) -> Vec<u8>| Value::Texts((0..n).map(make).collect());
    vec![
        ("episode_metadata/file_path", Value::Texts(vec![format!("raw/{id}.hdf5").into()])),
        ("episode_metadata/id", Value::Ints(vec![id])),
        ("episode_metadata/success", Value::Ints(vec![id % 2])),
        ("episode_metadata/score", Value::Floats(vec![0.25])),
        ("steps/action", floats(6)),
        ("steps/is_first", of(&|it| i64::from(it == 0))),
        ("steps/is_last", of(&|it| i64::from(it == n - 1))),
        ("steps/language_instruction", texts(&|_| "place the cube — gently".into())),
        ("steps/observation/image", texts(&|it| [&PNG[..], &[it as u8]].concat())),
        ("steps/observation/ticks", of(&|it| if it == 1 { -1 } else { it * 1000 })),
        ("steps/precise", floats(1)),
        ("steps/small", of(&|it| -it)),
    ]
}

pub(crate) const FEATURES: &str = r#"{"pythonClassName": "a.FeaturesDict", "featuresDict": {"features": {
  "episode_metadata": {"featuresDict": {"features": {
    "file_path": {"pythonClassName": "a.Text", "text": {}},
    "id": {"tensor": {"dtype": "int32", "encoding": "none", "shape": {}}},
    "score": {"tensor": {"dtype": "float32", "shape": {}}},
    "success": {"tensor": {"dtype": "bool", "shape": {}}}}}},
  "steps": {"pythonClassName": "a.Dataset", "sequence": {"length": "-1", "feature": {"featuresDict": {"features": {
    "action": {"description": "Joints.", "tensor": {"dtype": "float32", "shape": {"dimensions": ["2", "3"]}}},
    "is_first": {"tensor": {"dtype": "bool", "shape": {}}},
    "is_last": {"tensor": {"dtype": "bool", "shape": {}}},
    "language_instruction": {"text": {}},
    "observation": {"featuresDict": {"features": {
      "image": {"image": {"dtype": "uint8", "encodingFormat": "png", "shape": {"dimensions": ["1", "1", "1"]}}},
      "ticks": {"tensor": {"dtype": "uint64", "shape": {}}}}}},
    "precise": {"tensor": {"dtype": "float64", "shape": {"dimensions": ["1"]}}},
    "small": {"tensor": {"dtype": "int8", "shape": {}}}}}}}}
}}}"#;

pub(crate) const INFO: &str = r#"{"name": "arm", "version": "1.2.0", "citation": "cite me", "description": "An arm.",
  "redistributionInfo": {"license": "CC-BY-4.0"}, "fileFormat": "tfrecord", "splits": [
  {"name": "train", "shardLengths": ["2", "1"]}, {"name": "val", "shardLengths": ["1"]}]}"#;

/// The files of a dataset by name.
pub(crate) type Files = Vec<(PathBuf, Bytes)>;

/// Three episodes to train and one to validate, with 3, 1, 4 and 2 steps.
pub(crate) fn dataset() -> Files {
    let shard = |of: &[(i64, i64)]| -> Bytes {
        of.iter().flat_map(|(id, n)| framed(&example(&entries(*id, *n)))).collect::<Vec<u8>>().into()
    };
    vec![
        ("arm-train.tfrecord-00000-of-00002".into(), shard(&[(0, 3), (1, 1)])),
        ("arm-train.tfrecord-00001-of-00002".into(), shard(&[(2, 4)])),
        (VAL.into(), shard(&[(3, 2)])),
        ("dataset_info.json".into(), INFO.into()),
        ("features.json".into(), FEATURES.into()),
    ]
}

/// The same with other content in one file.
pub(crate) fn with(name: &str, content: impl Into<Bytes>) -> Files {
    let mut files = dataset();
    files.iter_mut().find(|it| it.0.as_os_str() == name).expect("there is such a file").1 = content.into();
    files
}

/// The files of the fixture of rare kinds.
pub(crate) fn kinds() -> Files {
    let folder = nodedata_testkit::corpus::fixtures("rlds/kinds/1.0.0");
    let read = |path: PathBuf| -> (PathBuf, Bytes) {
        let bytes = std::fs::read(&path).expect("the fixture can be read");
        (path.file_name().expect("it is a file").into(), bytes.into())
    };
    nodedata_testkit::corpus::files(&folder, "").into_iter().map(read).collect()
}
