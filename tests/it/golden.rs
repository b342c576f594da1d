//! Recordings against what their official readers return.

use std::collections::BTreeMap;

use arrow_array::{RecordBatch, cast::AsArray as _, types::UInt64Type};
use nodedata_testkit::truth::{TopicTruth, sha256};
use serde_json::json;

use crate::{
    command::{Work, for_each},
    logs::{Log, fixtures, recordings},
    tables::{Dataset, int64, payloads, texts},
};

/// Topics of free JSON whose messages have nothing in common, and with one that is no JSON at all: all stay as they came.
const KEPT_AS_TEXT: [(&str, &str); 1] = [("other_encodings", "/bad_json")];

#[test]
fn recordings_say_what_the_official_readers_say() {
    for_each(&recordings(), check);
}

fn check(log: &Log) {
    let work = Work::new();
    let path = log.path.to_str().unwrap();
    let has_misfits = KEPT_AS_TEXT.iter().any(|it| it.0 == log.name());
    work.run(["convert", path, "--out", "decoded"]).exits(if has_misfits { 3 } else { 0 });
    work.run(["convert", path, "--out", "bytes", "--undecoded", "*"]).exits(0);
    let validated = work.run(["validate", "--deep", "decoded", "--format", "json"]).exits(0).json();
    assert_eq!(validated["rows"], log.truth.message_count, "{}", log.name());
    work.run(["validate", "--deep", "bytes"]).exits(0);
    let (decoded, bytes) = (Dataset::open(work.path("decoded")), Dataset::open(work.path("bytes")));
    let (tables, raw_tables) = (decoded.tables(), bytes.tables());
    assert_eq!(decoded.streams().len(), log.truth.topics.len(), "{}: streams", log.name());
    let n_rows = |tables: &BTreeMap<String, RecordBatch>| tables.values().map(RecordBatch::num_rows).sum();
    let n_found: [usize; 2] = [n_rows(&tables), n_rows(&raw_tables)];
    assert_eq!(n_found, [log.truth.message_count as usize; 2], "{}: rows", log.name());
    for topic in log.truth.topics.values() {
        let at = format!("{}, {}#{}", log.name(), topic.topic, topic.channel_id);
        let raw = &raw_tables[&bytes.stream_of(topic)];
        check_payloads(&at, topic, raw);
        let rows = &tables[&decoded.stream_of(topic)];
        assert_eq!(int64(rows, "log_time_ns"), int64(raw, "log_time_ns"), "{at}");
        if KEPT_AS_TEXT.contains(&(&log.name(), &topic.topic)) {
            let (text, unknown) = (texts(rows, "value"), rows.column_by_name("_unknown").unwrap());
            let unknown = unknown.as_binary::<i32>().iter();
            let kept = text.iter().zip(unknown).map(|it| match it {
                (Some(text), None) => text.as_bytes(),
                (None, Some(bytes)) => bytes,
                both => panic!("{at}: {both:?}"),
            });
            // No JSON has a number of that name: as text it is one.
            let came = payloads(raw).into_iter().map(|it| if it == b"NaN" { &b"\"NaN\""[..] } else { it });
            assert_eq!(kept.collect::<Vec<_>>(), came.collect::<Vec<_>>(), "{at}");
            continue;
        }
        check_values(&at, topic, rows, raw);
    }
    check_attachments(log, &decoded);
    check_metadata(log, &decoded);
}

fn check_payloads(at: &str, topic: &TopicTruth, raw: &RecordBatch) {
    assert_eq!(raw.num_rows() as u64, topic.count, "{at}: rows");
    let times = int64(raw, "log_time_ns");
    let range = (times.iter().min().copied().unwrap(), times.iter().max().copied().unwrap());
    assert_eq!(range, (topic.first_log_time as i64, topic.last_log_time as i64), "{at}: log times");
    let payloads = payloads(raw).concat();
    assert_eq!(payloads.len() as u64, topic.bytes, "{at}: bytes of payloads");
    assert_eq!(sha256(&payloads), topic.payload_stream_sha256, "{at}: payloads");
}

fn check_values(at: &str, topic: &TopicTruth, rows: &RecordBatch, raw: &RecordBatch) {
    let n = rows.num_rows();
    for (row, truth) in [(0, &topic.first), (n - 1, &topic.last)] {
        assert_eq!(payloads(raw)[row].len() as u64, truth.size, "{at}, row {row}: payload");
        assert_eq!(sha256(payloads(raw)[row]), truth.sha256, "{at}, row {row}: payload");
        let mut truth = truth.clone();
        if topic.is_raw_picture() {
            truth = truth.with_stored_pixels(payloads(raw)[row]);
        }
        let differences = truth.differences(rows, row).unwrap_or_default();
        assert_eq!(differences, [""; 0], "{at}, row {row}");
    }
}

fn check_attachments(log: &Log, dataset: &Dataset) {
    let wanted: Vec<_> = log
        .truth
        .attachments
        .iter()
        .map(|it| (Some(it.name.clone()), Some(it.media_type.clone()), it.size, it.sha256.clone()))
        .collect();
    let mut found = Vec::new();
    if dataset.manifest["index"].get("attachments").is_some() {
        let table = dataset.table("index/attachments.parquet");
        let sizes = table.column_by_name("bytes").unwrap().as_primitive::<UInt64Type>().values().to_vec();
        let columns = texts(&table, "name").into_iter().zip(texts(&table, "media_type"));
        for (((name, media_type), size), path) in columns.zip(sizes).zip(texts(&table, "path")) {
            let content = std::fs::read(dataset.root.join(path.unwrap())).unwrap();
            assert_eq!(content.len() as u64, size);
            found.push((name, media_type, size, sha256(&content)));
        }
    }
    assert_eq!(found, wanted, "{}: attachments", log.name());
}

/// Metadata records lie with every episode, as `<record>.<key>`, and what the header says beside them.
fn check_metadata(log: &Log, dataset: &Dataset) {
    let header = [("mcap.library", &log.truth.library), ("mcap.profile", &log.truth.profile)];
    let said = header.into_iter().filter(|it| !it.1.is_empty());
    let mut wanted: BTreeMap<String, String> = said.map(|it| (it.0.to_owned(), it.1.clone())).collect();
    for record in &log.truth.metadata {
        for (key, value) in &record.metadata {
            wanted.insert(format!("{}.{key}", record.name), value.clone());
        }
    }
    let episodes = dataset.table("index/episodes.parquet");
    assert_ne!(episodes.num_rows(), 0);
    let maps = episodes.column_by_name("metadata").unwrap().as_map();
    for row in 0..episodes.num_rows() {
        let entries = maps.value(row);
        let text =
            |column: usize| entries.column(column).as_string::<i32>().iter().map(|it| it.unwrap().to_owned());
        let found: BTreeMap<String, String> = text(0).zip(text(1)).collect();
        assert_eq!(found, wanted, "{}: metadata of row {row}", log.name());
    }
}

/// The official decoder refuses wide strings, and names that ROS itself gives to actions. What the
/// generator wrote is the truth there.
#[test]
fn what_the_official_readers_refuse_is_decoded() {
    let all = fixtures();
    let log = |name: &str| all.iter().find(|it| it.name() == name).unwrap();
    let work = Work::new();
    let path = |name: &str| log(name).path.to_str().unwrap().to_owned();
    work.run(["convert", &path("ros2idl_and_bigendian"), "--out", "idl"]).exits(0);
    let tables = Dataset::open(work.path("idl")).tables();
    for topic in ["/reading", "/reading_wchar4"] {
        let rows = &tables[topic];
        let notes: Vec<Option<String>> =
            (0..20).map(|k| Some(["h", "hé", "hé✓"][k % 3].to_owned())).collect();
        assert_eq!(texts(rows, "note"), notes, "{topic}");
        // What lies behind the wide string shows whether its end was found.
        assert_eq!(int64(rows, "ticks"), (0..20).map(|k| -k).collect::<Vec<i64>>(), "{topic}");
        let mut truth = log("ros2idl_and_bigendian").truth.topics["/reading_no_wstring#1"].clone();
        for (row, message, note) in [(0, &mut truth.first, "h"), (19, &mut truth.last, "hé")] {
            message.decoded.as_mut().unwrap()["note"] = json!(note);
            assert_eq!(message.differences(rows, row).unwrap(), [""; 0], "{topic}, row {row}");
        }
    }
    work.run(["convert", &path("teleop"), "--out", "teleop", "--topic", "/pick/_action/feedback"]).exits(0);
    let rows = &Dataset::open(work.path("teleop")).tables()["/pick/_action/feedback"];
    let names: Vec<String> = rows.schema().fields().iter().map(|it| it.name().clone()).collect();
    assert_eq!(names[4..6], ["goal_id.uuid", "feedback.progress"]);
    assert_eq!(rows.num_rows(), 8);
}
