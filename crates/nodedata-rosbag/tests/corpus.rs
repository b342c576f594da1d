//! Every bag of the corpus against what the reference reader says of it: all payloads, all topics.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_array::{Array as _, cast::AsArray as _, types::Int64Type};
use nodedata_core::{FindingKind, Format as _, OpenOptions, ReadOptions, Source};
use nodedata_io::LocalFiles;
use nodedata_rosbag::{RosBag2, SQLITE3};
use nodedata_testkit::corpus;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

static BAGS: RosBag2 = RosBag2::with(&[&SQLITE3, &nodedata_mcap::MCAP_FILE]);

/// What was read of a topic.
#[derive(Default)]
struct Topic {
    type_name: String,
    /// Position of the file, log time and payload, in order.
    messages: Vec<(usize, i64, Vec<u8>)>,
}

fn open(folder: &Path, options: &OpenOptions) -> Box<dyn Source> {
    let files = LocalFiles::folder(folder).unwrap();
    let source = BAGS.open(Arc::new(files), options);
    source.unwrap_or_else(|err| panic!("{}: {} at {}", folder.display(), err.chain(), err.locus()))
}

/// All messages of a bag as they are stored, by topic.
fn topics(folder: &Path) -> BTreeMap<String, Topic> {
    let options = OpenOptions { undecoded: vec!["*".to_owned()], ..OpenOptions::default() };
    let source = open(folder, &options);
    let plan = source.plan();
    assert_eq!(plan.findings_of(FindingKind::Damage).count(), 0);
    let mut topics: BTreeMap<String, Topic> = BTreeMap::new();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let file = partition.reads[0].input;
        let mut rows = source.read(idx, &ReadOptions::default()).unwrap();
        while let Some(batch) = rows.next_batch().unwrap() {
            let stream = &plan.streams[batch.stream.0 as usize];
            let topic = topics.entry(stream.metadata["topic"].clone()).or_default();
            topic.type_name = stream.metadata["schema_name"].clone();
            let times = batch.rows.column(0).as_primitive::<Int64Type>();
            let data = batch.rows.column_by_name("data").unwrap().as_binary::<i32>();
            assert_eq!(data.null_count(), 0);
            topic
                .messages
                .extend((0..times.len()).map(|it| (file, times.value(it), data.value(it).to_vec())));
        }
    }
    topics
}

/// A payload that the recorder packed by itself.
fn unpacked(data: &[u8]) -> Vec<u8> {
    if data.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) { zstd::decode_all(data).unwrap() } else { data.to_vec() }
}

fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    parts.into_iter().for_each(|it| hasher.update(it));
    hasher.finalize().iter().map(|it| format!("{it:02x}")).collect()
}

#[test]
fn every_bag_gives_what_its_truth_says() {
    let Some(corpus) = corpus::folder("logs") else { return };
    let mut n_bags = 0;
    for entry in std::fs::read_dir(corpus.join("rosbag2")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let truth = std::fs::read(corpus.join(format!("truth/rosbag2__{name}.json"))).unwrap();
        let truth: Value = serde_json::from_slice(&truth).unwrap();
        let found = topics(&folder);
        compare(&name, &truth, &found);
        n_bags += 1;
    }
    assert!(23 <= n_bags, "{n_bags}");
}

fn compare(name: &str, truth: &Value, found: &BTreeMap<String, Topic>) {
    let expected = truth["topics"].as_object().unwrap();
    if name == "wal_not_checkpointed" {
        // The reference does not look into the log beside the database: it has half of the messages.
        let n: usize = found.values().map(|it| it.messages.len()).sum();
        let n_told: u64 = expected.values().map(|it| it["count"].as_u64().unwrap()).sum();
        assert_eq!((n, n_told), (84, 42));
    }
    for (topic, told) in expected {
        let at = format!("{name}, {topic}");
        let n = told["count"].as_u64().unwrap() as usize;
        if n == 0 {
            continue;
        }
        let Some(Topic { type_name, messages }) = found.get(topic) else { panic!("{at}: no messages") };
        assert_eq!(told["type"].as_str().unwrap(), type_name, "{at}");
        // Without a description the reference does not see that payloads are packed.
        let is_packed = name == "mcap_zstd_message_no_metadata";
        let message = |(file, time, data): &(usize, i64, Vec<u8>)| {
            (*file, *time, if is_packed { data.clone() } else { unpacked(data) })
        };
        let mut messages: Vec<(usize, i64, Vec<u8>)> = messages.iter().map(message).collect();
        // The reference reads file by file, each in order of time.
        messages.sort_by_key(|it| (it.0, it.1));
        if name == "wal_not_checkpointed" {
            messages.truncate(n);
        }
        assert_eq!(messages.len(), n, "{at}");
        for (which, message) in [("first", messages.first()), ("last", messages.last())] {
            let (_, time, data) = message.unwrap();
            let told = &told[which];
            assert_eq!(told["log_time"].as_i64().unwrap(), *time, "{at}, {which}");
            assert_eq!(told["sha256"].as_str().unwrap(), sha256([&data[..]]), "{at}, {which}");
        }
        let all = sha256(messages.iter().map(|it| &it.2[..]));
        assert_eq!(told["payload_stream_sha256"].as_str().unwrap(), all, "{at}");
    }
}

#[test]
fn a_bag_is_read_without_its_description() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    let scratch = tempfile::tempdir().unwrap();
    for name in
        ["v5_schema3_humble_split", "v9_sqlite_zstd_file", "v9_sqlite_zstd_message", "v7_schema4_iron"]
    {
        let folder = scratch.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        for file in corpus::files(&corpus.join(name), "") {
            if !file.ends_with("metadata.yaml") {
                std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
            }
        }
        let (bare, described) = (topics(&folder), topics(&corpus.join(name)));
        assert!(bare.keys().eq(described.keys()), "{name}");
        assert!(bare.iter().all(|(topic, it)| it.messages == described[topic].messages), "{name}");
    }
}

#[test]
fn the_input_is_left_as_it_is() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let look = || {
        let files = corpus::files(scratch.path(), "").into_iter();
        let told = files.map(|it| {
            let about = it.metadata().unwrap();
            (it, about.len(), about.modified().unwrap())
        });
        told.collect::<Vec<_>>()
    };
    for file in corpus::files(&corpus.join("wal_not_checkpointed"), "") {
        std::fs::copy(&file, scratch.path().join(file.file_name().unwrap())).unwrap();
    }
    let before = look();
    assert!(!topics(scratch.path()).is_empty());
    assert_eq!(look(), before);
}

#[test]
fn public_bags_are_read() {
    let Some(public) = corpus::folder("logs/public/ros2+rosbag2") else { return };
    let mut to_do = vec![public];
    let mut n_bags = 0;
    while let Some(folder) = to_do.pop() {
        let entries: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
        to_do.extend(entries.iter().filter(|it| it.is_dir()).cloned());
        if entries.iter().any(|it| it.extension().is_some_and(|it| it == "db3")) {
            let source = open(&folder, &OpenOptions::default());
            assert!(!source.plan().streams.is_empty(), "{}", folder.display());
            let found = topics(&folder);
            n_bags += usize::from(!found.is_empty());
        }
    }
    assert!(5 <= n_bags, "{n_bags}");
}
