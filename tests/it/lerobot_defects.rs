//! Defective LeRobot datasets: what the data settles is put right and named, everything else refused with
//! its address; a salvage keeps what is sound.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use nodedata_testkit::lerobot::{Base, Defect, json_of};
use serde_json::{Value, json};

use crate::{
    command::{Work, for_each},
    tables::{Dataset, int64, texts},
};

/// What becomes of a defective copy.
enum Outcome {
    /// Converted with exit 3, and named under `repairs`. With the columns whose values differ from those of the
    /// sound dataset.
    PutRight(&'static [&'static str]),
    /// Refused, and salvaged without some rows: rows dropped, and rows kept of each episode.
    Refused { dropped: u64, kept: [usize; 3] },
    /// Refused whatever is asked for.
    Hopeless,
    /// Within what rounding takes up: exit 0.
    Sound,
}

use Outcome::{Hopeless, PutRight, Refused, Sound};

/// Defect, reason, parts of the address, outcome.
type Case = (Defect, &'static str, &'static [&'static str], Outcome);

const EPISODES: &str = "meta/episodes/chunk-000/file-000.parquet";
const EPISODE_LINES: &str = "meta/episodes.jsonl";
const JOINED_DATA: &str = "data/chunk-000/file-000.parquet";
const LAST_DATA: &str = "data/chunk-000/file-001.parquet";
const OWN_DATA: &str = "data/chunk-000/episode_000001.parquet";
const VIDEO_1: &str = "videos/observation.images.front/chunk-000/file-001.mp4";
const JOINED_VIDEO: &str = "videos/observation.images.front/chunk-000/file-000.mp4";
const FRONT: &str = "feature `observation.images.front`";

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let refused = |dropped, kept| Refused { dropped, kept };
    vec![
        (Defect::StaleDataFile, "stale-data-file", &[LAST_DATA, "episode 2"], PutRight(&[])),
        (Defect::StaleVideoFile, "stale-video-file", &["videos/observation.images.front/chunk-001/file-000.mp4", "episode 2", FRONT], PutRight(&[])),
        (Defect::DriftedWindow, "wrong-video-window", &[JOINED_VIDEO, "episode 1", FRONT], PutRight(&[])),
        (Defect::RoundedWindow, "", &[], Sound),
        (Defect::StaleLength, "stale-length", &[EPISODES, "episode 1"], PutRight(&[])),
        (Defect::StaleRowRange, "stale-row-range", &[EPISODES, "episode 1"], PutRight(&[])),
        (Defect::VideosInOtherFolder, "wrong-folder", &["video/observation.images.front/chunk-000/file-000.mp4", "episode 0"], PutRight(&[])),
        (Defect::CameraInOtherFolder, "wrong-folder", &["videos/front/chunk-000/file-000.mp4", "episode 0"], PutRight(&[])),
        (Defect::DataInOtherFolder, "wrong-folder", &["Data/chunk-000/file-000.parquet", "episode 0"], PutRight(&[])),
        (Defect::SplitsTooShort, "uncovered-by-splits", &["meta/info.json"], PutRight(&[])),
        (Defect::UnknownTask, "unknown-task", &[JOINED_DATA, "episode 1"], PutRight(&["task", "task_index"])),
        (Defect::NoTasks, "tasks-unreadable", &["meta/tasks.parquet"], PutRight(&["task"])),
        (Defect::TimestampOffGrid, "timestamp-off-grid", &[JOINED_DATA, "episode 1", "step 4"], PutRight(&["timestamp", "timestamp_ns"])),
        (Defect::OtherEpisodeIndex, "episode-index", &[OWN_DATA, "episode 1"], PutRight(&[])),
        (Defect::RowsExchanged, "rows-out-of-order", &[JOINED_DATA, "episode 1"], PutRight(&[])),
        (Defect::RowsScattered, "rows-out-of-order", &[JOINED_DATA, "episode 0"], PutRight(&[])),
        (Defect::ListedTwice, "episode-listed-twice", &[EPISODES, "episode 1"], PutRight(&[])),
        (Defect::NoEpisodeNumber, "episodes-rebuilt", &[EPISODES], PutRight(&[])),
        (Defect::NoEpisodes, "episodes-rebuilt", &["meta/episodes"], PutRight(&[])),
        (Defect::CutEpisodes, "episodes-rebuilt", &[EPISODES], PutRight(&[])),
        (Defect::EmptyEpisodes, "episodes-rebuilt", &["meta/episodes"], PutRight(&[])),
        (Defect::NoEpisodeLines, "episodes-rebuilt", &[EPISODE_LINES], PutRight(&[])),
        (Defect::CutEpisodeLines, "episodes-rebuilt", &[EPISODE_LINES, "line 2"], PutRight(&[])),
        (Defect::VersionTooNew, "wrong-version", &["meta/info.json"], PutRight(&[])),
        (Defect::VersionTooOld, "wrong-version", &["meta/info.json"], PutRight(&[])),
        (Defect::OtherTask, "task-mismatch", &[EPISODE_LINES, "episode 1"], PutRight(&[])),
        (Defect::NoVideoPath, "no-video-path", &["meta/info.json"], PutRight(&[])),
        (Defect::NoSharedVideo, "camera-without-video", &["meta/info.json", FRONT], PutRight(&["observation.images.front", "observation.images.front.keyframe"])),
        (Defect::LengthUnsettled, "length-mismatch", &[EPISODES, "episode 1"], refused(0, [11, 12, 13])),
        (Defect::RowsMissingAtEnd, "length-mismatch", &[EPISODES, "episode 2"], refused(0, [11, 12, 11])),
        (Defect::OrphanRows, "orphan-rows", &[JOINED_DATA, "episode 1"], refused(12, [11, 0, 13])),
        (Defect::EpisodesMixed, "mixed-episodes", &[OWN_DATA, "episode 1"], refused(12, [11, 0, 13])),
        (Defect::EmptyVideo, "unreadable-video", &[VIDEO_1, "episode 1", FRONT], refused(12, [11, 0, 13])),
        (Defect::CutVideo, "unreadable-video", &[VIDEO_1, "episode 1", FRONT], refused(12, [11, 0, 13])),
        (Defect::TextForVideo, "unreadable-video", &[VIDEO_1, "episode 1", FRONT], refused(12, [11, 0, 13])),
        (Defect::NoVideo, "missing-video", &[VIDEO_1, "episode 1", FRONT], refused(12, [11, 0, 13])),
        (Defect::ShortVideo, "short-video", &["observation.images.front/episode_000001.mp4", "episode 1", FRONT], refused(1, [11, 11, 13])),
        (Defect::NoDataFile, "missing-rows", &[LAST_DATA, "episode 2"], refused(13, [11, 12, 0])),
        (Defect::CutDataFile, "unreadable-data-file", &[LAST_DATA], refused(13, [11, 12, 0])),
        (Defect::EmptyDataFile, "unreadable-data-file", &[LAST_DATA], refused(13, [11, 12, 0])),
        (Defect::OverlappingWindows, "overlapping-windows", &[JOINED_VIDEO, "episode 1", FRONT], refused(23, [0, 0, 0])),
        (Defect::RowRepeated, "broken-frame-index", &[JOINED_DATA, "episode 1", "step 4"], refused(12, [11, 0, 13])),
        (Defect::RowCopiedAway, "scattered-rows", &[JOINED_DATA, "episode 0"], refused(12, [0, 12, 13])),
        (Defect::ListedInTwoWays, "episode-listed-twice", &[EPISODES, "episode 1"], refused(0, [11, 12, 13])),
        (Defect::NothingThere, "", &["meta/episodes"], Hopeless),
        (Defect::CutInfo, "", &["meta/info.json"], Hopeless),
        (Defect::WrongItems, "undecodable", &[JOINED_DATA, "episode 1", "step 2", "feature `action`"], refused(12, [11, 0, 13])),
    ]
}

#[test]
fn every_defect_has_a_case() {
    let mut listed: Vec<Defect> = cases().iter().map(|it| it.0).collect();
    listed.extend([Defect::UnusedFrames, Defect::WindowNotAtKeyframe]);
    listed.sort_unstable();
    assert_eq!(listed, Defect::ALL);
}

#[test]
fn what_the_data_settles_is_put_right_and_named() {
    let sound = sound_rows();
    let cases: Vec<Case> = cases().into_iter().filter(|it| matches!(it.3, PutRight(_) | Sound)).collect();
    assert!(12 <= cases.len());
    for_each(&cases, |case| {
        let (defect, reason, place, outcome) = case;
        let work = copied(*defect);
        let code = if matches!(outcome, Sound) { 0 } else { 3 };
        let inspected = work.run(["inspect", "src", "--format", "json"]).exits(code).json();
        let ran = work.run(["convert", "src", "--out", "out"]).exits(code);
        work.run(["validate", "--deep", "out"]).exits(0);
        let report = work.json("out/report.json");
        let differing = match outcome {
            PutRight(columns) => {
                assert!(ran.stderr.contains(reason), "{defect:?}: {}", ran.stderr);
                names(*defect, &inspected["repairs"], reason, place);
                names(*defect, &report["repairs"], reason, place);
                *columns
            }
            _ => &[],
        };
        for told in [&inspected, &report] {
            assert_eq!(told["damage"].as_array().map_or(0, Vec::len), 0, "{defect:?}: {told}");
        }
        assert_eq!(report["streams"]["steps"], json!({"read": 36, "written": 36}), "{defect:?}");
        let found = rows_by_episode(&work, "out");
        assert_eq!(different_columns(&found, &sound[&defect.base()]), as_set(differing), "{defect:?}");
        assert_eq!(found.values().map(Vec::len).collect::<Vec<_>>(), [11, 12, 13], "{defect:?}");
    });
}

#[test]
fn what_nothing_settles_is_refused_and_salvaged() {
    let sound = sound_rows();
    let cases: Vec<Case> = cases().into_iter().filter(|it| matches!(it.3, Refused { .. })).collect();
    assert!(17 <= cases.len());
    for_each(&cases, |(defect, reason, place, outcome)| {
        let Refused { dropped, kept } = outcome else { unreachable!("only those are left") };
        let work = copied(*defect);
        let inspected = work.run(["inspect", "src", "--format", "json"]).exits(3).json();
        names(*defect, &inspected["damage"], reason, place);
        refuses(&work, *defect, &["convert", "src", "--out", "out"], place);
        let ran = work.run(["convert", "src", "--out", "out", "--on-error", "salvage"]).exits(3);
        assert!(ran.stderr.contains("  --> "), "{defect:?}: {}", ran.stderr);
        let report = work.json("out/report.json");
        names(*defect, &report["damage"], reason, place);
        let ledger = &report["streams"]["steps"];
        let written: usize = kept.iter().sum();
        assert_eq!(ledger["written"], written, "{defect:?}: {report}");
        assert_eq!(ledger["read"], written as u64 + dropped, "{defect:?}: {report}");
        let counted = ledger["dropped"].as_object().into_iter().flatten().filter_map(|it| it.1.as_u64());
        assert_eq!(counted.sum::<u64>(), *dropped, "{defect:?}: {report}");
        work.run(["validate", "--deep", "out"]).exits(0);
        let sound = &sound[&defect.base()];
        let found = rows_by_episode(&work, "out");
        for (episode, n) in kept.iter().enumerate() {
            let found = found.get(&(episode as u64)).map_or(&[][..], Vec::as_slice);
            assert_eq!(found.len(), *n, "{defect:?}: rows of episode {episode}");
            let sound = &sound[&(episode as u64)][..*n];
            assert_eq!(
                comparable(*defect, found),
                comparable(*defect, sound),
                "{defect:?}: values of episode {episode}"
            );
        }
    });
}

#[test]
fn what_cannot_be_planned_is_refused_whatever_is_asked_for() {
    let cases: Vec<Case> = cases().into_iter().filter(|it| matches!(it.3, Hopeless)).collect();
    assert_eq!(cases.len(), 2);
    for_each(&cases, |(defect, _, place, _)| {
        let work = copied(*defect);
        refuses(&work, *defect, &["inspect", "src"], place);
        let refused = work.run(["convert", "src", "--out", "out"]);
        assert!(!refused.stderr.contains("salvage"), "{defect:?}: {}", refused.stderr);
        for on_error in ["fail", "salvage"] {
            refuses(&work, *defect, &["convert", "src", "--out", "out", "--on-error", on_error], place);
        }
    });
}

/// Frames after an episode's last step are left out, and that is said. The rows there are, are right.
#[test]
fn frames_without_steps_are_named() {
    let sound = &sound_rows()[&Base::Apart];
    let work = copied(Defect::UnusedFrames);
    work.run(["convert", "src", "--out", "out"]).exits(3);
    let report = work.json("out/report.json");
    names(Defect::UnusedFrames, &report["repairs"], "unused-frames", &["episode_000001.mp4", FRONT]);
    let found = rows_by_episode(&work, "out");
    assert_eq!(found.values().map(Vec::len).collect::<Vec<_>>(), [11, 11, 13]);
    for (episode, rows) in &found {
        assert_eq!(rows, &sound[episode][..rows.len()], "episode {episode}");
    }
    work.run(["validate", "--deep", "out"]).exits(0);
}

/// Where an episode begins inside a group of frames, its samples pass through, and its frames can be decoded.
#[test]
fn what_does_not_start_at_a_keyframe_is_converted() {
    let work = copied(Defect::WindowNotAtKeyframe);
    for decode in [&[][..], &["--decode", "observation.images.front=png"]] {
        let args = ["convert", "src", "--out", "out", "--overwrite"];
        // Exit 3: the frames of the episode that is gone belong to no step.
        work.run(args.iter().chain(decode)).exits(3);
        work.run(["validate", "--deep", "out"]).exits(0);
        assert_eq!(work.json("out/report.json")["streams"]["steps"], json!({"read": 23, "written": 23}));
    }
}

/// A salvage is as deterministic as any other run.
#[test]
fn salvages_do_not_depend_on_threads() {
    for_each(&[Defect::ShortVideo, Defect::RowRepeated, Defect::WrongItems], |defect| {
        let work = copied(*defect);
        for (out, threads) in [("a", "1"), ("b", "8")] {
            let args = ["convert", "src", "--out", out, "--on-error", "salvage", "--threads", threads];
            work.run(args).exits(3);
        }
        let differing = crate::tables::differing(&work.path("a"), &work.path("b"));
        assert_eq!(differing, ["report.json"], "{defect:?}");
    });
}

fn copied(defect: Defect) -> Work {
    let work = Work::new();
    defect.copy().write(&work.path("src"));
    work
}

/// Values of each step by column, of each episode by its number in the source.
type Rows = BTreeMap<u64, Vec<BTreeMap<String, Value>>>;

fn sound_rows() -> BTreeMap<Base, Rows> {
    let convert = |base: Base| {
        let work = Work::new();
        base.folder().write(&work.path("src"));
        work.run(["convert", "src", "--out", "out"]).exits(0);
        work.run(["inspect", "src"]).exits(0);
        (base, rows_by_episode(&work, "out"))
    };
    Base::ALL.into_iter().map(convert).collect()
}

pub(crate) fn rows_by_episode(work: &Work, out: &str) -> Rows {
    let dataset = Dataset::open(work.path(out));
    let index = dataset.table("index/episodes.parquet");
    let numbers: BTreeMap<i64, u64> = int64(&index, "episode_index")
        .into_iter()
        .zip(texts(&index, "episode_key"))
        .map(|(index, key)| (index, key.unwrap().trim_start_matches("episode_").parse().unwrap()))
        .collect();
    let mut all = Rows::new();
    for rows in dataset.tables().values() {
        for (row, episode) in int64(rows, "episode_index").into_iter().enumerate() {
            all.entry(numbers[&episode]).or_default().push(values(rows, row));
        }
    }
    all
}

fn values(rows: &RecordBatch, row: usize) -> BTreeMap<String, Value> {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).filter(|it| it.0.name() != "episode_index");
    columns.map(|(field, column)| (field.name().clone(), json_of(column, row))).collect()
}

/// The values that the defect did not change: a video too short is that of another episode.
fn comparable(defect: Defect, rows: &[BTreeMap<String, Value>]) -> Vec<BTreeMap<String, Value>> {
    let is_changed =
        |name: &str| defect == Defect::ShortVideo && name.starts_with("observation.images.front");
    let kept = |row: &BTreeMap<String, Value>| {
        let columns = row.iter().filter(|it| !is_changed(it.0));
        columns.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    rows.iter().map(kept).collect()
}

fn different_columns(found: &Rows, sound: &Rows) -> BTreeSet<String> {
    let all = |rows: &Rows, name: &str| -> Vec<Option<Value>> {
        rows.values().flatten().map(|it| it.get(name).cloned()).collect()
    };
    let names = found.values().chain(sound.values()).flatten().flat_map(BTreeMap::keys);
    let names: BTreeSet<&String> = names.collect();
    names.into_iter().filter(|it| all(found, it) != all(sound, it)).cloned().collect()
}

fn as_set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|it| (*it).to_owned()).collect()
}

/// An entry for the reason, at the place.
#[track_caller]
fn names(defect: Defect, entries: &Value, reason: &str, place: &[&str]) {
    let entries = entries.as_array().cloned().unwrap_or_default();
    let fits = |it: &&Value| {
        it["reason"] == reason && place.iter().all(|part| it["at"].as_str().unwrap().contains(part))
    };
    assert!(entries.iter().any(|it| fits(&it)), "{defect:?}: no {reason} at {place:?} in {entries:#?}");
}

/// Exit 1, an address, a hint, and not one file left behind.
#[track_caller]
fn refuses(work: &Work, defect: Defect, args: &[&str], place: &[&str]) {
    let ran = work.run(args).exits(1);
    assert_eq!(ran.stdout, "", "{defect:?}");
    let stderr = &ran.stderr;
    assert!(stderr.starts_with("error: "), "{defect:?}: {stderr}");
    assert!(stderr.contains("\n  --> ") && stderr.contains("\nhint: "), "{defect:?}: {stderr}");
    assert!(stderr.contains(place[0]), "{defect:?}: not at {place:?}: {stderr}");
    assert_eq!(work.names(), ["src"], "{defect:?}: files left behind");
}
