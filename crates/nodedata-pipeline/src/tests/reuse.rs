//! A byte of an input changes: exactly the units that were made of it are made again.

use std::{collections::BTreeMap, fs, path::Path};

use nodedata_core::{InputRange, ReadOptions};
use nodedata_dataset::{WriterOptions, plan_units};
use nodedata_normalize::StepSpec;
use nodedata_testkit::toy::{SoundByte, ToyLog};

use super::{Folder, RECORDING, bounded, differing, formats, unbounded};
use crate::{open_source, steps::with_steps};

/// By unit, up to where each input decides it: what its partitions read, and what reading them looked at.
struct Reads(Vec<BTreeMap<usize, u64>>);

impl Reads {
    fn of(folder: &Folder, steps: Option<&StepSpec>) -> Self {
        let options = folder.options(steps);
        let opened = open_source(&formats(), &options.sources, None, &options.open).unwrap();
        let source = with_steps(opened.source, steps, &Default::default()).unwrap();
        let plan = source.plan();
        let writer = WriterOptions { shard_bytes: options.shard_bytes, ..WriterOptions::new("") };
        let of_unit = |partitions: &[usize]| {
            let mut ends: BTreeMap<usize, u64> = BTreeMap::new();
            for partition in partitions {
                let mut stream = source.read(*partition, &ReadOptions::default()).unwrap();
                while stream.next_batch().unwrap().is_some() {}
                for InputRange { input, byte_range } in
                    plan.partitions[*partition].reads.iter().chain(stream.looked_at())
                {
                    let end = ends.entry(*input).or_default();
                    *end = byte_range.end.max(*end);
                }
            }
            ends
        };
        Self(plan_units(plan, &writer).iter().map(|it| of_unit(&it.partitions)).collect())
    }

    /// How many units do not depend on a byte, when what is known of an input is a proof of its first bytes.
    fn n_without(&self, byte: SoundByte) -> usize {
        self.0.iter().filter(|it| it.get(&byte.file).is_none_or(|end| *end <= byte.at)).count()
    }

    /// How many units do not depend on an input at all.
    fn n_without_input(&self, byte: SoundByte) -> usize {
        self.0.iter().filter(|it| !it.contains_key(&byte.file)).count()
    }
}

/// Holds a run over changed inputs against one that starts from nothing.
#[track_caller]
fn equals_fresh(folder: &Folder, steps: Option<&StepSpec>, changed: &ToyLog, byte: SoundByte) {
    let fresh = Folder::new();
    changed.write(&fresh.path("src"));
    assert_eq!(fresh.convert(&fresh.options(steps)).report.units_reused, 0);
    let differing = differing(folder, &fresh);
    assert!(differing.is_empty(), "{byte:?}: {differing:?} differ from a fresh conversion");
}

/// Over what a run left that crashed before its end, and over a finished dataset.
fn check(steps: Option<&StepSpec>) {
    let log = RECORDING.build("lab");
    let (crashed, finished) = (Folder::new(), Folder::new());
    for folder in [&crashed, &finished] {
        log.write(&folder.path("src"));
    }
    let reads = Reads::of(&finished, steps);
    let n_units = reads.0.len();
    assert!(6 <= n_units, "{n_units} units");
    assert!(reads.0.iter().any(|it| 1 < it.len()), "no unit is made of two files");
    finished.convert(&finished.options(steps));
    crashed.crash(&crashed.options(steps), told_at_the_end(steps, &finished));
    let mut n_reused = Vec::new();
    for (idx, byte) in log.sound.iter().enumerate() {
        let changed = log.changed(*byte);
        let again = Folder::new();
        changed.write(&again.path("src"));
        copy(&crashed.path(".out.partial"), &again.path(".out.partial"));
        let report = again.convert(&again.options(steps)).report;
        assert_eq!(report.units_reused as usize, reads.n_without(*byte), "{byte:?}, after a crash");
        n_reused.push(report.units_reused as usize);
        // Each takes a conversion more.
        if idx % 3 == 0 {
            equals_fresh(&again, steps, &changed, *byte);
        }
        // What is known of a finished dataset's input is its digest, whichever byte it is.
        if log.sound[..idx].iter().all(|it| it.file != byte.file) {
            changed.write(&finished.path("src"));
            let options = crate::ConvertOptions { overwrite: true, ..finished.options(steps) };
            let report = finished.convert(&options).report;
            assert_eq!(report.units_reused as usize, reads.n_without_input(*byte), "{byte:?}, finished");
            equals_fresh(&finished, steps, &changed, *byte);
            log.write(&finished.path("src"));
            finished.convert(&options);
        }
    }
    let files: std::collections::BTreeSet<usize> = log.sound.iter().map(|it| it.file).collect();
    assert_eq!(files.len(), 3);
    assert!(n_reused.contains(&n_units), "no byte is of no unit: {n_reused:?}");
    assert!(n_reused.iter().any(|it| *it < n_units), "{n_reused:?}");
}

fn told_at_the_end(steps: Option<&StepSpec>, folder: &Folder) -> usize {
    let options = folder.options(steps);
    let opened = open_source(&formats(), &options.sources, None, &options.open).unwrap();
    with_steps(opened.source, steps, &Default::default()).unwrap().plan().partitions.len() + 1
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn tables_of_topics_are_made_again_where_a_byte_of_theirs_changed() {
    check(None);
}

#[test]
fn steps_with_a_tolerance_are_made_again_where_a_byte_in_reach_changed() {
    check(Some(&bounded()));
}

#[test]
fn steps_that_look_without_end_are_made_again_where_a_byte_they_looked_at_changed() {
    check(Some(&unbounded()));
}
