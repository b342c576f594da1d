//! Whole runs over a recording in three files whose units share pages: see [`nodedata_testkit::toy`].

mod keep;
mod opens;
mod resume;
mod reuse;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use nodedata_core::{Formats, Progress};
use nodedata_normalize::{Align, Clock, Cut, EpisodeRange, FieldSpec, Rate, StepSpec, TimeSource, Tolerance};
use nodedata_testkit::toy::{TOY, ToyRecording};

use crate::{ConvertOptions, Converted, convert};

const MS: i64 = 1_000_000;
/// What a leaf of the recording says it decodes to: two make a piece of steps.
const WEIGHT: u32 = 3 << 20;
const RECORDING: ToyRecording = ToyRecording { seed: 5, n_files: 3, n_leaves: 12, weight: WEIGHT };

fn formats() -> Formats {
    Formats::default().with(&TOY)
}

/// A folder with a recording in `src`, to be converted to `out`.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Units of two partitions each, or of one episode.
    fn options(&self, steps: Option<&StepSpec>) -> ConvertOptions {
        ConvertOptions {
            steps: steps.cloned(),
            shard_bytes: if steps.is_some() { 1 } else { 2 * u64::from(WEIGHT) },
            threads: Some(2),
            ..ConvertOptions::new(self.path("src").display().to_string(), self.path("out"))
        }
    }

    fn convert(&self, options: &ConvertOptions) -> Converted {
        convert(&formats(), options, &nodedata_core::Silent).unwrap_or_else(|err| panic!("{}", err.chain()))
    }

    /// A run that ends in the middle: when it has told its progress for the `nth` time.
    fn crash(&self, options: &ConvertOptions, nth: usize) {
        let progress = Crash(AtomicUsize::new(nth));
        let run = || convert(&formats(), options, &progress);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        assert!(ended.is_err(), "the run ended before it could crash");
        assert!(!self.path("out").exists());
    }

    /// All files of the dataset but the report, which tells how it was made.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        gather(&self.path("out"), &self.path("out"), &mut files);
        assert!(files.remove(Path::new("report.json")).is_some());
        files
    }
}

fn gather(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(root, &path, files);
        } else {
            files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
}

/// Names of the files that two datasets do not share.
fn differing(one: &Folder, two: &Folder) -> Vec<PathBuf> {
    let (one, two) = (one.files(), two.files());
    let names = one.keys().chain(two.keys()).filter(|it| one.get(*it) != two.get(*it));
    let names: std::collections::BTreeSet<&PathBuf> = names.collect();
    names.into_iter().cloned().collect()
}

/// Panics when it is told something for the nth time, counted from 1.
struct Crash(AtomicUsize);

impl Crash {
    fn told(&self) {
        assert_ne!(self.0.fetch_sub(1, Ordering::Relaxed), 1, "a crash, as asked");
    }
}

impl Progress for Crash {
    fn advanced(&self, _n_bytes: u64, _n_records: u64) {
        self.told();
    }

    fn finishing(&self) {
        self.told();
    }
}

/// Fields with a tolerance on a grid.
fn bounded() -> StepSpec {
    let max_ns = Some(8 * MS);
    StepSpec { tolerance: Tolerance { max_ns, ..Tolerance::default() }, skew: true, ..unbounded() }
}

/// Fields that look as far as it takes.
fn unbounded() -> StepSpec {
    let field =
        |name: &str, align| FieldSpec { align: Some(align), ..FieldSpec::new(name, format!("/{name}")) };
    // An episode is never cut, so it takes several for several units. Leaves are no multiple of their length.
    let range = |idx: i64| {
        let start_ns = ToyRecording::START_NS + idx * 2 * ToyRecording::LEAF_NS / 3;
        EpisodeRange { recording: None, start_ns, end_ns: start_ns + ToyRecording::LEAF_NS / 2 }
    };
    StepSpec {
        episodes: Cut::Ranges((0..16).map(range).collect()),
        time: TimeSource::Field("header.stamp".to_owned()),
        order_bound_ns: Some(5 * MS),
        tolerance: Tolerance { max_ns: Some(i64::MAX), ..Tolerance::default() },
        fields: vec![
            field("imu.turn", Align::Linear),
            field("cmd.value", Align::Hold),
            field("state.level", Align::Nearest),
        ],
        // Finer than the toy: many steps, many pieces.
        upsample: true,
        ..StepSpec::new(Clock::Rate(Rate::parse("200").unwrap()))
    }
}
