use std::{path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, UInt32Array,
    UInt64Array,
    builder::{ListBuilder, UInt32Builder},
};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use nodedata_core::{DType, Dim, EPISODE_INDEX, ErrorKind, Feature, Files as _, STEPS, Storage, meta};
use nodedata_dataset::table;
use nodedata_io::LocalFiles;
use nodedata_media::{
    ImageShape,
    mp4::{Mp4Limits, VideoTrack},
    resize::{Resampling, Resize},
    video::{CodedSample, DecodeOptions, decode_frames},
};
use nodedata_reader::{
    As, Data, Fetched, FieldsRequest, FrameAxes, MediaKind, Memory, Place, Reader, Rooms, Split, StepRange,
    Tensor, VideoCache,
};
use nodedata_schema::FieldSchema;
use nodedata_testkit::corpus;
use parquet::file::properties::WriterProperties;

use crate::{
    far::Published,
    made::{Episode, Made, Shard, batch},
};

/// A video of the repository: its samples in the order they are shown, and all of its frames as they decode in one go.
pub(crate) struct Video {
    pub(crate) track: VideoTrack,
    pub(crate) samples: Vec<Bytes>,
    pub(crate) frames: Vec<Vec<u8>>,
}

const NAMES: [&str; 7] =
    ["h264_bframes", "h264_g2", "hevc", "hevc_open_gop", "av1_g2", "av1_long_gop", "mjpeg"];

pub(crate) fn video(name: &str) -> Video {
    let path = corpus::fixtures("video").join(format!("{name}.mp4"));
    let file = LocalFiles::file(&path).open(Path::new(&format!("{name}.mp4"))).unwrap();
    let track = VideoTrack::read(&*file, &Mp4Limits::default()).unwrap();
    let sample = |idx: u32| file.read_at(track.samples[idx as usize].byte_range()).unwrap();
    let samples = track.presentation.iter().map(|it| sample(*it)).collect();
    let coded = track.samples[track.samples_for(0..track.n_frames()).unwrap()]
        .iter()
        .map(|it| Ok(CodedSample { order: it.pts, data: file.read_at(it.byte_range())? }));
    let mut frames = Vec::new();
    let options = DecodeOptions::default();
    decode_frames(track.codec, &track.codec_config, coded, i64::MIN..i64::MAX, &options, |frame| {
        frames.push(frame.to_rgb().pixels);
        Ok(())
    })
    .unwrap();
    assert_eq!(frames.len() as u64, track.n_frames(), "{name}");
    Video { track, samples, frames }
}

/// A dataset with one episode of the video, twice: the second one lies in two shards.
fn made(video: &Video, with_keyframes: bool) -> Made {
    let n = video.samples.len();
    let mut camera =
        Feature::new("cam.rgb", DType::UInt8, Vec::new()).with_meta(meta::ENCODING, video.track.codec.name());
    camera.storage = Storage::RawMedia;
    let features = vec![
        Feature::new(EPISODE_INDEX, DType::Int64, Vec::new()),
        camera,
        Feature::new("cam.rgb.keyframe", DType::Bool, Vec::new()),
        Feature::new("cam.rgb.decode_index", DType::Int32, Vec::new()),
    ];
    let features = if video.track.is_reordered() { features } else { features[..3].to_vec() };
    let first = video.track.presentation.iter().min().copied().unwrap();
    let rows = |episode: i64, steps: std::ops::Range<usize>| {
        let of = |it: usize| &video.track.samples[video.track.presentation[it] as usize];
        let order = steps.clone().map(|it| (video.track.presentation[it] - first) as i32);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(steps.clone().map(|_| episode))),
            Arc::new(BinaryArray::from_iter_values(steps.clone().map(|it| &video.samples[it]))),
            Arc::new(steps.map(|it| Some(of(it).keyframe)).collect::<BooleanArray>()),
            Arc::new(Int32Array::from_iter_values(order)),
        ];
        batch(&features, columns[..features.len()].to_vec())
    };
    let properties =
        || WriterProperties::builder().set_write_batch_size(3).set_data_page_row_count_limit(3).build();
    let half = n / 2;
    let shard = |rows| Shard { split: "train", rows, properties: properties() };
    let dims = vec![Dim::Fixed(video.track.height), Dim::Fixed(video.track.width), Dim::Fixed(3)];
    let told = FieldSchema {
        encoding: Some(video.track.codec.name().to_owned()),
        ..FieldSchema::new(DType::UInt8, dims)
    };
    Made {
        told: vec![("cam.rgb", told)],
        shards: vec![shard(rows(0, 0..n)), shard(rows(1, 0..half)), shard(rows(1, half..n))],
        episodes: vec![
            Episode { key: "a", split: "train", parts: vec![(0, 0, n as u64)] },
            Episode { key: "b", split: "train", parts: vec![(1, 0, half as u64), (2, 0, (n - half) as u64)] },
        ],
        tables: vec![("video", video_table(video, with_keyframes))],
        features,
    }
}

fn video_table(video: &Video, with_keyframes: bool) -> Vec<u8> {
    let track = &video.track;
    let is_key = |it: &(u32, u32)| track.samples[it.1 as usize].keyframe;
    let keys: Vec<u32> =
        (0..).zip(track.presentation.iter().copied()).filter(is_key).map(|it| it.0).collect();
    let item = Field::new("element", DataType::UInt32, false);
    let mut keyframes = ListBuilder::new(UInt32Builder::new()).with_field(item);
    for _ in 0..2 {
        keyframes.values().append_slice(&keys);
        keyframes.append(true);
    }
    let text = |it: &str| Arc::new(StringArray::from(vec![it, it])) as ArrayRef;
    let u64s = |it: u64| Arc::new(UInt64Array::from(vec![it, it])) as ArrayRef;
    let u32s = |it: u32| Arc::new(UInt32Array::from(vec![it, it])) as ArrayRef;
    let mut columns = vec![
        ("episode_index", Arc::new(Int64Array::from(vec![0, 1])) as ArrayRef, false),
        ("stream", text(STEPS), false),
        ("feature", text("cam.rgb"), false),
        ("codec", text(track.codec.name()), false),
        (
            "codec_config",
            Arc::new(BinaryArray::from_iter_values([&track.codec_config; 2])) as ArrayRef,
            false,
        ),
        ("width", u32s(track.width), false),
        ("height", u32s(track.height), false),
        ("fps", Arc::new(Float64Array::from(vec![10.0, 10.0])) as ArrayRef, false),
        ("frames", u64s(video.samples.len() as u64), false),
        ("source", text("made"), false),
        ("first_frame", u64s(0), false),
    ];
    if with_keyframes {
        columns.push(("keyframes", Arc::new(keyframes.finish()), false));
    }
    table(columns).unwrap()
}

fn opened(made: &Made) -> (tempfile::TempDir, Split) {
    let folder = tempfile::tempdir().unwrap();
    made.write(folder.path());
    let split = Reader::of_folder(folder.path()).unwrap().split("train", "steps").unwrap();
    (folder, split)
}

#[test]
fn groups_begin_at_key_frames_once_the_table_is_there() {
    let video = video("h264_g2");
    let (_folder, split) = opened(&made(&video, true));
    let fields = |name: &str| split.fields(&FieldsRequest::named([name])).unwrap();
    assert!(split.group_starts(0, &fields("cam.rgb")).is_empty(), "nobody has brought the table");
    split.bring_videos(&fields("cam.rgb")).unwrap();
    let is_key = |it: &(u64, &u32)| video.track.samples[*it.1 as usize].keyframe;
    let keys: Vec<u64> = (0..).zip(&video.track.presentation).filter(is_key).map(|it| it.0).collect();
    assert!(keys.len() > 2);
    assert_eq!(split.group_starts(1, &fields("cam.rgb")), keys);
    assert!(split.group_starts(1, &fields("cam.rgb.keyframe")).is_empty(), "which is no video");
    assert!(split.group_starts(2, &fields("cam.rgb")).is_empty(), "there are two episodes");
    // Where the table does not tell, nothing is read for it.
    let (_folder, untold) = opened(&made(&video, false));
    untold.bring_videos(&fields("cam.rgb")).unwrap();
    assert!(untold.group_starts(0, &fields("cam.rgb")).is_empty());
}

fn pixels(rows: &nodedata_reader::Rows) -> &Tensor {
    let Data::Tensor(tensor) = &rows.columns[0].data else { panic!("{rows:?}") };
    tensor
}

/// Whatever is asked for, in whatever order: each frame is the one that decoding all of the video gives.
#[test]
fn frames_are_those_of_the_whole_video() {
    for name in NAMES {
        let video = video(name);
        for with_keyframes in [true, false] {
            let (_folder, split) = opened(&made(&video, with_keyframes));
            let fields = split.fields(&FieldsRequest::default()).unwrap();
            assert_eq!((fields.len(), split.features()[1].media), (1, Some(MediaKind::Video)), "{name}");
            let n = video.frames.len() as u64;
            for episode in [0, 1] {
                let (none, cache) = (Fetched::default(), VideoCache::new(0));
                let check = |steps: Vec<u64>| {
                    let rows = split.decode_steps(&none, episode, &steps, &fields, &cache).unwrap();
                    let expected: Vec<u8> =
                        steps.iter().flat_map(|it| video.frames[*it as usize].iter().copied()).collect();
                    assert!(pixels(&rows).bytes == expected, "{name}, episode {episode}, steps {steps:?}");
                    assert_eq!(rows.columns[0].valid, None);
                };
                (0..n).for_each(|it| check(vec![it]));
                check((0..n).collect());
                check(vec![n - 1, 0, n / 2, n / 2]);
                check((n / 3..n / 2).collect());
                // By several threads, groups of a window and pictures that come twice side by side.
                let samples = [vec![n - 1, 0, n / 2, n / 2], vec![n / 3], vec![]];
                let of_episode = samples.clone().map(|it| (episode, it));
                for n_threads in [0, 1, 2, 7] {
                    let all =
                        split.rows_of(&of_episode, &fields, FrameAxes::ChannelsLast, n_threads).unwrap();
                    assert_eq!(all.len(), samples.len());
                    for (rows, steps) in all.iter().zip(&samples).take(2) {
                        let expected: Vec<&[u8]> =
                            steps.iter().map(|it| &*video.frames[*it as usize]).collect();
                        assert!(pixels(rows).bytes == expected.concat(), "{name}");
                    }
                    assert_eq!(all[2].n_rows, 0);
                }
            }
            let whole = split.rows(1, 0..n, &fields).unwrap();
            let size = [video.track.height as usize, video.track.width as usize, 3];
            assert_eq!(pixels(&whole).shape, size);
            assert!(pixels(&whole).bytes == video.frames.concat(), "{name}, by all threads");
        }
    }
}

#[test]
fn frames_are_put_where_they_are_wanted() {
    let video = video("h264_g2");
    let (_folder, split) = opened(&made(&video, true));
    let fields = split.fields(&FieldsRequest::default()).unwrap();
    let (rooms, n) = (Rooms::default(), video.frames[0].len());
    let memory = Memory::zeros(3 * n).unwrap();
    let address = memory.as_ptr();
    rooms.put(&"cam.rgb".into(), memory);
    let rows = split.decode_into(&Fetched::default(), 1, 2..5, &fields, &VideoCache::new(0), &rooms).unwrap();
    assert!(pixels(&rows).bytes == video.frames[2..5].concat());
    assert_eq!(pixels(&rows).bytes.as_ptr(), address);
}

/// Nothing that was decoded lately is decoded again, and who reads step by step decodes each frame about once.
#[test]
fn frames_are_kept_and_groups_are_not_started_again() {
    let video = video("av1_long_gop");
    let (_folder, split) = opened(&made(&video, true));
    let fields = split.fields(&FieldsRequest::default()).unwrap();
    let n = video.frames.len() as u64;
    let (none, cache) = (Fetched::default(), VideoCache::default());
    for step in 0..n {
        split.decode(&none, 0, step..step + 1, &fields, &cache).unwrap();
    }
    let decoded = cache.stats().decoded;
    assert!(decoded <= 2 * n, "{decoded} of {n}");
    split.decode(&none, 0, 0..n, &fields, &cache).unwrap();
    assert_eq!(cache.stats().decoded, decoded, "all of them are there");
    assert!(cache.stats().hits >= n && cache.stats().n_bytes > 0);
    // One that keeps nothing decodes all that comes before each frame.
    let nothing = VideoCache::new(0);
    for step in 0..n {
        split.decode(&none, 0, step..step + 1, &fields, &nothing).unwrap();
    }
    assert!(nothing.stats().decoded > 3 * n, "{}", nothing.stats().decoded);
    assert_eq!(nothing.stats().n_bytes, 0);
    // Who reads episodes wants no frame twice, but for those of groups that are read in parts.
    let episodes = VideoCache::of_episodes(256 << 20);
    split.decode(&none, 0, 0..n, &fields, &episodes).unwrap();
    assert_eq!((episodes.stats().decoded, episodes.stats().n_bytes), (n, 0));
    split.decode(&none, 0, 0..n - 1, &fields, &episodes).unwrap();
    assert!(episodes.stats().n_bytes > 0);
    // Another split has other frames under the same numbers.
    let (_folder, other) = opened(&made(&self::video("av1_g2"), true));
    let fields = other.fields(&FieldsRequest::default()).unwrap();
    let rows = other.decode(&none, 0, 3..4, &fields, &cache).unwrap();
    assert!(pixels(&rows).bytes == self::video("av1_g2").frames[3]);
}

#[test]
fn frames_are_resized_and_samples_read_as_they_are() {
    let video = video("h264_g2");
    let (_folder, split) = opened(&made(&video, true));
    let request = FieldsRequest {
        fields: Some(vec![("cam.rgb".to_owned(), As::Bytes), ("cam.rgb.keyframe".to_owned(), As::Decoded)]),
        resize: Vec::new(),
    };
    let rows = split.rows(1, 0..4, &split.fields(&request).unwrap()).unwrap();
    assert_eq!(rows.columns[0].data, Data::Bytes(video.samples[..4].to_vec()));
    let Data::Tensor(marks) = &rows.columns[1].data else { panic!("{rows:?}") };
    assert_eq!((marks.dtype, marks.bytes[0]), (DType::Bool, 1));
    let small = FieldsRequest { resize: vec![("cam.rgb".to_owned(), [10, 12])], ..FieldsRequest::default() };
    let rows = split.rows(0, 5..6, &split.fields(&small).unwrap()).unwrap();
    let from =
        ImageShape { height: video.track.height, width: video.track.width, channels: 3, dtype: DType::UInt8 };
    let mut expected = vec![0; 10 * 12 * 3];
    Resize::new(from, [10, 12], Resampling::Triangle)
        .unwrap()
        .resize(&video.frames[5], &mut expected)
        .unwrap();
    assert_eq!(
        pixels(&rows),
        &Tensor { dtype: DType::UInt8, shape: vec![10, 12, 3], bytes: expected.into() }
    );
}

/// What is fetched for a frame is enough to decode it.
#[test]
fn what_a_frame_needs_is_fetched_before() {
    for name in ["h264_bframes", "hevc_open_gop", "av1_long_gop"] {
        let video = video(name);
        let it = Published::new(&made(&video, true));
        let far = it.far();
        let options = nodedata_reader::OpenOptions { cache: nodedata_reader::CacheOptions::Off };
        let reader = Reader::open(far.clone(), &it.reference("x"), &options).unwrap();
        let split = reader.split("train", "steps").unwrap();
        let fields = split.fields(&FieldsRequest::default()).unwrap();
        for step in 0..video.frames.len() as u64 {
            let wanted = [StepRange { episode: 1, steps: step..step + 1 }];
            let needs = split.needs(&wanted, &fields).unwrap();
            let fetched = split.fetch(&needs).unwrap();
            far.reset();
            let rows = split.decode(&fetched, 1, step..step + 1, &fields, &VideoCache::new(0)).unwrap();
            assert_eq!(far.n_bytes(), 0, "{name}, step {step}");
            assert!(pixels(&rows).bytes == video.frames[step as usize], "{name}, step {step}");
        }
    }
}

#[test]
fn a_broken_sample_is_damage_of_its_step() {
    let mut video = video("h264_g2");
    video.samples[4] = Bytes::from(vec![0x55; 40]);
    let (_folder, split) = opened(&made(&video, true));
    let fields = split.fields(&FieldsRequest::default()).unwrap();
    let samples = [1, 5, 4, 2].map(|it| (0, vec![it]));
    let err = split.rows_of(&samples, &fields, FrameAxes::ChannelsLast, 2).unwrap_err();
    assert_eq!(Place::of(&err).and_then(|it| it.step), Some(5), "the first that is damaged says so: {err:?}");
    assert!(split.rows(0, 0..4, &fields).is_ok());
    let err = split.rows(0, 4..5, &fields).unwrap_err();
    assert_ne!(err.kind(), ErrorKind::Config, "{}", err.chain());
    let place = Place::of(&err).unwrap();
    assert_eq!((place.row, place.step, place.feature.as_deref()), (Some(4), Some(4), Some("cam.rgb")));
    assert_eq!((place.shard.as_deref(), place.key.as_deref()), (Some("data/train-00000.parquet"), Some("a")));
}
