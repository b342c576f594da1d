//! Frames of cameras, in whatever pieces and order the episodes are read: each is the one that decoding the video from its start
//! gives.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{path::Path, sync::Arc};

use arrow_array::cast::AsArray as _;
use nodedata_core::{Files as _, Format as _, MediaEncoding, OpenOptions, ReadOptions, Source};
use nodedata_io::{LocalFiles, MemoryFiles};
use nodedata_lerobot::LEROBOT;
use nodedata_media::{
    decode_image,
    mp4::{Mp4Limits, VideoTrack},
    video::{CodedSample, DecodeOptions, decode_frames},
};
use nodedata_testkit::{
    corpus,
    lerobot::{Base, Folder},
};
use rayon::prelude::*;

const CAMERA: &str = "observation.images.front";
/// Rows of each episode.
const N_ROWS: usize = 11;

/// The fixture of version 2.1 with this video in the place of the one of each episode.
fn with_video(name: &str) -> Folder {
    let mut folder = Base::Apart.folder();
    let video = std::fs::read(corpus::fixtures("video").join(format!("{name}.mp4"))).unwrap();
    for episode in 0..3 {
        folder.put(&format!("videos/chunk-000/{CAMERA}/episode_{episode:06}.mp4"), video.clone());
        let table = format!("data/chunk-000/episode_{episode:06}.parquet");
        folder.edit_table(&table, |rows| rows.slice(0, N_ROWS));
    }
    folder
        .edit_lines("meta/episodes.jsonl", |all| all.iter_mut().for_each(|it| it["length"] = N_ROWS.into()));
    folder.edit_json("meta/info.json", |it| it["total_frames"] = (3 * N_ROWS).into());
    folder
}

/// The first frames of a video.
fn frames(name: &str) -> Vec<Vec<u8>> {
    let path = corpus::fixtures("video").join(format!("{name}.mp4"));
    let file = LocalFiles::file(&path).open(Path::new(path.file_name().unwrap())).unwrap();
    let track = VideoTrack::read(file.as_ref(), &Mp4Limits::default()).unwrap();
    let coded = track.samples[track.samples_for(0..track.n_frames()).unwrap()].iter();
    let coded = coded.map(|it| Ok(CodedSample { order: it.pts, data: file.read_at(it.byte_range())? }));
    let mut frames = Vec::new();
    let options = DecodeOptions::default();
    decode_frames(track.codec, &track.codec_config, coded, i64::MIN..i64::MAX, &options, |frame| {
        frames.push(frame.to_rgb().pixels);
        Ok(())
    })
    .unwrap();
    frames.truncate(N_ROWS);
    frames
}

fn open(folder: &Folder, encoding: MediaEncoding, partition_bytes: u64) -> Box<dyn Source> {
    let files =
        folder.to_files().into_iter().fold(MemoryFiles::default(), |it, (name, bytes)| it.with(name, bytes));
    let options = OpenOptions {
        decode: [(CAMERA.to_owned(), encoding)].into_iter().collect(),
        topics: Some(vec![CAMERA.to_owned()]),
        partition_bytes,
        ..OpenOptions::default()
    };
    LEROBOT.open(Arc::new(files), &options).unwrap()
}

/// The pictures of a partition.
fn read(source: &dyn Source, partition: usize, batch_bytes_max: usize) -> Vec<Vec<u8>> {
    let mut stream =
        source.read(partition, &ReadOptions { batch_bytes_max, ..ReadOptions::default() }).unwrap();
    let mut found = Vec::new();
    while let Some(batch) = stream.next_batch().unwrap() {
        let column = batch.rows.column_by_name(CAMERA).unwrap();
        let bytes = column.as_struct_opt().map_or(column, |it| it.column(0)).as_binary::<i32>();
        found.extend(bytes.iter().map(|it| it.unwrap().to_vec()));
    }
    found
}

#[test]
fn pieces_and_their_order_change_no_frame() {
    for name in ["h264_bframes", "h264_intra_refresh", "hevc_open_gop", "av1_long_gop", "h264_g2"] {
        let folder = with_video(name);
        let expected: Vec<Vec<u8>> = std::iter::repeat_n(frames(name), 3).flatten().collect();
        for (partition_bytes, batch_bytes) in [(2 << 20, 64 << 20), (2304, 9216), (4608, 64 << 20), (1, 1)] {
            let source = open(&folder, MediaEncoding::Raw, partition_bytes);
            let n = source.plan().partitions.len();
            assert!(n == 3 || partition_bytes < 2 << 20, "{n}");
            let check = |order: &[usize], found: Vec<Vec<Vec<u8>>>| {
                let mut parts: Vec<(usize, Vec<Vec<u8>>)> = order.iter().copied().zip(found).collect();
                parts.sort_by_key(|it| it.0);
                let found: Vec<Vec<u8>> = parts.into_iter().flat_map(|it| it.1).collect();
                assert!(
                    found == expected,
                    "{name}, pieces of {partition_bytes} bytes, in the order {order:?}"
                );
            };
            let forward: Vec<usize> = (0..n).collect();
            let backward: Vec<usize> = (0..n).rev().collect();
            for order in [&forward, &backward, &forward] {
                check(order, order.iter().map(|it| read(&*source, *it, batch_bytes)).collect());
            }
            check(&forward, forward.par_iter().map(|it| read(&*source, *it, batch_bytes)).collect());
        }
    }
}

/// A piece that ends inside a group of frames may be read again, or not to its end, and the others are as they were.
#[test]
fn pieces_are_read_from_their_start_whatever_was_read_before() {
    let (folder, expected) = (with_video("h264_intra_refresh"), frames("h264_intra_refresh"));
    let source = open(&folder, MediaEncoding::Raw, 2500);
    for partition in [1, 0, 1, 1, 0, 2, 1] {
        let start = 4 * partition;
        let found = read(&*source, partition, 64 << 20);
        assert!(found == expected[start..(start + 4).min(N_ROWS)], "piece {partition}");
        let mut left =
            source.read(partition, &ReadOptions { batch_bytes_max: 1, ..ReadOptions::default() }).unwrap();
        left.next_batch().unwrap();
    }
}

/// A piece that starts inside a group of frames goes on behind its end, with the decoder that the piece before left.
#[test]
fn a_piece_goes_on_behind_the_group_it_starts_in() {
    for name in ["hevc", "hevc_open_gop"] {
        let (folder, expected) = (with_video(name), frames(name));
        let source = open(&folder, MediaEncoding::Raw, 5700);
        // Of each episode 0..9 and 9..11, and frame 10 is a key frame.
        assert_eq!(source.plan().partitions.len(), 6, "{name}");
        for batch_bytes in [64 << 20, 1] {
            let found = [0, 1].map(|it| read(&*source, it, batch_bytes)).concat();
            assert!(found == expected, "{name}, batches of {batch_bytes} bytes");
        }
    }
}

#[test]
fn pictures_hold_the_frames() {
    for name in ["av1_g2", "mjpeg"] {
        let mut folder = with_video(name);
        let expected = frames(name);
        let n = expected.len();
        for episode in 0..3 {
            let table = format!("data/chunk-000/episode_{episode:06}.parquet");
            folder.edit_table(&table, |rows| rows.slice(0, n));
        }
        folder.edit_lines("meta/episodes.jsonl", |all| all.iter_mut().for_each(|it| it["length"] = n.into()));
        let source = open(&folder, MediaEncoding::Png, 2 << 20);
        let found = read(&*source, 0, 64 << 20);
        assert_eq!(found.len(), n, "{name}");
        for (png, frame) in found.iter().zip(&expected) {
            assert!(decode_image(png).unwrap().pixels == *frame, "{name}");
        }
    }
}
