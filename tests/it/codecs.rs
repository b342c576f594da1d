//! Video of every codec that LeRobot datasets come with: what no decoder here takes passes through as it is coded, and what the
//! `ffmpeg` program takes is decoded. The datasets of `../shared/corpora/reported` have the right answer beside them.

use arrow_array::{RecordBatch, cast::AsArray as _};
use nodedata_media::{Encoding, decode_image, image_header};
use nodedata_testkit::{
    corpus,
    lerobot::{Base, Defect, Folder},
    skipped,
};
use serde_json::Value;

use crate::{
    command::{Ran, Work},
    tables::{Dataset, texts},
};

/// Neither FFmpeg's program nor its library, whatever this machine has.
const NO_FFMPEG: [(&str, &str); 2] = [("NODEDATA_FFMPEG", "/no/such/ffmpeg"), NO_LIBAVCODEC];
const NO_LIBAVCODEC: (&str, &str) = ("NODEDATA_LIBAVCODEC", "off");

const FRONT: &str = "observation.images.front";
const DEPTH: &str = "observation.images.depth";

/// The `ffmpeg` program for the command, from `NODEDATA_TEST_FFMPEG` or the PATH. Says so when a test must do without.
fn with_ffmpeg() -> Option<String> {
    let program = std::env::var("NODEDATA_TEST_FFMPEG").unwrap_or_else(|_| "ffmpeg".to_owned());
    let runs =
        std::process::Command::new(&program).arg("-version").output().is_ok_and(|it| it.status.success());
    if !runs {
        skipped("no `ffmpeg` program; put one on the PATH or name it in NODEDATA_TEST_FFMPEG");
    }
    runs.then_some(program)
}

/// A dataset that users reported, in a folder of its own; `None` where the corpus is not there.
fn reported(name: &str) -> Option<Work> {
    let source = corpus::folder("reported/lerobot")?.join(name);
    let work = Work::new();
    Folder::read(&source).write(&work.path("src"));
    Some(work)
}

/// The fixture of version 2.1 with this video in the place of the one of each episode, whose length it has.
fn with_video(name: &str, n_frames: usize) -> Work {
    let mut folder = Base::Apart.folder();
    let video = std::fs::read(corpus::fixtures("video").join(format!("{name}.mp4"))).unwrap();
    for episode in 0..3 {
        folder.put(&format!("videos/chunk-000/{FRONT}/episode_{episode:06}.mp4"), video.clone());
        folder.edit_table(&format!("data/chunk-000/episode_{episode:06}.parquet"), |rows| {
            rows.slice(0, n_frames)
        });
    }
    folder.edit_lines("meta/episodes.jsonl", |all| {
        all.iter_mut().for_each(|it| it["length"] = n_frames.into());
    });
    folder.edit_json("meta/info.json", |it| it["total_frames"] = (3 * n_frames).into());
    let work = Work::new();
    folder.write(&work.path("src"));
    work
}

fn convert(work: &Work, flags: &[&str], ffmpeg: [(&str, &str); 2]) -> Ran {
    let args = ["convert", "src", "--out", "out", "--overwrite"];
    work.run_with(&ffmpeg, args.into_iter().chain(flags.iter().copied()))
}

fn steps(work: &Work) -> RecordBatch {
    Dataset::open(work.path("out")).tables().remove("steps").unwrap()
}

/// Bytes of each row of a camera that passed through.
fn coded(rows: &RecordBatch, camera: &str) -> Vec<Vec<u8>> {
    let column = rows.column_by_name(camera).unwrap().as_binary::<i32>();
    column.iter().map(|it| it.unwrap().to_vec()).collect()
}

/// Bytes of each row of a camera whose frames are pictures.
fn pictures(rows: &RecordBatch, camera: &str) -> Vec<Vec<u8>> {
    let column = rows.column_by_name(camera).unwrap().as_struct();
    column.column(0).as_binary::<i32>().iter().map(|it| it.unwrap().to_vec()).collect()
}

fn repairs(work: &Work) -> Vec<Value> {
    work.json("out/report.json")["repairs"].as_array().cloned().unwrap_or_default()
}

/// The codecs that `index/video.parquet` names.
fn codecs(work: &Work) -> Vec<String> {
    let table = Dataset::open(work.path("out")).table("index/video.parquet");
    let mut names: Vec<String> = texts(&table, "codec").into_iter().flatten().collect();
    names.dedup();
    names
}

#[test]
fn a_camera_that_nobody_decodes_passes_through() {
    for (name, camera, others) in [("video_h264_444", FRONT, None), ("depth_hevc_gray12", DEPTH, Some(FRONT))]
    {
        let Some(work) = reported(name) else { return };
        let ran = convert(&work, &["--decode", "*=png"], NO_FFMPEG).exits(3);
        let hint = ran.stderr.lines().find(|it| it.starts_with("hint: "));
        assert!(hint.is_some_and(|it| it.contains("NODEDATA_FFMPEG")), "{name}: {}", ran.stderr);
        let found = repairs(&work);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(found[0]["hint"].as_str().unwrap().contains("NODEDATA_FFMPEG"), "{name}: {found:?}");
        assert_eq!(found[0]["reason"], "camera-not-decoded");
        assert!(found[0]["at"].as_str().unwrap().contains(camera), "{name}: {found:?}");
        let rows = steps(&work);
        assert_eq!((rows.num_rows(), coded(&rows, camera).len()), (101, 101), "{name}");
        if let Some(other) = others {
            assert!(pictures(&rows, other).iter().all(|it| decode_image(it).is_ok()), "{name}");
        }
        // What passes through is what passes through unasked.
        let asked = coded(&rows, camera);
        convert(&work, &[], NO_FFMPEG).exits(0);
        assert!(coded(&steps(&work), camera) == asked, "{name}");
        work.run_with(&NO_FFMPEG, ["validate", "--deep", "out"]).exits(0);
    }
}

/// The same of a video that is always here.
#[test]
fn mpeg4_that_nobody_decodes_passes_through() {
    let work = with_video("mpeg4", 11);
    let ran = convert(&work, &["--decode", "*=png"], NO_FFMPEG).exits(3);
    let is_help = |it: &str| it.starts_with("hint: ") && it.contains("NODEDATA_FFMPEG");
    assert!(ran.stderr.lines().any(is_help), "{}", ran.stderr);
    let found = repairs(&work);
    let n_told = found.iter().filter(|it| it["reason"] == "camera-not-decoded").count();
    assert_eq!(n_told, 1, "{found:?}");
    assert_eq!((coded(&steps(&work), FRONT).len(), codecs(&work)), (33, vec!["mpeg4".to_owned()]));
}

/// Where a camera is worked on, its samples are of no use.
#[test]
fn a_camera_that_is_worked_on_has_to_be_decoded() {
    let work = with_video("mpeg4", 11);
    let pipeline = format!(
        "version: 1\nsource: {{path: src, format: lerobot}}\nsteps: {{clock: {{rate_hz: 10}}}}\nfields:\n  turned: {{from: \
         {FRONT}, transform: image/rotate_180}}\nsplits: {{by: source}}\n"
    );
    work.write("p.yaml", pipeline);
    let ran = work.run_with(&NO_FFMPEG, ["run", "p.yaml", "--out", "out"]);
    assert_ne!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("worked on") && ran.stderr.contains("NODEDATA_FFMPEG"), "{}", ran.stderr);
    assert!(!work.path("out").exists());
}

#[test]
fn the_ffmpeg_program_decodes_what_others_cannot() {
    let Some(program) = with_ffmpeg() else { return };
    let ffmpeg = [("NODEDATA_FFMPEG", program.as_str()), NO_LIBAVCODEC];
    for (name, camera) in [("video_h264_444", FRONT), ("depth_hevc_gray12", DEPTH)] {
        let Some(work) = reported(name) else { break };
        convert(&work, &["--decode", "*=png"], ffmpeg).exits(0);
        let rows = steps(&work);
        let found = pictures(&rows, camera);
        assert_eq!(found.len(), 101, "{name}");
        let sizes = found.iter().map(|it| image_header(it).unwrap().shape().0);
        let channels = if camera == DEPTH { 1 } else { 3 };
        assert!(sizes.into_iter().all(|it| it == [96, 128, channels]), "{name}");
        work.run_with(&ffmpeg, ["validate", "--deep", "out"]).exits(0);
        assert_eq!(repairs(&work), Vec::<Value>::new(), "{name}");
        // Samples that pass through are checked by it as well.
        convert(&work, &[], ffmpeg).exits(0);
        work.run_with(&ffmpeg, ["validate", "--deep", "out"]).exits(0);
    }
    for (name, n_frames) in
        [("mpeg4", 11), ("mpeg2", 11), ("vp9", 8), ("vp9_rgb", 6), ("h264_rgb", 6), ("h264_lossless", 5)]
    {
        let work = with_video(name, n_frames);
        // Frames beyond those of the rows are named, and those of another pace.
        let code = convert(&work, &["--decode", "*=png"], ffmpeg).code;
        let repairs = repairs(&work);
        let told = ["unused-frames", "frames-off-grid"];
        let unused = repairs.iter().all(|it| told.iter().any(|reason| it["reason"] == *reason));
        assert!((code == 0 || code == 3) && unused, "{name}: {code}, {repairs:?}");
        let found = pictures(&steps(&work), FRONT);
        assert_eq!(found.len(), 3 * n_frames, "{name}");
        assert!(found.iter().all(|it| image_header(it).unwrap().shape().0 == [48, 64, 3]), "{name}");
        assert!(found[0] != found[1], "{name}");
    }
}

/// What passes through is what `jpeg` asks for.
#[test]
fn samples_of_mjpeg_are_jpeg_pictures() {
    let Some(work) = reported("video_mjpeg") else { return };
    convert(&work, &[], NO_FFMPEG).exits(0);
    assert_eq!(codecs(&work), ["mjpeg"]);
    let samples = coded(&steps(&work), FRONT);
    assert_eq!(samples.len(), 101);
    assert!(samples.iter().all(|it| image_header(it).unwrap().encoding == Encoding::Jpeg));
    work.run_with(&NO_FFMPEG, ["validate", "--deep", "out"]).exits(0);
    // As pictures they are what they were, and other pictures are made of what they decode to.
    convert(&work, &["--decode", "*=jpeg"], NO_FFMPEG).exits(0);
    assert!(pictures(&steps(&work), FRONT) == samples);
    convert(&work, &["--decode", "*=png"], NO_FFMPEG).exits(0);
    let decoded = pictures(&steps(&work), FRONT);
    for (png, jpeg) in decoded.iter().zip(&samples).step_by(20) {
        assert_eq!(decode_image(png).unwrap(), decode_image(jpeg).unwrap());
    }
    work.run_with(&NO_FFMPEG, ["validate", "--deep", "out"]).exits(0);
}

/// An episode that begins at a recovery point is decoded from the IDR picture before it, which passes through with it.
#[test]
fn recovery_points_are_no_place_to_start() {
    let Some(work) = reported("video_h264_intra_refresh") else { return };
    convert(&work, &[], NO_FFMPEG).exits(0);
    let rows = steps(&work);
    assert_eq!(rows.num_rows(), 101);
    let keyframes = rows.column_by_name(&format!("{FRONT}.keyframe")).unwrap().as_boolean();
    assert_eq!(keyframes.true_count(), 1);
    work.run_with(&NO_FFMPEG, ["validate", "--deep", "out"]).exits(0);
    let video = Dataset::open(work.path("out")).table("index/video.parquet");
    let counts = video.column_by_name("preroll_frames").unwrap();
    let counts = counts.as_primitive::<arrow_array::types::UInt32Type>().values().to_vec();
    assert_eq!(counts[0], 0);
    assert!(counts[1..].iter().all(|it| *it > 0), "{counts:?}");
    // Frames of all three episodes come out.
    convert(&work, &["--decode", "*=png"], NO_FFMPEG).exits(0);
    assert_eq!(pictures(&steps(&work), FRONT).len(), 101);
    work.run_with(&NO_FFMPEG, ["validate", "--deep", "out"]).exits(0);
}

/// Pass-through works wherever an episode begins in its video: what decoding takes beside its rows stands in the table of video.
#[test]
fn an_episode_inside_a_group_passes_through_with_what_comes_before_it() {
    let work = Work::new();
    Defect::WindowNotAtKeyframe.copy().write(&work.path("src"));
    // The frames of the episode that is gone belong to no step.
    convert(&work, &[], NO_FFMPEG).exits(3);
    assert!(repairs(&work).iter().all(|it| it["reason"] == "unused-frames"), "{:?}", repairs(&work));
    let report = work.run_with(&NO_FFMPEG, ["validate", "--deep", "out", "--format", "json"]).exits(0).json();
    let of_coded = coded(&steps(&work), FRONT);
    assert_eq!(of_coded.len(), 23, "{report}");
    let table = Dataset::open(work.path("out")).table("index/video.parquet");
    assert!(table.column_by_name("preroll").is_some());
}
