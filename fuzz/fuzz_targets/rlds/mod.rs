// What the targets of RLDS datasets share: the files of a small one, one of them replaced, read to the end.

use std::sync::Arc;

use nodedata_core::{Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_rlds::RLDS;

use crate::rows::read_all;

/// A file of the fixture, by name.
macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../../fixtures/rlds/arm/1.2.0/", $name)) as &[u8])
    };
}

/// A shard of the fixture.
#[allow(dead_code, reason = "not every target replaces a shard")]
pub(crate) const SHARD: &str = "arm-val.tfrecord-00000-of-00001";

const FILES: [(&str, &[u8]); 5] = [
    file!("features.json"),
    file!("dataset_info.json"),
    file!("arm-train.tfrecord-00000-of-00002"),
    file!("arm-train.tfrecord-00001-of-00002"),
    file!("arm-val.tfrecord-00000-of-00001"),
];

/// Reads the dataset with `bytes` in the place of one file, with its checksums and without. Damage is an error; only
/// a crash, or memory without bound, is a finding.
pub(crate) fn read_with(name: &str, bytes: &[u8]) {
    for verify_checksums in [false, true] {
        let files = FILES.iter().fold(MemoryFiles::default(), |files, (of, whole)| {
            files.with(*of, if *of == name { bytes.to_vec() } else { whole.to_vec() })
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
