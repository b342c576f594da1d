// What the targets of RLDS datasets share: the files of two small ones, one file replaced, read to the end.

use std::sync::Arc;

use nodedata_core::{Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_rlds::RLDS;

use crate::rows::read_all;

/// A file of a fixture, by name.
macro_rules! file {
    ($set:literal, $name:literal) => {
        ($name, include_bytes!(concat!("../../../fixtures/rlds/", $set, "/", $name)) as &[u8])
    };
}

/// A file that a target replaces.
#[allow(dead_code, reason = "no target replaces all of them")]
#[derive(Clone, Copy)]
pub(crate) enum Replaced {
    Features,
    Info,
    Shard,
}

/// A dataset: its features, its splits, a shard, and whatever else it has.
type Set = [(&'static str, &'static [u8])];

/// What is usual.
const ARM: &Set = &[
    file!("arm/1.2.0", "features.json"),
    file!("arm/1.2.0", "dataset_info.json"),
    file!("arm/1.2.0", "arm-val.tfrecord-00000-of-00001"),
    file!("arm/1.2.0", "arm-train.tfrecord-00000-of-00002"),
    file!("arm/1.2.0", "arm-train.tfrecord-00001-of-00002"),
];

/// What is rare: lists in lists, tensors of bytes, shapes beside values, floats as images.
const KINDS: &Set = &[
    file!("kinds/1.0.0", "features.json"),
    file!("kinds/1.0.0", "dataset_info.json"),
    file!("kinds/1.0.0", "kinds-train.tfrecord-00000-of-00001"),
    file!("kinds/1.0.0", "steps-label.labels.txt"),
];

/// The usual one in ArrayRecord files.
#[allow(dead_code, reason = "not every target reads it")]
const ARRAY_RECORD: &Set = &[
    file!("arm_array_record/1.2.0", "features.json"),
    file!("arm_array_record/1.2.0", "dataset_info.json"),
    file!("arm_array_record/1.2.0", "arm-val.array_record-00000-of-00001"),
    file!("arm_array_record/1.2.0", "arm-train.array_record-00000-of-00001"),
];

/// Reads each dataset with `bytes` in the place of one file.
#[allow(dead_code, reason = "not every target replaces a file of these")]
pub(crate) fn read_with(replaced: Replaced, bytes: &[u8]) {
    read_sets(&[ARM, KINDS], replaced, bytes);
}

/// Reads the one in ArrayRecord files with `bytes` in the place of a shard.
#[allow(dead_code, reason = "not every target reads it")]
pub(crate) fn read_array_record(bytes: &[u8]) {
    read_sets(&[ARRAY_RECORD], Replaced::Shard, bytes);
}

/// With checksums and without. Damage is an error; only a crash, or memory without bound, is a finding.
fn read_sets(sets: &[&Set], replaced: Replaced, bytes: &[u8]) {
    for (set, verify_checksums) in sets.iter().flat_map(|it| [(it, false), (it, true)]) {
        let files = set.iter().enumerate().fold(MemoryFiles::default(), |files, (idx, (name, whole))| {
            files.with(*name, if idx == replaced as usize { bytes.to_vec() } else { whole.to_vec() })
        });
        let options = OpenOptions {
            salvage: true,
            verify_checksums,
            record_bytes_max: 8 << 20,
            ..OpenOptions::default()
        };
        if let Ok(source) = RLDS.open(Arc::new(files), &options) {
            read_all(source.as_ref());
        }
    }
}
