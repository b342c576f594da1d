//! Episodes that start inside a group of frames: what comes before their first row, and what lies among their rows in decode order,
//! stands in the table of video.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use arrow_array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray,
    StringArray, StructArray, UInt32Array, UInt64Array,
    builder::{ListBuilder, UInt32Builder},
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Fields};
use bytes::Bytes;
use nodedata_core::{DType, Dim, EPISODE_INDEX, ErrorKind, Feature, STEPS, Storage, meta};
use nodedata_dataset::table;
use nodedata_reader::{Data, Fetched, FieldsRequest, Reader, StepRange, VideoCache};
use nodedata_schema::FieldSchema;
use parquet::file::properties::WriterProperties;

use crate::{
    far::Published,
    made::{Episode, Made, Shard, batch},
    video::{Video, video},
};

/// Some frames of a video as an episode.
struct Part {
    frames: Range<usize>,
    /// Samples of the rows, in presentation order.
    own: Vec<u32>,
    /// Those that decoding takes beside them: decode position, step, and sample.
    beside: Vec<(i32, i32, Bytes)>,
}

fn part(video: &Video, frames: Range<usize>) -> Part {
    let track = &video.track;
    let own: Vec<u32> = track.presentation[frames.clone()].to_vec();
    let first = own.iter().min().copied().unwrap();
    let rows: BTreeSet<usize> = own.iter().map(|it| *it as usize).collect();
    let needed = track.samples_for(frames.start as u64..frames.end as u64).unwrap();
    let beside = needed.filter(|it| !rows.contains(it)).map(|idx| {
        let shown = track.presentation.iter().position(|it| *it as usize == idx).unwrap();
        let sample = video.samples[shown].clone();
        (idx as i32 - first as i32, shown as i32 - frames.start as i32, sample)
    });
    let beside = beside.collect();
    Part { frames, own, beside }
}

fn made(video: &Video, part: &Part, with_preroll: bool) -> Made {
    let track = &video.track;
    let mut camera =
        Feature::new("cam", DType::UInt8, Vec::new()).with_meta(meta::ENCODING, track.codec.name());
    camera.storage = Storage::RawMedia;
    let features = vec![
        Feature::new(EPISODE_INDEX, DType::Int64, Vec::new()),
        camera,
        Feature::new("cam.keyframe", DType::Bool, Vec::new()),
        Feature::new("cam.decode_index", DType::Int32, Vec::new()),
    ];
    let features = if track.is_reordered() { features } else { features[..3].to_vec() };
    let n = part.own.len();
    let first = part.own.iter().min().copied().unwrap();
    let of = |it: &u32| &track.samples[*it as usize];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![0; n])),
        Arc::new(BinaryArray::from_iter_values(&video.samples[part.frames.clone()])),
        Arc::new(part.own.iter().map(|it| Some(of(it).keyframe)).collect::<BooleanArray>()),
        Arc::new(Int32Array::from_iter_values(part.own.iter().map(|it| (it - first) as i32))),
    ];
    let dims = vec![Dim::Fixed(track.height), Dim::Fixed(track.width), Dim::Fixed(3)];
    let told =
        FieldSchema { encoding: Some(track.codec.name().to_owned()), ..FieldSchema::new(DType::UInt8, dims) };
    let properties = WriterProperties::builder().set_data_page_row_count_limit(3).build();
    let rows = batch(&features, columns[..features.len()].to_vec());
    Made {
        told: vec![("cam", told)],
        shards: vec![Shard { split: "train", rows, properties }],
        episodes: vec![Episode { key: "a", split: "train", parts: vec![(0, 0, n as u64)] }],
        tables: vec![("video", video_table(video, part, with_preroll))],
        features,
    }
}

fn video_table(video: &Video, part: &Part, with_preroll: bool) -> Vec<u8> {
    let track = &video.track;
    let mut keyframes =
        ListBuilder::new(UInt32Builder::new()).with_field(Field::new("element", DataType::UInt32, false));
    for (step, sample) in (0u32..).zip(&part.own) {
        if track.samples[*sample as usize].keyframe {
            keyframes.values().append_value(step);
        }
    }
    keyframes.append(true);
    let text = |it: &str| Arc::new(StringArray::from(vec![it])) as ArrayRef;
    let mut columns = vec![
        ("episode_index", Arc::new(Int64Array::from(vec![0])) as ArrayRef, false),
        ("stream", text(STEPS), false),
        ("feature", text("cam"), false),
        ("codec", text(track.codec.name()), false),
        ("codec_config", Arc::new(BinaryArray::from_iter_values([&track.codec_config])), false),
        ("width", Arc::new(UInt32Array::from(vec![track.width])), false),
        ("height", Arc::new(UInt32Array::from(vec![track.height])), false),
        ("fps", Arc::new(Float64Array::from(vec![10.0])), false),
        ("frames", Arc::new(UInt64Array::from(vec![part.own.len() as u64])), false),
        ("source", text("made"), false),
        ("first_frame", Arc::new(UInt64Array::from(vec![part.frames.start as u64])), false),
        ("keyframes", Arc::new(keyframes.finish()), false),
    ];
    if with_preroll {
        let n = part.beside.len();
        columns.push(("preroll_frames", Arc::new(UInt32Array::from(vec![n as u32])), false));
        let field = |name: &str, kind| Field::new(name, kind, false);
        let fields = Fields::from(vec![
            field("decode_index", DataType::Int32),
            field("step", DataType::Int32),
            field("sample", DataType::Binary),
        ]);
        let items: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(part.beside.iter().map(|it| it.0))),
            Arc::new(Int32Array::from_iter_values(part.beside.iter().map(|it| it.1))),
            Arc::new(BinaryArray::from_iter_values(part.beside.iter().map(|it| &it.2))),
        ];
        let items = StructArray::new(fields, items, None);
        let item = Arc::new(Field::new("element", items.data_type().clone(), false));
        let list = ListArray::new(item, OffsetBuffer::from_lengths([n]), Arc::new(items), None);
        columns.push(("preroll", Arc::new(list), false));
    }
    table(columns).unwrap()
}

/// Wherever an episode is cut out of its video, each of its frames is what decoding all of the video gives.
#[test]
fn episodes_start_anywhere() {
    let mut n_cut = 0;
    for name in ["h264_bframes", "h264_intra_refresh", "hevc", "hevc_open_gop", "av1_long_gop"] {
        let video = video(name);
        let n = video.frames.len();
        for frames in (1..n).step_by(4).flat_map(|it| [it..n, it..(it + 9).min(n)]) {
            let part = part(&video, frames.clone());
            n_cut += usize::from(!part.beside.is_empty());
            let folder = tempfile::tempdir().unwrap();
            made(&video, &part, true).write(folder.path());
            let split = Reader::of_folder(folder.path()).unwrap().split("train", "steps").unwrap();
            let fields = split.fields(&FieldsRequest::default()).unwrap();
            let whole = split.rows(0, 0..frames.len() as u64, &fields).unwrap();
            let Data::Tensor(tensor) = &whole.columns[0].data else { panic!("{whole:?}") };
            assert!(tensor.bytes == video.frames[frames.clone()].concat(), "{name} {frames:?}");
            for (step, expected) in (0u64..).zip(&video.frames[frames.clone()]) {
                let (none, cache) = (Fetched::default(), VideoCache::new(0));
                let rows = split.decode(&none, 0, step..step + 1, &fields, &cache).unwrap();
                let Data::Tensor(tensor) = &rows.columns[0].data else { panic!("{rows:?}") };
                assert!(tensor.bytes == *expected, "{name} {frames:?}, step {step}");
            }
        }
    }
    assert!(n_cut > 30, "{n_cut}");
}

/// What is fetched for a frame is enough to decode it, the samples of the table as well.
#[test]
fn samples_before_the_first_row_are_fetched_with_what_a_frame_needs() {
    let video = video("h264_intra_refresh");
    let part = part(&video, 5..15);
    assert_eq!(part.beside.len(), 5);
    let it = Published::new(&made(&video, &part, true));
    let far = it.far();
    let options = nodedata_reader::OpenOptions { cache: nodedata_reader::CacheOptions::Off };
    let reader = Reader::open(far.clone(), &it.reference("x"), &options).unwrap();
    let split = reader.split("train", "steps").unwrap();
    let fields = split.fields(&FieldsRequest::default()).unwrap();
    for step in 0..10 {
        let needs = split.needs(&[StepRange { episode: 0, steps: step..step + 1 }], &fields).unwrap();
        let fetched = split.fetch(&needs).unwrap();
        far.reset();
        let rows = split.decode(&fetched, 0, step..step + 1, &fields, &VideoCache::new(0)).unwrap();
        assert_eq!(far.n_bytes(), 0, "step {step}");
        let Data::Tensor(tensor) = &rows.columns[0].data else { panic!("{rows:?}") };
        assert!(tensor.bytes == video.frames[5 + step as usize], "step {step}");
    }
}

/// Without them, as a writer that knows none may leave it, nothing is made up.
#[test]
fn without_the_samples_before_it_an_episode_cannot_be_decoded() {
    let video = video("h264_intra_refresh");
    let folder = tempfile::tempdir().unwrap();
    made(&video, &part(&video, 5..15), false).write(folder.path());
    let split = Reader::of_folder(folder.path()).unwrap().split("train", "steps").unwrap();
    let fields = split.fields(&FieldsRequest::default()).unwrap();
    let err = split.rows(0, 0..4, &fields).unwrap_err();
    assert_eq!((err.kind(), err.hint().is_some()), (ErrorKind::Corrupt, true), "{}", err.chain());
}
