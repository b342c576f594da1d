//! Messages of recorded files, compared with what the official readers return.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use std::{collections::BTreeMap, path::Path};

use nodedata_ros::{Definitions, Dialect};
use nodedata_testkit::corpus;
use serde_json::{Value, json};
use support::{Topic, expected, mcap};

fn definitions(schema: &mcap::Schema) -> Definitions {
    let (name, text) = (&schema.name, &schema.text);
    match schema.encoding.as_str() {
        "ros1msg" => Definitions::from_msg(name, text, Dialect::Ros1),
        "ros2msg" => Definitions::from_msg(name, text, Dialect::Ros2),
        "ros2idl" | "omgidl" => Definitions::from_idl(name, text),
        other => panic!("schema encoding {other}"),
    }
    .unwrap_or_else(|err| panic!("{name}: {err}"))
}

type Row = Vec<(String, Value)>;

/// All ROS messages of a file by channel, decoded.
fn decode(path: &Path) -> BTreeMap<String, Vec<Row>> {
    let mut topics = BTreeMap::new();
    let mut rows: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for message in mcap::messages(path) {
        if !matches!(message.encoding.as_str(), "cdr" | "ros1") {
            continue;
        }
        let topic = topics
            .entry(message.channel.clone())
            .or_insert_with(|| Topic::new(&definitions(&message.schema), &message.schema.name));
        let row =
            if message.encoding == "cdr" { topic.cdr(&message.data) } else { topic.ros1(&message.data) };
        let row = row
            .unwrap_or_else(|err| panic!("{} {}: {err} at {}", path.display(), message.channel, err.locus()));
        rows.entry(message.channel).or_default().push(row);
    }
    rows
}

/// Compares first and last message of every channel with the truth file; returns how many it could.
#[track_caller]
fn check(name: &str) -> usize {
    let path = corpus::recording(name);
    let rows = decode(&path);
    let truth = std::fs::read(path.with_extension("truth.json")).unwrap();
    let truth: Value = serde_json::from_slice(&truth).unwrap();
    let mut n_compared = 0;
    for (channel, rows) in &rows {
        let truth = &truth["topics"][channel];
        assert_eq!(json!(rows.len()), truth["count"], "{name} {channel}");
        for (row, which) in [(rows.first(), "first"), (rows.last(), "last")] {
            // The official decoder refuses some types: the tests below know better.
            let Some(message) = truth[which].get("decoded") else { continue };
            for (column, found) in row.unwrap() {
                let expected = expected(message, column);
                let context = format!("{name} {channel} {which} {column}");
                match expected.get("len") {
                    Some(n) => assert_eq!(json!(found.as_array().unwrap().len()), *n, "{context}"),
                    None => assert_eq!(*found, expected, "{context}"),
                }
                n_compared += 1;
            }
        }
    }
    n_compared
}

#[test]
fn teleoperation() {
    for name in ["teleop", "unchunked"] {
        let n_compared = check(name);
        assert!(n_compared > 40, "{name}: {n_compared} values compared");
    }
}

#[test]
fn ros1_profile() {
    let n_compared = check("ros1_profile");
    assert_eq!(n_compared, 2 * (7 + 5 + 9 + 1));
}

#[test]
fn one_topic_with_two_definitions() {
    let n_compared = check("same_topic_two_ros2_schemas");
    assert_eq!(n_compared, 6);
}

#[test]
fn idl_and_big_endian() {
    let n_compared = check("ros2idl_and_bigendian");
    assert_eq!(n_compared, 2 * (10 + 3 + 4));
}

#[test]
fn wide_text_of_both_widths() {
    let rows = decode(&corpus::recording("ros2idl_and_bigendian"));
    let (two, four) = (&rows["/reading#3"], &rows["/reading_wchar4#2"]);
    assert_eq!(two.len(), 20);
    assert_eq!(two, four);
    let notes: Vec<&str> = two
        .iter()
        .map(|row| row.iter().find(|(name, _)| name == "note").unwrap().1.as_str().unwrap())
        .collect();
    assert!(notes.iter().any(|it| !it.is_ascii()));
}

#[test]
fn plain_omg_idl() {
    let rows = decode(&corpus::recording("other_encodings"));
    let rows = &rows["/axis#1"];
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[3].iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["kind", "value"]);
}

#[test]
fn service_events() {
    let bag = "logs/public/ros2+rosbag2/rosbag2_tests/resources/mcap/bag_with_topics_and_service_events/";
    let Some(bag) = corpus::folder(&format!("{bag}bag_with_topics_and_service_events.mcap")) else { return };
    let rows = decode(&bag);
    let mut n_events = 0;
    for (channel, rows) in rows.iter().filter(|(channel, _)| channel.contains("_service_event")) {
        for row in rows {
            let names: Vec<&str> = row.iter().map(|(name, _)| name.as_str()).collect();
            assert!(names.starts_with(&["info.event_type", "info.stamp", "info.client_gid"]), "{channel}");
            n_events += 1;
        }
    }
    assert!(n_events > 0, "channels: {:?}", rows.keys());
}

#[test]
fn damaged_payloads() {
    let path = corpus::fixtures("mcap/broken").join("cdr_bad_payloads.mcap");
    let results: Vec<Result<Value, String>> = mcap::messages(&path)
        .iter()
        .map(|message| {
            let topic = Topic::new(&definitions(&message.schema), &message.schema.name);
            let row = topic.cdr(&message.data);
            row.map(|mut it| it.remove(0).1).map_err(|err| format!("{:?}: {err}", err.kind()))
        })
        .collect();
    let texts: Vec<Option<&str>> =
        results.iter().map(|it| it.as_ref().ok().and_then(Value::as_str)).collect();
    let [good, None, None, None, Some(""), Some("abc"), xcdr2, None, padded] = texts[..] else {
        panic!("{results:#?}")
    };
    assert!(good.is_some() && xcdr2.is_some() && padded.is_some(), "{results:#?}");
    for error in results.iter().filter_map(|it| it.as_ref().err()) {
        assert!(error.starts_with("Corrupt"), "{error}");
    }
}
