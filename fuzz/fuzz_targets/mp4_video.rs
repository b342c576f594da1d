//! Any bytes as an mp4 file: its tables are read, and what they call samples is decoded.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nodedata_core::Files as _;
use nodedata_io::MemoryFiles;
use nodedata_media::{
    mp4::{Mp4Limits, VideoTrack},
    video::{Backend, CodedSample, DecodeOptions, decode_frames},
};

fuzz_target!(|bytes: &[u8]| {
    let files = MemoryFiles::default().with("a.mp4", bytes.to_vec());
    let file = files.open(Path::new("a.mp4")).expect("a file in memory opens");
    let limits = Mp4Limits { moov_bytes_max: 8 << 20, samples_max: 1 << 16 };
    let Ok(track) = VideoTrack::read(file.as_ref(), &limits) else { return };
    assert!(track.samples.iter().all(|it| it.byte_range().end <= bytes.len() as u64));
    let frames = 0..track.n_frames().min(16);
    let Ok(fed) = track.samples_for(frames) else { return };
    let samples = track.samples[fed]
        .iter()
        .map(|it| Ok(CodedSample { order: it.pts, data: file.read_at(it.byte_range())? }));
    let options =
        DecodeOptions { backend: Backend::BuiltIn, pixels_max: 1 << 20, ..DecodeOptions::default() };
    // Damage is an error; only a crash of the process is a finding.
    let _ = decode_frames(track.codec, &track.codec_config, samples, i64::MIN..i64::MAX, &options, |frame| {
        assert!(frame.width > 0 && !frame.to_rgb().pixels.is_empty());
        Ok(())
    });
});
