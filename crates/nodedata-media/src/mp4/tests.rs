use std::path::{Path, PathBuf};

use bytes::Bytes;
use nodedata_core::{ErrorKind, Files, ReadAt, Result};
use nodedata_io::MemoryFiles;
use nodedata_testkit::corpus;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Mp4Limits, VideoTrack};
use crate::VideoCodec;

fn fixtures() -> Vec<(String, Vec<u8>, Value)> {
    let paths = corpus::files(&corpus::fixtures("video"), ".mp4");
    assert!(paths.len() >= 14, "{}", paths.len());
    paths.iter().map(|it| load(it)).collect()
}

fn load(path: &Path) -> (String, Vec<u8>, Value) {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let truth = std::fs::read(path.with_extension("truth.json")).unwrap();
    (name, std::fs::read(path).unwrap(), serde_json::from_slice(&truth).unwrap())
}

fn fixture(name: &str) -> Vec<u8> {
    load(&corpus::fixtures("video").join(format!("{name}.mp4"))).1
}

fn read(bytes: &[u8]) -> Result<VideoTrack> {
    let name = PathBuf::from("video.mp4");
    let files = MemoryFiles::default().with(&name, Bytes::copy_from_slice(bytes));
    VideoTrack::read(files.open(&name)?.as_ref(), &Mp4Limits::default())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|it| format!("{it:02x}")).collect()
}

#[test]
fn samples_are_the_packets_that_ffmpeg_demuxes() {
    for (name, bytes, truth) in fixtures() {
        let track = read(&bytes).unwrap_or_else(|err| panic!("{name}: {}", err.chain()));
        let found: Vec<String> = track
            .samples
            .iter()
            .map(|it| {
                let range = it.byte_range();
                let data = &bytes[range.start as usize..range.end as usize];
                format!("{} {} {} {}", it.dts, it.pts, it.n_bytes, hex(data))
            })
            .collect();
        let expected: Vec<&str> =
            truth["packets"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(found, expected, "{name}");
        let shown: Vec<i64> = track.presentation.iter().map(|it| track.samples[*it as usize].pts).collect();
        let expected: Vec<i64> = truth["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap().split_once(' ').unwrap().0.parse().unwrap())
            .collect();
        // FFmpeg counts frames from the first, the file ticks; joined files are some ticks off the grid.
        let step = f64::from(track.timescale) / track.fps().unwrap();
        let numbers: Vec<i64> =
            shown.iter().map(|it| ((it - shown[0]) as f64 / step).round() as i64).collect();
        assert_eq!(numbers, expected, "{name}");
        assert_eq!((track.width, track.height), (64, 48), "{name}");
        assert_eq!(track.fps(), Some(if name == "hevc_gray12" { 10.0 } else { 30.0 }), "{name}");
        assert_eq!(track.ignored_tracks, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn another_demuxer_finds_the_same_samples() {
    for (name, bytes, _) in fixtures() {
        let track = read(&bytes).unwrap();
        // It knows no other codecs.
        if !matches!(track.codec, VideoCodec::H264 | VideoCodec::H265 | VideoCodec::Av1 | VideoCodec::Vp9) {
            continue;
        }
        let other = re_mp4::Mp4::read_bytes(&bytes).unwrap();
        let (_, other_track) = other.tracks().iter().next().unwrap();
        let place = |it: &super::Sample| (it.offset, u64::from(it.n_bytes), it.keyframe);
        let found: Vec<_> = track.samples.iter().map(place).collect();
        // What the tables mark behind the first sample of this one are recovery points.
        let is_key = |it: &re_mp4::Sample| it.is_sync && (name != "h264_intra_refresh" || it.id == 0);
        let expected: Vec<_> =
            other_track.samples.iter().map(|it| (it.offset, it.size, is_key(it))).collect();
        assert_eq!(found, expected, "{name}");
        let config = other_track.raw_codec_config(&other).unwrap();
        assert_eq!(track.codec_config, config, "{name}");
    }
}

#[test]
fn a_track_does_not_keep_its_file() {
    let bytes = Bytes::from(fixture("h264_edit_list"));
    let name = PathBuf::from("video.mp4");
    let files = MemoryFiles::default().with(&name, bytes.clone());
    let track = VideoTrack::read(files.open(&name).unwrap().as_ref(), &Mp4Limits::default()).unwrap();
    assert!(!track.codec_config.is_empty());
    assert!(!bytes.as_ptr_range().contains(&track.codec_config.as_ptr()));
}

#[test]
fn the_edit_list_hides_samples_and_moves_the_clock() {
    let track = read(&fixture("h264_edit_list")).unwrap();
    let hidden = track.samples.iter().filter(|it| !it.shown).count();
    assert!(hidden > 0);
    assert_eq!(track.presentation.len() + hidden, track.samples.len());
    assert_eq!(track.shown(0).unwrap().pts, 0);
    assert!(track.samples.iter().filter(|it| !it.shown).all(|it| it.pts < 0));
    // The hidden samples are still fed to the decoder.
    assert_eq!(track.samples_for(0..1).unwrap().start, 0);
    assert!(track.is_reordered());
    assert_eq!(track.nanos(1), (1_000_000_000 + i64::from(track.timescale) / 2) / i64::from(track.timescale));
    assert_eq!(track.nanos(i64::from(track.timescale) * 7), 7_000_000_000);
}

#[test]
fn recovery_points_are_no_key_frames() {
    let bytes = fixture("h264_intra_refresh");
    let sync = re_mp4::Mp4::read_bytes(&bytes).unwrap();
    let marked = sync.tracks().values().flat_map(|it| &it.samples).filter(|it| it.is_sync).count();
    assert_eq!(marked, 3, "as the tables say");
    let track = read(&bytes).unwrap();
    assert_eq!(track.samples.iter().filter(|it| it.keyframe).count(), 1);
    assert_eq!(track.samples_for(12..14).unwrap(), 0..14);
}

#[test]
fn other_codecs_are_told_by_their_descriptors() {
    for (name, codec) in [
        ("mjpeg", VideoCodec::Mjpeg),
        ("mpeg2", VideoCodec::Mpeg2),
        ("mpeg4", VideoCodec::Mpeg4),
        ("vp9", VideoCodec::Vp9),
    ] {
        assert_eq!(read(&fixture(name)).unwrap().codec, codec, "{name}");
    }
    let mut bytes = fixture("mjpeg");
    let esds = bytes.windows(4).position(|it| it == b"esds").unwrap();
    let at = esds + bytes[esds..].iter().position(|it| *it == 0x6c).unwrap();
    bytes[at] = 0x6d;
    let err = read(&bytes).unwrap_err();
    assert_eq!((err.kind(), err.hint().is_some()), (ErrorKind::Unsupported, true), "{}", err.chain());
    assert!(err.to_string().contains("0x6d"), "{err}");
    // Motion JPEG of QuickTime has no descriptor.
    let entry = bytes.windows(4).position(|it| it == b"mp4v").unwrap();
    bytes[entry..entry + 4].copy_from_slice(b"jpeg");
    let track = read(&bytes).unwrap();
    assert_eq!((track.codec, track.codec_config.len()), (VideoCodec::Mjpeg, 0));
}

#[test]
fn ranges_start_at_the_key_frame_before() {
    let track = read(&fixture("h264_g2")).unwrap();
    assert_eq!(track.samples_for(5..7).unwrap(), 4..7);
    assert_eq!(track.samples_for(3..3).unwrap(), 0..0);
    assert_eq!(track.samples_for(0..13).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn an_edit_that_changes_the_speed_is_not_supported() {
    let mut bytes = fixture("h264_edit_list");
    let at = bytes.windows(4).position(|it| it == b"elst").unwrap();
    // Type, version, count, duration, media time, rate.
    bytes[at + 20..at + 24].copy_from_slice(&(2i32 << 16).to_be_bytes());
    let err = read(&bytes).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Unsupported, "{}", err.chain());
    assert!(err.locus().byte_offset.is_some() && err.hint().is_some());
}

#[test]
fn damage_has_a_place_and_a_hint() {
    let whole = fixture("h264_bframes");
    for (bytes, byte, text) in [
        (&whole[..0], 0, "the video file is empty"),
        (&b"\0\0\0\x04ftyp and more text"[..], 0, "the header of a box is cut off or damaged"),
        (
            &b"\0\0\0\x18mp3 and more text than that"[..],
            0,
            "this is no mp4 file: it does not start with an `ftyp` box",
        ),
        (&whole[..32], 32, "the video has no complete `moov` box, which lists its samples"),
        (&whole[..200], 32, "the video has no complete `moov` box, which lists its samples"),
    ] {
        let err = read(bytes).unwrap_err();
        assert_eq!((err.kind(), err.to_string().as_str()), (ErrorKind::Corrupt, text));
        assert_eq!(err.locus().byte_offset, Some(byte), "{text}");
    }
    let err = read(&whole[..whole.len() - 1]).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
    assert!(err.hint().is_some() && err.to_string().contains("needs"), "{err}");
}

#[test]
fn limits_hold() {
    let bytes = fixture("h264_bframes");
    let name = PathBuf::from("video.mp4");
    let files = MemoryFiles::default().with(&name, bytes);
    let file = files.open(&name).unwrap();
    for limits in [
        Mp4Limits { samples_max: 24, ..Mp4Limits::default() },
        Mp4Limits { moov_bytes_max: 100, ..Mp4Limits::default() },
    ] {
        assert_eq!(VideoTrack::read(file.as_ref(), &limits).unwrap_err().kind(), ErrorKind::Limit);
    }
}

/// A file that counts the bytes it hands out.
struct Counted(Bytes, std::sync::atomic::AtomicU64);

impl ReadAt for Counted {
    fn n_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, range: std::ops::Range<u64>) -> Result<Bytes> {
        self.1.fetch_add(range.end - range.start, std::sync::atomic::Ordering::Relaxed);
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

#[test]
fn sample_data_is_not_read() {
    let bytes = fixture("hevc_gray12");
    let file = Counted(Bytes::from(bytes), 0.into());
    let track = VideoTrack::read(&file, &Mp4Limits::default()).unwrap();
    let data: u64 = track.samples.iter().map(|it| u64::from(it.n_bytes)).sum();
    let read = file.1.into_inner();
    // But for the heads of key frames.
    let heads = track.samples.iter().filter(|it| it.keyframe).count() as u64 * 64;
    assert!(read < file.0.len() as u64 - data + heads + 100, "{read} of {}", file.0.len());
}

#[test]
fn damaged_files_are_refused_or_read_but_never_crash() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let mut n_refused = 0;
    for (name, bytes, _) in fixtures() {
        for n_bytes in 0..bytes.len().min(3000) {
            n_refused += usize::from(read(&bytes[..n_bytes]).is_err());
        }
        let moov = bytes.windows(4).position(|it| it == b"moov").unwrap();
        for _ in 0..400 {
            let mut damaged = bytes.clone();
            for _ in 0..=random(3) {
                let at = moov + random(1000.min(bytes.len() - moov));
                damaged[at] = if random(2) == 0 { 0xff } else { random(256) as u8 };
            }
            match read(&damaged) {
                Ok(track) => {
                    assert!(track.samples.len() <= bytes.len(), "{name}");
                    assert!(track.samples.iter().all(|it| it.byte_range().end <= bytes.len() as u64));
                    track.fps();
                    drop(track.samples_for(0..track.n_frames()));
                }
                Err(_) => n_refused += 1,
            }
        }
    }
    assert!(n_refused > 1000, "{n_refused}");
}
