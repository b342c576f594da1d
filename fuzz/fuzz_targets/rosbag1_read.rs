//! Any bytes, opened as a ROS 1 bag to fail and to salvage, and read to the end.
#![no_main]

mod rows;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_rosbag::ROSBAG1;
use rows::read_all;

fuzz_target!(|bytes: &[u8]| {
    for salvage in [false, true] {
        let files = Arc::new(MemoryFiles::default().with("a.bag", bytes.to_vec()));
        let options = OpenOptions { salvage, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        let Ok(source) = ROSBAG1.open(files, &options) else { continue };
        read_all(source.as_ref());
    }
});
