//! Any bytes as the description of a bag: whatever they say, its files are read.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_rosbag::{RosBag2, SQLITE3};

static BAGS: RosBag2 = RosBag2::with(&[&SQLITE3]);

fuzz_target!(|bytes: &[u8]| {
    // Files into which nothing was recorded, so that all there is to read is the description.
    let files = MemoryFiles::default().with("a_0.db3", "").with("a_1.db3", "").with("metadata.yaml", bytes.to_vec());
    let options = OpenOptions { salvage: true, ..OpenOptions::default() };
    drop(BAGS.open(Arc::new(files), &options));
});
