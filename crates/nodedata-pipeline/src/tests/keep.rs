//! A unit that takes long is gone on with in its middle.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use nodedata_core::{ErrorKind, Progress};
use nodedata_normalize::StepSpec;
use nodedata_testkit::toy::ToyRecording;

use super::{Folder, WEIGHT, bounded, differing, formats};
use crate::{ConvertOptions, KeepRows, convert};

/// Keeps every window, however fast the machine is.
const ALL: KeepRows = KeepRows { after: Duration::ZERO, slower_than: u64::MAX };
/// Eight windows of messages.
const RECORDING: ToyRecording = ToyRecording { seed: 5, n_files: 3, n_leaves: 48, weight: WEIGHT };
/// Partitions of a window: what they decode to is 3 MiB each.
const OF_WINDOW: usize = 6;

/// One unit for each episode with steps, and one for all without.
fn options(folder: &Folder, steps: Option<&StepSpec>, keep_rows: KeepRows) -> ConvertOptions {
    ConvertOptions { shard_bytes: 1 << 40, keep_rows, ..folder.options(steps) }
}

fn recording() -> Folder {
    let folder = Folder::new();
    RECORDING.build("lab").write(&folder.path("src"));
    folder
}

/// Files of rows that a run left.
fn kept(folder: &Folder) -> Vec<PathBuf> {
    let Ok(units) = fs::read_dir(folder.path(".out.partial/rows")) else { return Vec::new() };
    let files = units.flatten().flat_map(|it| fs::read_dir(it.path()).unwrap().flatten());
    let mut files: Vec<PathBuf> = files.map(|it| it.path()).collect();
    files.sort_unstable();
    files
}

/// Asks the run to stop once so many partitions are done.
struct Stop(AtomicUsize);

impl Progress for Stop {
    fn advanced(&self, _n_bytes: u64, _n_records: u64) {
        // Never below zero: the run ends soon, not at once.
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Wherever in a unit a run ends, the next one goes on there and gives the same bytes.
#[test]
fn a_run_that_crashed_in_a_unit_is_gone_on_with_there() {
    for steps in [None, Some(bounded())] {
        let steps = steps.as_ref();
        let calm = recording();
        let report = calm.convert(&options(&calm, steps, KeepRows::default())).report;
        assert_eq!((report.units, report.records_reused), (1, None));
        let mut reused = Vec::new();
        for (nth, threads) in [(1, 1), (8, 8)] {
            let folder = recording();
            let options = ConvertOptions { threads: Some(threads), ..options(&folder, steps, ALL) };
            folder.crash(&options, nth);
            let n_before = kept(&folder).len();
            assert!(0 < n_before);
            // Once more, a little later: nothing is lost of what was kept first.
            folder.crash(&options, 1);
            assert!(n_before < kept(&folder).len());
            let report = folder.convert(&options).report;
            assert_eq!(report.units_reused, 0);
            let n_records = report.records_reused.expect("some were kept");
            let made_bytes = report.made_bytes.expect("it is told apart");
            // Steps at the two sides of a seam read the same bytes.
            assert!(steps.is_some() || made_bytes < report.input_bytes, "{made_bytes}");
            reused.push(n_records);
            assert_eq!(differing(&folder, &calm), [""; 0].map(PathBuf::from), "{nth}");
            assert!(!folder.path(".out.partial").exists());
        }
        assert!(0 < reused[0], "{reused:?}");
        // Pieces of steps are larger: both ends lie in one window.
        assert!(reused[0] < reused[1] || (steps.is_some() && reused[0] == reused[1]), "{reused:?}");
    }
}

/// A run that is asked to stop says what it keeps, to the record.
#[test]
fn a_run_that_was_stopped_says_how_much_of_a_unit_is_kept() {
    let folder = recording();
    let options = options(&folder, None, ALL);
    let stop = || convert(&formats(), &options, &Stop(AtomicUsize::new(OF_WINDOW + 1))).unwrap_err();
    let first = stop();
    assert_eq!(first.kind(), ErrorKind::Interrupted);
    // What it found and what it read, together.
    let second = stop();
    let records = |told: &str| -> u64 {
        let told = told.strip_prefix("0 of 1 units and ").unwrap_or_else(|| panic!("{told}"));
        let end = " records of the next are kept; the same command goes on from there";
        told.strip_suffix(end).unwrap_or_else(|| panic!("{told}")).parse().unwrap()
    };
    let (first, second) = (records(&first.to_string()), records(&second.to_string()));
    assert!(0 < first && first < second, "{first}, {second}");
    let report = folder.convert(&options).report;
    assert_eq!(report.records_reused, Some(second));
    let n_read: u64 = report.streams.values().map(|it| it.read).sum();
    assert!(second < n_read, "{second} of {n_read}");
}

#[test]
fn rows_that_are_damaged_or_of_another_input_are_read_again() {
    let calm = recording();
    calm.convert(&options(&calm, None, KeepRows::default()));
    let folder = recording();
    let of_folder = options(&folder, None, ALL);
    folder.crash(&of_folder, 2 * OF_WINDOW + 1);
    let files = kept(&folder);
    assert!(3 <= files.len(), "{files:?}");
    // The head is as it was: only the hash tells.
    let mut bytes = fs::read(&files[1]).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    fs::write(&files[1], bytes).unwrap();
    fs::write(&files[2], "ndrows/1").unwrap();
    let report = folder.convert(&of_folder).report;
    assert!(report.records_reused.is_some(), "the first window is as it was");
    assert_eq!(differing(&folder, &calm), [""; 0].map(PathBuf::from));

    let again = recording();
    let of_again = options(&again, None, ALL);
    again.crash(&of_again, 1);
    let log = RECORDING.build("lab");
    let of_first = log.sound.iter().filter(|it| it.file == 0);
    let byte = of_first.min_by_key(|it| it.at).expect("a byte of the first file");
    let changed = log.changed(*byte);
    changed.write(&again.path("src"));
    let report = again.convert(&of_again).report;
    let fresh = Folder::new();
    changed.write(&fresh.path("src"));
    fresh.convert(&options(&fresh, None, KeepRows::default()));
    assert_eq!(differing(&again, &fresh), [""; 0].map(PathBuf::from));
    assert_eq!(report.records_reused, None);
}

/// What comes as fast as it would be read from a disk is not written twice.
#[test]
fn fast_rows_are_not_kept() {
    let folder = recording();
    let none = KeepRows { slower_than: 0, ..ALL };
    folder.crash(&options(&folder, None, none), 2 * OF_WINDOW);
    assert_eq!(kept(&folder), [""; 0].map(PathBuf::from));
    assert!(!folder.path(".out.partial").exists(), "nothing is left where nothing is kept");
}
