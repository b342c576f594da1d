//! Topics of coded video in steps: each takes the picture of its message, whatever lies between the key frame and that message.

use std::{collections::BTreeMap, io::Cursor, path::Path, sync::Arc};

use arrow_array::{Array, cast::AsArray, types::Int64Type};
use mcap::{WriteOptions, records::MessageHeader};
use nodedata_core::{ErrorKind, Files, FindingKind, MediaEncoding, OpenOptions, ReadOptions, Source, meta};
use nodedata_io::{LocalFiles, MemoryFiles};
use nodedata_media::{
    VideoCodec, decode_image,
    mp4::{Mp4Limits, VideoTrack},
    video::{CodedSample, DecodeOptions, decode_frames},
};
use nodedata_testkit::{FFMPEG_PACKET, FFMPEG_PACKET_DEFINITION, annex_b, corpus, ffmpeg_packet};
use rayon::prelude::*;

use super::reference::{Everything, balances, read_all};
use crate::{
    Align, AlignedSource, Beyond, Clock, Cut, EpisodeRange, FieldSpec, FieldTransform, FrameCoding, Rate,
    StepSpec, Tolerance, mistakes, normalized,
};

const MS: i64 = 1_000_000;
const START_NS: i64 = 1_700_000_000_000_000_000;
const ROS: &str = "time timestamp\nstring frame_id\nuint8[] data\nstring format\n";

/// A video of the fixtures: its samples in the form of messages, and the frame of each.
struct Video {
    codec: VideoCodec,
    samples: Vec<Vec<u8>>,
    frames: Vec<Vec<u8>>,
}

fn video(name: &str) -> Video {
    let path = corpus::fixtures("video").join(format!("{name}.mp4"));
    let file = LocalFiles::file(&path).open(Path::new(path.file_name().unwrap())).unwrap();
    let track = VideoTrack::read(file.as_ref(), &Mp4Limits::default()).unwrap();
    let bytes: Vec<_> = track.samples.iter().map(|it| file.read_at(it.byte_range()).unwrap()).collect();
    let coded = track.samples.iter().zip(&bytes);
    let coded = coded.map(|(it, data)| Ok(CodedSample { order: it.pts, data: data.clone() }));
    let mut frames = Vec::new();
    let options = DecodeOptions::default();
    decode_frames(track.codec, &track.codec_config, coded, i64::MIN..i64::MAX, &options, |frame| {
        frames.push(frame.to_rgb().pixels);
        Ok(())
    })
    .unwrap();
    let has_units = matches!(track.codec, VideoCodec::H264 | VideoCodec::H265);
    let samples = track.samples.iter().zip(&bytes).map(|(it, data)| match has_units {
        true => annex_b(&track.codec_config, track.codec == VideoCodec::H265, data, it.keyframe),
        false => data.to_vec(),
    });
    Video { codec: track.codec, samples: samples.collect(), frames }
}

impl Video {
    /// The messages of a camera, one each 33 ms from `first_ms` on.
    fn messages(&self, topic: &'static str, first_ms: i64) -> Vec<Message> {
        let message = |(idx, sample): (i64, &Vec<u8>)| {
            let time_ns = START_NS + (first_ms + 33 * idx) * MS;
            Message { topic, time_ns, format: self.codec.name(), sample: sample.clone() }
        };
        (0..).zip(&self.samples).map(message).collect()
    }
}

#[derive(Clone)]
struct Message {
    topic: &'static str,
    time_ns: i64,
    format: &'static str,
    sample: Vec<u8>,
}

/// How messages of video are written.
struct Form {
    /// The name of their type, and its definition with the way that it is written in.
    schema: (&'static str, &'static str, &'static str),
    encoding: &'static str,
    payload: fn(&Message) -> Vec<u8>,
}

const COMPRESSED_VIDEO: Form = Form {
    schema: ("foxglove_msgs/CompressedVideo", "ros1msg", ROS),
    encoding: "ros1",
    payload: |it| {
        let text = |it: &[u8]| [&(it.len() as u32).to_le_bytes(), it].concat();
        [vec![0; 8], text(b"cam"), text(&it.sample), text(it.format.as_bytes())].concat()
    },
};

/// The flags of no packet say that it is a key frame.
const PACKETS: Form = Form {
    schema: (FFMPEG_PACKET, "ros2msg", FFMPEG_PACKET_DEFINITION),
    encoding: "cdr",
    payload: |it| ffmpeg_packet(it.time_ns, it.format, 0, &it.sample),
};

fn log(messages: Vec<Message>) -> Box<dyn Source> {
    log_of(&COMPRESSED_VIDEO, messages)
}

/// A log of messages in order of their times, in chunks of few of them.
fn log_of(form: &Form, mut messages: Vec<Message>) -> Box<dyn Source> {
    messages.sort_by_key(|it| it.time_ns);
    let mut bytes = Cursor::new(Vec::new());
    let options = WriteOptions::new().chunk_size(Some(2048));
    let mut writer = options.create(&mut bytes).unwrap();
    let (name, way, definition) = form.schema;
    let schema = writer.add_schema(name, way, definition.as_bytes()).unwrap();
    for (sequence, message) in (0..).zip(&messages) {
        let channel_id = writer.add_channel(schema, message.topic, form.encoding, &BTreeMap::new()).unwrap();
        let time = message.time_ns as u64;
        let header = MessageHeader { channel_id, sequence, log_time: time, publish_time: time };
        writer.write_to_known_channel(&header, &(form.payload)(message)).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    let files: Arc<dyn Files> = Arc::new(MemoryFiles::default().with("log.mcap", bytes.into_inner()));
    let options = OpenOptions { partition_bytes: 1, ..OpenOptions::default() };
    nodedata_formats::builtin().by_name("mcap").unwrap().open(files, &options).unwrap()
}

/// Two cameras: one with a key frame in two, and one with a single one.
fn two_cameras() -> (Video, Video, Vec<Message>) {
    let (one, other) = (video("h264_g2"), video("h264_intra_refresh"));
    let messages = [one.messages("/one", 0), other.messages("/other", 11)].concat();
    (one, other, messages)
}

fn camera(name: &str, topic: &str, encoding: Option<MediaEncoding>) -> FieldSpec {
    FieldSpec { encoding, ..FieldSpec::new(name, topic) }
}

fn raw(name: &str, topic: &str) -> FieldSpec {
    camera(name, topic, Some(MediaEncoding::Raw))
}

fn at_rate(rate: &str, fields: Vec<FieldSpec>) -> StepSpec {
    let clock = Clock::Rate(Rate::parse(rate).unwrap());
    StepSpec { fields, upsample: true, ..StepSpec::new(clock) }
}

/// By step, the bytes of a column.
fn bytes(all: &Everything, name: &str) -> Vec<Option<Vec<u8>>> {
    let column = all.rows.as_ref().unwrap().column_by_name(name).unwrap();
    let values = column.as_struct_opt().map_or(column, |it| it.column(0)).as_binary::<i32>();
    (0..column.len()).map(|it| column.is_valid(it).then(|| values.value(it).to_vec())).collect()
}

/// By step, which message of a camera is the nearest one, of two the earlier, or the last one at or before the step.
fn picked(all: &Everything, messages: &[Message], topic: &str, align: Align) -> Vec<Option<usize>> {
    let times: Vec<i64> = messages.iter().filter(|it| it.topic == topic).map(|it| it.time_ns).collect();
    let rows = all.rows.as_ref().unwrap();
    let steps = rows.column(1).as_primitive::<Int64Type>().values();
    let pick = |step: &i64| {
        let picked = match align {
            Align::Hold => times.iter().rposition(|it| it <= step),
            _ => (0..times.len()).min_by_key(|it| (times[*it] - step).abs()),
        };
        // Ten periods away nothing is taken.
        picked.filter(|it| (times[*it] - step).abs() <= 330 * MS)
    };
    steps.iter().map(pick).collect()
}

#[track_caller]
fn holds(all: &Everything, name: &str, frames: &[Vec<u8>], picked: &[Option<usize>]) {
    let found = bytes(all, name);
    assert_eq!(found.len(), picked.len());
    for (step, (found, picked)) in found.iter().zip(picked).enumerate() {
        let expected = picked.map(|it| &frames[it]);
        assert!(found.as_ref() == expected, "step {step} of {name} is not frame {picked:?}");
    }
}

#[test]
fn two_cameras_are_stepped_at_any_rate() {
    let (one, other, messages) = two_cameras();
    for (rate, align) in [
        ("10", Align::Nearest),
        ("30", Align::Hold),
        ("30", Align::Nearest),
        ("100", Align::Hold),
        ("100", Align::Nearest),
    ] {
        let fields = vec![raw("one", "/one"), raw("other", "/other.data")];
        let spec = StepSpec { align, ..at_rate(rate, fields) };
        let mut of_pieces: Vec<Everything> = Vec::new();
        for piece_bytes in [u64::MAX, 20_000, 1] {
            let source = AlignedSource::in_pieces(log(messages.clone()), spec.clone(), piece_bytes).unwrap();
            assert!(piece_bytes != 20_000 || rate == "10" || 1 < source.plan().partitions.len());
            let all = read_all(&source);
            balances(&all);
            holds(&all, "one", &one.frames, &picked(&all, &messages, "/one", align));
            holds(&all, "other", &other.frames, &picked(&all, &messages, "/other", align));
            assert!(all.warnings.is_empty() && all.errors.is_empty(), "{all:?}");
            of_pieces.push(all);
        }
        assert!(of_pieces.iter().all(|it| it.fates == of_pieces[0].fates));
    }
}

/// A recording of Foxglove's own messages in protobuf, with a key frame in fifteen.
#[test]
fn a_recording_of_foxglove_is_stepped() {
    let open = || {
        let path = corpus::fixtures("mcap").join("special/foxglove_video_h264.mcap");
        let files: Arc<dyn Files> = Arc::new(LocalFiles::file(&path));
        let options = OpenOptions { partition_bytes: 1, ..OpenOptions::default() };
        nodedata_formats::builtin().by_name("mcap").unwrap().open(files, &options).unwrap()
    };
    let source = open();
    let mut messages: Vec<Message> = Vec::new();
    for partition in 0..source.plan().partitions.len() {
        let mut stream = source.read(partition, &ReadOptions::default()).unwrap();
        while let Some(batch) = stream.next_batch().unwrap() {
            let times = batch.rows.column(0).as_primitive::<Int64Type>();
            let data = batch.rows.column_by_name("data").unwrap().as_binary::<i32>();
            let message = |row| Message {
                topic: "/video",
                time_ns: times.value(row),
                format: "h264",
                sample: data.value(row).to_vec(),
            };
            messages.extend((0..batch.rows.num_rows()).map(message));
        }
    }
    assert_eq!(messages.len(), 60);
    let coded =
        (0..).zip(&messages).map(|(order, it)| Ok(CodedSample { order, data: it.sample.clone().into() }));
    let mut frames = Vec::new();
    let options = DecodeOptions::default();
    decode_frames(VideoCodec::H264, &[], coded, i64::MIN..i64::MAX, &options, |frame| {
        frames.push(frame.to_rgb().pixels);
        Ok(())
    })
    .unwrap();
    for rate in ["7", "30", "90"] {
        for piece_bytes in [u64::MAX, 1] {
            let spec = at_rate(rate, vec![raw("cam", "/video")]);
            let all = read_all(&AlignedSource::in_pieces(open(), spec, piece_bytes).unwrap());
            balances(&all);
            holds(&all, "cam", &frames, &picked(&all, &messages, "/video", Align::Nearest));
        }
    }
}

#[test]
fn pieces_are_read_in_any_order_and_side_by_side() {
    let (_, other, messages) = two_cameras();
    let spec = at_rate("30", vec![raw("one", "/one"), raw("other", "/other")]);
    let source = AlignedSource::in_pieces(log(messages.clone()), spec, 9000).unwrap();
    let n = source.plan().partitions.len();
    assert!(4 < n, "{n} pieces");
    let read = |partition: usize| -> Vec<Vec<u8>> {
        let mut stream = source.read(partition, &ReadOptions::default()).unwrap();
        let mut found = Vec::new();
        while let Some(batch) = stream.next_batch().unwrap() {
            let column = batch.rows.column_by_name("other").unwrap().as_binary::<i32>();
            found.extend(column.iter().map(|it| it.unwrap().to_vec()));
        }
        found
    };
    let all = read_all(&source);
    let expected: Vec<Vec<u8>> = picked(&all, &messages, "/other", Align::Nearest)
        .iter()
        .map(|it| other.frames[it.unwrap()].clone())
        .collect();
    let backward: Vec<Vec<Vec<u8>>> = (0..n).rev().map(read).collect();
    assert!(backward.into_iter().rev().flatten().collect::<Vec<_>>() == expected);
    let beside: Vec<Vec<Vec<u8>>> = (0..n).into_par_iter().map(read).collect();
    assert!(beside.into_iter().flatten().collect::<Vec<_>>() == expected);
    // What decided the rows of a piece in the middle is told, back to the key frame.
    let middle = source.read(n / 2, &ReadOptions::default()).unwrap();
    let told = middle.looked_at().iter().map(|it| it.byte_range.start).min().unwrap();
    let own = source.plan().partitions[n / 2].reads[0].byte_range.start;
    assert!(told + 4096 < own, "{told} {own}");
}

#[test]
fn pictures_are_png_unless_something_else_is_said() {
    let (one, _, messages) = two_cameras();
    let jpeg = vec![
        FieldTransform::Resize { height: 24, width: 32, way: None },
        FieldTransform::Encode { coding: FrameCoding::Jpeg, quality: Some(90), group: None, encoder: None },
    ];
    let small = FieldSpec { transform: jpeg, ..FieldSpec::new("small", "/one") };
    let fields = vec![camera("png", "/one", None), camera("jpeg", "/one", Some(MediaEncoding::Jpeg)), small];
    let all = read_all(normalized(log(messages.clone()), &at_rate("30", fields)).unwrap().as_ref());
    balances(&all);
    let picks = picked(&all, &messages, "/one", Align::Nearest);
    let (png, jpeg, small) = (bytes(&all, "png"), bytes(&all, "jpeg"), bytes(&all, "small"));
    for (step, pick) in picks.iter().enumerate() {
        let frame = &one.frames[pick.unwrap()];
        assert!(decode_image(png[step].as_ref().unwrap()).unwrap().pixels == *frame, "step {step}");
        let lossy = decode_image(jpeg[step].as_ref().unwrap()).unwrap();
        let far: u64 = lossy.pixels.iter().zip(frame).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert_eq!((lossy.height, lossy.width), (48, 64));
        assert!(far / frame.len() as u64 <= 16, "step {step}: {far}");
        let small = decode_image(small[step].as_ref().unwrap()).unwrap();
        assert_eq!((small.height, small.width, small.channels), (24, 32, 3));
    }
    let schema = all.rows.unwrap().schema();
    let coding = |name: &str| schema.field_with_name(name).unwrap().metadata()[meta::ENCODING].clone();
    assert_eq!(["png", "jpeg", "small"].map(coding), ["png", "jpeg", "jpeg"]);
}

#[test]
fn other_codecs_are_decoded_as_well() {
    for name in ["av1_long_gop", "av1_g2"] {
        let video = video(name);
        let messages = video.messages("/cam", 0);
        let spec = at_rate("30", vec![raw("cam", "/cam")]);
        let all = read_all(&AlignedSource::in_pieces(log(messages.clone()), spec, 1).unwrap());
        holds(&all, "cam", &video.frames, &picked(&all, &messages, "/cam", Align::Nearest));
    }
}

#[test]
fn packets_of_ffmpeg_are_decoded_as_well() {
    for (name, encoding) in [
        ("h264_g2", "libx264"),
        ("h264_intra_refresh", "h264;yuv420p;rgb8;bgr8"),
        ("av1_g2", "libsvtav1"),
        ("av1_long_gop", "av1;yuv420p;bgr8;bgr8"),
    ] {
        let video = video(name);
        let mut messages = video.messages("/cam", 0);
        messages.iter_mut().for_each(|it| it.format = encoding);
        for (rate, piece_bytes) in [("10", u64::MAX), ("30", u64::MAX), ("30", 1), ("100", 1)] {
            let spec = at_rate(rate, vec![raw("cam", "/cam")]);
            let source = log_of(&PACKETS, messages.clone());
            let all = read_all(&AlignedSource::in_pieces(source, spec, piece_bytes).unwrap());
            balances(&all);
            holds(&all, "cam", &video.frames, &picked(&all, &messages, "/cam", Align::Nearest));
            assert!(all.warnings.is_empty() && all.errors.is_empty(), "{name}: {all:?}");
        }
    }
    let mut messages = video("h264_g2").messages("/cam", 0);
    messages.iter_mut().for_each(|it| it.format = "mpeg4;yuv420p;bgr8;bgr8");
    let spec = at_rate("30", vec![camera("cam", "/cam", None)]);
    let Err(crate::Unfit::Error(err)) = normalized(log_of(&PACKETS, messages), &spec) else {
        panic!("taken")
    };
    assert_eq!((err.kind(), err.locus().topic.as_deref()), (ErrorKind::Unsupported, Some("/cam")));
    assert!(err.to_string().contains("is coded as `mpeg4;yuv420p;bgr8;bgr8`"), "{err}");
}

#[test]
fn what_comes_before_the_first_key_frame_has_no_picture_and_is_told() {
    let one = video("h264_g2");
    let mut messages = one.messages("/one", 0);
    // The second message needs the first.
    messages.remove(0);
    let steps = |beyond| {
        let tolerance = Some(Tolerance { max_ns: None, beyond });
        at_rate("30", vec![FieldSpec { tolerance, ..raw("one", "/one") }])
    };
    for (form, piece_bytes) in [(&COMPRESSED_VIDEO, u64::MAX), (&COMPRESSED_VIDEO, 1), (&PACKETS, 1)] {
        let source = log_of(form, messages.clone());
        let source = AlignedSource::in_pieces(source, steps(Beyond::Null), piece_bytes).unwrap();
        let all = read_all(&source);
        balances(&all);
        let picks = picked(&all, &messages, "/one", Align::Nearest);
        let expected: Vec<Option<usize>> = picks.iter().map(|it| it.filter(|it| *it != 0)).collect();
        assert!(expected[0].is_none() && expected[1..].iter().all(Option::is_some), "{expected:?}");
        holds(&all, "one", &one.frames[1..], &expected);
        assert_eq!(all.fates[&1].2, [("before_key_frame", 1)].into());
        let told = "1 message of video comes before the first key frame";
        assert!(all.warnings.len() == 1 && all.warnings[0].starts_with(told), "{:?}", all.warnings);
    }
    let dropped = read_all(&AlignedSource::new(log(messages.clone()), steps(Beyond::Drop)).unwrap());
    assert_eq!(dropped.fates[&0].2, [("before_key_frame", 1)].into());
    assert!(bytes(&dropped, "one").iter().all(Option::is_some));
    let refused = AlignedSource::new(log(messages), steps(Beyond::Fail)).unwrap();
    let err = refused.read(0, &ReadOptions::default()).err().unwrap();
    assert!(err.to_string().contains("no key frame is before the message of the step"), "{err}");
    assert_eq!((err.locus().step_idx, err.locus().feature.as_deref()), (Some(0), Some("one")));
}

#[test]
fn an_episode_that_starts_inside_a_group_is_decoded_from_the_key_frame_before_it() {
    let (_, other, messages) = two_cameras();
    let range = |first: i64, end: i64| EpisodeRange {
        recording: None,
        start_ns: START_NS + first * MS,
        end_ns: START_NS + end * MS,
    };
    let episodes = Cut::Ranges(vec![range(300, 400), range(500, 760)]);
    let spec = StepSpec { episodes, ..at_rate("30", vec![raw("other", "/other")]) };
    for piece_bytes in [u64::MAX, 1] {
        let all =
            read_all(&AlignedSource::in_pieces(log(messages.clone()), spec.clone(), piece_bytes).unwrap());
        balances(&all);
        // No message of outside is taken, however near.
        let rows = all.rows.as_ref().unwrap();
        let steps = rows.column(1).as_primitive::<Int64Type>().values();
        assert_eq!((all.episodes.first(), all.episodes.last()), (Some(&0), Some(&1)));
        let times: Vec<i64> =
            messages.iter().filter(|it| it.topic == "/other").map(|it| it.time_ns).collect();
        let bounds = [(300, 400), (500, 760)].map(|(a, b)| START_NS + a * MS..START_NS + b * MS);
        let pick = |(step, episode): (&i64, &usize)| {
            let own = (0..times.len()).filter(|it| bounds[*episode].contains(&times[*it]));
            own.min_by_key(|it| (times[*it] - step).abs())
        };
        let picks: Vec<Option<usize>> = steps.iter().zip(&all.episodes).map(pick).collect();
        holds(&all, "other", &other.frames, &picks);
    }
}

#[test]
fn frames_in_another_order_than_their_messages_are_an_error_with_its_message() {
    for (name, form) in
        [("h264_bframes", &COMPRESSED_VIDEO), ("hevc", &COMPRESSED_VIDEO), ("h264_bframes", &PACKETS)]
    {
        let video = video(name);
        let spec = at_rate("30", vec![raw("cam", "/cam")]);
        let source = AlignedSource::new(log_of(form, video.messages("/cam", 0)), spec).unwrap();
        let read = || -> nodedata_core::Result<()> {
            for partition in 0..source.plan().partitions.len() {
                source.read(partition, &ReadOptions::default())?;
            }
            Ok(())
        };
        let err = read().unwrap_err();
        let text = err.chain();
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{name}: {text}");
        assert!(text.contains("another order") && text.contains("/cam at 1700000000"), "{name}: {text}");
        assert_eq!(err.locus().topic.as_deref(), Some("/cam"), "{name}");
        assert!(err.hint().is_some(), "{name}");
    }
}

/// Where nobody decodes it, video passes through if every message is a step, which is told; one message alone is of no use to anybody.
#[test]
fn video_that_no_decoder_takes_passes_through_whole_or_is_refused() {
    let one = video("h264_g2");
    let mut messages = one.messages("/one", 0);
    messages.iter_mut().for_each(|it| it.format = "theora");
    let on_clock =
        |field: FieldSpec| StepSpec { fields: vec![field], ..StepSpec::new(Clock::Topic("/one".to_owned())) };
    let source =
        normalized(log(messages.clone()), &on_clock(camera("one", "/one", Some(MediaEncoding::Png))))
            .unwrap();
    let [finding] = source.plan().findings.as_slice() else { panic!("{:?}", source.plan().findings) };
    assert_eq!((finding.kind, finding.reason.as_str()), (FindingKind::Repair, "camera-not-decoded"));
    assert!(
        finding.message.contains("`theora`") && finding.message.contains("passes through"),
        "{finding:?}"
    );
    let all = read_all(source.as_ref());
    let samples: Vec<Option<Vec<u8>>> = one.samples.iter().cloned().map(Some).collect();
    assert!(bytes(&all, "one") == samples);
    let turned = FieldSpec { transform: vec![FieldTransform::Rotate180 {}], ..FieldSpec::new("one", "/one") };
    for refused in [on_clock(turned), at_rate("30", vec![camera("one", "/one", None)])] {
        let Err(crate::Unfit::Error(err)) = normalized(log(messages.clone()), &refused) else {
            panic!("taken")
        };
        assert_eq!((err.kind(), err.locus().topic.as_deref()), (ErrorKind::Unsupported, Some("/one")));
        assert!(err.to_string().contains("no decoder here takes the video of /one"), "{err}");
    }
    // As before nobody asks for pictures of the clock.
    let plain = normalized(log(messages), &on_clock(camera("one", "/one", None))).unwrap();
    assert!(plain.plan().findings.is_empty());
    assert!(bytes(&read_all(plain.as_ref()), "one") == samples);
}

#[test]
fn video_is_interpolated_by_nobody() {
    let (.., messages) = two_cameras();
    let field = FieldSpec { align: Some(Align::Linear), ..raw("one", "/one") };
    let found = mistakes(&at_rate("30", vec![field]), &log(messages).plan().streams);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("only numbers can be interpolated"), "{found:?}");
}
