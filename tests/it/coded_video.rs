//! Pictures that a pipeline codes as H.264 lie in the dataset as video that passes through does: rows, marks of key frames, the
//! index, checks, recipes.

use std::{collections::BTreeMap, path::PathBuf};

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _};
use nodedata_dataset::{Dataset as Opened, VideoEntry};
use nodedata_media::{
    Decoded, VideoCodec, decode_image, h264_encoder, is_keyframe,
    video::{CodedSample, DecodeOptions, decode_frames},
};
use nodedata_testkit::{corpus, skipped};
use serde_json::json;

use crate::{
    command::{Ran, Work},
    logs::fixture,
    tables::{Dataset, differing, int64},
};

/// The `ffmpeg` program for the command, from `NODEDATA_TEST_FFMPEG` or the PATH. Says so when a test must do without.
fn with_encoder() -> Option<String> {
    let program = std::env::var("NODEDATA_TEST_FFMPEG").unwrap_or_else(|_| "ffmpeg".to_owned());
    let found = h264_encoder(&PathBuf::from(&program)).is_ok();
    if !found {
        skipped("no `ffmpeg` program with libx264; put one on the PATH or name it in NODEDATA_TEST_FFMPEG");
    }
    found.then_some(program)
}

fn lerobot(name: &str) -> String {
    corpus::fixtures("lerobot").join(name).display().to_string()
}

fn pipeline(source: &str, fields: &str) -> String {
    format!(
        "version: 1\nsource: {source:?}\nsteps: {{clock: {{rate_hz: 10}}}}\nfields:\n{fields}splits: {{by: source}}\n"
    )
}

const CAMERAS: &str = "  front: {from: observation.images.front, transform: {encode: h264:12}}
  action: action
  wrist: {from: observation.images.wrist, transform: [{image/resize: {height: 48, width: 64}}, {encode: {as: h264:12, group: 5}}]}
";

const PICTURES: &str = "  front: {from: observation.images.front, transform: {encode: png}}
  wrist: {from: observation.images.wrist, transform: {image/resize: {height: 48, width: 64}}}
";

fn steps(work: &Work, name: &str) -> RecordBatch {
    Dataset::open(work.path(name)).tables().remove("steps").unwrap()
}

/// By episode, the samples of a camera and whether each is marked as a key frame.
fn by_episode(rows: &RecordBatch, camera: &str) -> BTreeMap<u64, Vec<(Vec<u8>, bool)>> {
    let samples = rows.column_by_name(camera).unwrap().as_binary::<i32>();
    let marks = rows.column_by_name(&format!("{camera}.keyframe")).unwrap().as_boolean();
    let mut episodes: BTreeMap<u64, Vec<(Vec<u8>, bool)>> = BTreeMap::new();
    for (row, episode) in int64(rows, "episode_index").into_iter().enumerate() {
        let sample = (samples.value(row).to_vec(), marks.value(row));
        episodes.entry(episode as u64).or_default().push(sample);
    }
    episodes
}

fn decoded<'a>(samples: impl Iterator<Item = &'a Vec<u8>>) -> Vec<Decoded> {
    let coded =
        samples.enumerate().map(|(idx, it)| Ok(CodedSample { order: idx as i64, data: it.clone().into() }));
    let options = DecodeOptions { in_order: true, ..DecodeOptions::default() };
    let mut frames = Vec::new();
    decode_frames(VideoCodec::H264, &[], coded, 0..i64::MAX, &options, |it| {
        frames.push(it.to_rgb());
        Ok(())
    })
    .unwrap();
    frames
}

fn pictures(rows: &RecordBatch, camera: &str) -> Vec<Decoded> {
    let bytes = rows.column_by_name(camera).unwrap().as_struct().column(0).as_binary::<i32>().clone();
    (0..bytes.len()).map(|it| decode_image(bytes.value(it)).unwrap()).collect()
}

/// Peak signal to noise of two pictures of one size, in decibels.
fn psnr(a: &Decoded, b: &Decoded) -> f64 {
    assert_eq!((a.height, a.width, a.channels), (b.height, b.width, b.channels));
    let squares = a.pixels.iter().zip(&b.pixels).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / a.pixels.len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}

/// Whether the rows of a camera, its marks, and the index say the same of its video; returns how many episodes there are.
#[track_caller]
fn is_whole(work: &Work, name: &str, camera: &str, group: usize, size: (u32, u32)) -> usize {
    let episodes = by_episode(&steps(work, name), camera);
    let opened = Opened::open(work.path(name)).unwrap();
    let videos: Vec<VideoEntry> =
        opened.videos().unwrap().into_iter().filter(|it| it.feature == camera).collect();
    assert_eq!(
        videos.iter().map(|it| it.episode).collect::<Vec<_>>(),
        episodes.keys().copied().collect::<Vec<_>>()
    );
    for (video, samples) in videos.iter().zip(episodes.values()) {
        assert_eq!((video.height, video.width, video.fps), (size.0, size.1, 10.0), "{video:?}");
        assert_eq!((video.codec.as_str(), video.n_frames), ("h264", samples.len() as u64), "{video:?}");
        let idrs = samples.iter().map(|it| is_keyframe(VideoCodec::H264, &it.0).unwrap());
        let idrs: Vec<bool> = idrs.collect();
        assert_eq!(idrs, samples.iter().map(|it| it.1).collect::<Vec<_>>(), "episode {}", video.episode);
        let expected: Vec<u32> = (0..samples.len()).step_by(group).map(|it| it as u32).collect();
        let found: Vec<u32> = (0..).zip(&idrs).filter(|(_, it)| **it).map(|(step, _)| step).collect();
        assert_eq!(found, expected, "episode {}", video.episode);
        assert_eq!(video.keyframes.as_ref(), Some(&expected), "episode {}", video.episode);
    }
    videos.len()
}

#[test]
fn pictures_become_video_that_lies_as_what_passes_through() {
    let Some(ffmpeg) = with_encoder() else { return };
    let ffmpeg = ("NODEDATA_FFMPEG", ffmpeg.as_str());
    let work = Work::new();
    for (set, source) in [("images", lerobot("v30_image")), ("video", lerobot("v30_video_h264"))] {
        let (coded, plain) = (format!("{set}_coded"), format!("{set}_plain"));
        work.write("coded.yaml", pipeline(&source, CAMERAS));
        let planned = work.run_with(&[ffmpeg], ["run", "coded.yaml", "--dry-run"]).exits(0);
        assert!(planned.stdout.contains("encode@1 {as: h264:12, group: 5}"), "{}", planned.stdout);
        work.run_with(&[ffmpeg], ["run", "coded.yaml", "--out", &coded]).exits(0);
        work.write("plain.yaml", pipeline(&source, PICTURES));
        work.run(["run", "plain.yaml", "--out", &plain]).exits(0);
        work.run(["validate", "--deep", &coded]).exits(0);
        assert_eq!(is_whole(&work, &coded, "front", 2, (96, 96)), 3);
        assert_eq!(is_whole(&work, &coded, "wrist", 5, (48, 64)), 3);
        let (rows, source_rows) = (steps(&work, &coded), steps(&work, &plain));
        for camera in ["front", "wrist"] {
            let episodes = by_episode(&rows, camera);
            let frames = episodes.values().flat_map(|it| decoded(it.iter().map(|it| &it.0)));
            let frames: Vec<Decoded> = frames.collect();
            let wanted = pictures(&source_rows, camera);
            assert_eq!((frames.len(), wanted.len()), (36, 36));
            for (step, (found, wanted)) in frames.iter().zip(&wanted).enumerate() {
                // Of random pixels the colours of neighbours are lost, which the bound leaves room for.
                let psnr = psnr(found, wanted);
                assert!(psnr > 28.0, "{set} {camera} {step}: {psnr} dB");
            }
        }
        let schema = work.json(&format!("{coded}/schema.json")).to_string();
        assert!(schema.contains("h264"), "{schema}");
    }
}

#[test]
fn video_is_made_again_and_says_who_coded_it() {
    let Some(ffmpeg) = with_encoder() else { return };
    let variables = [("NODEDATA_FFMPEG", ffmpeg.as_str())];
    let work = Work::new();
    let source = lerobot("v30_image");
    work.write("p.yaml", pipeline(&source, CAMERAS));
    let (one, eight) = (
        ["run", "p.yaml", "--out", "one", "--threads", "1"],
        ["run", "p.yaml", "--out", "eight", "--threads", "8"],
    );
    work.run_with(&variables, one).exits(0);
    work.run_with(&variables, eight).exits(0);
    assert_eq!(differing(&work.path("one"), &work.path("eight")), ["report.json"]);
    let transform = &work.json("one/recipe.json")["rows"]["steps"]["fields"][0]["transform"][0]["encode@1"];
    let encoder = transform["encoder"].as_str().unwrap();
    assert!(encoder.starts_with("FFmpeg ") && encoder.contains("x264"), "{encoder}");
    assert_eq!(
        (&transform["coding"], &transform["quality"], &transform["group"]),
        (&json!("h264"), &json!(12), &json!(2))
    );
    let schema = steps(&work, "one").schema();
    let facts = schema.field_with_name("front").unwrap().metadata();
    assert_eq!((facts["nodedata:encoding"].as_str(), facts["nodedata:storage"].as_str()), ("h264", "raw"));
    assert!(facts["nodedata:video"].contains(encoder), "{facts:?}");
    work.run_with(&variables, ["explain", "one", "--rebuild", "--source", &source]).exits(0);
    // The same again is nothing to do.
    let again = work.run_with(&variables, ["run", "p.yaml", "--out", "one"]).exits(0);
    assert!(again.stdout.contains("already complete"), "{}", again.stdout);
}

/// Steps of a log at a rate, whose pieces no one numbers before they are joined.
#[test]
fn a_camera_of_a_log_becomes_video() {
    let Some(ffmpeg) = with_encoder() else { return };
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        format!(
            "version: 1\nsource: {log:?}\nsteps: {{clock: {{rate_hz: 10}}, tolerance_ms: 60}}\nfields: {{wrist: {{from: /camera/wrist/image/compressed, transform: [{{image/resize: {{height: 48, width: 64}}}}, {{encode: h264}}]}}}}\n"
        ),
    );
    work.run_with(&[("NODEDATA_FFMPEG", &ffmpeg)], ["run", "p.yaml", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    assert_eq!(is_whole(&work, "out", "wrist", 2, (48, 64)), 1);
}

fn refused(work: &Work, ffmpeg: &str, fields: &str) -> Ran {
    work.write("p.yaml", pipeline(&lerobot("v30_image"), fields));
    work.run_with(&[("NODEDATA_FFMPEG", ffmpeg)], ["run", "p.yaml", "--out", "out"])
}

#[test]
fn a_program_that_is_not_there_is_told_before_any_row_is_read() {
    let work = Work::new();
    let ran = refused(&work, "/no/such/ffmpeg", CAMERAS).exits(2);
    for told in [
        "the program `/no/such/ffmpeg` does not run",
        "NODEDATA_FFMPEG",
        "`encode: jpeg:90` needs none",
        "p.yaml, line",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    let planned =
        work.run_with(&[("NODEDATA_FFMPEG", "/no/such/ffmpeg")], ["run", "p.yaml", "--dry-run"]).exits(2);
    assert!(planned.stderr.contains("does not run"), "{}", planned.stderr);
    assert!(!work.path("out").exists());
    // Wrong words are told without any program.
    for (coding, told) in [
        ("h264:0", "no rate factor of H.264"),
        ("h264:fine", "no rate factor of H.264"),
        ("{as: h264, group: 0}", "no length of a group"),
        ("{as: png, group: 2}", "stand alone"),
        ("{as: h264, gop: 2}", "no argument of it"),
    ] {
        let field = format!("  front: {{from: observation.images.front, transform: {{encode: {coding}}}}}\n");
        let ran = refused(&work, "/no/such/ffmpeg", &field).exits(2);
        assert!(ran.stderr.contains(told), "{coding}: {}", ran.stderr);
    }
}

#[test]
fn odd_sides_are_refused_with_their_step() {
    let Some(ffmpeg) = with_encoder() else { return };
    let work = Work::new();
    let field = "  front: {from: observation.images.front, transform: [{image/crop: {height: 95, width: 96}}, {encode: h264}]}\n";
    let ran = refused(&work, &ffmpeg, field).exits(1);
    for told in
        ["the picture is 95 × 96", "`image/crop: {height: 94, width: 96}`", "episode 0", "step 0", "front"]
    {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    assert!(!work.path("out").exists());
}

/// A run that ends early takes its encoders with it.
#[test]
fn no_program_goes_on_behind_a_run_that_fails() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(ffmpeg) = with_encoder() else { return };
    let work = Work::new();
    let (script, pids) = (work.path("ffmpeg.sh"), work.path("pids"));
    let text = format!("#!/bin/sh\necho $$ >> '{}'\nexec '{ffmpeg}' \"$@\"\n", pids.display());
    work.write("ffmpeg.sh", text);
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    // The third step of an episode has no such value, and the two before it are coded.
    let fields = format!("{CAMERAS}  frame: {{from: frame_index, transform: gripper/invert, type: uint8}}\n");
    let ran = refused(&work, &script.display().to_string(), &fields).exits(1);
    assert!(ran.stderr.contains("2 becomes -1"), "{}", ran.stderr);
    let started = std::fs::read_to_string(pids).unwrap();
    let started: Vec<&str> = started.lines().collect();
    // Two that say who they are, and at least those of the two cameras of one episode.
    assert!(4 <= started.len(), "{started:?}");
    if cfg!(target_os = "linux") {
        let left = started.iter().filter(|it| PathBuf::from(format!("/proc/{it}")).exists());
        assert_eq!(left.count(), 0, "{started:?}");
    }
}
