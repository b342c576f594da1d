use nodedata_core::{DType, ErrorKind, Feature};

use super::*;
use crate::test_rows::Topic;

fn schema<'a>(message_encoding: &'a str, schema_encoding: &'a str, schema: &'a [u8]) -> MessageSchema<'a> {
    MessageSchema { message_encoding, schema_encoding, schema_name: "pkg/msg/Name", schema }
}

#[test]
fn what_is_not_understood_stays_bytes() {
    let cases = [
        schema("x-vendor-blob", "", b""),
        schema("", "", b""),
        schema("msgpack", "", b""),
        schema("capnproto", "capnproto", b"struct Point {}"),
        schema("cdr", "", b""),
        schema("CDR", "ros2msg", b"int32 a"),
        schema("cdr", "ros1msg", b"int32 a"),
        schema("protobuf", "jsonschema", b"{}"),
    ];
    for case in cases {
        let topic = Topic::new(|layout| MessageDecoder::compile(layout, &case)).unwrap();
        assert!(topic.decoder.is_opaque(), "{case:?}");
        assert_eq!(topic.types(), ["data bytes"]);
        assert_eq!(topic.decode(&[&b"\x01\x02"[..], b""]).unwrap().column("data"), ["0102", ""]);
    }
    assert!(schema("json", "", b"").needs_inference());
    // A schema that says nothing is none.
    assert!(schema("json", "jsonschema", b" {} ").needs_inference());
    assert!(
        !schema("json", "jsonschema", br#"{"properties": {"a": {"type": "integer"}}}"#).needs_inference()
    );
}

#[test]
fn names_of_the_log_are_not_taken_twice() {
    let mut layout = Layout::default();
    for name in ["log_time_ns", "sequence"] {
        layout.leaf(Feature::new(name, DType::Int64, Vec::new()), &[]);
    }
    let schema = schema(
        "json",
        "jsonschema",
        br#"{"additionalProperties": false, "properties": {"sequence": {"type": "integer"},
            "log_time_ns": {"properties": {"sequence": {"type": "integer"}}, "additionalProperties": false}}}"#,
    );
    MessageDecoder::compile(&mut layout, &schema).unwrap();
    let names: Vec<&str> = layout.features().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["log_time_ns", "sequence", "message.sequence", "log_time_ns.sequence"]);
}

/// Two columns of one name would be one too few for whoever reads by name, and Parquet readers refuse them.
#[test]
fn a_renamed_field_takes_no_other_fields_name() {
    let mut layout = Layout::default();
    for name in ["sequence", "message.log_time_ns", "log_time_ns"] {
        layout.leaf(Feature::new(name, DType::Int64, Vec::new()), &[]);
    }
    let schema = schema(
        "json",
        "jsonschema",
        br#"{"additionalProperties": false, "properties": {"sequence": {"type": "integer"},
            "message": {"additionalProperties": false, "properties": {"sequence": {"type": "integer"}}},
            "log_time_ns": {"type": "integer"}, "message.episode_index": {"type": "integer"},
            "episode_index": {"type": "integer"}}}"#,
    );
    let decoder = MessageDecoder::compile(&mut layout, &schema).unwrap();
    let names: Vec<&str> = layout.features().skip(3).map(|it| it.name.as_str()).collect();
    let expected = [
        "message.message.sequence",
        "message.sequence",
        "message.message.log_time_ns",
        "message.episode_index",
        "message.message.episode_index",
    ];
    assert_eq!(names, expected);
    let told: Vec<&str> = decoder.told_apart().iter().map(|it| it.0.as_str()).collect();
    assert_eq!(told, ["sequence", "log_time_ns", "episode_index"]);
}

#[test]
fn ros_messages_are_decoded_by_their_own_serialization() {
    let text = b"string name\nint32 value\n";
    let cdr = schema("cdr", "ros2msg", text);
    let topic = Topic::new(|layout| MessageDecoder::compile(layout, &cdr)).unwrap();
    let payload = [0, 1, 0, 0, 2, 0, 0, 0, b'a', 0, 0, 0, 7, 0, 0, 0];
    let rows = topic.decode(&[payload]).unwrap();
    assert_eq!((rows.column("name"), rows.column("value")), (&["a".to_owned()][..], &["7".to_owned()][..]));
    let ros1 = schema("ros1", "ros1msg", text);
    let topic = Topic::new(|layout| MessageDecoder::compile(layout, &ros1)).unwrap();
    let rows = topic.decode(&[[1, 0, 0, 0, b'a', 7, 0, 0, 0]]).unwrap();
    assert_eq!(rows.column("name"), ["a"]);
    assert_eq!(topic.decode(&[[9, 0, 0, 0, b'a', 7, 0, 0, 0]]).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn schemas_that_cannot_be_read_are_errors() {
    let cases = [
        schema("cdr", "ros2msg", b"int32 a\n\xff"),
        schema("cdr", "ros2msg", b"gone_msgs/Gone a\n"),
        schema("protobuf", "protobuf", b"\x0a\xff\xff"),
        schema("flatbuffer", "flatbuffer", b"\x01"),
    ];
    for case in cases {
        let outcome = Topic::new(|layout| MessageDecoder::compile(layout, &case)).map(|_| ());
        let err = outcome.expect_err(case.schema_encoding);
        assert!(matches!(err.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{err:?}");
    }
}

#[test]
fn decoders_are_shared_by_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<MessageDecoder>();
}
