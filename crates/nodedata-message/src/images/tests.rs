use nodedata_core::Storage;

use super::*;
use crate::{MessageDecoder, MessageSchema, test_rows::Topic};

const IMAGE: &str =
    "uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data\n";
const COMPRESSED: &str = "string format\nuint8[] data\n";

fn ros1(schema_name: &str, text: &str) -> Topic {
    let schema = MessageSchema {
        message_encoding: "ros1",
        schema_encoding: "ros1msg",
        schema_name,
        schema: text.as_bytes(),
    };
    Topic::new(|layout| MessageDecoder::compile(layout, &schema)).unwrap()
}

fn json(schema_name: &str, properties: &str) -> Topic {
    let text = format!(r#"{{"additionalProperties": false, "properties": {{{properties}}}}}"#);
    let schema = MessageSchema {
        message_encoding: "json",
        schema_encoding: "jsonschema",
        schema_name,
        schema: text.as_bytes(),
    };
    Topic::new(|layout| MessageDecoder::compile(layout, &schema)).unwrap()
}

/// `data` behind its length.
fn sized(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u32).to_le_bytes(), data].concat()
}

fn image(encoding: &str, size: (u32, u32), is_bigendian: bool, step: u32, data: &[u8]) -> Vec<u8> {
    let (height, width) = size;
    let head = [height.to_le_bytes(), width.to_le_bytes()].concat();
    let tail = [&[u8::from(is_bigendian)], &step.to_le_bytes()[..]].concat();
    [head, sized(encoding.as_bytes()), tail, sized(data)].concat()
}

#[test]
fn raw_images_are_stored_in_one_layout_with_its_name_beside() {
    for name in ["sensor_msgs/Image", "sensor_msgs/msg/Image"] {
        let topic = ros1(name, IMAGE);
        let data = topic.layout.features().find(|it| it.name == "data").unwrap();
        assert_eq!(data.storage, Storage::RawMedia);
        let rows = topic
            .decode(&[
                image("bgr8", (1, 2), false, 8, &[1, 2, 3, 4, 5, 6, 0, 0]),
                image("mono16", (1, 1), true, 2, &[1, 2]),
                image("rgb8", (1, 2), false, 6, &[1, 2, 3]),
                image("jxl", (1, 1), false, 1, &[9]),
            ])
            .unwrap();
        assert_eq!(rows.column("data"), ["030201060504", "0201", "010203", "09"]);
        assert_eq!(rows.column("data.encoding"), ["rgb8", "mono16", "null", "null"]);
        // What the message says of itself is not rewritten.
        assert_eq!(rows.column("encoding"), ["bgr8", "mono16", "rgb8", "jxl"]);
        assert_eq!(rows.column("step"), ["8", "2", "6", "1"]);
        let found: Vec<_> = rows.pixels.iter().map(|it| (it.dtype, it.shape.as_slice(), it.n_rows)).collect();
        let expected: [(DType, &[u32], u64); 3] =
            [(DType::UInt8, &[], 2), (DType::UInt8, &[1, 2, 3], 1), (DType::UInt16, &[1, 1], 1)];
        assert_eq!(found, expected);
        assert!(rows.pixels.iter().all(|it| it.encoding == "raw" && it.column == data_column(&topic)));
    }
}

fn data_column(topic: &Topic) -> usize {
    topic.layout.features().position(|it| it.name == "data").unwrap()
}

#[test]
fn raw_images_of_foxglove_are_little_endian() {
    let topic = json(
        "foxglove.RawImage",
        r#""data": {"type": "string", "contentEncoding": "base64"}, "encoding": {"type": "string"},
           "width": {"type": "integer"}, "height": {"type": "integer"}, "step": {"type": "integer"}"#,
    );
    let message = r#"{"data": "AQIDBA==", "encoding": "16UC1", "width": 1, "height": 2, "step": 2}"#;
    let negative = r#"{"data": "AQIDBA==", "encoding": "16UC1", "width": -1, "height": 2, "step": 2}"#;
    let rows = topic.decode(&[message, negative, "{}"]).unwrap();
    assert_eq!(rows.column("data"), ["01020304", "01020304", "null"]);
    assert_eq!(rows.column("data.encoding"), ["16UC1", "null", "null"]);
    assert_eq!(rows.pixels.len(), 2);
}

#[test]
fn encoded_images_keep_their_bytes_and_tell_their_header() {
    let jpeg = [0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 1, 0xe0, 2, 0x80, 3];
    let message = |data: &[u8]| [sized(b"png"), sized(data)].concat();
    for name in ["sensor_msgs/CompressedImage", "foxglove_msgs/msg/CompressedImage"] {
        let topic = ros1(name, COMPRESSED);
        let data = topic.layout.features().find(|it| it.name == "data").unwrap();
        assert_eq!(data.storage, Storage::EncodedMedia);
        let rows = topic.decode(&[message(&jpeg), message(&jpeg), message(b"?"), message(b"")]).unwrap();
        assert_eq!(rows.column("data")[0], "ffd8ffc000110801e0028003");
        assert_eq!(rows.column("data")[2..], ["3f", ""]);
        let found: Vec<_> =
            rows.pixels.iter().map(|it| (it.encoding.as_str(), it.shape.as_slice(), it.n_rows)).collect();
        let expected: [(&str, &[u32], u64); 2] = [("unknown", &[], 1), ("jpeg", &[480, 640, 3], 2)];
        assert_eq!(found, expected);
    }
}

#[test]
fn video_samples_tell_where_decoding_can_start() {
    let topic = ros1("foxglove_msgs/CompressedVideo", "uint8[] data\nstring format\n");
    let message = |format: &str, data: &[u8]| [sized(data), sized(format.as_bytes())].concat();
    let rows = topic
        .decode(&[
            message("h264", &[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65, 0x88]),
            message("h264", &[0, 0, 0, 1, 0x41, 0x9a]),
            message("h265", &[0, 0, 0, 1, 0x26, 0x01]),
            message("", &[0, 0, 0, 1, 0x65, 0x88]),
            message("vp9", &[0x82, 0x49]),
            message("vp9", &[0x86, 0x00]),
            message("theora", &[0x82, 0x49]),
        ])
        .unwrap();
    assert_eq!(rows.column("data.keyframe"), ["true", "false", "true", "true", "true", "false", "null"]);
    assert_eq!(rows.column("data")[1], "00000001419a");
    let found: Vec<_> = rows.pixels.iter().map(|it| (it.encoding.as_str(), it.n_rows)).collect();
    assert_eq!(found, [("h264", 3), ("h265", 1), ("theora", 1), ("vp9", 2)]);
}

/// What a packet's own flags say is not believed: encoders set them as they like.
#[test]
fn packets_of_ffmpeg_tell_where_decoding_can_start_by_their_bytes() {
    let topic = ros1(
        "ffmpeg_image_transport_msgs/FFMPEGPacket",
        "int32 width\nint32 height\nstring encoding\nuint64 pts\nuint8 flags\nbool is_bigendian\nuint8[] data\n",
    );
    assert_eq!(topic.layout.features().find(|it| it.name == "data").unwrap().storage, Storage::RawMedia);
    let message = |encoding: &str, flags: u8, data: &[u8]| {
        let head = [64i32.to_le_bytes(), 48i32.to_le_bytes()].concat();
        [head, sized(encoding.as_bytes()), vec![0; 8], vec![flags, 0], sized(data)].concat()
    };
    let idr = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65, 0x88];
    let rows = topic
        .decode(&[
            message("libx264", 0, &idr),
            message("h264_nvenc", 1, &[0, 0, 0, 1, 0x41, 0x9a]),
            message("hevc;yuv420p;bgr8;bgr8", 0, &[0, 0, 0, 1, 0x26, 0x01]),
            message("mpeg4;yuv420p;bgr8;bgr8", 1, &[0, 0, 1, 0xb6]),
            message("libx264", 1, &[]),
        ])
        .unwrap();
    assert_eq!(rows.column("data.keyframe"), ["true", "false", "true", "null", "null"]);
    assert_eq!(rows.column("encoding")[2], "hevc;yuv420p;bgr8;bgr8");
    let found: Vec<_> = rows.pixels.iter().map(|it| (it.encoding.as_str(), it.n_rows)).collect();
    assert_eq!(found, [("h264", 2), ("h265", 1), ("mpeg4", 1)]);
}

#[test]
fn only_known_image_messages_are_touched() {
    for (name, expected) in [
        ("sensor_msgs/msg/Image", Some(Kind::Raw)),
        ("sensor_msgs::msg::CompressedImage", Some(Kind::Encoded)),
        ("foxglove.RawImage", Some(Kind::Raw)),
        ("foxglove.CompressedImage", Some(Kind::Encoded)),
        ("foxglove.CompressedVideo", Some(Kind::Video { label: "format" })),
        ("foxglove_msgs/msg/CompressedVideo", Some(Kind::Video { label: "format" })),
        ("ffmpeg_image_transport_msgs/msg/FFMPEGPacket", Some(Kind::Video { label: "encoding" })),
        ("ffmpeg_image_transport_msgs/FFMPEGPacket", Some(Kind::Video { label: "encoding" })),
        ("my_msgs/msg/FFMPEGPacket", None),
        ("foxglove.Image", None),
        ("my.sensor_msgs.Image", None),
        ("my_msgs/msg/Image", None),
        ("Image", None),
        ("", None),
    ] {
        assert_eq!(Kind::of(name), expected, "{name}");
    }
    // The name alone is not enough.
    assert_eq!(ros1("sensor_msgs/Image", "float64[] data\n").types(), ["data float64[-1]"]);
    assert_eq!(ros1("my_msgs/Image", COMPRESSED).layout.features().nth(1).unwrap().storage, Storage::Plain);
}
