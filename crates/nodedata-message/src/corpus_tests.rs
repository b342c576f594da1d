//! Every topic of the recordings in the repository, against what the official readers returned.

use std::collections::BTreeMap;

use nodedata_core::Dim;
use nodedata_testkit::corpus;
use serde_json::Value as Json;

use crate::{
    JsonInference, MessageDecoder, MessageSchema,
    protobuf::tests::truth,
    test_rows::{Rows, Topic},
};

/// One channel of a file.
struct Recorded {
    name: String,
    message_encoding: String,
    schema: Option<(String, String, Vec<u8>)>,
    payloads: Vec<Vec<u8>>,
}

/// The channels of a recording by `<topic>#<id>`.
fn channels(name: &str) -> BTreeMap<String, Recorded> {
    let log = std::fs::read(corpus::recording(name)).unwrap();
    let mut channels: BTreeMap<String, Recorded> = BTreeMap::new();
    for message in mcap::MessageStream::new(&log).unwrap().map(Result::unwrap) {
        let channel = &message.channel;
        let key = format!("{}#{}", channel.topic, channel.id);
        let recorded = channels.entry(key.clone()).or_insert_with(|| Recorded {
            name: key,
            message_encoding: channel.message_encoding.clone(),
            schema: channel
                .schema
                .as_ref()
                .map(|it| (it.name.clone(), it.encoding.clone(), it.data.to_vec())),
            payloads: Vec::new(),
        });
        recorded.payloads.push(message.data.to_vec());
    }
    channels
}

impl Recorded {
    fn topic(&self) -> Topic {
        let (name, encoding, data) = self.schema.clone().unwrap_or_default();
        let schema = MessageSchema {
            message_encoding: &self.message_encoding,
            schema_encoding: &encoding,
            schema_name: &name,
            schema: &data,
        };
        if schema.needs_inference() {
            return Topic::inferred(JsonInference::default(), &self.payloads);
        }
        Topic::new(|layout| MessageDecoder::compile(layout, &schema))
            .unwrap_or_else(|err| panic!("{}: {err}", self.name))
    }

    fn decode(&self) -> (Topic, Rows) {
        let topic = self.topic();
        let rows =
            topic.decode(&self.payloads).unwrap_or_else(|err| panic!("{} {}: {err}", self.name, err.locus()));
        (topic, rows)
    }
}

/// Files whose every message the schema describes.
const FILES: [&str; 10] = [
    "json_and_cbor",
    "other_encodings",
    "foxglove_protobuf_none",
    "foxglove_sdk_lz4",
    "foxglove_video_h264",
    "foxglove_flatbuffer",
    "ros1_profile",
    "ros2idl_and_bigendian",
    "teleop",
    "same_topic_two_ros2_schemas",
];

#[test]
fn every_recorded_message_becomes_a_row() {
    for file in FILES {
        let channels = channels(file);
        let truth = truth(file);
        for (key, expected) in truth.as_object().unwrap() {
            let n_expected = expected["count"].as_u64().unwrap();
            let Some(recorded) = channels.get(key) else {
                assert_eq!(n_expected, 0, "{file} {key}");
                continue;
            };
            let (topic, rows) = recorded.decode();
            let opaque = ["/opaque#5", "/msgpack#2", "/capnp#3", "/bad_json#4", "/empty_encoding#5"];
            let is_opaque = file == "json_and_cbor" || file == "other_encodings";
            let is_opaque = is_opaque && opaque.contains(&key.as_str());
            assert_eq!(topic.decoder.is_opaque(), is_opaque, "{file} {key}");
            for (name, values) in &rows.columns {
                assert_eq!(values.len() as u64, n_expected, "{file} {key} {name}");
            }
        }
    }
}

/// A JSON value as the columns print it.
fn printed(value: &Json, is_float: bool) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(|it| printed(it, is_float)).collect();
            format!("[{}]", items.join(","))
        }
        Json::Number(number) if is_float => format!("{:?}", number.as_f64().unwrap()),
        other => other.to_string(),
    }
}

#[test]
fn json_and_cbor_read_as_the_official_readers_read_them() {
    let file = "json_and_cbor";
    let channels = channels(file);
    let truth = truth(file);
    for key in ["/arm#1", "/arm#2", "/cbor#4"] {
        let (topic, rows) = channels[key].decode();
        let q = topic.layout.features().find(|it| it.name == "q").unwrap();
        assert_eq!(q.shape, [Dim::Fixed(6)]);
        let n_rows = channels[key].payloads.len();
        for (row, end) in [(0, "first"), (n_rows - 1, "last")] {
            let decoded = &truth[key][end]["decoded"];
            for (name, value, is_float) in [
                ("t", &decoded["t"], false),
                ("q", &decoded["q"], true),
                ("gripper", &decoded["gripper"], true),
                ("phase", &decoded["phase"], false),
                ("pose.x", &decoded["pose"]["x"], true),
                ("pose.y", &decoded["pose"]["y"], true),
            ] {
                assert_eq!(rows.column(name)[row], printed(value, is_float), "{key} {name} {end}");
            }
            let image = if key == "/cbor#4" { "ffd8ff" } else { "ffd8ffe00010" };
            assert_eq!(rows.column("img")[row], image);
            assert_eq!(rows.column("_extra")[row], "null");
        }
    }
    let (topic, rows) = channels["/free#3"].decode();
    assert_eq!(topic.types(), ["any int64", "nested.a int64[-1]?", "nested.b string[-1]?", "big uint64"]);
    assert_eq!(
        (rows.column("any")[39].as_str(), rows.column("big")[39].as_str()),
        ("39", "9223372036854775847")
    );
    assert_eq!(
        (rows.column("nested.a")[39].as_str(), rows.column("nested.b")[39].as_str()),
        ("[1,null]", "[null,é]")
    );
}

#[test]
fn recorded_images_tell_what_they_hold() {
    let expected: [(&str, &str, &str, &[u32]); 8] = [
        ("teleop", "/camera/wrist/image/compressed", "jpeg", &[96, 96, 3]),
        ("teleop", "/camera/depth/image_raw", "raw", &[48, 64]),
        ("teleop", "/camera/thumb/image_raw", "raw", &[12, 20, 3]),
        ("foxglove_protobuf_none", "/camera", "jpeg", &[64, 64, 3]),
        ("foxglove_protobuf_none", "/depth", "raw", &[48, 64]),
        ("foxglove_flatbuffer", "/camera", "jpeg", &[64, 64, 3]),
        ("foxglove_video_h264", "/video", "h264", &[]),
        ("ros1_profile", "/cam/compressed", "jpeg", &[96, 96, 3]),
    ];
    for (file, name, encoding, shape) in expected {
        let channels = channels(file);
        let recorded = channels.values().find(|it| it.name.split('#').next() == Some(name)).unwrap();
        let (topic, rows) = recorded.decode();
        let data = topic.layout.features().position(|it| it.name == "data").unwrap();
        let [found] = rows.pixels.as_slice() else { panic!("{file} {name}: {:?}", rows.pixels) };
        assert_eq!((found.column, found.encoding.as_str()), (data, encoding), "{file} {name}");
        assert_eq!(found.shape, shape, "{file} {name}");
        assert_eq!(found.n_rows, recorded.payloads.len() as u64, "{file} {name}");
        if encoding == "h264" {
            // One every 15 frames, as the encoder was told, and one more where it saw a cut.
            let keys: Vec<usize> = rows
                .column("data.keyframe")
                .iter()
                .enumerate()
                .filter(|it| it.1 == "true")
                .map(|it| it.0)
                .collect();
            assert_eq!(keys, [0, 8, 23, 38, 53]);
        }
        if name.ends_with("thumb/image_raw") {
            let source = rows.column("encoding");
            assert!(source.contains(&"bgr8".to_owned()) && source.contains(&"rgb8".to_owned()), "{source:?}");
            assert!(rows.column("data.encoding").iter().all(|it| it == "rgb8"));
        }
    }
}
