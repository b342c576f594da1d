//! Bare frames and point clouds of logs: what steps say of them, and what is made of them.

use std::{path::Path, sync::Arc};

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Float32Type, UInt32Type},
};
use arrow_select::concat::concat_batches;
use nodedata_core::{Dim, Files, OpenOptions, ReadOptions, Source, StreamId, meta};
use nodedata_io::LocalFiles;
use nodedata_media::decode_image;
use nodedata_testkit::corpus;

use super::reference::{balances, read_all};
use crate::{
    AlignedSource, Clock, FieldSpec, FieldTransform, FrameCoding, FramesOf, Rate, StepSpec, Zero, mistakes,
    normalized, step_features,
};

fn log(path: &Path) -> Box<dyn Source> {
    let files: Arc<dyn Files> = Arc::new(LocalFiles::file(path));
    nodedata_formats::builtin().by_name("mcap").unwrap().open(files, &OpenOptions::default()).unwrap()
}

pub(super) fn teleop() -> Box<dyn Source> {
    log(&corpus::fixtures("mcap").join("teleop.mcap"))
}

fn spec(fields: Vec<FieldSpec>) -> StepSpec {
    StepSpec { fields, ..StepSpec::new(Clock::Rate(Rate::parse("10").unwrap())) }
}

fn field(name: &str, from: &str, transform: Vec<FieldTransform>) -> FieldSpec {
    FieldSpec { transform, ..FieldSpec::new(name, from) }
}

/// A recording that was reported; `None` where the corpora are not there.
fn reported(name: &str) -> Option<Box<dyn Source>> {
    let folder = corpus::folder("reported/lerobot")?;
    Some(log(&folder.join("steps_raw_image").join(name)))
}

fn image(frames: FramesOf, transform: Vec<FieldTransform>) -> StepSpec {
    spec(vec![FieldSpec { frames, ..field("i", "/img", transform) }])
}

fn facts(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let schema = rows.schema();
    let metadata = schema.field_with_name(name).unwrap().metadata();
    [meta::FRAME_SIZE, meta::FRAME_FORMAT].map(|it| metadata.get(it).cloned()).to_vec()
}

#[track_caller]
fn fails(source: &dyn Source, told: &[&str]) {
    let read = || -> nodedata_core::Result<()> {
        for partition in 0..source.plan().partitions.len() {
            let mut stream = source.read(partition, &ReadOptions::default())?;
            while stream.next_batch()?.is_some() {}
        }
        Ok(())
    };
    let Err(err) = read() else { panic!("{told:?}: taken") };
    let text = format!("{} {:?} {}", err.chain(), err.locus(), err.hint().unwrap_or_default());
    told.iter().for_each(|it| assert!(text.contains(it), "{text} has no `{it}`"));
}

#[test]
fn frames_of_one_layout_say_it_in_the_metadata_of_their_field() {
    for (name, format) in
        [("e_img_bayer_rggb8.mcap", "bayer_rggb8"), ("e_img_yuv422_yuy2.mcap", "yuv422_yuy2")]
    {
        let Some(source) = reported(name) else { return };
        let steps = normalized(source, &image(FramesOf::Same, Vec::new())).unwrap();
        let rows = read_all(steps.as_ref()).rows.unwrap();
        assert_eq!(facts(&rows, "i")[1].as_deref(), Some(format), "{name}");
        let size: [usize; 2] = serde_json::from_str(facts(&rows, "i")[0].as_ref().unwrap()).unwrap();
        let bytes = rows.column_by_name("i").unwrap().as_binary::<i32>();
        let pixel = if format.starts_with("yuv") { 2 } else { 1 };
        assert_eq!(bytes.value(0).len(), size[0] * size[1] * pixel, "{name}");
        // Its values are no picture before they are converted.
        let turned = vec![FieldTransform::Rotate180 {}];
        let steps = normalized(reported(name).unwrap(), &image(FramesOf::Same, turned)).unwrap();
        fails(steps.as_ref(), &[format, "no picture", "remove the transform"]);
    }
}

#[test]
fn frames_that_vary_say_their_size_in_each_row_or_are_an_error() {
    let Some(source) = reported("e_img_amb.mcap") else { return };
    // Which frame comes second, and what can be done.
    let same = normalized(source, &image(FramesOf::Same, Vec::new()));
    fails(
        same.unwrap().as_ref(),
        &["the frame is", "/img", "`fields.i.frames: vary` adds the columns `i.height`"],
    );
    let source = normalized(reported("e_img_amb.mcap").unwrap(), &image(FramesOf::Vary, Vec::new())).unwrap();
    let all = read_all(source.as_ref());
    balances(&all);
    let rows = all.rows.unwrap();
    let sides = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<UInt32Type>().clone();
    let (heights, widths) = (sides("i.height"), sides("i.width"));
    let mut sizes: Vec<(u32, u32)> =
        (0..rows.num_rows()).map(|it| (heights.value(it), widths.value(it))).collect();
    sizes.sort_unstable();
    sizes.dedup();
    assert_eq!(sizes, [(2, 4), (4, 2)]);
    let formats = rows.column_by_name("i.encoding").unwrap().as_string::<i32>();
    assert!(formats.iter().all(|it| it == Some("rgb8")));
    // A picture says its size itself: the columns are not needed any more.
    let coded = vec![
        FieldTransform::Rotate180 {},
        FieldTransform::Encode { coding: FrameCoding::Png, quality: None, group: None, encoder: None },
    ];
    let coded = image(FramesOf::Vary, coded);
    let source = reported("e_img_amb.mcap").unwrap();
    assert_eq!(step_features(&coded, &source.plan().streams).unwrap().len(), 3);
    let made = read_all(normalized(source, &coded).unwrap().as_ref()).rows.unwrap();
    assert_eq!(made.num_columns(), 3);
    let bytes = rows.column_by_name("i").unwrap().as_binary::<i32>();
    let pictures = made.column_by_name("i").unwrap().as_struct().column(0).as_binary::<i32>().clone();
    for row in 0..rows.num_rows() {
        let frame = decode_image(pictures.value(row)).unwrap();
        assert_eq!((frame.height, frame.width, frame.channels), (heights.value(row), widths.value(row), 3));
        let turned: Vec<u8> = bytes.value(row).chunks_exact(3).rev().flatten().copied().collect();
        assert_eq!(frame.pixels, turned);
    }
}

#[test]
fn a_change_of_type_is_an_error_with_its_address() {
    for frames in [FramesOf::Same, FramesOf::Vary] {
        let Some(source) = reported("e_img_mix_enc.mcap") else { return };
        let steps = normalized(source, &image(frames, Vec::new())).unwrap();
        fails(
            steps.as_ref(),
            &["a change of type", "32FC1 of float32", "rgb8 of uint8", "feature: Some(\"i\")", "/img"],
        );
    }
}

#[test]
fn only_bare_frames_of_messages_vary() {
    let source = teleop();
    let varies =
        FieldSpec { frames: FramesOf::Vary, ..FieldSpec::new("wrist", "/camera/wrist/image/compressed") };
    let found = mistakes(&spec(vec![varies]), &source.plan().streams);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, "fields.wrist.frames".to_owned().into());
}

/// Pieces of any size give the same rows, and metres are a thousandth of what the camera sent.
#[test]
fn depth_of_a_log_becomes_metres() {
    let depth = FieldTransform::Depth { from: None, to: "m".into(), zero: Zero::Keep };
    let crop = FieldTransform::Crop { height: 10, width: 20, top: Some(1), left: Some(2) };
    let fields = vec![
        field("raw", "/camera/depth/image_raw", Vec::new()),
        field("depth", "/camera/depth/image_raw", vec![crop, depth]),
    ];
    let source = normalized(teleop(), &spec(fields)).unwrap();
    let feature = &source.plan().streams[0].features[3];
    assert_eq!((feature.name.as_str(), feature.told().as_str()), ("depth", "float32, raw"));
    assert_eq!(feature.metadata[meta::UNIT], "m");
    assert!(!feature.metadata.contains_key(meta::FRAME_FORMAT));
    let rows = read_all(source.as_ref()).rows.unwrap();
    let size: [usize; 2] = serde_json::from_str(facts(&rows, "raw")[0].as_ref().unwrap()).unwrap();
    let column = |name: &str| rows.column_by_name(name).unwrap().as_binary::<i32>().clone();
    let (raw, depth) = (column("raw"), column("depth"));
    let mut n = 0;
    for row in (0..rows.num_rows()).filter(|it| raw.is_valid(*it)) {
        let values: Vec<u16> =
            raw.value(row).as_chunks::<2>().0.iter().map(|it| u16::from_le_bytes(*it)).collect();
        let metres: Vec<f32> =
            depth.value(row).as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it)).collect();
        let expected = (0..10).flat_map(|y| (0..20).map(move |x| (y + 1) * size[1] + x + 2));
        let expected: Vec<f32> = expected.map(|it| (f64::from(values[it]) / 1000.0) as f32).collect();
        assert_eq!(metres, expected);
        n += 1;
    }
    assert!(n > 5, "{n} frames");
}

#[test]
fn points_of_a_log_are_those_of_its_bytes() {
    let points = |max, fill| FieldTransform::Points {
        fields: ["x", "y", "z", "ring"].map(str::to_owned).to_vec(),
        max,
        fill,
    };
    let fields = vec![
        field("raw", "/points.data", Vec::new()),
        field("all", "/points", vec![points(None, false)]),
        field("some", "/points", vec![points(Some(10), true)]),
        field(
            "next",
            "/points",
            vec![points(None, false), FieldTransform::Shift { steps: 1, end: crate::End::Null }],
        ),
    ];
    // As many steps as there are clouds.
    let at_pace = StepSpec { fields, ..StepSpec::new(Clock::Rate(Rate::parse("5").unwrap())) };
    let source = normalized(teleop(), &at_pace).unwrap();
    let features = &source.plan().streams[0].features;
    let names: Vec<&str> = features.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["step_index", "timestamp_ns", "raw", "all", "some", "next"]);
    assert_eq!(features[3].shape, [Dim::Variable, Dim::Fixed(4)]);
    assert_eq!(features[4].shape, [Dim::Fixed(10), Dim::Fixed(4)]);
    let all = read_all(source.as_ref());
    balances(&all);
    let rows = all.rows.unwrap();
    let raw = rows.column_by_name("raw").unwrap().as_binary::<i32>();
    assert!(5 < raw.len() - raw.null_count(), "{} of {}", raw.null_count(), raw.len());
    let points_of = |name: &str, row: usize| {
        let row = rows.column_by_name(name).unwrap().slice(row, 1);
        let values = nodedata_core::Nested::of(row.as_ref()).values;
        // NaN is NaN.
        values.as_primitive::<Float32Type>().values().iter().map(|it| it.to_bits()).collect::<Vec<u32>>()
    };
    for row in (0..rows.num_rows()).filter(|it| raw.is_valid(*it)) {
        let found = points_of("all", row);
        let n = found.len() / 4;
        assert!(n > 10 && raw.value(row).len().is_multiple_of(n));
        let step = raw.value(row).len() / n;
        for point in 0..n {
            let x: [u8; 4] = raw.value(row)[point * step..point * step + 4].try_into().unwrap();
            assert_eq!(found[point * 4], u32::from_le_bytes(x));
        }
        let expected: Vec<u32> = (0..10).flat_map(|it| found[it * n / 10 * 4..][..4].to_vec()).collect();
        assert_eq!(points_of("some", row), expected);
        if row + 1 < rows.num_rows() {
            assert_eq!(points_of("next", row), points_of("all", row + 1));
        }
    }
    // The same from pieces of any size.
    let aligned = AlignedSource::in_pieces(teleop(), at_pace.clone(), 1).unwrap();
    let (makes_steps, companions) =
        (aligned.makes_steps(), aligned.shared().store.mapping.companions.clone());
    let source =
        crate::transform::over_steps(Box::new(aligned), &at_pace, makes_steps, &companions).unwrap().0;
    assert!(source.plan().streams[0].id == StreamId(0) && source.plan().partitions.len() > 1);
    let again = read_all(source.as_ref()).rows.unwrap();
    assert_eq!(again.columns()[1..], rows.columns()[1..]);
}

/// Clouds that are filled up may become far more than their bytes were: no batch holds more than it may.
#[test]
fn filled_clouds_come_in_batches_of_bounded_size() {
    let fields = ["x", "y"].map(str::to_owned).to_vec();
    let points = FieldTransform::Points { fields, max: Some(1 << 12), fill: true };
    let at_pace = StepSpec {
        fields: vec![field("cloud", "/points", vec![points])],
        ..StepSpec::new(Clock::Rate(Rate::parse("5").unwrap()))
    };
    let source = normalized(teleop(), &at_pace).unwrap();
    let read = |batch_bytes_max: usize| {
        let options = ReadOptions { batch_bytes_max, ..ReadOptions::default() };
        let mut batches = Vec::new();
        for partition in 0..source.plan().partitions.len() {
            let mut stream = source.read(partition, &options).unwrap();
            while let Some(batch) = stream.next_batch().unwrap() {
                batches.push(batch.rows);
            }
        }
        batches
    };
    let row_bytes = (1 << 12) * 2 * size_of::<f32>();
    let (whole, cut) = (read(ReadOptions::default().batch_bytes_max), read(3 * row_bytes));
    assert!(whole.iter().any(|it| 3 < it.num_rows()));
    assert!(cut.iter().all(|it| it.num_rows() <= 3));
    let joined = |of: &[RecordBatch]| concat_batches(&of[0].schema(), of).unwrap();
    let numbers = |it: &RecordBatch| it.columns()[..2].to_vec();
    let (whole, cut) = (joined(&whole), joined(&cut));
    assert_eq!(numbers(&cut), numbers(&whole));
    let clouds = |it: &RecordBatch| {
        let values = nodedata_core::Nested::of(it.column_by_name("cloud").unwrap().as_ref()).values;
        // NaN is NaN.
        values.as_primitive::<Float32Type>().values().iter().map(|it| it.to_bits()).collect::<Vec<u32>>()
    };
    assert_eq!(clouds(&cut), clouds(&whole));
}

#[test]
fn points_are_made_of_point_clouds_alone() {
    let source = teleop();
    let points = FieldTransform::Points { fields: vec!["x".to_owned()], max: None, fill: false };
    for from in ["/imu/data.angular_velocity.x", "/points.width", "/camera/depth/image_raw"] {
        let found = mistakes(&spec(vec![field("f", from, vec![points.clone()])]), &source.plan().streams);
        assert!(found[0].message.contains("PointCloud2"), "{from}: {found:?}");
    }
    let second = vec![FieldTransform::Invert { item: None }, points];
    let found = mistakes(&spec(vec![field("f", "/points", second)]), &source.plan().streams);
    assert!(!found.is_empty());
}
