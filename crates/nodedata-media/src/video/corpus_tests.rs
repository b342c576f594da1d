//! Videos of real LeRobot datasets against what the official reader (LeRobot with PyAV) made of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use nodedata_core::Files;
use nodedata_io::LocalFiles;
use nodedata_testkit::corpus;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Backend, CodedSample, DecodeOptions, Libavcodec, VideoFrame, decode_frames, tests::with_libavcodec,
};
use crate::{
    Decoded,
    mp4::{Mp4Limits, VideoTrack},
};

/// Every frame of a file, in presentation order.
pub(super) fn decode_file(path: &Path, options: &DecodeOptions) -> (VideoTrack, Vec<VideoFrame>) {
    let files = LocalFiles::file(path);
    let file = files.open(Path::new(path.file_name().unwrap())).unwrap();
    let track = VideoTrack::read(file.as_ref(), &Mp4Limits::default()).unwrap();
    let samples = track.samples[track.samples_for(0..track.n_frames()).unwrap()]
        .iter()
        .map(|it| Ok(CodedSample { order: it.pts, data: file.read_at(it.byte_range())? }));
    let mut frames = Vec::new();
    let wanted = i64::MIN..i64::MAX;
    decode_frames(track.codec, &track.codec_config, samples, wanted, options, |frame| {
        frames.push(frame);
        Ok(())
    })
    .unwrap_or_else(|err| panic!("{}: {}", path.display(), err.chain()));
    (track, frames)
}

/// The video files of each feature, in order.
fn videos(dataset: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let files = LocalFiles::folder(dataset).unwrap();
    for file in files.list().unwrap() {
        let name = file.to_string_lossy().into_owned();
        if name.ends_with(".mp4") {
            let feature = name.split('/').find(|it| it.starts_with("observation.")).unwrap();
            found.entry(feature.to_owned()).or_default().push(dataset.join(&file));
        }
    }
    found.values_mut().for_each(|it| it.sort());
    found
}

#[track_caller]
fn assert_same(image: &Decoded, truth: &Value, place: &str) {
    let shape: Vec<u64> = truth["shape"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).collect();
    let found = [u64::from(image.height), u64::from(image.width), u64::from(image.channels)];
    assert_eq!(shape, found, "{place}");
    let mean = image.pixels.iter().map(|it| f64::from(*it)).sum::<f64>() / image.pixels.len() as f64;
    let expected = truth["mean"].as_f64().unwrap();
    // The truth's hash covers type, shape and values.
    let [height, width, channels] = found;
    let mut hash = Sha256::new();
    hash.update(format!("|u1({height}, {width}, {channels})"));
    hash.update(&image.pixels);
    let digest: String = hash.finalize().iter().map(|it| format!("{it:02x}")).collect();
    let corner: Vec<u8> =
        truth["corner"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap() as u8).collect();
    assert_eq!(&image.pixels[..6], corner, "{place}, mean {mean} of {expected}");
    assert_eq!(digest, truth["sha256"].as_str().unwrap(), "{place}, mean {mean} of {expected}");
}

#[test]
fn frames_are_those_of_the_official_reader() {
    frames_are_those_of_the_official_reader_by(&DecodeOptions {
        libavcodec: Libavcodec::Off,
        ..DecodeOptions::default()
    });
}

#[test]
fn frames_of_libavcodec_are_those_of_the_official_reader() {
    let Some(options) = with_libavcodec() else { return };
    // AV1 by the decoder that is built in.
    frames_are_those_of_the_official_reader_by(&DecodeOptions { backend: Backend::Auto, ..options });
}

fn frames_are_those_of_the_official_reader_by(options: &DecodeOptions) {
    let Some(root) = corpus::folder("episodes") else { return };
    let mut n_compared = 0;
    for truth_path in corpus::files(&root.join("truth"), ".json") {
        let name = truth_path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some(case) = name.strip_prefix("lerobot_") else { continue };
        let truth: Value = serde_json::from_slice(&std::fs::read(&truth_path).unwrap()).unwrap();
        for (feature, paths) in videos(&root.join("lerobot").join(case)) {
            let frames: Vec<VideoFrame> = paths.iter().flat_map(|it| decode_file(it, options).1).collect();
            assert_eq!(frames.len() as u64, truth["total_frames"].as_u64().unwrap(), "{case} {feature}");
            for episode in truth["episodes"].as_array().unwrap() {
                let (from, to) = (episode["from"].as_u64().unwrap(), episode["to"].as_u64().unwrap());
                for (idx, which) in [(from, "first"), (to - 1, "last")] {
                    let place = format!("{case}, {feature}, frame {idx}");
                    assert_same(&frames[idx as usize].to_rgb(), &episode[which][&feature], &place);
                    n_compared += 1;
                }
            }
        }
    }
    println!("{n_compared} frames");
    assert!(n_compared >= 90, "{n_compared}");
}
