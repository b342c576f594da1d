//! What the crate `tfrecord` writes and reads, on random records. It takes every length on trust, so it is fed sound files alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    Array as _, ArrayRef,
    cast::AsArray as _,
    types::{Float32Type, Int64Type},
};
use built::{field, framed, varint};
use nodedata_core::{Format as _, OpenOptions, ReadOptions};
use nodedata_io::MemoryFiles;
use nodedata_rlds::RLDS;
use nodedata_testkit::damaged::Random;
use tfrecord::{
    BytesIter, BytesWriter, Example, ExampleIter, ExampleWriter, Feature, FeatureKind, RecordReaderConfig,
};

const SHARD: &str = "random-train.tfrecord-00000-of-00001";

/// A leaf of the steps: its key, and how many values a step has.
const LEAVES: [(&str, Kind, usize); 6] = [
    ("steps/float", Kind::Float, 1),
    ("steps/matrix", Kind::Float, 6),
    ("steps/int", Kind::Int, 1),
    ("steps/vector", Kind::Int, 3),
    ("steps/text", Kind::Text, 1),
    ("steps/texts", Kind::Text, 2),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Float,
    Int,
    Text,
}

const FEATURES: &str = r#"{"pythonClassName": "a.FeaturesDict", "featuresDict": {"features": {
  "steps": {"pythonClassName": "a.Dataset", "sequence": {"length": "-1", "feature": {"featuresDict": {"features": {
    "float": {"tensor": {"dtype": "float32", "shape": {}}},
    "matrix": {"tensor": {"dtype": "float32", "shape": {"dimensions": ["2", "3"]}}},
    "int": {"tensor": {"dtype": "int64", "shape": {}}},
    "vector": {"tensor": {"dtype": "int64", "shape": {"dimensions": ["3"]}}},
    "text": {"text": {}},
    "texts": {"tensor": {"dtype": "string", "shape": {"dimensions": ["2"]}}}}}}}}
}}}"#;

/// The values of an episode by key, in the terms of the crate.
type Values = BTreeMap<String, FeatureKind>;

fn bits(random: &mut Random) -> u64 {
    (random.below(1 << 32) as u64) << 32 | random.below(1 << 32) as u64
}

/// Lengths of all numbers of bytes, values at both ends of their type, floats of every kind.
fn values(random: &mut Random, kind: Kind, n: usize) -> FeatureKind {
    match kind {
        Kind::Float => FeatureKind::F32((0..n).map(|_| f32::from_bits(bits(random) as u32)).collect()),
        Kind::Int => FeatureKind::I64(
            (0..n)
                .map(|_| (bits(random) >> random.below(64)).cast_signed() * [1, -1][random.below(2)])
                .collect(),
        ),
        Kind::Text => {
            let text = |random: &mut Random| -> String {
                let n = [0, 1, 20, 200][random.below(4)];
                (0..n).map(|_| ['a', 'é', '—', '𝄞'][random.below(4)]).collect()
            };
            FeatureKind::Bytes((0..n).map(|_| text(random).into_bytes()).collect())
        }
    }
}

fn episode(random: &mut Random) -> Values {
    let n_steps = 1 + random.below(30);
    let of = |(key, kind, n): &(&str, Kind, usize)| ((*key).to_owned(), values(random, *kind, n_steps * n));
    LEAVES.iter().map(of).collect()
}

/// As the crate writes it.
fn by_crate(values: &Values) -> Example {
    let feature = |it: &FeatureKind| match it.clone() {
        FeatureKind::Bytes(all) => Feature::from_bytes_iter(all),
        FeatureKind::F32(all) => Feature::from_f32_iter(all),
        FeatureKind::I64(all) => Feature::from_i64_iter(all),
    };
    values.iter().map(|(key, it)| (key.clone(), feature(it))).collect()
}

/// As a writer may lay it out that does none of what TFDS does: numbers packed and not, lists, features and entries in
/// pieces, keys twice, in any order.
fn wildly(random: &mut Random, values: &Values) -> Vec<u8> {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for (key, kind) in values {
        let entry = |feature: &[u8]| field(1, &[field(1, key.as_bytes()), field(2, feature)].concat());
        if random.below(3) == 0 {
            // The last of a key is meant.
            let at = random.below(entries.len() + 1);
            entries.insert(at, entry(&list(random, &FeatureKind::I64(vec![1, 2, 3]))));
        }
        let feature = list(random, kind);
        entries.push(entry(&feature));
    }
    let mut record = Vec::new();
    while !entries.is_empty() {
        let n = 1 + random.below(entries.len());
        record.extend(field(1, &entries.drain(..n).collect::<Vec<_>>().concat()));
    }
    record
}

/// The one list of a feature, in one or several pieces.
fn list(random: &mut Random, kind: &FeatureKind) -> Vec<u8> {
    let mut feature = Vec::new();
    let n = match kind {
        FeatureKind::Bytes(all) => all.len(),
        FeatureKind::F32(all) => all.len(),
        FeatureKind::I64(all) => all.len(),
    };
    let mut start = 0;
    while start < n {
        let end = start + 1 + random.below(n - start);
        let is_packed = random.below(2) == 0;
        let piece: Vec<u8> = match kind {
            FeatureKind::Bytes(all) => all[start..end].iter().flat_map(|it| field(1, it)).collect(),
            FeatureKind::F32(all) => {
                let all = all[start..end].iter().map(|it| it.to_le_bytes());
                if is_packed {
                    field(1, &all.flatten().collect::<Vec<_>>())
                } else {
                    all.flat_map(|it| [vec![1 << 3 | 5], it.to_vec()].concat()).collect()
                }
            }
            FeatureKind::I64(all) => {
                let all = all[start..end].iter().map(|it| varint(it.cast_unsigned()));
                if is_packed {
                    field(1, &all.flatten().collect::<Vec<_>>())
                } else {
                    all.flat_map(|it| [vec![1 << 3], it].concat()).collect()
                }
            }
        };
        let number = match kind {
            FeatureKind::Bytes(_) => 1,
            FeatureKind::F32(_) => 2,
            FeatureKind::I64(_) => 3,
        };
        feature.extend(field(number, &piece));
        start = end;
    }
    feature
}

const CHECKED: RecordReaderConfig = RecordReaderConfig { check_integrity: true };

/// What the crate reads of a file.
fn read_by_crate(file: &[u8]) -> Vec<Values> {
    let examples = ExampleIter::from_reader(file, CHECKED).map(Result::unwrap);
    examples.map(|it| it.into_iter().map(|(key, it)| (key, it.into_kinds().unwrap())).collect()).collect()
}

/// What we read of it, each episode in one go and in pieces of a few steps.
fn read_by_us(file: &[u8], batch_bytes_max: usize) -> Vec<Values> {
    let files = MemoryFiles::default().with("features.json", FEATURES).with(SHARD, file.to_vec());
    let files = files.with("dataset_info.json", r#"{"name": "random"}"#);
    let source = RLDS.open(Arc::new(files), &OpenOptions::default()).unwrap();
    assert_eq!(source.plan().findings, []);
    let mut episodes = vec![Values::new(); source.plan().episodes.len()];
    for (partition, planned) in source.plan().partitions.iter().enumerate() {
        let options = ReadOptions { batch_bytes_max, ..ReadOptions::default() };
        let mut stream = source.read(partition, &options).unwrap();
        while let Some(batch) = stream.next_batch().unwrap() {
            for (key, kind, _) in LEAVES {
                let column = batch.rows.column_by_name(key.strip_prefix("steps/").unwrap()).unwrap();
                let values = episodes[planned.episode].entry(key.to_owned());
                extend(values.or_insert_with(|| empty(kind)), column);
            }
        }
    }
    episodes
}

fn empty(kind: Kind) -> FeatureKind {
    match kind {
        Kind::Float => FeatureKind::F32(Vec::new()),
        Kind::Int => FeatureKind::I64(Vec::new()),
        Kind::Text => FeatureKind::Bytes(Vec::new()),
    }
}

/// Adds the values of a column, at whatever depth its lists have them.
fn extend(values: &mut FeatureKind, column: &ArrayRef) {
    if let Some(lists) = column.as_fixed_size_list_opt() {
        let length = lists.value_length() as usize;
        return extend(values, &lists.values().slice(lists.offset() * length, lists.len() * length));
    }
    match values {
        FeatureKind::F32(all) => all.extend(column.as_primitive::<Float32Type>().values()),
        FeatureKind::I64(all) => all.extend(column.as_primitive::<Int64Type>().values()),
        FeatureKind::Bytes(all) => {
            all.extend(column.as_string::<i32>().iter().map(|it| it.unwrap().as_bytes().to_vec()));
        }
    }
}

/// The same values, and the same bits where they are floats.
fn assert_same(ours: &[Values], theirs: &[Values], seed: u64) {
    assert_eq!(ours.len(), theirs.len(), "seed {seed}");
    for (idx, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
        for (key, ours) in ours {
            let is_same = match (ours, &theirs[key]) {
                (FeatureKind::F32(ours), FeatureKind::F32(theirs)) => {
                    ours.iter().map(|it| it.to_bits()).eq(theirs.iter().map(|it| it.to_bits()))
                }
                (ours, theirs) => ours == theirs,
            };
            assert!(is_same, "seed {seed}, episode {idx}, {key}: {ours:?} instead of {:?}", theirs[key]);
        }
    }
}

#[test]
fn framing_is_that_of_the_crate() {
    let mut random = Random::new(21);
    for round in 0..50 {
        let lengths = [0, 1, 7, 8, 15, 16, 63, 64, 255, 256, 4095, 70_000];
        let records: Vec<Vec<u8>> = (0..random.below(20))
            .map(|_| (0..lengths[random.below(lengths.len())]).map(|_| random.below(256) as u8).collect())
            .collect();
        let mut theirs = Vec::new();
        {
            let mut writer = BytesWriter::from_writer(&mut theirs).unwrap();
            records.iter().for_each(|it| writer.send(it.clone()).unwrap());
        }
        let ours: Vec<u8> = records.iter().flat_map(|it| framed(it)).collect();
        assert!(ours == theirs, "round {round}: framed otherwise");
        let read: Vec<Vec<u8>> = BytesIter::from_reader(&ours[..], CHECKED).map(Result::unwrap).collect();
        assert!(read == records, "round {round}: the crate reads other records");

        // Ranges of records as we find them, whatever is in them.
        let files = MemoryFiles::default().with("features.json", FEATURES).with(SHARD, theirs);
        let files = files.with("dataset_info.json", r#"{"name": "random"}"#);
        let source = RLDS.open(Arc::new(files), &OpenOptions::default()).unwrap();
        let mut start = 0;
        let expected: Vec<_> = records
            .iter()
            .map(|it| {
                let range = start..start + it.len() as u64 + 16;
                start = range.end;
                range
            })
            .collect();
        let found = source.plan().partitions.iter().map(|it| it.reads[0].byte_range.clone());
        assert_eq!(found.collect::<Vec<_>>(), expected, "round {round}");
    }
}

#[test]
fn records_that_the_crate_writes_are_read_as_it_reads_them() {
    for seed in 1..60 {
        let mut random = Random::new(seed);
        let episodes: Vec<Values> = (0..1 + random.below(4)).map(|_| episode(&mut random)).collect();
        let mut file = Vec::new();
        {
            let mut writer = ExampleWriter::from_writer(&mut file).unwrap();
            episodes.iter().for_each(|it| writer.send(by_crate(it)).unwrap());
        }
        assert_same(&read_by_crate(&file), &episodes, seed);
        for batch_bytes_max in [ReadOptions::default().batch_bytes_max, 100] {
            assert_same(&read_by_us(&file, batch_bytes_max), &episodes, seed);
        }
    }
}

#[test]
fn records_in_wild_forms_are_read_as_the_crate_reads_them() {
    for seed in 1..200 {
        let mut random = Random::new(seed);
        let episodes: Vec<Values> = (0..1 + random.below(3)).map(|_| episode(&mut random)).collect();
        let file: Vec<u8> = episodes.iter().flat_map(|it| framed(&wildly(&mut random, it))).collect();
        assert_same(&read_by_crate(&file), &episodes, seed);
        for batch_bytes_max in [ReadOptions::default().batch_bytes_max, 100] {
            assert_same(&read_by_us(&file, batch_bytes_max), &episodes, seed);
        }
    }
}
