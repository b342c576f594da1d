//! Topics of coded video in steps, by flags and by pipelines: decoded where asked for, told where that cannot be.

use std::{collections::BTreeMap, io::Cursor, path::Path};

use arrow_array::{Array as _, cast::AsArray as _};
use mcap::{WriteOptions, records::MessageHeader};
use nodedata_core::Files as _;
use nodedata_io::MemoryFiles;
use nodedata_media::{
    image_header,
    mp4::{Mp4Limits, VideoTrack},
};
use nodedata_testkit::{FFMPEG_PACKET, FFMPEG_PACKET_DEFINITION, annex_b, corpus, ffmpeg_packet};

use crate::{command::Work, tables::Dataset};

const ROS: &str = "time timestamp\nstring frame_id\nuint8[] data\nstring format\n";

/// The samples of a video of the fixtures as messages hold them.
fn samples(name: &str) -> Vec<Vec<u8>> {
    let path = corpus::fixtures("video").join(format!("{name}.mp4"));
    let file = bytes::Bytes::from(std::fs::read(path).unwrap());
    let files = MemoryFiles::default().with("video.mp4", file.clone());
    let opened = files.open(Path::new("video.mp4")).unwrap();
    let track = VideoTrack::read(opened.as_ref(), &Mp4Limits::default()).unwrap();
    let sample = |it: &nodedata_media::mp4::Sample| {
        let range = it.byte_range();
        let coded = &file[range.start as usize..range.end as usize];
        annex_b(&track.codec_config, false, coded, it.keyframe)
    };
    track.samples.iter().map(sample).collect()
}

/// Two cameras, one message each 33 ms, and a number beside each of the first; `n_left_out` messages of the first are not there.
fn log(n_left_out: usize, format: &str) -> Vec<u8> {
    let mut writer = WriteOptions::new().chunk_size(Some(4096)).create(Cursor::new(Vec::new())).unwrap();
    let video = writer.add_schema("foxglove_msgs/CompressedVideo", "ros1msg", ROS.as_bytes()).unwrap();
    let number = writer.add_schema("std_msgs/Float64", "ros1msg", b"float64 data\n").unwrap();
    let channel = |writer: &mut mcap::Writer<_>, schema, topic| {
        writer.add_channel(schema, topic, "ros1", &BTreeMap::new()).unwrap()
    };
    let one = channel(&mut writer, video, "/one");
    let other = channel(&mut writer, video, "/other");
    let state = channel(&mut writer, number, "/state");
    let text = |it: &[u8]| [&(it.len() as u32).to_le_bytes(), it].concat();
    let message = |sample: &[u8]| [vec![0; 8], text(b"cam"), text(sample), text(format.as_bytes())].concat();
    let mut messages: Vec<(u64, u16, Vec<u8>)> = Vec::new();
    for (idx, sample) in samples("h264_g2").iter().enumerate().skip(n_left_out) {
        messages.push((33 * idx as u64, one, message(sample)));
    }
    for (idx, sample) in samples("h264_intra_refresh").iter().enumerate() {
        messages.push((33 * idx as u64 + 11, other, message(sample)));
        messages.push((33 * idx as u64, state, (idx as f64).to_le_bytes().to_vec()));
    }
    messages.sort();
    for (sequence, (at_ms, channel_id, payload)) in (0..).zip(&messages) {
        let time = 1_700_000_000_000_000_000 + at_ms * 1_000_000;
        let header = MessageHeader { channel_id: *channel_id, sequence, log_time: time, publish_time: time };
        writer.write_to_known_channel(&header, payload).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

/// How a picture of each step is stored, and how many steps have none.
fn stored(root: &Path, column: &str) -> (Vec<String>, usize) {
    let dataset = Dataset::open(root.to_owned());
    let tables = dataset.tables();
    let rows = &tables["steps"];
    let column = rows.column_by_name(column).unwrap();
    let bytes = column.as_struct().column(0).as_binary::<i32>();
    let names = (0..bytes.len()).filter(|it| column.is_valid(*it));
    let names = names.map(|it| image_header(bytes.value(it)).unwrap().encoding.name().to_owned());
    let mut names: Vec<String> = names.collect();
    names.dedup();
    (names, column.null_count())
}

#[test]
fn topics_that_are_named_become_pictures() {
    let work = Work::new();
    work.write("log.mcap", log(0, "h264"));
    let convert = |out: &str, decode: &[&str], threads: &str| {
        let mut args = vec!["convert", "log.mcap", "--rate", "30", "--out", out, "--threads", threads];
        decode.iter().for_each(|it| args.extend(["--decode", it]));
        work.run(args).exits(0)
    };
    convert("out", &["*=jpeg", "/other=png"], "1");
    // Ten periods of the first camera behind its last message are too far.
    assert_eq!(stored(&work.path("out"), "one"), (vec!["jpeg".to_owned()], 3));
    assert_eq!(stored(&work.path("out"), "other"), (vec!["png".to_owned()], 0));
    convert("again", &["*=jpeg", "/other=png"], "8");
    let root = |out: &str| work.json(format!("{out}/manifest.json").as_str())["content_root"].clone();
    assert_eq!(root("out"), root("again"));
    work.run(["validate", "out", "--deep"]).exits(0);
    work.run(["explain", "out", "--rebuild", "--source", "log.mcap"]).exits(0);
    // Who names one camera gets that one.
    convert("one", &["/one=raw"], "2");
    let one = Dataset::open(work.path("one")).tables();
    let schema = one["steps"].schema();
    let names: Vec<&str> = schema.fields().iter().map(|it| it.name().as_str()).collect();
    assert!(names.contains(&"one") && !names.contains(&"other"), "{names:?}");
}

#[test]
fn a_pipeline_takes_cameras_at_any_rate() {
    let work = Work::new();
    work.write("log.mcap", log(0, "h264"));
    work.write(
        "p.yaml",
        "version: 1\nsource: log.mcap\nsteps: {clock: {topic: /state}}\nfields:\n  state: /state.data\n  \
         one: {from: /one, transform: [{image/resize: {height: 24, width: 32}}, {encode: jpeg:90}]}\n  \
         other: {from: /other, encoding: png}\n  plain: /other\n",
    );
    let dry = work.run(["run", "p.yaml", "--dry-run", "--out", "out"]).exits(0);
    assert!(dry.stdout.contains("image/resize@1"), "{}", dry.stdout);
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    for (name, coding) in [("one", "jpeg"), ("other", "png"), ("plain", "png")] {
        let (found, n_null) = stored(&work.path("out"), name);
        assert_eq!((found, n_null), (vec![coding.to_owned()], if name == "one" { 2 } else { 0 }), "{name}");
    }
    work.run(["validate", "out", "--deep"]).exits(0);
}

#[test]
fn what_cannot_be_decoded_is_told() {
    let work = Work::new();
    work.write("log.mcap", log(1, "h264"));
    work.write("other.mcap", log(0, "theora"));
    let ran =
        work.run(["convert", "log.mcap", "--rate", "30", "--decode", "/one=png", "--out", "late"]).exits(3);
    assert!(
        ran.stdout.contains("before the first key frame")
            || ran.stderr.contains("before the first key frame")
    );
    let report = work.json("late/report.json");
    assert_eq!(report["streams"]["/one"]["dropped"]["before_key_frame"], 1, "{report}");
    assert_eq!(stored(&work.path("late"), "one").1, 4);

    let ran =
        work.run(["convert", "other.mcap", "--rate", "30", "--decode", "/one=png", "--out", "x"]).exits(1);
    assert!(ran.stderr.contains("no decoder here takes the video of /one"), "{}", ran.stderr);
    let ran = work
        .run(["convert", "other.mcap", "--clock", "/one", "--decode", "/one=png", "--out", "coded"])
        .exits(3);
    assert!(work.json("coded/report.json").to_string().contains("camera-not-decoded"), "{}", ran.stderr);

    let video = corpus::fixtures("mcap/special").join("foxglove_video_h264.mcap").display().to_string();
    let ran = work.run(["convert", &video, "--rate", "30", "--out", "x"]).exits(2);
    assert!(ran.stderr.contains("`--decode TOPIC=jpeg`"), "{}", ran.stderr);

    let ran = work.run(["convert", "log.mcap", "--decode", "/one=png", "--out", "x"]).exits(1);
    assert!(ran.stderr.contains("decoded where steps are made of them"), "{}", ran.stderr);
    let ran =
        work.run(["convert", "log.mcap", "--rate", "30", "--decode", "/state=png", "--out", "x"]).exits(2);
    assert!(ran.stderr.contains("/state"), "{}", ran.stderr);
    assert!(!work.path("x").exists());
}

/// A camera of `ffmpeg_image_transport`, one packet each 33 ms.
fn packets(encoding: &str) -> Vec<u8> {
    let mut writer = WriteOptions::new().chunk_size(Some(4096)).create(Cursor::new(Vec::new())).unwrap();
    let schema = writer.add_schema(FFMPEG_PACKET, "ros2msg", FFMPEG_PACKET_DEFINITION.as_bytes()).unwrap();
    let channel_id = writer.add_channel(schema, "/cam/ffmpeg", "cdr", &BTreeMap::new()).unwrap();
    for (sequence, sample) in (0..).zip(&samples("h264_g2")) {
        let time = 1_700_000_000_000_000_000 + 33_000_000 * u64::from(sequence);
        let header = MessageHeader { channel_id, sequence, log_time: time, publish_time: time };
        let payload = ffmpeg_packet(time.cast_signed(), encoding, 0, sample);
        writer.write_to_known_channel(&header, &payload).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

#[test]
fn packets_of_ffmpeg_become_pictures() {
    let work = Work::new();
    work.write("log.mcap", packets("h264;yuv420p;rgb8;bgr8"));
    work.run(["convert", "log.mcap", "--rate", "30", "--decode", "*=jpeg", "--out", "out"]).exits(0);
    assert_eq!(stored(&work.path("out"), "cam.ffmpeg"), (vec!["jpeg".to_owned()], 0));
    work.run(["validate", "out", "--deep"]).exits(0);
    // As a table of its own each packet stays as it is, and says where decoding can start.
    work.run(["convert", "log.mcap", "--out", "topics"]).exits(0);
    let tables = Dataset::open(work.path("topics")).tables();
    let rows = &tables["/cam/ffmpeg"];
    let is_key = rows.column_by_name("data.keyframe").unwrap().as_boolean();
    assert_eq!(is_key.null_count(), 0);
    assert!(is_key.value(0) && !is_key.value(1));
    work.write("other.mcap", packets("ffv1"));
    let ran = work.run(["convert", "other.mcap", "--rate", "30", "--decode", "*=png", "--out", "x"]).exits(1);
    assert!(ran.stderr.contains("is coded as `ffv1`, which is not known here"), "{}", ran.stderr);
}
