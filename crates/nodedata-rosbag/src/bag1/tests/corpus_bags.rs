//! The bags of the shared corpus against what `rosbags` says of them.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use bytes::Bytes;
use nodedata_core::{ErrorKind, OpenOptions};
use nodedata_testkit::{
    corpus,
    source::{Case, conformance},
    truth::{BagTruth, MessageTruth, sha256},
};

use super::{Outcome, all_lost, damage, open, read, salvage, undecoded};
use crate::ROSBAG1;

/// Bags with their truth; none where the corpus is not there.
fn bags() -> Vec<(PathBuf, Bytes, BagTruth)> {
    let Some((bags, truths)) = corpus::folder("logs/rosbag1").zip(corpus::folder("logs/truth")) else {
        return Vec::new();
    };
    let with_truth = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let truth = BagTruth::load(&truths.join(format!("rosbag1__{name}.json")));
        (path.clone(), std::fs::read(path).unwrap().into(), truth)
    };
    let bags: Vec<_> = corpus::files(&bags, ".bag").into_iter().map(with_truth).collect();
    assert_eq!(bags.len(), 3);
    bags
}

/// The one that the broken ones are made of.
fn lz4() -> Option<(PathBuf, Bytes, BagTruth)> {
    bags().into_iter().find(|it| it.0.ends_with("ros1_lz4.bag"))
}

fn holds(name: &str, message: &MessageTruth, batch: &RecordBatch, row: usize) {
    let differences = message.differences(batch, row).unwrap();
    assert_eq!(differences, [] as [String; 0], "{name} row {row}");
}

/// Rows lie in the file in the order of their times.
fn equals_truth(name: &str, truth: &BagTruth, raw: &Outcome, decoded: &Outcome) {
    assert!(raw.errors.is_empty() && decoded.errors.is_empty(), "{name}: {:?}", decoded.errors);
    assert!(decoded.told.is_empty(), "{name}: {:?}", decoded.told);
    assert_eq!(decoded.n_rows() as u64, truth.message_count, "{name}");
    assert_eq!(decoded.topics.keys().collect::<Vec<_>>(), truth.topics.keys().collect::<Vec<_>>(), "{name}");
    for (topic, expected) in &truth.topics {
        let payloads = raw.payloads(topic);
        assert_eq!(payloads.len() as u64, expected.count, "{name} {topic}");
        assert_eq!(sha256(&payloads.concat()), expected.payload_stream_sha256, "{name} {topic}");
        let batches = &decoded.topics[topic];
        let (first, last) = (batches.first().unwrap(), batches.last().unwrap());
        holds(name, &expected.first, first, 0);
        holds(name, &expected.last, last, last.num_rows() - 1);
    }
}

#[test]
fn rows_are_those_of_the_official_reader() {
    for (path, bytes, truth) in bags() {
        let name = path.display().to_string();
        let (source, decoded) = read(&bytes, &OpenOptions::default());
        assert_eq!(source.plan().findings, [], "{name}");
        equals_truth(&name, &truth, &read(&bytes, &undecoded()).1, &decoded);
        let walked = OpenOptions { salvage: true, ..OpenOptions::default() };
        equals_truth(&name, &truth, &read(&bytes, &salvage()).1, &read(&bytes, &walked).1);
        for stream in &source.plan().streams {
            let type_name = stream.metadata["schema_name"].replace('/', "/msg/");
            assert_eq!(type_name, truth.topics[&*stream.name].type_name, "{name}");
        }
    }
}

#[test]
fn the_conformance_kit_holds_on_them() {
    for (path, ..) in bags() {
        conformance(&ROSBAG1, &Case::file(&path));
    }
}

fn broken(name: &str) -> Option<Bytes> {
    let folder = corpus::folder("logs/broken")?;
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("EXPECT.json")).unwrap()).unwrap();
    let of_bags = expected.as_object().unwrap().keys().filter(|it| it.ends_with(".bag"));
    assert_eq!(of_bags.collect::<Vec<_>>(), ["truncated.bag", "unindexed.bag"], "cases without a test");
    Some(std::fs::read(folder.join(name)).unwrap().into())
}

/// `index_pos = 0: recorder did not close the bag`: `scan chunks`.
#[test]
fn a_bag_that_was_not_closed_is_walked() {
    let Some((bag, (_, whole, truth))) = broken("unindexed.bag").zip(lz4()) else { return };
    for options in [undecoded(), salvage()] {
        let (source, outcome) = read(&bag, &options);
        assert!(damage(&*source).is_empty() && outcome.errors.is_empty());
        assert_eq!(outcome.n_rows() as u64, truth.message_count);
        for topic in truth.topics.keys() {
            assert_eq!(outcome.payloads(topic), read(&whole, &undecoded()).1.payloads(topic));
        }
    }
}

/// `index_pos points past the end`: the only chunk is cut.
#[test]
fn a_bag_that_was_cut_gives_what_is_in_front_of_the_cut() {
    let Some((bag, (_, whole, _))) = broken("truncated.bag").zip(lz4()) else { return };
    let err = open(&bag, &undecoded()).err().unwrap();
    assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Corrupt, Some(32532)), "{err}");
    assert!(err.to_string().contains("the index starts at byte 47198"), "{err}");
    assert!(err.hint().unwrap().contains("salvage"), "{err}");
    let (source, outcome) = read(&bag, &salvage());
    let (_, whole) = read(&whole, &undecoded());
    assert_eq!(outcome.reasons(), ["truncated"]);
    assert!(outcome.errors[0].loss().unwrap().uncounted, "{:?}", outcome.errors);
    assert!(!damage(&*source).is_empty());
    assert!(all_lost(&*source, &outcome).is_empty(), "nothing counts what is lost");
    // One block of LZ4 has all that is there of it.
    for topic in outcome.topics.keys() {
        let kept = outcome.payloads(topic);
        assert_eq!(kept, whole.payloads(topic)[..kept.len()], "{topic}");
    }
}
