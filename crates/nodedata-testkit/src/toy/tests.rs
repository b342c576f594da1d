use std::sync::Arc;

use nodedata_core::{Format as _, OpenOptions, ReadOptions};
use nodedata_io::MemoryFiles;

use super::{TOY, ToyRecording};
use crate::{
    rows::read_all,
    source::{Case, Damage, conformance},
};

const SMALL: ToyRecording = ToyRecording { seed: 1, n_files: 3, n_leaves: 12, weight: 5000 };

#[test]
fn a_recording_in_three_files_is_read_as_any_other() {
    let case = |it: ToyRecording, name: &str| Case {
        name: format!("{it:?}"),
        files: it.build(name).files,
        damage: Damage::Anything(9),
    };
    conformance(&TOY, &case(SMALL, "lab"));
    conformance(&TOY, &case(ToyRecording { n_files: 1, ..SMALL }, "lab"));
}

/// What is said of the bytes that may be changed: the file stays sound, and rows change with those that they hold.
#[test]
fn sound_bytes_are_of_every_page_and_change_what_they_should() {
    let log = SMALL.build("lab");
    let rows = |files: &[(std::path::PathBuf, bytes::Bytes)]| {
        let files = files.iter().cloned().fold(MemoryFiles::default(), |all, (path, it)| all.with(path, it));
        let source = TOY.open(Arc::new(files), &OpenOptions::default()).unwrap();
        read_all("toy", source.as_ref(), &ReadOptions::default())
    };
    let whole = rows(&log.files);
    for file in 0..log.files.len() {
        // Pages of data and directories, the header and the footer.
        let n_sound = log.sound.iter().filter(|it| it.file == file).count();
        assert!(5 <= n_sound && log.sound.iter().any(|it| it.file == file && it.is_value), "{n_sound}");
    }
    for byte in &log.sound {
        let changed = rows(&log.changed(*byte).files);
        assert_eq!(changed.errors.len(), 0, "{byte:?}");
        let same = |name: &String| changed.streams[name].rows == whole.streams[name].rows;
        assert_eq!(whole.streams.keys().all(same), !byte.is_value, "{byte:?}");
    }
}

#[test]
fn a_recording_that_lacks_a_file_is_refused() {
    let mut log = SMALL.build("lab");
    log.files.remove(1);
    let files = log.files.into_iter().fold(MemoryFiles::default(), |all, (path, it)| all.with(path, it));
    let files = Arc::new(files);
    let err = TOY.open(files.clone(), &OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("number 0 of 3 of its recording, and 2 are there"), "{err}");
    let source = TOY.open(files, &OpenOptions { salvage: true, ..OpenOptions::default() }).unwrap();
    assert_eq!(source.plan().findings.len(), 1);
}
