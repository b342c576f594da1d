//! Pictures of steps that become H.264: where groups start, what comes back, and what is refused where.

use std::{collections::VecDeque, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StructArray, cast::AsArray, new_null_array,
};
use arrow_schema::DataType;
use nodedata_core::{
    Batch, DType, EpisodeInfo, EpisodeStream, ErrorKind, Feature, InputFile, InputRange, Partition,
    ReadOptions, Result, RowSpan, Source, SourcePlan, Storage, StreamId, StreamKind, StreamSchema, meta,
    placed::Place,
};
use nodedata_media::{
    Decoded, VideoCodec, encode_png, h264_encoder, is_keyframe,
    video::{CodedSample, DecodeOptions, decode_frames},
};
use nodedata_steps::media_shapes;
use nodedata_testkit::skipped;

use super::reference::{Everything, read_all};
use crate::{
    Clock, DropSteps, EpisodeSpec, FieldSpec, FieldTransform, FrameCoding, StepSpec, Unfit, mistakes,
    normalized, settle_encoders, step_features, with_episodes,
};

/// Whether the program that codes is here. Says so when a test must do without.
fn has_encoder() -> bool {
    let found = h264_encoder(&DecodeOptions::default().ffmpeg);
    if found.is_err() {
        skipped("no `ffmpeg` program with libx264; put one on the PATH or name it in NODEDATA_FFMPEG");
    }
    found.is_ok()
}

/// Steps of a camera in memory, by partition and batch.
#[derive(Clone)]
struct Shots {
    plan: SourcePlan,
    parts: Vec<Vec<RecordBatch>>,
}

/// Pictures as PNG, by batch of a part of an episode.
type Part = (usize, Vec<Vec<Option<Vec<u8>>>>);

impl Shots {
    fn new(parts: &[Part]) -> Self {
        let camera = Feature {
            storage: Storage::EncodedMedia,
            ..Feature::new("camera", DType::Bytes, Vec::new()).nullable()
        };
        let number = |name: &str| Feature::new(name, DType::Int64, Vec::new());
        let stream = StreamSchema {
            id: StreamId(0),
            name: nodedata_core::STEPS.into(),
            kind: StreamKind::Steps,
            features: vec![number("step_index"), camera, number("number")],
            metadata: [("fps".to_owned(), "12.5".to_owned())].into(),
        };
        let schema = stream.arrow();
        let mut first = 0;
        let mut last_episode = 0;
        let partitions = parts.iter().enumerate().map(|(idx, (episode, _))| Partition {
            episode: *episode,
            reads: vec![InputRange { input: 0, byte_range: idx as u64..idx as u64 + 1 }],
            ..Partition::default()
        });
        let partitions: Vec<Partition> = partitions.collect();
        let mut rows = |episode: usize, pictures: &[Option<Vec<u8>>]| {
            first = if episode == last_episode { first } else { 0 };
            last_episode = episode;
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((first..).take(pictures.len())));
            first += pictures.len() as i64;
            let bytes: BinaryArray = pictures.iter().map(Option::as_deref).collect();
            let DataType::Struct(fields) = schema.field(1).data_type() else { panic!("media is a struct") };
            let nulls = bytes.nulls().cloned();
            let path = new_null_array(&DataType::Utf8, bytes.len());
            let camera = Arc::new(StructArray::new(fields.clone(), vec![Arc::new(bytes), path], nulls));
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(&numbers), camera, numbers]).unwrap()
        };
        let batches = |(episode, batches): &Part| batches.iter().map(|it| rows(*episode, it)).collect();
        let batches: Vec<Vec<RecordBatch>> = parts.iter().map(batches).collect();
        let n_episodes = parts.iter().map(|it| it.0).max().unwrap_or(0) + 1;
        let episode = |idx: usize| EpisodeInfo { key: format!("e{idx}"), ..EpisodeInfo::default() };
        let plan = SourcePlan {
            streams: vec![stream],
            inputs: vec![InputFile { path: "memory".into(), n_bytes: parts.len() as u64 }],
            episodes: (0..n_episodes).map(episode).collect(),
            partitions,
            ..SourcePlan::default()
        };
        Self { plan, parts: batches }
    }
}

impl Source for Shots {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, _: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let batches: VecDeque<RecordBatch> = self.parts[partition].clone().into();
        let n_rows = batches.iter().map(|it| it.num_rows() as u64).sum();
        Ok(Box::new(Rows { batches, read: [(StreamId(0), n_rows)] }))
    }
}

struct Rows {
    batches: VecDeque<RecordBatch>,
    read: [(StreamId, u64); 1],
}

impl EpisodeStream for Rows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(rows) = self.batches.pop_front() else { return Ok(None) };
        let n_rows = rows.num_rows() as u64;
        let spans = vec![RowSpan { input: 0, n_rows, byte_range: 0..1, first_record: 0 }];
        let pixels = media_shapes(1, rows.column(1));
        Ok(Some(Batch { stream: StreamId(0), rows, spans, pixels }))
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.read
    }
}

/// A picture that tells its number: a slope of red and green that moves, and blue that grows.
fn shot(number: usize, [height, width]: [usize; 2]) -> Decoded {
    let pixel = |at: usize| {
        let (row, column) = (at / width, at % width);
        [(40 + 3 * column + 2 * number) as u8, (60 + 2 * row) as u8, (50 + 10 * number) as u8]
    };
    let pixels = (0..height * width).flat_map(pixel).collect();
    Decoded { height: height as u32, width: width as u32, channels: 3, dtype: DType::UInt8, pixels }
}

const SIZE: [usize; 2] = [32, 48];

fn png(number: usize, size: [usize; 2]) -> Option<Vec<u8>> {
    Some(encode_png(&shot(number, size)).unwrap())
}

fn shots(numbers: std::ops::Range<usize>) -> Vec<Option<Vec<u8>>> {
    numbers.map(|it| png(it, SIZE)).collect()
}

fn encode(crf: u8, group: u32) -> FieldTransform {
    let (quality, group) = (Some(crf), Some(group));
    FieldTransform::Encode { coding: FrameCoding::H264, quality, group, encoder: None }
}

fn field(name: &str, transform: Vec<FieldTransform>) -> FieldSpec {
    FieldSpec { transform, ..FieldSpec::new(name, "camera") }
}

fn over(fields: Vec<FieldSpec>) -> StepSpec {
    StepSpec { fields, ..StepSpec::new(Clock::Own) }
}

fn samples(rows: &RecordBatch, name: &str) -> Vec<Vec<u8>> {
    let column = rows.column_by_name(name).unwrap().as_binary::<i32>();
    column.iter().map(|it| it.unwrap().to_vec()).collect()
}

/// The marks of a column of video, which are those that its samples bear.
#[track_caller]
fn keyframes(rows: &RecordBatch, name: &str) -> String {
    let marks = rows.column_by_name(&format!("{name}.keyframe")).unwrap().as_boolean().clone();
    let marks: Vec<bool> = marks.iter().map(Option::unwrap).collect();
    let found: Vec<bool> =
        samples(rows, name).iter().map(|it| is_keyframe(VideoCodec::H264, it).unwrap()).collect();
    assert_eq!(marks, found, "{name}");
    marks.iter().map(|it| if *it { 'K' } else { '.' }).collect()
}

fn decoded(samples: &[Vec<u8>]) -> Vec<Decoded> {
    let coded = samples.iter().enumerate();
    let coded = coded.map(|(idx, it)| Ok(CodedSample { order: idx as i64, data: it.clone().into() }));
    let options = DecodeOptions { in_order: true, ..DecodeOptions::default() };
    let mut frames = Vec::new();
    decode_frames(VideoCodec::H264, &[], coded, 0..i64::MAX, &options, |it| {
        frames.push(it.to_rgb());
        Ok(())
    })
    .unwrap();
    frames
}

/// How far pictures are from each other, in the mean.
fn distance(a: &Decoded, b: &Decoded) -> f64 {
    assert_eq!((a.height, a.width, a.channels), (b.height, b.width, b.channels));
    let far = a.pixels.iter().zip(&b.pixels).map(|(a, b)| f64::from(a.abs_diff(*b)));
    far.sum::<f64>() / a.pixels.len() as f64
}

fn without_loss(source: &dyn Source) -> Everything {
    let all = read_all(source);
    assert_eq!(all.errors, Vec::<String>::new());
    all
}

#[test]
fn pictures_become_video_in_groups_that_batches_do_not_cut() {
    if !has_encoder() {
        return;
    }
    // An episode of two parts, the first of two batches, and one of a single step.
    let parts = vec![(0, vec![shots(0..3), shots(3..7)]), (0, vec![shots(7..9)]), (1, vec![shots(9..10)])];
    let small = FieldTransform::Resize { height: 16, width: 24, way: None };
    let spec = over(vec![
        field("front", vec![encode(12, 2)]),
        FieldSpec::new("number", "number"),
        field("small", vec![small, encode(12, 3)]),
    ]);
    let source = normalized(Box::new(Shots::new(&parts)), &spec).unwrap();
    let plan = source.plan();
    let names: Vec<&str> = plan.streams[0].features.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["step_index", "front", "front.keyframe", "number", "small", "small.keyframe"]);
    let told: Vec<_> = plan.coded.iter().map(|it| (it.feature.as_str(), it.codec.as_str(), it.fps)).collect();
    assert_eq!(told, [("front", "h264", 12.5), ("small", "h264", 12.5)]);
    let front = &plan.streams[0].features[1];
    assert_eq!((front.storage, front.nullable), (Storage::RawMedia, false));
    assert_eq!(front.metadata[meta::ENCODING], "h264");
    assert_eq!(front.metadata[meta::TRANSFORM], "[{\"encode@1\":{\"as\":\"h264:12\",\"group\":2}}]");
    let facts: serde_json::Value = serde_json::from_str(&front.metadata[meta::VIDEO]).unwrap();
    assert_eq!((facts["matrix"].as_str(), facts["fps"].as_str()), (Some("bt601"), Some("12.5")));
    assert!(facts["encoder"].as_str().unwrap().contains("x264"), "{facts}");
    let known = step_features(&spec, &Shots::new(&[]).plan.streams).unwrap();
    assert_eq!(known.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), names);

    let all = without_loss(source.as_ref());
    let rows = all.rows.unwrap();
    assert_eq!(
        (keyframes(&rows, "front").as_str(), keyframes(&rows, "small").as_str()),
        ("K.K.K.KK.K", "K..K..KK.K")
    );
    let number = |row: usize| {
        rows.column_by_name("number").unwrap().as_primitive::<arrow_array::types::Int64Type>().value(row)
    };
    assert_eq!((number(3), number(8), number(9)), (3, 8, 0));
    let frames = decoded(&samples(&rows, "front"));
    assert_eq!(frames.len(), 10);
    for (idx, frame) in frames.iter().enumerate() {
        let far = distance(frame, &shot(idx, SIZE));
        // The picture beside it is farther.
        assert!(far < 3.0 && far < distance(frame, &shot(idx + 1, SIZE)), "{idx}: {far}");
    }
    assert_eq!(
        decoded(&samples(&rows, "small")).iter().map(|it| (it.height, it.width)).max(),
        Some((16, 24))
    );
}

#[test]
fn batches_say_how_large_the_frames_of_their_video_are() {
    if !has_encoder() {
        return;
    }
    let spec = over(vec![field("front", vec![encode(30, 2)])]);
    let source = normalized(Box::new(Shots::new(&[(0, vec![shots(0..2), shots(2..3)])])), &spec).unwrap();
    let mut stream = source.read(0, &ReadOptions::default()).unwrap();
    for n_rows in [2, 1] {
        let batch = stream.next_batch().unwrap().unwrap();
        let [pixels] = batch.pixels.as_slice() else { panic!("{:?}", batch.pixels) };
        assert_eq!((pixels.column, pixels.n_rows, pixels.encoding.as_str()), (1, n_rows, "h264"));
        assert_eq!((pixels.dtype, pixels.shape.as_slice()), (DType::UInt8, &[32, 48, 3][..]));
    }
    assert!(stream.next_batch().unwrap().is_none());
}

#[test]
fn steps_without_a_picture_that_can_be_coded_are_told_and_the_video_goes_on() {
    if !has_encoder() {
        return;
    }
    let gray = Decoded { channels: 1, pixels: vec![7; 32 * 48], ..shot(0, SIZE) };
    let mut pictures = shots(0..8);
    pictures[1] = None;
    pictures[3] = png(3, [31, 48]);
    pictures[4] = png(4, [48, 32]);
    pictures[5] = Some(b"\xff\xd8\xff no picture".to_vec());
    pictures[6] = Some(encode_png(&gray).unwrap());
    let spec = over(vec![field("front", vec![encode(12, 2)]), FieldSpec::new("number", "number")]);
    let source = normalized(Box::new(Shots::new(&[(0, vec![pictures])])), &spec).unwrap();
    let mut stream = source.read(0, &ReadOptions::default()).unwrap();
    let (mut errors, mut batches) = (Vec::new(), Vec::new());
    loop {
        match stream.next_batch() {
            Ok(Some(batch)) => batches.push(batch),
            Ok(None) => break,
            Err(err) => errors.push(err),
        }
    }
    let expected = [
        (1, ErrorKind::Unsupported, "video has a frame for every step", "`on_error: salvage`"),
        (3, ErrorKind::Unsupported, "31 × 48", "image/crop: {height: 30, width: 48}"),
        (4, ErrorKind::SchemaMismatch, "48 × 32, and those before it are 32 × 48", "image/resize"),
        (5, ErrorKind::Corrupt, "", "`on_error: salvage`"),
        (6, ErrorKind::Unsupported, "1 channels of uint8", "png"),
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for (err, (step, kind, told, hint)) in errors.iter().zip(expected) {
        assert_eq!((err.locus().step_idx, err.kind()), (Some(step), kind), "{}", err.chain());
        assert_eq!((err.locus().episode_idx, err.locus().feature.as_deref()), (Some(0), Some("front")));
        assert!(
            err.chain().contains(told) && err.hint().unwrap().contains(hint),
            "{}: {:?}",
            err.chain(),
            err.hint()
        );
        assert_eq!(err.loss().unwrap().records, [(StreamId(0), 1)]);
    }
    let [batch] = batches.as_slice() else { panic!("{} batches", batches.len()) };
    assert_eq!(stream.records_read(), [(StreamId(0), 3 + errors.len() as u64)]);
    let numbers =
        batch.rows.column_by_name("number").unwrap().as_primitive::<arrow_array::types::Int64Type>();
    assert_eq!(numbers.values()[..], [0, 2, 7]);
    assert_eq!(batch.spans.iter().map(|it| it.n_rows).sum::<u64>(), 3);
    assert_eq!(keyframes(&batch.rows, "front"), "K.K");
    for (frame, number) in decoded(&samples(&batch.rows, "front")).iter().zip([0, 2, 7]) {
        assert!(distance(frame, &shot(number, SIZE)) < 3.0, "{number}");
    }
}

/// A step that another column loses is in no video: of two cameras both have the frames of the same steps.
#[test]
fn cameras_of_one_episode_have_the_same_steps() {
    if !has_encoder() {
        return;
    }
    let mut pictures = shots(0..5);
    // A rectangle of 32 rows does not lie in it.
    pictures[2] = png(2, [30, 48]);
    let crop = FieldTransform::Crop { height: 32, width: 32, top: None, left: None };
    let whole = FieldTransform::Resize { height: 32, width: 48, way: None };
    let spec =
        over(vec![field("whole", vec![whole, encode(20, 2)]), field("part", vec![crop, encode(20, 2)])]);
    let all = read_all(normalized(Box::new(Shots::new(&[(0, vec![pictures])])), &spec).unwrap().as_ref());
    assert_eq!(all.errors.len(), 1, "{:?}", all.errors);
    assert!(all.errors[0].contains("does not lie in a frame of 30 × 48"), "{:?}", all.errors);
    let rows = all.rows.unwrap();
    assert_eq!((keyframes(&rows, "whole").as_str(), keyframes(&rows, "part").as_str()), ("K.K.", "K.K."));
    assert_eq!(all.read[&0], rows.num_rows() as u64 + all.fates[&0].2["not_transformed"]);
    for name in ["whole", "part"] {
        assert_eq!(decoded(&samples(&rows, name)).len(), 4, "{name}");
    }
}

/// What leaves steps out comes before they are coded.
#[test]
fn steps_that_a_pipeline_leaves_out_are_in_no_video() {
    if !has_encoder() {
        return;
    }
    let drops = DropSteps { column: "number".to_owned(), values: vec!["1".to_owned(), "2".to_owned()] };
    let episodes = EpisodeSpec { drop_steps: vec![drops], ..EpisodeSpec::default() };
    let spec = over(vec![field("front", vec![encode(12, 2)]), FieldSpec::new("number", "number")]);
    let shots = Shots::new(&[(0, vec![shots(0..6)])]);
    let source = with_episodes(Box::new(shots), Some(&spec), &episodes).unwrap();
    let rows = without_loss(source.as_ref()).rows.unwrap();
    assert_eq!(keyframes(&rows, "front"), "K.K.");
    for (frame, number) in decoded(&samples(&rows, "front")).iter().zip([0, 3, 4, 5]) {
        assert!(distance(frame, &shot(number, SIZE)) < 3.0, "{number}");
    }
}

#[test]
fn what_cannot_be_video_is_a_mistake() {
    let streams = Shots::new(&[]).plan.streams;
    let told = |fields: Vec<FieldSpec>| {
        let found = mistakes(&over(fields), &streams);
        let [mistake] = found.as_slice() else { panic!("{found:?}") };
        format!("{:?}: {} ({})", mistake.place, mistake.message, mistake.hint.clone().unwrap_or_default())
    };
    let late = told(vec![field("front", vec![encode(23, 2), FieldTransform::Rotate180 {}])]);
    assert!(late.contains("fields.front.transform[1]") && late.contains("`encode@1` before it"), "{late}");
    let number = FieldSpec { transform: vec![encode(23, 2)], ..FieldSpec::new("n", "number") };
    let number = told(vec![number]);
    assert!(number.contains("`encode@1` takes images"), "{number}");
    let twice = told(vec![field("front", vec![encode(23, 2)]), FieldSpec::new("front.keyframe", "number")]);
    assert!(twice.contains("adds the column `front.keyframe`"), "{twice}");
}

/// A recipe names who coded; another program would make other bytes.
#[test]
fn a_recipe_that_another_program_coded_is_refused() {
    if !has_encoder() {
        return;
    }
    let mut spec = over(vec![field("front", vec![encode(23, 2)])]);
    settle_encoders(&mut spec);
    let FieldTransform::Encode { encoder: Some(settled), .. } = &spec.fields[0].transform[0] else {
        panic!("{spec:?}")
    };
    assert!(settled.starts_with("FFmpeg "), "{settled}");
    let source = || Box::new(Shots::new(&[(0, vec![shots(0..1)])]));
    assert!(normalized(source(), &spec).is_ok());
    if let FieldTransform::Encode { encoder, .. } = &mut spec.fields[0].transform[0] {
        *encoder = Some("FFmpeg 0.1".to_owned());
    }
    let Err(Unfit::Mistakes(found)) = normalized(source(), &spec) else { panic!("taken") };
    assert!(found[0].message.contains("coded by FFmpeg 0.1, and here is FFmpeg "), "{found:?}");
    assert_eq!(found[0].place, Place::Key("fields.front.transform[0]".to_owned()));
}
