use std::path::PathBuf;

use bytes::Bytes;
use nodedata_core::ErrorKind;

use super::super::{
    Backend, DecodeOptions, Libavcodec, decoder, libavcodec_version,
    tests::{built_in, decode, path, samples, with_libavcodec},
};
use crate::VideoCodec;

fn choosing(backend: Backend, libavcodec: Libavcodec) -> DecodeOptions {
    DecodeOptions { backend, libavcodec, ..DecodeOptions::default() }
}

#[test]
fn other_video_is_not_for_it() {
    for codec in [VideoCodec::Av1, VideoCodec::Mjpeg, VideoCodec::Vp9, VideoCodec::Mpeg2, VideoCodec::Mpeg4] {
        let options = choosing(Backend::Libavcodec, Libavcodec::Installed);
        let err = decoder(codec, &[], &options).err().unwrap();
        assert_eq!(err.kind(), ErrorKind::Unsupported, "{}", codec.name());
    }
}

#[test]
fn off_is_without() {
    assert_eq!(libavcodec_version(&Libavcodec::Off).unwrap(), None);
    let err = decoder(VideoCodec::H264, &[], &choosing(Backend::Libavcodec, Libavcodec::Off)).err().unwrap();
    assert_eq!((err.kind(), err.hint().is_some()), (ErrorKind::Unsupported, true));
    let (track, coded) = samples(&path("h264_bframes"));
    let everything = i64::MIN..i64::MAX;
    let auto = choosing(Backend::Auto, Libavcodec::Off);
    let frames = decode(&track, coded.clone(), everything.clone(), &auto).unwrap();
    assert_eq!(frames, decode(&track, coded, everything, &built_in()).unwrap());
}

/// Nothing else is used in the place of what was named.
#[test]
fn what_is_named_and_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libavcodec.so.59");
    std::fs::write(&text, "no library").unwrap();
    let nowhere = folder.path().join("libavcodec.so.60");
    // A library indeed, and not that one.
    let other = cfg!(target_os = "linux").then(|| PathBuf::from("libc.so.6"));
    for path in [text, nowhere].into_iter().chain(other) {
        let named = Libavcodec::Named(path.clone());
        for backend in [Backend::Auto, Backend::Libavcodec] {
            for codec in [VideoCodec::H264, VideoCodec::H265] {
                let err = decoder(codec, &[], &choosing(backend, named.clone())).err().unwrap();
                assert_eq!(err.kind(), ErrorKind::Config, "{}", err.chain());
                assert!(err.to_string().contains(&*path.to_string_lossy()), "{err}");
                assert!(err.hint().unwrap().contains("NODEDATA_LIBAVCODEC"));
            }
        }
        assert_eq!(libavcodec_version(&named).unwrap_err().kind(), ErrorKind::Config);
        // Where it is not needed it is not asked for.
        decoder(VideoCodec::Mjpeg, &[], &choosing(Backend::Auto, named)).unwrap();
    }
}

#[test]
fn its_version_is_one_that_is_known() {
    let Some(options) = with_libavcodec() else { return };
    let version = libavcodec_version(&options.libavcodec).unwrap().unwrap();
    println!("libavcodec {version}");
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    assert!((59..=62).contains(&major) && version.split('.').count() == 3, "{version}");
}

#[test]
fn damage_is_an_error_and_no_frame() {
    let Some(options) = with_libavcodec() else { return };
    for name in ["h264_bframes", "h264_444", "hevc", "hevc_gray12"] {
        let (track, whole) = samples(&path(name));
        let mut cut = whole.clone();
        let half = cut[1].data.len() / 2;
        cut[1].data = cut[1].data.slice(..half);
        let mut empty = whole.clone();
        empty[1].data = Bytes::new();
        let mut flipped = whole;
        let mut bytes = flipped[0].data.to_vec();
        bytes[flipped[0].data.len() / 2..].iter_mut().for_each(|it| *it ^= 0xff);
        flipped[0].data = bytes.into();
        // What is flipped in H.265 is other values, which nothing contradicts.
        let flipped = (track.codec == VideoCodec::H264).then_some(("flipped", flipped));
        for (damage, coded) in [("cut", cut), ("empty", empty)].into_iter().chain(flipped) {
            let err = decode(&track, coded, i64::MIN..i64::MAX, &options).map(|it| it.len()).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Corrupt, "{name}, {damage}: {}", err.chain());
        }
    }
}

#[test]
fn large_frames_are_refused() {
    let Some(options) = with_libavcodec() else { return };
    for name in ["h264_bframes", "h264_444", "hevc", "hevc_gray12"] {
        let (track, coded) = samples(&path(name));
        let options = DecodeOptions { pixels_max: 63 * 48, ..options.clone() };
        let err = decode(&track, coded, i64::MIN..i64::MAX, &options).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Limit, "{name}: {}", err.chain());
    }
}

/// Encoders of cameras say nothing of reordering, where up to 16 frames would have to be waited for.
#[test]
fn nothing_is_waited_for_where_samples_are_in_order() {
    /// That of the file, without what describes its use.
    const SPS: [u8; 8] = [0x67, 0x64, 0x00, 0x0a, 0xac, 0xb4, 0x23, 0xc8];
    let Some(options) = with_libavcodec() else { return };
    let (track, coded) = samples(&path("h264_intra_refresh"));
    let (head, rest) = track.codec_config.split_at(8);
    let behind = &rest[usize::from(u16::from_be_bytes([head[6], head[7]]))..];
    let config = [&head[..6], &[0, SPS.len() as u8], &SPS, behind].concat();
    for (in_order, expected) in [(true, Some(coded[0].order)), (false, None)] {
        let options = DecodeOptions { in_order, ..options.clone() };
        let mut decoder = decoder(track.codec, &config, &options).unwrap();
        decoder.decode(&coded[0].data, coded[0].order).unwrap();
        assert_eq!(decoder.next_frame().unwrap().map(|it| it.order), expected);
    }
}

/// Decoders of several threads do not get in each other's way.
#[test]
fn many_decoders_work_side_by_side() {
    let Some(options) = with_libavcodec() else { return };
    let (track, coded) = samples(&path("h264_bframes"));
    let expected = decode(&track, coded.clone(), i64::MIN..i64::MAX, &built_in()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let frames = decode(&track, coded.clone(), i64::MIN..i64::MAX, &options).unwrap();
                    assert!(frames == expected);
                }
            });
        }
    });
}
