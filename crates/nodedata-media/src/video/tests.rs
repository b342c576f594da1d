use std::path::{Path, PathBuf};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_testkit::{corpus, skipped};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Backend, CodedSample, DecodeOptions, FrameDecoder, Libavcodec, VideoFrame, corpus_tests::decode_file,
    decode_frames, decode_group, decoder, isolate::Isolated, libavcodec_version,
};
use crate::{
    DepthQuantization, DepthUnit, VideoCodec,
    mp4::{Mp4Limits, VideoTrack},
};

const BUILT_IN_CANNOT: [&str; 8] =
    ["h264_444", "h264_lossless", "h264_rgb", "hevc_gray12", "mpeg2", "mpeg4", "vp9", "vp9_rgb"];

pub(super) fn built_in() -> DecodeOptions {
    DecodeOptions { backend: Backend::BuiltIn, ..DecodeOptions::default() }
}

/// The libavcodec that is installed, or that `NODEDATA_LIBAVCODEC` names. Says so when a test must do without.
pub(super) fn with_libavcodec() -> Option<DecodeOptions> {
    let options = DecodeOptions { backend: Backend::Libavcodec, ..DecodeOptions::default() };
    if libavcodec_version(&options.libavcodec).unwrap().is_some() {
        return Some(options);
    }
    skipped("no libavcodec; install that of FFmpeg 5 to 8, or name it in NODEDATA_LIBAVCODEC");
    None
}

/// The `ffmpeg` program, from `NODEDATA_TEST_FFMPEG` or the PATH. Says so when a test must do without.
fn with_ffmpeg() -> Option<DecodeOptions> {
    let ffmpeg =
        std::env::var_os("NODEDATA_TEST_FFMPEG").map_or_else(|| PathBuf::from("ffmpeg"), PathBuf::from);
    let options = DecodeOptions { backend: Backend::Ffmpeg, ffmpeg, ..DecodeOptions::default() };
    if decoder(VideoCodec::H264, &[], &options).is_ok() {
        return Some(options);
    }
    skipped("no `ffmpeg` program; put one on the PATH or name it in NODEDATA_TEST_FFMPEG");
    None
}

fn fixtures() -> Vec<(String, PathBuf, Value)> {
    corpus::files(&corpus::fixtures("video"), ".mp4")
        .into_iter()
        .map(|path| {
            let truth = std::fs::read(path.with_extension("truth.json")).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, path, serde_json::from_slice(&truth).unwrap())
        })
        .collect()
}

pub(super) fn path(name: &str) -> PathBuf {
    corpus::fixtures("video").join(format!("{name}.mp4"))
}

fn hex(parts: &[Vec<u8>]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|it| hash.update(it));
    hash.finalize().iter().map(|it| format!("{it:02x}")).collect()
}

/// Hashes of all planes of every frame.
fn plane_hashes(truth: &Value) -> Vec<&str> {
    let frames = truth["frames"].as_array().unwrap();
    frames.iter().map(|it| it.as_str().unwrap().split_once(' ').unwrap().1).collect()
}

/// The file's samples, in decode order, and its description.
pub(super) fn samples(path: &Path) -> (VideoTrack, Vec<CodedSample>) {
    let bytes = Bytes::from(std::fs::read(path).unwrap());
    let files = nodedata_io::MemoryFiles::default().with("video.mp4", bytes.clone());
    let file = nodedata_core::Files::open(&files, Path::new("video.mp4")).unwrap();
    let track = VideoTrack::read(file.as_ref(), &Mp4Limits::default()).unwrap();
    let coded = track.samples.iter().map(|it| {
        let range = it.byte_range();
        CodedSample { order: it.pts, data: bytes.slice(range.start as usize..range.end as usize) }
    });
    let coded = coded.collect();
    (track, coded)
}

pub(super) fn decode(
    track: &VideoTrack,
    coded: impl IntoIterator<Item = CodedSample>,
    wanted: std::ops::Range<i64>,
    options: &DecodeOptions,
) -> Result<Vec<VideoFrame>> {
    let mut frames = Vec::new();
    let coded = coded.into_iter().map(Ok);
    decode_frames(track.codec, &track.codec_config, coded, wanted, options, |frame| {
        frames.push(frame);
        Ok(())
    })?;
    Ok(frames)
}

#[test]
fn every_plane_of_every_frame_is_that_of_ffmpeg() {
    let mut n_frames = 0;
    for (name, path, truth) in fixtures() {
        // Pictures of MJPEG are decoded as pictures, to RGB.
        if BUILT_IN_CANNOT.contains(&name.as_str()) || name == "mjpeg" {
            continue;
        }
        let shown = shown_frames(&path, &built_in());
        let found: Vec<String> = shown.iter().map(|it| hex(&it.planes)).collect();
        assert_eq!(found, plane_hashes(&truth), "{name}");
        n_frames += found.len();
    }
    assert!(n_frames > 150, "{n_frames}");
}

#[test]
fn the_ffmpeg_program_gives_the_same() {
    let Some(options) = with_ffmpeg() else { return };
    for (name, path, truth) in fixtures() {
        let shown = shown_frames(&path, &options);
        let found: Vec<String> = shown.iter().map(|it| hex(&it.planes)).collect();
        assert_same_but_for_versions(&name, &found, &plane_hashes(&truth));
        let auto = DecodeOptions { backend: Backend::Auto, ..options.clone() };
        if !name.starts_with("av1") && name != "mjpeg" {
            assert_eq!(shown_frames(&path, &auto), shown, "{name}: colors too");
        }
    }
}

#[test]
fn libavcodec_gives_the_same() {
    let Some(libavcodec) = with_libavcodec() else { return };
    let nowhere = DecodeOptions { ffmpeg: PathBuf::from("/no/such/ffmpeg"), ..DecodeOptions::default() };
    let mut n_frames = 0;
    for (name, path, truth) in fixtures() {
        let (track, _) = samples(&path);
        if !matches!(track.codec, VideoCodec::H264 | VideoCodec::H265) {
            continue;
        }
        let shown = shown_frames(&path, &libavcodec);
        let found: Vec<String> = shown.iter().map(|it| hex(&it.planes)).collect();
        assert_eq!(found, plane_hashes(&truth), "{name}");
        n_frames += found.len();
        assert_eq!(shown_frames(&path, &nowhere), shown, "{name}: without the program");
        if !BUILT_IN_CANNOT.contains(&name.as_str()) {
            assert_eq!(shown_frames(&path, &built_in()), shown, "{name}: colors too");
        }
    }
    assert!(n_frames > 120, "{n_frames}");
}

/// The frames that the edit list shows.
fn shown_frames(path: &Path, options: &DecodeOptions) -> Vec<VideoFrame> {
    let (track, frames) = decode_file(path, options);
    let shown: Vec<i64> = track.presentation.iter().map(|it| track.samples[*it as usize].pts).collect();
    frames.into_iter().filter(|it| shown.contains(&it.order)).collect()
}

#[test]
fn pixels_are_those_of_swscale() {
    for (name, path, truth) in fixtures() {
        // Where chroma has another layout or depth, swscale filters it.
        if !["yuv420p", "yuvj420p"].contains(&truth["pixel_format"].as_str().unwrap()) {
            continue;
        }
        let expected: Vec<&str> =
            truth["rgb24"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        if name == "mjpeg" || BUILT_IN_CANNOT.contains(&name.as_str()) {
            continue;
        }
        let shown = shown_frames(&path, &built_in());
        let found: Vec<String> = shown.iter().map(|it| hex(&[it.to_rgb().pixels])).collect();
        assert_eq!(found, expected, "{name}");
    }
}

/// What only the program decodes becomes RGB by the same rules; RGB stays what it is.
#[test]
fn pixels_of_the_ffmpeg_program_are_those_of_swscale() {
    let Some(options) = with_ffmpeg() else { return };
    let mut n_compared = 0;
    for (name, path, truth) in fixtures() {
        let format = truth["pixel_format"].as_str().unwrap();
        if !BUILT_IN_CANNOT.contains(&name.as_str()) || !["yuv420p", "gbrp"].contains(&format) {
            continue;
        }
        let expected: Vec<&str> =
            truth["rgb24"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let auto = DecodeOptions { backend: Backend::Auto, ..options.clone() };
        let shown = shown_frames(&path, &auto);
        let found: Vec<String> = shown.iter().map(|it| hex(&[it.to_rgb().pixels])).collect();
        assert_same_but_for_versions(&name, &found, &expected);
        n_compared += 1;
    }
    assert_eq!(n_compared, 6);
}

/// Versions of FFmpeg differ by rounding in single frames of MPEG-4 part 2, of no other codec.
#[track_caller]
fn assert_same_but_for_versions(name: &str, found: &[String], expected: &[&str]) {
    let n_other = found.iter().zip(expected).filter(|(one, two)| one != two).count();
    let allowed = if name == "mpeg4" { 1 } else { 0 };
    assert!(found.len() == expected.len() && n_other <= allowed, "{name}: {found:?}, and not {expected:?}");
}

/// Each sample of MJPEG is a JPEG picture, and its frame is what that decodes to, nearly as FFmpeg has it.
#[test]
fn frames_of_mjpeg_are_their_pictures() {
    let (track, coded) = samples(&path("mjpeg"));
    assert_eq!((track.codec, coded.len()), (VideoCodec::Mjpeg, 6));
    assert!(track.samples.iter().all(|it| it.keyframe));
    let frames = shown_frames(&path("mjpeg"), &built_in());
    for (sample, frame) in coded.iter().zip(&frames) {
        assert_eq!(frame.to_rgb(), crate::decode_image(&sample.data).unwrap());
    }
    assert_eq!(frames.len(), 6);
    let Some(options) = with_ffmpeg() else { return };
    for (one, two) in frames.iter().zip(shown_frames(&path("mjpeg"), &options)) {
        let (one, two) = (one.to_rgb().pixels, two.to_rgb().pixels);
        // They spread chroma otherwise, which shows at every edge of so small a picture, and not in its mean.
        let mean = |pixels: &[u8]| pixels.iter().map(|it| f64::from(*it)).sum::<f64>() / pixels.len() as f64;
        assert!(
            one.len() == two.len() && (mean(&one) - mean(&two)).abs() < 2.0,
            "{} {}",
            mean(&one),
            mean(&two)
        );
    }
    let mut broken = coded;
    broken[2].data = Bytes::from_static(b"no picture");
    let err = decode(&track, broken, i64::MIN..i64::MAX, &built_in()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
}

/// A program that is not there, or does not do what it should, is an error and never half a video.
#[test]
fn a_program_that_is_not_ffmpeg_is_told() {
    let (track, coded) = samples(&path("mpeg4"));
    for program in ["/no/such/ffmpeg", "false", "true"] {
        let options = DecodeOptions {
            backend: Backend::Ffmpeg,
            ffmpeg: PathBuf::from(program),
            ..DecodeOptions::default()
        };
        let err = decode(&track, coded.clone(), i64::MIN..i64::MAX, &options).unwrap_err();
        let kind = if program == "true" { ErrorKind::Corrupt } else { ErrorKind::Unsupported };
        assert_eq!(err.kind(), kind, "{program}: {}", err.chain());
    }
}

#[test]
fn damage_that_the_ffmpeg_program_finds_is_an_error() {
    let Some(options) = with_ffmpeg() else { return };
    for name in ["mpeg4", "vp9", "vp9_rgb", "h264_rgb"] {
        let (track, mut coded) = samples(&path(name));
        let half = coded[1].data.len() / 2;
        coded[1].data = coded[1].data.slice(..half);
        coded[2].data = Bytes::from(vec![0x55; coded[2].data.len()]);
        let err = decode(&track, coded, i64::MIN..i64::MAX, &options).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{name}: {}", err.chain());
    }
}

#[test]
fn color_descriptions_are_read() {
    for (name, full_range, matrix) in [
        ("h264_bframes", false, 2),
        ("hevc", false, 2),
        ("av1_g2", false, 2),
        ("h264_bt709_full", true, 1),
        ("hevc_bt709_full", true, 1),
    ] {
        for options in [built_in(), DecodeOptions::default()] {
            let frame = &shown_frames(&path(name), &options)[0];
            assert_eq!((frame.full_range, frame.matrix), (full_range, matrix), "{name}");
        }
    }
}

#[test]
fn any_range_gives_its_own_frames() {
    every_range_gives_its_own_frames(&built_in());
    every_range_gives_its_own_frames(&DecodeOptions::default());
}

fn every_range_gives_its_own_frames(options: &DecodeOptions) {
    for name in
        ["h264_bframes", "hevc_open_gop", "av1_g2", "h264_concatenated", "h264_intra_refresh", "mjpeg"]
    {
        let (track, coded) = samples(&path(name));
        let whole = shown_frames(&path(name), options);
        let n = track.n_frames();
        for (start, end) in (0..n).step_by(3).flat_map(|it| [(it, it + 1), (it, n), (it, (it + 7).min(n))]) {
            let fed = track.samples_for(start..end).unwrap();
            let last = track.shown(end - 1).unwrap().pts;
            let wanted = track.shown(start).unwrap().pts..last + 1;
            let frames = decode(&track, coded[fed].iter().cloned(), wanted, options).unwrap();
            assert_eq!(frames, whole[start as usize..end as usize], "{name} {start}..{end}");
        }
    }
}

#[test]
fn a_decoder_that_was_reset_gives_what_a_new_one_would() {
    resets_give_what_new_decoders_would(&built_in());
    resets_give_what_new_decoders_would(&DecodeOptions::default());
    let Some(libavcodec) = with_libavcodec() else { return };
    resets_give_what_new_decoders_would(&libavcodec);
}

#[test]
fn the_ffmpeg_program_can_be_reset() {
    let Some(options) = with_ffmpeg() else { return };
    resets_give_what_new_decoders_would(&options);
}

fn resets_give_what_new_decoders_would(options: &DecodeOptions) {
    let everything = i64::MIN..i64::MAX;
    for name in ["h264_bframes", "hevc", "hevc_open_gop", "av1_g2", "h264_concatenated"] {
        let (track, coded) = samples(&path(name));
        if options.backend == Backend::Libavcodec && track.codec == VideoCodec::Av1 {
            continue;
        }
        let expected = decode(&track, coded.clone(), everything.clone(), options).unwrap();
        let mut decoder = decoder(track.codec, &track.codec_config, options).unwrap();
        // Behind the end of a group; in the middle of one, with frames that nobody took; and before anything was fed.
        for n_fed in [coded.len(), 3, 1, 0] {
            coded[..n_fed].iter().for_each(|it| decoder.decode(&it.data, it.order).unwrap());
            if n_fed == coded.len() {
                decoder.finish().unwrap();
            }
            decoder.reset().unwrap();
            let mut frames = Vec::new();
            decode_group(decoder.as_mut(), coded.iter().cloned().map(Ok), everything.clone(), |frame| {
                frames.push(frame);
                Ok(())
            })
            .unwrap_or_else(|err| panic!("{name}, {n_fed} fed before: {}", err.chain()));
            assert!(frames == expected, "{name}, {n_fed} fed before");
            decoder.reset().unwrap();
        }
    }
}

#[test]
fn what_the_built_in_decoders_cannot_do_is_not_supported() {
    for name in BUILT_IN_CANNOT {
        let (track, coded) = samples(&path(name));
        let nowhere = PathBuf::from("/no/such/ffmpeg");
        for backend in [Backend::BuiltIn, Backend::Auto] {
            let ffmpeg = nowhere.clone();
            let options = DecodeOptions { backend, ffmpeg, libavcodec: Libavcodec::Off, ..built_in() };
            let err = decode(&track, coded.clone(), i64::MIN..i64::MAX, &options).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Unsupported, "{name}: {}", err.chain());
            assert_eq!(err.hint().is_some(), backend == Backend::Auto, "{name}");
        }
    }
}

#[test]
fn gray_depth_keeps_its_twelve_bits() {
    for options in [with_ffmpeg(), with_libavcodec()].into_iter().flatten() {
        gray_depth_keeps_its_twelve_bits_in(&options);
    }
}

fn gray_depth_keeps_its_twelve_bits_in(options: &DecodeOptions) {
    let frames = shown_frames(&path("hevc_gray12"), options);
    let image = frames[0].to_rgb();
    assert_eq!((image.channels, image.dtype), (1, nodedata_core::DType::UInt16));
    let codes: Vec<u16> = image.pixels.chunks_exact(2).map(|it| u16::from_le_bytes([it[0], it[1]])).collect();
    assert!(codes.iter().all(|it| *it < 4096) && codes.iter().any(|it| *it > 255));
    let quantization = DepthQuantization::new(0.01, 10.0, 3.5, true, DepthUnit::Millimetre).unwrap();
    assert!(codes.iter().all(|it| (10.0..=10_000.0).contains(&quantization.decode(*it))));
}

#[test]
fn large_frames_are_refused() {
    large_frames_are_refused_by(&built_in());
    large_frames_are_refused_by(&DecodeOptions::default());
}

fn large_frames_are_refused_by(options: &DecodeOptions) {
    for name in ["h264_bframes", "hevc", "av1_g2"] {
        let (track, coded) = samples(&path(name));
        let options = DecodeOptions { pixels_max: 63 * 48, ..options.clone() };
        let err = decode(&track, coded, i64::MIN..i64::MAX, &options).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Limit, "{name}: {}", err.chain());
    }
}

#[test]
fn a_sample_too_few_is_noticed() {
    let (track, mut coded) = samples(&path("h264_bframes"));
    coded[3].data = Bytes::new();
    for backend in [Backend::BuiltIn, Backend::Auto] {
        let options = DecodeOptions { backend, ..DecodeOptions::default() };
        let err = decode(&track, coded.clone(), i64::MIN..i64::MAX, &options).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{backend:?}");
    }
}

#[test]
fn damaged_samples_never_crash_the_process() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let libavcodec = with_libavcodec();
    for (_, path, _) in fixtures() {
        let (mut track, coded) = samples(&path);
        let config = track.codec_config.clone();
        for round in 0..40 {
            let mut damaged: Vec<CodedSample> = coded.iter().take(8).cloned().collect();
            for _ in 0..=random(3) {
                let which = random(damaged.len());
                let mut data = damaged[which].data.to_vec();
                let at = random(data.len().max(1));
                if data.is_empty() {
                    continue;
                }
                data[at] ^= 1 << random(8);
                if random(8) == 0 {
                    data.truncate(at);
                }
                damaged[which].data = data.into();
            }
            let mut changed = config.to_vec();
            if round % 4 == 0 {
                let at = random(changed.len());
                changed[at] ^= 1 << random(8);
            }
            track.codec_config = changed.into();
            if let Some(options) = &libavcodec {
                drop(decode(&track, damaged.clone(), i64::MIN..i64::MAX, options));
            }
            drop(decode(&track, damaged, i64::MIN..i64::MAX, &built_in()));
        }
    }
}

struct Panics;

impl FrameDecoder for Panics {
    fn decode(&mut self, _: &[u8], _: i64) -> Result<()> {
        panic!("as a decoder may")
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        Err(Error::new(ErrorKind::Corrupt, "never asked"))
    }

    fn reset(&mut self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_an_error_and_the_decoder_is_not_used_again() {
    let mut decoder = Isolated::new(|| Ok(Panics)).unwrap();
    assert_eq!(decoder.decode(&[], 0).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(decoder.next_frame().unwrap_err().to_string(), decoder.finish().unwrap_err().to_string());
    assert_eq!(decoder.reset().unwrap_err().kind(), ErrorKind::Corrupt);
}
